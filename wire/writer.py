"""Messages as plain data that ``wire.reader`` reads: the names of the protos, whole numbers as numbers, no NaN."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format, struct_pb2, timestamp_pb2
from google.protobuf.message import Message

from actmax.v1 import session_pb2

from .reader import EXACT

_TENSOR: Any = session_pb2.Tensor.DESCRIPTOR


def to_plain(message: Message, *, defaults: bool = True, arrays: bool = True) -> dict[str, Any]:
    """Return a message as dictionaries, lists, text and numbers.

    The result differs from protobuf's own JSON form in two points: 64-bit integers are numbers, and numbers that are not finite are null.
    Readers of the JSON form accept it nevertheless.

    Parameters
    ----------
    message : Message
        Any message of ``actmax.v1``.
    defaults : bool
        Whether to include fields with their default value; an absent field with presence is left out either way.
    arrays : bool
        Whether to include tensors.
    """
    if isinstance(message, struct_pb2.Struct):
        return whole(json_format.MessageToDict(message))
    if defaults:
        slots = [slot for slot in message.DESCRIPTOR.fields if not slot.has_presence or message.HasField(slot.name)]
        fields = [(slot, getattr(message, slot.name)) for slot in slots]
    else:
        fields = message.ListFields()
    wanted = {"defaults": defaults, "arrays": arrays}
    return {slot.name: _value(value, slot, wanted) for slot, value in fields if arrays or slot.message_type is not _TENSOR}


def whole(value: Any) -> Any:
    """Return plain data with whole numbers as integers; a Struct carries them as doubles."""
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    # -0.0 has no integer form.
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT and (value or math.copysign(1, value) > 0):
        return int(value)
    return value


def _value(value: Any, slot: Any, wanted: Mapping[str, bool]) -> Any:
    if slot.message_type is not None and slot.message_type.GetOptions().map_entry:
        kind = slot.message_type.fields_by_name["value"]
        return {str(key): _single(item, kind, wanted) for key, item in sorted(value.items())}
    if slot.is_repeated and isinstance(value, Sequence):
        return [_single(item, slot, wanted) for item in value]
    return _single(value, slot, wanted)


def _single(value: Any, slot: Any, wanted: Mapping[str, bool]) -> Any:
    if isinstance(value, timestamp_pb2.Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return to_plain(value, **wanted)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if slot.enum_type is not None:
        known = slot.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return None if isinstance(value, float) and not math.isfinite(value) else value
