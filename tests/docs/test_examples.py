"""Every example job can run."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actmax.client.jobs import jobfile
from actmax.engine.build import check
from actmax.engine.run import execute, searches_of
from actmax.engine.spec import BudgetSpec, JobSpec

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_job_that_runs(path):
    checked = check(JobSpec.parse(jobfile.to_plain(jobfile.load(path).spec)))
    assert checked.searches >= 1
    assert checked.spec.title
    brief = checked.spec.model_copy(update={"budget": BudgetSpec(evaluations=8 if "diverse" in path.stem else 2)})
    # the first and the last unit: the others differ by their number
    job = replace(checked, spec=brief, units=[checked.units[0], *checked.units[-1:]][: len(checked.units)])
    result = execute(job, searches_of(job))
    assert len(result.searches) == job.searches
    for search in result.searches:
        assert np.isfinite(search.response)
        assert search.stimulus.shape == job.target.stimulus.shape
        assert search.stimulus.min() >= job.target.stimulus.low
        assert search.stimulus.max() <= job.target.stimulus.high


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_its_own_command(path):
    text = path.read_text()
    for named in re.findall(r"actmax run (examples/\S+\.yaml)", text):
        assert Path(__file__).parents[2] / named == path
