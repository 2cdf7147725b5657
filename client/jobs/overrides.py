"""Changes to a job from the command line: ``--set optimizer.options.rank=8``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...wire.errors import InvalidInput
from ...wire.reader import FieldPath, show
from . import plainyaml


@dataclass(frozen=True)
class Override:
    """One change: the value at ``path`` becomes ``value``; ``text`` is the change as written."""

    path: FieldPath
    value: Any
    text: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """Return the override in ``path=value``, with the value written as in a job file.

        Raises
        ------
        InvalidInput
            If there is no path, no ``=`` or no readable value.
        """
        left, equals, right = text.partition("=")
        path = plainyaml.read_path(left.strip())
        if not equals or not path or not isinstance(path[0], str):
            raise InvalidInput(f"--set {text}: give a field and a value, such as optimizer.options.rank=8")
        try:
            value, _ = plainyaml.parse(right)
        except plainyaml.YamlError as error:
            raise InvalidInput(f"--set {text}: {error.message}") from None
        return cls(path, value, text)


def apply(override: Override, data: dict[str, Any]) -> None:
    """Apply the change to ``data`` in place, creating missing fields on the path.

    Raises
    ------
    InvalidInput
        If the path leads through a value that has no such part.
    """
    here: Any = data
    for depth, part in enumerate(override.path):
        last = depth == len(override.path) - 1
        if isinstance(part, int):
            items: list[Any] = here if isinstance(here, list) else []
            if part > len(items) or items is not here:
                raise _misses(override, depth, f"has {len(items)} items, so there is no [{part}]")
            if part == len(items):
                items.append({})
            if last:
                items[part] = override.value
            here = items[part]
        else:
            fields: dict[str, Any] | None = here if isinstance(here, dict) else None
            if fields is None:
                raise _misses(override, depth, "has no fields")
            if last:
                fields[part] = override.value
            else:
                here = fields.setdefault(part, [] if isinstance(override.path[depth + 1], int) else {})


def _misses(override: Override, depth: int, what: str) -> InvalidInput:
    return InvalidInput(f"--set {override.text}: {show(override.path[:depth])} {what}")
