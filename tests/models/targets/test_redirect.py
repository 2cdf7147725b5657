import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.redirect import Rectifier, redirecting, watching
from actmax.models.targets.testing import check_target, check_unchanged, state_of

SPEC = StimulusSpec((1, 2, 2))


class Dead(nn.Module):
    """One ReLU unit that is off on grey, and for most of the box; on where the weighted sum passes 1.5."""

    def __init__(self, functional: bool = False, inplace: bool = False):
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.relu = nn.ReLU(inplace)
        self.functional = functional
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[1.0, 2.0, -1.0, 0.5], [-1.0, -1.0, -1.0, -1.0]]))
            self.linear.bias.copy_(torch.tensor([-2.5, -1.0]))

    def forward(self, x):
        x = self.linear(x.flatten(1))
        return F.relu(x) if self.functional else self.relu(x)


def slope(target, stimuli, weights):
    leaf = stimuli.clone().requires_grad_()
    answer = target.respond(leaf, {"output"})["output"]
    return torch.autograd.grad((answer * torch.tensor(weights)).sum(), leaf)[0]


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("redirect", ["dead", 16])
def test_a_dead_unit_gets_the_gradient_of_its_input(functional, inplace, redirect):
    network = Dead(functional, inplace)
    before = state_of(network)
    grey = torch.full((1, 1, 2, 2), 0.5)
    assert slope(ModuleTarget(network, SPEC, redirect=0), grey, [1.0, 0.0]).abs().sum() == 0
    found = slope(ModuleTarget(network, SPEC, redirect=redirect), grey, [3.0, 0.0])
    assert torch.equal(found.flatten(), 3 * network.linear.weight[0])
    # a score that falls with the unit is at its best already
    assert slope(ModuleTarget(network, SPEC, redirect=redirect), grey, [-1.0, 0.0]).abs().sum() == 0
    check_unchanged(network, before)
    check_target(ModuleTarget(network, SPEC, redirect=redirect))


def test_only_stimuli_without_any_gradient_are_redirected():
    torch.manual_seed(0)
    network = Dead()
    stimuli = torch.stack([torch.full((1, 2, 2), 0.5), torch.ones(1, 2, 2), torch.tensor([[[0.2, 0.9], [0.1, 0.1]]])])
    stimuli[1, 0, 1, 0] = 0
    plain = slope(ModuleTarget(network, SPEC, redirect=0), stimuli, [1.0, 1.0])
    found = slope(ModuleTarget(network, SPEC), stimuli, [1.0, 1.0])
    alive = plain.flatten(1).any(1)
    assert alive.tolist() == [False, True, False]
    assert torch.equal(found[alive], plain[alive])
    assert torch.equal(found[0].flatten(), network.linear.weight.sum(0))
    # a row that was not scored is not asked for
    leaf = stimuli.clone().requires_grad_()
    answer = ModuleTarget(network, SPEC).respond(leaf, {"output"})["output"]
    (found,) = torch.autograd.grad(answer[1:, 0].sum(), leaf)
    assert found[0].abs().sum() == 0
    assert torch.equal(found[2].flatten(), network.linear.weight[0])


def test_two_backward_passes_of_one_answer_do_not_mix():
    network = Dead()
    target = ModuleTarget(network, SPEC)
    leaf = torch.full((1, 1, 2, 2), 0.5, requires_grad=True)
    answer = target.respond(leaf, {"output", "linear"})
    (first,) = torch.autograd.grad(answer["output"][:, 0].sum(), leaf, retain_graph=True)
    (second,) = torch.autograd.grad(answer["linear"][:, 1].sum(), leaf, retain_graph=True)
    (third,) = torch.autograd.grad(2 * answer["output"][:, 0].sum(), leaf)
    weight = network.linear.weight
    assert torch.equal(first.flatten(), weight[0])
    assert torch.equal(second.flatten(), weight[1])
    assert torch.equal(third.flatten(), 2 * weight[0])


def test_passes_are_counted_by_trials():
    target = ModuleTarget(Dead(), SPEC, redirect=2)
    grey = torch.full((3, 1, 2, 2), 0.5)
    moved = [bool(slope(target, grey, [1.0, 0.0]).any()) for _ in range(4)]
    assert moved == [True, True, False, False]
    target.begin(0, 3)
    assert bool(slope(target, grey, [1.0, 0.0]).any())
    target.begin(0, 6)
    assert not bool(slope(target, grey, [1.0, 0.0]).any())


@pytest.mark.parametrize(
    ("call", "low", "high"),
    [
        (torch.relu, 0.0, float("inf")),
        (lambda x: x.relu(), 0.0, float("inf")),
        (lambda x: F.relu(input=x), 0.0, float("inf")),
        (lambda x: (x * 1).relu_(), 0.0, float("inf")),
        (nn.ReLU6(), 0.0, 6.0),
        (F.relu6, 0.0, 6.0),
        (nn.ReLU6(inplace=True), 0.0, 6.0),
        (nn.Hardtanh(-2, 3), -2.0, 3.0),
        (nn.Hardswish(), -3.0, float("inf")),
        (nn.GELU(), 0.0, float("inf")),
    ],
)
def test_each_rectifier_in_closed_form(call, low, high):
    shift = torch.tensor([-30.0, -40.0, -30.0])
    flat = torch.zeros(2, 3) + shift
    flat[1] = shift if high == float("inf") else torch.tensor([90.0, -40.0, 90.0])
    outer = torch.tensor([[1.0, -1.0, 2.0], [-1.0, 1.0, 3.0]])
    leaf = flat.clone().requires_grad_()
    with redirecting(2):
        answer = call(leaf * 1)
    with torch.no_grad():
        assert torch.equal(answer, call(flat.clone()))
    (found,) = torch.autograd.grad((answer * outer).sum(), leaf)
    useless = ((flat < low) & (outer < 0)) | ((flat > high) & (outer > 0))
    assert torch.equal(found, outer.masked_fill(useless, 0))
    # between the flats it is the true one
    live = torch.tensor([[0.5, -40.0, -30.0], [-30.0, 1.5, 2.5]]).requires_grad_()
    with redirecting(2):
        answer = call(live * 1)
    (found,) = torch.autograd.grad((answer * outer).sum(), live)
    (true,) = torch.autograd.grad((call(live * 1) * outer).sum(), live)
    assert torch.equal(found, true)


def test_a_tensor_without_a_row_for_each_stimulus_counts_as_a_whole():
    relu = Rectifier(torch.relu)
    x, outer = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]]), torch.ones(4, 2)
    assert torch.equal(relu.gradient(x, outer, 4), torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]))
    assert torch.equal(relu.gradient(x, outer, 2), (x > 0).float())


def test_nothing_outlives_the_block():
    x = torch.full((1, 2), -1.0, requires_grad=True)
    with redirecting(1), watching() as seen:
        torch.relu(x)
        F.relu(x)
        assert seen() == 2
    (found,) = torch.autograd.grad(torch.relu(x).sum(), x)
    assert not bool(found.any())


class Rim(nn.Module):
    """Latents to 2 × 2 images around grey."""

    def forward(self, x):
        return (0.5 + x / 2).view(-1, 1, 2, 2)


def searched(redirect):
    """Return the result of a search whose latents all begin where the unit's rectifiers are off."""
    generator = DecoderGenerator(Rim(), Box((4,), -1, 1), SPEC, bank=torch.zeros(4, 4))
    return maximize(
        generator,
        ModuleTarget(Dead(), SPEC, redirect=redirect),
        "output[0]",
        optimizer="adam",
        optimizer_options={"batch": 1},
        evaluations=120,
        seed=1,
    )


@pytest.mark.parametrize("redirect", ["dead", 16])
def test_a_search_escapes_a_dead_start(redirect):
    assert searched(redirect).searches[0].response > 0.5


def test_a_search_that_nothing_redirects_is_refused_where_the_gradient_is_zero():
    with pytest.raises(InvalidJob, match="the gradient is zero on 19 stimuli"):
        searched(0)
