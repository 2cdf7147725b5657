from __future__ import annotations

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from actmax.engine.report.html import report_html
from actmax.engine.report.results import Written
from actmax.engine.spec import JobSpec
from actmax.models.spaces import StimulusSpec

SPEC = StimulusSpec((3, 8, 8))
VOID = {"meta", "img", "br", "path", "circle"}


class Page(HTMLParser):
    """Reads a page and complains of a tag that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, tag: str, name: str) -> list[str]:
        return [value for at, key, value in self.attributes if (at, key) == (tag, name)]


def page(result, spec=SPEC, most=200) -> tuple[str, Page]:
    text = report_html(Written.of(result, spec, most))
    return text, Page(text)


SHAPES = [
    StimulusSpec((3, 8, 8)),
    StimulusSpec((1, 9, 7)),
    StimulusSpec((5, 8, 8)),
    StimulusSpec((2, 30), -1, 1, "series"),
    StimulusSpec((9, 30), -1, 1, "series"),
]


@pytest.mark.parametrize("spec", SHAPES, ids=str)
@pytest.mark.parametrize(("units", "optimizers"), [(1, 1), (12, 3), (3, 4)])
@pytest.mark.parametrize("natural", [9.5, None, 0.0])
def test_it_is_well_formed_and_needs_nothing_from_elsewhere(make_job, spec, units, optimizers, natural):
    text, read = page(make_job(units, optimizers, spec, natural=natural, evaluations=12), spec)
    assert read.tags["script"] == read.tags["link"] == read.tags["iframe"] == 0
    assert all(value.startswith("data:image/png;base64,") for value in read.values("img", "src"))
    assert all(value.startswith("#") for _, name, value in read.attributes if name in ("href", "xlink:href"))
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    anchors = [value for _, name, value in read.attributes if name == "id"]
    assert len(anchors) == len(set(anchors))
    assert {value[1:] for value in read.values("a", "href")} <= set(anchors)
    assert {value for _, name, value in read.attributes if name == "aria-labelledby"} <= set(anchors)
    assert "nan" not in text.lower().replace("nand", "").split("</style>")[1].split("base64")[0]


def test_it_can_be_read_without_seeing_it(make_job):
    _, read = page(make_job(3, 2))
    assert read.tags["h1"] == 1
    assert all(value.strip() for value in read.values("img", "alt"))
    assert len(read.values("img", "alt")) == read.tags["img"]
    assert set(read.values("th", "scope")) == {"col", "row"}
    assert len(read.values("th", "scope")) == read.tags["th"]
    assert read.values("html", "lang") == ["en"]
    described = read.values("svg", "aria-label")
    assert len(described) + len(read.values("svg", "aria-hidden")) == read.tags["svg"]
    assert any("protes reached" in words for words in described)


def test_the_pictures_are_the_stimuli(make_job):
    result = make_job(2, 2)
    _, read = page(result)
    shown = {np.asarray(Image.open(io.BytesIO(base64.b64decode(src.partition(",")[2])))).tobytes() for src in read.values("img", "src")}
    expected = {
        np.rint(search.stimulus.astype(np.float64) * 255).astype(np.uint8).transpose(1, 2, 0).tobytes() for search in result.searches
    }
    assert shown == expected


def with_responses(result, responses):
    return replace(result, searches=[replace(search, response=value) for search, value in zip(result.searches, responses, strict=True)])


def test_it_says_who_beat_nature_where_and_by_how_much(make_job):
    _, read = page(with_responses(make_job(3, 2, natural=10.0), [13.1, 9.0, 10.0, 8.0, 10.5, 12.0]))
    assert "For 2 of 3 units at least one optimizer found an image with a higher response than any of the natural test images" in read.text
    assert "For the other, nothing that was found beats them." in read.text
    assert "protes : lif_out[0] 1.31× · lif_out[2] 1.05×" in read.text
    assert "adam : lif_out[2] 1.20×" in read.text
    assert "Nothing found beats the natural test images: protes equals their best, 10." in read.text
    assert "protes found 13.10, above the 10 of the best of the natural test images (1.31×)." in read.text
    wins = [value for value in read.values("td", "class") if "wins" in value]
    assert len(wins) == 3
    assert len([value for value in read.values("td", "class") if "above" in value]) == 3


def test_it_says_that_nothing_beat_nature(make_job):
    _, read = page(with_responses(make_job(2, 1, natural=10.0), [9.0, 3.0]))
    assert "Nothing that was found beats the natural test images , for any of the 2 units." in read.text
    assert "protes : for no unit" in read.text


def test_without_natural_responses_nothing_is_said_of_multiples(make_job):
    _, read = page(make_job(2, 2, natural=None))
    assert "is not known, so responses stand without comparison" in read.text
    assert "×" not in read.text.replace("3 × 8 × 8", "")
    assert "Best natural" not in read.text


def test_a_score_is_told_apart_from_the_response(make_job):
    result = make_job(1, 1, natural=8.0)
    _, read = page(result)
    assert "how the best response so far grew" in read.text
    assert "best of the natural test images" in read.text.split("measured again.")[1]
    result.searches[:] = [replace(search, score=0.74523, score_sem=0.1304, response=9.0) for search in result.searches]
    _, read = page(result)
    assert "how the best score so far grew" in read.text
    assert "score 0.7452 ± 0.13" in read.text
    assert "the unit's own response to it is 9, where the best of the natural test images has 8." in read.text
    # no line of theirs is drawn among scores, so the key has none
    assert read.text.split("measured again.")[1].count("best of the natural test images") == 1


def test_a_picture_of_the_job_is_not_spelt_out_among_the_facts(make_job):
    result = make_job(1, 1)
    picture = "data:image/png;base64," + "A" * 200
    generator = result.spec.generator.model_copy(update={"options": {"image": picture, "epsilon": 0.03}})
    _, read = page(replace(result, spec=result.spec.model_copy(update={"generator": generator})))
    assert "(image = a picture, epsilon = 0.03000)" in read.text


def test_a_tie_has_two_winners(make_job):
    _, read = page(with_responses(make_job(1, 2), [11.0, 11.0]))
    assert "protes and adam found 11" in read.text
    assert len([value for value in read.values("td", "class") if "wins" in value]) == 2


def test_a_response_that_could_not_be_measured(make_job):
    _, read = page(with_responses(make_job(1, 2), [float("nan"), float("nan")]))
    assert "No response could be measured." in read.text
    assert "not measured" in read.text


def test_a_cancelled_job_says_so(make_job):
    result = make_job(2, 2, cancelled=True)
    _, read = page(replace(result, searches=result.searches[:3]))
    assert "This job was cancelled." in read.text
    assert "some had not begun" in read.text
    assert "not searched" in read.text
    _, read = page(replace(result, searches=[]))
    assert "No search had evaluated anything by then" in read.text
    assert "cancelled" not in page(make_job(2, 2))[1].text


def test_the_job_can_be_run_again_from_it(make_job):
    result = make_job(2, 3, title='quotes " and <tags>: #')
    _, read = page(result)
    assert "actmax run job.yaml" in read.text
    shown = next(words for words in read.words if "generator:" in words)
    assert JobSpec.parse(yaml.safe_load(shown)) == result.spec


def test_what_is_left_out_is_said(make_job):
    _, read = page(make_job(5, 2), most=3)
    assert "2 further units" in read.text
    assert read.tags["article"] == 3
    assert "of 5 units" in read.text


def test_numbered_optimizers_are_told_apart_by_their_options(make_job):
    result = make_job(1, ["nevergrad 1", "nevergrad 2"])
    component = result.spec.optimizer
    spec = result.spec.model_copy(
        update={
            "optimizer": component.model_copy(update={"name": "nevergrad", "options": {"optimizer": "CMA"}}),
            "baselines": [component.model_copy(update={"name": "nevergrad", "options": {"optimizer": "DE"}})],
        }
    )
    _, read = page(replace(result, spec=spec))
    assert "nevergrad 1 (optimizer = CMA)" in read.text
    assert "nevergrad 2 (optimizer = DE)" in read.text


HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "' onmouseover='x",
            "</style><script>",
            "</title>",
            "{{ 7 * 7 }}",
            "{% raw %}",
            "--><!--",
            "]]>",
            "&lt;b&gt;",
            "</pre></details><h1>",
            "javascript:alert(1)",
            "${x}`",
        ]
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=HOSTILE, unit=HOSTILE, optimizers=st.lists(HOSTILE, min_size=2, max_size=2, unique=True))
def test_text_of_a_job_stays_text(make_job, title, unit, optimizers):
    _, plain = page(make_job(["a"], ["b", "c"], title="d", evaluations=5))
    text, read = page(make_job([unit], optimizers, title=title, evaluations=5))
    assert read.tags == plain.tags
    assert [(tag, name) for tag, name, _ in read.attributes] == [(tag, name) for tag, name, _ in plain.attributes]
    for control in set(text) - {"\n", "\t"}:
        assert control.isprintable()
    text.encode("utf-8")


def test_hostile_names_are_shown_as_they_are(make_job):
    _, read = page(make_job(["<b>[1]"], ["<script>alert(1)</script>", "x"], title="</h1><script>"))
    assert "</h1><script>" in read.text
    assert "<b>[1]" in read.text
    assert "<script>alert(1)</script>" in read.text
