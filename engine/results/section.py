"""Results of an analysis: sections of named arrays, table rows, figures and notes, which every output shows alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...models.spaces import StimulusSpec

Value = str | int | float | bool | None
"""The value of a table's cell."""

Place = Literal["section", "unit", "cell", "link", "file"]
"""Place of a figure in the report: in its section; in a row below its unit; beside its search's stimulus; as a link below its search's
stimulus; or in a file alone."""

MEDIA = {"image/png": "png", "image/svg+xml": "svg", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "video/mp4": "mp4"}
"""Media types of figures, and the endings of their files."""


@dataclass(frozen=True)
class StimulusPicture:
    """A figure that is a stimulus: the outputs draw it like the stimuli of searches.

    Attributes
    ----------
    stimulus : ndarray
        float32, of ``spec``'s shape.
    spec : StimulusSpec
        Shape, range and modality.
    weights : ndarray or None
        (height, width), >= 0: weight of each place, for images of one or three channels. The picture is opaque where weights are high.
    own_size : bool
        Whether the file shows each pixel once; enlarged otherwise.
    """

    stimulus: NDArray[np.float32]
    spec: StimulusSpec
    weights: NDArray[np.float32] | None = None
    own_size: bool = False


@dataclass(frozen=True)
class Figure:
    """One picture, plot or film.

    Attributes
    ----------
    title : str
        A heading; also the caption if there is no ``caption``.
    alt : str
        A description, for readers who can't see the figure.
    content : bytes, callable or StimulusPicture
        The file; or a function that returns it, called when the file is written, so that unused figures are never drawn; or a stimulus.
    media_type : str
        One of :data:`MEDIA`; "image/png" for a stimulus.
    unit, optimizer : str
        The unit, or the search, that the figure is about; empty for all.
    caption : tuple of str
        Lines below the figure; in the report the first is bold.
    place : str
        See :data:`Place`.
    file : str or None
        Path below the artifacts' folder, in which ``{search}`` and ``{unit}`` stand for file names of search and unit; empty: chosen;
        None: in the report alone.
    wide : bool
        Whether pages show it across their width, as a sheet of charts, rather than as a small picture.
    """

    title: str
    alt: str
    content: bytes | Callable[[], bytes] | StimulusPicture
    media_type: str = "image/png"
    unit: str = ""
    optimizer: str = ""
    caption: tuple[str, ...] = ()
    place: Place = "section"
    file: str | None = ""
    wide: bool = False


@dataclass(frozen=True)
class Layout:
    """Places in ``result.json`` for sections that are older than the list ``sections``.

    Attributes
    ----------
    job : mapping
        Fields of the whole job.
    searches : mapping of (unit, optimizer) to mapping
        Fields of each search. Under a key ``files`` they hold paths, as :attr:`Figure.file` does.
    search_files : mapping of str to str
        Paths under each search's ``files``, by key.
    summary : mapping
        Fields of ``summary``.
    optimizers : mapping of str to mapping
        Fields of each optimizer in ``summary``.
    sheets : str
        Key under ``sheets`` that lists the section's figures in files alone.
    """

    job: Mapping[str, Any] = field(default_factory=dict)
    searches: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    search_files: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    optimizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sheets: str = ""


@dataclass(frozen=True)
class Section:
    """One part of an analysis' results.

    Attributes
    ----------
    title : str
        A heading.
    notes : tuple of str
        Sentences: how to read the section, what is left out.
    rows : sequence of mapping
        A table, one mapping of column to value for each row; rows may have different columns. Columns ``unit`` and ``optimizer`` say what
        a row is about.
    arrays : mapping of str to ndarray
        Numbers or text by name; no object arrays.
    figures : sequence of Figure
        The figures in their order.
    value : object
        A Python object for callers, for results that don't fit rows or arrays; it is not written.
    name : str
        Distinguishes several sections of one analysis, in letters, digits and hyphens.
    analysis : str
        The analysis' label in its job; the engine sets it.
    files : str
        Description of the section's files in the report's foot, such as "film the films".
    layout : Layout or None
        Places in ``result.json`` other than ``sections``. Arrays of such a section keep their plain names in ``arrays.npz``.
    """

    title: str
    notes: tuple[str, ...] = ()
    rows: Sequence[Mapping[str, Value]] = ()
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    value: Any = None
    name: str = ""
    analysis: str = ""
    files: str = ""
    layout: Layout | None = None

    @property
    def label(self) -> str:
        """The section's name in files: the analysis' label, followed by ``name`` if there is one."""
        return "-".join(part for part in (self.analysis, self.name) if part)

    @property
    def columns(self) -> list[str]:
        """Columns of the table, in the order in which they first appear."""
        return list(dict.fromkeys(column for row in self.rows for column in row))

    def array_name(self, name: str) -> str:
        """Return the name of one of its arrays in ``arrays.npz``."""
        return name if self.layout is not None else f"{self.label}/{name}"

    def of(self, analysis: str) -> Section:
        """Return a copy with ``analysis`` as its analysis' label."""
        return replace(self, analysis=analysis)


class InvalidSection(ValueError):
    """A section that can't be shown: a row, an array or a figure violates the contract of :class:`Section`."""


def checked_section(section: Any) -> Section:
    """Return ``section`` after validating it.

    Raises
    ------
    InvalidSection
        ``section`` violates its contract; the message says where.
    """
    if not isinstance(section, Section):
        raise InvalidSection(f"an analysis returns sections, got a {type(section).__name__}")
    if not section.title.strip():
        raise InvalidSection("a section has a title")
    for row in section.rows:
        odd = next((name for name, value in row.items() if not isinstance(value, (str, int, float, bool, np.generic, type(None)))), None)
        if odd is not None:
            raise InvalidSection(
                f"{section.title}: column {odd!r} holds a {type(row[odd]).__name__}; cells are text, numbers, truths or None"
            )
    for name, array in section.arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.hasobject:
            raise InvalidSection(f"{section.title}: array {name!r} is no NumPy array of numbers or text")
    for figure in section.figures:
        if figure.media_type not in MEDIA:
            raise InvalidSection(f"{section.title}: {figure.title!r} is {figure.media_type}; figures are {', '.join(MEDIA)}")
        if not figure.alt.strip():
            raise InvalidSection(f"{section.title}: {figure.title!r} has no alternative text")
        if figure.place in ("cell", "link") and not (figure.unit and figure.optimizer):
            raise InvalidSection(f"{section.title}: {figure.title!r} stands beside a search's stimulus; it names its unit and optimizer")
        if figure.place == "unit" and not figure.unit:
            raise InvalidSection(f"{section.title}: {figure.title!r} stands below a unit; it names which")
    return section
