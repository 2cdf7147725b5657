"""From records to tables: medians, ratios to the best blind peer, shares won, evaluations to pass it."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from . import overhead, peers

Record = Mapping[str, Any]
Pair = tuple[str, int]
"""A unit and a seed."""

SHARE_OF_PEAK = 0.9
WITHIN = 600


def by_method(records: Sequence[Record]) -> dict[str, dict[Pair, Record]]:
    """Records of one problem and budget: method -> (unit, seed) -> record."""
    found: dict[str, dict[Pair, Record]] = defaultdict(dict)
    for record in records:
        if record["final"] is not None:
            found[record["method"]][record["unit"], record["seed"]] = record
    return dict(found)


def complete(methods: Mapping[str, Mapping[Pair, Record]]) -> set[Pair]:
    """Pairs that every blind peer of the results has run."""
    runs = [set(methods[name]) for name in peers.BLIND if name in methods]
    return set.intersection(*runs) if runs else set()


def deciding(methods: Mapping[str, Mapping[Pair, Record]]) -> tuple[str, ...]:
    """Blind peers that are alone the best on one complete pair at least; all of them where none is.

    Further seeds need these alone.
    """
    known = [name for name in peers.BLIND if name in methods]
    found: set[str] = set()
    for pair in complete(methods):
        finals = {name: methods[name][pair]["final"] for name in known}
        best = [name for name in known if finals[name] == max(finals.values())]
        if len(best) == 1:
            found.update(best)
    return tuple(name for name in known if name in found) or tuple(known)


def whole(methods: Mapping[str, Mapping[Pair, Record]]) -> set[Pair]:
    """Pairs that all deciding peers have run: a grid under way is compared where it is whole."""
    runs = [set(methods[name]) for name in deciding(methods)]
    return set.intersection(*runs) if runs else set()


def best_blind(methods: Mapping[str, Mapping[Pair, Record]]) -> dict[Pair, float]:
    """The best final response of a blind peer on each whole pair."""
    known = [methods[name] for name in peers.BLIND if name in methods]
    return {pair: max(runs[pair]["final"] for runs in known if pair in runs) for pair in sorted(whole(methods))}


def peer_medians(methods: Mapping[str, Mapping[Pair, Record]]) -> dict[str, float]:
    """The best blind peer's median response over seeds, unit by unit."""
    deciders, everywhere, together = deciding(methods), whole(methods), complete(methods)
    medians: dict[str, float] = {}
    for unit in sorted({unit for unit, _ in everywhere}):
        finals = [
            [methods[name][pair]["final"] for pair in (everywhere if name in deciders else together) if pair[0] == unit]
            for name in peers.BLIND
            if name in methods
        ]
        medians[unit] = max(statistics.median(found) for found in finals if found)
    return medians


def passed_at(record: Record, level: float) -> float:
    """Evaluations after which a run is above ``level``; infinity where it never is."""
    steps = record["improvements"] or [[n, value] for n, value in zip(record["counts"], record["curve"], strict=True) if value is not None]
    return next((n for n, value in steps if value > level), math.inf)


def reached_at(record: Record, level: float) -> float:
    """Evaluations after which a run is at ``level`` or above."""
    return passed_at(record, math.nextafter(level, -math.inf))


def median(values: Sequence[float]) -> float:
    """NaN where there are none."""
    return statistics.median(values) if values else math.nan


def shown(value: float, digits: int = 3) -> str:
    """A number, or a dash."""
    if math.isnan(value):
        return "–"
    return "never" if math.isinf(value) else f"{value:.{digits}g}" if abs(value) < 100 else f"{value:.0f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def compared(methods: Mapping[str, Mapping[Pair, Record]], stale: frozenset[str] = frozenset()) -> str:
    """The comparison of the criteria for generators: best first."""
    blind, medians = best_blind(methods), peer_medians(methods)
    rows: list[tuple[float, list[str]]] = []
    for name, runs in methods.items():
        common = [pair for pair in runs if pair in blind]
        unit_medians: dict[str, list[float]] = defaultdict(list)
        for (unit, _), record in runs.items():
            unit_medians[unit].append(record["final"])
        ratios = [statistics.median(finals) / medians[unit] for unit, finals in unit_medians.items() if medians.get(unit, 0.0) > 0]
        ours = name.startswith("ours:")
        won = [runs[pair]["final"] > blind[pair] for pair in common]
        equal = [runs[pair]["final"] == blind[pair] for pair in common]
        passed = [passed_at(runs[pair], blind[pair]) for pair in common]
        failed = sum(1 for record in runs.values() if record.get("failed"))
        rows.append(
            (
                -median(ratios) if ratios else 0.0,
                [
                    name + (" †" if name in stale else "") + (f" (failed in {failed})" if failed else ""),
                    shown(median([record["final"] for record in runs.values()])),
                    shown(median(ratios)),
                    f"{100 * statistics.mean(won):.0f} % + {100 * statistics.mean(equal):.0f} %"
                    if common and (ours or name == "natural")
                    else "",
                    shown(median(passed)) if ours or name == "natural" else "",
                    shown(max(0.0, median([record["overhead_seconds"] for record in runs.values()])), 2),
                    str(len(runs)),
                ],
            )
        )
    head = ["search", "median response", "÷ best blind peer", "won + level", "passes it after", "own time, s", "runs"]
    return table(head, [row for _, row in sorted(rows, key=lambda one: one[0])])


AGAINST = ("ours:auto", "ours:auto:no-gradient", "ours:tt-evolution", "ours:tt-evolution:blind")
"""Those of ours that are compared with each peer by itself."""


def against(methods: Mapping[str, Mapping[Pair, Record]]) -> str:
    """Each peer by itself, on all pairs that both have run: share ahead + level, ratio of mean responses, number of pairs."""
    ours = [name for name in AGAINST if name in methods]
    rows: list[list[str]] = []
    for peer in peers.PEERS:
        if peer not in methods:
            continue
        row = [peer]
        for name in ours:
            pairs = [
                (record["final"], methods[peer][pair]["final"]) for pair, record in sorted(methods[name].items()) if pair in methods[peer]
            ]
            if not pairs:
                row.append("–")
                continue
            ahead, level = statistics.mean(a > b for a, b in pairs), statistics.mean(a == b for a, b in pairs)
            theirs = sum(b for _, b in pairs)
            ratio = shown(sum(a for a, _ in pairs) / theirs) if theirs > 0 else "∞"
            row.append(f"{100 * ahead:.0f} % + {100 * level:.0f} %, {ratio} × ({len(pairs)})")
        rows.append(row)
    return table(["ahead + level, ratio of means (pairs)", *ours], rows)


def to_peak(methods: Mapping[str, Mapping[Pair, Record]], noisy: bool, stale: frozenset[str] = frozenset()) -> str:
    """Where the peak is known: evaluations to nine tenths of it, or under noise what the recommendation is worth."""
    rows: list[tuple[float, list[str]]] = []
    for name, runs in methods.items():
        worth = [record["final"] / record["peak"] for record in runs.values()]
        mark = name + (" †" if name in stale else "")
        if noisy:
            claims = [
                abs(record.get("reported", record["best_told"]) / record["final"] - 1) for record in runs.values() if record["final"] > 0
            ]
            enough = statistics.mean(value >= 0.95 for value in worth)
            honest = statistics.mean(claim <= 0.05 for claim in claims) if claims else math.nan
            claim = 100 * median(claims)
            rows.append(
                (
                    -median(worth),
                    [
                        mark,
                        shown(median(worth)),
                        shown(min(worth)),
                        f"{100 * enough:.0f} %",
                        f"{shown(claim, 2)} %",
                        f"{100 * honest:.0f} %",
                        str(len(runs)),
                    ],
                )
            )
        else:
            needed = [reached_at(record, SHARE_OF_PEAK * record["peak"]) for record in runs.values()]
            inside = statistics.mean(n <= WITHIN for n in needed)
            rows.append(
                (
                    median(needed),
                    [mark, shown(median(needed)), shown(max(needed)), f"{100 * inside:.0f} %", shown(median(worth)), str(len(runs))],
                )
            )
    quiet = ["search", "evaluations to .9 of the peak, median", "worst", f"within {WITHIN}", "response ÷ peak at the end", "runs"]
    loud = ["search", "recommendation ÷ peak, median", "worst", "≥ .95", "reported off by, median", "off by ≤ 5 %", "runs"]
    return table(loud if noisy else quiet, [row for _, row in sorted(rows, key=lambda one: one[0])])


def normalised(groups: Mapping[str, Mapping[str, Mapping[Pair, Record]]], stale: frozenset[str] = frozenset()) -> str:
    """Several levels of noise side by side: mean of response ÷ best known of each unit over all of them."""
    known: dict[str, float] = {}
    for methods in groups.values():
        for runs in methods.values():
            for (unit, _), record in runs.items():
                known[unit] = max(known.get(unit, -math.inf), record["final"])
    scores: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for methods in groups.values() for name in methods):
        scores[name] = [
            statistics.mean(record["final"] / known[unit] for (unit, _), record in methods[name].items()) if methods.get(name) else math.nan
            for methods in groups.values()
        ]
    runs = {name: min((len(methods.get(name, {})) for methods in groups.values()), default=0) for name in scores}
    order = sorted(scores, key=lambda name: -statistics.mean(0.0 if math.isnan(value) else value for value in scores[name]))
    rows = [[name + (" †" if name in stale else ""), *(shown(value) for value in scores[name]), str(runs[name])] for name in order]
    return table(["search", *groups, "runs each"], rows)


def overheads(stored: Mapping[str, Mapping[str, float | str]]) -> str:
    """Milliseconds of 40 candidates."""
    head = ["optimizer", "64 (≤ 2 ms)", "4,096 (≤ 6 ms)", "64 codes of 512 (tensor trains ≤ 5 ms)"]
    rows: list[list[str]] = []
    for name, cells in sorted(stored.items()):
        values = [cells.get(space, "–") for space in overhead.SPACES]
        rows.append([name, *(f"{value:.2f}" if isinstance(value, float | int) else value for value in values)])
    return table(head, rows)


def sharing(lines: Sequence[Record]) -> str:
    """Share of the evaluations apart that units together need for the same median response."""
    groups: dict[tuple[str, str, int], dict[bool, list[Record]]] = defaultdict(lambda: {True: [], False: []})
    for line in lines:
        groups[line["problem"], line["method"], line["budget"]][line["together"]].append(line)
    rows: list[list[str]] = []
    for (problem, method, budget), found in sorted(groups.items()):
        if not (found[True] and found[False]):
            continue
        level = median([line["curve"][-1] for line in found[False]])
        counts = found[True][0]["counts"]
        courses = [median([line["curve"][number] for line in found[True]]) for number in range(len(counts))]
        needed = next((count for count, value in zip(counts, courses, strict=True) if value >= level), math.inf)
        share = needed / budget
        seeds = len({line["seed"] for line in found[True]})
        rows.append(
            [
                problem,
                method,
                f"{budget:,}",
                shown(level),
                shown(courses[-1]),
                f"{100 * share:.0f} %" if math.isfinite(share) else "never",
                str(seeds),
            ]
        )
    head = [
        "problem",
        "search",
        "evaluations each",
        "median apart",
        "median together",
        "evaluations together for the median apart",
        "seeds",
    ]
    return table(head, rows)
