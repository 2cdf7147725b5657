from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actmax.client.jobs.artifacts import destination
from actmax.engine.report import write_artifacts
from actmax.engine.report.names import safe_name, unique_names
from actmax.models.spaces import StimulusSpec

SPEC = StimulusSpec((3, 8, 8))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_files_are_there_and_nothing_else(make_job, tmp_path):
    write_artifacts(make_job(["conv2[12, 4]", "blocks.5[:, 7]"], ["protes", "nevergrad 2"]), tmp_path / "job/artifacts", SPEC)
    pairs = [f"{unit}--{optimizer}.png" for unit in ("conv2-12-4", "blocks.5-all-7") for optimizer in ("protes", "nevergrad-2")]
    expected = {"report.html", "result.json", "arrays.npz", "montage.png", "convergence.png"}
    expected |= {"convergence/conv2-12-4.png", "convergence/blocks.5-all-7.png"}
    expected |= {f"stimuli/{pair}" for pair in pairs} | {f"stimuli/raw/{pair}" for pair in pairs}
    assert set(contents(tmp_path / "job/artifacts")) == expected
    assert [path.name for path in (tmp_path / "job").iterdir()] == ["artifacts"]


def test_an_earlier_set_is_replaced_as_a_whole(make_job, tmp_path):
    write_artifacts(make_job(3, 2), tmp_path / "a", SPEC)
    write_artifacts(make_job(1, 1), tmp_path / "a", SPEC)
    write_artifacts(make_job(1, 1), tmp_path / "b", SPEC)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_empty_folder_is_used_and_one_with_other_things_is_left_alone(make_job, tmp_path):
    (tmp_path / "empty").mkdir()
    write_artifacts(make_job(1, 1), tmp_path / "empty", SPEC)
    assert (tmp_path / "empty/report.html").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match="other things"):
        write_artifacts(make_job(1, 1), tmp_path / "mine", SPEC)
    assert contents(tmp_path / "mine") == {"thesis.tex": b"precious"}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond ``size`` bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("largest", [0, 700])
def test_a_disk_without_room_for_the_numbers_leaves_what_was_there(make_job, tmp_path, largest):
    write_artifacts(make_job(1, 1), tmp_path / "a", SPEC)
    before = contents(tmp_path / "a")
    with files_of_at_most(largest):
        with pytest.raises(OSError, match="large"):
            write_artifacts(make_job(4, 3), tmp_path / "a", SPEC)
        with pytest.raises(OSError, match="large"):
            write_artifacts(make_job(4, 3), tmp_path / "new", SPEC)
    assert contents(tmp_path / "a") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_disk_without_room_for_every_picture_has_the_numbers_and_names_what_is_missing(make_job, tmp_path):
    write_artifacts(make_job(2, 2), tmp_path / "whole", SPEC)
    with files_of_at_most(20_000):
        result = write_artifacts(make_job(2, 2), tmp_path / "a", SPEC)
    whole, made = contents(tmp_path / "whole"), contents(tmp_path / "a")
    missing = {name for name in whole if name not in made}
    assert missing == {name for name, content in whole.items() if len(content) > 20_000}
    assert {"report.html"} < missing
    assert made["arrays.npz"] == whole["arrays.npz"]
    (notice,) = result.notices
    assert notice.endswith("could not be drawn: File too large; the numbers are in arrays.npz")
    assert any(name in notice for name in missing)
    assert json.loads(made["result.json"])["warnings"] == [notice]


def test_what_a_killed_process_left_is_cleared(make_job, tmp_path):
    write_artifacts(make_job(1, 1), tmp_path / "a", SPEC)
    before = contents(tmp_path / "a")
    # Killed while writing, and killed between the two renames.
    (tmp_path / ".a.part/stimuli").mkdir(parents=True)
    (tmp_path / "a").rename(tmp_path / ".a.old")
    broken = make_job(2, 1)
    broken.searches[0] = replace(broken.searches[0], stimulus=np.zeros((3, 8), np.float32))
    with pytest.raises(ValueError, match="same shape"):
        write_artifacts(broken, tmp_path / "a", SPEC)
    assert contents(tmp_path / "a") == before
    write_artifacts(make_job(2, 1), tmp_path / "a", SPEC)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_job_cancelled_before_anything_was_evaluated_has_its_report_and_numbers(make_job, tmp_path):
    write_artifacts(replace(make_job(cancelled=True), searches=[]), tmp_path / "a", SPEC)
    assert set(contents(tmp_path / "a")) == {"report.html", "result.json", "arrays.npz"}


@given(st.lists(st.text(max_size=120), max_size=12))
def test_file_names_are_safe_and_never_meet(texts):
    names = unique_names(texts)
    assert set(names) == set(texts)
    assert len({name.lower() for name in names.values()}) == len(names)
    for name in names.values():
        assert name.isascii()
        assert all(character.isalnum() or character in "._-" for character in name)
        assert not name.startswith((".", "-"))
        assert "--" not in name
        assert 0 < len(name) < 100


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("conv2[12, 4]", "conv2-12-4"),
        ("lif_out[3]", "lif_out-3"),
        ("blocks.5[:, 7]", "blocks.5-all-7"),
        ("layer4.0.conv2", "layer4.0.conv2"),
        ("conv[1:3]", "conv-1-3"),
        ("../../etc/passwd", "etc-passwd"),
        ("con", "_con"),
        ("…", "unnamed"),
    ],
)
def test_file_names_are_readable(unit, name):
    assert safe_name(unit) == name


def test_units_that_would_share_a_file_do_not(make_job, tmp_path):
    write_artifacts(make_job(["a[1, 2]", "a[1,2]", "A[1][2]"], ["x", "X"]), tmp_path / "a", SPEC)
    assert len({name.lower() for name in contents(tmp_path / "a") if name.startswith("stimuli/raw/")}) == 6


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("text", [r"$\frac{", "_hidden", "%s{}", "名前", "a" * 190, "‮x", "<script>", "\x00\n"])
def test_names_that_plotting_could_trip_over(make_job, tmp_path, text):
    write_artifacts(make_job([text, "b"], [text, "y"], title=text), tmp_path / "a", SPEC)
    paths = contents(tmp_path / "a")
    assert len(paths) == 5 + 2 + 8
    for path in paths:
        # What a client is willing to write.
        assert destination(tmp_path / "fetched", path).name == path.rpartition("/")[2]
