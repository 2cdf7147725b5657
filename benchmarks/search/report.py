"""Writes the tables of RESULTS.md and its pictures from whatever results there are.

python -m benchmarks.search.report
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from actmax.charts.chart import Axes, Chart, text_element
from actmax.charts.document import Key, document, legend, placed, to_png
from actmax.charts.style import line_style
from actmax.engine.errors import InvalidJob

from . import ours, overhead, peers, sharing, tables
from .problems import Missing, SearchProblem, families
from .run import RESULTS, load

HERE = Path(__file__).parent
PAGE = HERE / "RESULTS.md"
PICTURES = HERE / "pictures"
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
FEWEST = 3
"""Runs below which a curve is not drawn."""

Groups = dict[tuple[str, int], list[tables.Record]]


def grouped(folder: Path) -> Groups:
    """Records by problem and budget, of each problem's newest digest alone."""
    records = list(load(folder).values())
    newest = {record["problem"]: record["digest"] for record in records}
    groups: Groups = {}
    for record in records:
        if record["digest"] == newest[record["problem"]]:
            groups.setdefault((record["problem"], record["budget"]), []).append(record)
    return groups


def _extent(pairs: Iterable[tables.Pair]) -> str:
    """How many units and seeds."""
    seeds = Counter(unit for unit, _ in pairs)
    each = f"{min(seeds.values())} to {max(seeds.values())}" if len(set(seeds.values())) > 1 else f"{max(seeds.values(), default=0)}"
    return f"{len(seeds)} units, {each} seeds each"


def stale_methods(records: Sequence[tables.Record]) -> frozenset[str]:
    """Those of ours measured with other code than is here now, of one problem's records."""
    told = {(record["method"], record["code"]) for record in records if "code" in record}
    first = records[0]
    try:
        problem = families()[first["problem"]].build(first["unit"], first["seed"])
        current = {method: _current(problem, method) for method, _ in told}
    except Missing as error:
        print(f"{first['problem']}: cannot tell which runs are of other code, {error}", file=sys.stderr)
        return frozenset()
    return frozenset(method for method, code in told if current[method] != code)


def _current(problem: SearchProblem, method: str) -> str:
    """Digest of what a method runs now; nothing where there is no such method any more."""
    try:
        return ours.code_of(problem, method)
    except InvalidJob:
        return ""


def sections(groups: Groups, stored: Path, shared: Path) -> str:
    """All tables, problem by problem."""
    parts: list[str] = []
    for name, family in families().items():
        for (problem, budget), records in sorted(groups.items()):
            if problem != name:
                continue
            methods, stale = tables.by_method(records), stale_methods(records)
            known = records[0]["peak"] is not None
            body = tables.to_peak(methods, "poisson" in name, stale) if known else tables.compared(methods, stale)
            # where the peak is known nobody is compared with a peer
            pairs = {pair for runs in methods.values() for pair in runs} if known else tables.whole(methods)
            parts.append(f"### {name}\n\n{family.about}. {budget:,} evaluations, {_extent(pairs)}.\n\n{body}")
            if not known:
                parts.append(tables.against(methods))
            if (PICTURES / f"{name}.png").exists():
                parts.append(f"![Response against evaluations](pictures/{name}.png)")
    for kind in ("fourier-cnn", "deep-cnn"):
        levels = {problem: tables.by_method(records) for (problem, _), records in sorted(groups.items()) if problem.startswith(kind)}
        if len(levels) > 1:
            parts.append(f"### {kind}, all levels of noise\n\nMean of clean response ÷ best known.\n\n{tables.normalised(levels)}")
    if shared.exists():
        lines = [json.loads(line) for line in shared.read_text().splitlines()]
        parts.append(f"### Sharing between units\n\n{tables.sharing(lines)}")
    if stored.exists():
        parts.append(f"### Ask + tell of 40 candidates, ms on one core\n\n{tables.overheads(json.loads(stored.read_text()))}")
    return "\n\n".join(parts)


def draw(name: str, methods: Mapping[str, Mapping[tables.Pair, tables.Record]], path: Path) -> None:
    """Median over units and seeds of the response as a share of the best known of its unit (or of the peak), against evaluations."""
    best: dict[str, float] = {}
    for runs in methods.values():
        for (unit, _), record in runs.items():
            best[unit] = record["peak"] or max(best.get(unit, 0.0), *(value for value in record["curve"] if value is not None))
    courses: dict[str, list[tuple[float, float]]] = {}
    for method, runs in sorted(methods.items(), key=lambda one: -statistics.median(record["final"] for record in one[1].values())):
        if len(runs) < FEWEST:
            continue
        counts = next(iter(runs.values()))["counts"]
        rows = [[v / best[unit] if v is not None and best[unit] > 0 else math.nan for v in r["curve"]] for (unit, _), r in runs.items()]
        course = [tables.median([row[at] for row in rows if not math.isnan(row[at])]) for at in range(len(counts))]
        courses[method] = [(count, value) for count, value in zip(counts, course, strict=True) if not math.isnan(value)]
    if not courses:
        return
    width, height = 560, max(400, 20 * len(courses) + 40)
    points = [point for course in courses.values() for point in course]
    ends = (0, max(count for count, _ in points))
    chart = Chart(Axes((width, height), ends, [0, *(value for _, value in points)], "evaluations", "response ÷ best known"))
    solid, dashed = (iter([style for style in map(line_style, range(24)) if bool(style.dashes) == broken]) for broken in (False, True))
    styles = {method: (next(solid, None) if method.startswith("ours:") else None) or next(dashed) for method in courses}
    for method, course in courses.items():
        chart.line(course, styles[method])
    keys, _ = legend([Key(method, style) for method, style in styles.items()], 1)
    parts = [text_element(0, 14, name, 'class="ink strong"'), placed(chart.body(), 0, 24), placed(keys, width + 16, 24)]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(to_png(document((width + 240, height + 48), [placed("".join(parts), 16, 12)]), 1.25))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write page and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--print", action="store_true", help="print the tables, write nothing")
    options = parser.parse_args(arguments)
    groups = grouped(options.results)
    if not options.print:
        for (problem, _), records in groups.items():
            draw(problem, tables.by_method(records), PICTURES / f"{problem}.png")
    text = sections(groups, overhead.STORED, sharing.STORED)
    if options.print:
        print(text)
        return
    page = PAGE.read_text()
    PAGE.write_text(BLOCK.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page))
    print(f"{PAGE.name}: {sum(map(len, groups.values()))} runs, peers {', '.join(peers.PEERS)}")


if __name__ == "__main__":
    main()
