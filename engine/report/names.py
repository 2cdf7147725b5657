"""File names that are safe on every system, one for each search and unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..results.result import SearchResult

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 80


def safe_name(text: str) -> str:
    """``text`` in letters, digits, dots, single hyphens and underscores: ``conv2[12, 4]`` is ``conv2-12-4``."""
    text = re.sub(r"(?<!\d):(?!\d)", "all", text)
    text = re.sub(r"[^A-Za-z0-9._]+", "-", text)[:_LONGEST].strip("-.")
    if not text:
        return "unnamed"
    return f"_{text}" if _RESERVED.match(text) else text


def unique_names(texts: Iterable[str]) -> dict[str, str]:
    """A safe name for each of ``texts``, numbered where two would differ by nothing, or by case alone."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in texts:
        if text in names:
            continue
        name, number = safe_name(text), 1
        while (numbered := name if number == 1 else f"{name}-{number}").lower() in taken:
            number += 1
        names[text] = numbered
        taken.add(numbered.lower())
    return names


class ArtifactNames:
    """Paths below the artifacts' folder, with forward slashes."""

    def __init__(self, searches: Sequence[SearchResult]) -> None:
        self._units = unique_names(search.unit for search in searches)
        self._optimizers = unique_names(search.optimizer for search in searches)

    def _pair(self, search: SearchResult, optimum: int = 0, suffix: str = "png") -> str:
        # A safe name holds no double hyphen, so two pairs never make one name.
        number = f"--{optimum + 1}" if optimum else ""
        return f"{self._units[search.unit]}--{self._optimizers[search.optimizer]}{number}.{suffix}"

    def stimulus(self, search: SearchResult, optimum: int = 0) -> str:
        """The found stimulus, or another of its optima, enlarged or plotted."""
        return f"stimuli/{self._pair(search, optimum)}"

    def raw(self, search: SearchResult, optimum: int = 0) -> str:
        """The found image, or another of its optima, at its own size."""
        return f"stimuli/raw/{self._pair(search, optimum)}"

    def importance(self, search: SearchResult) -> str:
        """The found image, opaque where its score hung on it."""
        return f"stimuli/importance/{self._pair(search)}"

    def film(self, search: SearchResult, kind: str) -> str:
        """What its search had found best on the way, as a "gif" or "mp4"."""
        return f"film/{self._pair(search, suffix=kind)}"

    @staticmethod
    def montage(sheet: int) -> str:
        """A sheet of all found stimuli, from 0."""
        return f"montage-{sheet + 1}.png" if sheet else "montage.png"

    @staticmethod
    def images(sheet: int) -> str:
        """A sheet of what was found beside pictures of the folder, from 0."""
        return f"images-{sheet + 1}.png" if sheet else "images.png"

    def convergence(self, unit: str) -> str:
        """The unit's convergence plot."""
        return f"convergence/{self._units[unit]}.png"
