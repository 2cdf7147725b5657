"""The files of a session's report."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actmax.v1 import session_service_pb2 as pb
from actmax.v1 import session_service_pb2_grpc

from ....charts.chart import Chart
from ....charts.document import document, placed
from ....charts.words import measured
from ....wire.arrays import to_array
from ....wire.errors import InvalidInput
from ....wire.transport import DEFAULT_ADDRESS, Credentials, ask_service
from ....wire.writer import to_plain
from ...whole_files import whole_file
from ..provenance import session_provenance
from ..trials import Trials, fetch_trials
from . import chart
from .figures import Shown
from .gallery import Cell, picture, sheet
from .page import page
from .views import View, views

_MARGIN = 16
_SAFE = re.compile(r"[^A-Za-z0-9_.-]")


def write_report(name: str, folder: Path | str, address: str = DEFAULT_ADDRESS, *, credentials: Credentials | None = None) -> list[Path]:
    """Write what came of a session so far: ``report.html``, ``evolution.svg``, ``gallery.png``, ``recommended.png``, ``result.json``.

    In a session of several threads each has an ``evolution-NAME.svg`` and a ``recommended-NAME.png``.

    Parameters
    ----------
    name : str
        The session's, as in ``sessions/...``.
    folder : path
        Made where there is none. Each file appears whole or not at all.
    address : str
        ``host:port`` of the server.
    credentials : Credentials, optional
        Those of the environment by default.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InvalidInput
        Nothing was told yet.
    """
    trials = fetch_trials(name, address, credentials=credentials)
    found = views(trials)
    if not any(view.figures.generations for view in found):
        raise InvalidInput(f"nothing of {name} was told yet; there is nothing to report")
    stimuli = _stimuli(name, {shown.stimulus for view in found for shown in view.figures.gallery}, trials, address, credentials)
    session = trials.session
    groups = [_groups(view, stimuli) for view in found]
    together = {
        f"{view.name} · {group}" if view.name else group: c for view, g in zip(found, groups, strict=True) for group, c in g.items()
    }
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    low, high = session.stimulus_low, session.stimulus_high
    files: dict[str, Any] = {
        "report.html": page(trials, list(zip(found, groups, strict=True))),
        "gallery.png": sheet(session.spec.title or session.name, together, low, high),
        "result.json": json.dumps(_numbers(trials, found), indent=2, ensure_ascii=False) + "\n",
    }
    for view, cells in zip(found, groups, strict=True):
        named = f"-{_SAFE.sub('_', view.name)}" if view.name else ""
        best = view.recommendation
        files[f"evolution{named}.svg"] = _file(chart.evolution(view.figures, (best.response, best.low, best.high)))
        for cell in cells["Recommended"]:
            files[f"recommended{named}.png"] = picture(cell.stimulus, low, high)
    written = []
    for file, content in files.items():
        with whole_file(place / file) as temporary:
            if isinstance(content, str):
                temporary.write_text(content, encoding="utf-8")
            else:
                content.save(temporary, "PNG", optimize=True)
        written.append(place / file)
    return written


def _stimuli(
    name: str, wanted: Collection[int], trials: Trials, address: str, credentials: Credentials | None
) -> dict[int, NDArray[np.float32]]:
    """Of some stimuli by number; batch by batch, since all of a session may not fit into memory."""
    first = {}
    for trial, stimulus in zip(trials.trial.tolist(), trials.stimulus.tolist(), strict=True):
        if stimulus in wanted:
            first.setdefault(stimulus, trial)
    picked = {trial: stimulus for stimulus, trial in first.items()}

    def read(stub: session_service_pb2_grpc.SessionServiceStub) -> dict[int, NDArray[np.float32]]:
        kept: dict[int, NDArray[np.float32]] = {}
        batch: pb.ListTrialsResponse
        for batch in stub.ListTrials(pb.ListTrialsRequest(session=name, stimuli=True), timeout=600):
            shown = to_array(batch.stimuli)
            for row, trial in enumerate(batch.trials):
                if trial.trial in picked:
                    kept[picked[trial.trial]] = shown[row].copy()
            if len(kept) == len(picked):
                break
        return kept

    return ask_service(session_service_pb2_grpc.SessionServiceStub, read, address, credentials, 30.0)


def _groups(view: View, stimuli: Mapping[int, NDArray[np.float32]]) -> dict[str, list[Cell]]:
    recommended = view.recommendation
    groups: dict[str, list[Cell]] = {"Recommended": [], "Leading candidates": [], "Best of its generation": [], "References": []}
    chosen = to_array(recommended.stimulus) if recommended.HasField("stimulus") else None
    if chosen is not None and math.isfinite(recommended.response):
        between = "" if math.isnan(recommended.low) else f"{recommended.low:.3g} to {recommended.high:.3g}"
        lines = [f"{recommended.response:.4g}", between, f"n = {recommended.measurements}"]
        groups["Recommended"].append(Cell(chosen, [line for line in lines if line], strong=True))
    for shown in view.figures.gallery:
        if shown.stimulus not in stimuli:
            continue
        stimulus = stimuli[shown.stimulus]
        same = chosen is not None and chosen.shape == stimulus.shape and bool(np.allclose(chosen, stimulus, atol=1e-4))
        name, lines = _words(shown)
        groups[name].append(Cell(stimulus, lines, strong=same))
    return groups


def _file(drawn: Chart) -> str:
    """Return a chart as an SVG file, with a margin around it."""
    width, height = drawn.axes.size
    return document((width + 2 * _MARGIN, height + _MARGIN), [placed(drawn.body(), _MARGIN, _MARGIN / 2)])


def _words(shown: Shown) -> tuple[str, Sequence[str]]:
    if shown.group == "best":
        again = [f"again {measured(shown.again.value, shown.again.sem)}"] if shown.again.n else []
        return "Best of its generation", [measured(shown.told.value, shown.told.sem), f"generation {shown.generation}", *again]
    name = "Leading candidates" if shown.group == "leader" else "References"
    return name, [measured(shown.told.value, shown.told.sem), f"n = {shown.told.n}"]


def _numbers(trials: Trials, found: Sequence[View]) -> dict[str, Any]:
    session = to_plain(trials.session, arrays=False) | {"spec": to_plain(trials.session.spec)}
    references = session["spec"].get("design", {}).get("references", {})
    references.pop("stimuli", None)
    return {
        "session": session,
        "trials": {status: sum(each == status for each in trials.status) for status in ("told", "missed", "late", "untold")},
        "searches": [
            {
                "thread": view.name,
                "generations": [_finite(asdict(row)) for row in view.figures.generations],
                "gallery": [_finite(asdict(shown)) for shown in view.figures.gallery],
                "side_by_side": {name: values.tolist() for name, values in view.figures.side_by_side.items()},
            }
            for view in found
        ],
        "provenance": session_provenance(trials.session),
    }


def _finite(value: Any) -> Any:
    """Without NaN, which JSON has not."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
