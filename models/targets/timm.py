"""timm's image models as targets, by name."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..networks.weights import load_into
from .module import ModuleTarget
from .normalise import IMAGENET, Normalise
from .pretrained import PretrainedOptions, as_target, fetched, known, labels, needs, read_weights, seeded

DEFAULT = "default"


class TimmTarget:
    """An image model of timm by name, with pretrained weights, those of a file, or none."""

    class Options(PretrainedOptions):
        """Options of the target; ``weights`` may be ``default`` or a tag of timm's, such as augreg_in21k_ft_in1k."""

        model: str = Field(min_length=1, max_length=200, description="As timm names it: resnet50, vit_small_patch16_224.")
        classes: int | None = Field(
            default=None, ge=1, le=1_000_000, description="Classes of the last layer; the pretrained weights' own by default."
        )
        channels: int = Field(default=3, ge=1, le=1000, description="Channels of a stimulus; 1 for grey.")

    @classmethod
    def from_options(cls, options: Options) -> ModuleTarget:
        """Return the model with its weights as a target.

        Raises
        ------
        InvalidOption
            timm is not installed, or model, weights or images don't fit.
        """
        timm: Any = needs("timm", "timm")
        name = known("model", options.model, timm.list_models(), "model of timm")
        full, pretrained = name, False
        if options.weight_name is not None:
            pretrained = True
            tags = [found.partition(".")[2] for found in timm.list_pretrained(f"{name}.*")]
            tag = known("weights", options.weight_name, [DEFAULT, *tags] if tags else [], f"weights of {name}")
            full = name if tag == DEFAULT else f"{name}.{tag}"
        arguments: dict[str, Any] = {"in_chans": options.channels}
        if options.classes is not None:
            arguments["num_classes"] = options.classes
        config = timm.get_pretrained_cfg(full, allow_unregistered=True)
        size: tuple[int, int] = tuple(config.input_size[1:]) if config is not None else (224, 224)
        stimulus = options.shape(options.channels, size)
        if options.size is not None and config is not None and config.fixed_input_size:
            arguments["img_size"] = stimulus.shape[1:]

        def make() -> Any:
            return timm.create_model(full, pretrained=pretrained, **arguments)

        module = seeded(lambda: fetched(make, f"timm's weights of {full}") if pretrained else make(), options.seed)
        if options.weight_file is not None:
            load_into(module, read_weights(options.weight_file), options.weight_file.name)
        known_names = pretrained and (options.classes is None or (config is not None and options.classes == config.num_classes))
        return as_target(
            module,
            options,
            stimulus,
            default=IMAGENET if config is None else Normalise(tuple(config.mean), tuple(config.std)),
            names=_labels(timm, module.pretrained_cfg, module.num_classes) if known_names else (),
        )


def _labels(timm: Any, config: dict[str, Any], classes: int) -> list[str]:
    """Return the names of the classes: those of the weights, or ImageNet's."""
    if config.get("label_names"):
        return labels(dict(enumerate(config["label_names"])), classes)
    subset = timm.data.infer_imagenet_subset(config)
    if not subset:
        return []
    info = timm.data.ImageNetInfo(subset)
    return [info.index_to_description(number) for number in range(classes)]
