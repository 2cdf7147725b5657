"""The libraries that attribution is computed with, imported when an analysis runs; they come with ``actmax[analyses]``."""

from __future__ import annotations

import importlib
from types import ModuleType

from ....models.networks.torchvision_import import import_torchvision


def captum() -> ModuleType:
    """Return Captum with ``captum.attr`` imported."""
    importlib.import_module("captum.attr")
    return importlib.import_module("captum")


def zennit() -> ModuleType:
    """Return Zennit with its rules imported; it imports torchvision."""
    import_torchvision()
    importlib.import_module("zennit.rules")
    return importlib.import_module("zennit")
