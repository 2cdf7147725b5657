"""actmax finds the stimulus that a unit prefers: activation maximization for networks, black boxes and brains.

``from actmax import maximize`` searches in this process; ``from actmax import Client, Session`` talk to a server. Heavy packages are
imported when they are first used, so ``import actmax`` is quick and needs no torch.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actmax.client import AsyncSession, Client, Session
    from actmax.engine.components.registry import components
    from actmax.engine.maximize import maximize
    from actmax.engine.results.result import JobResult as Result
    from actmax.models.units import UnitAddress as Unit

__version__ = version("actmax")

_HOMES = {
    "AsyncSession": (".client", "AsyncSession"),
    "Client": (".client", "Client"),
    "Result": (".engine.results.result", "JobResult"),
    "Session": (".client", "Session"),
    "Unit": (".models.units", "UnitAddress"),
    "components": (".engine.components.registry", "components"),
    "maximize": (".engine.maximize", "maximize"),
}
"""Where each name is defined: module and attribute."""

__all__ = ["AsyncSession", "Client", "Result", "Session", "Unit", "__version__", "components", "maximize"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used.

    Raises
    ------
    AttributeError
        ``actmax`` has no such name.
    ModuleNotFoundError
        The name needs the engine, and the light client is installed alone.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'actmax' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    try:
        found = getattr(importlib.import_module(module, __name__), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "actmax":
            raise
        raise ModuleNotFoundError(
            f"actmax.{name} needs {error.name}, which the light client does not bring; pip install 'actmax[server]'", name=error.name
        ) from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
