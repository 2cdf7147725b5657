"""What goes through a worker's pipe: bytes of known form, never pickles, as a job's own code may run at the other end."""

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
    """The job's end, with what is in its artifacts folder."""

    cancelled: bool
    artifacts: tuple[ArtifactRecord, ...]


@dataclass(frozen=True)
class Suspended:
    """Stopped at a checkpoint."""


@dataclass(frozen=True)
class Failed:
    """Trying again would not help; ``details`` (a traceback) is for the server's log."""

    code: str
    message: str
    details: str


@dataclass(frozen=True)
class Lost:
    """It went away where it ran, with its machine say; another attempt may do better. ``began``: whether it had been there at all."""

    why: str
    began: bool = True


Message = Advanced | Finished | Suspended | Failed | Lost


class BadMessage(ValueError):
    """Bytes that are no message."""


def encode(message: Message) -> bytes:
    """A message as bytes: one that tells its kind, then its content."""
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
    """The message in ``data``.

    Raises
    ------
    BadMessage
        There is none.
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
