from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from actmax.charts.style import line_style
from actmax.engine.report import write_artifacts
from actmax.engine.report.comparison import Comparison
from actmax.engine.report.montage import montage
from actmax.engine.report.pictures import enlarged, factor
from actmax.models.spaces import StimulusSpec


def decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return np.asarray(image)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (-2.5, 4.0)])
def test_a_color_image_is_written_value_by_value_and_enlarged_without_blur(make_job, tmp_path, low, high):
    spec = StimulusSpec((3, 32, 32), low, high)
    result = make_job(1, 1, spec)
    write_artifacts(result, tmp_path / "a", spec)
    stimulus = result.searches[0].stimulus.astype(np.float64)
    expected = np.rint((stimulus - low) / (high - low) * 255).astype(np.uint8).transpose(1, 2, 0)
    assert np.array_equal(decoded(tmp_path / "a/stimuli/raw/lif_out-0--protes.png"), expected)
    large = decoded(tmp_path / "a/stimuli/lif_out-0--protes.png")
    assert large.shape == (256, 256, 3)
    assert np.array_equal(large, expected.repeat(8, 0).repeat(8, 1))


def test_one_channel_is_grey(make_job, tmp_path):
    spec = StimulusSpec((1, 28, 20))
    result = make_job(1, 1, spec)
    write_artifacts(result, tmp_path / "a", stimulus=spec)
    expected = np.rint(result.searches[0].stimulus[0].astype(np.float64) * 255)
    assert np.array_equal(decoded(tmp_path / "a/stimuli/raw/lif_out-0--protes.png"), expected)
    assert np.array_equal(decoded(tmp_path / "a/stimuli/lif_out-0--protes.png"), expected.repeat(9, 0).repeat(9, 1))


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_the_enlargement_is_a_whole_number_and_the_nearest_to_the_wanted_size(width, height):
    times = factor((width, height), 256)
    side = max(width, height)
    assert times >= 1
    assert abs(times * side - 256) <= abs((times + 1) * side - 256)
    assert times == 1 or abs(times * side - 256) <= abs((times - 1) * side - 256)


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_a_series_is_plotted_and_has_no_raw_picture(make_job, tmp_path, channels):
    spec = StimulusSpec((channels, 50), -1, 1, "series")
    write_artifacts(make_job(2, 2, spec), tmp_path / "a", spec)
    image = decoded(tmp_path / "a/stimuli/lif_out-1--adam.png")
    assert image.shape == (256, 384, 3)
    assert not list((tmp_path / "a/stimuli/raw").iterdir())
    if channels <= 6:
        for channel in range(channels):
            color = tuple(bytes.fromhex(line_style(channel).color[1:]))
            assert (np.abs(image.astype(int) - color).max(-1) < 40).sum() > 50, f"no line of channel {channel}"


def test_a_flat_line_of_a_series_stands_where_its_value_is():
    spec = StimulusSpec((1, 30), 0, 1, "series")
    blue = np.array(tuple(bytes.fromhex(line_style(0).color[1:])))

    def height(value: float) -> float:
        image = np.asarray(enlarged(np.full(spec.shape, value, np.float32), spec)).astype(int)
        return float(np.nonzero(np.abs(image - blue).max(-1) < 60)[0].mean())

    assert height(0.0) > height(0.5) > height(1.0)
    assert height(0.5) == pytest.approx((height(0.0) + height(1.0)) / 2, abs=1.5)


@pytest.mark.parametrize(("units", "optimizers"), [(1, 1), (12, 3), (12, 1), (100, 3)])
def test_every_found_stimulus_stands_unblurred_in_the_montage(make_job, units, optimizers):
    spec = StimulusSpec((3, 32, 32))
    result = make_job(units, optimizers, spec, evaluations=5)
    # One color a stimulus, so that it can be found again.
    colors = [np.array([(1 + at % 64) / 255, at // 64 / 255, 1], np.float32) for at in range(len(result.searches))]
    flat = [
        replace(search, stimulus=np.broadcast_to(color[:, None, None], spec.shape))
        for search, color in zip(result.searches, colors, strict=True)
    ]
    sheet = np.asarray(montage(Comparison(flat), spec)).astype(int)
    assert sheet.shape[0] * sheet.shape[1] < 20e6
    blue = np.stack(np.nonzero((sheet[..., 2] == 255) & (sheet[..., 0] <= 64) & (sheet[..., 1] <= 5)))
    keys = sheet[blue[0], blue[1], 0] - 1 + 64 * sheet[blue[0], blue[1], 1]
    assert np.bincount(keys, minlength=len(flat)).tolist() == [128 * 128] * len(flat)
    corners = {at: blue[:, keys == at].min(1) for at in range(len(flat))}
    if optimizers > 1:
        for row in range(units):
            tops = {int(corners[row * optimizers + column][0]) for column in range(optimizers)}
            lefts = [int(corners[row * optimizers + column][1]) for column in range(optimizers)]
            assert len(tops) == 1
            assert lefts == sorted(lefts)


def test_the_montage_says_what_it_leaves_out_and_where_a_search_is_missing(make_job):
    spec = StimulusSpec((3, 8, 8))
    searches = make_job(3, 2, spec).searches
    full = montage(Comparison(searches), spec)
    with_note = montage(Comparison(searches), spec, left_out=7)
    assert with_note.height > full.height
    few = montage(Comparison(searches[:-1]), spec)
    assert few.size == full.size
    assert np.asarray(few).tobytes() != np.asarray(full).tobytes()


def test_large_and_long_images_fit_into_the_montage(make_job):
    spec = StimulusSpec((3, 40, 600))
    sheet = montage(Comparison(make_job(2, 2, spec).searches), spec)
    assert sheet.width < 1000


def test_the_same_job_makes_the_same_pictures(make_job, tmp_path):
    spec = StimulusSpec((3, 8, 8))
    for name in "ab":
        write_artifacts(make_job(2, 2, spec), tmp_path / name, spec)
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path.name


def test_png_files_hold_no_alpha_that_a_viewer_might_show_black(make_job, tmp_path):
    spec = StimulusSpec((3, 8, 8))
    write_artifacts(make_job(2, 2, spec), tmp_path / "a", spec)
    image = Image.open(io.BytesIO((tmp_path / "a/convergence.png").read_bytes()))
    assert np.asarray(image.convert("RGBA"))[..., 3].min() == 255
