"""Markdown tables with arbitrary text in their cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, with pipes and line breaks of cells escaped; empty without rows."""
    lines = [" | ".join(_cell(cell) for cell in row) for row in rows]
    if not lines:
        return ""
    return "\n".join(f"| {line} |" for line in (" | ".join(heads), " | ".join("---" for _ in heads), *lines)) + "\n"


def code(value: object) -> str:
    """Return ``value`` as code; empty for an empty value."""
    return f"`{value}`" if str(value) else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
