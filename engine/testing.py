"""The Analysis contract as checks, for built-in analyses and yours."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..models.generators.generator import Generator
from ..models.targets.target import Target
from . import checkpoint
from .analyses.analysis import Analysis, AnalysisContext
from .evaluation.loop import StopReason
from .maximize import maximize
from .report.figures import figure_file
from .results.section import Section, checked_section

MOST_INTERRUPTIONS = 20
"""Most places at which a run is interrupted."""
_MAGIC = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8", "image/webp": b"RIFF"}


class _Capture:
    """An analysis that keeps its context."""

    needs: tuple[type, ...] = ()
    context: AnalysisContext | None = None

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        self.context = context
        return []


def check_analysis(
    analysis: Analysis,
    generator: str | Generator | nn.Module | type = "pixel",
    target: str | Target | nn.Module = "cifar10-cnn",
    units: str | Sequence[str] = ("fc[3]", "conv1[2]"),
    **options: Any,
) -> list[Section]:
    """Check ``analysis`` against the contract in a small job, and return its sections.

    Its sections must be valid, and equal for equal contexts. It must draw nothing from global random state, change no result of the
    searches, and end when it is cancelled. After an interruption at each call of ``should_stop`` it must give the same sections, with a
    state that a checkpoint can hold.

    Parameters
    ----------
    analysis : Analysis
        The analysis to check.
    generator, target, units, options
        The job, as for :func:`actmax.engine.maximize.maximize`; ``options`` may include the target's (``target_options``).

    Raises
    ------
    AssertionError
        The analysis violates the contract.
    """
    assert isinstance(analysis, Analysis), "it lacks needs or run"
    capture = _Capture()
    job = {"optimizer": "random", "evaluations": 8, "prior": "none", "device": "cpu", **options}
    result = maximize(generator, target, units, analyses=[analysis, capture], **job)
    assert not result.notices, f"it failed in a job: {'; '.join(result.notices)}"
    context = capture.context
    assert context is not None, "the job ended before its analyses"
    kept = [(search.stimulus.copy(), search.latent.copy(), search.scores.copy()) for search in context.searches]
    random = torch.get_rng_state(), _numpy_state()
    asked = 0

    def counted() -> StopReason:
        nonlocal asked
        asked += 1
        return ""

    whole = _run(analysis, replace(context, state={}, should_stop=counted))
    assert torch.equal(torch.get_rng_state(), random[0]), "it draws from torch's global random state"
    assert _numpy_state() == random[1], "it draws from NumPy's global random state"
    for search, before in zip(context.searches, kept, strict=True):
        now = (search.stimulus, search.latent, search.scores)
        assert all(np.array_equal(one, other, equal_nan=one.dtype.kind == "f") for one, other in zip(now, before, strict=True)), (
            "it changes what the searches found"
        )
    _require_equal(whole, _run(analysis, replace(context, state={})), "a second run gives other sections")
    _run(analysis, replace(context, state={}, should_stop=lambda: "cancel"))
    for place in range(min(asked, MOST_INTERRUPTIONS)):
        left = iter(range(place))
        stopped = replace(context, state={}, should_stop=lambda left=left: "" if next(left, None) is not None else "suspend")
        analysis.run(stopped)
        resumed = _run(analysis, replace(context, state=_through_checkpoint(stopped.state)))
        _require_equal(whole, resumed, f"after an interruption at place {place + 1} it gives other sections")
    return whole


def _run(analysis: Analysis, context: AnalysisContext) -> list[Section]:
    sections = [checked_section(section) for section in analysis.run(context)]
    checkpoint.require_plain(context.state)
    return sections


def _numpy_state() -> str:
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - it is to stay as it is
    return repr((kind, list(keys), rest))


def _through_checkpoint(state: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        checkpoint.save(path, state)
        return checkpoint.load(path)


def _require_equal(sections: Sequence[Section], others: Sequence[Section], what: str) -> None:
    assert len(sections) == len(others), what
    for one, other in zip(sections, others, strict=True):
        assert (one.title, one.name, one.notes, one.columns) == (other.title, other.name, other.notes, other.columns), what
        assert repr(list(map(dict, one.rows))) == repr(list(map(dict, other.rows))), what  # NaN is to equal itself
        assert list(one.arrays) == list(other.arrays), what
        for name, array in one.arrays.items():
            assert array.dtype == other.arrays[name].dtype, what
            assert np.array_equal(array, other.arrays[name], equal_nan=array.dtype.kind == "f"), what
        assert len(one.figures) == len(other.figures), what
        for figure, again in zip(one.figures, other.figures, strict=True):
            assert (figure.title, figure.alt, figure.caption, figure.unit) == (again.title, again.alt, again.caption, again.unit), what
            data = figure_file(figure)
            assert data == figure_file(again), what
            assert data.startswith(_MAGIC.get(figure.media_type, b"")), f"{figure.title} is no {figure.media_type}"
