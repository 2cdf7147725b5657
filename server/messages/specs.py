"""Converts messages to the plain data that the engine reads."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import Message

_EXACT = 2**53
_DEPTH = 20  # protobuf reads a hundred nested messages, which are some thirty levels of options


def plain(message: Message) -> dict[str, Any]:
    """Return a spec or component as the plain data that a job file holds.

    A Struct has no whole numbers. Floats without a fraction, below 2**53, become ``int``, so that a component receives the same options
    from a job file and over the wire.

    Raises
    ------
    ValueError
        The message holds what JSON can't, such as an infinite option, or is nested too deep.
    """
    try:
        return _whole(MessageToDict(message, preserving_proto_field_name=True))
    except (SerializeToJsonError, ValueError) as error:
        raise ValueError(str(error)) from error


def _whole(value: Any, depth: int = 0) -> Any:
    if depth > _DEPTH:
        raise ValueError(f"more than {_DEPTH} levels, one inside the other")
    if isinstance(value, dict):
        return {key: _whole(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item, depth + 1) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value
