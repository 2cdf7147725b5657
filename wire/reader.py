"""Reads plain data, such as YAML's or Python's, as the fields of a message: the one reader of job files, session files and Python."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor

from actmax.v1 import schema_pb2, session_pb2

from .arrays import DTYPES, byte_count, tensor_fields
from .near_names import hint

FieldPath = tuple[str | int, ...]
"""Where a value stands: ``("baselines", 1, "name")``."""

EXACT = 1 << 53
"""Numbers travel in a Struct as doubles, which hold whole numbers exactly up to here."""
MOST_NAMES = 10_000
"""Items that one range of names may stand for."""

# Descriptors are of one class or another, by protobuf's implementation, so they are Any below.
_STRUCT = struct_pb2.Struct.DESCRIPTOR.full_name
_TENSOR: Any = session_pb2.Tensor.DESCRIPTOR
_BARE = {FieldDescriptor.CPPTYPE_STRING: str, FieldDescriptor.CPPTYPE_INT64: int}
_BITS = {FieldDescriptor.CPPTYPE_INT64: 63, FieldDescriptor.CPPTYPE_INT32: 31}
_RANGE = re.compile(r"(.*)\[([0-9]{1,9}):([0-9]{1,9})\]")


def show(path: FieldPath) -> str:
    """Return a path as text: ``baselines[1].options.rank``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Reader:
    """Reads plain data as a message's fields, noting every fault instead of stopping at the first.

    The reader accepts protobuf's JSON form, with the names of the protos too, and these short forms:

    - a bare value for a message with the option ``short_form``;
    - an enum's value by its last part (``rate``);
    - a numpy array for a tensor;
    - a single item for a list of one;
    - in lists, a range of names (``ch[0:96]``) where a field has the option ``ranges``.

    Attributes
    ----------
    faults : list of (FieldPath, str)
        What is wrong, and where.
    remarks : list of str
        Warnings that are no faults: names that a later version will refuse.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[FieldPath, str]] = []
        self.remarks: list[str] = []

    def message(self, data: Any, descriptor: Any, path: FieldPath = ()) -> dict[str, Any]:
        """Return the fields of ``data`` that are set, in the JSON form of the message with the names of its proto.

        Parameters
        ----------
        data : mapping, or a short form
            The data to read; None in place of a value leaves a field out.
        descriptor : Descriptor
            Descriptor of the message.
        path : FieldPath
            Where ``data`` stands in the whole.

        Returns
        -------
        dict
            The fields; where ``data`` has faults, they are appended to ``faults`` and their fields are left out or hold a zero value.
        """
        if descriptor.full_name == _STRUCT:
            return self.options(data, path)
        data, before = _spelled_out(data, descriptor), len(self.faults)
        if not isinstance(data, Mapping):
            self.fault(path, f"expected fields ({', '.join(_names(descriptor))}), got {kind_of(data)}")
            return {}
        read: dict[str, Any] = {}
        for name, value in data.items():
            here = (*path, str(name))
            slot = self._slot(name, descriptor, here) if isinstance(name, str) else None
            if slot is None:
                self.fault(here, f"there is no such field; {hint(str(name), _names(descriptor))}")
            elif value is not None and slot.is_repeated:
                read[slot.name] = self._items(value, slot, here)
            elif value is not None and (found := self.value(value, slot, here)) is not None:
                read[slot.name] = found
        if descriptor.full_name == _TENSOR.full_name and len(self.faults) == before:
            self._check_bytes(read, path)
        return read

    def _slot(self, name: str, descriptor: Any, path: FieldPath) -> Any:
        """Return the field that ``name`` stands for, a former name with a remark; None where there is none."""
        slot = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
        if slot is None:
            slot = descriptor.fields_by_name.get(former_names(descriptor).get(name, ""))
            if slot is not None:
                self.remarks.append(f"{show(path)} is called {slot.name} now; the next version will not take {name}")
        return slot

    def value(self, value: Any, slot: Any, path: FieldPath) -> Any:
        """Return one value of a field, in the JSON form.

        Parameters
        ----------
        value : object
            The data to read.
        slot : FieldDescriptor
            Descriptor of the field.
        path : FieldPath
            Where ``value`` stands in the whole.

        Returns
        -------
        object or None
            None for an enum's zero, which is an absent value.
        """
        if slot.message_type is not None:
            return self.message(value, slot.message_type, path)
        if slot.enum_type is not None:
            return self._enum(value, slot.enum_type, path)
        if slot.type == FieldDescriptor.TYPE_BYTES:
            return self._bytes(value, path)
        if slot.cpp_type in _BITS:
            return self._integer(value, path, _BITS[slot.cpp_type])
        if slot.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
            return self._number(value, path)
        if slot.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return self._boolean(value, path)
        return self._text(value, path)

    def options(self, data: Any, path: FieldPath) -> dict[str, Any]:
        """Return a component's options as plain data; the component itself validates their names and values."""
        if not isinstance(data, Mapping):
            self.fault(path, f"expected fields, such as 'rank: 8', got {kind_of(data)}")
            return {}
        return {str(name): self._option(value, (*path, str(name))) for name, value in data.items()}

    def option_text(self, value: str, path: FieldPath) -> str:
        """Return a text within a component's options; a subclass may replace it."""
        del path
        return value

    def fault(self, path: FieldPath, text: str) -> None:
        """Note what is wrong with the value at ``path``."""
        self.faults.append((path, text))

    def _items(self, value: Any, slot: Any, path: FieldPath) -> list[Any]:
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        named = slot.message_type and _short_form(slot.message_type)
        if named and named.GetOptions().Extensions[schema_pb2.ranges]:
            items = [each for at, item in enumerate(items) for each in self._range(item, named.name, (*path, at))]
        return [self.value(item, slot, (*path, at)) for at, item in enumerate(items)]

    def _range(self, item: Any, field: str, path: FieldPath) -> list[Any]:
        """Return the items that an item with a range of names stands for, or the item alone."""
        name = item.get(field) if isinstance(item, Mapping) else item
        match = _RANGE.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            return [item]
        start, stop = int(match[2]), int(match[3])
        if not start < stop <= start + MOST_NAMES:
            self.fault(path, f"the range {start}:{stop} stands for 1 to {MOST_NAMES} names, its end left out, such as ch[0:96]")
            return []
        rest = item if isinstance(item, Mapping) else {}
        return [{**rest, field: f"{match[1]}{number}"} for number in range(start, stop)]

    def _text(self, value: Any, path: FieldPath) -> str:
        if isinstance(value, str):
            if not value.isascii() and value != value.encode(errors="replace").decode():
                self.fault(path, "expected text, got half of a character (a lone surrogate)")
            return value
        quoted = f'; in quotes ("{value}") it is text' if isinstance(value, (bool, int, float)) else ""
        self.fault(path, f"expected text, got {kind_of(value)}{quoted}")
        return ""

    def _enum(self, value: Any, kind: Any, path: FieldPath) -> str | None:
        prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
        if isinstance(value, str):
            found = kind.values_by_name.get(prefix + value.strip().upper().removeprefix(prefix))
        else:
            found = kind.values_by_number.get(value) if isinstance(value, int) and not isinstance(value, bool) else None
        if found is None:
            known = [name.removeprefix(prefix).lower() for name in kind.values_by_name][1:]
            self.fault(path, f"expected one of {', '.join(known)}, got {kind_of(value)}")
        return found.name if found is not None and found.number else None

    def _integer(self, value: Any, path: FieldPath, bits: int) -> int:
        number = _unquoted(value)
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            self.fault(path, f"expected a whole number, got {kind_of(value)}")
        elif not -(1 << bits) <= number < 1 << bits:
            self.fault(path, f"expected a whole number below 2^{bits}, got {value}")
        else:
            return int(number)
        return 0

    def _boolean(self, value: Any, path: FieldPath) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            self.fault(path, f"expected true or false, got {kind_of(value)}")
        return bool(value)

    def _number(self, value: Any, path: FieldPath) -> float:
        number = _unquoted(value)
        if isinstance(number, bool) or not isinstance(number, (int, float, np.number)):
            self.fault(path, f"expected a number, got {kind_of(value)}")
        elif not math.isfinite(number):
            self.fault(path, "expected a finite number")
        else:
            return float(number)
        return 0.0

    def _bytes(self, value: Any, path: FieldPath) -> str:
        """Return bytes in base64, as in the JSON form."""
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            self.fault(path, f"expected bytes in base64, got {kind_of(value)}")
            return ""
        return value

    def _check_bytes(self, tensor: Mapping[str, Any], path: FieldPath) -> None:
        """Append a fault where a tensor has more or fewer bytes than its shape and dtype take."""
        dtype, shape = tensor.get("dtype", ""), tensor.get("shape", [])
        if dtype and dtype not in DTYPES:
            self.fault((*path, "dtype"), f"arrays of {dtype} can't be sent; {', '.join(DTYPES)} can")
        elif dtype:
            wanted, given = byte_count(dtype, shape), len(base64.b64decode(tensor.get("data", "")))
            if wanted != given:
                self.fault(path, f"{dtype} of shape {shape} takes {wanted} bytes, data has {given}")

    def _option(self, value: Any, path: FieldPath) -> Any:
        if isinstance(value, Mapping):
            return self.options(value, path)
        if isinstance(value, (list, tuple)):
            return [self._option(item, (*path, i)) for i, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            self.fault(path, "expected a finite number")
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
            self.fault(path, "whole numbers in options go up to 2^53; as text, in quotes, this one keeps all its digits")
        elif value is not None and not isinstance(value, (bool, int, float, str)):
            self.fault(path, f"expected plain data, got {kind_of(value)}")
        else:
            return self.option_text(value, path) if isinstance(value, str) else value
        return None


def former_names(descriptor: Any) -> dict[str, str]:
    """Return the names of a message's fields by the names that they had in the version before."""
    options = ((slot.name, slot.GetOptions().Extensions[schema_pb2.former_name]) for slot in descriptor.fields)
    return {former: name for name, former in options if former}


def kind_of(value: Any) -> str:
    """Return a value's description for messages, such as ``the number 3``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value:g}" if isinstance(value, float) else f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, Mapping):
        return "fields"
    return "a list" if isinstance(value, (list, tuple)) else type(value).__name__


def _spelled_out(data: Any, descriptor: Any) -> Any:
    """Return ``data`` as fields where it is a short form of the message, else unchanged."""
    if descriptor.full_name == _TENSOR.full_name and isinstance(data, np.ndarray):
        return tensor_fields(data)
    field = _short_form(descriptor)
    if field and isinstance(data, _BARE[field.cpp_type]) and not isinstance(data, bool):
        return {field.name: data}
    return data


def _short_form(descriptor: Any) -> Any:
    """Return the field that a bare value of the message stands for; None where the message has no short form."""
    return descriptor.fields_by_name.get(descriptor.GetOptions().Extensions[schema_pb2.short_form])


def _unquoted(value: Any) -> Any:
    """Return a number that is written in quotes, as the JSON form allows; any other value unchanged."""
    if isinstance(value, str):
        for kind in (lambda text: int(text, 0), float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def _names(descriptor: Any) -> list[str]:
    return [slot.name for slot in descriptor.fields]
