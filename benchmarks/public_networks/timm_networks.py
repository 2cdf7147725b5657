"""timm: image models."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from .entry import PublicNetwork

_NORMALISED = {"mean": [0.5], "std": [0.5]}


def _model(name: str, **options: Any) -> nn.Module:
    return importlib.import_module("timm").create_model(name, pretrained=False, num_classes=20, **options)


def _entry(name: str, family: str, side: int = 64, **options: Any) -> PublicNetwork:
    return PublicNetwork(f"timm {name}", "timm", family, lambda: _model(name, **options), (3, side, side), _NORMALISED)


NETWORKS = [
    _entry("mixer_s32_224", "MLP-Mixer", img_size=64),
    _entry("resmlp_12_224", "MLP", img_size=64),
    _entry("vit_tiny_patch16_224", "ViT", img_size=64),
    _entry("deit_tiny_distilled_patch16_224", "ViT", img_size=64),
    _entry("cait_xxs24_224", "ViT", img_size=64),
    _entry("convnext_atto", "ConvNeXt"),
    _entry("resnet50_gn", "ResNet with GroupNorm"),
    _entry("efficientnet_b0", "CNN"),
    _entry("nf_regnet_b0", "CNN without normalisation"),
    _entry("swin_tiny_patch4_window7_224", "Swin", img_size=64, window_size=4, depths=(2, 2, 2, 2)),
    _entry("levit_128s", "ViT", 224),
    _entry("mobilevit_xxs", "CNN and ViT", 128),
    _entry("poolformer_s12", "MetaFormer"),
    _entry("eva02_tiny_patch14_224", "ViT", 56, img_size=56),
]
