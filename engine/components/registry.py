"""Components by name: entry points, the built-in ones found the same way as others'."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from ...models.components import IMPORTS, KINDS, Kind, NotFound, entries
from ...models.components import find as find_component
from ...models.file_access import FILES, AllowedFiles
from ..errors import InvalidJob
from ..spec import violations_of


@dataclass(frozen=True)
class ComponentEntry:
    """What the catalog tells of a component; ``unavailable`` says why it can't be used here, or is empty."""

    kind: Kind
    name: str
    summary: str
    options_schema: dict[str, Any]
    unavailable: str = ""


def components(kind: str | None = None) -> list[ComponentEntry]:
    """All registered components, of one kind or of all, by name."""
    found: list[ComponentEntry] = []
    for each in KINDS:
        if kind not in (None, each):
            continue
        for name, entry in sorted(entries(each).items()):
            try:
                component = entry.load()
                summary = (component.__doc__ or "").strip().split("\n", 1)[0]
                found.append(ComponentEntry(each, name, summary, component.Options.model_json_schema()))
            except Exception as error:  # another package's component may fail in any way; the catalog stays whole
                found.append(ComponentEntry(each, name, "", {}, f"{type(error).__name__}: {error}"))
    return found


def find(kind: Kind, name: str, field: str, *, allow_imports: Sequence[str] = ()) -> Any:
    """The component (or, for ``package:attribute``, the object) that a job names.

    Raises
    ------
    InvalidJob
        At ``field``: unknown, not importable, or an import that is not allowed.
    """
    try:
        return find_component(kind, name, allow_imports)
    except NotFound as error:
        raise InvalidJob.at(field, str(error)) from error


def options_of(
    component: Any, options: Mapping[str, Any], field: str, *, allow_files: AllowedFiles = False, allow_imports: Sequence[str] = ()
) -> BaseModel:
    """``options`` checked by the component's own model; paths of images, and components by import, are refused unless allowed.

    Raises
    ------
    InvalidJob
        One violation a wrong option, below ``field``; an unknown one gets the near names.
    """
    model: type[BaseModel] = component.Options
    unknown = [key for key in options if key not in model.model_fields]
    if unknown:
        known = list(model.model_fields)
        near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}" if known else "it has no options"
        raise InvalidJob.at(f"{field}.{unknown[0]}", f"there is no such option; {hint}")
    try:
        return model.model_validate(dict(options), context={FILES: allow_files, IMPORTS: allow_imports})
    except ValidationError as error:
        raise InvalidJob(violations_of(error, field)) from None
