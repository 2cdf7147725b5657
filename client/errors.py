"""What can go wrong between a client and a server, as exceptions that read well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field: its path, such as ``spec.optimizer.options.rank``, and what is wrong with it."""

    field: str
    description: str


class ActmaxError(Exception):
    """Base of all that this client raises about a call.

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
        After which the server says that trying again may help; 0 where it says nothing.
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
        """The message, then a line for each field."""
        lines = [f"{v.field}: {v.description}" if v.field else v.description for v in self.violations]
        # A server often repeats its only violation as the message.
        if not lines or all(v.description in self.message for v in self.violations):
            return self.message or self.code
        if not self.message:
            return "\n".join(lines)
        return "\n".join([self.message.rstrip(":") + ":", *(f"  {line}" for line in lines)])

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data: what ``--json`` prints."""
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
    """The request is right, but not now: cancelling a job that has ended, say."""

    code = "FAILED_PRECONDITION"


class Refused(ActmaxError):
    """The server does not allow this, or cannot afford it."""

    code = "PERMISSION_DENIED"


class Unavailable(ActmaxError):
    """The server cannot be reached, or did not answer in time."""

    code = "UNAVAILABLE"


class ServerFault(ActmaxError):
    """A defect of the server."""

    code = "INTERNAL"


class DamagedArtifact(ActmaxError):
    """The bytes that came are not those that the server announced."""

    code = "DATA_LOSS"


class UnsafePath(ActmaxError):
    """An artifact's path would leave the folder that it is fetched into."""

    code = "OUT_OF_RANGE"


_CLASSES: Mapping[grpc.StatusCode, type[ActmaxError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: WrongState,
    grpc.StatusCode.ABORTED: WrongState,
    grpc.StatusCode.ALREADY_EXISTS: WrongState,
    grpc.StatusCode.PERMISSION_DENIED: Refused,
    grpc.StatusCode.UNAUTHENTICATED: Refused,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Refused,
    grpc.StatusCode.UNIMPLEMENTED: Refused,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.INTERNAL: ServerFault,
    grpc.StatusCode.UNKNOWN: ServerFault,
    grpc.StatusCode.DATA_LOSS: DamagedArtifact,
}


def from_rpc(error: grpc.RpcError, address: str) -> ActmaxError:
    """The exception that a failed call stands for.

    Parameters
    ----------
    error : grpc.RpcError
        As raised by a stub, sync or async.
    address : str
        The server's, to be named where it could not be reached.
    """
    code = status_of(error)
    details = error.details() if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else str(error)
    violations, reason, retry = _described(error)
    message = details or ""
    if code is grpc.StatusCode.UNAVAILABLE and not reason:
        # gRPC puts all that it tried before the cause, sometimes in brackets around it all.
        message = f"cannot reach a server at {address}" + (f" ({details.rpartition(': ')[2].rstrip(']')})" if details else "")
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"the server at {address} did not answer in time"
    elif code is grpc.StatusCode.UNIMPLEMENTED:
        message = f"the server at {address} does not offer this call; is it an actmax server of the same version?"
    return _CLASSES.get(code, ServerFault)(message, code=code.name, violations=violations, reason=reason, retry_seconds=retry)


def status_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The canonical code of a failed call."""
    if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
        return error.code() or grpc.StatusCode.UNKNOWN
    return grpc.StatusCode.UNKNOWN


def retry_after(error: grpc.RpcError) -> float:
    """Seconds after which the server says that trying again may help; 0 where it says nothing."""
    return _described(error)[2]


def _described(error: grpc.RpcError) -> tuple[list[FieldViolation], str, float]:
    """The fields, the reason and the pause in an error's details; nothing where they cannot be read."""
    violations: list[FieldViolation] = []
    reason, retry = "", 0.0
    metadata = (error.trailing_metadata() or ()) if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else ()
    for key, value in metadata:
        if key != _DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                bad, info, again = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
                if detail.Unpack(bad):
                    violations += [FieldViolation(v.field, v.description) for v in bad.field_violations]
                elif detail.Unpack(info):
                    reason = info.reason
                elif detail.Unpack(again):
                    retry = again.retry_delay.ToTimedelta().total_seconds()
        except DecodeError:
            continue
    return violations, reason, retry
