"""Exceptions of calls between a client and a server. They need no gRPC; ``wire.status`` makes them of failed calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field: its path, such as ``spec.optimizer.options.rank``, and what is wrong with it."""

    field: str
    description: str


class ActmaxError(Exception):
    """Base of the exceptions that a client raises about a call.

    Attributes
    ----------
    message : str
        What went wrong, without the fields.
    code : str
        Canonical status code, such as ``INVALID_ARGUMENT``.
    violations : tuple of FieldViolation
        The fields at fault, where the server named them.
    reason : str
        The server's machine-readable reason (``ErrorInfo.reason``), or "".
    retry_seconds : float
        Seconds after which the server expects another try to succeed; 0 where the server names none.
    """

    code = "UNKNOWN"

    def __init__(
        self, message: str, *, code: str = "", violations: Sequence[FieldViolation] = (), reason: str = "", retry_seconds: float = 0.0
    ) -> None:
        self.message = message
        self.code = code or type(self).code
        self.violations = tuple(violations)
        self.reason = reason
        self.retry_seconds = retry_seconds
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message, then a line for each field."""
        lines = [f"{v.field}: {v.description}" if v.field else v.description for v in self.violations]
        # A server often repeats its only violation as the message.
        if not lines or all(v.description in self.message for v in self.violations):
            return self.message or self.code
        if not self.message:
            return "\n".join(lines)
        return "\n".join([self.message.rstrip(":") + ":", *(f"  {line}" for line in lines)])

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain data: what ``--json`` prints."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.reason:
            found["reason"] = self.reason
        if self.violations:
            found["violations"] = [{"field": v.field, "description": v.description} for v in self.violations]
        return found


class InvalidInput(ActmaxError):
    """The request is wrong in itself; ``violations`` names its fields."""

    code = "INVALID_ARGUMENT"


class NotFound(ActmaxError):
    """There is no such job or artifact."""

    code = "NOT_FOUND"


class WrongState(ActmaxError):
    """The request does not fit the state that its job or session is in: cancelling a job that has ended, say."""

    code = "FAILED_PRECONDITION"


class Refused(ActmaxError):
    """The caller may not do this, the server does not offer it, or a limit is reached."""

    code = "PERMISSION_DENIED"


class Unavailable(ActmaxError):
    """The server cannot be reached, or did not answer in time."""

    code = "UNAVAILABLE"


class ServerFault(ActmaxError):
    """A defect of the server."""

    code = "INTERNAL"


class DamagedArtifact(ActmaxError):
    """The received bytes differ from those that the server announced."""

    code = "DATA_LOSS"


class UnsafePath(ActmaxError):
    """An artifact's path would leave the folder that it is fetched into."""

    code = "OUT_OF_RANGE"
