"""Numbers and names as text for people."""

from __future__ import annotations

import math

import numpy as np


def shown(value: float | None) -> str:
    """Return a number with four significant digits, or as a whole number; a dash for None, NaN and infinities."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}".replace("-", "−")
    text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return (f"{value:,.0f}" if value == round(value) else text).replace("-", "−")


def measured(value: float | None, sem: float | None) -> str:
    """Return a value with its standard error, ``12.30 ± 0.45``; the value alone where the error is unknown or zero."""
    return f"{shown(value)} ± {tick(float(f'{sem:.2g}'))}" if sem and math.isfinite(sem) else shown(value)


def tick(value: float) -> str:
    """Return a number without trailing zeros, for an axis."""
    text = shown(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def times(multiple: float | None) -> str:
    """Return a multiple as ``1.31×``; three decimals where two would read as one, a dash where there is no number."""
    if multiple is None or not math.isfinite(multiple):
        return "–"
    size = abs(multiple)
    text = f"{multiple:.2f}" if size < 10 else f"{multiple:.1f}" if size < 100 else f"{multiple:,.0f}"
    if text == "1.00" and multiple != 1:
        text = f"{multiple:.3f}"
    return f"{text.replace('-', '−')}×"


def cell(value: str | int | float | bool | None) -> str:
    """Return a table's value as text: numbers by :func:`shown`, truths as yes or no, None as a dash."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return shown(None if value is None else float(value))


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 unit``, ``3,000 units``.

    Parameters
    ----------
    number : int
        Formatted with thousands separators.
    singular : str
        The noun for one.
    plural : str, optional
        The noun for more; ``singular`` with an s by default.
    """
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


def listed(items: list[str]) -> str:
    """Return a list as text: ``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def duration(seconds: float) -> str:
    """Return seconds as text: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``; a dash for NaN and infinities."""
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
    """Return ``text`` with a replacement character for each unprintable one; line feeds and tabs stay."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}" for character in text)


def shortened(text: str, longest: int) -> str:
    """Return ``text`` as one line of at most ``longest`` characters; a longer one loses its middle, since both ends of an address count."""
    text = printable(" ".join(text.split()))
    if len(text) <= longest:
        return text
    head = longest // 2
    return f"{text[:head]}…{text[len(text) - (longest - head - 1) :]}"
