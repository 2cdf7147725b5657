"""The figures of sections: their files, and their form in a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...charts.chart import Chart
from ...charts.pictures import data_uri
from ..results.section import MEDIA, Figure, Section, StimulusPicture, Value
from .embedded import embedded, picture_uri
from .names import ArtifactNames, safe_name
from .pictures import faded, picture_file

IN_ROW = 96
"""Pixels to which stimuli in a row are enlarged."""
MOST_ROWS = 200
"""Most rows of a section's table in a page; result.json has all rows."""
MOST_FIGURES = 200
"""Most figures of a section in a page; further figures are files."""
MOST_WIDE = 24
"""Wide figures of a section in the page; further ones are links, so that it stays quick to open."""
FIGURE_SIZE = 160
"""Pixels to which stimuli are enlarged."""
MOST_INLINE = 2_000_000
"""Most bytes of a figure's file that a page embeds; a larger file is linked."""


class FigureFiles:
    """Distinct paths of the figures of a job's sections.

    Parameters
    ----------
    sections : sequence of Section
        The sections in their order.
    names : ArtifactNames
        Names of the job's units and searches. Figures of unknown units have no files.
    """

    def __init__(self, sections: Sequence[Section], names: ArtifactNames) -> None:
        self._paths: dict[int, str] = {}
        taken: set[str] = set()
        for section in sections:
            for number, figure in enumerate(section.figures, 1):
                path = next((path for path in self._paths_of(section, figure, number, names) if path not in taken), "")
                if path:
                    taken.add(path)
                    self._paths[id(figure)] = path

    @staticmethod
    def _paths_of(section: Section, figure: Figure, number: int, names: ArtifactNames) -> list[str]:
        """Return the path that a figure asks for, and a chosen path in case it asks for none or the path is taken."""
        if figure.file is None or (figure.unit and not names.knows(figure.unit, figure.optimizer)):
            return []
        about = "{search}" if figure.unit and figure.optimizer else "{unit}" if figure.unit else safe_name(figure.title)
        chosen = f"analyses/{safe_name(section.label)}/{about}-{number}.{MEDIA[figure.media_type]}"
        return [names.path(path, figure.unit, figure.optimizer) for path in (figure.file, chosen) if path]

    def path(self, figure: Figure) -> str:
        """Return the path of a figure's file; empty if it has none."""
        return self._paths.get(id(figure), "")


def figure_file(figure: Figure) -> bytes:
    """Return the content of a figure's file, which is drawn now if it is not given as bytes."""
    content = figure.content
    if isinstance(content, StimulusPicture):
        return picture_file(content)
    return content if isinstance(content, bytes) else content()


@dataclass(frozen=True)
class FigureCell:
    """A figure in a page: a picture as a data URI, ``width`` pixels wide (0: its own width); a chart; or a link to its file."""

    figure: Figure
    picture: str | None
    width: int
    chart: Chart | None
    link: str = ""


def figure_cell(figure: Figure, path: str = "", size: int = IN_ROW, *, light: bool = False) -> FigureCell:
    """Return ``figure`` for a page.

    Parameters
    ----------
    figure : Figure
        The figure.
    path : str
        Path of its file, relative to the page.
    size : int
        Pixels to which a stimulus is enlarged.
    light : bool
        Whether the page is to be small.
    """
    content = figure.content
    if isinstance(content, StimulusPicture) and content.weights is not None:
        picture = picture_uri(faded(content.stimulus, content.weights, content.spec, to=1), size if light else None)
        return FigureCell(figure, picture, size, None)
    if isinstance(content, StimulusPicture):
        made = embedded(content.stimulus, content.spec, figure.alt, size, light=light)
        return FigureCell(figure, made.picture, made.width, made.chart)
    if figure.place == "link" or figure.media_type == "video/mp4":
        return FigureCell(figure, None, 0, None, path)
    data = figure_file(figure)
    if len(data) > MOST_INLINE:
        return FigureCell(figure, None, 0, None, path)
    return FigureCell(figure, data_uri(data, figure.media_type), 0, None)


@dataclass(frozen=True)
class FigureRow:
    """Figures in a row below a unit, with a heading; ``optimizer`` is empty for figures about the unit as such."""

    title: str
    optimizer: str
    cells: list[FigureCell]


def placed(sections: Sequence[Section], place: str, unit: str, optimizer: str | None = None) -> Iterator[Figure]:
    """Yield the figures with a place about a unit.

    Parameters
    ----------
    sections : sequence of Section
        The sections, in the order of the figures.
    place : str
        See :data:`actmax.engine.results.section.Place`.
    unit : str
        The unit's address.
    optimizer : str or None
        Label of the optimizer; None for figures about any or none.
    """
    for section in sections:
        for figure in section.figures:
            if figure.place == place and figure.unit == unit and optimizer in (None, figure.optimizer):
                yield figure


def rows_below(sections: Sequence[Section], unit: str, *, light: bool) -> list[FigureRow]:
    """Return the rows of figures below a unit, section by section and search by search."""
    rows: list[FigureRow] = []
    for section in sections:
        grouped: dict[tuple[str, str], list[Figure]] = {}
        for figure in placed([section], "unit", unit):
            grouped.setdefault((figure.optimizer, figure.title), []).append(figure)
        for (optimizer, title), figures in grouped.items():
            rows.append(FigureRow(title, optimizer, [figure_cell(figure, light=light) for figure in figures]))
    return rows


def stands_alone(section: Section) -> bool:
    """Return whether a section has its own place in a page, instead of figures among the units alone."""
    among_units = section.figures and all(figure.place != "section" for figure in section.figures)
    return section.layout is None and bool(section.rows or not among_units)


@dataclass(frozen=True)
class SectionBlock:
    """A section with its own place in the page."""

    section: Section
    anchor: str
    rows: Sequence[Mapping[str, Value]]
    figures: list[FigureCell]
    more_rows: int
    more_figures: int


def section_blocks(
    sections: Sequence[Section],
    path: Callable[[Figure], str],
    most_rows: int = MOST_ROWS,
    most_figures: int = MOST_FIGURES,
    *,
    light: bool = False,
    first: int = 1,
) -> list[SectionBlock]:
    """Return the sections with their own place in a page, with a limited number of rows and figures.

    Parameters
    ----------
    sections : sequence of Section
        The sections.
    path : callable
        Returns the path of a figure's file, relative to the page.
    most_rows, most_figures : int
        Limits of rows and figures for each section.
    light : bool
        Whether the page is to be small.
    first : int
        Number of the first section's anchor.
    """
    found: list[SectionBlock] = []
    for number, section in enumerate(filter(stands_alone, sections), first):
        figures = [figure for figure in section.figures if figure.place in ("section", "link")]
        linked = {id(figure) for figure in [figure for figure in figures if figure.wide][MOST_WIDE:]}
        cells = [
            FigureCell(figure, None, 0, None, path(figure))
            if id(figure) in linked
            else figure_cell(figure, path(figure), FIGURE_SIZE, light=light)
            for figure in figures[:most_figures]
        ]
        more = max(0, len(section.rows) - most_rows), len(figures) - len(cells)
        found.append(SectionBlock(section, f"section-{number}", section.rows[:most_rows], cells, *more))
    return found
