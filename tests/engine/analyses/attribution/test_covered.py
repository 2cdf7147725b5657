"""Occlusion against Captum's, RISE against its sum over masks written out, on targets with and without gradients."""

import pytest
import torch
from captum import attr
from torch import nn

from actmax.engine.analyses.attribution.occlusion import Occlusion
from actmax.engine.analyses.attribution.rise import Rise
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.function import FunctionTarget
from actmax.models.targets.module import ModuleTarget
from attributed import ask, attributed, drawn, images

SMALL = StimulusSpec((3, 8, 8))


def small() -> nn.Module:
    return drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)))


@pytest.mark.parametrize("stride", [1, 2])
def test_occlusion_equals_captums(stride):
    net, x = small(), images(2, spec=SMALL)
    found = attributed(Occlusion(Occlusion.Options(window=2, stride=stride)), ask(ModuleTarget(net, SMALL), ["3[1]", "3[2]"], x, 0.25))
    for maps, target in zip(found, (1, 2), strict=True):
        told = attr.Occlusion(net).attribute(x, (3, 2, 2), strides=(3, stride, stride), baselines=0.25, target=target)
        assert torch.allclose(maps, told[:, 0], atol=1e-5)


def test_the_last_window_ends_with_the_picture():
    windows = list(Occlusion(Occlusion.Options(window=3, stride=4))._windows(torch.Size((8, 9))))
    assert torch.stack(windows).sum((0,)).ne(0).any(0).tolist() == [True] * 3 + [False] + [True] * 5
    assert all(float(window.sum()) == 9 for window in windows)


def test_rise_is_the_mean_response_where_a_place_is_visible():
    net, x = small(), images(2, spec=SMALL)
    method = Rise(Rise.Options(samples=40, cells=4))
    question = ask(ModuleTarget(net, SMALL), "3[0]", x, seed=3)
    found = attributed(method, question)[0]
    visible = 1 - torch.stack(list(method._masks(question)))
    assert 0.4 < float(visible.mean()) < 0.6
    for maps, stimulus in zip(found, x, strict=True):
        responses = torch.stack([net((stimulus * mask + 0.5 * (1 - mask))[None])[0, 0] for mask in visible])
        told = (responses[:, None, None] * visible).sum(0) / visible.sum(0) - responses.mean()
        assert torch.allclose(maps, told, atol=1e-5)


@pytest.mark.parametrize("method", [Occlusion(Occlusion.Options(window=2)), Rise(Rise.Options(samples=400, cells=4))])
def test_a_black_box_that_looks_at_one_place_is_seen_through(method):
    target = FunctionTarget({"bright": lambda x: x[:, :, 2:4, 5:7].mean((1, 2, 3))}, SMALL)
    maps = attributed(method, ask(target, "bright[0]", torch.ones(1, *SMALL.shape), 0.0))[0, 0]
    row, column = divmod(int(maps.argmax()), 8)
    assert 2 <= row <= 3
    assert 5 <= column <= 6


def test_series_are_covered_along_time():
    spec = StimulusSpec((2, 16), -1.0, 1.0, "series")
    target = FunctionTarget({"late": lambda x: x[:, 0, 12:].mean(1)}, spec)
    maps = attributed(Occlusion(Occlusion.Options(window=2, stride=2)), ask(target, "late[0]", torch.ones(1, 2, 16), 0.0))[0, 0]
    assert maps.tolist() == pytest.approx([0.0] * 12 + [0.5] * 4)
