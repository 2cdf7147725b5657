"""Analyses of jobs: asked for by name, refused, run, interrupted, cancelled, failing alone, and shown by every output."""

import json
from dataclasses import replace

import numpy as np
import pytest

import toy_lab
from actmax.client.jobs import jobfile
from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.results.section import Figure, InvalidSection, Section, checked_section
from actmax.engine.run import Suspended, run_job
from actmax.engine.spec import ComponentSpec, JobSpec
from actmax.engine.testing import check_analysis
from actmax.models.targets.target import HasNaturalResponses
from actmax.server.messages.specs import plain
from jobs import ALLOWED, PERMITTED, job, run_with_stops

TUNED = {"analyses": [{"name": "toy_lab:Tuning", "options": {"levels": 4}}]}


def test_every_output_has_its_sections(tmp_path):
    result = run_job(job(**TUNED), tmp_path, permissions=PERMITTED)
    section = result.sections[-1]
    assert section.title == "Tuning to contrast"
    written = json.loads((tmp_path / "artifacts/result.json").read_text())
    (told,) = written["sections"]
    assert (told["analysis"], told["title"], told["columns"]) == ("toy_lab:Tuning", section.title, ["unit", "optimizer", "full", "none"])
    assert told["rows"] == [dict(row) for row in section.rows]
    with np.load(tmp_path / "artifacts/arrays.npz") as arrays:
        assert np.array_equal(arrays[told["arrays"]["responses"]], section.arrays["responses"])
    assert section.arrays["responses"].shape == (2, 4)
    assert [(one["unit"], one["optimizer"]) for one in told["figures"]] == [("4[0]", "random"), ("4[2]", "random")]
    for figure in told["figures"]:
        assert (tmp_path / "artifacts" / figure["file"]).read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "artifacts/report.html").read_text()
    assert "Tuning to contrast" in page
    assert "What was found for 4[2]" in page
    assert "toy_lab:Tuning (levels = 4)" in page
    assert "Tuning to contrast" in (result._repr_html_() or "")
    assert written["spec"]["analyses"] == TUNED["analyses"]


def test_a_call_takes_classes_objects_and_names():
    found = maximize(
        "toy_lab:decoder",
        "toy_lab:network",
        "4[1]",
        optimizer="random",
        evaluations=5,
        analyses=[toy_lab.Tuning, toy_lab.Tuning(2), {"name": "toy_lab:Tuning", "options": {"levels": 5}}, "diversity"],
    )
    assert found.notices == ()
    shapes = [section.arrays["responses"].shape for section in found.sections if "responses" in section.arrays]
    assert shapes == [(1, 3), (1, 2), (1, 5)]
    assert len({section.label for section in found.sections}) == len(found.sections)


def test_an_interrupted_job_has_the_same_sections(tmp_path):
    spec = job(**TUNED, optimizer={"name": "adam"}, budget={"evaluations": 12})
    whole = run_job(spec, tmp_path / "whole", permissions=PERMITTED)
    resumed, stops = run_with_stops(spec, tmp_path / "parts", 5)
    assert stops >= 2
    assert np.array_equal(whole.sections[-1].arrays["responses"], resumed.sections[-1].arrays["responses"])
    assert whole.sections[-1].rows == resumed.sections[-1].rows


def test_suspended_while_it_analyses_it_goes_on_there(tmp_path, monkeypatch):
    asked, shown, respond = [], [], toy_lab.ModuleTarget.respond
    whole = run_job(job(**TUNED), None, permissions=PERMITTED, should_stop=lambda: asked.append(1) or "")
    left = iter(range(len(asked) - 2))  # the analysis asks last, after each of two searches
    with pytest.raises(Suspended):
        run_job(job(**TUNED), tmp_path, permissions=PERMITTED, should_stop=lambda: "" if next(left, None) is not None else "suspend")
    monkeypatch.setattr(
        toy_lab.ModuleTarget, "respond", lambda self, stimuli, layers: shown.append(len(stimuli)) or respond(self, stimuli, layers)
    )
    result = run_job(job(**TUNED), tmp_path, permissions=PERMITTED)
    assert shown.count(4) == 1  # the first search's stimuli had been shown
    assert np.array_equal(result.sections[-1].arrays["responses"], whole.sections[-1].arrays["responses"])


def test_cancelled_while_it_analyses_what_it_has_is_kept(tmp_path):
    calls = []

    class Slow:
        needs = ()

        def run(self, context):
            calls.append(1)
            assert context.should_stop() == "cancel"
            return [Section("Half", rows=[{"unit": "4[0]", "value": 1.5}])]

    class Later(Slow):
        def run(self, context):
            raise AssertionError("it began")

    spec = job(analyses=[{"name": "slow"}, {"name": "later"}])
    searching = iter(range(1000))
    result = run_job(
        spec,
        tmp_path,
        permissions=PERMITTED,
        given={"slow": Slow(), "later": Later()},
        should_stop=lambda: "cancel" if calls or next(searching) > 900 else "",
    )
    assert result.cancelled
    assert [section.title for section in result.sections if section.rows] == ["Half"]
    assert result.notices == ()


def test_one_that_fails_takes_nothing_from_the_job_or_the_others(tmp_path):
    class Broken:
        needs = ()

        def run(self, context):
            context.state["odd"] = object()
            raise ZeroDivisionError("no such luck")

    class Odd:
        needs = ()

        def run(self, context):
            return [Section("Odd", rows=[{"value": object()}])]  # pyright: ignore[reportArgumentType] - what is looked for

    spec = job(analyses=[{"name": "broken"}, {"name": "odd"}, *TUNED["analyses"]])
    result = run_job(spec, tmp_path, permissions=PERMITTED, given={"broken": Broken(), "odd": Odd()})
    plain_result = run_job(job(), None, permissions=PERMITTED)
    assert all(one.response == other.response for one, other in zip(result.searches, plain_result.searches, strict=True))
    first, second = result.notices
    assert first == "the analysis broken failed: ZeroDivisionError: no such luck"
    assert "holds a object" in second
    assert result.sections[-1].title == "Tuning to contrast"
    assert json.loads((tmp_path / "artifacts/result.json").read_text())["warnings"] == [first, second]


def test_what_cannot_be_used_is_refused_by_field(tmp_path):
    class Needy:
        needs = (HasNaturalResponses,)

        def run(self, context):
            return []

    def refused(*analyses, report=None):
        with pytest.raises(InvalidJob) as error:
            check(job(analyses=list(analyses), report=report or {}), allow_imports=ALLOWED, allow_files=True, given={"needy": Needy()})
        return [(violation.field, violation.description) for violation in error.value.violations]

    ((field, why),) = refused({"name": "needy"})
    assert field == "analyses[0]"
    assert "needs HasNaturalResponses (a target that knows its units' responses to natural stimuli)" in why
    assert "toy_lab:network does not offer" in why
    ((field, why),) = refused({"name": "most-activatin"})
    assert (field, "did you mean most-activating?" in why) == ("analyses[0].name", True)
    assert [field for field, _ in refused({"name": "toy_lab:Tuning", "options": {"levels": 1}})] == ["analyses[0].options.levels"]
    assert [field for field, _ in refused({"name": "toy_lab:Tuning", "options": {"levls": 3}})] == ["analyses[0].options.levls"]
    assert [field for field, _ in refused({"name": "toy_lab:not_a_part"})] == ["analyses[0].name"]
    nowhere = {"name": "most-activating", "options": {"images": str(tmp_path / "none")}}
    assert [field for field, _ in refused(nowhere)] == ["analyses[0].options.images"]
    assert [field for field, _ in refused({"name": "film"}, report={"film": "gif"})] == ["analyses[0]"]
    with pytest.raises(InvalidJob, match=r"analyses\[0\]\.options\.images: .*--allow-import"):
        check(job(analyses=[nowhere]), allow_imports=ALLOWED)


def test_report_and_analyses_ask_for_the_same(tmp_path):
    by_report = run_job(job(report={"film": "gif"}), tmp_path / "a", permissions=PERMITTED)
    by_name = run_job(job(analyses=[{"name": "film"}]), tmp_path / "b", permissions=PERMITTED)
    films = sorted(path.name for path in (tmp_path / "a/artifacts/film").iterdir())
    assert films == sorted(path.name for path in (tmp_path / "b/artifacts/film").iterdir())
    one, other = (json.loads((tmp_path / name / "artifacts/result.json").read_text())["searches"] for name in "ab")
    assert [search["files"] for search in one] == [search["files"] for search in other]
    assert all(len(a.film) == len(b.film) for a, b in zip(by_report.searches, by_name.searches, strict=True))


def test_a_job_file_overrides_and_the_wire_carry_them():
    text = "generator: cifar10-vqvae\ntarget: cifar10-snn\nunits: lif_out[3]\nbudget: {evaluations: 9}\n"
    read = jobfile.loads(text + "analyses: [diversity, {name: film, options: {format: mp4}}]").spec
    expected = [ComponentSpec(name="diversity"), ComponentSpec(name="film", options={"format": "mp4"})]
    for data in (jobfile.to_plain(read), plain(read)):
        assert JobSpec.parse(data).analyses == expected
    assert jobfile.loads(text + "analyses: film", ["analyses[0].options.format=gif"]).spec.analyses[0].options["format"] == "gif"


@pytest.mark.parametrize(
    "section",
    [
        Section(" "),
        Section("A", rows=[{"value": [1]}]),  # pyright: ignore[reportArgumentType] - what is looked for
        Section("A", arrays={"a": np.array([object()])}),
        Section("A", figures=[Figure("a", "a", b"", "text/html")]),
        Section("A", figures=[Figure("a", " ", b"")]),
        Section("A", figures=[Figure("a", "a", b"", place="cell", unit="x[0]")]),
        Section("A", figures=[Figure("a", "a", b"", place="unit")]),
        "no section",
    ],
)
def test_what_is_no_section_is_named(section):
    with pytest.raises(InvalidSection):
        checked_section(section)


def test_the_contract_holds_and_the_suite_sees_what_breaks_it():
    at_toys = {"generator": toy_lab.decoder(), "target": toy_lab.network(), "units": ["4[0]", "4[1]"]}
    assert check_analysis(toy_lab.Tuning(3), **at_toys)

    class Forgetful(toy_lab.Tuning):
        def run(self, context):
            state = {"answers": [answer * 0 for answer in context.state.get("answers", [])]}
            given = replace(context, state=state)
            found = super().run(given)
            context.state.update(state)
            return found

    class Loud(toy_lab.Tuning):
        def run(self, context):
            np.random.rand()  # noqa: NPY002 - it is what is looked for
            return super().run(context)

    with pytest.raises(AssertionError, match="after an interruption"):
        check_analysis(Forgetful(3), **at_toys)
    with pytest.raises(AssertionError, match="global random state"):
        check_analysis(Loud(3), **at_toys)
