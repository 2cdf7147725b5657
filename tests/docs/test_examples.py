"""Every example job can run."""

from pathlib import Path

import pytest

from actmax.client import jobfile
from actmax.engine.build import check
from actmax.engine.spec import JobSpec

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_job_that_can_run(path):
    job = check(JobSpec.parse(jobfile.to_plain(jobfile.load(path).spec)))
    assert job.searches >= 1
    assert job.spec.title
