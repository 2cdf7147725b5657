"""torchvision: classifiers, detection, segmentation, video, optical flow."""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor, nn

from .entry import Around, PublicNetwork

_NORMALISED = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def _classifier(name: str, **options: Any) -> nn.Module:
    return importlib.import_module("torchvision.models").get_model(name, weights=None, num_classes=20, **options)


def _small_vit() -> nn.Module:
    models = importlib.import_module("torchvision.models.vision_transformer")
    return models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=4, num_heads=3, hidden_dim=96, mlp_dim=192, num_classes=20, representation_size=32
    )


def _small_swin() -> nn.Module:
    models = importlib.import_module("torchvision.models.swin_transformer")
    return models.SwinTransformer([4, 4], 24, [2, 2, 2], [2, 4, 8], [4, 4], num_classes=20)


def _segmentation(name: str) -> nn.Module:
    models = importlib.import_module("torchvision.models.segmentation")
    return getattr(models, name)(weights=None, weights_backbone=None, num_classes=21)


def _detection(name: str, **options: Any) -> nn.Module:
    models = importlib.import_module("torchvision.models.detection")
    return getattr(models, name)(weights=None, weights_backbone=None, num_classes=5, **options)


def _video() -> nn.Module:
    return importlib.import_module("torchvision.models.video").r3d_18(weights=None, num_classes=20)


def _frames_side_by_side(x: Tensor) -> Tensor:
    """(n, 3, height, 4 · width) -> (n, 3, 4, height, width)."""
    return x.unflatten(3, (4, -1)).movedim(3, 2)


def _flow() -> nn.Module:
    return importlib.import_module("torchvision.models.optical_flow").raft_small(weights=None)


def _entry(name: str, family: str, make: Any, shape: tuple[int, ...], **further: Any) -> PublicNetwork:
    return PublicNetwork(f"torchvision {name}", "torchvision", family, make, shape, **{"options": _NORMALISED, **further})


NETWORKS = [
    _entry("resnet18", "CNN", lambda: _classifier("resnet18"), (3, 64, 64)),
    _entry("mobilenet_v3_small", "CNN", lambda: _classifier("mobilenet_v3_small"), (3, 64, 64)),
    _entry("googlenet", "CNN", lambda: _classifier("googlenet", init_weights=False, aux_logits=False), (3, 64, 64)),
    _entry("convnext_tiny", "ConvNeXt", lambda: _classifier("convnext_tiny"), (3, 64, 64)),
    _entry("VisionTransformer", "ViT", _small_vit, (3, 64, 64)),
    _entry("SwinTransformer", "Swin", _small_swin, (3, 64, 64)),
    _entry("fcn_resnet50", "segmentation", lambda: _segmentation("fcn_resnet50"), (3, 64, 64)),
    _entry("lraspp_mobilenet_v3_large", "segmentation", lambda: _segmentation("lraspp_mobilenet_v3_large"), (3, 64, 64)),
    _entry("ssdlite320_mobilenet_v3_large", "detection", lambda: _detection("ssdlite320_mobilenet_v3_large"), (3, 128, 128), options={}),
    _entry(
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "detection",
        lambda: _detection("fasterrcnn_mobilenet_v3_large_320_fpn"),
        (3, 128, 128),
        options={},
    ),
    _entry("r3d_18, a film", "3-D", _video, (3, 4, 64, 64), expected="refused"),
    _entry(
        "r3d_18, frames side by side",
        "3-D",
        lambda: Around(_video(), _frames_side_by_side),
        (3, 64, 256),
        around="a module that splits one picture into four frames",
        options={},
    ),
    _entry("raft_small", "optical flow", _flow, (3, 128, 128), expected="refused"),
]
