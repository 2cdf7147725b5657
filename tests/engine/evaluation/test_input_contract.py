"""Tests that a search warns of values that a network was not trained with, and of shapes with channels last."""

import pytest
import torch
from torch import nn

from actmax.engine.components.adapt import adapt
from actmax.engine.errors import InvalidJob
from actmax.engine.evaluation.input_contract import input_notices
from actmax.models.targets.noisy import NoisyTarget
from actmax.models.zoo import targets

SHAPE = {"shape": [3, 32, 32]}
CNN = targets.CNNTarget.from_options(targets.CNNTarget.Options()).module
VIT = targets.ViTTarget.from_options(targets.ViTTarget.Options()).module


class Fed(nn.Module):
    """A network that takes other values: what it is given is brought to pictures in [0, 1]."""

    def __init__(self, network, before):
        super().__init__()
        self.network, self.before = network, before

    def forward(self, x):
        return self.network(self.before(x))


WAYS = {
    "as they are": (lambda x: x, {}, ""),
    "bytes": (lambda x: x / 255, {}, "mean: [0] and std: [0.003922]"),
    "from -1 to 1": (lambda x: x / 2 + 0.5, {}, "mean: [0.5] and std: [0.5]"),
    "ImageNet": (lambda x: x * 0.225 + 0.45, {}, "mean: [0.485, 0.456, 0.406]"),
    "reversed": (lambda x: x.flip(1), {}, "blue, green, red"),
    "bytes, told": (lambda x: x / 255, {"mean": [0.0], "std": [1 / 255]}, ""),
    "bytes, of that range": (lambda x: x / 255, {"high": 255}, ""),
    "given bytes": (lambda x: x, {"high": 255}, "mean: [0] and std: [255]"),
    "from -1 to 1, told": (lambda x: x / 2 + 0.5, {"mean": [0.5], "std": [0.5]}, ""),
}


@pytest.mark.parametrize("network", [CNN, VIT], ids=["cnn", "vit"])
@pytest.mark.parametrize("way", WAYS)
def test_values_that_a_network_was_not_trained_with_are_told(network, way):
    before, options, says = WAYS[way]
    told = input_notices(adapt("target", Fed(network, before), {**SHAPE, **options}, "target"))
    assert len(told) == bool(says), told
    assert says in "".join(told)


def test_what_says_nothing_of_its_training_is_left_alone():
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    for network in (made, nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8))):
        assert input_notices(adapt("target", network, SHAPE, "target")) == ()
    assert input_notices(adapt("target", lambda images: images.mean((1, 2, 3)), SHAPE, "target")) == ()


def test_noise_around_a_network_hides_nothing_and_looking_changes_nothing():
    network = Fed(CNN, lambda x: x / 255)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert input_notices(NoisyTarget(adapt("target", network, SHAPE, "target")))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(part._forward_pre_hooks for part in network.modules())


@pytest.mark.parametrize(
    ("options", "option", "says"),
    [
        ({"mean": [127]}, "mean", "no mean of 127; for pictures in [0, 1] give 0.498"),
        ({"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}, "mean", "no mean of 123.675"),
        ({"mean": [0.485, 0.456, 0.406], "std": [58.395, 57.12, 57.375]}, "std", "give 0.229"),
        ({"std": [57.375]}, "std", "no standard deviation of 57.375"),
        ({"mean": [-0.1]}, "mean", "no mean of -0.1"),
        ({"mean": [float("nan")]}, "mean", "no mean of nan"),
        ({"std": [0.0]}, "std", "positive"),
        ({"std": [-0.5]}, "std", "positive"),
        ({"std": [float("inf")]}, "std", "no standard deviation of inf"),
        ({"mean": [0.5, 0.5]}, "mean", "2 values for 3 channels"),
        ({"mean": [0.5, 0.5, 0.5], "std": [0.5]}, "mean", "mean has 3 values, std 1"),
        ({"mean": []}, "mean", "0 values"),
        ({"mean": [103.94, 116.78, 123.68], "std": [0.017], "high": 255}, "mean", "mean has 3 values"),
        ({"mean": [103.94], "std": [0.017], "high": 255}, "std", "multiplied by it, give 58.82"),
        ({"mean": [127.5], "std": [127.5], "low": -1}, "mean", "stimuli in [-1, 1] have no mean of 127.5"),
    ],
)
def test_a_mean_and_std_of_another_range_are_refused(options, option, says):
    with pytest.raises(InvalidJob) as caught:
        adapt("target", CNN, {**SHAPE, **options}, "target")
    (violation,) = caught.value.violations
    assert (violation.field, says in violation.description) == (f"target.options.{option}", True), violation


@pytest.mark.parametrize(
    "options", [{"mean": [0.0], "std": [1 / 255]}, {"mean": [127.5], "std": [128], "high": 255}, {"low": -1, "std": [2]}]
)
def test_unusual_values_that_make_sense_are_taken(options):
    adapt("target", CNN, {**SHAPE, **options}, "target")


FLAT = nn.Sequential(nn.Flatten(), nn.Linear(16 * 12 * 3, 2))
SERIES = nn.Sequential(nn.Conv1d(2, 3, 5), nn.Flatten(), nn.Linear(48, 2))


@pytest.mark.parametrize(
    ("network", "shape", "turned"), [(CNN, [32, 32, 3], [3, 32, 32]), (VIT, [32, 32, 3], [3, 32, 32]), (SERIES, [20, 2], [2, 20])]
)
def test_a_shape_with_its_channels_last_is_named(network, shape, turned):
    with pytest.raises(InvalidJob, match="has its channels last") as caught:
        adapt("target", network, {"shape": shape}, "target")
    (violation,) = caught.value.violations
    assert violation.field == "target.options.shape"
    assert f"give {turned}" in violation.description


@pytest.mark.parametrize("network", [FLAT, lambda images: images.mean((1, 2, 3))])
def test_where_any_shape_works_channels_last_are_told(network):
    (told,) = input_notices(adapt("target", network, {"shape": [16, 12, 3]}, "target"))
    assert "16 channels of 12 × 3" in told
    assert "give [3, 16, 12]" in told
