"""How many stimuli go through a target at once."""

import torch
from torch import nn

import toy_lab
from actmax.engine.build import check
from actmax.engine.evaluation import packing
from actmax.engine.evaluation.evaluator import EvaluationSetup
from actmax.engine.evaluation.loop import Loop
from actmax.engine.evaluation.packing import MOST_STIMULI, pass_size
from actmax.engine.run import searches_of
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from jobs import ALLOWED, job


def test_small_targets_take_the_most():
    assert pass_size(toy_lab.network(), StimulusSpec((3, 6, 6)), "cpu") == MOST_STIMULI


def test_large_ones_as_many_as_fit():
    layers = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.AdaptiveAvgPool2d(1))
    spec = StimulusSpec((3, 224, 224))
    target = ModuleTarget(layers, spec)
    size = pass_size(target, spec, "cpu")
    one = 4 * (3 * 64 * 224 * 224 + 64)
    assert size * one <= packing.CPU_BYTES
    assert packing.CPU_BYTES / one / size < 1.2


def test_at_least_one_goes_through(monkeypatch):
    monkeypatch.setattr(packing, "CPU_BYTES", 10)
    assert pass_size(toy_lab.network(), StimulusSpec((3, 6, 6)), "cpu") == 1


def test_a_job_keeps_to_it_and_finds_the_same(monkeypatch):
    checked = check(job(optimizer={"name": "adam", "options": {"batch": 5}}, units=["4[*]"]), allow_imports=ALLOWED)
    seen: list[int] = []
    respond = checked.target.respond

    def counted(stimuli, layers):
        seen.append(len(stimuli))
        return respond(stimuli, layers)

    monkeypatch.setattr(checked.target, "respond", counted)
    searches = searches_of(checked)
    asked = [(search, search.ask()) for search in searches]
    whole = Loop(EvaluationSetup(checked.generator, checked.target), searches).measure(asked)
    assert seen == [sum(len(latents) for _, latents in asked)]
    seen.clear()
    monkeypatch.setattr(packing, "CPU_BYTES", 3 * 4 * _values(checked.target))
    parts = Loop(EvaluationSetup(checked.generator, checked.target), searches).measure(asked)
    assert max(seen) == 3
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def _values(target) -> int:
    return sum(torch.Size(layer.shape).numel() for layer in target.layers()) + 4 * torch.Size(target.stimulus.shape).numel()
