"""Job files: the YAML form of ``actmax.v1.JobSpec``, read into the message and written from it.

A job file is the message's JSON form with the names of ``job.proto``, in YAML, and five abbreviations: a component without options is
its name alone (``optimizer: protes``), transformations by a recipe are its name (``transformations: lucid``), a diverse set of so many
optima and so many replicas are their number (``diverse: 4``, ``replicas: 2``), and a list of one is its only item (``units:
lif_out[3]``). In options, ``file:cat.png`` stands for that picture, a path relative to the job file's folder; it becomes a data URI, so
that the job has the picture in it. A picture that is no PNG or JPEG of at most 4 MiB is made one, as it is displayed.
"""

from __future__ import annotations

import base64
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import FieldDescriptor

from actmax.v1 import job_pb2

from ..errors import FieldViolation, InvalidInput
from . import plain, plainyaml
from .overrides import Override, apply
from .plainyaml import Path as FieldPath
from .plainyaml import show

_COMPONENT = job_pb2.Component.DESCRIPTOR.full_name
_TRANSFORMATIONS = job_pb2.Transformations.DESCRIPTOR.full_name
_NUMBERED = {job_pb2.Diverse.DESCRIPTOR.full_name, job_pb2.Replicas.DESCRIPTOR.full_name}
_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
MAX_PICTURE_BYTES = 4 << 20
# Descriptors are of one class or another, by protobuf's implementation, so they are Any below.
_STRUCT = struct_pb2.Struct.DESCRIPTOR.full_name


class InvalidJobFile(InvalidInput):
    """A job that cannot be read; ``violations`` has one entry for each wrong field, with its line where it has one."""


@dataclass(frozen=True)
class JobFile:
    """A job and where each of its fields was given.

    Attributes
    ----------
    spec : JobSpec
        The job.
    lines : dict
        The line, counted from 1, of the value at each path.
    overridden : dict
        The override, as text, that each overridden path was given by.
    remarks : tuple of str
        What was decided about pictures that leave a choice, such as which frame of an animation is used.
    """

    spec: job_pb2.JobSpec
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    overridden: Mapping[FieldPath, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def located(self, error: InvalidInput) -> InvalidInput:
        """``error``, a server's about this job, in the file's fields, with its lines behind them."""
        violations = []
        for v in error.violations:
            here = v.field.removeprefix("spec.")  # the file is the spec, and `actmax run` says it the same way
            where = _where(plainyaml.read_path(here), self.lines, self.overridden)
            violations.append(FieldViolation(here, v.description + where))
        # Servers repeat the violations in the message; here they are told with their lines.
        repeated = violations and all(v.description in error.message for v in error.violations)
        message = "the job was refused" if repeated else error.message
        return InvalidInput(message, code=error.code, violations=violations, reason=error.reason)


def load(path: Path, overrides: Sequence[str] = ()) -> JobFile:
    """Read a job file.

    Parameters
    ----------
    path : Path
        The file, UTF-8, at most 1 MiB.
    overrides : sequence of str
        Changes such as ``optimizer.options.rank=8``, made before the job is checked.

    Raises
    ------
    InvalidJobFile
        If the file cannot be read, or its fields are not those of a job.
    """
    try:
        with path.open("rb") as file:
            data = file.read(plainyaml.MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidJobFile(f"{path} is not a job file: it is not UTF-8 text") from None
    except OSError as error:
        raise InvalidJobFile(f"cannot read the job file {path}: {error.strerror}") from None
    return loads(text, overrides, source=str(path), folder=path.parent)


def loads(text: str, overrides: Sequence[str] = (), *, source: str = "the job file", folder: Path | None = None) -> JobFile:
    """Read a job from the text of a job file; see :func:`load`. Its pictures are found from ``folder``, the working folder by default."""
    try:
        data, lines = plainyaml.parse(text)
    except plainyaml.YamlError as error:
        raise InvalidJobFile(f"{_at(source, error.line)}: {error.message}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InvalidJobFile(f"{source}: a job file holds fields such as 'generator: cifar10-vqvae', not {_kind(data)}")
    return _message(data, source, lines, [Override.parse(text) for text in overrides], folder)


def from_plain(data: Mapping[str, Any], *, source: str = "the job") -> job_pb2.JobSpec:
    """A job from plain data of a job file's form, its abbreviations included.

    Raises
    ------
    InvalidJobFile
        If its fields are not those of a job.
    """
    return _message(data, source, {}, []).spec


def to_plain(spec: job_pb2.JobSpec) -> dict[str, Any]:
    """A job as plain data; what is not set is left out, and integers are integers."""
    return plain.to_plain(spec, defaults=False)


def dumps(spec: job_pb2.JobSpec) -> str:
    """A job as the text of a job file."""
    return plainyaml.dump(to_plain(spec))


def _message(
    data: Mapping[str, Any], source: str, lines: Mapping[FieldPath, int], overrides: Iterable[Override], folder: Path | None = None
) -> JobFile:
    reader = _Reader(folder)
    job = reader.message(_spelled_out(data), job_pb2.JobSpec.DESCRIPTOR, ())
    overridden: dict[FieldPath, str] = {}
    for override in overrides:
        # Wrong fields are told as they stand in the file; only what an override brings in is told as its own.
        apply(override, job)
        overridden[override.path] = override.text
    if overridden:
        faults, reader = reader.faults, _Reader(folder)
        job = reader.message(_spelled_out(job), job_pb2.JobSpec.DESCRIPTOR, ())
        reader.faults = faults + reader.faults
    if reader.faults:
        raise InvalidJobFile(
            f"{source} has wrong fields",
            violations=[FieldViolation(show(path), text + _where(path, lines, overridden)) for path, text in reader.faults],
        )
    return JobFile(json_format.ParseDict(job, job_pb2.JobSpec()), lines, overridden, tuple(reader.remarks))


class _Reader:
    """Checks plain data against a message's fields, noting every fault instead of stopping at the first."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder or Path()
        self.faults: list[tuple[FieldPath, str]] = []
        self.remarks: list[str] = []

    def message(self, data: Any, descriptor: Any, path: FieldPath) -> dict[str, Any]:
        if descriptor.full_name == _STRUCT:
            return self._struct(data, path)
        if not isinstance(data, Mapping):
            self._fault(path, f"expected fields ({', '.join(_names(descriptor))}), got {_kind(data)}")
            return {}
        known: dict[str, Any] = {}
        for name, value in data.items():
            here = (*path, str(name))
            slot = descriptor.fields_by_name.get(name) if isinstance(name, str) else None
            if slot is None:
                self._fault(here, f"there is no such field{near(str(name), _names(descriptor))}")
            elif value is not None:
                if slot.is_repeated:
                    items = list(value) if isinstance(value, (list, tuple)) else [value]
                    known[slot.name] = [self._value(item, slot, (*here, i)) for i, item in enumerate(items)]
                else:
                    known[slot.name] = self._value(value, slot, here)
        return known

    def _value(self, value: Any, slot: Any, path: FieldPath) -> Any:
        if slot.message_type is not None:
            return self.message(value, slot.message_type, path)
        if slot.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_INT32):
            return self._integer(value, path, 63 if slot.cpp_type == FieldDescriptor.CPPTYPE_INT64 else 31)
        if slot.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
            return self._number(value, path)
        if slot.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return self._boolean(value, path)
        if isinstance(value, str):
            return value
        if isinstance(value, (bool, int, float)):
            self._fault(path, f'expected text, got {_kind(value)}; in quotes ("{value}") it is text')
        else:
            self._fault(path, f"expected text, got {_kind(value)}")
        return ""

    def _integer(self, value: Any, path: FieldPath, bits: int) -> int:
        number = _unquoted(value)
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if isinstance(number, bool) or not isinstance(number, int):
            self._fault(path, f"expected a whole number, got {_kind(value)}")
        elif not -(1 << bits) <= number < 1 << bits:
            self._fault(path, f"expected a whole number below 2^{bits}, got {value}")
        else:
            return number
        return 0

    def _boolean(self, value: Any, path: FieldPath) -> bool:
        if not isinstance(value, bool):
            self._fault(path, f"expected true or false, got {_kind(value)}")
        return value is True

    def _number(self, value: Any, path: FieldPath) -> float:
        number = _unquoted(value)
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            self._fault(path, f"expected a number, got {_kind(value)}")
        elif not math.isfinite(number):
            self._fault(path, "expected a finite number")
        else:
            return float(number)
        return 0.0

    def _struct(self, data: Any, path: FieldPath) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self._fault(path, f"expected fields, such as 'rank: 8', got {_kind(data)}")
            return {}
        return {str(name): self._free(value, (*path, str(name))) for name, value in data.items()}

    def _free(self, value: Any, path: FieldPath) -> Any:
        """A value of a component's options, whose meaning only the component knows."""
        if isinstance(value, Mapping):
            return self._struct(value, path)
        if isinstance(value, (list, tuple)):
            return [self._free(item, (*path, i)) for i, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            self._fault(path, "expected a finite number")
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > plain.EXACT:
            self._fault(path, "whole numbers in options go up to 2^53; as text, in quotes, this one keeps all its digits")
        elif value is not None and not isinstance(value, (bool, int, float, str)):
            self._fault(path, f"expected plain data, got {_kind(value)}")
        elif isinstance(value, str) and value.startswith("file:"):
            return self._picture(value.removeprefix("file:"), path)
        else:
            return value
        return None

    def _picture(self, name: str, path: FieldPath) -> str:
        """The picture of that name as a data URI: as it is where it is a small PNG or JPEG, else made one."""
        from actmax.models.pictures.decoding import FULL_PIXELS, stored_pixels  # Pillow
        from actmax.models.pictures.errors import UnreadablePicture
        from actmax.models.pictures.portable import PortablePicture, portable

        file, data = self.folder / name, b""
        try:
            if file.is_file():  # what isn't is named below; a pipe would be waited for
                with file.open("rb") as opened:
                    data = opened.read(MAX_PICTURE_BYTES + 1)
            kind = next((kind for magic, kind in _PICTURES.items() if data.startswith(magic)), None)
            small = len(data) <= MAX_PICTURE_BYTES and kind is not None and stored_pixels(data) <= FULL_PIXELS
            found = PortablePicture(f"image/{kind}", data) if small else portable(file, MAX_PICTURE_BYTES)
        except (OSError, ValueError) as error:
            why = error if isinstance(error, UnreadablePicture) else getattr(error, "strerror", None) or error
            self._fault(path, f"cannot read the picture {file}: {why}")
            return ""
        self.remarks += [f"{show(path)}: {file} ({remark})" for remark in found.remarks]
        return f"data:{found.media};base64,{base64.b64encode(found.content).decode()}"

    def _fault(self, path: FieldPath, text: str) -> None:
        self.faults.append((path, text))


def near(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the near names, or else all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are {', '.join(known)}"


def _spelled_out(data: Mapping[str, Any], descriptor: Any = job_pb2.JobSpec.DESCRIPTOR) -> dict[str, Any]:
    """``data`` with its abbreviations written out: a component's name, a recipe of transformations, a number of optima or replicas."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        slot = descriptor.fields_by_name.get(name) if isinstance(name, str) else None
        if slot is not None and slot.message_type is not None and slot.message_type.full_name == _TRANSFORMATIONS:
            value = {"preset": value} if isinstance(value, str) else value
            value = _spelled_out(value, slot.message_type) if isinstance(value, Mapping) else value
        elif slot is not None and slot.message_type is not None and slot.message_type.full_name == _COMPONENT:
            if isinstance(value, str):
                value = {"name": value}
            elif isinstance(value, (list, tuple)):
                value = [{"name": item} if isinstance(item, str) else item for item in value]
        elif slot is not None and slot.message_type is not None and slot.message_type.full_name in _NUMBERED:
            value = {"n": value} if isinstance(value, int) and not isinstance(value, bool) else value
        found[name] = value
    return found


def _unquoted(value: Any) -> Any:
    """A number that was written in quotes, as the JSON form allows."""
    return plainyaml.scalar(value.strip()) if isinstance(value, str) else value


def _names(descriptor: Any) -> list[str]:
    return [slot.name for slot in descriptor.fields]


def _kind(value: Any) -> str:
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


def _where(path: FieldPath, lines: Mapping[FieldPath, int], overridden: Mapping[FieldPath, str]) -> str:
    for length in range(len(path), 0, -1):
        if text := overridden.get(path[:length]):
            return f" (--set {text})"
    if path not in lines:
        for changed, text in overridden.items():
            if path and changed[: len(path)] == path:
                return f" (--set {text})"
    for length in range(len(path), 0, -1):
        if line := lines.get(path[:length]):
            return f" (line {line})"
    return ""


def _at(source: str, line: int) -> str:
    return f"{source}, line {line}" if line else source
