"""Fields of a JSON schema as rows of a table: name, type, default, bounds, meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from actmax.client.schema_words import alternatives, type_in_words

from .tables import code, table

HEADS = ("field", "type", "default", "meaning")


def option_table(schema: Mapping[str, Any]) -> str:
    """Return a Markdown table of the fields of a JSON schema, nested fields by their path."""
    return table(HEADS, _rows(schema, schema.get("$defs", {}), ""))


def _rows(schema: Mapping[str, Any], shared: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in schema.get("properties", {}).items():
        default = "" if name in schema.get("required", ()) else _default(field.get("default"))
        meaning = field.get("description", "")
        yield code(prefix + name), type_in_words(field, shared, code), default, meaning
        for kind in alternatives(field, shared):
            if kind.get("properties") and "options" not in kind["properties"]:
                yield from _rows(kind, shared, f"{prefix}{name}.")


def _default(value: Any) -> str:
    if isinstance(value, Mapping):
        return code(value.get("name", ""))
    if value is None or value in ("", []):
        return ""
    return code(str(value).lower() if isinstance(value, bool) else value)
