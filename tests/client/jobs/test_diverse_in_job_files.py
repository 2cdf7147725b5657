import pytest

from actmax.client.jobs import jobfile
from actmax.client.jobs.results import table
from actmax.engine.spec import JobSpec
from actmax.server.messages.specs import plain

JOB = """
generator: cifar10-vqvae
target: cifar10-snn
units: lif_out[3]
budget: {evaluations: 100}
"""


@pytest.mark.parametrize(
    ("text", "n", "distance"), [("diverse: 4", 4, 0.5), ("diverse: {n: 3, distance: 0.3}", 3, 0.3), ("diverse:\n  n: 2", 2, 0.5)]
)
def test_a_job_file_and_the_wire_carry_a_diverse_set(text, n, distance):
    spec = jobfile.loads(JOB + text).spec
    for data in (jobfile.to_plain(spec), plain(spec)):
        read = JobSpec.parse(data).diverse
        assert read is not None
        assert (read.n, read.distance) == (n, distance)
    assert jobfile.loads(jobfile.dumps(spec)).spec == spec


def test_it_can_be_set_on_the_command_line():
    assert jobfile.loads(JOB, ["diverse=5"]).spec.diverse.n == 5
    changed = jobfile.loads(JOB + "diverse: 4", ["diverse.distance=0.5"]).spec.diverse
    assert (changed.n, changed.distance) == (4, 0.5)


@pytest.mark.parametrize("text", ["diverse: many", "diverse: {number: 4}", "diverse: true"])
def test_what_is_no_diverse_set_is_refused(text):
    with pytest.raises(jobfile.InvalidJobFile, match="diverse"):
        jobfile.loads(JOB + text)


def test_constraints_on_changes_travel_too():
    spec = jobfile.loads(JOB + "constraints: {max_code_changes: 0.25}").spec
    assert JobSpec.parse(plain(spec)).constraints.max_code_changes == 0.25


def test_the_table_of_results_has_the_further_optima():
    search = {"unit": "lif_out[3]", "optimizer": "adam", "response": 19.0, "optima": [{"response": r} for r in (19.0, 18.5, None)]}
    shown = table({"searches": [search]})
    (cell,) = shown.columns[1].cells
    assert str(cell) == "19\n18.5, -"
    assert "further optima" in str(shown.caption)
