"""Makes torchvision importable beside the CPU build of torch, which lacks the operators of its compiled part."""

import importlib
import sys

import pytest
import torch

_LIBRARIES = []


@pytest.fixture(scope="session")
def torchvision():
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)  # for as long as the process lives
    return importlib.import_module("torchvision")
