"""Fields of a JSON schema as rows of a table: name, type, default, bounds, meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .tables import code, table

HEADS = ("field", "type", "default", "meaning")
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)


def option_table(schema: Mapping[str, Any]) -> str:
    """Return a table of the fields of a JSON schema, nested ones by their path."""
    return table(HEADS, _rows(schema, schema.get("$defs", {}), ""))


def _rows(schema: Mapping[str, Any], shared: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in schema.get("properties", {}).items():
        kinds = [_resolved(kind, shared) for kind in field.get("anyOf", field.get("allOf", [field]))]
        kinds = [kind for kind in kinds if kind.get("type") != "null"]
        bounds = ", ".join(text.format(kind[key]) for kind in kinds for key, text in _BOUNDS if key in kind)
        default = "" if name in schema.get("required", ()) else _default(field.get("default"))
        meaning = field.get("description", "")
        shown = " or ".join(dict.fromkeys(_type(kind, shared) for kind in kinds))
        yield code(prefix + name), shown + (f"; {bounds}" if bounds else ""), default, meaning
        for kind in kinds:
            if kind.get("properties") and "options" not in kind["properties"]:
                yield from _rows(kind, shared, f"{prefix}{name}.")


def _resolved(kind: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = kind.get("$ref")
    return kind if reference is None else {**shared[reference.rpartition("/")[2]], **{k: v for k, v in kind.items() if k != "$ref"}}


def _type(kind: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return " or ".join(code(value) for value in kind["enum"])
    if "const" in kind:
        return code(kind["const"])
    if kind.get("type") == "array":
        item = _resolved(kind.get("items", {}), shared)
        return f"list of {_type(item, shared)}"
    if kind.get("type") == "object":
        return "component" if "options" in kind.get("properties", {}) else "mapping"
    return {"integer": "int", "number": "float", "string": "str", "boolean": "bool"}.get(str(kind.get("type")), "any")


def _default(value: Any) -> str:
    if isinstance(value, Mapping):
        return code(value.get("name", ""))
    if value is None or value in ("", []):
        return ""
    return code(str(value).lower() if isinstance(value, bool) else value)
