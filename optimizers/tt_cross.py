"""Search by tensor-train cross approximation, after TTOpt, with tntorch's maximum-volume algorithm."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator
from tntorch.maxvol import py_rect_maxvol
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box, LatentSpace
from .optimizer import Evaluations, Problem, State, Unsuitable
from .patches import patches
from .ranking import Elite, Spread
from .searcher import Searcher

HALF_SWEEPS = 20
"""Number of half sweeps that the evaluations allow with default rank and levels."""
RANKS = (4, 3, 2)
Array = np.ndarray[Any, np.dtype[Any]]
LEVELS = 8, 64
"""Fewest levels a mode for a rank above 1, and most levels by default."""


def half_sweep(modes: int, levels: int, rank: int) -> int:
    """Return the number of evaluations of one half sweep at full rank.

    Parameters
    ----------
    modes : int
        Modes of the train, >= 1.
    levels : int
        Values a mode.
    rank : int
        Left and right parts held a mode.
    """
    return levels if modes == 1 else 2 * levels * rank + (modes - 2) * levels * rank**2


class TTCross(Searcher):
    """Tensor-train cross search (TTOpt): sweeps over the modes that keep sub-matrices of largest volume.

    Sozykin et al., "TTOpt: a maximum volume quantized tensor train-based optimization", 2022; the cross approximation is
    Oseledets and Tyrtyshnikov's, 2010; tntorch selects the rows of largest volume. A half sweep goes through the modes. At each mode it
    asks every combination of the ``rank`` left parts, the mode's values and the ``rank`` right parts that it holds. Then it keeps the
    ``rank`` rows that span the scores best, always including the row of the best score. Scores enter as pi/2 - arctan(distance
    from the best score in standard deviations): TTOpt's transform but for the scale. A missed trial counts as the worst of its mode.
    Combinations whose score is known from the mode before aren't asked again.

    A full grid of 64 modes × 512 codes is too large, so every round searches a sub-grid of ``levels`` values a mode: those of the best
    latents so far and others from the bank (see :func:`actmax.optimizers.tt_cross.draw_palette`). A round starts from these best latents,
    the latest of equals, so that the search drifts over plateaus. A round is one half sweep at rank 1, a half sweep and its way back at
    higher rank.

    A half sweep costs about modes × levels × rank² evaluations. By default, ``rank`` and ``levels`` are as high as the evaluations allow
    for 20 half sweeps, rank above 1 only with 8 levels. On 64 codes of a VQ-VAE in front of a spiking network, 3000 evaluations reach
    13 spikes at rank 1 with 2 levels, 10 with 7 levels, 9 at rank 2, and less on binary (quantized) modes. The first round starts from
    the best of ``screen`` latents, rows of the bank or, blind, uniform draws.

    Parameters
    ----------
    problem : Problem
        Any space; modes are single positions, or patches where there are too many of them for the evaluations.
    options : TTCross.Options

    Raises
    ------
    Unsuitable
        The first half sweep alone is beyond the evaluations.
    """

    class Options(OptionsModel):
        """Options of tensor-train cross search."""

        rank: int | None = Field(
            default=None, ge=1, le=256, description="Left and right parts held a mode. None: 1 to 4, as the evaluations allow."
        )
        levels: int | None = Field(
            default=None, ge=2, le=65_536, description="Values a mode in a round. None: 2 to 64, as the evaluations allow."
        )
        patch: int | None = Field(
            default=None,
            ge=1,
            le=65_536,
            description="Positions a side that make up one mode. None: 1, or more where that is beyond the evaluations.",
        )
        batch: int = Field(default=128, ge=1, le=100_000, description="Most candidates an ask.")
        screen: int = Field(default=128, ge=1, le=100_000, description="Latents evaluated first; no more than a tenth of the evaluations.")

        @model_validator(mode="after")
        def _holds(self) -> TTCross.Options:
            if self.rank is not None and self.levels is not None and self.rank >= self.levels:
                raise ValueError(f"rank {self.rank} needs more levels than that, got {self.levels}")
            return self

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        space, budget = problem.latent, problem.evaluations
        self._bank = None if problem.bank is None else problem.bank.cpu().flatten(1)
        self._screen = options.screen if budget is None else max(1, min(options.screen, budget // 10))
        side = options.patch or 1
        self._patches = patches(space.shape, side)
        while options.patch is None and budget is not None and self._first_cost() > budget / 4 and side < max(space.shape):
            side *= 2
            self._patches = patches(space.shape, side)
        self.rank, self.levels = self._sized(budget)
        cost = self._screen + half_sweep(self.modes, self.levels, self.rank)
        if budget is not None and cost > budget:
            raise Unsuitable(
                f"tt-cross needs {cost} evaluations to the end of its first half sweep ({self.modes} modes of {self.levels} values at "
                f"rank {self.rank}) and may expect {budget}; raise the evaluations, lower rank or levels, or raise patch"
            )
        self._elite = Elite(max(self.rank, 2))
        self._least = -np.inf
        """Score of the worst of a full elite."""
        self._spread = Spread()
        self._known: dict[bytes, float] = {}
        """Scores that the present mode may need again: the elite's and those of the mode before."""
        self._rounds = 0
        self._mode, self._forward = 0, True
        self._left: list[Array] = []
        """For every mode the levels of the held parts to its left, (rank, mode), and right, (rank, modes - mode - 1); above rank 1."""
        self._right: list[Array] = []
        self._held: Array = np.empty(0)
        """The whole latent that is held at rank 1."""
        self._columns = [(self._patches == mode).nonzero()[:, 0].numpy() for mode in range(self.modes)]
        self._palette: Array = np.empty((0, space.size))
        self._grid: Array = np.empty((0, space.size))
        """All combinations of the present mode, their keys, and which of them are still to be asked."""
        self._keys: list[bytes] = []
        self._todo: list[int] = []
        # arrays, not tensors: with a candidate or two an ask, calls are the cost, and those of torch are several times slower
        self._of_patch: Array = self._patches.numpy()

    @property
    def modes(self) -> int:
        """Number of modes of a sweep."""
        return int(self._patches.max()) + 1

    def _first_cost(self) -> int:
        """Return the least cost of a half sweep, as far as the options leave it open."""
        rank = self.options.rank or 1
        return half_sweep(self.modes, self.options.levels or max(2, rank + 1), rank)

    def _sized(self, budget: int | None) -> tuple[int, int]:
        """Return rank and levels, as given or as high as the evaluations allow."""
        fewest, most = LEVELS
        for rank in (self.options.rank,) if self.options.rank else (*RANKS, 1):
            room = most if budget is None else int(budget / HALF_SWEEPS / half_sweep(self.modes, 1, rank))
            levels = self.options.levels or max(min(room, most), 2, rank + 1 if self.options.rank else 2)
            if levels > rank and room >= max(levels, fewest):
                return rank, levels
        return rank, levels  # pyright: ignore[reportPossiblyUnboundVariable]

    def _propose(self) -> Tensor:
        if not self._rounds:
            return self._starts(self._screen)
        return torch.from_numpy(self._grid[self._todo[: self.options.batch]]).view(-1, *self.problem.latent.shape)

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        rows = latents.flatten(1)
        if self.rank > 1:
            self._spread.add(scores)
        told = scores.tolist()
        if not len(self._elite) or any(score >= self._least for score in told):
            self._elite.add(rows, scores)
            self._least = float(self._elite.scores[-1]) if len(self._elite) == self._elite.most else -np.inf
        if self._rounds:
            self._known.update(zip((self._keys[number] for number in self._todo[: len(told)]), told, strict=True))
            self._todo = self._todo[len(told) :]
        elif len(self._elite):
            self._begin()
        while self._rounds and not self._todo:
            self._step()

    def _begin(self) -> None:
        """Begin a round: draw new values, and hold the best latents as parts."""
        self._rounds += 1
        held = self._elite.rows[: self.rank]
        width = 0.5 * 0.8**self._rounds
        self._palette = draw_palette(self.problem.latent, self._patches, self.levels, held, self._bank, width, self.generator).numpy()
        self._held = held[0].numpy()
        if self.rank > 1:
            digits = np.repeat(np.arange(len(held))[:, None], self.modes, 1)
            self._left = [digits[:1, :0]] * self.modes
            self._right = [*(digits[:, mode + 1 :] for mode in range(self.modes - 1)), digits[:1, :0]]
        self._mode, self._forward = 0, True
        self._known = dict(zip(_keys(self._elite.rows.numpy()), self._elite.scores.tolist(), strict=True))
        self._lay_out()

    def _lay_out(self) -> None:
        """Set the combinations of the present mode; each one without a known score is asked once."""
        if self.rank == 1:
            columns = self._columns[self._mode]
            self._grid = np.repeat(self._held[None], self.levels, 0)
            self._grid[:, columns] = self._palette[:, columns]
        else:
            left, right = self._left[self._mode], self._right[self._mode]
            digits = np.empty((len(left), self.levels, len(right), self.modes), dtype=np.int64)
            digits[..., : self._mode] = left[:, None, None]
            digits[..., self._mode] = np.arange(self.levels)[:, None]
            digits[..., self._mode + 1 :] = right
            self._grid = self._palette[digits.reshape(-1, self.modes)[:, self._of_patch], np.arange(self._palette.shape[1])]
        self._keys = _keys(self._grid)
        first: dict[bytes, int] = {}
        for row, key in enumerate(self._keys):
            if key not in self._known:
                first.setdefault(key, row)
        self._todo = list(first.values())

    def _step(self) -> None:
        """Keep the best spanning rows of the mode whose scores are complete, and go to the next mode."""
        self._known = {key: self._known[key] for key in self._keys}
        told = [self._known[key] for key in self._keys]
        if self.rank == 1:
            self._held = self._grid[self._best_of(told)]
            self._mode += 1
            done = self._mode == self.modes
        else:
            done = self._span(np.array(told))
        if not done:
            self._lay_out()
            return
        self._begin()
        if not self._todo:  # every latent of a small space may be known: the best one is asked again
            self._todo = [0]

    def _best_of(self, told: list[float]) -> int:
        """Return the row of largest volume of a single column: that of the best score, a random one of equals."""
        best = max((score for score in told if score == score), default=np.nan)
        equals = [row for row, score in enumerate(told) if score == best] or list(range(len(told)))
        return equals[int(torch.randint(len(equals), (1,), generator=self.generator))] if len(equals) > 1 else equals[0]

    def _span(self, told: Array) -> bool:
        """Keep the spanning rows of the present mode above rank 1, and return whether the round is done."""
        left, right, mode = self._left[self._mode], self._right[self._mode], self._mode
        answers = told.reshape(len(left), self.levels, len(right))
        if self._forward and mode < self.modes - 1:
            kept = self._spanning(answers.reshape(-1, len(right)))
            self._left[mode + 1] = np.concatenate([left[kept // self.levels], (kept % self.levels)[:, None]], 1)
            self._mode += 1
        elif mode > 0:
            self._forward = False
            kept = self._spanning(answers.reshape(len(left), -1).T)
            self._right[mode - 1] = np.concatenate([(kept // len(right))[:, None], right[kept % len(right)]], 1)
            self._mode -= 1
        else:
            return True
        return False

    def _spanning(self, matrix: Array) -> Array:
        """Return the indices of up to ``rank`` rows of largest volume, that of the best score among them."""
        # in random order, since the first of equal scores is taken
        order = torch.randperm(len(matrix), generator=self.generator).numpy()
        filled = self._spread.transform(torch.from_numpy(np.ascontiguousarray(matrix))).numpy()[order]
        kept = py_rect_maxvol(np.linalg.qr(filled)[0], maxK=self.rank, minK=self.rank)[0].astype(np.int64)
        best = filled.max(1).argmax()
        if best not in kept:
            kept[-1] = best
        return order[kept]

    def _state(self) -> dict[str, Any]:
        return {
            "elite": self._elite.state(),
            "spread": self._spread.state(),
            "rounds": self._rounds,
            "mode": self._mode,
            "forward": self._forward,
            "left": [torch.from_numpy(part.copy()) for part in self._left],
            "right": [torch.from_numpy(part.copy()) for part in self._right],
            "held": torch.from_numpy(self._held.copy()),
            "palette": torch.from_numpy(self._palette.copy()),
            "todo": list(self._todo),
            "known": [torch.frombuffer(bytearray(key), dtype=torch.uint8) for key in self._known],
            "answers": torch.tensor(list(self._known.values()), dtype=torch.float64),
        }

    def _restore(self, state: State) -> None:
        self._elite.restore(state["elite"])
        self._least = float(self._elite.scores[-1]) if len(self._elite) == self._elite.most else -np.inf
        self._spread.restore(state["spread"])
        self._rounds, self._mode, self._forward = state["rounds"], state["mode"], state["forward"]
        self._left, self._right = ([part.numpy().copy() for part in state[name]] for name in ("left", "right"))
        self._palette, self._held = state["palette"].numpy().copy(), state["held"].numpy().copy()
        keys = [key.numpy().tobytes() for key in state["known"]]
        self._known = dict(zip(keys, state["answers"].tolist(), strict=True))
        if self._rounds:
            self._lay_out()
        self._todo = list(state["todo"])


def _keys(rows: Array) -> list[bytes]:
    return [row.tobytes() for row in rows]


def draw_palette(
    space: LatentSpace, patches: Tensor, levels: int, held: Tensor, bank: Tensor | None, width: float, generator: torch.Generator
) -> Tensor:
    """Return the rows whose patches a round combines.

    The first rows are the latents ``held``. In the others every patch comes from its own row of the bank or, blind, from a uniform draw; in
    a box half of the values lie at a normal distance from one of the held latents instead.

    Parameters
    ----------
    space : Box or Categorical
        The space of the latents.
    patches : Tensor
        (size,) the number of each position's patch.
    levels : int
        Rows, at least as many as are held.
    held : Tensor
        (k, size) latents, k >= 1.
    bank : Tensor or None
        (m, size) natural latents.
    width : float
        Standard deviation of that distance as a share of the box.
    generator : torch.Generator
        Source of the draws.

    Returns
    -------
    Tensor
        (levels, size), in the type of ``held``.
    """
    fresh = levels - len(held)
    count = int(patches.max()) + 1

    def rows(n: int) -> Tensor:  # one of n for each level and patch, spread over the patch's positions
        return torch.randint(n, (fresh, count), generator=generator)[:, patches]

    position = torch.arange(space.size)
    drawn = space.sample(fresh, generator).flatten(1) if bank is None else bank[rows(len(bank)), position]
    if isinstance(space, Box):
        near = held[rows(len(held)), position] + width * (space.high - space.low) * torch.randn(fresh, space.size, generator=generator)
        drawn = torch.where(rows(2) == 0, near, drawn).clamp(space.low, space.high)
    return torch.cat([held, drawn.to(held.dtype)])
