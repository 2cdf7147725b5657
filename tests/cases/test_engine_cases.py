"""Networks of users that never answer, never move or have no gradient, and settings of torch around a job: each works, or says why not."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from actmax.engine.errors import InvalidJob, Unmeasured
from actmax.engine.maximize import maximize
from actmax.models.objectives.expressions import TotalVariation, Unit

SHAPE = (3, 8, 8)
torch.manual_seed(0)
DECODER = nn.Sequential(nn.Linear(8, 192), nn.Sigmoid(), nn.Unflatten(1, SHAPE))
CONV = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))


def found(network, units: Any = "output[0]", generator: nn.Module = DECODER, **changes: Any):
    plain = {"evaluations": 60, "prior": "none", "seed": 1, "device": "cpu"}
    return maximize(generator, network, units, generator_options={"latent": [8]}, target_options={"shape": SHAPE}, **(plain | changes))


class Changed(nn.Module):
    """The network with what comes in or out changed."""

    def __init__(self, before=None, after=None):
        super().__init__()
        self.before, self.after, self.network = before, after, CONV

    def forward(self, x):
        x = x if self.before is None else self.before(x)
        y = self.network(x)
        return y if self.after is None else self.after(y)


def moved(search):
    return float(np.nanmax(search.scores)) > float(np.nanmin(search.scores[:4])) + 1e-3


# nothing answers


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (Changed(after=lambda y: y / 0), "infinite"),
        (Changed(before=lambda x: x * float("nan")), "NaN"),
        (lambda images: np.full((len(images), 2), np.nan), "NaN"),
        (Changed(after=lambda y: (y - 1e9).sqrt()), "NaN"),
    ],
)
@pytest.mark.parametrize("optimizer", ["auto", "random"])
def test_where_nothing_is_measured_there_is_an_error_of_one_line(network, says, optimizer):
    with pytest.raises(Unmeasured, match=says) as caught:
        found(network, optimizer=optimizer)
    assert "none of 60 responses of output[0] was a finite number" in str(caught.value)
    assert "\n" not in str(caught.value)


def spoilt(y):
    """The second unit's responses are NaN."""
    return torch.cat([y[:, :1], y[:, 1:2] * torch.nan, y[:, 2:]], 1)


def test_one_unit_that_never_answers_is_named_among_others():
    result = found(Changed(after=spoilt), "output[*]", optimizer="random")
    assert [search.unit for search in result.searches] == ["output[0]", "output[2]", "output[3]"]
    assert result.outcome == "partial"
    assert any("output[1]" in warning and "60 NaN" in warning for warning in result.warnings)


class Spotty(nn.Module):
    """What is bright is answered by no number."""

    def __init__(self, value):
        super().__init__()
        self.value, self.network = value, CONV

    def forward(self, x):
        return torch.where(x.mean((1, 2, 3))[:, None] > 0.49, self.value, self.network(x))


MISSED = [(torch.nan, name) for name in ("adam", "cma", "thompson", "xdream", "langevin", "normalised-ascent")]


@pytest.mark.parametrize(("value", "optimizer"), [*MISSED, (torch.inf, "adam"), (-torch.inf, "sphere-cma"), (torch.inf, "random")])
def test_responses_that_are_missing_now_and_then_are_counted_and_poison_nothing(value, optimizer):
    network = Spotty(value)
    search = found(network, optimizer=optimizer).searches[0]
    lost = int(np.isnan(search.scores).sum())
    assert 0 < lost < 60
    assert np.isfinite(search.response)
    assert np.isfinite(search.latent).all()
    assert any(f"{lost} of 60 responses were not finite" in warning for warning in search.warnings)


@pytest.mark.parametrize("network", [Changed(after=lambda y: y * 0 + 3), lambda images: np.full(len(images), 3.0)])
@pytest.mark.parametrize("optimizer", ["auto", "cma"])
def test_a_unit_that_never_moves_is_no_success(network, optimizer):
    result = found(network, optimizer=optimizer)
    assert (result.outcome, result.searches[0].outcome) == ("stuck", "stuck")
    assert any("all 60 responses were 3, so the search never moved" in warning for warning in result.warnings)


# no gradient


class Cut(nn.Module):
    def __init__(self, cut):
        super().__init__()
        self.cut, self.trunk, self.head = cut, nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.cut(self.trunk(x).relu().mean((2, 3))))


def under_no_grad(x):
    with torch.no_grad():
        return x * 1


CUTS = {
    "no_grad": under_no_grad,
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "numpy": lambda x: torch.from_numpy(x.detach().numpy().copy()),
    "round": lambda x: (100 * x).round() / 100,
    "sign": lambda x: (100 * x).floor(),
}


@pytest.mark.parametrize("cut", CUTS)
def test_without_a_gradient_auto_searches_without_and_says_so(cut):
    search = found(Cut(CUTS[cut])).searches[0]
    assert "no gradients (the gra" in search.note  # graph ends, gradient is zero
    assert not search.note.startswith("adam")
    assert search.importance is None
    assert moved(search)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("optimizer", ["adam", "langevin"])
def test_without_a_gradient_a_search_by_gradients_is_refused(cut, optimizer):
    with pytest.raises(InvalidJob, match="needs gradients and output\\[0\\] has none that reach the input") as caught:
        found(Cut(CUTS[cut]), optimizer=optimizer)
    assert "use auto" in str(caught.value)


def test_a_regulariser_does_not_stand_in_for_the_networks_gradient():
    objective = Unit("output[0]") - 0.01 * TotalVariation()
    assert not found(Cut(CUTS["detach"]), None, objective=objective).searches[0].note.startswith("adam")
    assert found(Cut(lambda x: x), None, objective=objective).searches[0].note.startswith("adam")


def test_a_decoder_without_a_gradient_is_told_from_the_network():
    class Frozen(nn.Module):
        def forward(self, z):
            with torch.no_grad():
                return DECODER(z)

    assert "the graph ends in the generator" in found(CONV, generator=Frozen()).searches[0].note
    with pytest.raises(InvalidJob, match="the graph ends in the generator"):
        found(CONV, generator=Frozen(), optimizer="adam")


def test_layers_before_the_cut_keep_their_gradient():
    result = found(Cut(CUTS["no_grad"]), ["trunk[0]", "output[0]"])
    assert [search.note.partition(":")[0] for search in result.searches] == ["adam", "cma"]


def test_gradients_that_are_not_finite_are_counted_and_not_followed():
    network = Changed(after=lambda y: y + (y - y).sqrt())  # finite forward, NaN backward
    search = found(network).searches[0]
    assert "the gradient is not finite on 19 stimuli" in search.note
    assert moved(search)
    with pytest.raises(InvalidJob, match="not finite"):
        found(network, optimizer="adam")


def test_a_gradient_that_is_zero_only_at_the_start_is_kept():
    # a rectifier that is off on most stimuli: the redirected gradient leads out
    linear = nn.Linear(192, 4)
    with torch.no_grad():
        linear.bias.fill_(-5.0)
    network = nn.Sequential(nn.Flatten(), linear, nn.ReLU())
    assert found(network).searches[0].note.startswith("adam")


# settings around the job


AROUND = {
    "autocast": functools.partial(torch.autocast, "cpu", dtype=torch.bfloat16),
    "inference": torch.inference_mode,
    "grad off": functools.partial(torch.set_grad_enabled, False),
    "device": functools.partial(torch.device, "meta"),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("optimizer", ["adam", "cma"])
def test_a_job_inside_a_setting_is_as_one_outside(around, optimizer):
    plain = found(CONV, optimizer=optimizer).searches[0]
    with AROUND[around]():
        inside = found(CONV, optimizer=optimizer).searches[0]
    assert np.array_equal(inside.scores, plain.scores)
    assert inside.response == plain.response


# what a network caches in its forward


class Positions(nn.Module):
    """A table that is built when it is first needed; ``learnt`` makes it of a parameter."""

    def __init__(self, learnt=False, part=CONV):
        super().__init__()
        self.scale, self.table, self.learnt, self.part = nn.Parameter(torch.ones(1)), None, learnt, part

    def forward(self, x):
        if self.table is None or len(self.table) < len(x):
            self.table = torch.linspace(0.5, 1, len(x)).to(x).unsqueeze(1) * 0 + 1
            if self.learnt:
                self.table = self.table * self.scale.detach()
        return self.part(x.flatten(1).view_as(x) * self.scale * self.table[: len(x)].view(-1, *[1] * (x.ndim - 1)))


@pytest.mark.parametrize("optimizer", ["random", "adam", "auto"])
@pytest.mark.parametrize("learnt", [False, True])
def test_a_network_that_caches_in_its_forward_trains_afterwards(optimizer, learnt):
    network = Positions(learnt)
    found(network, optimizer=optimizer)
    network(torch.rand(2, *SHAPE)).sum().backward()
    assert network.scale.grad is not None


def test_a_decoder_that_caches_in_its_forward_trains_afterwards():
    decoder = Positions(part=DECODER)
    found(CONV, generator=decoder, optimizer="random")
    decoder(torch.rand(2, 8)).sum().backward()
    assert decoder.scale.grad is not None


def test_a_mask_in_a_cache_of_functools_is_an_ordinary_tensor_afterwards():
    @functools.cache
    def mask(size):
        return torch.linspace(0, 1, size)

    network = Changed(after=lambda y: y * mask(4))
    found(network, optimizer="cma")
    weights = torch.ones(4, requires_grad=True)
    (weights * mask(4)).sum().backward()
    assert not mask(4).is_inference()
