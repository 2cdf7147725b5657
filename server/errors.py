"""What the service tells a caller who can't have what was asked for."""

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
    """A refusal with a canonical code.

    Attributes
    ----------
    code : grpc.StatusCode
        Never UNKNOWN or INTERNAL: those are bugs.
    message : str
        For a person: what is wrong and what would work.
    reason : str
        For a program: UPPER_SNAKE_CASE, stable.
    violations : tuple of FieldViolation
        The wrong fields, where it is about fields.
    metadata : mapping
        Further facts for a program.
    retry_seconds : float
        After which trying again may help; 0 says nothing about that.
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
    """INVALID_ARGUMENT about one field."""
    return invalid_fields([FieldViolation(field, description)], reason=reason)


def invalid_fields(violations: Sequence[FieldViolation], *, reason: str = "INVALID_FIELD") -> ServiceError:
    """INVALID_ARGUMENT about some fields."""
    message = "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in violations)
    return ServiceError(grpc.StatusCode.INVALID_ARGUMENT, message, reason=reason, violations=violations)


def not_found(message: str, *, reason: str) -> ServiceError:
    """NOT_FOUND."""
    return ServiceError(grpc.StatusCode.NOT_FOUND, message, reason=reason)


def already_exists(message: str, *, reason: str, metadata: Mapping[str, str] | None = None) -> ServiceError:
    """ALREADY_EXISTS."""
    return ServiceError(grpc.StatusCode.ALREADY_EXISTS, message, reason=reason, metadata=metadata)


def unreachable(error: OSError) -> ServiceError:
    """UNAVAILABLE: the store can't be reached for now."""
    what = f"{error}; whether anything was changed is not known, so try again with the same request_id"
    return ServiceError(grpc.StatusCode.UNAVAILABLE, what, reason="STORAGE_UNAVAILABLE", retry_seconds=2.0)


def stopping() -> ServiceError:
    """UNAVAILABLE: the server is on its way out."""
    return ServiceError(
        grpc.StatusCode.UNAVAILABLE, "the server is stopping; try again once it is back", reason="SERVER_STOPPING", retry_seconds=2.0
    )


def exhausted(what: str, error: OSError | str) -> ServiceError:
    """RESOURCE_EXHAUSTED: a full disk, or its like."""
    detail = error if isinstance(error, str) else (error.strerror or str(error))
    return ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{what}: {detail}", reason="STORAGE_FULL")


def over_quota(owner: str, what: str, limit: int) -> ServiceError:
    """RESOURCE_EXHAUSTED: the owner has as much as one may have."""
    described = {
        "queued": f"{limit} jobs of yours wait already, the most that this server queues for one owner; try again when one has begun",
        "open_sessions": f"{limit} sessions of yours are open, the most that this server keeps open for one owner; close one",
        "stored_bytes": f"your jobs' artifacts have reached {limit} bytes, the most that this server keeps for one owner; delete some jobs",
    }[what]
    metadata = {"quota": what, "limit": str(limit), "owner": owner}
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    return ServiceError(code, described, reason="OVER_QUOTA", metadata=metadata, retry_seconds=30.0)


OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Numbers of the OSErrors that say that something has run out."""


async def refuse(context: grpc.aio.ServicerContext, error: ServiceError) -> NoReturn:
    """End a call with a refusal and its details."""
    details = StatusDetails(error.reason, error.violations, error.retry_seconds)
    status = pack_status(error.code, shortened(error.message, _MESSAGE_BYTES), details, DOMAIN, error.metadata)
    await context.abort(error.code, status.message, trailers(status))


async def abort(context: grpc.aio.ServicerContext, error: Exception, where: str) -> NoReturn:
    """End a call with a refusal and its details, or with INTERNAL where ``error`` is a bug; ``where`` names the place for the log."""
    if isinstance(error, ServiceError):
        await refuse(context, error)
    _log.error("%s broke", where, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"a bug in the server ({type(error).__name__}); its log has more")
