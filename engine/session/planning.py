"""The design of a generation: which trials it has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .trials import SHARED, Kind, Trial


@dataclass(frozen=True)
class Part:
    """What one thread's search asks to be shown.

    Attributes
    ----------
    thread : int
        Which thread.
    rows : sequence of (int, int)
        Rows of its ask, each with its stimulus's number.
    replicates : int
        How often in a row each candidate was asked; 0 where the search measures leaders again.
    """

    thread: int
    rows: Sequence[tuple[int, int]]
    replicates: int


@dataclass(frozen=True)
class Content:
    """What a generation is to show, by stimulus number.

    Attributes
    ----------
    parts : sequence of Part
        One a thread that shows something.
    references, controls : sequence of int
        What is shown for all threads.
    leaders : sequence of (int, int)
        Threads, and what they recommend.
    """

    parts: Sequence[Part]
    references: Sequence[int] = ()
    leaders: Sequence[tuple[int, int]] = ()
    controls: Sequence[int] = ()


def planned(content: Content, generation: int, first: int, seed: int) -> list[Trial]:
    """The trials of a generation from number ``first`` on: all kinds mixed, in an order that ``seed`` and the generation alone decide."""
    rows: list[tuple[Kind, int, int, int, int]] = []
    for part in content.parts:
        for row, stimulus in part.rows:
            replicate = row % part.replicates if part.replicates else 0
            kind = Kind.REMEASURE if not part.replicates else Kind.REPLICATE if replicate else Kind.CANDIDATE
            rows.append((kind, stimulus, row, replicate, part.thread))
    rows.extend((Kind.REFERENCE, stimulus, -1, 0, SHARED) for stimulus in content.references)
    rows.extend((Kind.REMEASURE, stimulus, -1, 0, thread) for thread, stimulus in content.leaders)
    rows.extend((Kind.CONTROL, stimulus, -1, 0, SHARED) for stimulus in content.controls)
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, generation)))).permutation(len(rows))
    return [
        Trial(first + place, generation, kind, stimulus, row, replicate, thread)
        for place, (kind, stimulus, row, replicate, thread) in enumerate(rows[number] for number in order)
    ]


def cycled(count: int, distinct: int, shown: int, seed: int) -> list[int]:
    """The next ``count`` of ``distinct`` references after ``shown`` were shown: all of them in a shuffled order, then in another one."""
    found: list[int] = []
    for place in range(shown, shown + count):
        round_, within = divmod(place, distinct)
        order = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, round_, 1)))).permutation(distinct)
        found.append(int(order[within]))
    return found


def interleaved(stimuli: Sequence[int]) -> list[int]:
    """Places of ``stimuli`` in an order in which each comes once before any comes again."""
    seen: dict[int, int] = {}
    turns: list[tuple[int, int]] = []
    for place, stimulus in enumerate(stimuli):
        seen[stimulus] = seen.get(stimulus, 0) + 1
        turns.append((seen[stimulus], place))
    return [place for _, place in sorted(turns)]


def apportioned(whole: int, shares: Sequence[float]) -> list[int]:
    """``whole`` in parts that are to each other as ``shares``, by the largest remainders; of equal ones the first."""
    exact = [whole * share / sum(shares) for share in shares]
    found = [int(part) for part in exact]
    order = sorted(range(len(exact)), key=lambda at: (found[at] - exact[at], at))
    for at in order[: whole - sum(found)]:
        found[at] += 1
    return found


def in_part(count: int, full: float, generation: int) -> int:
    """How many of ``count`` belong into a generation of which a share ``full`` is asked: as many on average, whole numbers in turn.

    Searches that ask few at a time would else show more references than candidates. What is all but full has all.
    """
    wanted = count if full > 0.75 else count * full
    return int(wanted * generation) - int(wanted * (generation - 1))
