"""Suggestions for a name that doesn't exist: existing names that are spelled like it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

CLOSE = 0.5
"""Least likeness of a name that is worth a mention, from 0 to 1."""
COMPARED = 0.8
"""Least likeness as a share of the nearest name's, of a name that is mentioned besides it."""


def near_names(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """Return up to ``n`` of ``names`` that come near ``name``, the nearest first.

    Parameters
    ----------
    name : str
        The unknown name.
    names : iterable of str
        The existing names; equally near ones keep their order.
    n : int
        Most names to return.

    Notes
    -----
    Names that differ in case or separators alone come first, then those that end or begin with the name at a dot (``fc`` for
    ``model.fc``), then by the share of letters in common (:class:`difflib.SequenceMatcher`), of the whole names or of their last parts.
    """
    rated = sorted(((_likeness(name, other), other) for other in dict.fromkeys(names)), key=lambda pair: -pair[0])
    least = max(CLOSE, COMPARED * min(rated[0][0], 1.0)) if rated else CLOSE
    return [other for likeness, other in rated[:n] if likeness >= least]


def hint(name: str, names: Iterable[str], otherwise: str | None = None) -> str:
    """Return the end of a message about an unknown name: which near names there are.

    Parameters
    ----------
    name : str
        The unknown name.
    names : iterable of str
        The existing names.
    otherwise : str, optional
        Text where no name comes near; a list of all ``names`` by default.

    Returns
    -------
    str
        Such as ``did you mean rank?``.
    """
    names = list(names)
    near = near_names(name, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(names)}" if otherwise is None else otherwise


def _likeness(name: str, other: str) -> float:
    one, two = _plain(name), _plain(other)
    if one == two:
        return 2.0
    whole = difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()
    if one and two and (f".{two}".endswith(f".{one}") or f".{one}".endswith(f".{two}")):
        return 1.0 + whole / 2
    if one and two and (f"{two}.".startswith(f"{one}.") or f"{one}.".startswith(f"{two}.")):
        return 0.8 + whole / 5
    return whole


def _plain(name: str) -> str:
    return re.sub(r"[\s_:/\-]+", ".", name.lower()).strip(".")
