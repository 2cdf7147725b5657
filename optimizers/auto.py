"""The default: the search that has measured best for the problem at hand."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Categorical
from .adam import Adam
from .cma import CMA
from .coordinates import coordinates
from .optimizer import Evaluations, Listener, Problem, State
from .patch_evolution import PatchEvolution
from .searcher import Searcher
from .sphere_cma import SphereCMA
from .square import SquareAttack
from .thompson import Thompson
from .tt_evolution import TTEvolution

MODELLED = 64
"""Coordinates up to which a model of the score leads the blind search; with 128, evolution does."""
FEW = 16
"""Coordinates up to which, without noise, evolution finds higher peaks than a model does; with 32, a model is far faster."""
SPHERE = 64
"""Coordinates from which natural latents lie near a sphere, and evolution on it leads: a normal latent's norm varies by 9 %."""
SLOPE = 1000
"""Coordinates from which the slope of all scores is worth more than the ranks of the better half: measured at 4,096; not yet at 128."""


class Auto:
    """Chooses the search by latents, gradients, noise and dimension, from what the benchmark of searches measured.

    - Gradients, no noise: ``adam``, from the best of a screen of natural latents. A unit's own gradient is worth more than any search
      without it.
    - Codes whose vectors have up to 64 coordinates in all, as the levels of a few dozen parameters have: ``thompson``.
    - Other codes: ``tt-evolution``, which crosses the geometry of the map with what natural codes look like; blind ``patch-evolution``,
      which measures the same there and costs less.
    - A canvas of 64 coordinates or more whose latents are the stimulus's own values, no noise: ``square``, since its starts, all near grey,
      lie too close together for a sphere through them.
    - A box of 64 coordinates or more whose natural latents are known: ``sphere-cma``; of 1,000 or more, where evaluations are few for each
      coordinate, with linear weights on a sphere a quarter larger.
    - Another box of up to 16 coordinates, no noise: ``cma``, which finds higher ones of many peaks.
    - Another box of up to 64 coordinates: ``thompson``, whose model makes the most of every evaluation, noisy ones above all.
    - A larger one: ``cma``.

    The figures are in docs/search.md. :attr:`note` names the chosen search and the reason.

    Parameters
    ----------
    problem : Problem
        Any.
    options : Auto.Options
    """

    class Options(OptionsModel):
        """Options of the choice."""

        gradient: bool = Field(default=True, description="Use gradients where they are to be had.")

    def __init__(self, problem: Problem, options: Options) -> None:
        self.options = options
        search, chosen, reason = _chosen(problem, options.gradient)
        self.search: Any = search
        """The chosen search."""
        if isinstance(search, Listener):
            self.observe = search.observe  # an attribute: only a listening search makes Auto a Listener, whose candidates cost scoring
        self.note = f"{chosen}: {reason}"
        """Name of the chosen search and the reason; one line."""

    @property
    def needs_gradient(self) -> bool:
        """Whether the chosen search needs gradients for its next candidates."""
        return self.search.needs_gradient

    def ask(self) -> Tensor:
        """Return the chosen search's candidates."""
        return self.search.ask()

    def tell(self, evaluations: Evaluations) -> None:
        """Pass the evaluations to the chosen search."""
        self.search.tell(evaluations)

    def recommend(self) -> Tensor:
        """Return the chosen search's recommendation: (*latent)."""
        return self.search.recommend()

    def state_dict(self) -> State:
        """Return the chosen search's state."""
        return self.search.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Continue from ``state``, that of a search chosen for the same problem."""
        self.search.load_state_dict(state)


def _chosen(problem: Problem, gradient: bool) -> tuple[Searcher, str, str]:
    """Return the search, its name, and the reason for it."""
    if problem.differentiable and gradient and not problem.noisy:
        return Adam(problem, Adam.Options()), "adam", "gradients are to be had"
    space = problem.latent
    without = "gradients are noisy" if problem.differentiable and gradient else "no gradients"
    if problem.lacks and gradient:
        without = f"{without} ({problem.lacks})"
    if isinstance(space, Categorical):
        where = f"{without}, {space.size} codes out of {space.cardinality}"
        places = coordinates(problem)
        if places is not None and places.size <= MODELLED:
            return Thompson(problem, Thompson.Options()), "thompson", f"{where}, {places.size} coordinates of their vectors"
        if problem.bank is None:
            return PatchEvolution(problem, PatchEvolution.Options()), "patch-evolution", f"{where}, blind"
        return TTEvolution(problem, TTEvolution.Options()), "tt-evolution", f"{where}, natural ones known"
    where = f"{without}, {space.size} coordinates"
    if space.size >= SPHERE and problem.pixels and problem.step is not None and not problem.noisy:
        return SquareAttack(problem, SquareAttack.Options()), "square", f"{where}, one a value of the stimulus"
    if space.size >= SPHERE and problem.bank is not None:
        options = SphereCMA.Options(weights="linear", radius=1.25) if space.size >= SLOPE else SphereCMA.Options()
        return SphereCMA(problem, options), "sphere-cma", f"{where}, natural latents known"
    if space.size <= FEW and not problem.noisy:
        return CMA(problem, CMA.Options()), "cma", f"{where}, no noise"
    if space.size > MODELLED:
        return CMA(problem, CMA.Options()), "cma", f"{where}, blind"
    return Thompson(problem, Thompson.Options()), "thompson", where
