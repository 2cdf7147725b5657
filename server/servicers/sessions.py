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
    """``Sessions`` over the wire."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @unary
    async def CreateSession(self, request: pb.CreateSessionRequest) -> session_pb2.Session:
        """See the proto."""
        return await self._sessions.create(request.spec, request.request_id)

    @unary
    async def GetSession(self, request: pb.GetSessionRequest) -> session_pb2.Session:
        """See the proto."""
        return await self._sessions.get(request.name)

    @unary
    async def ListSessions(self, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        """See the proto."""
        page, token = await self._sessions.page(request.page_size, request.page_token)
        return pb.ListSessionsResponse(sessions=page, next_page_token=token)

    @unary
    async def CloseSession(self, request: pb.CloseSessionRequest) -> session_pb2.Session:
        """See the proto."""
        return await self._sessions.finish(request.name)

    @unary
    async def DeleteSession(self, request: pb.DeleteSessionRequest) -> empty_pb2.Empty:
        """See the proto."""
        await self._sessions.delete(request.name)
        return empty_pb2.Empty()

    @stream
    async def RunSession(self, requests: AsyncIterator[pb.RunSessionRequest]) -> AsyncGenerator[pb.RunSessionResponse, None]:
        """See the proto."""
        async with contextlib.aclosing(self._sessions.run(requests)) as responses:
            async for response in responses:
                yield response

    @unary
    async def Ask(self, request: pb.AskRequest) -> pb.AskResponse:
        """See the proto."""
        return await self._sessions.ask(request.session)

    @unary
    async def Tell(self, request: pb.TellRequest) -> pb.TellResponse:
        """See the proto."""
        step = getattr(request, request.WhichOneof("content") or "tell")
        return pb.TellResponse(ack=await self._sessions.tell(request.session, step))

    @stream
    async def ListTrials(self, request: pb.ListTrialsRequest) -> AsyncGenerator[pb.ListTrialsResponse, None]:
        """See the proto."""
        async with contextlib.aclosing(self._sessions.trials(request.session, request.stimuli)) as batches:
            async for batch in batches:
                yield batch
