"""Vision models of Hugging Face's transformers as targets, by folder, by name on the Hub, or by architecture."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from ..networks.weights import load_into
from ..options import InvalidOption
from ..permissions import permitted_model
from .module import ModuleTarget
from .normalise import IMAGENET, Normalise
from .pretrained import RANDOM, PretrainedOptions, as_target, fetched, known, labels, needs, read_weights, seeded

PRETRAINED = "pretrained"


class TransformersTarget:
    """A vision model of transformers: a folder of save_pretrained, a name on the Hub, or an architecture with random weights."""

    class Options(PretrainedOptions):
        """Options of the target; ``weights`` are those of the folder or the Hub unless they say ``random``."""

        model: str = Field(
            min_length=1,
            max_length=4096,
            description="A folder with config.json, a name on the Hub (google/vit-base-patch16-224), an architecture (vit, convnext).",
        )
        config: dict[str, Any] = Field(
            default_factory=dict,
            description="Fields of an architecture's configuration: hidden_size, num_labels, num_channels, image_size and the like.",
        )

        @field_validator("model")
        @classmethod
        def _allowed(cls, value: str, info: ValidationInfo) -> str:
            return permitted_model(value, info) if _is_folder(value) else value

    @classmethod
    def from_options(cls, options: Options) -> ModuleTarget:
        """Return the model with its weights as a target.

        Raises
        ------
        InvalidOption
            transformers is not installed, or model, configuration, weights or images don't fit.
        """
        transformers: Any = needs("transformers", "transformers")
        if options.weight_name is not None:
            known("weights", options.weight_name, [PRETRAINED, RANDOM], f"weights of {options.model}")
        architectures = sorted(transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES)
        stored = _is_folder(options.model) or options.model not in architectures
        if not stored and options.weight_name is not None:
            raise InvalidOption(
                "weights", f"{options.model} is an architecture; pretrained weights are those of a folder or a name on the Hub"
            )
        if stored and not _is_folder(options.model) and "/" not in options.model:
            known("model", options.model, architectures, "architecture of transformers")
        pretrained = stored and options.weights in (None, PRETRAINED)
        config = _configuration(transformers, options, stored, pretrained)
        kind = _class(transformers, config)
        if pretrained:
            source = f"weights of {options.model}"
            # only safetensors: a pickled file could run code
            load: Callable[[], Any] = partial(kind.from_pretrained, options.model, config=config, use_safetensors=True)
            module = fetched(lambda: seeded(load, options.seed), source)
        else:
            try:
                module = seeded(lambda: kind(config), options.seed)
            except Exception as error:  # a constructor raises any class for an invalid configuration
                raise InvalidOption("config", f"{kind.__name__} can't be built so: {type(error).__name__}: {error}") from error
        if options.weight_file is not None:
            load_into(module, read_weights(options.weight_file), options.weight_file.name)
        meant = pretrained or (stored and options.weight_file is not None)  # random weights know no classes
        size = getattr(config, "image_size", None) or 224
        side: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)
        return as_target(
            module,
            options,
            options.shape(getattr(config, "num_channels", 3), side),
            default=_statistics(transformers, options.model) if stored else IMAGENET,
            names=labels(config.id2label or {}, config.num_labels) if meant else (),
        )


def _is_folder(model: str) -> bool:
    return Path(model).is_dir() or model.startswith(("/", ".", "~")) or "\\" in model


def _configuration(transformers: Any, options: TransformersTarget.Options, stored: bool, pretrained: bool) -> Any:
    if stored and _is_folder(options.model) and not (Path(options.model) / "config.json").is_file():
        raise InvalidOption("model", f"there is no {options.model}/config.json, as save_pretrained writes it")
    if pretrained and options.config:
        raise InvalidOption("config", "pretrained weights come with their own configuration; change it for weights: random alone")
    auto = transformers.AutoConfig
    make: Callable[..., Any] = (
        partial(auto.from_pretrained, options.model, trust_remote_code=False) if stored else partial(auto.for_model, options.model)
    )
    found = fetched(make, f"the configuration of {options.model}", option="model")
    changes = dict(options.config)
    if not pretrained and options.size is not None and hasattr(found, "image_size"):
        height, width = options.shape(3, (0, 0)).shape[1:]
        changes["image_size"] = height if height == width else [height, width]
    for key in changes:
        known("config", key, [*found.to_dict(), "num_labels"], f"field of {found.model_type}'s configuration")
    try:
        return make(**changes) if changes else found
    except Exception as error:  # transformers validates configurations with errors of its own
        raise InvalidOption("config", f"{options.model}: {str(error).strip().replace(chr(10), ' ')[:300]}") from error


def _class(transformers: Any, config: Any) -> Any:
    """Return the class that the configuration names, or else a classifier, or else the plain model."""
    found = next((getattr(transformers, name) for name in config.architectures or () if hasattr(transformers, name)), None)
    for mapping in (transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, transformers.MODEL_MAPPING):
        if found is None and type(config) in mapping:
            found = mapping[type(config)]
            found = found[0] if isinstance(found, tuple) else found
    if found is not None and found.main_input_name == "pixel_values":
        return found
    raise InvalidOption("model", f"{config.model_type} is no vision model of transformers")


def _statistics(transformers: Any, model: str) -> Normalise:
    """Return mean and standard deviation of the normalisation of its training images."""
    try:
        path = transformers.utils.cached_file(model, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
        stored = json.loads(Path(path).read_text()) if path else {}
    except (OSError, ValueError):
        stored = {}
    if not stored.get("do_normalize", "image_mean" in stored) or "image_mean" not in stored:
        return Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) if not stored else Normalise((0.0,), (1.0,))
    return Normalise(tuple(stored["image_mean"]), tuple(stored["image_std"]))
