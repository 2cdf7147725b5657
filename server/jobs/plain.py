"""Messages as the plain data that the engine reads."""

from __future__ import annotations

from typing import Any

from actmax.v1 import job_pb2
from google.protobuf.json_format import MessageToDict, SerializeToJsonError

_EXACT = 2**53


def plain(message: job_pb2.JobSpec | job_pb2.Component) -> dict[str, Any]:
    """A spec or component as a job file would hold it.

    A Struct has no whole numbers; those in it become ``int`` again, so that a component's own code is called alike from a job
    file and over the wire.

    Raises
    ------
    ValueError
        It holds what JSON can't, such as an infinite option.
    """
    try:
        return _whole(MessageToDict(message, preserving_proto_field_name=True))
    except (SerializeToJsonError, ValueError) as error:
        raise ValueError(str(error)) from error


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value
