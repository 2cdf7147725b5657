"""Where a session is to start: what earlier ones have found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from actmax.v1 import session_pb2

from ..errors import FieldViolation, ServiceError, invalid_fields
from ..jobs.plain import plain
from .live import Live

_MOST = 8


async def starts(spec: session_pb2.SessionSpec, opened: Callable[[str], Awaitable[Live]]) -> dict[str, Any] | None:
    """The latents that a warm start's sessions have found best, as a spec keeps them; None where it names none.

    Parameters
    ----------
    spec : SessionSpec
        Of the session that is to be created.
    opened : callable
        A session of the caller's own by its name; raises ServiceError where there is none.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT, by field: there is no such session, its latents are another generator's, or it has nothing to give.
    """
    asked = spec.warm_start
    if not asked.sessions:
        return None
    if asked.HasField("latents"):
        raise _wrong("spec.warm_start", "name sessions, or give latents", "INVALID_SESSION")
    from ...engine.session.warm import best_latents, by_turns, packed

    most = asked.most or _MOST
    found = []
    for number, name in enumerate(asked.sessions):
        field = f"spec.warm_start.sessions[{number}]"
        try:
            live = await opened(name)
        except ServiceError as error:
            if error.code not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                raise
            raise _wrong(field, str(error), "NO_SUCH_SESSION") from None
        generator = live.kept.session.spec.generator
        if generator.name != spec.generator.name or generator.options != plain(spec.generator).get("options", {}):
            what = (
                f"{name} has latents of {generator.name} with {generator.options or 'no options'}; they mean nothing to another generator"
            )
            raise _wrong(field, what, "OTHER_GENERATOR")
        found.append(await live.read(lambda kept: best_latents(kept.session, most)))
        if not found[-1]:
            raise _wrong(field, f"nothing was told in {name} yet", "NOTHING_TOLD")
    return packed(by_turns(found, most))


def _wrong(field: str, what: str, reason: str) -> ServiceError:
    return invalid_fields([FieldViolation(field, what)], reason=reason)
