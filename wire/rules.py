"""Validation of messages by the constraints of their protos. The light client has no protovalidate and leaves this to the server."""

from __future__ import annotations

import protovalidate
from google.protobuf.message import Message

Unchecked = protovalidate.EvaluationError
"""Error of a message whose constraints can't be evaluated."""


def violations(message: Message) -> list[tuple[str, str]]:
    """Return the violated constraints of a message as pairs of a field's path (``baselines[1].name``) and a description.

    Raises
    ------
    Unchecked
        The constraints can't be evaluated.
    """
    return [(_path(found), _described(found)) for found in protovalidate.collect_violations(message)]


def _path(violation: protovalidate.Violation) -> str:
    path = ""
    field = violation.proto.field
    for element in field.elements if field is not None else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value!r}]"
    return path


def _described(violation: protovalidate.Violation) -> str:
    message = str(violation.proto.message)
    listed = message.removeprefix("must be in list [").removesuffix("]")
    return message if listed == message else f"must be one of {listed.removeprefix(', ')}"
