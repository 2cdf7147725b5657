"""Transformations in job files and on the wire: the same for whoever reads them."""

import pytest

from actmax.client.jobs import jobfile
from actmax.client.jobs.jobfile import InvalidJobFile
from actmax.engine.spec import JobSpec, TransformationsSpec
from actmax.server.messages.specs import plain

JOB = "generator: fourier\ntarget: cifar10-cnn\nunits: fc[3]\nbudget: {evaluations: 10}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("transformations: lucid", {"preset": "lucid"}),
        ("transformations: {preset: maco, samples: 16}", {"preset": "maco", "samples": 16}),
        ("transformations: {steps: roll}", {"steps": [{"name": "roll"}]}),
        (
            "transformations:\n  steps: [pad, {name: jitter, options: {pixels: 3}}]\n  samples: 2",
            {"steps": [{"name": "pad"}, {"name": "jitter", "options": {"pixels": 3}}], "samples": 2},
        ),
    ],
)
def test_the_engine_reads_what_the_file_says(text, expected):
    spec = jobfile.loads(JOB + text).spec
    assert JobSpec.parse(plain(spec)).transformations == TransformationsSpec.model_validate(expected)
    assert jobfile.loads(jobfile.dumps(spec)).spec == spec


def test_a_job_without_has_none():
    assert JobSpec.parse(plain(jobfile.loads(JOB).spec)).transformations is None


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("transformations: {samples: 3.5}", "transformations.samples", "whole number"),
        ("transformations: {samples: 3000000000}", "transformations.samples", "below 2^31"),
        ("transformations: {step: roll}", "transformations.step", "did you mean steps"),
        ("transformations: {steps: [{nam: roll}]}", "transformations.steps[0].nam", "did you mean name"),
        ("transformations: 3", "transformations", "expected fields"),
    ],
)
def test_what_is_wrong_is_told_by_field_and_line(text, field, says):
    with pytest.raises(InvalidJobFile) as caught:
        jobfile.loads(JOB + text)
    (violation,) = caught.value.violations
    assert violation.field == field
    assert says in violation.description
    assert "line 5" in violation.description
