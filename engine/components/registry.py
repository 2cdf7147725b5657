"""Components by name: entry points, the built-in ones found the same way as others'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from ...models.components import KINDS, Kind, NotFound, entries
from ...models.components import find as find_component
from ...models.permissions import NOTHING, PERMISSIONS, Permissions
from ...wire.near_names import hint
from ..errors import InvalidJob
from ..schema import violations_of


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


def find(kind: Kind, name: str, field: str, permissions: Permissions = NOTHING) -> Any:
    """The component (or, for ``package:attribute``, the object) that a job names.

    Raises
    ------
    InvalidJob
        At ``field``: unknown, not importable, or an import that is not allowed.
    """
    try:
        return find_component(kind, name, permissions)
    except NotFound as error:
        raise InvalidJob.at(field, str(error)) from error


def options_of(component: Any, options: Mapping[str, Any], field: str, permissions: Permissions = NOTHING) -> BaseModel:
    """Validate ``options`` by the component's own model; files and servers that ``permissions`` don't cover are refused.

    Raises
    ------
    InvalidJob
        One violation a wrong option, below ``field``; an unknown one gets the near names.
    """
    model: type[BaseModel] = component.Options
    former = getattr(model, "former_names", {})
    unknown = [key for key in options if key not in model.model_fields and key not in former]
    if unknown:
        known = list(model.model_fields)
        near = hint(unknown[0], known, None if known else "it has no options")
        raise InvalidJob.at(f"{field}.{unknown[0]}", f"there is no such option; {near}")
    try:
        return model.model_validate(dict(options), context={PERMISSIONS: permissions})
    except ValidationError as error:
        raise InvalidJob(violations_of(error, field)) from None


@dataclass(frozen=True)
class Resolver:
    """Finds the components that a request names, as far as it may use them.

    Attributes
    ----------
    permissions : Permissions
        What the request may import, read and ask.
    given : mapping of str to object
        Parts at hand, by the names that the request gives them.
    """

    permissions: Permissions = NOTHING
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def find(self, kind: Kind, name: str, field: str) -> Any:
        """Return the part at hand, or what :func:`find` finds; ``field`` is the component's."""
        return self.given[name] if name in self.given else find(kind, name, f"{field}.name", self.permissions)

    def options(self, component: Any, options: Mapping[str, Any], field: str) -> BaseModel:
        """Validate a component's options, see :func:`options_of`; ``field`` is the component's."""
        return options_of(component, options, f"{field}.options", self.permissions)
