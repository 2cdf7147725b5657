"""Finds components by name among entry points: actmax's own and other packages'."""

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
    """A component in the catalog; ``unavailable`` says why it can't be used here, or is empty."""

    kind: Kind
    name: str
    summary: str
    options_schema: dict[str, Any]
    unavailable: str = ""


def components(kind: str | None = None) -> list[ComponentEntry]:
    """Return all registered components of one kind, or of all kinds, sorted by name within a kind."""
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
    """Return the component that a job names, or the object for ``package:attribute``.

    Parameters
    ----------
    kind : Kind
        Kind of component.
    name : str
        Name of the component, or ``package:attribute``.
    field : str
        The job's field, for the violation.
    permissions : Permissions
        What may be imported.

    Raises
    ------
    InvalidJob
        At ``field``: the name is unknown, can't be imported, or must not be imported.
    """
    try:
        return find_component(kind, name, permissions)
    except NotFound as error:
        raise InvalidJob.at(field, str(error)) from error


def options_of(component: Any, options: Mapping[str, Any], field: str, permissions: Permissions = NOTHING) -> BaseModel:
    """Return ``options`` validated by the component's own model.

    Parameters
    ----------
    component : object
        A component with a pydantic model ``Options``.
    options : mapping of str to object
        The options as given.
    field : str
        The job's field that holds them.
    permissions : Permissions
        Files and servers that options may name.

    Raises
    ------
    InvalidJob
        One violation for each wrong option, below ``field``; for an unknown option it suggests similar names.
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
    """Finds the components that a request names, within the request's permissions.

    Attributes
    ----------
    permissions : Permissions
        What the request may import, read and ask.
    given : mapping of str to object
        Ready parts, by the names that the request uses for them.
    """

    permissions: Permissions = NOTHING
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def find(self, kind: Kind, name: str, field: str) -> Any:
        """Return the ready part of that name, or the result of :func:`find`; ``field`` is the component's."""
        return self.given[name] if name in self.given else find(kind, name, f"{field}.name", self.permissions)

    def options(self, component: Any, options: Mapping[str, Any], field: str) -> BaseModel:
        """Return a component's validated options, see :func:`options_of`; ``field`` is the component's."""
        return options_of(component, options, f"{field}.options", self.permissions)
