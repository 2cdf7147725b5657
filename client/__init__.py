"""A client of actmax servers, and the ``actmax`` command.

Needs no torch: ``from actmax.client import Client``.
"""

from ..wire.errors import (
    ActmaxError,
    DamagedArtifact,
    FieldViolation,
    InvalidInput,
    NotFound,
    Refused,
    ServerFault,
    Unavailable,
    UnsafePath,
    WrongState,
)
from ..wire.transport import Credentials
from .jobs.client import Client
from .sessions.asyncsession import AsyncSession
from .sessions.session import Session

__all__ = [
    "ActmaxError",
    "AsyncSession",
    "Client",
    "Credentials",
    "DamagedArtifact",
    "FieldViolation",
    "InvalidInput",
    "NotFound",
    "Refused",
    "ServerFault",
    "Session",
    "Unavailable",
    "UnsafePath",
    "WrongState",
]
