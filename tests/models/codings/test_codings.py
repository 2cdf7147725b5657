"""Codings of spiking networks: the built-in ones, and what a target makes of others' words about theirs."""

from __future__ import annotations

from typing import Any, Self

import pytest
import snntorch as snn
import torch
from pydantic import BaseModel, ValidationError
from snntorch import spikegen
from torch import Tensor, nn

from actmax.engine.build import check, describe_target
from actmax.engine.errors import InvalidJob
from actmax.engine.spec import ComponentSpec, JobSpec
from actmax.models.codings.coding import Coding, Presentation, coding_of
from actmax.models.codings.testing import check_coding
from actmax.models.components import Named, entries
from actmax.models.options import InvalidOption
from actmax.models.permissions import NOTHING, PERMISSIONS
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.spiking import SpikingOptions, SpikingTarget
from actmax.models.targets.testing import check_target

IMAGE = StimulusSpec((3, 12, 12))
STEPS = 7


def coded(name: str, stimulus: StimulusSpec, steps: int, seed: int = 0) -> Coding:
    return coding_of(name, Presentation(stimulus, steps, seed))


def stimuli(n: int = 4, seed: int = 0) -> Tensor:
    return torch.rand(n, *IMAGE.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("name", entries("coding"))
def test_built_in_codings_keep_the_contract(name: str, steps: int) -> None:
    check_coding(coded(name, IMAGE, steps), Presentation(IMAGE, steps))
    series = StimulusSpec((2, 30), -1.0, 3.0, "series")
    check_coding(coded(name, series, steps), Presentation(series, steps))


def test_rate_coding_is_the_same_every_time_and_follows_the_seed() -> None:
    x = stimuli(3)
    first = coded("rate", IMAGE, 50, seed=3)(x)
    assert torch.equal(first, coded("rate", IMAGE, 50, seed=3)(x))
    assert torch.equal(first[:, 1:2], coded("rate", IMAGE, 50, seed=3)(x[1:2]))
    assert not torch.equal(first, coded("rate", IMAGE, 50, seed=4)(x))
    assert set(first.unique().tolist()) == {0.0, 1.0}
    many = coded("rate", IMAGE, 4000, seed=0)(x[:1])
    assert (many.mean(0) - x[:1]).abs().max() < 5 * 0.5 / 4000**0.5
    x.requires_grad_()
    coded("rate", IMAGE, 50)(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 50.0))


@pytest.mark.parametrize("steps", [1, 2, 7, 128])
def test_latency_coding_is_snntorchs(steps: int) -> None:
    x = torch.cat([stimuli(3), torch.zeros(1, *IMAGE.shape), torch.ones(1, *IMAGE.shape)])
    spikes = coded("latency", IMAGE, steps)(x)
    assert torch.equal(spikes.sum(0), torch.ones_like(x))
    if steps > 1:
        assert torch.equal(spikes, spikegen.latency(x, num_steps=steps, normalize=True, linear=True))  # pyright: ignore[reportArgumentType]


def test_latency_coding_has_the_gradient_of_a_moved_spike() -> None:
    x = torch.tensor([0.33, 0.52, 0.005, 0.9]).view(1, 1, 2, 2).requires_grad_()
    spikes = coded("latency", StimulusSpec((1, 2, 2)), 11)(x)
    value = torch.arange(11.0).square()
    (spikes * value.view(-1, 1, 1, 1, 1)).sum().backward()
    # times 6.7, 4.8, (clipped), 1.0: the difference of the values of the neighbouring steps, ten steps to the unit
    torch.testing.assert_close(x.grad, torch.tensor([-130.0, -90.0, 0.0, -30.0]).view(1, 1, 2, 2), atol=20.1, rtol=0)
    assert x.grad is not None
    torch.testing.assert_close(x.grad.flatten()[:3], torch.tensor([-130.0, -90.0, 0.0]))


class Made:
    """What the codings below share."""

    class Options(BaseModel):
        pass

    binary, constant, differentiable = False, False, True

    def __init__(self, presentation: Presentation) -> None:
        self.steps = presentation.steps

    @classmethod
    def from_options(cls, options: Options, presentation: Presentation) -> Self:
        return cls(presentation)

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        return torch.stack([stimuli * (t + 1) / self.steps for t in range(self.steps)])


class Ramp(Made):
    """A current that grows."""


class Halves(Made):
    """Bright pixels, at every step the same, as spikes without a gradient."""

    binary, constant, differentiable = True, True, False

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        return (stimuli.detach() > 0.5).to(stimuli)


class OnOff(Made):
    """Channels for bright and for dark, alternating: another shape than the stimulus's."""

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        even = torch.cat([stimuli, 1 - stimuli], 1)
        return torch.stack([even if t % 2 == 0 else even.flip(1) for t in range(self.steps)])


class Blinks(Made):
    """Spikes at every other step."""

    binary, differentiable = True, False

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        spikes = (stimuli.detach() > 0.5).to(stimuli)
        return torch.stack([spikes * (t % 2) for t in range(self.steps)])


OWN: dict[str, type[Made]] = {"ramp": Ramp, "halves": Halves, "on and off": OnOff, "blinks": Blinks}


def network(channels: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(channels, 40, 3), nn.AvgPool2d(2), snn.Leaky(beta=0.8), nn.Flatten(), nn.Linear(1000, 5), snn.Leaky(beta=0.7)
        )
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=2.5 / parameter[0].numel() ** 0.5)
    return model.double()


@pytest.mark.parametrize("name", OWN)
def test_ones_own_coding_gets_what_the_plain_loop_gives(name: str) -> None:
    presentation = Presentation(IMAGE, STEPS)
    coding, model = OWN[name](presentation), network(6 if name == "on and off" else 3)
    check_coding(coding, presentation)
    fast, plain = (SpikingTarget(model, IMAGE, steps=STEPS, coding=coding, plain=plain) for plain in (False, True))
    assert fast.layer_by_layer
    check_target(fast)
    layers = [layer.name for layer in fast.layers()]
    found, expected = fast.respond(stimuli(), layers), plain.respond(stimuli(), layers)
    assert fast.notices == plain.notices == ()
    assert any(bool((expected[layer] != 0).any()) for layer in ("2", "5"))
    for layer in layers:
        torch.testing.assert_close(found[layer], expected[layer], rtol=1e-5, atol=1e-5)
    assert fast.differentiable == coding.differentiable


def test_a_binary_constant_coding_uses_the_tables_only_over_time() -> None:
    """Before the first neuron a constant input is computed once, whatever it is; the same spikes over time are looked up."""
    model = nn.Sequential(nn.Conv2d(8, 40, 3), snn.Leaky(beta=0.5), nn.Flatten(), nn.Linear(40 * 16, 3), snn.Leaky(beta=0.5))
    spec = StimulusSpec((8, 6, 6))
    shown = torch.rand(3, *spec.shape, generator=torch.Generator().manual_seed(0))
    for coding in (Halves(Presentation(spec, STEPS)), Blinks(Presentation(spec, STEPS))):
        fast, plain = (SpikingTarget(model, spec, steps=STEPS, coding=coding, plain=plain) for plain in (False, True))
        with torch.inference_mode():
            found, expected = fast.respond(shown, ["0", "4"]), plain.respond(shown, ["0", "4"])
        torch.testing.assert_close(found["0"], expected["0"], rtol=1e-4, atol=1e-5)


class Grey(Ramp):
    """A coding whose word is not kept."""

    binary = True


class Short(Ramp):
    """One that forgets a step."""

    def __call__(self, stimuli: Tensor, /) -> Tensor:
        return super().__call__(stimuli)[1:]


@pytest.mark.parametrize(("kind", "match"), [(Grey, "says that it is binary"), (Short, "has to begin with")])
def test_a_coding_that_does_not_keep_its_word_is_refused(kind: type[Made], match: str) -> None:
    coding = kind(Presentation(IMAGE, STEPS))
    with pytest.raises(ValueError, match=match):
        check_coding(coding, Presentation(IMAGE, STEPS))
    with pytest.raises(ValueError, match=match):
        SpikingTarget(network(3), IMAGE, steps=STEPS, coding=coding)


def test_names_and_options() -> None:
    for given in ("latency", {"name": "latency", "options": {"darkest": 0.5}}):
        coding = coding_of(SpikingOptions.model_validate({"coding": given}).coding, Presentation(IMAGE, STEPS))
        spikes = coding(torch.full((1, *IMAGE.shape), 0.2))
        assert int(spikes.argmax(0).max()) == (3 if isinstance(given, dict) else 5)
    drawn = [coding_of(Named(name="rate", options=options), Presentation(IMAGE, STEPS, seed=2))(stimuli()) for options in ({}, {"seed": 3})]
    assert not torch.equal(*drawn)
    assert torch.equal(drawn[1], coded("rate", IMAGE, STEPS, seed=3)(stimuli()))
    for wrong, match in (
        ("ratee", "did you mean rate"),
        ({"name": "rate", "options": {"sed": 1}}, "options.sed"),
        ({"name": "latency", "options": {"darkest": 2}}, "less than 1"),
        ({"name": "json:loads"}, "is no coding"),
    ):
        with pytest.raises(ValidationError, match=match):
            SpikingOptions.model_validate({"coding": wrong})
    with pytest.raises(InvalidOption, match="did you mean rate"):
        coding_of("ratee", Presentation(IMAGE, STEPS))


def test_the_options_schema_takes_names_too() -> None:
    kinds = SpikingOptions.model_json_schema()["properties"]["coding"]["anyOf"]
    assert {kind.get("type", "object") for kind in kinds} == {"string", "object"}


def test_an_import_has_to_be_allowed() -> None:
    named: dict[str, Any] = {"coding": f"{__name__}:Ramp"}
    with pytest.raises(ValidationError, match="allow-import"):
        SpikingOptions.model_validate(named, context={PERMISSIONS: NOTHING})
    with pytest.raises(InvalidJob, match="allow-import") as refused:
        describe_target(ComponentSpec(name="cifar10-snn", options={"coding": "json.decoder:JSONDecoder"}))
    assert refused.value.violations[0].field == "target.options.coding"


def test_a_job_names_a_coding() -> None:
    job: dict[str, Any] = {
        "generator": {"name": "pixel"},
        "target": {"name": "cifar10-snn", "options": {"steps": 4, "coding": {"name": "rate", "options": {"seed": 5}}}},
        "units": ["lif_out[0]"],
        "optimizer": {"name": "random"},
        "budget": {"evaluations": 10},
    }
    target = check(JobSpec.parse(job)).target
    assert isinstance(target, SpikingTarget)
    assert target.coding.binary
    shown = torch.rand(1, 3, 32, 32)
    expected = coding_of(Named(name="rate", options={"seed": 5}), Presentation(target.stimulus, 4))(shown)
    assert torch.equal(target.coding(shown), expected)
    job["target"]["options"]["coding"] = "rates"
    with pytest.raises(InvalidJob, match="did you mean rate") as refused:
        check(JobSpec.parse(job))
    assert refused.value.violations[0].field == "target.options.coding"
