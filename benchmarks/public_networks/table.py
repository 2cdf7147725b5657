"""The outcomes as a table for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BEGIN, END = "<!-- outcomes: begin -->", "<!-- outcomes: end -->"
_LONGEST = 220

Row = Mapping[str, Any]


def page(text: str, rows: Sequence[Row]) -> str:
    """Return the docs page ``text`` with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(rows)}\n{END}{after}"


def markdown(rows: Sequence[Row]) -> str:
    """Return outcomes as a Markdown table: network, kind, what a user adds, status, layers, and why it is refused or what it warns of."""
    works = sum(row["status"] == "works" for row in rows)
    lines = [f"{works} of {len(rows)} work, {sum(row['status'] == 'refused' for row in rows)} are refused.", ""]
    lines += ["| network | kind | given as | | layers | why, or what is warned of |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        why = row["reason"] if row["status"] != "works" else "; ".join(row["warnings"])
        why = " ".join(why.split()).replace("|", "\\|").replace("<", "&lt;")
        why = why if len(why) <= _LONGEST else f"{why[: _LONGEST - 1]}…"
        cells = [row["name"], row["family"], row["around"] or "it is", row["status"], str(row["layers"] or "–"), why]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
