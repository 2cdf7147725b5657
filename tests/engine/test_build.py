import pytest

from actmax.engine.build import check
from actmax.engine.components.registry import components
from actmax.engine.errors import InvalidJob
from actmax.engine.spec import JobSpec
from actmax.models.components import KINDS
from jobs import ALLOWED, job


def refused(changes, allow_imports=ALLOWED) -> dict[str, str]:
    def checked():
        return check(job(**changes), allow_imports=allow_imports)

    with pytest.raises(InvalidJob) as caught:
        checked()
    return {violation.field: violation.description for violation in caught.value.violations}


def test_a_good_job_counts_its_searches():
    checked = check(job(units=["4[*]"], baselines=[{"name": "random"}, {"name": "random"}]), allow_imports=ALLOWED)
    assert [str(unit) for unit in checked.units] == ["4[0]", "4[1]", "4[2]", "4[3]"]
    assert checked.searches == 12
    assert checked.total_evaluations == 720
    assert checked.labels() == ["random 1", "random 2", "random 3"]


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"generator": {"name": "cifar10-vqva"}}, "generator.name", "did you mean cifar10-vqvae"),
        ({"optimizer": {"name": "portes"}}, "optimizer.name", "did you mean protes"),
        ({"optimizer": {"name": "zzzzzz"}}, "optimizer.name", "there are adam"),
        ({"objective": {"name": "units"}}, "objective.name", "did you mean unit"),
        ({"baselines": [{"name": "random"}, {"name": "adamm"}]}, "baselines[1].name", "did you mean adam"),
        ({"optimizer": {"name": "protes", "options": {"ranc": 3}}}, "optimizer.options.ranc", "did you mean rank"),
        ({"optimizer": {"name": "protes", "options": {"rank": -3}}}, "optimizer.options.rank", "1"),
        ({"optimizer": {"name": "protes", "options": {"rank": "many"}}}, "optimizer.options.rank", ""),
        ({"optimizer": {"name": "nevergrad", "options": {"optimizer": "TwoPointDE"}}}, "optimizer.options.optimizer", "TwoPointsDE"),
        ({"objective": {"name": "unit", "options": {"direction": "left"}}}, "objective.options.direction", "'up' or 'down'"),
        ({"units": ["4[0]", "5[0]"]}, "units[1]", "no layer '5'"),
        ({"units": ["4[9]"]}, "units[0]", "0 … 3"),
        ({"units": ["4[0]", "4[*]"]}, "units", "more than once"),
        ({"units": []}, "units", "at least 1"),
        ({"budget": {"evaluations": 0}}, "budget.evaluations", "1"),
        ({"budget": {}}, "budget", "a search needs an end"),
        ({"budget": {"seconds": -1}}, "budget.seconds", "0"),
        ({"budget": {"evaluations": 10, "hours": 1}}, "budget.hours", "no such field"),
        ({"seed": -1}, "seed", "0"),
        ({"device": "gpu"}, "device", "must be auto, cpu, cuda"),
        ({"device": "cuda:99"}, "device", "use cpu or auto"),
        ({"prior": "some"}, "prior", "must be one of natural, none"),
        ({"sharing": "perhaps"}, "sharing", "expected true or false"),
        ({"design": {"replicates": 0}}, "design.replicates", "1"),
        ({"design": {"remeasure": 0.95}}, "design.remeasure", "0.9"),
        ({"constraints": {"max_latent_std": 0}}, "constraints.max_latent_std", "0"),
        (
            {"constraints": {"max_latent_std": 1}, "generator": {"name": "toy_lab:codes"}},
            "constraints.max_latent_std",
            "codes have no mean",
        ),
        ({"constraints": {"contrast": 0.7}}, "constraints.contrast", "at most 0.49"),
        ({"constraints": {"luminance": 0.9, "contrast": 0.4}}, "constraints.contrast", "luminance 0.9"),
        ({"constraints": {"luminance": -0.1}}, "constraints.luminance", "no mean of -0.1"),
        ({"design": {"repeats": 3}}, "design.repeats", "no such field"),
        ({"generator": {"name": "toy_lab:decoder", "options": {"bank": 0}}}, "prior", "set prior: none"),
        ({"generator": {"name": "toy_lab:decoder", "options": {"bnk": 0}}}, "generator.options.bnk", "did you mean bank"),
        ({"generator": {"name": "toy_lab:raw_decoder", "options": {}}}, "generator.options.latent", "required"),
        ({"generator": {"name": "toy_lab:raw_decoder", "options": {"latent": [6]}}}, "generator", "does not take latents"),
        ({"generator": {"name": "toy_lab:nothing"}}, "generator.name", "can't be imported"),
        ({"generator": {"name": "toy_lab:not_a_part"}}, "generator", "int is none"),
        ({"generator": {"name": "os:system"}}, "generator.name", "not allowed here; start with --allow-import os"),
        ({"target": {"name": "toy_lab:broken"}}, "target", "no such luck"),
        ({"target": {"name": "toy_lab:raw_network", "options": {"shape": [1, 6, 6]}}}, "target", "does not take stimuli"),
        ({"target": {"name": "toy_lab:raw_network", "options": {"shape": [3, 7, 6]}}}, "generator", "they must agree"),
        ({"target": {"name": "toy_lab:raw_network", "options": {"shape": [3]}}}, "target.options.shape", "channels"),
        ({"target": {"name": "toy_lab:query_only"}, "units": ["answer[0]"], "optimizer": {"name": "adam"}}, "optimizer", "use auto"),
    ],
)
def test_bad_input_is_refused_by_field_with_what_would_work(changes, field, says):
    found = refused(changes)
    assert field in found, found
    assert says in found[field]


def test_an_import_that_nobody_allowed_is_refused():
    assert "not allowed" in refused({}, allow_imports=())["generator.name"]
    assert "not allowed" in refused({"generator": {"name": "toy_labs:x"}})["generator.name"]


def test_all_that_is_wrong_is_told_at_once():
    found = refused({"generator": {"name": "nope"}, "units": ["7[1]"], "device": "cuda:7"})
    assert set(found) == {"generator.name", "units[0]", "device"}


def test_missing_parts_are_named():
    with pytest.raises(InvalidJob) as caught:
        JobSpec.parse({"units": ["a"]})
    assert {violation.field for violation in caught.value.violations} == {"generator", "target", "budget"}


def test_the_catalog_holds_every_built_in_with_a_summary_and_a_schema():
    entries = components()
    assert {entry.kind for entry in entries} == set(KINDS)
    assert {entry.name for entry in components("optimizer")} >= {"random", "adam", "protes", "tt-cross", "nevergrad"}
    for entry in entries:
        assert not entry.unavailable, entry
        assert entry.summary.endswith((".", "``.")), entry
        assert all("description" in option for option in entry.options_schema.get("properties", {}).values()), entry


def test_what_cannot_be_read_and_what_is_out_of_bounds_are_told_together():
    wrong = {"seed": "many", "device": "tpu", "budget": {"evaluations": "few"}, "design": {"replicates": 0, "remeasure": 2}}
    with pytest.raises(InvalidJob) as caught:
        job(**wrong)
    fields = [violation.field for violation in caught.value.violations]
    assert sorted(fields) == ["budget.evaluations", "design.remeasure", "design.replicates", "device", "seed"]
