import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.function import FunctionTarget, is_estimator
from actmax.models.targets.normalise import Normalise
from actmax.models.targets.testing import check_target

SPEC = StimulusSpec((1, 3, 3))


class Latents(torch.nn.Module):
    def forward(self, x):
        return x.sigmoid().view(-1, 1, 3, 3)


def generator():
    return DecoderGenerator(Latents(), Box((9,), -4, 4))


def moments(stimuli):
    flat = stimuli.reshape(len(stimuli), -1)
    return np.stack([flat.mean(1), flat.std(1)], 1)


def search(target, unit, **changes):
    options = {"shape": [1, 3, 3], **changes}
    return maximize(generator(), target, unit, target_options=options, evaluations=200, prior="none", optimizer="cma", seed=2).searches[0]


@pytest.mark.parametrize("takes", ["numpy", "torch"])
def test_contract(takes):
    functions = {"moments": moments, "first": lambda x: x[:, 0, 0, 0]}
    if takes == "torch":
        functions = {"moments": lambda x: torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1), "first": lambda x: x[:, 0, 0, 0]}
    target = FunctionTarget(functions, SPEC, takes=takes)
    assert [layer.shape for layer in target.layers()] == [(2,), (1,)]
    check_target(target)


def test_a_function_is_asked_with_what_it_says():
    seen = []

    def spoil(stimuli):
        seen.append(stimuli.copy())
        stimuli[:] = 0
        return stimuli.sum((1, 2, 3))

    target = FunctionTarget({"output": spoil}, SPEC, prepare=Normalise((0.5,), (2.0,)))
    stimuli = torch.rand(4, 1, 3, 3)
    kept = stimuli.clone()
    answer = target.respond(stimuli, {"output"})["output"]
    assert torch.equal(stimuli, kept)
    assert torch.equal(answer, torch.zeros(4, 1))
    assert np.allclose(seen[-1], (kept.numpy() - 0.5) / 2)


def test_maximize_takes_a_plain_function():
    result = search(lambda stimuli: -((stimuli - 0.25) ** 2).sum((1, 2, 3)), "output[0]")
    assert result.response > -0.05
    assert np.allclose(result.stimulus, 0.25, atol=0.15)
    named = search(moments, "output[1]", names=["mean", "contrast"])
    assert named.unit_name == "contrast"
    assert named.response > 0.4


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (lambda x, y: LogisticRegression().fit(x, y), ["decision_function", "predict_proba"]),
        (lambda x, y: LogisticRegression().fit(x, y > 0), ["decision_function", "predict_proba"]),
        (lambda x, y: SVC().fit(x, y), ["decision_function"]),
        (lambda x, y: LinearRegression().fit(x, y), ["predict"]),
    ],
)
def test_estimators_answer_what_they_answer_themselves(make, layers):
    rng = np.random.default_rng(0)
    flat = rng.random((90, 9), np.float32)
    estimator = make(flat, (flat[:, 0] > 0.3).astype(int) + (flat[:, 0] > 0.6))
    assert is_estimator(estimator)
    target = FunctionTarget.of_estimator(estimator, SPEC)
    assert [layer.name for layer in target.layers()] == layers
    check_target(target)
    answers = target.respond(torch.from_numpy(flat).view(-1, 1, 3, 3), layers)
    for layer in layers:
        expected = getattr(estimator, layer)(flat)
        assert np.allclose(answers[layer].numpy(), expected.reshape(len(flat), -1), atol=1e-5)


def test_maximize_takes_an_estimator_and_names_its_classes():
    rng = np.random.default_rng(0)
    flat = rng.random((200, 9), np.float32)
    estimator = LogisticRegression(C=100).fit(flat, np.where(flat[:, 4] > 0.5, "bright", "dark"))
    result = search(estimator, "predict_proba[0]")
    assert result.unit_name == "bright"
    assert result.response > 0.95
    assert result.stimulus[0, 1, 1] > 0.6


@pytest.mark.parametrize(
    ("function", "options", "field", "says"),
    [
        (moments, {}, "target.options", "needs stimuli"),
        (moments, {"shape": [1, 3, 3], "colour": 3}, "target.options.colour", "no such option"),
        (moments, {"shape": [9]}, "target.options.shape", "channels"),
        (lambda stimuli: stimuli.sum(), {"shape": [1, 3, 3]}, "target", "a row for each of 2"),
        (lambda stimuli: "words", {"shape": [1, 3, 3]}, "target", ""),
        (lambda stimuli: 1 / 0, {"shape": [1, 3, 3]}, "target", "ZeroDivisionError"),
        (LogisticRegression(), {"shape": [1, 3, 3]}, "target", "LogisticRegression"),
        (LogisticRegression(), {}, "target.options.shape", "required"),
    ],
)
def test_what_does_not_answer_is_refused_by_field(function, options, field, says):
    with pytest.raises(InvalidJob) as caught:
        maximize(generator(), function, "output[0]", target_options=options, evaluations=5)
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert any(key == field and says in text for key, text in found.items()), found


def test_a_function_that_changes_its_mind_is_told():
    target = FunctionTarget({"output": lambda stimuli: np.zeros((len(stimuli), 2 if len(stimuli) == 2 else 3))}, SPEC)
    with pytest.raises(ValueError, match=r"output answered in the shape \(3, 3\) instead of \(3, 2\)"):
        target.respond(torch.rand(3, 1, 3, 3), {"output"})
