"""Imports torchvision beside a torch build for which its compiled operators do not exist."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

_LIBRARIES: list[torch.library.Library] = []
"""Registrations, kept for as long as the process lives."""


def import_torchvision() -> ModuleType:
    """Return torchvision, with non-maximum suppression written in Python where the compiled one is missing."""
    if "torchvision.ops" in sys.modules:
        return sys.modules["torchvision"]
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    if not _LIBRARIES:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", suppressed, "CPU")
        _LIBRARIES.append(library)
    torchvision = importlib.import_module("torchvision")
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = lambda: None  # nms is defined above
    return torchvision


def suppressed(boxes: Tensor, scores: Tensor, most_overlap: float) -> Tensor:
    """Return the indices of the boxes that non-maximum suppression keeps, the highest score first.

    Parameters
    ----------
    boxes : Tensor
        (n, 4): left, top, right, bottom.
    scores : Tensor
        (n,).
    most_overlap : float
        Intersection ÷ union above which the box with the lower score is dropped.
    """
    order = scores.argsort(descending=True, stable=True)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while order.numel():
        first, rest = order[0], order[1:]
        kept.append(int(first))
        corner = torch.maximum(boxes[first, :2], boxes[rest, :2])
        opposite = torch.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = (opposite - corner).clamp(min=0).prod(1)
        order = rest[shared <= most_overlap * (areas[first] + areas[rest] - shared)]
    return torch.tensor(kept, dtype=torch.int64)
