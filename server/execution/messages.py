"""Messages of a worker's pipe: bytes of a fixed form, never pickles, as a job's own code may run at the other end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ..storage.records import ArtifactRecord

CANCEL = b"cancel"
SUSPEND = b"suspend"


@dataclass(frozen=True)
class Advanced:
    """Progress: a serialised ``actmax.v1.Progress``."""

    progress: bytes


@dataclass(frozen=True)
class Finished:
    """The job's end, with the files in its artifacts folder."""

    cancelled: bool
    artifacts: tuple[ArtifactRecord, ...]


@dataclass(frozen=True)
class Suspended:
    """The worker stopped at a checkpoint."""


@dataclass(frozen=True)
class Failed:
    """The job failed and a retry can't help; ``details`` (a traceback) is for the server's log."""

    code: str
    message: str
    details: str


@dataclass(frozen=True)
class Lost:
    """The worker was lost, with its machine for example; a retry may succeed. ``began``: whether the worker had started."""

    why: str
    began: bool = True


Message = Advanced | Finished | Suspended | Failed | Lost


class BadMessage(ValueError):
    """Bytes that are no message."""


def encode(message: Message) -> bytes:
    """Return a message as bytes: one byte for its kind, then its content."""
    match message:
        case Advanced(progress):
            return b"A" + progress
        case Finished():
            return b"F" + json.dumps(asdict(message)).encode()
        case Suspended():
            return b"S"
        case Failed():
            return b"E" + json.dumps(asdict(message)).encode()
        case Lost():
            return b"L" + json.dumps(asdict(message)).encode()


def decode(data: bytes) -> Message:
    """Return the message in ``data``.

    Raises
    ------
    BadMessage
        ``data`` holds no message.
    """
    kind, content = data[:1], data[1:]
    try:
        if kind == b"A":
            return Advanced(content)
        if kind == b"S":
            return Suspended()
        fields: dict[str, Any] = json.loads(content)
        if kind == b"F":
            return Finished(bool(fields["cancelled"]), tuple(ArtifactRecord(**item) for item in fields["artifacts"]))
        if kind == b"L":
            return Lost(str(fields["why"]), bool(fields["began"]))
        if kind == b"E":
            return Failed(str(fields["code"]), str(fields["message"]), str(fields["details"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadMessage(f"a worker sent a message that can't be read: {error}") from error
    raise BadMessage(f"a worker sent a message of unknown kind {kind!r}")
