"""The design of a generation: which trials it has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .trials import Kind, Trial


@dataclass(frozen=True)
class Content:
    """What a generation is to show, by stimulus number.

    Attributes
    ----------
    asked : sequence of int
        What the search asked, row for row.
    replicates : int
        How often in a row each candidate was asked; 0 where the search measures leaders again.
    references, leaders, controls : sequence of int
        What is shown besides.
    """

    asked: Sequence[int]
    replicates: int
    references: Sequence[int] = ()
    leaders: Sequence[int] = ()
    controls: Sequence[int] = ()


def planned(content: Content, generation: int, first: int, seed: int) -> list[Trial]:
    """The trials of a generation from number ``first`` on: all kinds mixed, in an order that ``seed`` and the generation alone decide."""
    rows: list[tuple[Kind, int, int, int]] = []
    for row, stimulus in enumerate(content.asked):
        replicate = row % content.replicates if content.replicates else 0
        kind = Kind.REMEASURE if not content.replicates else Kind.REPLICATE if replicate else Kind.CANDIDATE
        rows.append((kind, stimulus, row, replicate))
    for kind, stimuli in (
        (Kind.REFERENCE, content.references),
        (Kind.REMEASURE, content.leaders),
        (Kind.CONTROL, content.controls),
    ):
        rows.extend((kind, stimulus, -1, 0) for stimulus in stimuli)
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, generation)))).permutation(len(rows))
    return [
        Trial(first + place, generation, kind, stimulus, row, replicate)
        for place, (kind, stimulus, row, replicate) in enumerate(rows[number] for number in order)
    ]


def cycled(count: int, distinct: int, shown: int, seed: int) -> list[int]:
    """The next ``count`` of ``distinct`` references after ``shown`` were shown: all of them in a shuffled order, then in another one."""
    found: list[int] = []
    for place in range(shown, shown + count):
        round_, within = divmod(place, distinct)
        order = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, round_, 1)))).permutation(distinct)
        found.append(int(order[within]))
    return found
