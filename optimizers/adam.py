"""Gradient ascent in latent space with Adam and its kin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..models.spaces import Box
from .adam_state import load_moments, moments
from .gradient_searcher import GradientOptions, GradientSearcher, over_norm
from .optimizer import Problem, State

TINY = 1e-12
"""Added to the denominator of a step, in place of torch's 1e-8: slopes of single logits are that small themselves."""

Schedule = Literal["constant", "cosine", "warm-restarts"]
Rule = Literal["adam", "nadam", "radam", "adamw", "rmsprop", "sgd"]


class Adam(GradientSearcher):
    """Adam, or another rule of torch.optim, in latent space, in parallel ascents; straight-through over a code book.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015. Every ascent takes the gradient of its own score, scaled to
    unit root mean square, so that neither a faint nor a failing response stalls it; where a trial was missed, it goes on by its
    momentum. See :class:`actmax.optimizers.gradient_searcher.GradientSearcher` for codes, screening and beginning again.

    Parameters
    ----------
    problem : Problem
        Any space. Its arithmetic runs on ``problem.device``, where the candidates lie too.
    options : Adam.Options
    """

    class Options(GradientOptions):
        """Options of Adam and its kin."""

        rule: Rule = Field(default="adam", description="Rule of torch.optim that turns gradients into steps.")
        learning_rate: float | None = Field(
            default=None,
            gt=0,
            le=1e3,
            allow_inf_nan=False,
            description="Step of a logit, or of a coordinate as a share of half the box's width. None: 0.2 for logits; in a box the "
            "generator's own where it has one, else 0.1.",
        )
        betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
            default=(0.9, 0.999), description="Decay of the first and the second moment; rmsprop has no first one, sgd no second one."
        )
        weight_decay: float = Field(
            default=0.01, ge=0, le=1, allow_inf_nan=False, description="Of adamw: share of a latent or logit lost a step, times the rate."
        )
        noise: float = Field(
            default=0.0,
            ge=0,
            le=100,
            allow_inf_nan=False,
            description="Scale of the Gumbel noise on the logits when a code is chosen, fading to 0 over the run; codes only.",
        )
        schedule: Schedule = Field(
            default="constant",
            description="Of the learning rate: constant; falling over the expected evaluations (constant when none are expected); "
            "or falling over `cycle` steps, again and again.",
        )
        cycle: int = Field(default=50, ge=1, le=10**9, description="Steps of one cycle of warm-restarts.")

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem, options)
        self.options = options
        self._rule: torch.optim.Optimizer | None = None
        self._rows: list[torch.nn.Parameter] = []
        """One parameter an ascent, each with its own moments; the parameters share the memory of ``_points``."""

    def _advance(self, gradient: Tensor) -> None:
        rule = self._ruled()
        rule.param_groups[0]["lr"] = self._rate()
        for row, slope in zip(self._rows, over_norm(gradient, mean=True).unbind(), strict=True):
            row.grad = slope
        rule.step()

    def _place(self, rows: Sequence[int], latents: Tensor) -> None:
        super()._place(rows, latents)
        if self._rule is not None:
            for row in rows:
                self._rule.state.pop(self._rows[row], None)

    def _logits(self) -> Tensor:
        if not self.options.noise:
            return self._points
        uniform = torch.rand(self._points.shape, generator=self.generator).clamp_(1e-9, 1 - 1e-6)
        return self._points - (self.options.noise * self._left()) * (-uniform.log()).log().to(self._points.device)

    def _ruled(self) -> torch.optim.Optimizer:
        if self._rule is None:
            self._rows = [torch.nn.Parameter(row) for row in self._points.unbind()]
            self._rule = RULES[self.options.rule](self._rows, self._rate(), self.options)
        return self._rule

    def _rate(self) -> float:
        space, rate = self.problem.latent, self.options.learning_rate
        if isinstance(space, Box):
            own = self.problem.step if rate is None else None
            rate = (0.1 if rate is None else rate) * (space.high - space.low) / 2 if own is None else own
        elif rate is None:
            rate = 0.2
        return rate * step_factor(self.options.schedule, self._steps, self._left(), self.options.cycle)

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "moments": [] if self._rule is None else moments(self._rule)}

    def _restore(self, state: State) -> None:
        super()._restore(state)
        self._rule, self._rows = None, []
        if state["moments"]:
            load_moments(self._ruled(), state["moments"])


RULES: Mapping[Rule, Callable[[list[torch.nn.Parameter], float, Adam.Options], torch.optim.Optimizer]] = {
    "adam": lambda rows, rate, o: torch.optim.Adam(rows, rate, o.betas, TINY, fused=True, maximize=True),
    "nadam": lambda rows, rate, o: torch.optim.NAdam(rows, rate, o.betas, TINY, foreach=True, maximize=True),
    "radam": lambda rows, rate, o: torch.optim.RAdam(rows, rate, o.betas, TINY, foreach=True, maximize=True),
    "adamw": lambda rows, rate, o: torch.optim.AdamW(rows, rate, o.betas, TINY, o.weight_decay, fused=True, maximize=True),
    "rmsprop": lambda rows, rate, o: torch.optim.RMSprop(rows, rate, o.betas[1], TINY, foreach=True, maximize=True),
    # with dampening equal to the momentum, a step is as long as that of the other rules
    "sgd": lambda rows, rate, o: torch.optim.SGD(rows, rate, o.betas[0], o.betas[0], foreach=True, maximize=True),
}


def step_factor(schedule: Schedule, step: int, left: float, cycle: int) -> float:
    """Return the factor of the step length at a point of the run, in [0, 1].

    "cosine" falls to 0 over the run; "warm-restarts" falls over ``cycle`` steps and begins again (Loshchilov and Hutter, "SGDR: stochastic
    gradient descent with warm restarts", 2017, equation 5, cycles of equal length).

    Parameters
    ----------
    schedule : {"constant", "cosine", "warm-restarts"}
        How the factor falls; "constant" is 1.
    step : int
        Steps done.
    left : float
        Share of the run that is left, 1 to 0.
    cycle : int
        Steps of one cycle, at least 1.
    """
    if schedule == "cosine":
        return 0.5 * (1.0 - math.cos(math.pi * left))
    if schedule == "warm-restarts":
        return 0.5 * (1.0 + math.cos(math.pi * (step % cycle) / cycle))
    return 1.0
