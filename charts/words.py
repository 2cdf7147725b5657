"""Numbers and names as a person reads them."""

from __future__ import annotations

import math

import numpy as np


def shown(value: float | None) -> str:
    """Four significant digits, or a whole number; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}".replace("-", "−")
    text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return (f"{value:,.0f}" if value == round(value) else text).replace("-", "−")


def measured(value: float | None, sem: float | None) -> str:
    """``12.30 ± 0.45`` where the standard error is known and not zero, ``12.30`` else."""
    return f"{shown(value)} ± {tick(float(f'{sem:.2g}'))}" if sem and math.isfinite(sem) else shown(value)


def tick(value: float) -> str:
    """A round number on an axis, without trailing zeros."""
    text = shown(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def times(multiple: float | None) -> str:
    """``1.31×``; more digits where a multiple is so close to one that it would read as one."""
    if multiple is None or not math.isfinite(multiple):
        return "–"
    size = abs(multiple)
    text = f"{multiple:.2f}" if size < 10 else f"{multiple:.1f}" if size < 100 else f"{multiple:,.0f}"
    if text == "1.00" and multiple != 1:
        text = f"{multiple:.3f}"
    return f"{text.replace('-', '−')}×"


def cell(value: str | int | float | bool | None) -> str:
    """A table's value: numbers by :func:`shown`, truths as yes or no, nothing as a dash."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return shown(None if value is None else float(value))


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 unit``, ``3,000 units``."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


def listed(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def printable(text: str) -> str:
    """``text`` with a replacement character for what can't be shown; lines and tabs stay."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}" for character in text)


def shortened(text: str, longest: int) -> str:
    """One line of at most ``longest`` characters, its middle left out where it is longer: both ends of an address tell."""
    text = printable(" ".join(text.split()))
    if len(text) <= longest:
        return text
    head = longest // 2
    return f"{text[:head]}…{text[len(text) - (longest - head - 1) :]}"
