"""Writes ``engine/spec.py`` and ``engine/session/spec.py``: the messages of a job and of a session as Python classes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor

from actmax.v1 import job_pb2, schema_pb2, session_pb2
from docs.site_pages.wire import Comments

ROOT = Path(__file__).parents[1]
WIDTH = 140
HEADER = '''"""{what} as Python classes, after ``protos/actmax/v1/{stem}.proto``; ``make protos`` writes this file."""

from __future__ import annotations

from typing import {typing}

from google.protobuf.message import Message
from pydantic import Field

from actmax.v1 import {stem}_pb2

{imports}
'''
_SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: (bool, False),
    FieldDescriptor.CPPTYPE_DOUBLE: (float, 0.0),
    FieldDescriptor.CPPTYPE_INT32: (int, 0),
    FieldDescriptor.CPPTYPE_INT64: (int, 0),
    FieldDescriptor.CPPTYPE_STRING: (str, ""),
}


def sources() -> dict[str, str]:
    """Return the text of each generated file by its path below the repository's root."""
    job = _needed(job_pb2.JobSpec.DESCRIPTOR)
    imported = [message for message in _needed(session_pb2.SessionSpec.DESCRIPTOR) if message in job]
    names = ", ".join(sorted(map(_class_name, imported)))
    return {
        "engine/spec.py": _source("Jobs", "job", job, ["from .schema import Spec"]),
        "engine/session/spec.py": _source(
            "Sessions",
            "session",
            [message for message in _needed(session_pb2.SessionSpec.DESCRIPTOR) if message not in job],
            ["from ..schema import Spec, short", f"from ..spec import {names}"],
        ),
    }


def _needed(message: Any) -> list[Any]:
    """Return the message and the messages of its fields, at any depth, in the order of their files."""
    found: dict[str, Any] = {}
    waiting = [message]
    while waiting:
        each = waiting.pop()
        if each.full_name not in found and each.file.package == "actmax.v1":
            found[each.full_name] = each
            waiting += [field.message_type for field in each.fields if field.message_type is not None]
    files = {each.file.name: each.file for each in found.values()}
    return [each for name in sorted(files) for each in files[name].message_types_by_name.values() if each.full_name in found]


def _source(what: str, stem: str, messages: Iterable[Any], imports: list[str]) -> str:
    comments = Comments()
    body = "\n\n".join(_class(message, comments) for message in messages)
    typing = ", ".join(name for name in ("Annotated", "Any", "ClassVar", "Literal") if f"{name}" in body)
    return HEADER.format(what=what, stem=stem, typing=typing, imports="\n".join(imports)) + "\n\n" + body


def _class(message: Any, comments: Comments) -> str:
    stem = message.file.name.rpartition("/")[2].removesuffix(".proto")
    lines = [f"class {_class_name(message)}(Spec):", *_docstring(comments.of(message.full_name)), ""]
    lines.append(f"    proto: ClassVar[type[Message]] = {stem}_pb2.{message.name}")
    for field in message.fields:
        lines.append(f"    {field.name}: {_typed(field)}")
        lines += _docstring(comments.of(field.full_name))
    return "\n".join(lines) + "\n"


def _class_name(message: Any) -> str:
    return message.name if message.name.endswith("Spec") else f"{message.name}Spec"


def _typed(field: Any) -> str:
    """Return a field's annotation, with its default if it has one."""
    rules, default = field.GetOptions().Extensions[validate_pb2.field], field.GetOptions().Extensions[schema_pb2.default_value]
    kind = _kind(field, rules)
    if field.is_repeated:
        return f"list[{kind}]" + ("" if rules.repeated.min_items else " = Field(default_factory=list)")
    if kind.startswith("dict"):
        return f"{kind} = Field(default_factory=dict)"
    if rules.required:
        return kind
    if default == "null" or (not default and field.has_presence):
        return f"{kind} | None = None"
    if field.message_type is not None:
        return f"{kind} = {kind}()" if default == "{}" else f'{kind} = {kind}(name="{default}")'
    if field.enum_type is not None or field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return f'{kind} = "{default}"'
    made, zero = _SCALARS[field.cpp_type]
    return f"{kind} = {made(json.loads(default)) if default else zero!r}"


def _kind(field: Any, rules: Any) -> str:
    if field.message_type is not None:
        is_struct = field.message_type.full_name == struct_pb2.Struct.DESCRIPTOR.full_name
        return "dict[str, Any]" if is_struct else _class_name(field.message_type)
    if field.enum_type is not None:
        first, *others = field.enum_type.values
        prefix = first.name.removesuffix("UNSPECIFIED")
        return f'Annotated[Literal[{_listed(value.name.removeprefix(prefix).lower() for value in others)}], short("{prefix}")]'
    permitted = getattr(rules.string, "in")
    return f"Literal[{_listed(permitted)}]" if permitted else _SCALARS[field.cpp_type][0].__name__


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _docstring(text: str) -> list[str]:
    if not text:
        return []
    room = WIDTH - len('    """')
    lines = textwrap.wrap(text, room if len(text) > room - 3 else room - 3, break_on_hyphens=False)
    lines[-1] += '"""'
    return [f'    """{lines[0]}', *(f"    {line}" for line in lines[1:])]


if __name__ == "__main__":
    for path, text in sources().items():
        (ROOT / path).write_text(text, encoding="utf-8")
