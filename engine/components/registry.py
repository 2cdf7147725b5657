"""Components by name: entry points, the built-in ones found the same way as others'."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from ...models.file_access import FILES, AllowedFiles
from ..errors import InvalidJob
from ..spec import violations_of

Kind = Literal["generator", "target", "objective", "optimizer", "transformation"]
KINDS: tuple[Kind, ...] = ("generator", "target", "objective", "optimizer", "transformation")


@dataclass(frozen=True)
class ComponentEntry:
    """What the catalog tells of a component; ``unavailable`` says why it can't be used here, or is empty."""

    kind: Kind
    name: str
    summary: str
    options_schema: dict[str, Any]
    unavailable: str = ""


@cache
def _entries(kind: Kind) -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"actmax.{kind}s")}


def components(kind: str | None = None) -> list[ComponentEntry]:
    """All registered components, of one kind or of all, by name."""
    found: list[ComponentEntry] = []
    for each in KINDS:
        if kind not in (None, each):
            continue
        for name, entry in sorted(_entries(each).items()):
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
    entry = _entries(kind).get(name)
    if entry is not None:
        try:
            return entry.load()
        except Exception as error:
            raise InvalidJob.at(field, f"{name} can't be loaded here: {type(error).__name__}: {error}") from error
    if ":" in name:
        return _import(name, field, allow_imports)
    names = list(_entries(kind))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(names))}"
    raise InvalidJob.at(field, f"there is no {kind} {name!r}; {hint}")


def _import(name: str, field: str, allow_imports: Sequence[str]) -> Any:
    module, _, attribute = name.partition(":")
    if not any(allowed == "*" or module == allowed or module.startswith(allowed + ".") for allowed in allow_imports):
        raise InvalidJob.at(
            field,
            f"importing {module!r} is not allowed here; start with --allow-import {module.split('.')[0]}, or install it as an entry point",
        )
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise InvalidJob.at(field, f"{name!r} can't be imported: {type(error).__name__}: {error}") from error
    return found


def options_of(component: Any, options: Mapping[str, Any], field: str, *, allow_files: AllowedFiles = False) -> BaseModel:
    """``options`` checked by the component's own model; paths of images are refused unless ``allow_files``.

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
        return model.model_validate(dict(options), context={FILES: allow_files})
    except ValidationError as error:
        raise InvalidJob(violations_of(error, field)) from None
