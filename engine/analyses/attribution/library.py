"""The libraries that attribution is computed with, imported when an analysis runs; they come with ``actmax[analyses]``."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from ....models.networks.torchvision_import import import_torchvision
from ....models.options import InvalidOption

_EXTRA = "pip install 'actmax[analyses]'"


def require(*packages: str) -> None:
    """Raise InvalidOption where one of ``packages`` is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise InvalidOption("", f"{package} is not installed here: {_EXTRA}")


def captum() -> ModuleType:
    """Return Captum with ``captum.attr`` imported."""
    importlib.import_module("captum.attr")
    return importlib.import_module("captum")


def zennit() -> ModuleType:
    """Return Zennit with its rules imported; it imports torchvision."""
    import_torchvision()
    importlib.import_module("zennit.rules")
    return importlib.import_module("zennit")
