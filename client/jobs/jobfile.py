"""Job files and session files: the YAML form of ``actmax.v1.JobSpec`` and ``SessionSpec``, read into the message and written from it.

A file is the message's JSON form with the names of its proto, in YAML, and the short forms of :class:`actmax.wire.reader.Reader`: a
component without options is its name alone (``optimizer: protes``), transformations by a recipe are its name (``transformations: lucid``),
a diverse set of so many optima and so many replicas are their number (``diverse: 4``, ``replicas: 2``), and a list of one is its only item
(``units: lif_out[3]``). In options, ``file:cat.png`` stands for that picture, a path relative to the file's folder; it becomes a data URI,
so that the job has the picture in it. A picture that is no PNG or JPEG of at most 4 MiB is made one, as it is displayed.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from actmax.v1 import job_pb2

from ...wire import writer
from ...wire.errors import FieldViolation, InvalidInput
from ...wire.reader import FieldPath, Reader, kind_of, show
from . import plainyaml
from .overrides import Override, apply

Spec = TypeVar("Spec", bound=Message)

_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
MAX_PICTURE_BYTES = 4 << 20


class InvalidJobFile(InvalidInput):
    """A job or session that can't be read; ``violations`` has one entry for each wrong field, with its line if it has one."""


@dataclass(frozen=True)
class SpecFile(Generic[Spec]):
    """A job or session, and the origin of each of its fields.

    Attributes
    ----------
    spec : JobSpec or SessionSpec
        The job or session.
    lines : dict
        Line of the value at each path, counted from 1.
    overridden : dict
        The override, as text, of each overridden path.
    remarks : tuple of str
        Choices made while reading pictures, such as which frame of an animation is used.
    what : str
        "job" or "session".
    """

    spec: Spec
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    overridden: Mapping[FieldPath, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    what: str = "job"

    def located(self, error: InvalidInput) -> InvalidInput:
        """Return a server's ``error`` about this file with the file's field names and lines."""
        violations = []
        for v in error.violations:
            here = v.field.removeprefix("spec.")  # the file is the spec, and `actmax run` says it the same way
            where = _where(plainyaml.read_path(here), self.lines, self.overridden)
            violations.append(FieldViolation(here, v.description + where))
        # Servers repeat the violations in the message; here they are listed with their lines.
        repeated = violations and all(v.description in error.message for v in error.violations)
        message = f"the {self.what} was refused" if repeated else error.message
        return InvalidInput(message, code=error.code, violations=violations, reason=error.reason)


JobFile = SpecFile[job_pb2.JobSpec]


@dataclass(frozen=True)
class FileFormat(Generic[Spec]):
    """Reads job files, or session files.

    Parameters
    ----------
    what : str
        "job" or "session", for messages.
    message : type
        Message class of the file's content.
    """

    what: str
    message: type[Spec]

    def load(self, path: Path, overrides: Sequence[str] = ()) -> SpecFile[Spec]:
        """Return the content of a file.

        Parameters
        ----------
        path : Path
            The file, UTF-8, at most 1 MiB.
        overrides : sequence of str
            Changes such as ``optimizer.options.rank=8``, made before the fields are validated.

        Raises
        ------
        InvalidJobFile
            If the file cannot be read, or its fields are not those of a job or session.
        """
        try:
            with path.open("rb") as file:
                data = file.read(plainyaml.MAX_BYTES + 1)
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidJobFile(f"{path} is not a {self.what} file: it is not UTF-8 text") from None
        except OSError as error:
            raise InvalidJobFile(f"cannot read the {self.what} file {path}: {error.strerror}") from None
        return self.loads(text, overrides, source=str(path), folder=path.parent)

    def loads(self, text: str, overrides: Sequence[str] = (), *, source: str = "", folder: Path | None = None) -> SpecFile[Spec]:
        """Return the content of a file's text; see :meth:`load`.

        Parameters
        ----------
        text : str
            The text.
        overrides : sequence of str
            Changes, see :meth:`load`.
        source : str
            Name of the file, for messages.
        folder : Path or None
            Folder that paths of pictures are relative to; the working folder if None.

        Raises
        ------
        InvalidJobFile
            See :meth:`load`.
        """
        source = source or f"the {self.what} file"
        try:
            data, lines = plainyaml.parse(text)
        except plainyaml.YamlError as error:
            raise InvalidJobFile(f"{_at(source, error.line)}: {error.message}") from None
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise InvalidJobFile(f"{source}: a {self.what} file holds fields such as 'generator: cifar10-vqvae', not {kind_of(data)}")
        return self._read(data, source, lines, [Override.parse(text) for text in overrides], folder)

    def from_plain(self, data: Mapping[str, Any], *, source: str = "") -> Spec:
        """Return plain data in the form of a file, short forms included, as a message.

        Raises
        ------
        InvalidJobFile
            If its fields are not those of a job or session.
        """
        return self._read(data, source or f"the {self.what}", {}, []).spec

    def _read(
        self,
        data: Mapping[str, Any],
        source: str,
        lines: Mapping[FieldPath, int],
        overrides: Iterable[Override],
        folder: Path | None = None,
    ) -> SpecFile[Spec]:
        reader = _FileReader(folder)
        read = reader.message(data, self.message.DESCRIPTOR)
        overridden: dict[FieldPath, str] = {}
        for override in overrides:
            # Wrong fields of the file are reported with their lines, those of an override with the override.
            apply(override, read)
            overridden[override.path] = override.text
        if overridden:
            before, reader = reader, _FileReader(folder)
            read = reader.message(read, self.message.DESCRIPTOR)
            reader.faults, reader.remarks = before.faults + reader.faults, before.remarks + reader.remarks
        if reader.faults:
            raise InvalidJobFile(
                f"{source} has wrong fields",
                violations=[FieldViolation(show(path), text + _where(path, lines, overridden)) for path, text in reader.faults],
            )
        return SpecFile(json_format.ParseDict(read, self.message()), lines, overridden, tuple(reader.remarks), self.what)


_JOBS = FileFormat("job", job_pb2.JobSpec)
load, loads, from_plain = _JOBS.load, _JOBS.loads, _JOBS.from_plain


def to_plain(spec: Message) -> dict[str, Any]:
    """Return a job or session as plain data; unset fields are left out, and integers are integers."""
    return writer.to_plain(spec, defaults=False)


def dumps(spec: Message) -> str:
    """Return a job or session as the text of a file."""
    return plainyaml.dump(to_plain(spec))


class _FileReader(Reader):
    """Reads a file's data; pictures named in options become data URIs."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.folder = folder or Path()

    def option_text(self, value: str, path: FieldPath) -> str:
        return self._picture(value.removeprefix("file:"), path) if value.startswith("file:") else value

    def _picture(self, name: str, path: FieldPath) -> str:
        """Return the picture of that name as a data URI: unchanged if it is a small PNG or JPEG, else converted."""
        from actmax.models.pictures.decoding import FULL_PIXELS, stored_pixels  # Pillow
        from actmax.models.pictures.errors import UnreadablePicture
        from actmax.models.pictures.portable import PortablePicture, portable

        file, data = self.folder / name, b""
        try:
            if file.is_file():  # other paths fail below; reading a pipe would block
                with file.open("rb") as opened:
                    data = opened.read(MAX_PICTURE_BYTES + 1)
            kind = next((kind for magic, kind in _PICTURES.items() if data.startswith(magic)), None)
            small = len(data) <= MAX_PICTURE_BYTES and kind is not None and stored_pixels(data) <= FULL_PIXELS
            found = PortablePicture(f"image/{kind}", data) if small else portable(file, MAX_PICTURE_BYTES)
        except (OSError, ValueError) as error:
            why = error if isinstance(error, UnreadablePicture) else getattr(error, "strerror", None) or error
            self.fault(path, f"cannot read the picture {file}: {why}")
            return ""
        self.remarks += [f"{show(path)}: {file} ({remark})" for remark in found.remarks]
        return f"data:{found.media};base64,{base64.b64encode(found.content).decode()}"


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
