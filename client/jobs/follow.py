"""Follows a job on a server to its end, and does what Ctrl-C asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from actmax.v1 import job_pb2, job_service_pb2

from ...wire.errors import WrongState
from .client import Client, state_in
from .display import Display


class OnInterrupt(Enum):
    """What Ctrl-C does to the job."""

    DETACH = "detach"
    CANCEL = "cancel"


def state_text(state: job_pb2.JobState | int) -> str:
    """A state as a word: ``running``."""
    name = job_pb2.JobState.Name(state) if state in job_pb2.JobState.values() else "unknown"
    return name.removeprefix("JOB_STATE_").lower()


def follow(
    client: Client,
    name: str,
    display: Display,
    on_interrupt: OnInterrupt,
    on_response: Callable[[job_service_pb2.WatchJobResponse], None] = lambda _: None,
) -> job_pb2.Job:
    """Show a job until it has ended.

    Parameters
    ----------
    client : Client
        Connected to the job's server.
    name : str
        The job's.
    display : Display
        Entered already.
    on_interrupt : OnInterrupt
        With CANCEL the first Ctrl-C cancels the job and its end is awaited; a second one leaves.
    on_response : callable
        Given each response of the watch.

    Raises
    ------
    KeyboardInterrupt
        The person leaves; the job goes on, or is being cancelled.
    """
    token = ""
    cancelled = False
    while True:
        try:
            if cancelled:
                _cancel(client, name)
            for response in client.watch(name, token):
                token = response.resume_token or token
                on_response(response)
                _show(response, name, display)
            return client.get(name)
        except KeyboardInterrupt:
            if on_interrupt is OnInterrupt.DETACH or cancelled:
                raise
            cancelled = True
            display.note("Cancelling; what was found is kept. Ctrl-C again leaves at once.")


def _cancel(client: Client, name: str) -> None:
    # It may have ended by itself in the meantime.
    with suppress(WrongState):
        client.cancel(name)


def _show(response: job_service_pb2.WatchJobResponse, name: str, display: Display) -> None:
    state = state_in(response)
    if state != job_pb2.JOB_STATE_UNSPECIFIED:
        display.state(f"{name} {state_text(state)}")
    if response.HasField("snapshot"):
        display.progress(response.snapshot.progress)
    elif response.event.HasField("progress"):
        display.progress(response.event.progress)
