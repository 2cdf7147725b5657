"""Evolution by patches: a part of one latent is cut out and set into another at the same place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box, Categorical
from .linear_model import LinearModel
from .optimizer import Evaluations, Problem, State
from .patches import box_masks
from .ranking import Elite, MeasuredElite
from .searcher import Searcher


class PatchEvolution(Searcher):
    """Evolution whose offspring are a member of the elite with one patch replaced, at its own place, by that of a donor.

    Patches keep the geometry of a code map, and the values that natural latents have at a place. The donor of a patch is a natural latent,
    another member of the elite or a uniform draw (``from_bank``, ``from_elite``, ``from_random``). On a map of codes a share of the
    natural patches, ``shift``, comes from another place, since a decoder's convolutions treat all places alike. Patches begin at up to
    ``patch`` positions a side and shrink to one as the evaluations run out.

    Each ask draws ``pool`` times as many offspring as it returns. It returns those with the highest score by a linear model, fitted to
    all evaluations so far (:class:`actmax.optimizers.linear_model.LinearModel`); latents evaluated before come last. The first latents
    are the best of ``screen`` rows of the bank or, blind, uniform draws. Of equal scores the elite keeps the latest, so that it drifts
    over plateaus of spike counts. Missed trials are left out. Evaluations of other searches enter the elite and the model, too. Where
    the problem is noisy, the elite ranks shrunk means of all measurements (:class:`actmax.optimizers.ranking.MeasuredElite`), and a
    share ``again`` of each ask measures its leading members once more.

    The default shares are: with a bank of codes 0.1 elite and 0.9 bank, blind 0.2 elite and 0.8 random; in a box 0.1 elite, 0.4 bank and
    0.5 random, blind 0.1 elite and 0.9 random.

    Tuned on codes of the CIFAR-10 VQ-VAE for three output units of the spiking network. Figures are spikes of 20 steps, mean over units
    and 1 to 3 seeds after 800 evaluations (± 0.7). Without shrinking patches and model: 8.3; with shrinking patches 10.2, with both 11.5;
    then with batches of 10 instead of 20 12.5, and with shifted patches 12.3. The defaults: 12.2, and 15.8 after 2000; blind 11.0 and
    15.7. Variants without a gain on the same runs: a Gaussian process on the last 300 evaluations as the model (10.5), 24 principal
    components instead of 8 (10.5), a model that forgets (11.2), patches of up to 6 (10.7), two at once (11.0), an elite of 8 (11.3) or
    with a share of 0.4 (11.3), natural patches whose surroundings resemble the parent's (8.0 instead of 8.3).

    Under noise, on a channel of the CIFAR-10 CNN, 1,000 presentations, two seeds; the first figure is for a deviation of half the
    response, the second for Poisson noise. Eight members, measured again: 6.9 and 8.0 spikes; sixteen: 7.2 and 7.9. With one seed: three
    members 5.6 and 7.1, without measuring again 4.7 and 6.2. A third of the evaluations on natural latents first: 9.0 and 8.1; half: 8.4
    and 8.0. Random search reaches 10, the best of all natural latents.

    Parameters
    ----------
    problem : Problem
        Any space. Its shape is its geometry: a patch of a map is a rectangle, a patch of a list a run of positions.
    options : PatchEvolution.Options
    """

    class Options(OptionsModel):
        """Options of patch evolution; shares that are left out depend on the space."""

        batch: int = Field(default=5, ge=1, le=100_000, description="Offspring an ask.")
        elite: int | None = Field(default=None, ge=1, le=100_000, description="Best latents kept as parents. None: 3, under noise up to 8.")
        screen: int | None = Field(
            default=None,
            ge=1,
            le=100_000,
            description="Latents evaluated first, at most a tenth of the evaluations; under noise half. None: 50, under noise a third.",
        )
        patch: int | None = Field(
            default=None,
            ge=1,
            le=65_536,
            description="Most positions a side of a patch at first; it falls to 1. None: half the longest side.",
        )
        from_elite: float | None = Field(default=None, ge=0, le=1, description="Share of patches from another of the elite.")
        from_bank: float | None = Field(default=None, ge=0, le=1, description="Share of patches from a natural latent; blind 0.")
        from_random: float | None = Field(
            default=None,
            ge=0,
            le=1,
            description="Share of uniform patches; in a box, three of four are the parent's own with noise instead.",
        )
        shift: float | None = Field(
            default=None,
            ge=0,
            le=1,
            description="Share of natural patches taken from another place of their latent. None: 0.3 for maps of codes, else 0.",
        )
        pool: int = Field(
            default=20,
            ge=1,
            le=1000,
            description="Offspring considered for each that is asked, where a linear model of the score can pick.",
        )
        explore: float = Field(
            default=0.2,
            ge=0,
            le=10,
            allow_inf_nan=False,
            description="Posterior standard deviations by which the model's weights are varied.",
        )
        again: float | None = Field(
            default=None,
            ge=0,
            lt=1,
            description="Share of an ask by which leading latents are measured again. None: 0.25 at most under noise, else 0.",
        )
        ridge: float | None = Field(
            default=None,
            gt=0,
            le=1e9,
            allow_inf_nan=False,
            description="Precision of the model's weights at the start. None: codes 10, boxes 1.",
        )

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        space, budget = problem.latent, problem.evaluations
        self._bank = None if problem.bank is None else problem.bank.cpu().flatten(1)
        self._largest = min(options.patch or max(1, max(space.shape) // 2), max(space.shape))
        self._shares = self._given_shares()
        on_map = isinstance(space, Categorical) and sum(length > 1 for length in space.shape) > 1
        self._shift = options.shift if options.shift is not None else 0.3 if on_map else 0.0
        again = options.again if options.again is not None else 0.25 if problem.noisy else 0.0
        self._again = round(again * options.batch)
        self._elite = MeasuredElite(options.elite or 3, options.elite or 8) if problem.noisy else Elite(options.elite or 3)
        self._model = LinearModel.of(problem, options.ridge or (1.0 if isinstance(space, Box) else 10.0)) if options.pool > 1 else None
        # a noisy search climbs slowly: it would take long to reach the best of many natural latents by itself
        wide = problem.noisy and problem.bank is not None
        screen = options.screen or (max(50, (budget or 0) // 3) if wide else 50)
        screen = screen if budget is None else max(1, min(screen, budget // (2 if wide else 10)))
        self._screen = self._starts(screen).flatten(1)
        """Latents of the screen still to be asked."""
        self._screened = len(self._screen)
        self._told = 0
        self._seen: dict[int, None] = {}
        """Keys of all latents with a known score."""
        self._factors = torch.randint(-(2**62), 2**62, (space.size,), generator=torch.Generator().manual_seed(0)) * 2 + 1

    def _given_shares(self) -> Tensor:
        """Return the weights of elite, bank and random draws as donors, (3,)."""
        options, blind = self.options, self._bank is None
        if isinstance(self.problem.latent, Box):
            usual = (0.1, 0.0, 0.9) if blind else (0.1, 0.4, 0.5)
        else:
            usual = (0.2, 0.0, 0.8) if blind else (0.1, 0.9, 0.0)
        given = (options.from_elite, options.from_bank, options.from_random)
        shares = torch.tensor([default if share is None else share for share, default in zip(given, usual, strict=True)])
        if blind:
            shares[1] = 0.0
        return shares if float(shares.sum()) > 0 else torch.tensor([0.0, 0.0, 1.0])

    def _propose(self) -> Tensor:
        if len(self._screen):
            rows, self._screen = self._screen[: self.options.batch], self._screen[self.options.batch :]
        elif not len(self._elite):
            rows = self._starts(self.options.batch).flatten(1)
        else:
            rows = self._offspring()
            if isinstance(self._elite, MeasuredElite) and self._again:
                again = self._elite.again(self._again)
                rows = torch.cat([again, rows[: max(len(rows) - len(again), 0)]])
        return rows.view(-1, *self.problem.latent.shape)

    def _offspring(self) -> Tensor:
        """Return the offspring of the highest predicted score out of a pool, new ones before evaluated ones: (batch, size).

        Only the cells that differ from the parents are drawn, scored and compared.
        """
        model = self._model if self._model is not None and self._model.ready else None
        n = self.options.batch * (self.options.pool if model is not None else 2)
        rows, positions = self._masks(n).nonzero().unbind(1)
        parents = torch.randint(len(self._elite), (n,), generator=self.generator)
        old = self._elite.rows[parents[rows], positions]
        values = self._donated(n, rows, positions, old)
        change = (_numbers(values) - _numbers(old)) * self._factors[positions]
        keys = self._keys(self._elite.rows)[parents].index_add_(0, rows, change).tolist()
        order: Sequence[int] = range(n)
        if model is not None:
            weights = model.weights(self.options.explore, self.generator)
            gained = model.gains(weights, positions, values) - model.gains(weights, positions, old)
            promise = self._standing(model, weights)[parents].index_add_(0, rows, gained)
            order = promise.argsort(descending=True, stable=True).tolist()
        fresh: dict[int, int] = {}
        for number in order:
            if keys[number] not in self._seen and keys[number] not in fresh:
                fresh[keys[number]] = number
                if len(fresh) == self.options.batch:
                    break
        chosen = list(fresh.values())
        if len(chosen) < self.options.batch:
            taken = set(chosen)
            chosen += [number for number in order if number not in taken][: self.options.batch - len(chosen)]
        offspring = self._elite.rows[parents[chosen]]
        place = torch.full((n,), -1)
        place[chosen] = torch.arange(len(chosen))
        place = place[rows]
        kept = (place >= 0).nonzero()[:, 0]
        offspring[place[kept], positions[kept]] = values[kept]
        return offspring

    def _standing(self, model: LinearModel, weights: Tensor) -> Tensor:
        """Return the model's score of each member of the elite, (k,)."""
        k, size = self._elite.rows.shape
        return model.gains(weights, torch.arange(size).repeat(k), self._elite.rows.flatten()).view(k, size).sum(1)

    def _masks(self, n: int) -> Tensor:
        """Return masks, (n, size), each true in one patch, placed uniformly; its side is uniform from 1 to a limit that falls with time."""
        budget, shape = self.problem.evaluations, self.problem.latent.shape
        left = 1.0 if not budget else max(0.0, 1.0 - self._told / budget)
        sides = 1 + (torch.rand(n, 1, generator=self.generator) * (1.0 + (self._largest - 1) * left)).long()
        return box_masks(shape, n, lambda length: sides.clamp(max=length), self.generator)

    def _donated(self, n: int, rows: Tensor, positions: Tensor, old: Tensor) -> Tensor:
        """Return the donors' values in the patches of ``n`` offspring, (cells,); every offspring has one donor.

        Parameters
        ----------
        n : int
            Number of offspring.
        rows, positions : Tensor
            (cells,) offspring and position of each cell.
        old : Tensor
            (cells,) the parents' values there.
        """
        kinds = torch.multinomial(self._shares, n, replacement=True, generator=self.generator)[rows]
        values = torch.empty_like(old)
        for kind, draw in enumerate((self._from_elite, self._natural, self._from_random)):
            if float(self._shares[kind]) > 0:
                cells = (kinds == kind).nonzero()[:, 0]
                values[cells] = draw(n, rows[cells], positions[cells], old[cells])
        return values

    def _from_elite(self, n: int, rows: Tensor, positions: Tensor, old: Tensor) -> Tensor:
        del old
        return self._elite.rows[torch.randint(len(self._elite), (n,), generator=self.generator)[rows], positions]

    def _from_random(self, n: int, rows: Tensor, positions: Tensor, old: Tensor) -> Tensor:
        """Return uniform draws; in a box, three of four donors are the parent itself with noise."""
        del positions
        space, cells = self.problem.latent, len(rows)
        if not isinstance(space, Box):
            return torch.randint(space.cardinality, (cells,), generator=self.generator)
        # widths of 0.3 % to 30 % of the box, evenly in the logarithm
        width = 0.003 * 100 ** torch.rand(n, generator=self.generator) * (space.high - space.low)
        near = torch.rand(n, generator=self.generator) < 0.75
        drawn = torch.rand(cells, generator=self.generator) * (space.high - space.low) + space.low
        noisy = old + width[rows] * torch.randn(cells, generator=self.generator)
        return torch.where(near[rows], noisy, drawn).clamp_(space.low, space.high)

    def _natural(self, n: int, rows: Tensor, positions: Tensor, old: Tensor) -> Tensor:
        """Return the values of ``n`` natural latents at the cells, (cells,)."""
        del old
        assert self._bank is not None
        chosen = torch.randint(len(self._bank), (n,), generator=self.generator)
        return self._bank[chosen[rows], self._sources(n, rows, positions)]

    def _sources(self, n: int, rows: Tensor, positions: Tensor) -> Tensor:
        """Return the positions that natural patches come from: a share of the ``n`` latents is rolled by random distances."""
        if not self._shift:
            return positions
        moved = torch.rand(n, generator=self.generator) < self._shift
        found, stride = torch.zeros_like(positions), 1
        for length in reversed(self.problem.latent.shape):
            by = torch.randint(length, (n,), generator=self.generator) * moved
            found += (positions // stride + by[rows]) % length * stride
            stride *= length
        return found

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self._told += len(scores)
        self._take_in(latents.flatten(1), scores)

    def _take_in(self, rows: Tensor, scores: Tensor) -> None:
        self._elite.add(rows, scores)
        self._seen.update(dict.fromkeys(self._keys(rows[~scores.isnan()]).tolist()))
        if self._model is not None:
            self._model.add(rows, scores)

    def observe(self, evaluations: Evaluations) -> None:
        """Learn from the natural latents that other searches screen, and keep better candidates than all so far.

        While this search screens, screened latents of other searches may become parents; under noise the model is fitted to them as well.
        Without noise it is not: a thousand natural latents would fit the model far from where the search goes. Mean over twenty units of
        the spiking network, 400 evaluations each, three seeds: 13.7 spikes with them as parents, 13.1 with them in the model too, 12.7 (one
        seed) in the model alone, 13.4 without sharing. Their later candidates are left out, since they are bred for other units. The best
        candidate of all searches is recommended.

        Parameters
        ----------
        evaluations : Evaluations
            Candidates of other searches, scored for this search's objective.
        """
        rows = evaluations.latents.detach().cpu().flatten(1).to(self._screen.dtype)
        scores = evaluations.scores.detach().to("cpu", torch.float64)
        screening = self._told <= self._screened
        if screening and self.problem.noisy:
            self._take_in(rows, scores)
        else:
            least = -torch.inf if screening or not len(self._elite) else self._elite.scores[0]
            parents = scores > least
            self._elite.add(rows[parents], scores[parents])
            self._seen.update(dict.fromkeys(self._keys(rows[parents]).tolist()))
        known = torch.where(scores.isnan(), -torch.inf, scores)
        if len(known) and float(known.max()) > self._best_score:
            self._best = rows[int(known.argmax())].clone().view(self.problem.latent.shape)
            self._best_score = float(known.max())

    def _keys(self, rows: Tensor) -> Tensor:
        """Return a 64-bit key for each row, equal for equal rows: a sum of products modulo 2⁶⁴ with fixed odd factors."""
        return (_numbers(rows) * self._factors).sum(1)

    def _state(self) -> dict[str, Any]:
        return {
            "elite": self._elite.state(),
            "model": None if self._model is None else self._model.state(),
            "screen": self._screen.clone(),
            "told": self._told,
            "seen": torch.tensor(list(self._seen), dtype=torch.long),
        }

    def _restore(self, state: State) -> None:
        self._elite.restore(state["elite"])
        if self._model is not None:
            self._model.restore(state["model"])
        self._screen, self._seen = state["screen"].clone(), dict.fromkeys(state["seen"].tolist())
        self._told = int(state["told"])


def _numbers(values: Tensor) -> Tensor:
    """Return integers that differ where values differ."""
    return values.contiguous().view(torch.int32).long() if values.is_floating_point() else values
