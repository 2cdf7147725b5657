"""``report.html`` of a session: one file, no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from actmax.v1 import session_pb2

from ....charts.chart import page_css
from ....charts.pictures import data_uri, png
from ....charts.words import shown
from ..trials import Trials
from . import chart
from .gallery import Cell, picture
from .views import View

_STYLE = """\
h3 { font-size: 1.1rem; margin: 32px 0 6px; }
h2.thread { border-top: 2px solid var(--line); padding-top: 24px; }
.answer { display: flex; flex-wrap: wrap; gap: 24px 32px; align-items: flex-start; padding: 20px; }
.answer { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.answer img { width: 224px; height: auto; }
.answer div { flex: 1 1 320px; }
.big { font-size: 1.6rem; font-weight: 600; letter-spacing: -.01em; margin-bottom: 4px; }
.wide { max-width: 860px; margin: 12px 0; }
img { display: block; }
.cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); gap: 18px; }
.cells { list-style: none; padding: 0; margin: 16px 0; }
.cells img { width: 100%; height: auto; margin-bottom: 6px; }
.cells li { font-size: .88rem; line-height: 1.35; color: var(--muted); }
.cells b { color: var(--ink); } .cells .strong img { outline: 3px solid var(--c2); outline-offset: 2px; }
@media (max-width: 600px) { .chart text { font-size: 20px; } }
@media print { .answer { break-inside: avoid; } }
"""

_EXPLAINED = {
    "Leading candidates": "Measured again after the search. Weaker ones were dropped by halves, so what is left leans upwards a "
    "little; the winner was then measured afresh, which is the number at the top.",
    "Best of its generation": "The candidate with the highest response of each of these generations. One lucky response is enough to be "
    "here, so these numbers are too high; “again” is what later measurements of the same stimulus gave, where there were any.",
    "References": "Shown throughout, each number a mean of all its showings, with its standard error.",
}


def page(trials: Trials, searches: Sequence[tuple[View, Mapping[str, Sequence[Cell]]]]) -> str:
    """The page as text.

    Parameters
    ----------
    trials : Trials
        All of the session.
    searches : sequence of (View, mapping of str to sequence of Cell)
        Each of its searches, and its gallery; "Recommended" has at most one.
    """
    session = trials.session
    title = session.spec.title or "Closed-loop session"
    parts = [
        f'<header><p class="brand">actmax session</p><h1>{escape(title)}</h1><p class="lead">{_lead(session, trials)}</p></header><main>'
    ]
    for view, groups in searches:
        parts += _search(session, view, groups)
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _facts(session, trials, [view for view, _ in searches])
    )
    parts.append(f"<section><h2>The session</h2><dl>{facts}</dl></section></main>")
    parts.append(
        "<footer><p>Made by actmax. Beside this file: result.json has every number; the other files have its pictures. All trials: "
        f"<code>actmax session export {escape(session.name)} FILE.parquet</code>, or FILE.nwb.</p></footer>"
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{escape(title)} · actmax</title>'
        f"<style>{page_css()}{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _search(session: session_pb2.Session, view: View, groups: Mapping[str, Sequence[Cell]]) -> list[str]:
    low, high = session.stimulus_low, session.stimulus_high
    found, figures = view.recommendation, view.figures
    level = "h3" if view.name else "h2"
    parts = []
    if view.name:
        about = f"{escape(view.aim)}; {escape(view.optimizer)}"
        parts.append(f'<section><h2 class="thread">{escape(view.name)}</h2><p class="note">{about}</p></section>')
    parts.append(_answer(session, found, groups.get("Recommended", ())))
    if figures.generations:
        curve = chart.evolution(figures, (found.response, found.low, found.high))
        note = (
            "Each generation's mean response to candidates and to references, with standard errors, as the optimizer was told it: "
            "corrected for drift by the references. Green dots: what was recommended then, measured again; the dashed line and its "
            "band: what is recommended now, with its 95 % interval. Faint dots: the luckiest candidate, which is no estimate of anything."
        )
        parts.append(f'<section><{level}>Evolution</{level}><p class="note">{note}</p><div class="wide">{curve.svg()}</div>')
        if gain := chart.gain(figures):
            parts.append(f'<p class="note">How excitable the units were, as the references tell.</p><div class="wide">{gain.svg()}</div>')
        parts.append("</section>")
    if beside := chart.side_by_side(figures):
        note = (
            "At the end the recommended stimulus, references and stimuli of the first generation are shown in one shuffled order: whatever "
            "the neuron's gain did, it did to all of them. A dot is a presentation; lines are means and standard errors."
        )
        parts.append(f'<section><{level}>Side by side</{level}><p class="note">{note}</p><div class="wide">{beside.svg()}</div></section>')
    for name, cells in groups.items():
        if cells and name != "Recommended":
            items = "".join(_item(cell, low, high) for cell in cells)
            note = _EXPLAINED.get(name, "")
            parts.append(f'<section><{level}>{escape(name)}</{level}><p class="note">{note}</p><ul class="cells">{items}</ul></section>')
    return parts


def _lead(session: session_pb2.Session, trials: Trials) -> str:
    told = sum(status == "told" for status in trials.status)
    ended = f"ended by {session.stopped_by}" if session.stopped_by else "still open"
    first = session.unit or session.spec.unit or session.spec.units[0].name
    units = list(dict.fromkeys(thread.unit or first for thread in session.threads)) or [first]
    asked = ", and which ".join(f"<b>{escape(unit)}</b>" for unit in units)
    searches = f"{len(session.threads)} searches, interleaved: " if session.threads else ""
    made = f"{told:,} presentations of what <b>{escape(session.spec.generator.name)}</b> makes"
    return f"Which stimulus drives {asked} the most? {searches}{made}; {escape(ended)}."


def _answer(session: session_pb2.Session, found: session_pb2.Recommendation, cells: Sequence[Cell]) -> str:
    if math.isnan(found.response):
        return '<section class="answer"><p>Nothing has been measured twice yet, so nothing is recommended.</p></section>'
    image = "".join(
        f'<img alt="The recommended stimulus" src="{data_uri(png(picture(cell.stimulus, session.stimulus_low, session.stimulus_high)))}">'
        for cell in cells
    )
    between = "" if math.isnan(found.low) else f" ({shown(found.low)} to {shown(found.high)})"
    measurements = f"{found.measurements} measurement{'s' if found.measurements != 1 else ''}"
    told = (
        f"response of the recommended stimulus and its 95 % interval, from {measurements} that had no part in choosing it"
        if found.final
        else f"response of what is recommended so far, from {measurements}; it may still change"
    )
    lines = [f'<p class="big">{shown(found.response)}{between}</p><p>{told}.</p>']
    named = (("over_references", "references"), ("over_first", "stimuli of the first generation"))
    compared = [(getattr(found, field), what) for field, what in named if found.HasField(field)]
    compared += [(other.comparison, f"what {other.thread} recommends,") for other in found.over_threads]
    for over, what in compared:
        if math.isfinite(over.difference):
            between = "" if math.isnan(over.low) else f" ({shown(over.low)} to {shown(over.high)})"
            more = f"{shown(abs(over.difference))} {'more' if over.difference >= 0 else 'less'}"
            lines.append(
                f"<p><b>{more}</b> than {escape(what)} shown beside it{between}; p = {over.p_value:.4g}, "
                f"{over.measurements} against {over.controls} presentations.</p>"
            )
    return f'<section class="answer">{image}<div>{"".join(lines)}</div></section>'


def _item(cell: Cell, low: float, high: float) -> str:
    first, *rest = cell.lines
    below = "".join(f"<br>{escape(line)}" for line in rest)
    strong = ' class="strong"' if cell.strong else ""
    return f'<li{strong}><img alt="" src="{data_uri(png(picture(cell.stimulus, low, high)))}"><b>{escape(first)}</b>{below}</li>'


def _facts(session: session_pb2.Session, trials: Trials, searches: Sequence[View]) -> list[tuple[str, str]]:
    spec, design = session.spec, session.spec.design
    counts = {status: sum(found == status for found in trials.status) for status in ("told", "missed", "late", "untold")}
    rate = design.references.rate if design.references.HasField("rate") else 0.1
    return [
        ("Name", session.name),
        ("Units", ", ".join(f"{unit.name}" for unit in spec.units)),
        ("Objective", "; ".join(dict.fromkeys(view.aim for view in searches))),
        ("Generator", spec.generator.name),
        ("Stimulus", " × ".join(str(size) for size in session.stimulus_shape)),
        ("Optimizer", "; ".join(f"{view.name}: {view.optimizer}" if view.name else view.optimizer for view in searches)),
        (
            "Design",
            f"{design.generation_size or 40} a generation, {max(design.replicates, 1)} × each candidate, {100 * rate:.3g} % references",
        ),
        ("Trials", ", ".join(f"{number:,} {status}" for status, number in counts.items() if number)),
        ("Seed", str(spec.seed)),
    ]
