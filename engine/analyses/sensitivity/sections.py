"""What was found about sensitivity as tables, arrays and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....charts.words import count
from ....models.targets.target import HasNoise
from ...results.section import Figure, Section, Value
from ..analysis import AnalysisContext
from .figure import sensitivity_sheet
from .leading import ENOUGH, numbers_of
from .study import Study

MOST_PAIRS = 10
"""Pairs of factors of one optimum in the table, those that interact the most."""
_INDICES = (
    "S1 is the share of the response's variance that a factor alone brings, ST the share that goes once it is fixed, both with 95 % "
    "intervals. Morris μ* is the mean size of its effect in steps over the range, σ how much that differs. PAWN is the median distance of "
    "the distributions of responses with and without it fixed. Estimates of small indices may be a little below 0."
)
_SLOPES = "Slopes are changes of the response by unit of the factor, at the optimum."


def sections_of(context: AnalysisContext, studies: Sequence[Study]) -> list[Section]:
    """Return a section of factors, and where there is something to say, of pairs and of how many factors suffice."""
    found = [_factor_section(context, studies)]
    if any("S2" in study.indices for study in studies):
        found.append(_pair_section(studies))
    if any(study.explained is not None for study in studies):
        found.append(_leading_section(studies))
    return found


def _about(study: Study) -> dict[str, Value]:
    """The columns that say what a row is about."""
    about: dict[str, Value] = {"unit": study.search.unit, "optimizer": study.search.optimizer}
    return about | ({"optimum": study.number + 1} if len(study.search.optima) > 1 else {})


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _factor_section(context: AnalysisContext, studies: Sequence[Study]) -> Section:
    columns = {name for study in studies for name, values in study.indices.items() if values.ndim == 1}
    order = [name for study in studies for name in study.indices if name in columns]
    rows: list[dict[str, Value]] = []
    figures: list[Figure] = []
    for study in studies:
        limit = "; ".join(study.limits)
        if not study.indices:
            rows.append({**_about(study), "factor": "", "limit": limit})
            continue
        for at, name in enumerate(study.factors.names):
            values = {column: _known(study.indices[column][at]) for column in dict.fromkeys(order) if column in study.indices}
            rows.append({**_about(study), "factor": name, **values, **({"limit": limit} if limit and not at else {})})
        figures.append(_figure(context, study))
    notes = [*dict.fromkeys(study.factors.says for study in studies)]
    notes += [_INDICES] * bool(columns - {"slope", "slope ±", "gradient"}) + [_SLOPES] * ("slope" in columns)
    if isinstance(context.target, HasNoise) and context.target.noisy:
        notes.append("The target is noisy: its noise counts to every total index, and to no first one.")
    return Section("Sensitivity", tuple(notes), rows, _arrays(studies), figures)


def _arrays(studies: Sequence[Study]) -> dict[str, NDArray[Any]]:
    """A row an optimum; NaN where an index is not known."""
    arrays: dict[str, NDArray[Any]] = {"factors": np.array(studies[0].factors.names if studies else (), dtype=np.str_)}
    for name in dict.fromkeys(name for study in studies for name in study.indices):
        shape = next(study.indices[name].shape for study in studies if name in study.indices)
        arrays[name] = np.stack([study.indices.get(name, np.full(shape, np.nan)) for study in studies])
    return arrays


def _figure(context: AnalysisContext, study: Study) -> Figure:
    search, spec = study.search, context.generator.stimulus
    which = f", optimum {study.number + 1}" if len(search.optima) > 1 else ""
    title = f"Sensitivity of {search.unit}{which}, found by {search.optimizer}"
    says = title
    if study.leading is not None:
        says = f"{title}. {study.factors.names[study.leading[0]]} counts the most."
    return Figure(
        f"Sensitivity{which}",
        says,
        lambda: sensitivity_sheet(title, study, spec),
        unit=search.unit,
        optimizer=search.optimizer,
        wide=True,
    )


def _pair_section(studies: Sequence[Study]) -> Section:
    rows: list[dict[str, Value]] = []
    for study in studies:
        if "S2" not in study.indices:
            continue
        pairs, errors, names = study.indices["S2"], study.indices["S2 ±"], study.factors.names
        known = [(one, other) for one, other in combinations(range(len(names)), 2) if math.isfinite(pairs[one, other])]
        for one, other in sorted(known, key=lambda pair: -pairs[pair])[:MOST_PAIRS]:
            rows.append(
                {
                    **_about(study),
                    "factors": f"{names[one]} and {names[other]}",
                    "S2": float(pairs[one, other]),
                    "S2 ±": _known(errors[one, other]),
                }
            )
    note = f"S2 is the share of the variance that two factors bring only together; the {MOST_PAIRS} strongest pairs of each optimum."
    return Section("Interactions", (note,), rows, name="pairs")


def _leading_section(studies: Sequence[Study]) -> Section:
    rows: list[dict[str, Value]] = []
    notes = [
        "All factors but the leading ones are held at the middle of their range. r² is the squared correlation of the responses then "
        "with those when all vary: the share of the variance that is left, up to a scale."
    ]
    for study in studies:
        if study.explained is None or study.leading is None:
            continue
        numbers = numbers_of(len(study.leading))
        for number, share in zip(numbers, study.explained, strict=True):
            last = study.factors.names[study.leading[number - 1]] if number else ""
            rows.append({**_about(study), "leading": number, "last of them": last, "r²": float(share)})
        enough = next((number for number, share in zip(numbers, study.explained, strict=True) if share >= ENOUGH), None)
        if enough is not None:
            notes.append(
                f"{study.search.unit}: {count(enough, 'factor')} of {len(study.leading)} bring {100 * ENOUGH:.0f} % of the variance."
            )
    known = [study.explained for study in studies if study.explained is not None]
    return Section("How many suffice", tuple(dict.fromkeys(notes)), rows, {"explained": np.stack(known)}, name="leading")
