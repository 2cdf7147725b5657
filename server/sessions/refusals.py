"""Refusals of calls about sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from ..errors import FieldViolation, ServiceError, invalid_fields, not_found

if TYPE_CHECKING:
    from ...engine.session.durable_session import DurableSession
    from ...models.plugins.connection import PluginError

PLUGIN_AWAY = "PLUGIN_AWAY"


@contextmanager
def engine_refusals() -> Iterator[None]:
    """Convert the engine's refusals within the context.

    Raises
    ------
    ServiceError
        ABORTED for ``Conflict``, FAILED_PRECONDITION for ``NotNow``, INVALID_ARGUMENT for ``Refused``, ``InvalidJob`` and ValueError.
    """
    from ...engine.errors import InvalidJob
    from ...engine.session.errors import Conflict, NotNow, Refused

    try:
        yield
    except Conflict as refusal:
        raise ServiceError(
            grpc.StatusCode.ABORTED, str(refusal), reason=refusal.reason, violations=[FieldViolation(refusal.field, str(refusal))]
        ) from None
    except NotNow as refusal:
        raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, str(refusal), reason=refusal.reason) from None
    except Refused as refusal:
        raise invalid_fields([FieldViolation(refusal.field, str(refusal))], reason=refusal.reason) from None
    except InvalidJob as refusal:
        raise invalid_fields(refusal.violations, reason="INVALID_SESSION") from None
    except ValueError as refusal:
        raise invalid_fields([FieldViolation("objective", str(refusal))]) from None


def require_open(name: str, kept: DurableSession) -> None:
    """Raise ``ServiceError`` for a session that is closed or has expired.

    Raises
    ------
    ServiceError
        FAILED_PRECONDITION.
    """
    from ...engine.session.durable_session import now

    if kept.closed:
        raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"{name} is closed", reason="SESSION_CLOSED")
    if not kept.session.stopped_by and now() > kept.expire_time:
        raise expired(name)


def expired(name: str) -> ServiceError:
    """Return a FAILED_PRECONDITION: the session has expired, as the rig was silent for too long."""
    what = f"{name} has expired, and keeps its trials; open it with renew to go on"
    return ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="SESSION_EXPIRED")


def unanswered(name: str, error: PluginError) -> ServiceError:
    """Return the refusal for a plugin that is away (UNAVAILABLE) or answered wrongly (FAILED_PRECONDITION)."""
    if error.away:
        what = f"{name} waits for its generator: {error}; all that was told is kept, and it goes on when the plugin is back"
        retry_seconds = max(1.0, error.retry_seconds)
        return ServiceError(grpc.StatusCode.UNAVAILABLE, what, reason=PLUGIN_AWAY, retry_seconds=retry_seconds)
    what = f"{name} can't go on: {error}; all that was told is kept: mend the plugin and open the session again"
    return ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="PLUGIN_FAILED")


def unknown(name: str) -> ServiceError:
    """Return a NOT_FOUND about a session."""
    return not_found(f"there is no session {name}; ListSessions has them all", reason="NO_SUCH_SESSION")


def unwritable(what: str, error: OSError) -> ServiceError:
    """Return an UNAVAILABLE: the folder of sessions can't be read or written."""
    told = f"{what}: the folder of sessions can't be used ({error.strerror or error})"
    return ServiceError(grpc.StatusCode.UNAVAILABLE, told, reason="STORAGE_UNAVAILABLE", retry_seconds=2.0)
