"""Scores of maps: against Captum's and Quantus' calls, and on maps whose score is known."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from torch import nn

from actmax.engine.analyses.attribution.gradient import Gradient
from actmax.engine.analyses.attribution.scores import PARTS, RADIUS, SAMPLES, deletion, max_sensitivity, points_at, randomised, similarity
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.function import FunctionTarget
from actmax.models.targets.module import ModuleTarget
from attributed import ask, attributed, drawn, images, network

SMALL = StimulusSpec((3, 8, 8))
PLACE = torch.zeros(8, 8)
PLACE[2:4, 4:6] = 1


def spot() -> FunctionTarget:
    return FunctionTarget({"spot": lambda x: (x * PLACE.numpy()).sum((1, 2, 3)) / 12}, SMALL)


def test_the_right_map_deletes_at_once_and_inserts_at_once():
    question = ask(spot(), "spot[0]", torch.ones(1, *SMALL.shape), 0.0)
    right, wrong = deletion(question, PLACE[None, None]), deletion(question, -PLACE[None, None])
    assert float(right["deletion"]) == pytest.approx(0.5 / PARTS)
    assert float(right["insertion"]) == pytest.approx(1 - 0.5 / PARTS)
    assert float(wrong["deletion"]) == pytest.approx(1 - 0.5 / PARTS)
    assert 0.2 < float(right["random order"]) < 0.8
    assert torch.equal(right["random order"], wrong["random order"])


def test_deletion_is_quantus_pixel_flipping(torchvision):
    import quantus

    net = drawn(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)))
    grey = StimulusSpec((1, 8, 8))
    x, target = images(3, spec=grey), ModuleTarget(net, grey)
    question = ask(target, "3[1]", x, 0.0)
    maps = Gradient().to_map(attributed(Gradient(), question))
    found = deletion(question, maps)["deletion"][0]
    pixel_flipping: Any = quantus.PixelFlipping
    flipping = pixel_flipping(
        features_in_step=64 // PARTS,
        perturb_baseline=0.0,
        return_auc_per_sample=False,
        disable_warnings=True,
        display_progressbar=False,
    )
    curves = flipping(model=net, x_batch=x.numpy(), y_batch=np.ones(3, int), a_batch=maps[0][:, None].numpy(), softmax=False)
    full, none = net(x)[:, 1].double(), net(torch.zeros_like(x))[:, 1].double()
    told = torch.tensor(np.array(curves, np.float64)).view(3, -1)
    told = (torch.cat([full[:, None], told], 1) - none[:, None]) / (full - none)[:, None]
    expected = torch.where(full > none, torch.trapezoid(told, dim=1) / PARTS, math.nan)
    assert bool(expected.isfinite().any())
    assert torch.allclose(found, expected, atol=1e-5, equal_nan=True)


def test_max_sensitivity_is_captums():
    target = network("cnn")
    question, method = ask(target, "fc[3]", images(2), seed=4), Gradient()
    maps = method.to_map(attributed(method, question))
    found = max_sensitivity(lambda other: method.to_map(attributed(method, other)), question, maps)
    changes = torch.stack([torch.rand(question.stimuli.shape, generator=rng) for rng in [question.rng()] for _ in range(SAMPLES)], 1)

    def moved(x):
        return (x + ((changes * 2 - 1) * RADIUS).flatten(0, 1)).clamp(0, 1)

    def explain(inputs):
        x = inputs[0] if isinstance(inputs, tuple) else inputs
        return (method.to_map(attributed(method, question.about(x)))[0],)  # Captum takes a tuple alone

    told = sensitivity_max(explain, (question.stimuli,), perturb_func=moved, n_perturb_samples=SAMPLES)
    assert torch.allclose(found[0].float(), told, atol=1e-4)


def test_shuffled_weights_change_the_map_and_leave_the_network_alone():
    target = network("cnn")
    before = {name: value.clone() for name, value in target.module.state_dict().items()}
    twin = randomised(target, 0)
    assert twin is not None
    question, other = ask(target, "fc[3]", images(3)), ask(twin, "fc[3]", images(3))
    maps, others = (Gradient().to_map(attributed(Gradient(), one)) for one in (question, other))
    assert similarity(maps, maps).tolist() == [[pytest.approx(1.0)] * 3]
    assert float(similarity(maps, others).abs().max()) < 0.6
    assert all(torch.equal(value, before[name]) for name, value in target.module.state_dict().items())
    assert randomised(spot(), 0) is None


def test_the_pointing_game_and_what_has_no_score():
    mask = PLACE.bool()
    assert points_at(torch.stack([PLACE, -PLACE]), mask).tolist() == [1.0, 0.0]
    assert math.isnan(float(points_at(PLACE[None], None)))
    dark = ask(spot(), "spot[0]", torch.zeros(1, *SMALL.shape), 0.0)
    assert all(math.isnan(float(score)) for score in deletion(dark, PLACE[None, None]).values())
    flat = torch.zeros(1, 1, 8, 8)
    assert math.isnan(float(max_sensitivity(lambda _: flat, dark, flat)))
    assert math.isnan(float(similarity(flat, PLACE[None, None])))
