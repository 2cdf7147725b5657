"""What an analysis computed: sections of named arrays, table rows, figures and notes, which every output shows alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...models.spaces import StimulusSpec

Value = str | int | float | bool | None
"""What a table's cell holds."""

Place = Literal["section", "unit", "cell", "link", "file"]
"""Where a figure stands in the report: in its section; in a row below its unit; beside the stimulus that its search found; as a link below
that stimulus; or in a file alone."""

MEDIA = {"image/png": "png", "image/svg+xml": "svg", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "video/mp4": "mp4"}
"""Media types of figures, and the endings of their files."""


@dataclass(frozen=True)
class StimulusPicture:
    """A figure that is a stimulus: the outputs draw it as they draw the stimuli that were found.

    Attributes
    ----------
    stimulus : ndarray
        float32, of ``spec``'s shape.
    spec : StimulusSpec
        What it is.
    weights : ndarray or None
        (height, width), >= 0: how much each place counts, of images of one or three channels. The picture is opaque where they are high.
    own_size : bool
        Whether its file has it pixel for pixel; enlarged otherwise.
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
        A heading, or a caption where there is no ``caption``.
    alt : str
        What it shows, for readers who can't see it.
    content : bytes, callable or StimulusPicture
        The file; or a function that returns it, called once it is written, so that nothing is drawn that nobody keeps; or a stimulus.
    media_type : str
        One of :data:`MEDIA`; of a stimulus "image/png".
    unit, optimizer : str
        The unit, or the search, that it is about; empty for all.
    caption : tuple of str
        Lines below it; in the report the first is bold.
    place : str
        See :data:`Place`.
    file : str or None
        Path below the artifacts' folder, in which ``{search}`` and ``{unit}`` stand for the file names of those; empty: chosen; None: it is
        in the report alone.
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
    """Fields of ``result.json`` of their own, for sections that are older than the list ``sections``.

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
    """One part of what an analysis found.

    Attributes
    ----------
    title : str
        A heading.
    notes : tuple of str
        Sentences: how to read it, what was left out.
    rows : sequence of mapping
        A table, one mapping of column to value a row; rows need not have the same columns. Columns ``unit`` and ``optimizer`` say what
        a row is about.
    arrays : mapping of str to ndarray
        Numbers or text by name; nothing pickled.
    figures : sequence of Figure
        In their order.
    value : object
        What Python code gets, where neither rows nor arrays say it well; it is not written.
    name : str
        Tells several sections of one analysis apart, in letters, digits and hyphens.
    analysis : str
        The analysis' label in its job; the engine sets it.
    files : str
        What the report's foot says of the section's files, such as "film the films".
    layout : Layout or None
        Where ``result.json`` has it instead of under ``sections``. Arrays of such a section keep their plain names in ``arrays.npz``.
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
        """What files call it: the analysis' label, and ``name`` behind it where there is one."""
        return "-".join(part for part in (self.analysis, self.name) if part)

    @property
    def columns(self) -> list[str]:
        """Columns of the table, in the order in which they first appear."""
        return list(dict.fromkeys(column for row in self.rows for column in row))

    def array_name(self, name: str) -> str:
        """What ``arrays.npz`` calls one of its arrays."""
        return name if self.layout is not None else f"{self.label}/{name}"

    def of(self, analysis: str) -> Section:
        """The same, of the analysis of that label."""
        return replace(self, analysis=analysis)


class InvalidSection(ValueError):
    """A section that can't be shown: a row, an array or a figure of another kind than :class:`Section` says."""


def checked_section(section: Any) -> Section:
    """Return ``section``, where it keeps to its contract.

    Raises
    ------
    InvalidSection
        It doesn't; the message says where.
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
