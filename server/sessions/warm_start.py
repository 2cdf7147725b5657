"""Warm starts: the best latents of earlier sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from actmax.v1 import session_pb2

from ..errors import FieldViolation, ServiceError, invalid_fields
from ..messages.specs import plain
from .active_session import ActiveSession

_MOST = 8


@dataclass(frozen=True)
class Earlier:
    """Best latents of earlier sessions.

    Attributes
    ----------
    latents : dict or None
        Best latents, as a spec holds them; None if the warm start names no session.
    versions : tuple of (str, str)
        Each earlier session's name and the version of the plugin that made its stimuli; empty for other generators.
    """

    latents: dict[str, Any] | None = None
    versions: tuple[tuple[str, str], ...] = ()

    def check(self, version: str) -> None:
        """Raise ``ServiceError`` unless all latents are of the plugin's ``version``.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT, naming the earlier session.
        """
        for number, (name, other) in enumerate(self.versions):
            if other != version:
                now = f"{name} has latents of version {other!r} of the plugin, which is {version!r} now"
                what = f"{now}; where they mean the same, give latents"
                raise _wrong(f"spec.warm_start.sessions[{number}]", what, "OTHER_VERSION")


async def starts(spec: session_pb2.SessionSpec, opened: Callable[[str], Awaitable[ActiveSession]]) -> Earlier:
    """Return the best latents of the sessions that a warm start names.

    Parameters
    ----------
    spec : SessionSpec
        Spec of the session that is to be created.
    opened : callable
        Returns a session of the caller by its name; raises ServiceError if there is none.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT, by field: there is no such session, it has another generator, or it has no responses yet.
    """
    asked = spec.warm_start
    if not asked.sessions:
        return Earlier()
    if asked.HasField("latents"):
        raise _wrong("spec.warm_start", "name sessions, or give latents", "INVALID_SESSION")
    from ...engine.session.findings import best_latents, by_turns, packed

    most = asked.most or _MOST
    found, versions = [], []
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
        found.append(await live.read(lambda kept: best_latents(kept.session.threads, most)))
        versions.append((name, live.kept.session.checked.plugin.version))
        if not found[-1]:
            raise _wrong(field, f"nothing was told in {name} yet", "NOTHING_TOLD")
    return Earlier(packed(by_turns(found, most)), tuple(versions))


def _wrong(field: str, what: str, reason: str) -> ServiceError:
    return invalid_fields([FieldViolation(field, what)], reason=reason)
