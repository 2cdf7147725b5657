"""The outcomes as a table for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table of outcomes: network, kind, what a user adds, status, layers, and why where it does not work."""
    lines = ["| network | kind | given as | | layers | why |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        why = row["reason"] if row["status"] != "works" else "; ".join(row["warnings"])
        cells = [row["name"], row["family"], row["around"] or "it is", row["status"], str(row["layers"] or "–"), why.replace("|", "\\|")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
