"""Any optimizer of nevergrad, chosen by name."""

from __future__ import annotations

import contextlib
import io
import math
import random
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import nevergrad
import numpy as np
import torch
from nevergrad.common.errors import NevergradWarning, TellNotAskedNotSupportedError
from pydantic import Field, field_validator
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Categorical, LatentSpace
from ..wire.near_names import near_names
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

FOR_CODES = "DiscreteLenglerOnePlusOne"
LARGEST_COVARIANCE = 256
"""Coordinates up to which a full covariance matrix is kept by default."""


def default_for(space: LatentSpace) -> str:
    """Return the name of the optimizer for a space where the options name none."""
    if isinstance(space, Categorical):
        return FOR_CODES
    if space.size == 1:  # CMA needs two coordinates
        return "OnePlusOne"
    return "CMA" if space.size <= LARGEST_COVARIANCE else "DiagonalCMA"


class Nevergrad(Searcher):
    """Any optimizer of nevergrad by name: evolution, CMA, differential evolution, portfolios.

    Rapin and Teytaud, "Nevergrad: a gradient-free optimization platform", 2018. Codes are searched as an integer-cast array, by
    default with DiscreteLenglerOnePlusOne (a (1+1) evolution whose mutation rate falls; Einarsson et al., 2019): on maps of 64
    codes out of 512 it and DiscreteOnePlusOne were the best of those tried, differential evolution and CMA far behind. A box is
    searched with CMA up to 256 coordinates, with DiagonalCMA beyond, with OnePlusOne where it has but one.

    Nevergrad compares scores with thresholds of its own, so it receives them in a unit (a power of two) in which the first are about 1.

    The search starts at ``screen`` latents from the bank, which nevergrad receives as suggestions. Missed trials count as the worst score
    so far. Optimizers that can't work in parallel get a batch of 1.

    Some of nevergrad's optimizers draw from the global generators of numpy and Python. While they run, the states of these generators
    are replaced by the search's own and then put back, so that neither side disturbs the other (within a thread). Optimizers whose
    outcome depends on the clock don't repeat bit for bit. A state is the list of all scores; loading it repeats every ask and tell.

    Parameters
    ----------
    problem : Problem
        Any space that the chosen optimizer takes. Its ``evaluations`` are nevergrad's budget.
    options : Nevergrad.Options

    Raises
    ------
    Unsuitable
        Nevergrad's optimizer can't be built for the space or can't propose a first candidate.
    """

    class Options(OptionsModel):
        """Options of nevergrad."""

        optimizer: str | None = Field(default=None, description="Name in nevergrad's registry. None: by the space.")
        batch: int = Field(default=16, ge=1, le=100_000, description="Candidates an ask (nevergrad's num_workers).")
        screen: int = Field(
            default=64, ge=0, le=100_000, description="Latents of the bank evaluated first; not more than a tenth of the evaluations."
        )

        @field_validator("optimizer")
        @classmethod
        def _registered(cls, name: str | None) -> str | None:
            if name is not None and name not in nevergrad.optimizers.registry:
                near = near_names(name, nevergrad.optimizers.registry, n=4)
                raise ValueError(f"nevergrad has no optimizer {name!r}" + (f"; near names: {', '.join(near)}" if near else ""))
            return name

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        self._name = options.optimizer or default_for(problem.latent)
        factory: Any = nevergrad.optimizers.registry[self._name]
        self._batch = 1 if getattr(factory, "no_parallelization", False) else options.batch
        screen = options.screen if problem.evaluations is None else min(options.screen, problem.evaluations // 10)
        # optimizers that run in their own thread take no suggestions; some hang when a latent is suggested twice
        if problem.bank is None or getattr(factory, "recast", False):
            screen = 0
        others = min(screen, len(problem.bank) - 1) if problem.bank is not None else 0
        given = 0 if problem.starts is None or getattr(factory, "recast", False) else len(problem.starts)
        starts = _distinct(self._starts(max(1 + others, given)))
        # nevergrad asks the last suggestion first, and doesn't ask its initial point: so all given starts are suggested, in reverse
        self._start, self._suggested = starts[0], torch.cat([starts[given:], starts[:given].flip(0)]) if given else starts[1:]
        self._told: list[Tensor] = []
        try:
            self._begin(suggest=False)
            with self._own_random():
                self._searcher.ask()
        except Exception as error:  # nevergrad's optimizers raise any class on a space that they can't search
            raise Unsuitable(f"nevergrad's {self._name} can't search this space ({error}); {default_for(problem.latent)} can") from error
        self._begin(suggest=True)

    def _begin(self, suggest: bool) -> None:
        space, seed = self.problem.latent, self.problem.seed
        self._numpy = np.random.RandomState(seed % 2**32).get_state()
        self._python = random.Random(seed).getstate()
        self._worst = 0.0
        self._any = False
        self._unit = 0.0
        with self._own_random():
            low, high = (0, space.cardinality - 1) if isinstance(space, Categorical) else (space.low, space.high)
            array = nevergrad.p.Array(init=self._plain(self._start), lower=low, upper=high)
            if isinstance(space, Categorical):
                array.set_integer_casting()
            array.random_state = np.random.RandomState(seed % 2**32)
            factory: Any = nevergrad.optimizers.registry[self._name]
            self._searcher = factory(array, budget=self.problem.evaluations, num_workers=self._batch)
            if suggest:
                for latent in self._suggested:
                    self._searcher.suggest(self._plain(latent))
            self._ahead: list[Any] = []
            self._candidates: list[Any] = []

    def _propose(self) -> Tensor:
        while len(self._ahead) < self._batch:
            self._ahead.append(self._next())
        self._candidates, self._ahead = self._ahead, []
        space = self.problem.latent
        rows = torch.from_numpy(np.stack([np.asarray(candidate.value) for candidate in self._candidates])).view(-1, *space.shape)
        if isinstance(space, Categorical):
            return rows.round().long().clamp_(0, space.cardinality - 1)
        return rows.float().clamp_(space.low, space.high)

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self._told.append(scores.clone())
        self._hand_over(scores)

    def _hand_over(self, scores: Tensor) -> None:
        told = scores[scores.isfinite()]
        if not self._unit and bool(told.any()):
            self._unit = 2.0 ** -math.frexp(float(told.abs().max()))[1]
        if len(told):
            self._worst = min(self._worst, float(told.min())) if self._any else float(told.min())
            self._any = True
        with self._own_random():
            for candidate, score in zip(self._candidates, scores.tolist(), strict=True):
                # a portfolio may hold an optimizer that takes no suggestions
                with contextlib.suppress(TellNotAskedNotSupportedError):
                    self._searcher.tell(candidate, -(self._unit or 1.0) * (score if np.isfinite(score) else self._worst))
        # an optimizer in its own thread computes between tell and ask: waiting for its next candidate keeps its draws inside the block
        self._ahead = [self._next()]

    def _next(self) -> Any:
        with self._own_random():
            try:
                return self._searcher.ask()
            except Exception as error:  # of any class: with numpy 2.4, nevergrad 1.0.12's metamodels (NGOpt in a box) raise TypeError
                raise RuntimeError(f"nevergrad's {self._name} failed to propose a candidate: {error}") from error

    @contextlib.contextmanager
    def _own_random(self) -> Iterator[None]:
        """Put the search's own states into the global generators for the duration of a block, and silence nevergrad."""
        numpy_outside, python_outside = np.random.get_state(), random.getstate()  # noqa: NPY002
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                for category in (NevergradWarning, RuntimeWarning, UserWarning, DeprecationWarning):
                    warnings.simplefilter("ignore", category)
                yield
        finally:
            self._numpy, self._python = np.random.get_state(), random.getstate()  # noqa: NPY002
            np.random.set_state(numpy_outside)  # noqa: NPY002
            random.setstate(python_outside)

    def _plain(self, latent: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
        return latent.flatten().double().numpy()

    def _state(self) -> dict[str, Any]:
        return {"told": torch.stack(self._told) if self._told else None}

    def _restore(self, state: State) -> None:
        self._begin(suggest=True)
        self._told = [] if state["told"] is None else list(state["told"].clone())
        for scores in self._told:
            self._propose()
            self._hand_over(scores)


def _distinct(latents: Tensor) -> Tensor:
    """Return the rows without repeats, in their order."""
    first = {row.numpy().tobytes(): number for number, row in reversed(list(enumerate(latents)))}
    return latents[sorted(first.values())]
