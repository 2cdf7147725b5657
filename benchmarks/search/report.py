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
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    best: dict[str, float] = {}
    for runs in methods.values():
        for (unit, _), record in runs.items():
            best[unit] = record["peak"] or max(best.get(unit, 0.0), *(value for value in record["curve"] if value is not None))
    figure, axes = plt.subplots(figsize=(8.4, 4.2), layout="constrained")
    drawn = 0
    for method, runs in sorted(methods.items(), key=lambda one: -statistics.median(record["final"] for record in one[1].values())):
        if len(runs) < FEWEST:
            continue
        counts = next(iter(runs.values()))["counts"]
        rows = [[v / best[unit] if v is not None and best[unit] > 0 else math.nan for v in r["curve"]] for (unit, _), r in runs.items()]
        course = [tables.median([row[at] for row in rows if not math.isnan(row[at])]) for at in range(len(counts))]
        colour = plt.get_cmap("tab20")(drawn % 20)
        style = "-" if method.startswith("ours:") else ":" if method == "natural" else "--"
        axes.plot(counts, course, style, color=colour, label=method, linewidth=1.8 if style == "-" else 1.1)
        drawn += 1
    if drawn:
        axes.set(xlabel="evaluations", ylabel="response ÷ best known", title=name, ylim=(0, None))
        figure.legend(loc="outside right center", fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


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
