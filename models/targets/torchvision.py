"""torchvision's classifiers as targets, by name."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field

from ..networks.weights import load_into
from .module import ModuleTarget
from .normalise import IMAGENET, Normalise
from .pretrained import PretrainedOptions, as_target, fetched, known, needs, read_weights, seeded


class TorchvisionTarget:
    """A classifier of torchvision by name, with its own weights, those of a file, or none."""

    class Options(PretrainedOptions):
        """Options of the target; ``weights`` may be a name of torchvision's, such as IMAGENET1K_V2 or DEFAULT."""

        model: str = Field(min_length=1, max_length=200, description="As in torchvision: resnet50, vit_b_16, convnext_tiny.")
        classes: int = Field(default=1000, ge=1, le=100_000, description="Classes, if not those of the named weights.")

    @classmethod
    def from_options(cls, options: Options) -> ModuleTarget:
        """Return the classifier with its weights as a target.

        Raises
        ------
        InvalidOption
            torchvision is not installed, or model, weights or images don't fit.
        """
        models: Any = needs("torchvision.models", "torchvision")
        name = known("model", options.model, models.list_models(module=models), "classifier of torchvision")
        entry = None
        if options.weight_name is not None:
            stored = [entry.name for entry in models.get_model_weights(name)]
            entry = models.get_model_weights(name)[known("weights", options.weight_name, [*stored, "DEFAULT"], f"weights of {name}")]
        module = seeded(lambda: models.get_model(name, weights=None, **_arguments(name, options, entry)), options.seed)
        if entry is not None:
            what = f"torchvision's {options.weights} of {name}"
            load_into(module, fetched(lambda: _download(entry.url), what), what)
        elif options.weight_file is not None:
            load_into(module, read_weights(options.weight_file), options.weight_file.name)
        preset = entry.transforms() if entry is not None else None
        side = preset.crop_size[0] if preset is not None else 299 if name == "inception_v3" else 224
        return as_target(
            module,
            options,
            options.shape(3, (side, side)),
            default=IMAGENET if preset is None else Normalise(tuple(preset.mean), tuple(preset.std)),
            names=entry.meta["categories"] if entry is not None else (),
        )


def _arguments(name: str, options: TorchvisionTarget.Options, entry: Any) -> dict[str, Any]:
    """Return the arguments that torchvision's own builders set for given weights."""
    arguments: dict[str, Any] = {"num_classes": options.classes if entry is None else len(entry.meta["categories"])}
    if name in ("googlenet", "inception_v3"):
        # random weights would take a minute to draw, with a warning; stored ones were trained on another normalisation
        arguments |= {"init_weights": False, "transform_input": entry is not None}
    if name.startswith("vit_"):
        if entry is not None:
            arguments["image_size"] = entry.meta["min_size"][0]
        elif options.size is not None:
            arguments["image_size"] = options.shape(3, (0, 0)).shape[1]
    return arguments


def _download(url: str) -> dict[str, torch.Tensor]:
    return torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True, weights_only=True)
