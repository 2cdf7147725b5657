"""Distinguishes functions and classes that make a part of a job from functions that map stimuli to responses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

import numpy as np
from torch import Tensor, nn

from ...models.generators.generator import Generator
from ...models.targets.function import is_estimator
from ...models.targets.target import Target
from ...wire.near_names import hint
from ..errors import InvalidJob

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_KEYWORD = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Made:
    """A part, or the function of stimuli itself, and the options that are left for its adapter."""

    part: Any
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Signature:
    """The parameters of a callable; ``known`` is False if Python can't read them.

    Attributes
    ----------
    named : frozenset of str
        Parameters that can be passed by name.
    required : tuple of str
        Parameters without a default.
    any_name, positional : bool
        Whether the callable takes options of any name, and whether it takes an argument by position, as a function of stimuli does.
    """

    named: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    any_name: bool = True
    positional: bool = True
    known: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Signature:
        """Return the signature of ``function``."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return cls()
        kinds = {parameter.kind for parameter in parameters}
        return cls(
            frozenset(parameter.name for parameter in parameters if parameter.kind in _KEYWORD),
            tuple(p.name for p in parameters if p.default is Parameter.empty and p.kind in (*_POSITIONAL, Parameter.KEYWORD_ONLY)),
            Parameter.VAR_KEYWORD in kinds,
            Parameter.VAR_POSITIONAL in kinds or any(parameter.kind in _POSITIONAL for parameter in parameters),
            True,
        )


@dataclass(frozen=True)
class Maker:
    """Decides whether a callable makes a part or maps stimuli to responses; calls it if its signature allows both.

    A class makes a part, and so does a function whose parameters without a default are all among the options. A function with further
    parameters maps stimuli to responses. A function that could be either is called once with its options; the type of the result decides.

    Parameters
    ----------
    kind, function, options, field
        See :func:`actmax.engine.components.adapt.adapt`.
    adapted : frozenset of str
        Names of the options that adapters have.
    """

    kind: str
    function: Callable[..., Any]
    options: Mapping[str, Any]
    field: str
    adapted: frozenset[str]

    def made(self) -> Made:
        """Return the part that the callable makes, or the callable itself if it maps stimuli to responses.

        Raises
        ------
        InvalidJob
            The callable does neither, or options don't fit.
        """
        takes = Signature.of(self.function)
        lacking = [name for name in takes.required if name not in self.options]
        if lacking and not isinstance(self.function, type):
            return self._answering(lacking)
        self._refuse_unknown(takes)
        open_ = takes.positional and self.kind == "target" and not isinstance(self.function, type)
        try:
            part = self._called(takes)
        except InvalidJob:
            if open_ and self._answers_stimuli():
                return self._answering([])
            raise
        if open_ and _is_numbers(part):
            return self._answering([])
        if not self._usable(part):
            what = f"{self._name} made {_described(part)}; a {self.kind}, a torch module or a function that makes one was expected"
            raise InvalidJob.at(self.field, what)
        return Made(part, self._left(takes, part))

    @property
    def _name(self) -> str:
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        module = getattr(self.function, "__module__", "") or ""
        return f"{module}:{name}".removeprefix(":")

    def _answering(self, lacking: list[str]) -> Made:
        """Return the function itself, which maps stimuli to responses."""
        told = ", ".join(lacking)
        if self.kind == "target" and "shape" in self.options:
            return Made(_numbers_only(self.function, told), self.options)
        as_maker = f"give {told} in its options" if lacking else "let it return one"
        if self.kind == "generator":
            raise InvalidJob.at(f"{self.field}.options", f"{self._name} makes no generator without {told or 'more'}; {as_maker}")
        what = f"{self._name} needs {told}" if lacking else f"{self._name} gives numbers"
        raise InvalidJob.at(
            f"{self.field}.options", f"{what}: for a function that makes a network, {as_maker}; for one that answers stimuli, give shape"
        )

    def _refuse_unknown(self, takes: Signature) -> None:
        known = takes.named | self.adapted
        unknown = [] if takes.any_name else [name for name in self.options if name not in known]
        if unknown:
            own = ", ".join(sorted(takes.named)) or "none"
            near = hint(unknown[0], sorted(known), f"{self._name} takes {own}")
            raise InvalidJob.at(f"{self.field}.options.{unknown[0]}", f"there is no such option; {near}")

    def _called(self, takes: Signature) -> Any:
        """Return what the callable makes of its options."""
        given = dict(self.options) if takes.any_name else {name: self.options[name] for name in self.options if name in takes.named}
        own = {name: value for name, value in given.items() if name in takes.named or name not in self.adapted}
        try:
            return self.function(**given)
        except TypeError as error:
            if own == given:
                raise self._failed(error) from error
        except Exception as error:
            raise self._failed(error) from error
        try:  # the function may pass its options on to a callable without ``shape``
            return self.function(**own)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> InvalidJob:
        return InvalidJob.at(self.field, f"calling {self._name} failed: {type(error).__name__}: {error}")

    def _answers_stimuli(self) -> bool:
        """Return whether the function returns numbers for two stimuli of the shape in the options."""
        try:
            return _is_numbers(self.function(np.full((2, *self.options["shape"]), 0.5, np.float32)))
        except Exception:  # no shape, or a function that makes a network
            return False

    def _usable(self, part: Any) -> bool:
        if isinstance(part, type):
            return False
        if isinstance(part, nn.Module | (Generator if self.kind == "generator" else Target)):
            return True
        return self.kind == "target" and (is_estimator(part) or callable(part))

    def _left(self, takes: Signature, part: Any) -> Mapping[str, Any]:
        """Return the options for the part's adapter: all of the adapter's own, or, for a ready part, those left by the callable."""
        if isinstance(part, Generator if self.kind == "generator" else Target) and not isinstance(part, nn.Module):
            taken = set(self.options) if takes.any_name else takes.named
            return {name: value for name, value in self.options.items() if name not in taken}
        return {name: value for name, value in self.options.items() if name in self.adapted}


def _numbers_only(function: Callable[..., Any], lacking: str) -> Callable[..., Any]:
    """Return ``function`` with a check that raises if it returns a network instead of numbers."""
    how = f"; to have it make the target, give {lacking} in the options" if lacking else ""
    answered = False

    def answer(stimuli: Any) -> Any:
        nonlocal answered
        try:
            found = function(stimuli)
        except Exception as error:
            if answered or not how:
                raise
            raise RuntimeError(f"{type(error).__name__}: {error}{how}") from error
        if isinstance(found, nn.Module | Target) or found is None:
            raise TypeError(f"it made {_described(found)}, where a row of numbers for each stimulus was expected{how}")
        answered = True
        return found

    return answer


def _is_numbers(found: Any) -> bool:
    """Return whether a result consists of numbers, as that of a function of stimuli does."""
    if isinstance(found, list | tuple):
        return all(_is_numbers(part) for part in found)
    return isinstance(found, Tensor | np.ndarray | np.generic | int | float)


def _described(found: Any) -> str:
    return "nothing" if found is None else f"a {found.__name__} class" if isinstance(found, type) else f"a {type(found).__name__}"
