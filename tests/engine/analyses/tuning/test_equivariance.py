"""Whether a map follows its stimulus: networks of which that is known."""

import numpy as np
import pytest
import torch
from torch import nn

from actmax.engine.analyses.analysis import AnalysisContext
from actmax.engine.analyses.tuning.equivariance import equivariance, map_reader
from actmax.engine.analyses.tuning.sweeps import SweepOptions, stimulus_sweeps
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.target import LayerInfo
from actmax.models.units import UnitAddress, resolve

SPEC = StimulusSpec((3, 16, 16))


def followed(network, unit="0[1]", spec=SPEC, **options):
    """Equivariance of every change of place of a random stimulus."""
    stimulus = torch.rand(spec.shape, generator=torch.Generator().manual_seed(3))
    target = ModuleTarget(network, spec)
    (address,) = resolve(unit, target.layers())
    read = map_reader(address, next(layer for layer in target.layers() if layer.name == address.layer), spec)
    assert read is not None
    size = (1, spec.shape[1]) if spec.modality == "series" else (spec.shape[1], spec.shape[2])
    context, found = AnalysisContext(target, None, [], []), {}  # pyright: ignore[reportArgumentType] - it is not asked
    for sweep in stimulus_sweeps(stimulus, spec, SweepOptions(fill="grey", **options)):
        if sweep.place is not None:
            values = torch.tensor(sweep.values, dtype=torch.float64)
            answer = context.respond(sweep.change(values), {address.layer})[address.layer]
            found[sweep.key] = equivariance(read(answer).double(), sweep, size).numpy()
    return found


def test_a_pointwise_map_follows_everything_and_a_convolution_shifts():
    pointwise = nn.Sequential(nn.Conv2d(3, 2, 1))
    for name, found in followed(pointwise, points=4).items():
        assert np.nanmin(found) > 1 - 1e-5, name
    strided = nn.Sequential(nn.Conv2d(3, 2, 2, stride=2))
    found = followed(strided, points=4, shift=0.5)["shift-x"]  # by 2 pixels, one of the map
    assert found == pytest.approx(np.ones(9), abs=1e-5)


def test_a_map_that_stays_where_it_is_does_not_follow():
    class Position(nn.Module):
        def forward(self, x):
            ramp = torch.linspace(0, 1, 16)
            return (x.mean((1, 2, 3))[:, None, None, None] + torch.sin(9 * ramp) * torch.cos(7 * ramp)[:, None]).expand(-1, 2, -1, -1)

    found = followed(nn.Sequential(Position()), points=2)
    for name in ("shift-x", "rotation"):
        assert np.nanmean(np.delete(found[name], 2)) < 0.7, name


def test_a_map_that_is_the_same_everywhere_says_nothing():
    class Flat(nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None, None, None].expand(-1, 2, 16, 16)

    assert all(np.isnan(found).all() for found in followed(nn.Sequential(Flat()), points=2).values())


def test_series_and_tokens_have_maps_too():
    series = StimulusSpec((1, 40), 0.0, 1.0, "series")
    assert np.nanmin(followed(nn.Sequential(nn.Conv1d(1, 2, 1)), spec=series, points=2)["shift-x"]) > 1 - 1e-5

    class Tokens(nn.Module):
        def forward(self, x):
            return nn.functional.avg_pool2d(x, 2).flatten(2).transpose(1, 2)

    assert followed(nn.Sequential(Tokens()), "0[:, 1]", points=4)["shift-y"] == pytest.approx(np.ones(9), abs=1e-5)


@pytest.mark.parametrize(
    ("unit", "shape"),
    [
        (UnitAddress("fc", (3,)), (10,)),
        (UnitAddress("conv"), (4, 8, 8)),
        (UnitAddress("conv", (slice(None), 1, 1)), (4, 8, 8)),
        (UnitAddress("conv", (1,)), (4, 2, 2)),
        (UnitAddress("blocks", (3,)), (64, 32)),
        (UnitAddress("blocks", (slice(None), 3)), (63, 32)),
    ],
)
def test_what_has_no_map_is_not_asked_for_one(unit, shape):
    assert map_reader(unit, LayerInfo(unit.layer, shape, "any"), SPEC) is None
    with_class_token = map_reader(UnitAddress("blocks", (slice(None), 3)), LayerInfo("blocks", (65, 32), "any"), SPEC)
    assert with_class_token is not None
    tokens = torch.arange(65.0)[None, :, None].expand(1, 65, 32)
    assert torch.equal(with_class_token(tokens)[0, 0], torch.arange(1.0, 9.0))
