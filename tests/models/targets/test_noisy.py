import numpy as np
import pytest
import torch

from actmax.models.targets.noisy import NoisyTarget
from actmax.models.targets.target import CountsTrials, HasNoise
from actmax.models.targets.testing import check_target
from toy_lab import QueryOnly, network

STIMULI = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def shown(target, trial=0, seed=5, stimuli=STIMULI, layers=("4",)):
    target.begin(seed, trial)
    return target.respond(stimuli, layers)["4"].detach()


def test_it_is_a_target_that_says_that_it_is_noisy():
    check_target(NoisyTarget(network(), "gaussian", sigma=0.0))
    assert isinstance(NoisyTarget(network()), HasNoise)
    assert isinstance(NoisyTarget(network()), CountsTrials)
    assert not network().noisy


@pytest.mark.parametrize("noise", ["poisson", "gaussian", "multiplicative"])
def test_noise_depends_on_the_trial_and_the_seeds_alone(noise):
    def make(seed=0):
        return NoisyTarget(network(), noise, gain=100.0, sigma=0.5, seed=seed)

    whole = shown(make())
    assert torch.equal(whole, shown(make()))
    target = make()
    target.begin(5, 0)
    parts = [target.respond(STIMULI[:1], ["4"])["4"].detach(), target.respond(STIMULI[1:], ["0", "4"])["4"].detach()]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-5)
    assert torch.allclose(whole[2:], shown(make(), trial=2, stimuli=STIMULI[2:]), atol=1e-5)
    for other in (shown(make(), trial=9), shown(make(), seed=6), shown(make(seed=1))):
        assert not torch.allclose(whole, other)


@pytest.mark.parametrize(("noise", "gain"), [("poisson", 30.0), ("gaussian", 1.0), ("multiplicative", 1.0)])
def test_mean_and_spread_are_what_they_should_be(noise, gain):
    exact = network().respond(STIMULI[:1], ["4"])["4"].detach()[0]
    target = NoisyTarget(network(), noise, gain=gain, sigma=0.3)
    found = shown(target, stimuli=STIMULI[:1].expand(3000, -1, -1, -1)).double()
    spread = {"poisson": (gain * exact.clamp(min=0)).sqrt(), "gaussian": torch.full_like(exact, 0.3), "multiplicative": 0.3 * exact.abs()}
    mean = gain * exact.clamp(min=0) if noise == "poisson" else exact
    assert torch.allclose(found.mean(0), mean.double(), atol=0.08 * float(spread[noise].max()))
    assert torch.allclose(found.std(0), spread[noise].double(), rtol=0.06)
    if noise == "poisson":
        assert torch.equal(found, found.round())
    lively = found[:, found.std(0) > 0]
    correlation = np.corrcoef(lively.T.numpy())[~np.eye(lively.shape[1], dtype=bool)]
    assert np.abs(correlation).max() < 0.1


def test_missed_trials_stay_missed_and_spike_counts_have_no_gradient():
    missing = NoisyTarget(QueryOnly(), "poisson", gain=50.0)
    stimuli = STIMULI.repeat(2, 1, 1, 1)
    assert bool(missing.respond(stimuli, ["answer"])["answer"][6].isnan().all())
    assert not NoisyTarget(network(), "poisson").differentiable
    assert NoisyTarget(network(), "gaussian").differentiable


def test_natural_responses_come_in_spikes():
    target = network()
    target.natural_quantiles = lambda layer, index: {0.5: -1.0, 1.0: 2.0}  # pyright: ignore[reportAttributeAccessIssue]
    assert NoisyTarget(target, "poisson", gain=10.0).natural_quantiles("4", (0,)) == {0.5: 0.0, 1.0: 20.0}
    assert NoisyTarget(target, "gaussian").natural_quantiles("4", (0,)) == {0.5: -1.0, 1.0: 2.0}
    assert NoisyTarget(network()).natural_quantiles("4", (0,)) is None
