"""Failed calls as ``google.rpc.Status`` with its details: the answering side packs them, the calling side reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from .addresses import proxy_of
from .errors import (
    ActmaxError,
    DamagedArtifact,
    FieldViolation,
    InvalidInput,
    NotFound,
    Refused,
    ServerFault,
    Unavailable,
    WrongState,
)

DETAILS_KEY = "grpc-status-details-bin"
# An answer's trailing metadata must stay below the 8 KiB that gRPC peers accept by default, base64 and the message's own copy included.
_STATUS_BYTES = 3600

_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}  # type: ignore[index]
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
    grpc.StatusCode.DATA_LOSS: DamagedArtifact,
}


@dataclass(frozen=True)
class StatusDetails:
    """The details of a status, besides code and message.

    Attributes
    ----------
    reason : str
        Machine-readable reason (``ErrorInfo.reason``): UPPER_SNAKE_CASE, stable.
    violations : tuple of FieldViolation
        The wrong fields (``BadRequest``).
    retry_seconds : float
        Seconds after which another try may help (``RetryInfo``); 0 where the status has none.
    """

    reason: str = ""
    violations: tuple[FieldViolation, ...] = ()
    retry_seconds: float = 0.0


def number_of(code: grpc.StatusCode) -> int:
    """Return the number of a canonical code on the wire."""
    return code.value[0]  # type: ignore[index]


def code_of(number: int, otherwise: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> grpc.StatusCode:
    """Return the canonical code with a number; ``otherwise`` where no code has it."""
    return _CODES.get(number, otherwise)


def status_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Return the canonical code of a failed call."""
    if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
        return error.code() or grpc.StatusCode.UNKNOWN
    return grpc.StatusCode.UNKNOWN


def text_of(error: grpc.RpcError) -> str:
    """Return the message of a failed call."""
    return (error.details() or "") if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else str(error)


def details_of(error: grpc.RpcError) -> StatusDetails:
    """Return the details of a failed call; details that can't be read are left out."""
    violations: list[FieldViolation] = []
    reason, retry = "", 0.0
    metadata = (error.trailing_metadata() or ()) if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) else ()
    for key, value in metadata:
        if key != DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                bad, info, again = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
                if detail.Unpack(bad):
                    violations += [FieldViolation(v.field, v.description) for v in bad.field_violations]
                elif detail.Unpack(info):
                    reason = info.reason
                elif detail.Unpack(again):
                    retry = max(retry, again.retry_delay.seconds + again.retry_delay.nanos / 1e9)
        except DecodeError:
            continue
    return StatusDetails(reason, tuple(violations), retry)


def from_rpc(error: grpc.RpcError, address: str) -> ActmaxError:
    """Return the exception that a failed call stands for.

    Parameters
    ----------
    error : grpc.RpcError
        As raised by a stub, blocking or asynchronous.
    address : str
        The server's address, for messages.

    Returns
    -------
    ActmaxError
        Of the class that fits the code: :class:`InvalidInput`, :class:`Unavailable` and so on.
    """
    code, details = status_of(error), details_of(error)
    message = said = text_of(error)
    if code is grpc.StatusCode.UNAVAILABLE and not details.reason:
        # gRPC lists its attempts before the cause, sometimes with brackets around the whole text.
        message = f"cannot reach a server at {address}" + (f" ({said.rpartition(': ')[2].rstrip(']')})" if said else "")
        proxy = proxy_of(address.removeprefix("grpcs://"))
        if proxy:
            message += f"; it was tried by the proxy of the environment, {proxy}: name hosts to be reached directly in no_proxy"
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"the server at {address} did not answer in time"
    elif code is grpc.StatusCode.UNIMPLEMENTED:
        message = f"the server at {address} does not offer this call; is it an actmax server of the same version?"
    kind = _CLASSES.get(code, ServerFault)
    return kind(message, code=code.name, violations=details.violations, reason=details.reason, retry_seconds=details.retry_seconds)


def pack_status(
    code: grpc.StatusCode, message: str, details: StatusDetails, domain: str, metadata: Mapping[str, str] | None = None
) -> status_pb2.Status:
    """Return a refusal as ``google.rpc.Status``: ErrorInfo first, then RetryInfo and BadRequest.

    Parameters
    ----------
    code : grpc.StatusCode
        Canonical code.
    message : str
        For a person; short enough for a header.
    details : StatusDetails
        Reason, violations and pause. The first violation is always packed, later ones as far as the trailing metadata has room.
    domain : str
        Namespace of the reason (``ErrorInfo.domain``).
    metadata : mapping of str to str, optional
        Further facts for a program.
    """
    status = status_pb2.Status(code=number_of(code), message=message)
    _add(status, error_details_pb2.ErrorInfo(reason=details.reason, domain=domain, metadata=metadata))
    if details.retry_seconds:
        again = error_details_pb2.RetryInfo()
        again.retry_delay.FromMilliseconds(round(1000 * details.retry_seconds))
        _add(status, again)
    if details.violations:
        _add(status, _bad_request(details.violations, _STATUS_BYTES - status.ByteSize()))
    return status


def trailers(status: status_pb2.Status) -> tuple[tuple[str, bytes]]:
    """Return the trailing metadata that carries a status."""
    return ((DETAILS_KEY, status.SerializeToString()),)


def shortened(text: str, limit: int) -> str:
    """Return ``text`` cut to at most ``limit`` bytes of UTF-8, with an ellipsis where something is left out."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "…"


def _bad_request(violations: Iterable[FieldViolation], room: int) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for violation in violations:
        bad.field_violations.add(field=shortened(violation.field, 200), description=shortened(violation.description, 1000))
        if bad.ByteSize() > room and len(bad.field_violations) > 1:
            del bad.field_violations[-1]
            break
    return bad


def _add(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)
