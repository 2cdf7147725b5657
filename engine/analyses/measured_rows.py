"""Responses of one unit to long lists of stimuli, measured in batches and kept, so that an interrupted analysis goes on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...models.objectives.unit import mean_response
from ...models.transformations.pipeline import resized_to
from ...models.units import UnitAddress
from .analysis import AnalysisContext


class Interrupted(Exception):
    """The analysis was asked to stop; what was measured is in the context's state."""


class MeasuredRows:
    """Measures lists one after the other; those that an earlier attempt has measured are not shown again.

    Parameters
    ----------
    context : AnalysisContext
        Its ``state`` holds the results, in the order of the calls, which has to be the same in every attempt.
    says : str
        What is under way, for :attr:`AnalysisContext.report`.
    """

    def __init__(self, context: AnalysisContext, says: str) -> None:
        self._context, self._says = context, says
        self._calls = 0
        state = context.state
        self._done: list[Tensor] = state.setdefault("done", [])
        state.setdefault("part", torch.empty(0, dtype=torch.float64))
        state.setdefault("shown", 0)

    def responses(self, unit: UnitAddress, rows: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the unit's responses, (n,) float64, to the stimuli that ``make`` makes of ``rows``, at most a batch at once.

        Raises
        ------
        Interrupted
            The analysis is to stop.
        """
        if (known := self._known()) is not None:
            return known
        context, state = self._context, self._context.state
        while len(state["part"]) < len(rows):
            first = len(state["part"])
            with torch.no_grad():
                stimuli = resized_to(make(rows[first : first + context.batch]), context.target.stimulus)
            answer = context.respond(stimuli, {unit.layer}, state["shown"])
            state.update(part=torch.cat([state["part"], mean_response(unit, answer).double().cpu()]), shown=state["shown"] + len(stimuli))
            if len(state["part"]) < len(rows):
                self._pause()
        return self._kept(state["part"])

    def once(self, compute: Callable[[], Tensor]) -> Tensor:
        """Return what ``compute`` returns, or has returned in an earlier attempt."""
        known = self._known()
        return self._kept(compute()) if known is None else known

    def _known(self) -> Tensor | None:
        self._calls += 1
        return self._done[self._calls - 1] if self._calls <= len(self._done) else None

    def _kept(self, result: Tensor) -> Tensor:
        self._done.append(result)
        self._context.state["part"] = torch.empty(0, dtype=torch.float64)
        self._pause()
        return result

    def _pause(self) -> None:
        self._context.report(f"{self._says}: {self._context.state['shown']:,} stimuli shown")
        if self._context.should_stop():
            raise Interrupted
