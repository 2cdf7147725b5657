"""The reference page of a job file's fields, generated from the schema that validates every job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from buf.validate import validate_pb2

from actmax.engine.spec import JobSpec
from actmax.v1 import job_pb2

from .options import option_table
from .wire import Comments

_BOUNDS = {
    "gte": "minimum",
    "gt": "exclusiveMinimum",
    "lte": "maximum",
    "max_len": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
}
_INTRODUCTION = """# Every field of a job

Made from the code. A component is a name, or a mapping of `name` and `options`: see
[generators](generators.md), [targets](targets.md), [objectives](objectives.md), [optimizers](optimizers.md),
[transformations](transformations.md) and [analyses](analyses.md). The same fields go over the wire as `actmax.v1.JobSpec`.

"""


def job_file_pages() -> Iterator[tuple[str, str]]:
    """Yield the file name and the Markdown text of the page."""
    schema = JobSpec.model_json_schema()
    _describe(schema, schema["$defs"], job_pb2.JobSpec.DESCRIPTOR, Comments())
    yield "reference/job-file.md", _INTRODUCTION + option_table(schema)


def _bounds(field: Any) -> dict[str, Any]:
    """Return the constraints of a field, by their names in JSON schema."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    kind = rules.WhichOneof("type")
    return {_BOUNDS[bound.name]: value for bound, value in getattr(rules, kind).ListFields() if bound.name in _BOUNDS} if kind else {}


def _describe(schema: dict[str, Any], shared: dict[str, Any], message: Any, comments: Comments) -> None:
    """Replace the fields' descriptions by the comments of the proto, which say more."""
    for name, field in schema["properties"].items():
        described = message.fields_by_name.get(name)
        if described is None:
            continue
        field["description"] = comments.of(described.full_name) or field.get("description", "")
        for kind in field.get("anyOf", [field]):
            if kind.get("type") != "null":
                kind |= _bounds(described)
            inner = shared.get(kind.get("$ref", "").rpartition("/")[2])
            if inner is not None and described.message_type is not None and "options" not in inner["properties"]:
                _describe(inner, shared, described.message_type, comments)
