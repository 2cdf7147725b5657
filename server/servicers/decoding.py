"""Requests that can't be read are the caller's fault; gRPC for Python would answer UNKNOWN."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from ..errors import ServiceError, status_of


class Decoding(grpc.aio.ServerInterceptor):
    """Decodes each single request itself, and answers INVALID_ARGUMENT where that fails."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the method's handler."""
        handler = await continuation(handler_call_details)
        # Health's Watch is left alone: it writes to its context, and is no generator.
        known = handler_call_details.method.startswith("/actmax.")
        if handler is None or not known or handler.request_streaming:
            return handler
        decode = handler.request_deserializer
        if not handler.response_streaming:

            async def answer(data: bytes, context: grpc.aio.ServicerContext) -> Any:
                return await handler.unary_unary(await _decoded(decode, data, context), context)

            return grpc.unary_unary_rpc_method_handler(answer, None, handler.response_serializer)

        async def stream(data: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            async for response in handler.unary_stream(await _decoded(decode, data, context), context):
                yield response

        return grpc.unary_stream_rpc_method_handler(stream, None, handler.response_serializer)


async def _decoded(decode: Callable[[bytes], Any], data: bytes, context: grpc.aio.ServicerContext) -> Any:
    try:
        return decode(data)
    except DecodeError as error:
        refusal = ServiceError(grpc.StatusCode.INVALID_ARGUMENT, f"the request can't be read: {error}", reason="UNREADABLE_REQUEST")
        status = status_of(refusal)
        await context.abort(refusal.code, status.message, (("grpc-status-details-bin", status.SerializeToString()),))
