"""Imports torchvision, also beside a build of torch that lacks the operators of torchvision's compiled part."""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Any

import torch

_LOCK = threading.Lock()
_DECLARED: list[Any] = []
"""Libraries of declared operators; they last as long as the process."""
_OPERATORS = ("nms", "qnms")


def import_torchvision() -> ModuleType:
    """Return torchvision.

    Its wheels for CUDA, beside the CPU build of torch, can't load their compiled part, and fail while they describe its operators
    ("operator torchvision::nms does not exist"). Those operators are then declared without an implementation: classifiers never call them,
    and detectors fail at the call.

    Raises
    ------
    ModuleNotFoundError
        It is not installed.
    ImportError, RuntimeError
        It can't be imported for another reason.
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
