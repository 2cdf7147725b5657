"""Converts sessions, trials and recommendations to messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from actmax.v1 import session_pb2, session_service_pb2

from ...wire.arrays import fill, to_tensor
from ..messages.jobs import timestamp

if TYPE_CHECKING:
    from ...engine.session.durable_session import DurableSession
    from ...engine.session.evidence import Comparison
    from ...engine.session.findings import Found
    from ...engine.session.session import Session
    from ...engine.session.trials import Trial, TrialResponse

STATUS = ("untold", "told", "missed", "late")


def trial_responses(message: session_service_pb2.Tell) -> list[TrialResponse]:
    """Return the responses of a tell, one for each of its trials."""
    from ...engine.session.trials import TrialResponse

    return [
        TrialResponse(
            trial.trial,
            tuple(trial.responses),
            trial.missed,
            trial.onset if trial.HasField("onset") else math.nan,
            trial.offset if trial.HasField("offset") else math.nan,
        )
        for trial in message.trials
    ]


def progress(session: Session) -> session_pb2.SessionProgress:
    """Return a session's progress."""
    untold, known, missed, late = (session.record.counts[status] for status in sorted(session.record.counts))
    del untold
    return session_pb2.SessionProgress(
        generation=session.record.generation,
        evaluations=session.evaluations,
        total_evaluations=session.spec.stop.evaluations,
        told=known,
        missed=missed,
        late=late,
        reference=session.reference_mean(),
        gain=session.scorer.gain(session.threads[0]) if session.scorer.normalises else math.nan,
        untold=session.record.untold,
        remeasuring=session.remeasuring,
        clock=session.record.clock,
    )


def recommendation(session: Session, *, whole: bool, thread: int = 0) -> session_pb2.Recommendation:
    """Return a thread's recommendation.

    Parameters
    ----------
    session : Session
        The session.
    whole : bool
        Whether latent, stimulus and comparisons are included; the stimulus only if the generator or the last showing has it.
    thread : int
        Position of the thread, from 0.
    """
    from ...models.plugins.connection import PluginError

    found: Found = session.found(thread, comparing=whole)
    message = session_pb2.Recommendation(
        response=found.response, low=found.low, high=found.high, measurements=found.measurements, final=found.final
    )
    if whole and found.latent is not None:
        message.latent.CopyFrom(to_tensor(found.latent.numpy()))
        try:
            stimulus = session.checked.decoder(found.latent[None])[0]
        except PluginError:  # the generator's plugin is away: use the stimulus as last shown, if any
            stimulus = session.screen.last(found.latent)
        if stimulus is not None:
            message.stimulus.CopyFrom(to_tensor(stimulus.detach().float().numpy()))
    if found.over_references is not None:
        message.over_references.CopyFrom(_comparison(found.over_references))
    if found.over_first is not None:
        message.over_first.CopyFrom(_comparison(found.over_first))
    for name, comparison in found.over_threads.items():
        message.over_threads.add(thread=name, comparison=_comparison(comparison))
    return message


def thread(session: Session, number: int, *, whole: bool) -> session_pb2.ThreadProgress:
    """Return the progress of one of several threads, with its recommendation.

    Parameters
    ----------
    session : Session
        The session.
    number : int
        Position of the thread, from 0.
    whole : bool
        See :func:`recommendation`.
    """
    found = session.threads[number]
    message = session_pb2.ThreadProgress(
        name=found.name,
        unit=found.aim.unit,
        optimizer=found.note,
        evaluations=found.evaluations,
        total_evaluations=found.evaluations_due,
        reference=session.reference_mean(number),
        remeasuring=found.search.remeasuring,
        stopped_by=found.stopped_by,
        recommendation=recommendation(session, whole=whole, thread=number),
    )
    message.objective.name = found.aim.objective.name
    message.objective.options.update(found.aim.objective.options)
    return message


def _comparison(found: Comparison) -> session_pb2.Comparison:
    return session_pb2.Comparison(
        difference=found.difference,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        measurements=found.measurements,
        controls=found.controls,
    )


def session(message: session_pb2.Session, kept: DurableSession, *, whole: bool) -> session_pb2.Session:
    """Fill ``message`` with all that a session in memory knows, and return it.

    Parameters
    ----------
    message : Session
        The session's message, filled in place.
    kept : DurableSession
        The session.
    whole : bool
        See :func:`recommendation`.
    """
    found = kept.session
    message.last_sequence = kept.sequence
    message.progress.CopyFrom(progress(found))
    message.recommendation.CopyFrom(recommendation(found, whole=whole))
    message.stopped_by = found.stopped_by
    first = found.threads[0]
    message.optimizer = first.note
    made = found.checked.decoder.stimulus
    message.stimulus_shape.extend(made.shape)
    message.stimulus_low, message.stimulus_high = made.low, made.high
    message.objective.name = first.aim.objective.name
    message.objective.options.update(first.aim.objective.options)
    message.unit = first.aim.unit
    if found.spec.threads:
        message.threads.extend(thread(found, number, whole=whole) for number in range(len(found.threads)))
    message.expire_time.CopyFrom(timestamp(kept.expire_time))
    return message


def encoded(session: Session) -> Any:
    """Return the stimuli of the present generation as the rig shows them: an array, (n, ...), or a list of n PNG files."""
    from ...engine.session.encoding import png, presented

    asked = session.spec.presentation
    shown = presented(session.screen.present(), session.checked.decoder.stimulus, asked)
    return [png(picture) for picture in shown] if asked.encoding == "png" else shown


def ask(session: Session, stimuli: Any) -> session_service_pb2.RunSessionResponse:
    """Return the untold trials of the present generation; ``stimuli`` is the return value of :func:`encoded`."""
    trials = session.record.current
    rows = [row for row, trial in enumerate(trials) if not trial.status]
    response = session_service_pb2.RunSessionResponse()
    message = response.ask  # filled in place: stimuli are large, and copies of them cost time
    message.generation = session.record.generation
    message.trials.extend(trials[row].number for row in rows)
    message.kinds.extend(int(trials[row].kind) for row in rows)  # type: ignore[arg-type]
    if session.spec.threads:
        names = [thread.name for thread in session.threads]
        message.threads.extend(names[trials[row].thread] if trials[row].thread >= 0 else "" for row in rows)
        message.thread_progress.extend(thread(session, number, whole=False) for number in range(len(names)))
    message.progress.CopyFrom(progress(session))
    message.recommendation.CopyFrom(recommendation(session, whole=False))
    if isinstance(stimuli, list):
        message.png.extend(stimuli[row] for row in rows)
    else:
        fill(message.stimuli, stimuli if len(rows) == len(trials) else stimuli[rows])
    return response


def trial(found: Trial, names: Sequence[str]) -> session_service_pb2.Trial:
    """Return one trial as a message; ``names`` are those of the session's threads."""
    message = session_service_pb2.Trial(
        trial=found.number,
        generation=found.generation,
        kind=int(found.kind),  # type: ignore[arg-type]
        stimulus=found.stimulus,
        replicate=found.replicate,
        responses=found.responses,
        status=STATUS[found.status],
        score=found.score,
        gain=found.gain,
        thread=names[found.thread] if found.thread >= 0 else "",
        clock=found.clock,
        bad=found.bad,
    )
    if not math.isnan(found.onset):
        message.onset = found.onset
    if not math.isnan(found.offset):
        message.offset = found.offset
    if found.told:
        message.told_time.CopyFrom(timestamp(found.told))
    return message
