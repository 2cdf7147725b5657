"""Gradient, integrated gradients and SmoothGrad against Captum's own calls on the network."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from captum import attr
from torch import nn

from actmax.engine.analyses.attribution.gradient import Gradient
from actmax.engine.analyses.attribution.integrated_gradients import IntegratedGradients
from actmax.engine.analyses.attribution.smoothgrad import SmoothGrad
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from attributed import IMAGE, UNITS, ask, attributed, drawn, images, network


@pytest.mark.parametrize("name", ["cnn", "vit"])
def test_they_equal_captums_on_a_class(name):
    target, x = network(name), images(2)
    net, absent = target.module, torch.full_like(x, 0.5)
    question = ask(target, UNITS[name][0], x)
    saliency = attr.Saliency(net).attribute(x.clone().requires_grad_(), target=3, abs=False)
    assert torch.equal(attributed(Gradient(), question)[0], saliency)
    path = attr.IntegratedGradients(net).attribute(x, baselines=absent, target=3, n_steps=20)
    assert torch.allclose(attributed(IntegratedGradients(IntegratedGradients.Options(steps=20)), question)[0], path, atol=1e-6)


def test_integrated_gradients_complete():
    target, x = network("vit"), images(2)
    question, method = ask(target, UNITS["vit"][1], x), IntegratedGradients(IntegratedGradients.Options(steps=100))
    total = attributed(method, question).flatten(2).sum(2)
    assert torch.allclose(total, method.expected_sum(question, question.reader.responses(question.stimuli)), rtol=2e-2)


def test_smoothgrad_equals_captums_with_the_same_noise():
    target, x = network("cnn"), images(2)
    random = torch.get_rng_state()
    found = attributed(SmoothGrad(SmoothGrad.Options(samples=6, noise=0.2)), ask(target, "fc[3]", x, seed=5))[0]
    assert torch.equal(torch.get_rng_state(), random)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tunnel = attr.NoiseTunnel(attr.Saliency(target.module))
        told: Any = tunnel.attribute(
            x.clone(), nt_type="smoothgrad", nt_samples=6, nt_samples_batch_size=6, stdevs=0.2, abs=False, target=3
        )
    assert torch.allclose(found, told, atol=1e-6)


def test_the_gradient_is_the_networks_own_where_a_search_would_be_helped_out():
    dead = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 2))
    nn.init.constant_(dead.get_parameter("0.bias"), -100.0)
    target = ModuleTarget(dead.eval(), StimulusSpec((3, 8, 8)))
    x = images(2, spec=target.stimulus).requires_grad_()
    (helped,) = torch.autograd.grad(target.respond(x, ["3"])["3"].sum(), x)
    assert helped.abs().sum() > 0
    assert attributed(Gradient(), ask(target, "3[0]", x.detach())).abs().sum() == 0


def test_time_steps_of_a_spiking_network_add_up_to_its_count():
    target = network("snn")
    question = ask(target, "lif_out", images(1))
    whole = attributed(Gradient(), question)
    assert whole.abs().sum() > 0
    frames = [attributed(Gradient(), replace(question, reader=replace(question.reader, step=step))) for step in range(5)]
    assert torch.allclose(torch.stack(frames).sum(0), whole, atol=1e-5)


def test_a_unit_that_the_stimuli_do_not_reach_has_a_gradient_of_zero():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.live, self.fixed = nn.Flatten(), nn.Identity()

        def forward(self, x):
            return self.live(x) + self.fixed(torch.ones(len(x), 1))

    target = ModuleTarget(drawn(Constant()), IMAGE)
    assert attributed(Gradient(), ask(target, "fixed[0]", images(2))).abs().sum() == 0
