"""Objectives written in Python: ``Unit("fc[3]") - 0.1 * TotalVariation()``.

An expression is what a job file would say, not yet bound to a target: :meth:`Expression.spec` is that. Operators make new expressions
and leave their operands alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel

from .activations import Activations as _Activations
from .blur import BlurDistance as _Blur
from .boundary import Boundary as _Boundary
from .code_prior import CodePrior as _CodePrior
from .content import Content as _Content
from .cosine import Cosine as _Cosine
from .direction import Direction as _Direction
from .diversity import Diversity as _Diversity
from .interpolated import Interpolated as _Interpolated
from .joint import Joint as _Joint
from .l1 import L1 as _L1
from .l2 import L2 as _L2
from .layer import LayerEnergy as _Layer
from .log_probability import LogProbability as _LogProbability
from .logit import Logit as _Logit
from .margin import Margin as _Margin
from .spikes import Spikes as _Spikes
from .style import Style as _Style
from .total_variation import TotalVariation as _TotalVariation
from .unit import UnitObjective as _Unit


class Expression:
    """A weighted sum of objectives."""

    def terms(self) -> tuple[tuple[Term, float], ...]:
        """Its objectives, each with its weight."""
        raise NotImplementedError

    def spec(self) -> dict[str, Any]:
        """As a job's ``objective``: plain data."""
        terms = self.terms()
        if len(terms) == 1 and terms[0][1] == 1.0:
            return terms[0][0].component()
        return {"name": "sum", "options": {"terms": [{"objective": term.component(), "weight": weight} for term, weight in terms]}}

    def units(self) -> Iterator[str]:
        """The addresses that its terms name as their own units, in order."""
        for term, _ in self.terms():
            if isinstance(unit := term.options.get("unit"), str):
                yield unit

    def __add__(self, other: Expression | int) -> Expression:
        if isinstance(other, int) and other == 0:  # what sum() begins with
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
    """Several terms; operators make it."""

    parts: tuple[tuple[Term, float], ...]

    def terms(self) -> tuple[tuple[Term, float], ...]:
        """See :class:`Expression`."""
        return self.parts

    def __repr__(self) -> str:
        return " + ".join(repr(term) if weight == 1 else f"{weight:g} * {term!r}" for term, weight in self.parts).replace("+ -", "- ")


class Term(Expression):
    """One objective by name, its options checked as it is made.

    Raises
    ------
    pydantic.ValidationError
        A ValueError that names the option.
    """

    name: ClassVar[str]
    of: ClassVar[Any]
    first: ClassVar[tuple[str, ...]] = ()
    """Options that may be given without their names."""

    def __init__(self, *given: Any, **options: Any) -> None:
        if len(given) > len(self.first):
            raise TypeError(f"{type(self).__name__} takes at most {len(self.first)} options without their names, got {len(given)}")
        options = dict(zip(self.first, given, strict=False)) | options
        model = cast(type[BaseModel], self.of.Options)
        checked = model.model_validate({key: _plain(value) for key, value in options.items()})
        self.options: dict[str, Any] = checked.model_dump(mode="json", exclude_unset=True)

    def terms(self) -> tuple[tuple[Term, float], ...]:
        """See :class:`Expression`."""
        return ((self, 1.0),)

    def component(self) -> dict[str, Any]:
        """As a job would name it."""
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

    name, of, first = "unit", _Unit, ("unit",)


class Layer(Term):
    """The energy of a layer (DeepDream)."""

    name, of, first = "layer", _Layer, ("unit",)


class Direction(Term):
    """Along a vector in a layer's space."""

    name, of, first = "direction", _Direction, ("unit", "vector")


class Cosine(Term):
    """The angle to a vector in a layer's space."""

    name, of, first = "cosine", _Cosine, ("unit", "vector")


class Logit(Term):
    """The logit of a class."""

    name, of, first = "logit", _Logit, ("unit",)


class LogProbability(Term):
    """The log-probability of a class."""

    name, of, first = "log-probability", _LogProbability, ("unit",)


class Margin(Term):
    """A class against the strongest other."""

    name, of, first = "margin", _Margin, ("unit",)


class Boundary(Term):
    """Between two units."""

    name, of, first = "boundary", _Boundary, ("unit", "other")


class Joint(Term):
    """Several units' responses with weights."""

    name, of, first = "joint", _Joint, ("terms",)


class Interpolated(Term):
    """On the way from one unit to another."""

    name, of, first = "interpolated", _Interpolated, ("unit", "other", "share")


class Diversity(Term):
    """Unlike the others of a generation."""

    name, of, first = "diversity", _Diversity, ("unit",)


class Activations(Term):
    """Like the responses to an image."""

    name, of, first = "activations", _Activations, ("unit", "image")


class Content(Term):
    """What an image shows."""

    name, of, first = "content", _Content, ("image", "layers")


class Style(Term):
    """How an image looks."""

    name, of, first = "style", _Style, ("image", "layers")


class L1(Term):
    """Mean absolute distance from grey, ≥ 0."""

    name, of = "l1", _L1


class L2(Term):
    """Mean squared distance from grey, ≥ 0."""

    name, of = "l2", _L2


class TotalVariation(Term):
    """Differences of neighbours, ≥ 0."""

    name, of = "total-variation", _TotalVariation


class Blur(Term):
    """Distance from the blurred self, ≥ 0."""

    name, of, first = "blur", _Blur, ("sigma",)


class Spikes(Term):
    """How much a spiking network fires, ≥ 0."""

    name, of, first = "spikes", _Spikes, ("layers",)


class CodePrior(Term):
    """How unnatural a latent is."""

    name, of = "code-prior", _CodePrior
