"""What ``maximize`` returns, shows and keeps when it is interrupted."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import textwrap

import numpy as np
import pytest
from PIL import Image

from actmax.engine.maximize import maximize

UNITS = ["fc[3]", "fc[5]", "layer1.conv1[2]"]


@pytest.fixture(scope="module")
def result():
    return maximize("pixel", "cifar10-cnn", UNITS, optimizer="random", baselines=["cma"], evaluations=12, device="cpu")


def test_a_job_and_its_searches_are_described_in_five_lines(result):
    for described in (repr(result), *map(repr, result.searches)):
        lines = described.splitlines()
        assert 2 <= len(lines) <= 5
        assert max(map(len, lines)) <= 160
    assert "6 searches of 3 units of cifar10-cnn by pixel" in repr(result)
    assert "1 further unit" in repr(result)
    assert repr(result.searches[0]).startswith("SearchResult: fc[3] cat ")


def test_the_best_search_of_a_unit_is_found_by_address_or_name(result):
    best = result.best("fc[3]")
    assert best.sought == max(search.sought for search in result.searches if search.unit == "fc[3]")
    assert result.best("cat") is best
    with pytest.raises(ValueError, match=r"fc\[3\], fc\[5\] and layer1.conv1"):
        result.best()
    with pytest.raises(ValueError, match="'fc\\[4\\]' measured"):
        result.best("fc[4]")


def test_a_result_is_saved_with_its_report_and_not_over_other_files(result, tmp_path):
    report = result.save(tmp_path / "found")
    assert report.is_file()
    with np.load(tmp_path / "found" / "arrays.npz") as arrays:
        assert len(arrays["stimuli"]) == len(result.searches)
    assert result.save(tmp_path / "found") == report  # an earlier report is replaced
    other = tmp_path / "notes"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        result.save(other)
    assert (other / "mine.txt").read_text() == "mine"


def test_a_table_has_a_row_for_each_search(result):
    table = result.to_dataframe()
    assert list(table["unit"]) == [search.unit for search in result.searches]
    assert table["response"].tolist() == [search.response for search in result.searches]


def test_curves_and_stimuli_are_pictures(result):
    for picture in (result.plot(), result.plot("fc[3]"), result.best("fc[3]").picture()):
        assert isinstance(picture, Image.Image)
        assert len(picture.convert("L").getcolors() or ()) > 5
    with pytest.raises(ValueError, match="layer1"):
        result.plot("conv9[1]")


@pytest.mark.parametrize("error", [RuntimeError("my plot failed"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_exception_in_on_progress_ends_the_search_with_what_was_found(error):
    calls = []

    def report(progress):
        calls.append(progress.evaluations)
        if progress.evaluations:
            raise error

    result = maximize("pixel", "cifar10-cnn", "fc[3]", optimizer="random", evaluations=100_000, device="cpu", on_progress=report)
    assert result.cancelled
    assert 0 < result.searches[0].evaluations < 100_000
    assert calls[-1] > 0
    assert all(count == 0 for count in calls[:-1])  # it is not called again
    expected = "my plot failed" if isinstance(error, RuntimeError) else "Ctrl-C"
    assert any(expected in warning for warning in result.warnings)


def test_an_exception_in_on_progress_before_anything_was_measured_is_raised():
    def report(progress):
        raise LookupError("at once")

    with pytest.raises(LookupError, match="at once"):
        maximize("pixel", "cifar10-cnn", "fc[3]", optimizer="random", evaluations=100, device="cpu", on_progress=report)


SCRIPT = """
    import os, signal, sys
    from actmax import maximize
    def report(progress):
        if progress.evaluations:
            os.kill(os.getpid(), signal.SIGINT)
    result = maximize("pixel", "cifar10-cnn", "fc[3]", optimizer="random", evaluations=100_000, device="cpu", on_progress=report)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print(result.cancelled, result.searches[0].evaluations < 100_000, result.warnings)
"""


def test_ctrl_c_returns_what_was_found_and_puts_the_handler_back():
    script = textwrap.dedent(SCRIPT)
    signals = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    run = subprocess.run([sys.executable, "-c", signals + script], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("True True ")
    assert "Ctrl-C ended the searches" in run.stdout
    assert "evaluations" not in run.stderr  # no bar in a pipe


@pytest.mark.parametrize("progress", [True, False])
def test_a_terminal_shows_a_bar_unless_it_is_turned_off(progress):
    script = (
        "from actmax import maximize\n"
        f"maximize('pixel', 'cifar10-cnn', 'fc[3]', optimizer='random', evaluations=64, device='cpu', progress={progress})\n"
    )
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 120))
    try:
        subprocess.run([sys.executable, "-c", script], stderr=follower, stdout=subprocess.PIPE, timeout=120, check=True)
        os.set_blocking(leader, False)
        try:
            drawn = os.read(leader, 65536).decode()
        except BlockingIOError:
            drawn = ""
    finally:
        os.close(leader)
        os.close(follower)
    assert ("64/64" in drawn and "best " in drawn) is progress


def test_former_names_are_taken_with_a_warning():
    job = {"optimizer": "random", "evaluations": 4, "device": "cpu"}
    with pytest.warns(FutureWarning, match="changes is called max_code_changes now"):
        former = maximize("cifar10-vqvae", "cifar10-cnn", "fc[3]", **{"changes": 0.2}, **job)
    assert former.spec.constraints.max_code_changes == 0.2
