"""transformers: small random configurations of vision, audio and language models."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from .entry import Around, PublicNetwork

_NORMALISED = {"mean": [0.5], "std": [0.5]}
_SMALL = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 96}
_IMAGE = {"image_size": 64, "patch_size": 16}


def _model(kind: str, config: str, **fields: Any) -> nn.Module:
    transformers: Any = importlib.import_module("transformers")
    return getattr(transformers, kind)(getattr(transformers, config)(**fields))


def _clip() -> nn.Module:
    transformers: Any = importlib.import_module("transformers")
    text, vision = {**_SMALL, "vocab_size": 100}, {**_SMALL, **_IMAGE}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=32))


def _wav2vec2() -> nn.Module:
    return _model(
        "Wav2Vec2ForSequenceClassification",
        "Wav2Vec2Config",
        **_SMALL,
        conv_dim=(32, 32, 32),
        conv_stride=(5, 4, 2),
        conv_kernel=(10, 8, 4),
        num_feat_extract_layers=3,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        classifier_proj_size=32,
        num_labels=5,
    )


def _spectrogram_transformer() -> nn.Module:
    return _model("ASTForAudioClassification", "ASTConfig", **_SMALL, max_length=128, num_mel_bins=64, num_labels=5)


def _entry(name: str, family: str, make: Any, shape: tuple[int, ...], **further: Any) -> PublicNetwork:
    return PublicNetwork(f"transformers {name}", "transformers", family, make, shape, **further)


NETWORKS = [
    _entry(
        "ViTForImageClassification",
        "ViT",
        lambda: _model("ViTForImageClassification", "ViTConfig", **_SMALL, **_IMAGE, num_labels=20),
        (3, 64, 64),
        options=_NORMALISED,
    ),
    _entry(
        "CLIPVisionModelWithProjection",
        "CLIP",
        lambda: _model("CLIPVisionModelWithProjection", "CLIPVisionConfig", **_SMALL, **_IMAGE, projection_dim=32),
        (3, 64, 64),
        options=_NORMALISED,
    ),
    _entry("CLIPModel", "CLIP, which wants a text too", _clip, (3, 64, 64), expected="refused"),
    _entry(
        "SwinModel",
        "Swin",
        lambda: _model("SwinModel", "SwinConfig", image_size=64, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4),
        (3, 64, 64),
        options=_NORMALISED,
    ),
    _entry(
        "Dinov2Model",
        "ViT",
        lambda: _model(
            "Dinov2Model", "Dinov2Config", hidden_size=48, num_hidden_layers=4, num_attention_heads=4, image_size=56, patch_size=14
        ),
        (3, 56, 56),
        options=_NORMALISED,
    ),
    _entry(
        "SegformerForSemanticSegmentation",
        "segmentation",
        lambda: _model(
            "SegformerForSemanticSegmentation", "SegformerConfig", depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 48, 64], num_labels=7
        ),
        (3, 64, 64),
        options=_NORMALISED,
    ),
    _entry(
        "YolosForObjectDetection",
        "detection",
        lambda: _model("YolosForObjectDetection", "YolosConfig", **_SMALL, image_size=[64, 64], patch_size=16, num_detection_tokens=10),
        (3, 64, 64),
        options=_NORMALISED,
    ),
    _entry(
        "ViTMAEForPreTraining",
        "ViT that masks at random",
        lambda: _model(
            "ViTMAEForPreTraining",
            "ViTMAEConfig",
            **_SMALL,
            **_IMAGE,
            decoder_hidden_size=48,
            decoder_num_hidden_layers=2,
            decoder_num_attention_heads=4,
            decoder_intermediate_size=96,
        ),
        (3, 64, 64),
        options=_NORMALISED,
        random=True,
    ),
    _entry("Wav2Vec2, (1, time)", "1-D", _wav2vec2, (1, 1600), options={"low": -1.0, "high": 1.0}, expected="refused"),
    _entry(
        "Wav2Vec2",
        "1-D",
        lambda: Around(_wav2vec2(), lambda x: x[:, 0]),
        (1, 1600),
        options={"low": -1.0, "high": 1.0},
        around="a module that takes the one channel out",
    ),
    _entry(
        "ASTForAudioClassification", "1-D", _spectrogram_transformer, (128, 64), options={"low": -1.0, "high": 1.0, "modality": "series"}
    ),
    _entry("BertModel", "words", lambda: _model("BertModel", "BertConfig", **_SMALL, vocab_size=100), (1, 32), expected="refused"),
]
