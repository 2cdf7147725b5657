"""A session: the searches that a job would run, driven by a rig that tells responses trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..spec import ComponentSpec
from .checked import Aim, CheckedSession
from .decoding import Screen
from .errors import NotNow, Refused
from .findings import Findings, Found
from .layout import Layout
from .planning import planned
from .record import TrialRecord
from .scoring import Scorer
from .thread import SearchThread, reasons
from .trials import Stimuli


class Session:
    """Plans generations and tells the searches.

    The same calls with the same arguments lead to the same bits, so a log of them is all that has to be kept. Between two generations
    :meth:`state_dict` is whole. Calls must not overlap.

    Parameters
    ----------
    checked : CheckedSession
        What it is made of.

    Attributes
    ----------
    record : TrialRecord
        Its trials; takes responses.
    stimuli : Stimuli
        The distinct stimuli of its trials.
    screen : Screen
        Decodes them.
    scorer : Scorer
        Scores trials, and follows the gain.
    threads : list of SearchThread
        Its searches, one at least.
    """

    def __init__(self, checked: CheckedSession) -> None:
        self.checked = checked
        self.spec = checked.spec
        self.record = TrialRecord(self.spec.units)
        self.stimuli = Stimuli(0 if checked.pictures is None else checked.pictures.shape[0])
        self.screen = Screen(checked, self.record, self.stimuli)
        self._layout = Layout(checked, self.stimuli)
        self.scorer = Scorer(checked, self.stimuli, self.screen, self._layout.references)
        self.threads = [SearchThread(checked, number) for number in range(len(checked.threads))]
        self._finishing = ""
        self._findings = Findings(self.record, self.threads, self.stimuli, self.spec.seed)
        self._plan()

    @property
    def stopped_by(self) -> str:
        """By which rule it ended, several where its threads differ; empty while there are trials to show."""
        return reasons(self.threads)

    @property
    def complete(self) -> bool:
        """Whether :meth:`step` is due."""
        return self.record.untold == 0 and not self.stopped_by

    @property
    def evaluations(self) -> int:
        """Told to its searches so far."""
        return sum(thread.evaluations for thread in self.threads)

    @property
    def remeasuring(self) -> bool:
        """Whether all of its searches measure their leaders again."""
        return all(thread.search.remeasuring for thread in self.threads)

    def thread(self, name: str) -> SearchThread:
        """A thread by its name, which may be empty where there is but one.

        Raises
        ------
        Refused
            UNKNOWN_THREAD.
        """
        for thread in self.threads:
            if thread.name == name or (not name and len(self.threads) == 1):
                return thread
        raise Refused("UNKNOWN_THREAD", "thread", f"there is no thread {name!r}; there are {', '.join(t.name for t in self.threads)}")

    def check_change(self, objective: ComponentSpec | None, unit: str, thread: str = "") -> Aim:
        """The aim that a change of a thread's would lead to.

        Raises
        ------
        InvalidJob
            There is no such objective or unit.
        Refused
            There is no such thread.
        NotNow
            Its search has ended, or has too few evaluations left.
        """
        found = self.thread(thread)
        aim = Aim(found.aim.objective if objective is None else objective, unit or found.aim.unit)
        shown = sum(trial.row >= 0 and trial.thread == found.number for trial in self.record.current)
        left = found.evaluations_due - found.evaluations - shown
        if found.stopped_by or left < 2:
            raise NotNow("TOO_LATE", "change_objective", "no evaluation is left for another objective")
        self.checked.search(found.number, aim, found.changes + 1, left)
        return aim

    def change(self, objective: ComponentSpec | None, unit: str, thread: str = "") -> None:
        """From the next generation on, seek something else: a fresh search that has learned from all trials so far, scored anew.

        Raises
        ------
        InvalidJob, Refused, NotNow
            See :meth:`check_change`.
        """
        self.thread(thread).pending = self.check_change(objective, unit, thread)

    def finish(self, *, at_once: bool) -> None:
        """End all searches with the present generation.

        Parameters
        ----------
        at_once : bool
            Its untold trials count as missed, and nothing is measured again. Else the leaders are, as the design says.

        Raises
        ------
        NotNow
            The session has ended.
        """
        if self.stopped_by:
            raise NotNow("TOO_LATE", "finish", f"the session has ended ({self.stopped_by})")
        self._finishing = "at once" if at_once else "remeasure"
        if at_once:
            self.record.advance(self.record.generation)

    def step(self, at_boundary: Callable[[], None] = lambda: None) -> None:
        """Tell the searches of the complete generation, and plan the next; ``at_boundary`` in between, where the state is whole."""
        if not self.complete:
            raise RuntimeError("the generation is not complete")
        trials = self.record.current
        self.record.settle()
        self.scorer.score(trials, self.threads)
        for thread in self.threads:
            if thread.stopped_by:
                continue
            thread.tell([trial for trial in trials if trial.thread == thread.number], self.stimuli)
            if self._finishing:
                thread.finish(remeasure=self._finishing == "remeasure")
            elif thread.pending is None:
                self._findings.look(thread, self.spec.stop.significance)
            elif not thread.stopped_by:
                thread.turn()
                self.scorer.learn_anew(thread, self.record.trials)
        self._finishing = ""
        if all(thread.whole for thread in self.threads):
            at_boundary()
        self._plan()

    def found(self, thread: int = 0, *, comparing: bool = True) -> Found:
        """What a thread recommends; ``comparing`` says how sure that is, which takes some milliseconds."""
        return self._findings.found(thread, comparing=comparing, ended=bool(self.stopped_by))

    def reference_mean(self, thread: int = 0) -> float:
        """Mean score of references over the last generations; NaN where there are none."""
        return self._findings.reference_mean(thread)

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, between two generations."""
        return {
            "threads": [thread.state_dict() for thread in self.threads],
            "references_shown": self._layout.references_shown,
            "latents": self.stimuli.latents(),
            **self.record.state_dict(),
            **self.scorer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, and plan the next generation."""
        for thread, kept in zip(self.threads, state["threads"], strict=True):
            thread.load_state_dict(kept)
        self.stimuli.restore(state["latents"])
        self.record.load_state_dict(state)
        self.scorer.load_state_dict(state, self.record.trials)
        self._layout.restore(int(state["references_shown"]), self.record.trials)
        self.screen.forget()
        self._plan()

    def _plan(self) -> None:
        """The next generation, unless all searches have ended."""
        for thread in self.threads:
            thread.recommend()
        record = self.record
        if self.stopped_by:
            return record.begin([])
        record.generation += 1
        content = self._layout.content(self.threads, record.generation, record.trials, self.scorer.telling(self.threads))
        record.begin(planned(content, record.generation, len(record.trials) + 1, self.spec.seed))
