"""File names that are safe on every system, one for each search and unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..results.result import SearchResult

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 80


def safe_name(text: str) -> str:
    """Return ``text`` in letters, digits, dots, single hyphens and underscores: ``conv2[12, 4]`` becomes ``conv2-12-4``."""
    text = re.sub(r"(?<!\d):(?!\d)", "all", text)
    text = re.sub(r"[^A-Za-z0-9._]+", "-", text)[:_LONGEST].strip("-.")
    if not text:
        return "unnamed"
    return f"_{text}" if _RESERVED.match(text) else text


def unique_names(texts: Iterable[str]) -> dict[str, str]:
    """Return a safe name for each of ``texts``, numbered if two would be equal or differ by case alone."""
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

    def knows(self, unit: str, optimizer: str = "") -> bool:
        """Return whether a unit, and an optimizer if one is given, are among the searches."""
        return unit in self._units and (not optimizer or optimizer in self._optimizers)

    def search(self, unit: str, optimizer: str) -> str:
        """Return the name of a search in file names."""
        # A safe name has no double hyphen, so two pairs never have the same name.
        return f"{self._units[unit]}--{self._optimizers[optimizer]}"

    def path(self, template: str, unit: str, optimizer: str) -> str:
        """Return a figure's path, see :attr:`actmax.engine.results.section.Figure.file`."""
        found = template.replace("{search}", self.search(unit, optimizer)) if unit and optimizer else template
        return found.replace("{unit}", self._units[unit]) if unit else found

    def stimulus(self, search: SearchResult) -> str:
        """Return the path of a search's stimulus, enlarged or plotted."""
        return f"stimuli/{self.search(search.unit, search.optimizer)}.png"

    def raw(self, search: SearchResult) -> str:
        """Return the path of a search's image at its own size."""
        return f"stimuli/raw/{self.search(search.unit, search.optimizer)}.png"

    @staticmethod
    def montage(sheet: int) -> str:
        """Return the path of a sheet of the montage, numbered from 0."""
        return f"montage-{sheet + 1}.png" if sheet else "montage.png"

    def convergence(self, unit: str) -> str:
        """Return the path of a unit's convergence plot."""
        return f"convergence/{self._units[unit]}.png"
