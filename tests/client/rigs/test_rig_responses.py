"""Response files are read right at every moment of their being written."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from actmax.client.rigs.responses import ResponseFile, read_mat

CSV = (
    '\ufefftrial,ignored,b,a,onset\r\n1,x,2.5,3,0.5\r\n2,x,,nan,\r\n\r\n3,"x",1e2,0,1.5\r\n4,x,1\r\n5,x,one,1,2\r\n6,x,7,8,9\r\n'
).encode()


def rows_of(found) -> list[tuple]:
    return [] if found is None else [(row.trial, *row.responses, row.onset, row.line) for row in found.rows]


@given(cuts=st.lists(st.integers(0, len(CSV)), max_size=12).map(sorted), zeros=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_csv_is_the_same_however_it_arrives(tmp_path_factory, cuts, zeros):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    file = ResponseFile(path, ["a", "b"])
    seen: list[tuple] = []
    problems = []
    for at, cut in enumerate([*cuts, len(CSV)]):
        # some network drives show room for what is still to come
        path.write_bytes(CSV[:cut] + (b"\0" * 7 if zeros and cut < len(CSV) else b""))
        found = file.look(float(at))
        seen += rows_of(found)
        problems = found.problems if found else problems
    wanted = [(1, 3.0, 2.5, 0.5, 2), (2, math.nan, math.nan, math.nan, 3), (3, 0.0, 100.0, 1.5, 5), (6, 8.0, 7.0, 9.0, 8)]
    np.testing.assert_array_equal(np.array(seen), np.array(wanted))
    assert [(problem.line, problem.trial) for problem in problems] == [(6, "4"), (7, "5")]


def test_half_a_line_is_reported_after_a_while_and_taken_when_it_is_whole(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2\n3,1")
    file = ResponseFile(path, ["a"], settle=2.0)
    assert rows_of(file.look(0.0)) == [(1, 2.0, pytest.approx(math.nan, nan_ok=True), 1)]
    assert file.look(1.0) is None
    found = file.look(2.5)
    assert found is not None
    assert not found.rows
    assert [problem.reason for problem in found.problems] == ["UNFINISHED"]
    assert file.look(3.0) is None
    with path.open("a") as opened:
        opened.write("5\n")
    found = file.look(3.1)
    assert found is not None
    assert [(row.trial, row.responses) for row in found.rows] == [(3, (15.0,))]
    assert not found.problems


def responses_of(found) -> dict[int, str]:
    return {} if found is None else {row.trial: str(row.responses[0]) for row in found.rows}


def test_half_a_line_that_a_rig_ended_when_it_was_started_again_is_no_missed_trial(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1;2\n3;")
    file = ResponseFile(path, ["a"], settle=2.0)
    file.look(0.0)
    stood = file.look(2.5)
    assert stood is not None
    assert [problem.reason for problem in stood.problems] == ["UNFINISHED"]
    path.write_text("1;2\n3;\n4;5\n5;\n6;nan\n")
    found = file.look(2.6)
    assert responses_of(found) == {4: "5.0", 5: "nan", 6: "nan"}
    assert found is not None
    assert [(problem.line, problem.trial, problem.reason) for problem in found.problems] == [(2, "3", "CUT_SHORT")]
    with path.open("a") as opened:
        opened.write("3;nan\n")
    assert responses_of(file.look(2.7)) == {3: "nan"}
    # one that stood for less is as it was written: an empty cell is a missed trial
    path.write_text("1;2\n3;")
    file = ResponseFile(path, ["a"], settle=2.0)
    file.look(0.0)
    path.write_text("1;2\n3;\n")
    assert responses_of(file.look(0.5)) == {3: "nan"}


def test_a_line_that_waits_for_its_break_until_the_next_one_begins_is_whole(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1;2\n3;15")
    file = ResponseFile(path, ["a"], settle=2.0)
    file.look(0.0)
    file.look(2.5)
    path.write_text("1;2\n3;15\n4;nan")
    assert responses_of(file.look(2.6)) == {3: "15.0"}
    file.look(5.0)
    path.write_text("1;2\n3;15\n4;nan\n")
    assert responses_of(file.look(5.1)) == {4: "nan"}


def test_an_empty_cell_gives_way_to_the_same_trials_response(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("trial,a,onset\n1,,0.5\n2,\n3,,\n1,7,0.9\n3,nan,\n")
    found = ResponseFile(path, ["a"]).look()
    assert found is not None
    assert [(row.line, row.trial, str(row.responses[0])) for row in found.rows] == [(5, 1, "7.0"), (6, 3, "nan")]


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "x.csv"
    file = ResponseFile(path, ["a"])
    path.write_text("trial,count\n1,2\n2,2\n")
    assert len(rows_of(file.look(0.0))) == 2
    path.write_text("trial\tresponse_a\n1\t2\n2\t3\n3\t4\n")
    found = file.look(1.0)
    assert found is not None
    assert found.afresh
    assert [row.responses for row in found.rows] == [(2.0,), (3.0,), (4.0,)]
    path.unlink()
    assert file.look(2.0) is None


def test_decimal_commas_stand_between_semicolons(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("trial;a;onset\n1;2,5;0,25\n")
    found = ResponseFile(path, ["a"]).look()
    assert found is not None
    assert found.rows[0].responses == (2.5,)
    assert found.rows[0].onset == 0.25


@pytest.mark.parametrize("compress", [False, True])
def test_no_part_of_a_mat_file_is_taken_for_the_whole(tmp_path, compress):
    made = io.BytesIO()
    trials = np.arange(1, 9, dtype=np.float64)
    responses = np.random.default_rng(1).poisson(5, (8, 2)).astype(np.float64)
    savemat(made, {"trials": trials, "responses": responses, "onset": trials / 2}, do_compression=compress)
    whole = made.getvalue()
    path = tmp_path / "x.mat"
    file = ResponseFile(path, ["a", "b"])
    early = 0
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        for moment in (0.0, 0.1):
            found = file.look(cut + moment)
            if found is not None:  # only where what is missing is the optional onsets
                np.testing.assert_array_equal([row.responses for row in found.rows], responses)
                early += 1
    path.write_bytes(whole)
    assert file.look(1e6) is None  # who knows whether it is whole
    found = file.look(1e6 + 0.01)
    assert found is not None
    np.testing.assert_array_equal([row.responses for row in found.rows], responses)
    np.testing.assert_array_equal([row.onset for row in found.rows], trials / 2)
    assert early <= 1


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"trial": [1, 2], "response": [[1, 2, 3]]}, "2 × 1 is wanted"),
        ({"trial": [1.5], "response": [1.0]}, "whole numbers"),
        ({"trial": [1], "response": "one"}, "not numeric"),
        ({"trial": [1, 2], "response": [1, 2], "onset": [1]}, "each of 2 trials"),
        ({"trials": [1]}, "no variable response"),
    ],
)
def test_a_wrong_mat_file_says_what_is_wrong(variables, says):
    made = io.BytesIO()
    savemat(made, variables)
    with pytest.raises(ValueError, match=says):
        read_mat(made.getvalue(), ["a"])
    with pytest.raises(ValueError, match=r"version 7\.3"):
        read_mat(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(200), ["a"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be-mark"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_a_table_is_read_in_any_encoding_and_with_any_line_breaks_however_it_arrives(tmp_path, encoding, ending):
    text = ending.join(["trial\ta", "1\t2,5", "2\t", "3\tnan", ""])
    data = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-mark" else text.encode(encoding)
    path = tmp_path / "x.csv"
    file = ResponseFile(path, ["a"], settle=50.0)
    seen: list[tuple] = []
    for at, cut in enumerate([*range(1, len(data), 3), len(data)]):
        path.write_bytes(data[:cut])
        seen += rows_of(file.look(float(at)))
    for late in (100.0, 200.0):  # nothing has changed for long: the last line's carriage return was its end
        seen += rows_of(file.look(late))
    wanted = [(1, 2.5, math.nan, 2), (2, math.nan, math.nan, 3), (3, math.nan, math.nan, 4)]
    np.testing.assert_array_equal(np.array(list(dict.fromkeys(map(repr, seen)))), np.array([repr(row) for row in wanted]))
