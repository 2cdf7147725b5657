"""Gradient ascent in latent space with Adam; straight-through where the latents are codes."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from ..models.spaces import Box, Categorical
from .adam_state import adam_state, load_adam_state
from .optimizer import Evaluations, Problem, State
from .searcher import Searcher

MARGIN = 1.0
"""Logit of a starting code above all others: small beside the log of 512 codes, so that every code gets a gradient from the start."""


class Adam(Searcher):
    """Adam in latent space, in parallel restarts; straight-through over a code book.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015. Every restart takes the gradient of its own score, scaled to
    unit root mean square, so that neither a faint nor a failing response stalls it; where a trial was missed, it goes on by its
    momentum.

    In a Box the latents themselves are moved and clipped to the bounds. Where latents are codes, every position has a logit for
    each code; what is asked is always the code of the largest logit, as one-hot weights, so that every score is that of a real
    stimulus, and the gradient reaches the logits as if softmax weights had been asked (straight-through, Bengio, Léonard and
    Courville 2013, with the softmax's own slope as in Jang, Gu and Poole's Gumbel-softmax, 2017; noise optional). Without that
    slope it climbs half as far in 1000 evaluations of 64 × 512 codes.

    Its restarts begin at rows of the bank or, blind, at uniform draws.

    Parameters
    ----------
    problem : Problem
        Any space. Its arithmetic runs on ``problem.device``, where the candidates lie too.
    options : Adam.Options
    """

    class Options(BaseModel):
        """Options of Adam."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        learning_rate: Annotated[
            float | None,
            Field(
                gt=0,
                le=1e3,
                allow_inf_nan=False,
                description="Step of a logit, or of a coordinate as a share of half the box's width. None: 0.1 for logits, 0.02 in a box.",
            ),
        ] = None
        batch: Annotated[int, Field(ge=1, le=10_000, description="Restarts run in parallel; each takes one evaluation an ask.")] = 4
        betas: Annotated[
            tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
            Field(description="Decay of the first and the second moment."),
        ] = (0.9, 0.999)
        temperature: Annotated[
            float, Field(gt=0, le=100, allow_inf_nan=False, description="Of the softmax that gradients pass through; codes only.")
        ] = 1.0
        noise: Annotated[
            float,
            Field(
                ge=0,
                le=100,
                allow_inf_nan=False,
                description="Scale of the Gumbel noise on the logits when a code is chosen, fading to 0 over the run; codes only.",
            ),
        ] = 0.0
        schedule: Annotated[
            Literal["constant", "cosine"],
            Field(description="Of the learning rate over the expected evaluations; constant when their number is unknown."),
        ] = "constant"

    needs_gradient: ClassVar[bool] = True

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        self._steps = 0
        self._adam: torch.optim.Adam | None = None
        self._parameter = torch.empty(0)
        """Latents or logits of the restarts, once there are any."""
        self._noisy = torch.empty(0)
        """Logits as they were when the codes were chosen."""

    def _propose(self) -> Tensor:
        space = self.problem.latent
        if self._adam is None:
            self._begin(self._starts(self.options.batch))
        if isinstance(space, Box):
            return self._parameter.detach().clone()
        logits = self._parameter.detach()
        if self.options.noise:
            uniform = torch.rand(logits.shape, generator=self.generator).clamp_(1e-9, 1 - 1e-6)
            logits = logits - (self.options.noise * self._left()) * (-uniform.log()).log().to(logits.device)
        self._noisy = logits
        return self._weights(logits.argmax(-1), space)

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        assert self._adam is not None  # it was asked
        if evaluations.gradients is None or evaluations.gradients.shape != latents.shape:
            raise ValueError("Adam needs the gradient of every score with respect to its latent")
        told = ~scores.isnan().to(latents.device).view(-1, *[1] * (latents.ndim - 1))
        gradient = torch.where(told, evaluations.gradients.to(latents), 0.0).nan_to_num_(0.0, 0.0, 0.0)
        if isinstance(self.problem.latent, Categorical):
            soft = (self._noisy / self.options.temperature).softmax(-1)
            gradient = soft * (gradient - (soft * gradient).sum(-1, keepdim=True))
        scale = gradient.flatten(1).square().mean(1).sqrt().view_as(told)
        gradient = torch.where(scale > 0, gradient / scale, 0.0)
        self._adam.param_groups[0]["lr"] = self._rate()
        self._parameter.grad = -gradient
        self._adam.step()
        if isinstance(self.problem.latent, Box):
            with torch.no_grad():
                self._parameter.clamp_(self.problem.latent.low, self.problem.latent.high)
        self._steps += 1

    def _begin(self, latents: Tensor) -> None:
        space = self.problem.latent
        latents = latents.to(self.problem.device)
        start = MARGIN * self._weights(latents, space) if isinstance(space, Categorical) else latents.float().clone()
        self._parameter = start.requires_grad_()
        self._adam = torch.optim.Adam([self._parameter], lr=self._rate(), betas=self.options.betas, eps=1e-12)

    def _weights(self, codes: Tensor, space: Categorical) -> Tensor:
        return F.one_hot(codes, space.cardinality).float()

    def _left(self) -> float:
        """Share of the run that is left, by evaluations; 1 when their number is unknown."""
        if self.problem.evaluations is None:
            return 1.0
        return max(0.0, 1.0 - self._steps * self.options.batch / self.problem.evaluations)

    def _rate(self) -> float:
        space, rate = self.problem.latent, self.options.learning_rate
        if isinstance(space, Box):
            rate = (0.02 if rate is None else rate) * (space.high - space.low) / 2
        elif rate is None:
            rate = 0.1
        if self.options.schedule == "cosine":
            rate *= 0.5 * (1.0 - math.cos(math.pi * self._left()))
        return rate

    def _state(self) -> dict[str, Any]:
        if self._adam is None:
            return {"steps": 0, "parameter": None, "adam": {}}
        return {"steps": self._steps, "parameter": self._parameter.detach().clone(), "adam": adam_state(self._adam)}

    def _restore(self, state: State) -> None:
        self._steps, self._adam = state["steps"], None
        if state["parameter"] is None:
            return
        self._parameter = state["parameter"].to(self.problem.device).clone().requires_grad_()
        self._adam = torch.optim.Adam([self._parameter], lr=self._rate(), betas=self.options.betas, eps=1e-12)
        load_adam_state(self._adam, state["adam"])
