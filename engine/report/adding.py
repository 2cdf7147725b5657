"""Adds sections to the artifacts of a job that has ended."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..results.result import JobResult
from ..results.section import Figure, Section
from .artifacts import Pictures, overwrite
from .figures import FigureFiles, figure_file, section_blocks
from .html import TEMPLATES
from .names import ArtifactNames
from .results import finite, section_json

FURTHER = "<!-- further sections -->"
"""Mark in the report at which further sections are inserted."""


def add_sections(folder: Path, result: JobResult, sections: Sequence[Section], notices: Sequence[str]) -> tuple[str, ...]:
    """Add ``sections`` to ``result.json``, ``arrays.npz`` and ``report.html``, and their figures as files.

    Each file is replaced at once, ``result.json`` last, so that after a crash the same call gives the same files.

    Parameters
    ----------
    folder : Path
        The artifacts.
    result : JobResult
        The job's result; its spec, with the analyses that made the sections, replaces the former spec.
    sections : sequence of Section
        Sections with labels that no existing section has.
    notices : sequence of str
        Further warnings.

    Returns
    -------
    tuple of str
        ``notices``, and one for each reason why figures could not be drawn.

    Raises
    ------
    OSError
        The numbers can't be written.
    """
    sections = [replace(section, layout=None, figures=[_in_section(figure) for figure in section.figures]) for section in sections]
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    files = FigureFiles(sections, ArtifactNames(result.searches))
    pictures = Pictures(folder)
    for section in sections:
        for figure in section.figures:
            if path := files.path(figure):
                pictures.draw(path, lambda figure=figure: figure_file(figure))
    _add_arrays(folder / "arrays.npz", sections)
    if (folder / "report.html").is_file():
        pictures.draw("report.html", lambda: _page(folder / "report.html", sections, files, len(document.get("sections", []))).encode())
    told = (*notices, *pictures.notices())
    document["warnings"] = list(dict.fromkeys([*document["warnings"], *told]))
    document["sections"] = [*document.get("sections", []), *(section_json(section, files, pictures.written) for section in sections)]
    document["spec"] = result.spec.model_dump(mode="json")
    text = json.dumps(finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    overwrite(folder / "result.json", text.encode())
    return told


def _in_section(figure: Figure) -> Figure:
    """Return the figure with a place in its section, since the units in the page are written already."""
    place = "file" if figure.place == "file" else "section"
    return replace(figure, place=place, file="" if figure.file is None else figure.file)


def _add_arrays(path: Path, sections: Sequence[Section]) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    arrays.update({section.array_name(name): array for section in sections for name, array in section.arrays.items()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    overwrite(path, buffer.getvalue())


def _page(path: Path, sections: Sequence[Section], files: FigureFiles, before: int) -> str:
    page = path.read_text(encoding="utf-8")
    template = TEMPLATES.get_template("section.html.j2")
    blocks = section_blocks(sections, files.path, first=before + 1)
    return page.replace(FURTHER, "".join(template.render(block=block) + "\n" for block in blocks) + FURTHER, 1)
