"""The interceptor of all calls: identifies the caller, limits rates, decodes and validates requests, and records each call."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from ...wire.rules import Unchecked, violations
from ...wire.status import code_of
from ..errors import FieldViolation, ServiceError, invalid_fields, refuse
from ..observing.calls import Observer
from ..security.access import Access
from ..security.principal import current_principal
from ..security.rate_limiter import RateLimiter

Context = grpc.aio.ServicerContext


class Admission(grpc.aio.ServerInterceptor):
    """Wraps every method, those of health and reflection too.

    Parameters
    ----------
    access : Access
        Identifies callers and checks their scopes.
    limiter : RateLimiter
        Limits how often a caller may call.
    observer : Observer
        Records each call and how it ended.
    """

    def __init__(self, access: Access, limiter: RateLimiter, observer: Observer) -> None:
        self._access = access
        self._limiter = limiter
        self._observer = observer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler with identification, rate limit, validation and recording around it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        metadata = tuple(handler_call_details.invocation_metadata or ())
        streams = handler.request_streaming

        async def request(given: Any, context: Context) -> Any:
            caller = await self._access.principal(method, metadata, context.auth_context())
            current_principal.set(caller)
            self._limiter.take(method, caller, context.peer())
            return _several(handler.request_deserializer, given) if streams else read(handler.request_deserializer, given)

        if not handler.response_streaming:
            inner = handler.stream_unary if streams else handler.unary_unary

            async def answer(given: Any, context: Context) -> Any:
                with self._watched(method, metadata, context):
                    try:
                        return await inner(await request(given, context), context)
                    except ServiceError as error:
                        await refuse(context, error)

            wrap = grpc.stream_unary_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
            return wrap(answer, None, handler.response_serializer)
        inner_stream = handler.stream_stream if streams else handler.unary_stream

        async def stream(given: Any, context: Context) -> AsyncIterator[Any]:
            with self._watched(method, metadata, context):
                try:
                    answers = inner_stream(await request(given, context), context)
                    if inspect.isawaitable(answers):  # the health service writes its responses to the context
                        await answers
                        return
                    async for response in answers:
                        yield response
                except ServiceError as error:
                    await refuse(context, error)

        wrap = grpc.stream_stream_rpc_method_handler if streams else grpc.unary_stream_rpc_method_handler
        return wrap(stream, None, handler.response_serializer)

    @contextmanager
    def _watched(self, method: str, metadata: tuple[Any, ...], context: Context) -> Any:
        began = time.monotonic()
        code = grpc.StatusCode.OK
        with self._observer.span(method, metadata) as span:
            try:
                yield
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except GeneratorExit:
                code = grpc.StatusCode.CANCELLED
                raise
            except BaseException:
                code = _code(context, grpc.StatusCode.INTERNAL)
                raise
            finally:
                code = _code(context, code)
                self._observer.called(method, code, time.monotonic() - began, current_principal.get().owner, span)


def read(decode: Callable[[bytes], Message], data: bytes) -> Message:
    """Decode a request and validate it against the constraints of its proto.

    Parameters
    ----------
    decode : callable
        Returns the message in some bytes.
    data : bytes
        The serialised request.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT: the request can't be decoded, or violates constraints, which are listed by field.
    """
    try:
        request = decode(data)
    except DecodeError as error:
        raise ServiceError(grpc.StatusCode.INVALID_ARGUMENT, f"the request can't be read: {error}", reason="UNREADABLE_REQUEST") from None
    try:
        found = violations(request)
    except Unchecked as error:
        raise ServiceError(
            grpc.StatusCode.INVALID_ARGUMENT, f"the request can't be checked: {error}", reason="UNREADABLE_REQUEST"
        ) from None
    if found:
        raise invalid_fields([FieldViolation(field, text) for field, text in found])
    return request


async def _several(decode: Callable[[bytes], Message], given: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Decode and validate the requests of a stream; raise ServiceError at the first invalid one."""
    async for data in given:
        yield read(decode, data)


def _code(context: Context, otherwise: grpc.StatusCode) -> grpc.StatusCode:
    found = context.code()
    if isinstance(found, grpc.StatusCode):
        return found
    return code_of(found, otherwise) if found else otherwise
