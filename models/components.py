"""Components by name: entry points, the same way for built-in and other packages' components."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ..wire.near_names import hint
from .permissions import EVERYTHING, Permissions

Kind = Literal["generator", "target", "coding", "objective", "optimizer", "transformation", "analysis"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Name = Annotated[str, Field(min_length=1, max_length=200, description="A component of the catalog, or package:attribute.")]


class Named(BaseModel):
    """A component inside an option, named as in a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Name
    options: dict[str, Any] = Field(default={}, description="Its options.")


def _spelled_out(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


NamedComponent = Annotated[Named, BeforeValidator(_spelled_out, json_schema_input_type=Name | Named)]
"""Option type of a component; a component without options may be given by its name alone."""


class NotFound(ValueError):
    """A component that can't be loaded; the message gives the reason, and what would work."""


def plural(kind: Kind) -> str:
    """Return the plural of a kind, as in its group of entry points."""
    return "analyses" if kind == "analysis" else f"{kind}s"


@cache
def entries(kind: Kind) -> Mapping[str, EntryPoint]:
    """Return the registered components of a kind, by name."""
    return {entry.name: entry for entry in entry_points(group=f"actmax.{plural(kind)}")}


def find(kind: Kind, name: str, permissions: Permissions = EVERYTHING) -> Any:
    """Return a registered component by its name, or an object by ``package:attribute``.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    name : str
        Name of an entry point, or ``package:attribute``.
    permissions : Permissions
        The modules that may be imported.

    Raises
    ------
    NotFound
        The component is unknown, can't be imported, or its import is not allowed.
    """
    entry = entries(kind).get(name)
    if entry is not None:
        try:
            return entry.load()
        except Exception as error:  # another package's component may raise any class
            raise NotFound(f"{name} can't be loaded here: {type(error).__name__}: {error}") from error
    if ":" in name:
        return _import(name, permissions)
    raise NotFound(f"there is no {kind} {name!r}; {hint(name, sorted(entries(kind)))}")


def _import(name: str, permissions: Permissions) -> Any:
    module, _, attribute = name.partition(":")
    if not permissions.may_import(module):
        raise NotFound(
            f"importing {module!r} is not allowed here; start with --allow-import {module.split('.')[0]}, or install it as an entry point"
        )
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # another package's module may raise any class
        raise NotFound(f"{name!r} can't be imported: {type(error).__name__}: {error}") from error
    return found
