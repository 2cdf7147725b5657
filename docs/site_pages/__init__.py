"""Generates the reference pages of the documentation's site from the code."""

from __future__ import annotations

from collections.abc import Iterator


def generated() -> Iterator[tuple[str, str]]:
    """Yield the path below ``docs`` and the Markdown text of every generated page."""
    from .commands import command_pages
    from .components import component_pages
    from .job_file import job_file_pages
    from .wire import wire_pages

    yield from command_pages()
    yield from component_pages()
    yield from job_file_pages()
    yield from wire_pages()
