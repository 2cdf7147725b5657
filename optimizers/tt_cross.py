"""Search by tensor-train cross approximation, after TTOpt, with tntorch's maximum-volume algorithm."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tntorch.maxvol import py_rect_maxvol
from torch import Tensor

from ..models.spaces import Categorical
from .optimizer import Evaluations, Problem, State, Unsuitable
from .palette import Palette
from .searcher import Searcher

HALF_SWEEPS = 4
"""How many half sweeps the default sizes leave room for."""


def half_sweep(modes: int, values: int, rank: int) -> int:
    """Evaluations of one half sweep of full rank."""
    if modes == 1:
        return values
    return 2 * values * rank + (modes - 2) * values * rank**2


class TTCross(Searcher):
    """Tensor-train cross search (TTOpt): sweeps over the modes that keep sub-matrices of largest volume.

    Sozykin et al., "TTOpt: a maximum volume quantized tensor train-based optimization", 2022; the cross approximation is
    Oseledets and Tyrtyshnikov's, 2010; the rows of largest volume are found by tntorch. A sweep goes through the modes from left to
    right and back. At each it asks every combination of the ``rank`` left parts, the mode's values and the ``rank`` right parts
    that it holds, and keeps the ``rank`` rows that span the answers best, the row of the best answer always among them. Answers
    count as pi/2 - arctan(distance from the best score in standard deviations): TTOpt's transform but for the scale. A missed one
    counts as the worst of its mode. What the mode before has just answered isn't asked again.

    A grid of 64 modes × 512 codes is out of reach, so each half sweep looks at a sub-grid of ``levels`` values a mode: those of
    the parts that it holds, and new ones drawn from what the bank has at that mode (see :class:`Palette`). A half sweep costs about
    modes × levels × rank² evaluations; where ``rank`` and ``levels`` are left open they are chosen so that several fit, and a rank
    above 1 where many do: at a few thousand evaluations of 64 modes, new values earn more than rank. With ``quantized`` every mode is
    split into binary ones: a half sweep costs 2 × log2(levels) × modes × rank² on a fixed grid, in a box a fine one.

    The first parts are the best of ``screen`` latents, rows of the bank or, blind, uniform draws.

    Parameters
    ----------
    problem : Problem
        Any space whose first half sweep fits the evaluations.
    options : TTCross.Options

    Raises
    ------
    Unsuitable
        The first half sweep alone is beyond the evaluations.
    """

    class Options(BaseModel):
        """Options of tensor-train cross search."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        rank: Annotated[
            int | None, Field(ge=1, le=256, description="Left and right parts held a mode. None: up to 4, as the evaluations allow.")
        ] = None
        levels: Annotated[
            int | None,
            Field(
                ge=2,
                le=65_536,
                description="Values a mode in a half sweep. None: up to 16, as the evaluations allow; quantized: all codes, or 1024 in a box.",
            ),
        ] = None
        quantized: Annotated[
            bool, Field(description="Split every mode into binary ones; levels (or the number of codes) must be a power of two.")
        ] = False
        batch: Annotated[int, Field(ge=1, le=100_000, description="Most candidates an ask.")] = 128
        screen: Annotated[
            int,
            Field(
                ge=1,
                le=100_000,
                description="Latents evaluated first, of which the best start it; no more than a tenth of the evaluations.",
            ),
        ] = 128

        @model_validator(mode="after")
        def _binary(self) -> TTCross.Options:
            if self.quantized and self.levels is not None and self.levels & (self.levels - 1):
                raise ValueError(f"quantized needs levels that are a power of two, got {self.levels}")
            if not self.quantized and self.rank is not None and self.levels is not None and self.rank > self.levels:
                raise ValueError(f"rank {self.rank} needs at least as many levels, got {self.levels}")
            return self

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        space, budget = problem.latent, problem.evaluations
        self.rank, levels = self._sized(space.size)
        self._digits = int(math.log2(levels)) if options.quantized else 1
        """Modes a coordinate."""
        self._base = 2 if options.quantized else levels
        self._modes = space.size * self._digits
        cost = half_sweep(self._modes, self._base, self.rank)
        if budget is not None and cost > budget:
            raise Unsuitable(
                f"tt-cross needs {cost} evaluations for its first half sweep ({self._modes} modes of {self._base} values at rank "
                f"{self.rank}) and may expect {budget}; raise the evaluations, lower rank or levels (the least is "
                f"{half_sweep(space.size, 2, 1)}), or use adam, protes or nevergrad"
            )
        self.palette = Palette(space, levels, problem.bank, fixed=options.quantized, generator=self.generator)
        self._screen = max(self.rank, min(options.screen, budget // 10 if budget is not None else options.screen))
        self._left: list[Tensor] = []
        """For every mode the digits to its left of the parts held, (rank, mode)."""
        self._right: list[Tensor] = []
        """The same to its right, (rank, modes - mode - 1)."""
        self._mode, self._forward, self._skipped = 0, True, 0
        self._known: dict[bytes, float] = {}
        """Answers of the step before."""
        self._rows = torch.empty(0, self._modes, dtype=torch.long)
        """All combinations of the present step, and their answers so far; those asked lately are told next."""
        self._answers = torch.empty(0, dtype=torch.float64)
        self._todo = torch.empty(0, dtype=torch.long)
        self._spread = Spread()

    def _sized(self, size: int) -> tuple[int, int]:
        """Rank and levels: as given, or what leaves room for a few half sweeps."""
        options, space, budget = self.options, self.problem.latent, self.problem.evaluations
        codes = space.cardinality if isinstance(space, Categorical) else 65_536
        share = math.inf if budget is None else budget / HALF_SWEEPS
        ranks = [options.rank] if options.rank else [4, 3, 2, 1]
        if options.quantized:
            levels = min(options.levels or (codes if isinstance(space, Categorical) else 1024), codes)
            if levels & (levels - 1):
                raise Unsuitable(f"quantized tt-cross needs a power of two, the space has {levels} codes; leave quantized out")
            modes = size * int(math.log2(levels))
            return next((rank for rank in ranks if half_sweep(modes, 2, rank) <= share / 4), ranks[-1]), levels
        counts = sorted({min(count, codes) for count in ([options.levels] if options.levels else [16, 8])}, reverse=True)
        # rank goes before levels; where nothing fits, as little as can be, of levels too
        for rank in ranks:
            for count in counts:
                room = share if rank == ranks[-1] else share / 4  # several cheap sweeps beat one of higher rank
                if rank <= count and half_sweep(size, count, rank) <= room:
                    return rank, count
        rank = min(ranks[-1], codes)
        fewest = next((c for c in (8, 4, 2) if rank <= c and half_sweep(size, c, rank) <= share), max(2, rank))
        return rank, counts[-1] if options.levels else min(fewest, codes)

    def _propose(self) -> Tensor:
        if not self._left:
            return self._starts(self._screen)
        return self.palette.latents(self._joined(self._rows[self._todo[: self.options.batch]]))

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self._spread.add(scores)
        if not self._left:
            self._begin(latents, scores)
            return
        asked = self._todo[: self.options.batch]
        self._answers[asked] = scores
        self._todo = self._todo[len(asked) :]
        while not len(self._todo):
            self._step()

    def _begin(self, latents: Tensor, scores: Tensor) -> None:
        order = scores.nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True)[: self.rank]
        digits = self._split(self.palette.place(latents[order]))
        self._left = [digits[:1, :0]] + [digits[:, :k] for k in range(1, self._modes)]
        self._right = [digits[:, k + 1 :] for k in range(self._modes - 1)] + [digits[:1, :0]]
        self._build()
        while not len(self._todo):
            self._step()

    def _build(self) -> None:
        """Lay out the combinations of the present mode."""
        left, right = self._left[self._mode], self._right[self._mode]
        value = torch.arange(self._base)
        a, i, b = torch.meshgrid(torch.arange(len(left)), value, torch.arange(len(right)), indexing="ij")
        self._rows = torch.cat([left[a.flatten()], i.reshape(-1, 1), right[b.flatten()]], 1)
        known = [self._known.get(row.tobytes(), math.nan) for row in self._rows.numpy()]
        self._answers = torch.tensor(known, dtype=torch.float64)
        self._todo = self._answers.isnan().nonzero()[:, 0]
        if not len(self._todo):
            self._skipped += 1
            if self._skipped > 2 * self._modes:  # a space as small as this is known through and through
                self._todo = torch.arange(len(self._rows))
        if len(self._todo):
            self._skipped = 0

    def _step(self) -> None:
        """Keep the best spanning rows of the mode that is answered, and go to the next."""
        self._known = {
            row.tobytes(): answer for row, answer in zip(self._rows.numpy(), self._answers.tolist(), strict=True) if answer == answer
        }
        mode, last = self._mode, self._modes - 1
        left, right = self._left[mode], self._right[mode]
        answers = self._answers.view(len(left), self._base, len(right))
        if last == 0:
            best = int(answers.flatten().nan_to_num(nan=-torch.inf).argmax())
            self._known = {key: answer for key, answer in self._known.items() if key == self._rows[best].numpy().tobytes()}
            self._turn([self._rows[best]])
        elif self._forward:
            kept = self._spanning(answers.reshape(-1, len(right)))
            self._left[mode + 1] = torch.cat([left[kept // self._base], (kept % self._base)[:, None]], 1)
            self._mode += 1
            if self._mode == last:
                self._forward = False
                self._turn([part[:, -1] for part in self._left[1:]] + [self._right[-2][:, 0]])
        else:
            kept = self._spanning(answers.reshape(len(left), -1).T)
            self._right[mode - 1] = torch.cat([(kept // len(right))[:, None], right[kept % len(right)]], 1)
            self._mode -= 1
            if self._mode == 0:
                self._forward = True
                self._turn([self._left[1][:, -1]] + [part[:, 0] for part in self._right[:-1]])
        self._build()

    def _turn(self, held: list[Tensor]) -> None:
        """New values for the next half sweep; the levels ``held`` at each mode stay."""
        if not self.options.quantized:
            self.palette.redraw(held, self.generator)

    def _spanning(self, matrix: Tensor) -> Tensor:
        """Up to ``rank`` rows of largest volume, that of the best answer among them: indices."""
        filled = self._spread.transform(matrix)
        basis = torch.linalg.qr(filled)[0].numpy()
        kept = torch.from_numpy(py_rect_maxvol(basis, maxK=self.rank, minK=self.rank)[0]).long()
        best = filled.max(1).values.argmax()
        if best not in kept:
            kept[-1] = best
        return kept

    def _split(self, points: Tensor) -> Tensor:
        """Grid points, (n, size), to digits, (n, modes), the most significant first."""
        if self._digits == 1:
            return points
        powers = 2 ** torch.arange(self._digits - 1, -1, -1)
        return ((points[:, :, None] // powers) % 2).flatten(1)

    def _joined(self, digits: Tensor) -> Tensor:
        """Digits to grid points."""
        if self._digits == 1:
            return digits
        powers = 2 ** torch.arange(self._digits - 1, -1, -1)
        return (digits.view(len(digits), -1, self._digits) * powers).sum(2)

    def _state(self) -> dict[str, Any]:
        rows = [torch.frombuffer(bytearray(key), dtype=torch.long) for key in self._known]
        return {
            "left": [part.clone() for part in self._left],
            "right": [part.clone() for part in self._right],
            "mode": self._mode,
            "forward": self._forward,
            "skipped": self._skipped,
            "known_rows": torch.stack(rows) if rows else None,
            "known": torch.tensor(list(self._known.values()), dtype=torch.float64),
            "rows": self._rows.clone(),
            "answers": self._answers.clone(),
            "todo": self._todo.clone(),
            "spread": self._spread.state(),
            "palette": self.palette.state(),
        }

    def _restore(self, state: State) -> None:
        self._left = [part.clone() for part in state["left"]]
        self._right = [part.clone() for part in state["right"]]
        self._mode, self._forward, self._skipped = state["mode"], state["forward"], state["skipped"]
        rows = [] if state["known_rows"] is None else list(state["known_rows"])
        self._known = {row.numpy().tobytes(): answer for row, answer in zip(rows, state["known"].tolist(), strict=True)}
        self._rows, self._answers, self._todo = state["rows"].clone(), state["answers"].clone(), state["todo"].clone()
        self._spread.restore(state["spread"])
        self.palette.restore(state["palette"])


class Spread:
    """Mean, variance and maximum of all scores so far (Welford's update), and the transform that rests on them."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares, self._best = 0, 0.0, 0.0, -math.inf

    def add(self, scores: Tensor) -> None:
        """Take in ``scores``; what isn't finite is left out."""
        for score in scores[scores.isfinite()].tolist():
            self._count += 1
            step = score - self._mean
            self._mean += step / self._count
            self._squares += step * (score - self._mean)
            self._best = max(self._best, score)

    def transform(self, answers: Tensor) -> Tensor:
        """pi/2 - arctan((best - answer) / deviation), in which a missed answer counts as the worst of all given."""
        told = answers.isfinite()
        if not bool(told.any()):
            return torch.zeros_like(answers)
        filled = torch.where(told, answers, answers[told].min())
        deviation = math.sqrt(self._squares / self._count) or 1.0
        return math.pi / 2 - torch.arctan((self._best - filled) / deviation)

    def state(self) -> dict[str, Any]:
        """Its four numbers."""
        return {"count": self._count, "mean": self._mean, "squares": self._squares, "best": self._best}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self._count, self._mean, self._squares, self._best = state["count"], state["mean"], state["squares"], state["best"]
