"""A job's ``result.json`` as a table: unit, optimizer, response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...wire.errors import DamagedArtifact


def read_results(folder: Path) -> dict[str, Any]:
    """Return ``result.json`` of a fetched job.

    Raises
    ------
    DamagedArtifact
        If it is missing or not readable.
    """
    path = folder / "result.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedArtifact(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise DamagedArtifact(f"{path} does not hold results")
    return found


def table(results: Mapping[str, Any]) -> Table:
    """Return a table with a row for each unit and a column for each optimizer; responses above the best natural one are green."""
    searches = results.get("searches", [])
    optimizers = list(dict.fromkeys(search["optimizer"] for search in searches))
    units = {search["unit"]: search.get("unit_name") or "" for search in searches}
    cells = {(search["unit"], search["optimizer"]): search for search in searches}
    shown = Table(box=None, header_style="dim", pad_edge=False)
    shown.add_column("unit", no_wrap=True)
    if any(units.values()):
        shown.add_column("of", no_wrap=True)
    for optimizer in optimizers:
        shown.add_column(optimizer, justify="right", no_wrap=True)
    for unit, name in units.items():
        row = [Text(unit), *([Text(name)] if any(units.values()) else [])]
        shown.add_row(*row, *(_cell(cells.get((unit, optimizer))) for optimizer in optimizers))
    lines: list[str] = []
    if any(search.get("natural_multiple") is not None for search in searches):
        lines.append("response, and its multiple of the best natural stimulus's")
    if any(search.get("optima") for search in searches):
        lines.append("below it the responses of its further optima")
    lines += dict.fromkeys(f"{search['optimizer']} chose {search['note']}" for search in searches if search.get("note"))
    lines += _pictures(results)
    if lines:
        shown.caption, shown.caption_justify = escape("\n".join(lines)), "left"
    return shown


def _pictures(results: Mapping[str, Any]) -> list[str]:
    """Return notes about pictures: a line for each account, after the options that it is about."""
    options: dict[str, list[str]] = {}
    for reading in [*(results.get("pictures") or []), (results.get("images") or {}).get("reading") or {}]:
        if account := reading.get("account"):
            options.setdefault(account, []).append(reading.get("option") or "pictures")
    return [f"{' and '.join(names)}: {account}" for account, names in options.items()]


def kept(results: Mapping[str, Any]) -> str:
    """Return a sentence about the results of a cancelled job."""
    if results.get("searches"):
        return "The job was cancelled; what it had found until then was kept."
    return "The job was cancelled before it had found anything."


def _cell(search: Mapping[str, Any] | None) -> Text:
    if search is None:
        return Text("-")
    response, multiple = search.get("response"), search.get("natural_multiple")
    text = "-" if response is None else f"{response:.4g}"
    if response is not None and (sem := search.get("response_sem")):
        text += f" ± {sem:.2g}"
    if response is not None and (measured_in := search.get("response_unit")):
        text += f" {measured_in}"
    if multiple is not None:
        text += f" ({multiple:.2f}x)"
    shown = Text(text, style="green" if search.get("above_natural") else "")
    if others := (search.get("optima") or [])[1:]:
        told = ", ".join("-" if one.get("response") is None else f"{one['response']:.4g}" for one in others)
        shown.append(f"\n{told}", style="dim")
    return shown
