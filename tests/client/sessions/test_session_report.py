"""The report of a session says what its trials say, in files that stand alone."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from serving import actmax

from actmax.client import InvalidInput, Session
from actmax.client.sessions.report import write_report
from actmax.client.sessions.report.gallery import picture
from actmax.client.sessions.trials import fetch_trials

SPEC = {
    "title": "unit <7> & co",
    "generator": "toy_lab:decoder",
    "units": ["a"],
    "optimizer": "random",
    "stop": {"evaluations": 80},
    "design": {"generation_size": 16, "replicates": 2},
    "seed": 5,
}
FILES = {"report.html", "evolution.svg", "gallery.png", "recommended.png", "result.json"}


def neuron(generation) -> np.ndarray:
    rates = 20 * generation.stimuli.astype(np.float64).reshape(len(generation), -1).mean(1) ** 2
    counts = np.array([np.random.default_rng(trial).poisson(rate) for trial, rate in zip(generation.trials, rates, strict=True)], float)
    counts[np.array(generation.trials) % 11 == 0] = np.nan
    return counts


class Page(HTMLParser):
    """Tags that are open, addresses, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def ran(server):
    with Session.create(SPEC, server.address) as session:
        for generation in session:
            session.tell(neuron(generation))
        return session.name


def test_its_numbers_are_those_of_the_trials(server, ran, tmp_path):
    done = actmax("session", "report", ran, "--out", str(tmp_path / "found"), "--server", server.address, "--json")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "found").iterdir()} == FILES
    assert len(json.loads(done.stdout)) == len(FILES)
    found = json.loads((tmp_path / "found/result.json").read_text())
    trials = fetch_trials(ran, server.address, stimuli=True)
    assert found["provenance"]["session"] == trials.session.name
    assert len(found["provenance"]["spec_sha256"]) == 64
    kinds, told = np.array(trials.kind), np.array(trials.status) == "told"
    (search,) = found["searches"]
    assert [row["number"] for row in search["generations"]] == sorted(set(trials.generation.tolist()))
    for row in search["generations"]:
        here = told & (trials.generation == row["number"])
        for name, which in (("candidates", ("candidate", "replicate")), ("references", ("reference",)), ("leaders", ("remeasure",))):
            scores = trials.score[here & np.isin(kinds, which)]
            assert row[name]["n"] == len(scores)
            assert row[name]["value"] == (pytest.approx(scores.mean()) if len(scores) else None)
    assert found["trials"]["missed"] == (np.array(trials.status) == "missed").sum() > 0
    beside = search["side_by_side"]
    assert len(beside["recommended"]) == found["session"]["recommendation"]["measurements"]
    assert np.mean(beside["recommended"]) == pytest.approx(found["session"]["recommendation"]["response"])
    best = next(shown for shown in search["gallery"] if shown["group"] == "best")
    # replicates of a candidate are one, and told apart from its being measured again
    first = told & (trials.generation == best["generation"]) & (trials.stimulus == best["stimulus"])
    assert best["told"]["n"] == first.sum() == 2
    references = [shown["told"]["value"] for shown in search["gallery"] if shown["group"] == "reference"]
    assert references == sorted(references, reverse=True)


def test_its_page_and_pictures_stand_alone(server, ran, tmp_path):
    write_report(ran, tmp_path, server.address)
    page = Page((tmp_path / "report.html").read_text())
    assert not page.open
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert len(page.addresses) > 8
    assert "unit <7> & co" in page.text
    assert "Side by side" in page.text
    svg = ET.fromstring((tmp_path / "evolution.svg").read_text())
    assert svg.tag.endswith("svg")
    assert "var(" not in (tmp_path / "evolution.svg").read_text()
    sheet = Image.open(tmp_path / "gallery.png")
    assert sheet.size[0] > 500
    assert sheet.size[1] > 600
    found = json.loads((tmp_path / "result.json").read_text())
    trials = fetch_trials(ran, server.address, stimuli=True)
    shown = np.asarray(Image.open(tmp_path / "recommended.png")).transpose(2, 0, 1)
    # it is one of the stimuli that were shown, at its own size
    distances = np.abs(trials.stimuli * 255 - shown).max((1, 2, 3))
    assert distances.min() <= 1
    assert found["session"]["spec"]["title"] == SPEC["title"]


def test_a_session_on_its_way_has_a_report_and_an_empty_one_none(server, tmp_path):
    with Session.create(SPEC, server.address) as session:
        with pytest.raises(InvalidInput, match="nothing of"):
            write_report(session.name, tmp_path / "none", server.address)
        assert not (tmp_path / "none").exists()
        session.ask()
        shown = session.shown
        assert shown is not None
        session.tell(neuron(shown))
        write_report(session.name, tmp_path, server.address)
    page = Page((tmp_path / "report.html").read_text())
    assert "nothing is recommended" in page.text
    assert "Side by side" not in page.text
    assert not (tmp_path / "recommended.png").exists()


def test_each_thread_has_a_report_of_its_own(server, tmp_path):
    spec = SPEC | {"units": ["a", "b"], "threads": [{"name": "one"}, {"name": "two"}, {"name": "other:aim", "unit": "b"}]}
    with Session.create(spec, server.address) as session:
        for generation in session:
            session.tell(np.stack([neuron(generation), 2 * neuron(generation)], 1))
            if generation.number == 3:
                shown = actmax("session", "show", session.name, "--server", server.address).stdout
                assert [line.split(": recommended so far: ")[0] for line in shown.splitlines()[1:]] == ["one", "two", "other:aim"]
        name, ended = session.name, session.described
    write_report(name, tmp_path, server.address)
    names = [f"{what}-{thread}" for thread in ("one", "two", "other_aim") for what in ("evolution", "recommended")]
    assert {path.stem for path in tmp_path.iterdir()} == {*names, "report", "gallery", "result"}
    found = json.loads((tmp_path / "result.json").read_text())
    assert [search["thread"] for search in found["searches"]] == ["one", "two", "other:aim"]
    trials = fetch_trials(name, server.address)
    candidates = 0
    for search, thread in zip(found["searches"], ended.threads, strict=True):
        shown = [row["candidates"]["n"] for row in search["generations"]]
        candidates += sum(shown)
        beside = search["side_by_side"].get("recommended", ())
        if thread.name == "other:aim":  # references are scored by the first one's objective
            assert all(row["references"]["n"] == 0 for row in search["generations"])
        else:
            assert np.mean(beside) == pytest.approx(thread.recommendation.response)
    told = np.array(trials.status) == "told"
    assert candidates == (told & np.isin(trials.kind, ["candidate", "replicate"])).sum()
    page = Page((tmp_path / "report.html").read_text())
    assert not page.open
    assert "what two recommends, shown beside it" in page.text
    assert "Which stimulus drives a, and which b the most?" in " ".join(page.text.split())


def test_stimuli_of_every_shape_are_pictures():
    assert picture(np.zeros((1, 5, 7)), 0, 1).size == (7, 5)
    assert picture(np.zeros((4, 5, 7)), 0, 1).size == (15, 11)
    red = picture(np.stack([np.full((2, 2), 3.0), np.full((2, 2), -1.0), np.full((2, 2), -1.0)]), -1, 3)
    assert red.getpixel((0, 0)) == (255, 0, 0)
    assert np.asarray(picture(np.sin(np.linspace(0, 9, 50))[None], -1, 1)).min() < 128
