"""Follows a job on a server to its end, and handles Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from actmax.v1 import job_pb2, job_service_pb2

from ...wire.errors import WrongState
from .client import Client, state_in
from .display import Display


class OnInterrupt(Enum):
    """Effect of Ctrl-C on the job."""

    DETACH = "detach"
    CANCEL = "cancel"


def state_text(state: job_pb2.JobState | int) -> str:
    """Return a state as a word, such as ``running``."""
    name = job_pb2.JobState.Name(state) if state in job_pb2.JobState.values() else "unknown"
    return name.removeprefix("JOB_STATE_").lower()


def follow(
    client: Client,
    name: str,
    display: Display,
    on_interrupt: OnInterrupt,
    on_response: Callable[[job_service_pb2.WatchJobResponse], None] = lambda _: None,
) -> job_pb2.Job:
    """Display a job until it has ended, and return it.

    Parameters
    ----------
    client : Client
        Connected to the job's server.
    name : str
        The job's name.
    display : Display
        The display, entered already.
    on_interrupt : OnInterrupt
        With CANCEL the first Ctrl-C cancels the job and its end is awaited; a second one raises KeyboardInterrupt.
    on_response : callable
        Called with each response of the watch.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C; the job continues, or is being cancelled.
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
    # The job may have ended in the meantime.
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
