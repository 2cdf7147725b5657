"""The base of the classes in ``spec.py`` and ``session/spec.py``: reads plain data and checks the constraints of the protos."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from buf.validate import validate_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from ..wire.reader import FieldPath, Reader, show
from ..wire.rules import violations
from .errors import InvalidJob, Violation


class Spec(BaseModel):
    """The fields of a message as Python values; ``proto`` is the message's class."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    proto: ClassVar[type[Message]]

    @classmethod
    def parse(cls, data: Mapping[str, Any], field: str = "") -> Self:
        """Return plain data in the form of a job file, short forms included, as Python values.

        Parameters
        ----------
        data : mapping
            Fields by name. A component's options may hold any objects.
        field : str
            Field that holds ``data``, for messages.

        Raises
        ------
        InvalidJob
            With one violation for each wrong field, by its path.
        """
        reader = _PythonReader()
        read = reader.message(data, cls.proto.DESCRIPTOR)
        found = [(show(path), text) for path, text in reader.faults]
        unread = [path for path, _ in found]  # fields around or below an unread value are not checked further
        checked = violations(ParseDict(read, cls.proto()))
        found += [(path, text) for path, text in checked if not any(_holds(path, other) or _holds(other, path) for other in unread)]
        for remark in reader.remarks:
            warnings.warn(remark, FutureWarning, stacklevel=3)
        if found:
            raise InvalidJob([Violation(".".join(filter(None, (field, path))), text) for path, text in found])
        for path, options in reader.kept:
            place: Any = read
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = options
        return cls.model_validate(read)


class _PythonReader(Reader):
    """Reads data from Python: keeps options, which may hold any objects, and refuses zeros, since absent values are left out or None."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[FieldPath, dict[str, Any]]] = []

    def options(self, data: Any, path: FieldPath) -> dict[str, Any]:
        if isinstance(data, Mapping):
            self.kept.append((path, dict(data)))
            return {}
        return super().options(data, path)

    def value(self, value: Any, slot: Any, path: FieldPath) -> Any:
        before = len(self.faults)
        found = super().value(value, slot, path)
        rules = slot.GetOptions().Extensions[validate_pb2.field]
        if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE and found in (0, "") and len(self.faults) == before:
            bounds = getattr(rules, rules.WhichOneof("type"))
            least = [f"than {word}{getattr(bounds, name):g}" for name, word in (("gte", "or equal to "), ("gt", "")) if _has(bounds, name)]
            self.fault(path, f"must be greater {least[0]}" if least else "must not be empty")
        return found


def _holds(path: str, other: str) -> bool:
    """Return whether ``other`` is ``path`` itself, or lies below it."""
    return not path or other == path or other.startswith((f"{path}.", f"{path}["))


def _has(bounds: Message, name: str) -> bool:
    return name in bounds.DESCRIPTOR.fields_by_name and bounds.HasField(name)


def short(prefix: str) -> BeforeValidator:
    """Return a validator that accepts an enum's value by its name in the proto, without ``prefix`` and in lower case."""
    return BeforeValidator(lambda value: value.removeprefix(prefix).lower() if isinstance(value, str) else value)


def violations_of(error: ValidationError, prefix: str) -> list[Violation]:
    """Return pydantic's errors as violations, with fields below ``prefix``."""
    found: list[Violation] = []
    for item in error.errors():
        path = prefix
        for part in item["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "there is no such field"
        found.append(Violation(path, message))
    return found
