"""Grad-CAM against Captum's, Grad-CAM++ against its formula place by place, and which layer is looked at."""

import pytest
import torch
from captum import attr
from torch import nn

from actmax.engine.analyses.attribution.grad_cam import GradCam, GradCamPlusPlus, grid, to_grid
from actmax.models.options import InvalidOption
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.units import resolve
from attributed import IMAGE, ask, attributed, drawn, images, network

SERIES = StimulusSpec((2, 64), -1.0, 1.0, "series")


def captums(net: nn.Module, layer: str, x: torch.Tensor, target: int) -> torch.Tensor:
    maps = attr.LayerGradCam(net, net.get_submodule(layer)).attribute(x, target=target, relu_attributions=True)
    assert isinstance(maps, torch.Tensor)
    return nn.functional.interpolate(maps, x.shape[2:], mode="bilinear" if x.dim() == 4 else "linear")[:, 0]


def test_it_equals_captums_on_a_residual_network(torchvision):
    net = drawn(torchvision.models.resnet18(num_classes=5))
    target, x = ModuleTarget(net, StimulusSpec((3, 64, 64))), images(2, spec=StimulusSpec((3, 64, 64)))
    method, question = GradCam(), ask(target, ["fc[1]", "output[4]"], x)
    found = attributed(method, question)
    assert {method.layer_of(target, unit) for unit in question.reader.units} == {"layer4"}
    assert found.abs().sum() > 0
    for maps, number in zip(found, (1, 4), strict=True):
        assert torch.allclose(maps, captums(net, "layer4", x, number), atol=1e-6)


def test_series_have_maps_over_time():
    net = drawn(nn.Sequential(nn.Conv1d(2, 4, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)))
    target, x = ModuleTarget(net, SERIES), images(2, spec=SERIES)
    found = attributed(GradCam(), ask(target, "4[2]", x))[0]
    assert torch.allclose(found, captums(net, "1", x, 2), atol=1e-6)


def test_plus_plus_follows_its_formula():
    rng = torch.Generator().manual_seed(0)
    activations, gradients = torch.rand(1, 2, 3, 3, generator=rng), torch.randn(1, 2, 3, 3, generator=rng)
    told = torch.zeros(3, 3)
    for channel in range(2):
        weight = 0.0
        for g in gradients[0, channel].flatten().tolist():
            share = g**2 / (2 * g**2 + float(activations[0, channel].sum()) * g**3)
            weight += share * max(g, 0.0)
        told += weight * activations[0, channel]
    assert torch.allclose(GradCamPlusPlus().combine(activations, gradients)[0], told, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "places"),
    [((8, 4, 4), (4, 4)), ((8, 1, 1), None), ((64, 16), (8, 8)), ((65, 16), (8, 8)), ((7, 7, 16), (7, 7)), ((10,), None), ((3, 9), None)],
)
def test_places_of_layers(shape, places):
    assert grid(shape, IMAGE) == places
    if places is not None:
        assert to_grid(torch.zeros(2, *shape), IMAGE).shape[2:] == places


def test_tokens_of_wide_pictures_and_class_tokens():
    wide = StimulusSpec((3, 32, 64))
    assert grid((33, 5), wide) == (4, 8)
    values = torch.arange(33.0)[None, :, None].expand(1, 33, 5)
    assert to_grid(values, wide)[0, 0].flatten().tolist() == list(range(1, 33))


@pytest.mark.parametrize(
    ("name", "unit", "layer"), [("vit", "head[3]", "norm"), ("snn", "lif_out[3]", "lif3"), ("cnn", "stem.0[1]", "normalize")]
)
def test_the_deepest_layer_with_a_gradient_is_looked_at(name, unit, layer):
    target = network(name)
    (address,) = resolve(unit, target.layers())
    assert GradCam().layer_of(target, address) == layer


def test_a_layer_without_places_or_beside_the_unit_is_refused():
    target = network("cnn")
    for layer, says in (("fc", "no places"), ("nope", "no layer")):
        with pytest.raises(InvalidOption, match=says):
            GradCam(GradCam.Options(layer=layer)).check(target)
    with pytest.raises(InvalidOption, match="needs layer3 before layer2"):
        GradCam(GradCam.Options(layer="layer3")).check_units(target, resolve("layer2[1]", target.layers()))
    flat = ModuleTarget(drawn(nn.Sequential(nn.Flatten(), nn.Linear(3072, 4))), IMAGE)
    with pytest.raises(InvalidOption, match="occlusion"):
        GradCam().check(flat)


def test_networks_that_are_shown_one_stimulus_at_a_time_have_maps_too():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            y = torch.relu(self.conv(x))
            return self.fc((y - y.mean(0, keepdim=True) * 0.1).mean((2, 3)))

    target, x = ModuleTarget(drawn(Mixed()), IMAGE), images(3)
    found = attributed(GradCam(), ask(target, "fc[1]", x))
    alone = torch.cat([attributed(GradCam(), ask(target, "fc[1]", one)) for one in x.split(1)], 1)
    assert torch.equal(found, alone)
