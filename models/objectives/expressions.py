"""Objectives written in Python: ``Unit("fc[3]") - 0.1 * TotalVariation()``.

An expression has the content of a job file's ``objective`` and is bound to no target: :meth:`Expression.spec` returns it as plain data.
Operators make new expressions and don't change their operands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..components import find


class Expression:
    """A weighted sum of objectives."""

    def terms(self) -> tuple[tuple[Term, float], ...]:
        """Return the objectives of the sum, each with its weight."""
        raise NotImplementedError

    def spec(self) -> dict[str, Any]:
        """Return the expression as a job's ``objective``: plain data."""
        terms = self.terms()
        if len(terms) == 1 and terms[0][1] == 1.0:
            return terms[0][0].component()
        return {"name": "sum", "options": {"terms": [{"objective": term.component(), "weight": weight} for term, weight in terms]}}

    def units(self) -> Iterator[str]:
        """Yield the addresses that terms have as their own units, in order."""
        for term, _ in self.terms():
            if isinstance(unit := term.options.get("unit"), str):
                yield unit

    def __add__(self, other: Expression | int) -> Expression:
        if isinstance(other, int) and other == 0:  # sum() begins with 0
            return self
        return Weighted(self.terms() + other.terms()) if isinstance(other, Expression) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Expression) -> Expression:
        return self + -other if isinstance(other, Expression) else NotImplemented

    def __mul__(self, weight: float) -> Expression:
        if not isinstance(weight, int | float | np.number):
            return NotImplemented
        return Weighted(tuple((term, own * float(weight)) for term, own in self.terms()))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Expression:
        return self * (1 / divisor) if isinstance(divisor, int | float | np.number) else NotImplemented

    def __neg__(self) -> Expression:
        return self * -1.0


@dataclass(frozen=True, repr=False)
class Weighted(Expression):
    """A sum of several terms, as operators make it."""

    parts: tuple[tuple[Term, float], ...]

    def terms(self) -> tuple[tuple[Term, float], ...]:
        """Return the terms, each with its weight."""
        return self.parts

    def __repr__(self) -> str:
        return " + ".join(repr(term) if weight == 1 else f"{weight:g} * {term!r}" for term, weight in self.parts).replace("+ -", "- ")


class Term(Expression):
    """One objective by name, with options that are validated at construction.

    Raises
    ------
    pydantic.ValidationError
        An option is invalid; a ValueError that names it.
    """

    first: ClassVar[tuple[str, ...]] = ()
    """Options that may be given without their names."""

    def __init__(self, *given: Any, **options: Any) -> None:
        if len(given) > len(self.first):
            raise TypeError(f"{type(self).__name__} takes at most {len(self.first)} options without their names, got {len(given)}")
        options = dict(zip(self.first, given, strict=False)) | options
        checked = find("objective", self.name).Options.model_validate({key: _plain(value) for key, value in options.items()})
        self.options: dict[str, Any] = checked.model_dump(mode="json", exclude_unset=True)

    @property
    def name(self) -> str:
        """The name in the catalog: the class's name in lower case with hyphens."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(self).__name__).lower()

    def terms(self) -> tuple[tuple[Term, float], ...]:
        """Return this term, with the weight 1."""
        return ((self, 1.0),)

    def component(self) -> dict[str, Any]:
        """Return the objective as a job names it: plain data."""
        return {"name": self.name, "options": self.options}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Term) and other.options == self.options

    __hash__ = None  # type: ignore[assignment]  # options are dictionaries

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.options.items())})"


def _plain(value: Any) -> Any:
    return np.asarray(value, np.float64).ravel().tolist() if hasattr(value, "__array__") else value


class Unit(Term):
    """A unit's response; without an address, the job's unit."""

    first = ("unit",)


class Layer(Term):
    """The energy of a layer (DeepDream)."""

    first = ("unit",)


class Direction(Term):
    """Along a vector in a layer's space."""

    first = ("unit", "vector")


class Cosine(Term):
    """The angle to a vector in a layer's space."""

    first = ("unit", "vector")


class Logit(Term):
    """The logit of a class."""

    first = ("unit",)


class LogProbability(Term):
    """The log-probability of a class."""

    first = ("unit",)


class Margin(Term):
    """A class against the strongest other."""

    first = ("unit",)


class Boundary(Term):
    """Between two units."""

    first = ("unit", "other")


class Joint(Term):
    """Several units' responses with weights."""

    first = ("terms",)


class Interpolated(Term):
    """On the way from one unit to another."""

    first = ("unit", "other", "share")


class Diversity(Term):
    """Unlike the others of a generation."""

    first = ("unit",)


class Activations(Term):
    """Like the responses to an image."""

    first = ("unit", "image")


class Content(Term):
    """What an image shows."""

    first = ("image", "layers")


class Style(Term):
    """How an image looks."""

    first = ("image", "layers")


class L1(Term):
    """Mean absolute distance from grey, ≥ 0."""


class L2(Term):
    """Mean squared distance from grey, ≥ 0."""


class TotalVariation(Term):
    """Differences of neighbours, ≥ 0."""


class Blur(Term):
    """Distance from the blurred self, ≥ 0."""

    first = ("sigma",)


class Spikes(Term):
    """How much a spiking network fires, ≥ 0."""

    first = ("layers",)


class CodePrior(Term):
    """How unnatural a latent is."""
