from __future__ import annotations

import pytest

from actmax.charts.words import count, duration, listed, measured, printable, shortened, shown, tick, times


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (32.0, "32"),
        (12.3456, "12.35"),
        (9.5, "9.500"),
        (0.012345, "0.01235"),
        (123456.7, "123,457"),
        (-3.25, "−3.250"),
        (1e-7, "1e−07"),
        (2.5e9, "2.5e+09"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_shown(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "sem", "text"),
    [
        (-0.7452, 0.1304, "−0.7452 ± 0.13"),
        (1.8023, 0.03744, "1.802 ± 0.037"),
        (11.25, 0.5, "11.25 ± 0.5"),
        (4000, 123, "4,000 ± 120"),
        (12.3, 0, "12.30"),
        (12.3, None, "12.30"),
    ],
)
def test_a_standard_error_has_two_digits(value, sem, text):
    assert measured(value, sem) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (0.25, "0.25"), (1000, "1,000"), (0, "0"), (-20, "−20"), (1e-6, "1e−06")])
def test_tick(value, text):
    assert tick(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.314, "1.31×"),
        (1, "1.00×"),
        (1.001, "1.001×"),
        (0.9996, "1.000×"),
        (12.34, "12.3×"),
        (1234, "1,234×"),
        (-0.5, "−0.50×"),
        (None, "–"),
    ],
)
def test_times(value, text):
    assert times(value) == text


def test_counts_and_lists():
    assert [count(1, "unit"), count(3000, "unit")] == ["1 unit", "3,000 units"]
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (12.4, "12 s"), (59.9, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (float("nan"), "–")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_shortened_keeps_both_ends_and_one_line():
    assert shortened("layer4.0.conv2[12]", 40) == "layer4.0.conv2[12]"
    assert shortened("a\nb\tc", 40) == "a b c"
    short = shortened("encoder.layers.11.attention.output[1, 23]", 20)
    assert len(short) == 20
    assert short.startswith("encoder.")
    assert short.endswith("[1, 23]")


def test_printable_replaces_what_cannot_be_shown():
    assert printable("a\x00b\nc\td\u202e") == "a\ufffdb\nc\td\ufffd"
