"""Functions and classes that make networks, and functions that answer stimuli: in Python and by package:attribute."""

import functools
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from actmax.engine.build import build_generator, build_target, check
from actmax.engine.errors import InvalidJob
from actmax.engine.spec import ComponentSpec, JobSpec
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.permissions import Permissions
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.function import FunctionTarget
from actmax.models.targets.module import ModuleTarget

SHAPE = {"shape": [3, 4, 4]}


class Net(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.width, self.flat, self.head = width, nn.Flatten(), nn.Linear(48, width)

    def forward(self, x):
        return self.head(self.flat(x))


class Loose(Net):
    def __init__(self, **options):
        super().__init__(**options)


def make():
    return Net()


def make_of_options(**options):
    assert options.pop("shape", [3, 4, 4]) == [3, 4, 4]
    return Net(options.get("width", 2))


def make_handing_on(**options):
    return Net(**options)


def make_with_default(width=2):
    return Net(width)


def make_with_need(width):
    return Net(width)


def make_of_shape(shape, width=2):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), width))


def make_target(width=2):
    return ModuleTarget(Net(width), StimulusSpec((3, 4, 4)))


def make_answer():
    return lambda images: images.reshape(len(images), -1)[:, :2]


class Lab:
    def network(self):
        return Net()

    def network_of(self, width=2):
        return Net(width)

    def answer(self, images):
        return images.reshape(len(images), -1)[:, :2]

    def __call__(self, images):
        return images.reshape(len(images), -1)[:, :2]


class Answering:
    def __init__(self, scale=1.0):
        self.scale = scale

    def __call__(self, images):
        return self.scale * images.reshape(len(images), -1)[:, :2]


class Factory:
    def __call__(self, width=2):
        return Net(width)


def answer(images):
    return images.reshape(len(images), -1)[:, :2]


def answer_with_default(images: Any = None):
    return images.reshape(len(images), -1)[:, :2]


def answer_scaled(images, scale=2.0):
    return scale * images.reshape(len(images), -1)[:, :2]


def anything(*args, **kwargs):
    return answer(*args, **kwargs)


def any_maker(*args, **kwargs):
    return Net(*args, **kwargs)


MAKERS = [
    (make, {}),
    (lambda: Net(), {}),
    (make_of_options, {}),
    (make_of_options, {"width": 2}),
    (make_handing_on, {"width": 2}),
    (make_handing_on, {}),
    (make_with_default, {}),
    (make_with_default, {"width": 2}),
    (make_with_need, {"width": 2}),
    (make_of_shape, {}),
    (functools.partial(make_with_need, 2), {}),
    (functools.partial(make_with_need, width=2), {}),
    (Net, {}),
    (Net, {"width": 2}),
    (Loose, {"width": 2}),
    (functools.partial(Net, 2), {}),
    (Lab().network, {}),
    (Lab().network_of, {"width": 2}),
    (Factory(), {"width": 2}),
    (Factory(), {}),
    (any_maker, {"width": 2}),
    (any_maker, {}),
]


@pytest.mark.parametrize(("maker", "options"), MAKERS)
def test_what_makes_a_network_is_a_target(maker, options):
    names = {"names": ["a", "b"], "mean": [0.5]}
    target = check(job({**SHAPE, **options, **names}), given={"mine": maker}).target
    assert isinstance(target, ModuleTarget)
    assert target.stimulus.shape == (3, 4, 4)
    assert target.layers()[-1].shape == (2,)
    assert target.unit_name("output", (1,)) == "b"


def job(options, **changes):
    plain = {"generator": {"name": "pixel"}, "target": {"name": "mine", "options": options}, "units": ["output[0]"]}
    return JobSpec.parse({**plain, "budget": {"evaluations": 5}, "optimizer": {"name": "random"}, **changes})


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (answer, {}),
        (lambda images: images.mean((1, 2, 3)), {}),
        (answer_with_default, {}),
        (answer_scaled, {}),
        (functools.partial(answer_scaled, scale=3.0), {}),
        (Lab().answer, {}),
        (Lab(), {}),
        (anything, {}),
        (Answering, {"scale": 2.0}),
        (Answering, {}),
        (make_answer, {}),
    ],
)
def test_what_answers_stimuli_goes_on_answering(function, options):
    target = check(job({**SHAPE, **options}), given={"mine": function}).target
    assert isinstance(target, FunctionTarget)
    assert target.respond(torch.rand(2, 3, 4, 4), {"output"})["output"].shape[0] == 2


@pytest.mark.parametrize(
    ("found", "options", "field", "says"),
    [
        (make, {}, "target.options.shape", "required"),
        (make, {**SHAPE, "width": 3}, "target.options.width", "make takes none"),
        (make_with_default, {**SHAPE, "witdh": 3}, "target.options.witdh", "did you mean width"),
        (make_with_need, {}, "target.options", "give width in its options; for one that answers stimuli, give shape"),
        (make_with_need, SHAPE, "target", "to have it make the target, give width in the options"),
        (answer, {}, "target.options", "for one that answers stimuli, give shape"),
        (anything, {}, "target", "calling"),
        (lambda: None, SHAPE, "target", "made nothing"),
        (lambda: Net, SHAPE, "target", "made a Net class"),
        (lambda: (Net(), "transform"), SHAPE, "target", "made a tuple"),
        (lambda: 1 / 0, SHAPE, "target", "ZeroDivisionError"),
        (make_target, {"width": 2, **SHAPE}, "target.options", "ready made"),
        (make_target(), SHAPE, "target.options", "ready made"),
        (5, SHAPE, "target", "int is none"),
    ],
)
def test_what_is_neither_is_refused_with_what_to_write(found, options, field, says):
    with pytest.raises(InvalidJob) as caught:
        check(job(options), given={"mine": found})
    told = {violation.field: violation.description for violation in caught.value.violations}
    assert field in told, told
    assert says in told[field], told


def test_a_maker_of_a_whole_target_needs_no_shape():
    assert check(job({"width": 2}), given={"mine": make_target}).target.layers()[-1].shape == (2,)


@pytest.mark.parametrize("name", ["make", "make_of_options", "make_with_default", "Net", "answer"])
def test_the_same_from_a_job_file(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "brought_lab", types.SimpleNamespace(**globals()))
    target = build_target(ComponentSpec(name=f"brought_lab:{name}", options=SHAPE), permissions=Permissions(imports=("brought_lab",)))
    assert target.layers()[-1].shape == (2,)


class Decoder(nn.Module):
    def __init__(self, size=4):
        super().__init__()
        self.size, self.linear = size, nn.Linear(8, 3 * size * size)

    def forward(self, z):
        return self.linear(z).sigmoid().unflatten(1, (3, self.size, self.size))


@pytest.mark.parametrize(
    ("maker", "options"),
    [
        (Decoder, {}),
        (Decoder, {"size": 4}),
        (lambda: Decoder(), {}),
        (lambda **options: Decoder(**options), {"size": 4}),
        (functools.partial(Decoder, 4), {}),
        (Decoder(), {}),
    ],
)
def test_what_makes_a_decoder_is_a_generator(maker, options):
    component = ComponentSpec(name="mine", options={"latent": [8], "high": 2, **options})
    generator = build_generator(component, None, given={"mine": maker})
    assert isinstance(generator, DecoderGenerator)
    assert (generator.latent, generator.stimulus.shape) == (Box((8,), -3, 2), (3, 4, 4))


def test_a_function_of_latents_is_no_generator():
    with pytest.raises(InvalidJob, match="makes no generator without z"):
        build_generator(ComponentSpec(name="mine", options={"latent": [8]}), None, given={"mine": lambda z: z})


def test_making_networks_leaves_random_state():
    before = torch.random.get_rng_state()
    check(job(SHAPE), given={"mine": make})
    assert torch.equal(torch.random.get_rng_state(), before)
