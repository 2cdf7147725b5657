"""The reference pages of all components and their options, generated from the registry."""

from __future__ import annotations

from collections.abc import Iterator

from actmax.engine.components.registry import components
from actmax.models.components import KINDS, plural

from .options import option_table


def component_pages() -> Iterator[tuple[str, str]]:
    """Yield the file name and the Markdown text of one page for each kind of component.

    Raises
    ------
    RuntimeError
        A component can't be loaded.
    """
    for kind in KINDS:
        parts = [f"# Every {kind}\n\nMade from the code. `actmax catalog options NAME` prints the same.\n"]
        for entry in components(kind):
            if entry.unavailable:
                raise RuntimeError(f"{kind} {entry.name} can't be loaded, so its page can't be made: {entry.unavailable}")
            options = option_table(entry.options_schema) or "It has no options.\n"
            parts.append(f"## `{entry.name}` {{#{entry.name}}}\n\n{entry.summary}\n\n{options}")
        yield f"reference/{plural(kind)}.md", "\n".join(parts)
