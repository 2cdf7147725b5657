import numpy as np
import pytest
import torch
from torch import nn

from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.run import Suspended, run_job
from actmax.engine.spec import JobSpec
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.module import ModuleTarget

SERIES = nn.Sequential(nn.Conv1d(2, 3, 5), nn.Flatten(), nn.Linear(48, 2))
GREY = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 4 * 10, 2))


def generator(shape, low=0.0, high=1.0):
    class Latents(nn.Module):
        def forward(self, x):
            return (x.view(-1, *shape).sigmoid() * (high - low)) + low

    spec = StimulusSpec(shape, low, high, "image" if len(shape) == 3 else "series")
    return DecoderGenerator(Latents(), Box((int(np.prod(shape)),), -3, 3), spec)


def spec(options, budget=20, **changes):
    return JobSpec.parse(
        {
            "generator": {"name": "mine"},
            "target": {"name": "net", "options": options},
            "units": ["output[0]"],
            "optimizer": {"name": "random"},
            "budget": {"evaluations": budget},
            "prior": "none",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("network", "options", "expected"),
    [
        (SERIES, {"shape": [2, 20], "low": -1, "high": 1}, StimulusSpec((2, 20), -1, 1, "series")),
        (SERIES, {"shape": [2, 20], "modality": "series"}, StimulusSpec((2, 20), 0, 1, "series")),
        (GREY, {"shape": [1, 6, 12], "modality": "image", "mean": [0.4], "std": [0.2], "names": ["a", "b"]}, StimulusSpec((1, 6, 12))),
    ],
)
def test_modules_of_any_shape_become_targets(network, options, expected):
    given = {"net": network, "mine": generator(expected.shape, expected.low, expected.high)}
    job = check(spec(options), given=given)
    assert job.target.stimulus == expected
    assert job.searches == 1
    stimuli = torch.rand(2, *expected.shape)
    shown = (stimuli - 0.4) / 0.2 if "mean" in options else stimuli
    assert torch.allclose(job.target.respond(stimuli, {"output"})["output"], network(shown), atol=1e-5)
    assert job.unit_name(job.units[0]) == ("a" if "names" in options else "")


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"shape": [2, 20], "modality": "image"}, "target.options.modality", "2 dimensions is no image"),
        ({"shape": [2, 20], "low": 1, "high": 1}, "target.options.high", "above low"),
        ({"shape": [2, 20], "modality": "sound"}, "target.options.modality", "'image' or 'series'"),
        ({"shape": [2]}, "target.options.shape", "channels"),
        ({"shape": [2, 20], "std": [1.0, 0.0]}, "target.options.std", "positive"),
        ({"shape": [2, 20], "mean": [1.0, 0.0, 2.0]}, "target.options.mean", "3 values for 2 channels"),
        ({"shape": [2, 20], "redirect": -1}, "target.options.redirect", "0"),
        ({"shape": [2, 20], "redirect": "always"}, "target.options.redirect", "dead"),
        ({"shape": [2, 21]}, "target", "does not take stimuli of series 2 × 21"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_field(options, field, says):
    with pytest.raises(InvalidJob) as caught:
        check(spec(options), given={"net": SERIES, "mine": generator((2, 20))})
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert any(key.startswith(field) and says in text for key, text in found.items()), found


class Dead(nn.Module):
    """A unit that no grey image switches on."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 1)
        with torch.no_grad():
            self.linear.weight.copy_(torch.linspace(-1, 1, 16)[None])
            self.linear.bias.fill_(-3.0)

    def forward(self, x):
        return torch.relu(self.linear(x.flatten(1)))


@pytest.mark.parametrize("redirect", ["dead", 6])
def test_a_redirected_search_resumes_bit_for_bit(tmp_path, redirect):
    def run(folder, stops):
        given = {"net": ModuleTarget(Dead(), StimulusSpec((1, 4, 4)), redirect=redirect), "mine": generator((1, 4, 4))}
        job = spec({}, 120, optimizer={"name": "adam", "options": {"batch": 2, "learning_rate": 0.2}}, seed=4)
        while True:
            left = iter(range(stops))
            try:
                return run_job(
                    job, tmp_path / folder, given=given, should_stop=lambda left=left: "suspend" if next(left, None) is None else ""
                )
            except Suspended:
                given["net"] = ModuleTarget(Dead(), StimulusSpec((1, 4, 4)), redirect=redirect)

    whole, stopped = run("whole", 10**6).searches[0], run("stopped", 4).searches[0]
    assert whole.response > 0.5
    assert np.array_equal(whole.scores, stopped.scores)
    assert np.array_equal(whole.latent, stopped.latent)
