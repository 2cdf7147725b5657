"""Error handling of every method: a refusal is sent with its details, any other exception is a bug and sent as INTERNAL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import TypeVar

import grpc.aio

from ..errors import abort

Servicer = TypeVar("Servicer")
Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext


def unary(method: Callable[[Servicer, Request], Awaitable[Response]]) -> Callable[[Servicer, Request, Context], Awaitable[Response]]:
    """Wrap a method with one response in the error handling."""

    @wraps(method)
    async def guarded(self: Servicer, request: Request, context: Context) -> Response:
        try:
            return await method(self, request)
        except Exception as error:
            await abort(context, error, method.__qualname__)

    return guarded


def stream(
    method: Callable[[Servicer, Request], AsyncGenerator[Response, None]],
) -> Callable[[Servicer, Request, Context], AsyncIterator[Response]]:
    """Wrap a method with a stream of responses in the error handling."""

    @wraps(method)
    async def guarded(self: Servicer, request: Request, context: Context) -> AsyncIterator[Response]:
        try:
            async with contextlib.aclosing(method(self, request)) as responses:
                async for response in responses:
                    yield response
        except Exception as error:
            await abort(context, error, method.__qualname__)

    return guarded
