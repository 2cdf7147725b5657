"""Sessions as plain data: the JSON form of ``actmax.v1.SessionSpec`` with the names of the proto, and short forms."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import json_format

from actmax.v1 import session_pb2

from ..arrays import to_tensor
from ..errors import FieldViolation, InvalidInput
from ..jobs.jobfile import near


def from_plain(data: Mapping[str, Any]) -> session_pb2.SessionSpec:
    """A session from plain data.

    A component without options may be its name alone (``generator: cifar10-sngan``), a unit its name (a spike count), kinds and encodings
    their last part (``kind: rate``, ``encoding: png``), and reference stimuli and the latents of a warm start an array.

    Raises
    ------
    InvalidInput
        If its fields are not those of a session.
    """
    plain: dict[str, Any] = dict(data)
    for name in ("generator", "objective", "optimizer"):
        if isinstance(plain.get(name), str):
            plain[name] = {"name": plain[name]}
    if isinstance(plain.get("units"), (list, tuple)):
        plain["units"] = [{"name": unit} if isinstance(unit, str) else _long(unit, "kind", "RESPONSE_KIND_") for unit in plain["units"]]
    if isinstance(plain.get("presentation"), Mapping):
        plain["presentation"] = _long(plain["presentation"], "encoding", "STIMULUS_ENCODING_")
    design = plain.get("design")
    references = design.get("references") if isinstance(design, Mapping) else None
    if isinstance(design, Mapping) and isinstance(references, Mapping) and isinstance(references.get("stimuli"), np.ndarray):
        plain["design"] = {**design, "references": {**references, "stimuli": _array(references["stimuli"])}}
    warm = plain.get("warm_start")
    if isinstance(warm, Mapping) and isinstance(warm.get("latents"), np.ndarray):
        plain["warm_start"] = {**warm, "latents": _array(warm["latents"])}
    if isinstance(plain.get("threads"), (list, tuple)):
        plain["threads"] = [_named(thread) for thread in plain["threads"]]
    if unknown := _unknown(plain, session_pb2.SessionSpec.DESCRIPTOR, ""):
        raise InvalidInput("the session cannot be read", violations=unknown)
    try:
        return json_format.ParseDict(plain, session_pb2.SessionSpec())
    except (json_format.ParseError, TypeError, ValueError) as error:
        what = str(error).removeprefix("Failed to parse ")
        raise InvalidInput("the session cannot be read", violations=[FieldViolation("", what)]) from None


def _unknown(data: Mapping[str, Any], descriptor: Any, path: str) -> list[FieldViolation]:
    """The names in ``data`` that are no fields of the message, at any depth."""
    found: list[FieldViolation] = []
    for name, value in data.items():
        slot = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
        if slot is None:
            found.append(FieldViolation(f"{path}{name}", "there is no such field" + near(str(name), descriptor.fields_by_name)))
            continue
        inner = slot.message_type
        if inner is None or inner.file.package.startswith("google."):  # a number or a text, or options of any names
            continue
        parts = enumerate(value) if isinstance(value, (list, tuple)) else [(-1, value)]
        for at, part in parts:
            if isinstance(part, Mapping):
                found += _unknown(part, inner, f"{path}{name}{f'[{at}]' if at >= 0 else ''}.")
    return found


def _array(values: np.ndarray) -> dict[str, Any]:
    tensor = to_tensor(values)
    return {"dtype": tensor.dtype, "shape": list(tensor.shape), "data": base64.b64encode(tensor.data).decode()}


def _named(thread: Any) -> Any:
    if not isinstance(thread, Mapping):
        return thread
    return dict(thread) | {name: {"name": thread[name]} for name in ("objective", "optimizer") if isinstance(thread.get(name), str)}


def _long(value: Any, field: str, prefix: str) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get(field), str) and not value[field].startswith(prefix):
        return {**value, field: prefix + value[field].upper()}
    return value
