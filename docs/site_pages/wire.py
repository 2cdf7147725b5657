"""The reference pages of the wire: services, messages and enumerations with the comments of their ``.proto`` files."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

from .tables import code, table

PROTOS = Path(__file__).parents[2] / "protos"
FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in FIELD.Type.items()}
_REPEATED = FIELD.LABEL_REPEATED


@cache
def _files() -> list[descriptor_pb2.FileDescriptorProto]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        sources = [str(path.relative_to(PROTOS)) for path in sorted((PROTOS / "actmax/v1").glob("*.proto"))]
        options = [f"-I{PROTOS}", "--include_source_info", f"--descriptor_set_out={out}"]
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *sources], check=True)
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


class Comments:
    """The comment above each service, method, message, field and value, by full name."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}
        for file in _files():
            told = {tuple(location.path): location.leading_comments for location in file.source_code_info.location}
            for path, name in _names(file):
                self._by_name[f"{file.package}.{name}"] = " ".join(told.get(path, "").split())

    def of(self, name: str) -> str:
        """Return the comment above the element ``name``; empty if there is none."""
        return self._by_name.get(name, "")


def _names(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for number, service in enumerate(file.service):
        yield (6, number), service.name
        for inner, method in enumerate(service.method):
            yield (6, number, 2, inner), f"{service.name}.{method.name}"
    for number, message in enumerate(file.message_type):
        yield from _within((4, number), message.name, message)
    for number, enum in enumerate(file.enum_type):
        yield (5, number), enum.name
        for inner, value in enumerate(enum.value):
            yield (5, number, 2, inner), f"{enum.name}.{value.name}"


def _within(path: tuple[int, ...], name: str, message: descriptor_pb2.DescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    for number, field in enumerate(message.field):
        yield (*path, 2, number), f"{name}.{field.name}"
    for number, nested in enumerate(message.nested_type):
        yield from _within((*path, 3, number), f"{name}.{nested.name}", nested)


def wire_pages() -> Iterator[tuple[str, str]]:
    """Yield the file name and the Markdown text of one page for each ``.proto`` file."""
    comments = Comments()
    homes = {
        f"{file.package}.{message.name}": Path(file.name).stem for file in _files() for message in (*file.message_type, *file.enum_type)
    }
    for file in _files():
        stem = Path(file.name).stem
        parts = [
            f"# `{file.name}`\n\nMade from the `.proto` file. Constraints that the server checks stand there as `buf.validate` options.\n"
        ]
        for service in file.service:
            rows = [(code(m.name), _call(m, homes), comments.of(f"{file.package}.{service.name}.{m.name}")) for m in service.method]
            about = comments.of(f"{file.package}.{service.name}")
            methods = table(("method", "request → response", "what it does"), rows)
            parts.append(f"## Service {service.name} {{#{service.name}}}\n\n{about}\n\n{methods}")
        for message in file.message_type:
            parts += _message(f"{file.package}.{message.name}", message.name, message, comments, homes)
        for enum in file.enum_type:
            rows = [(code(value.name), comments.of(f"{file.package}.{enum.name}.{value.name}")) for value in enum.value]
            about = comments.of(f"{file.package}.{enum.name}")
            parts.append(f"## {enum.name} {{#{enum.name}}}\n\n{about}\n\n{table(('value', 'meaning'), rows)}")
        yield f"reference/wire/{stem}.md", "\n".join(parts)


def _message(full: str, shown: str, message: descriptor_pb2.DescriptorProto, comments: Comments, homes: dict[str, str]) -> Iterator[str]:
    rows = [(code(field.name), _type(field, homes), comments.of(f"{full}.{field.name}")) for field in message.field]
    yield f"## {shown} {{#{shown}}}\n\n{comments.of(full)}\n\n{table(('field', 'type', 'meaning'), rows)}"
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from _message(f"{full}.{nested.name}", f"{shown}.{nested.name}", nested, comments, homes)


def _call(method: Any, homes: dict[str, str]) -> str:
    asked, answered = _link(method.input_type, homes), _link(method.output_type, homes)
    return f"{'stream of ' * method.client_streaming}{asked} → {'stream of ' * method.server_streaming}{answered}"


def _type(field: descriptor_pb2.FieldDescriptorProto, homes: dict[str, str]) -> str:
    name = _link(field.type_name, homes) if field.type_name else code(_SCALARS[field.type])
    return ("list of " if field.label == _REPEATED else "optional " if field.proto3_optional else "") + name


def _link(full: str, homes: dict[str, str]) -> str:
    full = full.lstrip(".")
    top = re.match(r"actmax\.v1\.(\w+)", full)
    if not top or top[0] not in homes:
        return code(full)
    shown = full.removeprefix("actmax.v1.")
    return f"[{shown}]({homes[top[0]]}.md#{shown})"
