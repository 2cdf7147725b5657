"""``actmax.v1.SessionService``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from google.protobuf import empty_pb2

from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb

from ..sessions.service import Sessions
from .guard import stream, unary


class SessionServicer:
    """Answers calls about sessions with ``Sessions``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @unary
    async def CreateSession(self, request: pb.CreateSessionRequest) -> session_pb2.Session:
        """Validate a session, write it to disk and return it; a repeated ``request_id`` returns the first call's session."""
        return await self._sessions.create(request.spec, request.request_id)

    @unary
    async def GetSession(self, request: pb.GetSessionRequest) -> session_pb2.Session:
        """Return a session, with its progress and recommendation."""
        return await self._sessions.get(request.name)

    @unary
    async def ListSessions(self, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        """Return a page of the caller's sessions, newest first, without loading them."""
        page, token = await self._sessions.page(request.page_size, request.page_token)
        return pb.ListSessionsResponse(sessions=page, next_page_token=token)

    @unary
    async def CloseSession(self, request: pb.CloseSessionRequest) -> session_pb2.Session:
        """Close a session for good and return it."""
        return await self._sessions.finish(request.name)

    @unary
    async def DeleteSession(self, request: pb.DeleteSessionRequest) -> empty_pb2.Empty:
        """Delete a session that is not open, and its files."""
        await self._sessions.delete(request.name)
        return empty_pb2.Empty()

    @stream
    async def RunSession(self, requests: AsyncIterator[pb.RunSessionRequest]) -> AsyncGenerator[pb.RunSessionResponse, None]:
        """Exchange trials and responses with a rig, until the session or the stream ends."""
        async with contextlib.aclosing(self._sessions.run(requests)) as responses:
            async for response in responses:
                yield response

    @unary
    async def Ask(self, request: pb.AskRequest) -> pb.AskResponse:
        """Return the trials to show at present, for clients without streams."""
        return await self._sessions.ask(request.session)

    @unary
    async def Tell(self, request: pb.TellRequest) -> pb.TellResponse:
        """Apply one step, write it to disk and acknowledge it, for clients without streams."""
        step = getattr(request, request.WhichOneof("content") or "tell")
        return pb.TellResponse(ack=await self._sessions.tell(request.session, step))

    @stream
    async def ListTrials(self, request: pb.ListTrialsRequest) -> AsyncGenerator[pb.ListTrialsResponse, None]:
        """Stream all trials of a session in batches, with their stimuli if asked for."""
        async with contextlib.aclosing(self._sessions.trials(request.session, request.stimuli)) as batches:
            async for batch in batches:
                yield batch
