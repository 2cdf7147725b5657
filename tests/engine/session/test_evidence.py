"""Tests and intervals mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from actmax.engine.session.drift import Drift
from actmax.engine.session.evidence import Block, compare
from actmax.engine.session.simulated_rig import RigOptions


def test_p_values_are_uniform_at_most_whatever_the_drift():
    draws = np.random.default_rng(0)
    low = 0
    for trial in range(300):
        blocks = []
        for generation in range(4):
            rate = 2 + 3 * generation  # a neuron that wakes up
            scores = draws.poisson(rate, 12).astype(float)
            blocks.append(Block(scores[:4], scores[4:]))
        found = compare(blocks, trial)
        assert found is not None
        low += found.p_value <= 0.05
    assert low / 300 <= 0.05 + 2.6 * (0.05 * 0.95 / 300) ** 0.5


def test_a_difference_is_found_and_its_interval_covers_it():
    draws = np.random.default_rng(1)
    covered = found_low = 0
    for trial in range(200):
        blocks = [Block(draws.normal(3, 1, 6), draws.normal(1, 2, 8)) for _ in range(2)]
        found = compare(blocks, trial)
        assert found is not None
        covered += found.low <= 2 <= found.high
        found_low += found.p_value < 0.05
    assert 0.9 <= covered / 200 <= 0.99
    assert found_low / 200 > 0.7
    assert compare([Block(np.ones(3), np.ones(0))], 0) is None


def test_drift_is_followed_and_silence_is_no_drift():
    draws = np.random.default_rng(2)
    drift, silent = Drift(6, 1), Drift(6, 1)
    bases = np.array([4.0, 8.0, 2.0, 6.0, 10.0, 3.0])
    for generation in range(60):
        true = 1 - 0.3 * generation / 59
        rows = np.arange(generation * 9, generation * 9 + 9) % 6
        drift.add(rows, draws.poisson(bases[rows] * true)[:, None].astype(float))
        silent.add(rows, np.zeros((9, 1)))
    assert drift.gain[0] == pytest.approx(0.72, abs=0.12)
    assert silent.gain[0] == 1.0


@pytest.mark.parametrize("unit", [1.0, 1000.0])
@pytest.mark.parametrize("noise", ["poisson", 0.5])
def test_a_gain_that_does_not_drift_is_hardly_thought_to_whatever_a_response_is_measured_in(noise, unit):
    gains = []
    for seed in range(8):
        draws = np.random.default_rng(seed)
        drift = Drift(8, 1, [noise == "poisson" and unit == 1])
        bases = draws.gamma(1.0, 3.0, 8)
        for generation in range(25):
            means = bases[np.arange(generation * 4, generation * 4 + 4) % 8]
            responses = draws.poisson(means) if noise == "poisson" else (means * (1 + 0.5 * draws.standard_normal(4))).clip(0)
            drift.add(np.arange(generation * 4, generation * 4 + 4) % 8, unit * responses[:, None].astype(float))
        gains.append(float(drift.doubted[0]))
    assert np.sqrt(np.mean(np.square(np.array(gains) - 1))) < 0.07


def test_a_simulated_rig_answers_a_trial_the_same_whenever_it_is_shown():
    import torch

    from actmax.engine.session.simulated_rig import SimulatedRig
    from actmax.models.spaces import StimulusSpec
    from actmax.models.targets.function import FunctionTarget
    from actmax.models.units import resolve

    target = FunctionTarget({"out": lambda stimuli: 20 * stimuli.mean((1, 2, 3))}, StimulusSpec((1, 2, 2)))
    units = resolve("out[0]", target.layers())
    stimuli = torch.linspace(0, 1, 400).reshape(100, 1, 2, 2).numpy()
    trials = list(range(1, 101))
    rig = SimulatedRig(target, units, RigOptions(drop=0.2, saturation=30.0, drift=-0.5, span=50))
    shown = rig.show(trials, stimuli)
    apart = np.concatenate([rig.show(trials[:30], stimuli[:30]), rig.show(trials[30:], stimuli[30:])])
    np.testing.assert_array_equal(shown, apart)
    assert 8 <= np.isnan(shown).sum() <= 34
    assert rig.clean(stimuli).max() == pytest.approx(20 * stimuli[-1].mean() / (1 + 20 * stimuli[-1].mean() / 30), rel=1e-5)
    dead = SimulatedRig(target, units, RigOptions(dead=True, baseline=3.0))
    assert (dead.clean(stimuli) == 3.0).all()
