"""Fields of a JSON schema in words: their types, bounds and allowed values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_TYPES = {"integer": "int", "number": "float", "string": "str", "boolean": "bool"}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


def alternatives(field: Mapping[str, Any], shared: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the schemas of a field's possible values except null, with references into ``shared`` (a schema's ``$defs``) resolved."""
    kinds = [_resolved(kind, shared) for kind in field.get("anyOf", field.get("allOf", [field]))]
    return [kind for kind in kinds if kind.get("type") != "null"]


def type_in_words(field: Mapping[str, Any], shared: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """Return a field's type and bounds: ``int; at least 1``.

    Parameters
    ----------
    field : mapping of str to object
        Schema of the field.
    shared : mapping of str to object
        The schema's ``$defs``.
    quote : callable
        Marks up an allowed value.
    """
    kinds = alternatives(field, shared)
    types = " or ".join(dict.fromkeys(_type(kind, shared, quote) for kind in kinds))
    bounds = ", ".join(text.format(kind[key]) for kind in kinds for key, text in _BOUNDS.items() if key in kind)
    return f"{types}; {bounds}" if bounds else types


def value_in_words(value: Any) -> str:
    """Return a value in the form of a job file: text unchanged, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _type(kind: Mapping[str, Any], shared: Mapping[str, Any], quote: Callable[[str], str]) -> str:
    values = kind.get("enum", [kind["const"]] if "const" in kind else [])
    if values:
        return " or ".join(quote(value_in_words(value)) for value in values)
    if kind.get("type") == "array":
        return f"list of {_type(_resolved(kind.get('items', {}), shared), shared, quote)}"
    if kind.get("type") == "object":
        return "component" if "options" in kind.get("properties", {}) else "mapping"
    return _TYPES.get(str(kind.get("type")), "any")


def _resolved(kind: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = kind.get("$ref")
    return kind if reference is None else {**shared[reference.rpartition("/")[2]], **{k: v for k, v in kind.items() if k != "$ref"}}
