"""Import of torchvision, also next to a build of torch that lacks the operators of torchvision's compiled part."""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Any

import torch

_LOCK = threading.Lock()
_DECLARED: list[Any] = []
"""Libraries of declared operators, kept for the life of the process."""
_OPERATORS = ("nms", "qnms")


def import_torchvision() -> ModuleType:
    """Return the module torchvision.

    Next to the CPU build of torch, torchvision's CUDA wheels can't load their compiled part, and fail while they describe its operators
    ("operator torchvision::nms does not exist"). These operators are then declared without an implementation: classifiers never call
    them, and detectors fail at the call.

    Raises
    ------
    ModuleNotFoundError
        torchvision is not installed.
    ImportError, RuntimeError
        torchvision can't be imported for another reason.
    """
    with _LOCK:
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            if "does not exist" not in str(error) or _DECLARED:
                raise
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
        return importlib.import_module("torchvision")
