"""Results in notebooks."""

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from actmax.engine.report.notebook import MOST_UNITS, spec_of
from actmax.engine.run import run_job
from actmax.models.spaces import StimulusSpec
from jobs import PERMITTED, job

VOID = {"img", "br"}


class Read(HTMLParser):
    """Checks that tags close, and keeps pictures, links and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.pictures, self.charts, self.text, self.tags = [], [], 0, "", set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "svg":
            self.charts += "chart" in attrs["class"]
        if tag == "img":
            kind, data = attrs["src"].removeprefix("data:image/").split(";base64,")
            with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
                assert (picture.format or "").lower() == kind
                self.pictures.append(np.asarray(picture))
        assert not any("http" in value for value in attrs.values())

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def test_a_search_shows_what_was_found_its_response_and_its_curve(make_job):
    search = make_job(1, 1).searches[0]
    read = Read(search._repr_html_())
    (picture,) = read.pictures
    assert np.abs(picture - 255 * search.stimulus.transpose(1, 2, 0)).max() <= 0.5
    assert read.charts == 1
    assert "lif_out[0]" in read.text
    assert f"{search.response:.4g}" in read.text
    assert "60 evaluations" in read.text
    assert "script" not in read.tags
    with Image.open(io.BytesIO(search._repr_png_())) as png:
        assert png.format == "PNG"
        assert max(png.size) == 256


def test_a_job_shows_each_unit_and_optimizer(make_job):
    result = make_job(3, 2)
    read = Read(result._repr_html_())
    assert len(read.pictures) == 6
    assert read.charts == 3
    assert "6 searches of 3 units of cifar10-snn" in read.text
    assert all(search.unit in read.text and search.optimizer in read.text for search in result.searches)
    with Image.open(io.BytesIO(result._repr_png_())) as png:
        assert min(png.size) > 256


def test_many_units_stay_small(make_job):
    spec = StimulusSpec((3, 160, 160))
    result = make_job(300, 1, spec, evaluations=5)
    text = result._repr_html_()
    read = Read(text)
    assert len(read.pictures) == MOST_UNITS
    assert max(max(picture.shape) for picture in read.pictures) <= 128
    assert f"{300 - MOST_UNITS} further units" in read.text
    assert len(text) < 1_000_000


@pytest.mark.parametrize("spec", [StimulusSpec((2, 40), -1, 1, "series"), StimulusSpec((1, 8, 8)), StimulusSpec((5, 8, 8), -3, 3)])
def test_other_stimuli(make_job, spec):
    search = replace(make_job(1, 1, spec).searches[0], stimulus_spec=spec)
    read = Read(search._repr_html_())
    assert len(read.pictures) + read.charts == 2
    assert search._repr_png_()[:4] == b"\x89PNG"


def test_a_stimulus_of_unknown_range_is_shown_over_its_own(make_job):
    spec = spec_of(replace(make_job(1, 1).searches[0], stimulus=np.full((2, 9), 3.0, np.float32)))
    assert (spec.modality, spec.low) == ("series", 3.0)
    assert spec.high > spec.low
    assert spec_of(make_job(1, 1).searches[0]) == StimulusSpec((3, 8, 8))


def test_names_are_escaped_and_nothing_found_is_said(make_job):
    result = make_job(["<b>&"], 1, title="<script>alert(1)</script>")
    read = Read(result._repr_html_())
    assert "script" not in read.tags
    assert "<script>alert(1)</script>" in read.text
    nothing = replace(result, searches=[])
    assert "Nothing was found" in Read(nothing._repr_html_()).text
    assert nothing._repr_png_() is None


def test_results_of_jobs_say_what_their_stimuli_are(tmp_path):
    result = run_job(job(budget={"evaluations": 3}), tmp_path, permissions=PERMITTED)
    assert result.searches[0].stimulus_spec == StimulusSpec((3, 6, 6))
    assert len(Read(result._repr_html_()).pictures) == 2
