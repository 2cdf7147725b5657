"""What the next generation is to show: every thread's candidates and leaders, references, and at the end winners beside controls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .checked import CheckedSession
from .planning import Content, Part, cycled, in_part
from .thread import SearchThread
from .trials import Kind, Stimuli, Trial

FIRST = 2
"""Presentations of each reference before any is shown more often than others."""
EVENLY = 0.25
"""Share of references that are shown whatever they drive."""


class Layout:
    """The design of a session, at work.

    Parameters
    ----------
    checked : CheckedSession
        The session.
    stimuli : Stimuli
        Its distinct ones; references become the first of them.
    """

    def __init__(self, checked: CheckedSession, stimuli: Stimuli) -> None:
        self._checked, self._design, self._seed = checked, checked.spec.design, checked.spec.seed
        self._stimuli = stimuli
        latents = () if checked.references is None else checked.references
        self.references = [stimuli.number(latent) for latent in latents] or list(range(stimuli.pictures))
        """Numbers of the reference stimuli."""
        self.references_shown = 0
        """Presentations of references that were shown in turn so far."""
        self._shown = np.zeros(len(self.references), dtype=np.int64)

    def content(
        self, threads: Sequence[SearchThread], generation: int, trials: Sequence[Trial], telling: NDArray[np.float64] | None
    ) -> Content:
        """What generation number ``generation`` shows after ``trials``; one of ``threads`` at least has not ended.

        ``telling``, (references,), is what each reference drives, where they tell the gain.
        """
        for thread in threads:
            thread.ask(self._stimuli)
        going = [thread for thread in threads if not thread.stopped_by]
        active = [thread for thread in going if not thread.closing]
        if not active:
            return self._closing(going, generation, trials)
        design = self._design
        parts: list[Part] = []
        leaders: list[tuple[int, int]] = []
        free = 0
        for thread, room in zip(active, self._checked.rooms([thread.number for thread in active]), strict=True):
            # before anything is recommended the leaders' places stay free: how many candidates fit is settled once
            room -= 0 if thread.search.remeasuring else design.leaders
            parts.append(thread.show(room, generation))
            free += room - len(parts[-1].rows)
            if thread.recommended is not None and not thread.search.remeasuring:
                shown = in_part(design.leaders, len(parts[-1].rows) / room, generation)
                leaders += [(thread.number, self._stimuli.number(thread.recommended))] * shown
        asked = sum(len(part.rows) for part in parts)
        references = in_part(self._checked.references_shown, asked / (asked + free), generation)
        return Content(parts, self._next_references(references, telling), leaders)

    def _closing(self, threads: Sequence[SearchThread], generation: int, trials: Sequence[Trial]) -> Content:
        """Each winner alone, and as many of what it is compared with, side by side."""
        sides = len(threads) + bool(self.references) + 1
        each = max(1, self._design.generation_size // sides)
        parts = [thread.show(each, generation) for thread in threads]
        count = max(len(part.rows) for part in parts)
        controls = self._controls(count, trials)
        return Content(parts, self._next_references(count if self.references else 0), (), controls)

    def _next_references(self, count: int, telling: NDArray[np.float64] | None = None) -> list[int]:
        """References to show, all of them in turn; or, once each was shown :data:`FIRST` times, those more often that drive more.

        What drives nothing tells nothing of the gain. How often a reference is shown depends on responses that are known, all of which
        enter the fit of the gain, so it does not mislead that (an ignorable design; Rubin 1976).
        """
        found: list[int] = []
        distinct = len(self.references)
        if count and telling is not None and telling.sum() > 0 and self._shown.min() >= FIRST:
            shares = EVENLY / distinct + (1 - EVENLY) * telling / telling.sum()
            for _ in range(count):
                at = int((shares * (self._shown.sum() + 1) - self._shown).argmax())
                self._shown[at] += 1
                found.append(at)
        elif count:
            found = cycled(count, distinct, self.references_shown, self._seed)
            np.add.at(self._shown, found, 1)
            self.references_shown += count
        return [self.references[at] for at in found]

    def restore(self, references_shown: int, trials: Sequence[Trial]) -> None:
        """Go on after ``trials``."""
        self.references_shown = references_shown
        self._shown[:] = 0
        at = {stimulus: place for place, stimulus in enumerate(self.references)}
        np.add.at(self._shown, [at[trial.stimulus] for trial in trials if trial.kind is Kind.REFERENCE], 1)

    def _controls(self, count: int, trials: Sequence[Trial]) -> list[int]:
        """Of the first generation's candidates, as evenly as can be; but for those that an earlier session has found."""
        starts = set() if self._checked.starts is None else set(self._stimuli.numbers(self._checked.starts))
        first = (trial.stimulus for trial in trials if trial.generation == 1 and trial.kind is Kind.CANDIDATE)
        distinct = [stimulus for stimulus in dict.fromkeys(first) if stimulus not in starts]
        shown = sum(trial.kind is Kind.CONTROL for trial in trials)
        return [distinct[at] for at in cycled(count, len(distinct), shown, self._seed + 1)] if distinct else []
