"""Architectures that are shown stimuli, with gradients and without, and are to the bit what they were."""

import pytest
import torch
from network_digest import left_as_it_was

from actmax.engine.evaluation.evaluator import EvaluationSetup, Evaluator, Pass
from actmax.models.generators.pixel import PixelGenerator
from actmax.models.objectives.unit import UnitObjective
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.units import resolve

TORCHVISION = {
    "resnet18": 32, "squeezenet1_1": 40, "mobilenet_v2": 32, "mobilenet_v3_small": 32, "shufflenet_v2_x0_5": 32, "efficientnet_b0": 32,
    "densenet121": 32, "convnext_tiny": 32, "swin_t": 32, "vgg11_bn": 32, "alexnet": 64, "googlenet": 64,
    "regnet_y_400mf": 32, "mnasnet0_5": 32,
}  # fmt: skip
TIMM = {
    "test_vit": 32, "test_vit2": 32, "test_resnet": 32, "test_convnext": 32, "test_efficientnet": 32, "test_mambaout": 32, "test_nfnet": 32,
    "test_byobnet": 32, "mixer_s32_224": 224, "resnet10t": 32, "regnetx_002": 32,
}  # fmt: skip
SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32, "patch_size": 8, "image_size": 32}
TRANSFORMERS = {
    "vit": SMALL,
    "deit": SMALL,
    "beit": SMALL,
    "dinov2": SMALL,
    "convnext": {"hidden_sizes": [4, 8, 12, 16], "depths": [1] * 4},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
}


def network_of(library, name):
    torch.manual_seed(0)
    if library == "torchvision":
        models = pytest.importorskip("torchvision").models
        named = {"init_weights": False} if name == "googlenet" else {}
        return models.get_model(name, weights=None, num_classes=5, **named), TORCHVISION[name]
    if library == "timm":
        timm = pytest.importorskip("timm")
        if name not in timm.list_models():
            pytest.skip("not in this version")
        sized = {"img_size": 32} if "vit" in name else {}
        return timm.create_model(name, num_classes=5, **sized), TIMM[name]
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(name, **TRANSFORMERS[name])
    return transformers.AutoModel.from_config(config), 32


NETWORKS = [
    *(("torchvision", name) for name in TORCHVISION),
    *(("timm", name) for name in TIMM),
    *(("transformers", name) for name in TRANSFORMERS),
]
QUICK = {("timm", "test_vit"), ("transformers", "convnext")}


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize(
    ("library", "name"), [pytest.param(*each, marks=() if each in QUICK else pytest.mark.nightly) for each in NETWORKS]
)
def test_a_network_that_is_being_trained_is_left_as_it_was(library, name):
    network, size = network_of(library, name)
    network.train()
    for number, part in enumerate(network.modules()):
        part.training = number % 3 != 1
    for number, parameter in enumerate(network.parameters()):
        parameter.requires_grad_(number % 4 != 2)
        parameter.grad = torch.full_like(parameter, 0.5) if number % 3 == 0 else None
    network.register_forward_hook(lambda *_: None)
    spec = StimulusSpec((3, size, size))
    with left_as_it_was(network):
        target = ModuleTarget(network, spec)
        layers = target.layers()
        generator = PixelGenerator.for_stimulus(PixelGenerator.Options(), spec)
        objectives = [UnitObjective(resolve(layers[at].name, layers)[0]) for at in (0, len(layers) // 2, -1)]
        evaluate = Evaluator(EvaluationSetup(generator, target), objectives)
        latents = generator.latent.sample(2, torch.Generator().manual_seed(1))
        for graded in (False, True):
            outcome = evaluate(Pass((0, 1, 2), (latents,) * 3, (0.0,) * 3, 0, graded=graded))
            assert all(bool(score.isfinite().all()) for score in outcome.scores)
    assert target.notices == []
