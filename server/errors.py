"""The service's refusals: gRPC codes with details, and how a call ends with one."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from typing import NoReturn

import grpc
import grpc.aio

from ..wire.errors import FieldViolation
from ..wire.status import StatusDetails, pack_status, shortened, trailers

_log = logging.getLogger(__name__)
DOMAIN = "actmax"
_MESSAGE_BYTES = 800


class ServiceError(Exception):
    """A refusal with a canonical gRPC code.

    Attributes
    ----------
    code : grpc.StatusCode
        Never UNKNOWN or INTERNAL: those are bugs.
    message : str
        For a person: what is wrong and what would work.
    reason : str
        For a program: UPPER_SNAKE_CASE, stable.
    violations : tuple of FieldViolation
        The wrong fields of the request; empty if the refusal isn't about fields.
    metadata : mapping
        Further facts for a program.
    retry_seconds : float
        Seconds after which a retry may succeed; 0 if unknown.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str,
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_seconds: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
        self.code = code
        self.message = message
        self.reason = reason
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})


def invalid(field: str, description: str, *, reason: str = "INVALID_FIELD") -> ServiceError:
    """Return an INVALID_ARGUMENT about one field.

    Parameters
    ----------
    field : str
        Path of the field in the request.
    description : str
        What is wrong and what would work.
    reason : str
        UPPER_SNAKE_CASE, for programs.
    """
    return invalid_fields([FieldViolation(field, description)], reason=reason)


def invalid_fields(violations: Sequence[FieldViolation], *, reason: str = "INVALID_FIELD") -> ServiceError:
    """Return an INVALID_ARGUMENT about several fields, whose message joins the descriptions."""
    message = "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in violations)
    return ServiceError(grpc.StatusCode.INVALID_ARGUMENT, message, reason=reason, violations=violations)


def not_found(message: str, *, reason: str) -> ServiceError:
    """Return a NOT_FOUND."""
    return ServiceError(grpc.StatusCode.NOT_FOUND, message, reason=reason)


def already_exists(message: str, *, reason: str, metadata: Mapping[str, str] | None = None) -> ServiceError:
    """Return an ALREADY_EXISTS."""
    return ServiceError(grpc.StatusCode.ALREADY_EXISTS, message, reason=reason, metadata=metadata)


def unreachable(error: OSError) -> ServiceError:
    """Return an UNAVAILABLE: the store can't be reached at present."""
    what = f"{error}; whether anything was changed is not known, so try again with the same request_id"
    return ServiceError(grpc.StatusCode.UNAVAILABLE, what, reason="STORAGE_UNAVAILABLE", retry_seconds=2.0)


def stopping() -> ServiceError:
    """Return an UNAVAILABLE: the server is stopping."""
    return ServiceError(
        grpc.StatusCode.UNAVAILABLE, "the server is stopping; try again once it is back", reason="SERVER_STOPPING", retry_seconds=2.0
    )


def exhausted(what: str, error: OSError | str) -> ServiceError:
    """Return a RESOURCE_EXHAUSTED: a full disk, or another resource that ran out.

    Parameters
    ----------
    what : str
        What was not done, at the start of the message.
    error : OSError or str
        What ran out.
    """
    detail = error if isinstance(error, str) else (error.strerror or str(error))
    return ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{what}: {detail}", reason="STORAGE_FULL")


def over_quota(owner: str, what: str, limit: int) -> ServiceError:
    """Return a RESOURCE_EXHAUSTED: an owner has reached a quota.

    Parameters
    ----------
    owner : str
        The owner.
    what : str
        The quota: "queued", "open_sessions" or "stored_bytes".
    limit : int
        The quota's limit: jobs, sessions or bytes.
    """
    described = {
        "queued": f"{limit} jobs of yours wait already, the most that this server queues for one owner; try again when one has begun",
        "open_sessions": f"{limit} sessions of yours are open, the most that this server keeps open for one owner; close one",
        "stored_bytes": f"your jobs' artifacts have reached {limit} bytes, the most that this server keeps for one owner; delete some jobs",
    }[what]
    metadata = {"quota": what, "limit": str(limit), "owner": owner}
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    return ServiceError(code, described, reason="OVER_QUOTA", metadata=metadata, retry_seconds=30.0)


OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Error numbers of OSErrors that mean that disk, memory or file handles ran out."""


async def refuse(context: grpc.aio.ServicerContext, error: ServiceError) -> NoReturn:
    """End a call with a refusal and its details."""
    details = StatusDetails(error.reason, error.violations, error.retry_seconds)
    status = pack_status(error.code, shortened(error.message, _MESSAGE_BYTES), details, DOMAIN, error.metadata)
    await context.abort(error.code, status.message, trailers(status))


async def abort(context: grpc.aio.ServicerContext, error: Exception, where: str) -> NoReturn:
    """End a call with a refusal and its details, or with INTERNAL and a log entry if ``error`` is a bug.

    Parameters
    ----------
    context : grpc.aio.ServicerContext
        The call.
    error : Exception
        What the method raised.
    where : str
        Name of the method, for the log.
    """
    if isinstance(error, ServiceError):
        await refuse(context, error)
    _log.error("%s broke", where, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"a bug in the server ({type(error).__name__}); its log has more")
