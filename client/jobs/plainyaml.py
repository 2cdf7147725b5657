"""The part of YAML that is plain data: YAML 1.2's core scalars, no anchors, no tags, with the line of every value.

PyYAML's own loaders read YAML 1.1, in which ``no`` is false, ``012`` is ten, ``1:30`` is ninety and ``1e3`` is text. They also
expand aliases, so that a small file can fill the memory. Here PyYAML only splits the text into events.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from ...wire.reader import FieldPath, show

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"
_EVENTS = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_STEP = re.compile(r"\.?([^.\[\]=\s]+)|\[([0-9]{1,6})\]")
_NAMED = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class YamlError(ValueError):
    """Text that can't be read; ``line`` counts from 1 and is 0 if unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        self.message = message
        self.line = line
        super().__init__(f"line {line}: {message}" if line else message)


def read_path(text: str) -> FieldPath:
    """Return the path that :func:`show` writes as ``text``; empty if ``text`` is no path."""
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None or (step[0].startswith(".") != bool(parts) and step[1] is not None):
            return ()
        parts.append(step[1] if step[1] is not None else int(step[2]))
        position = step.end()
    return tuple(parts)


def scalar(text: str) -> bool | int | float | str | None:
    """Return the value of an unquoted scalar; ``1e3`` is a number, ``no`` is text."""
    if text in _NAMED:
        return _NAMED[text]
    if _INTEGER.fullmatch(text) and not text.endswith("_"):
        return int(text) if len(text) < 100 else float(text.replace("_", ""))
    if _BASED.fullmatch(text):
        return int(text, 0) if len(text) < 100 else text
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    return text


def parse(text: str) -> tuple[Any, dict[FieldPath, int]]:
    """Return the value of one YAML document, and the lines of its parts.

    Parameters
    ----------
    text : str
        At most ``MAX_BYTES`` of it.

    Returns
    -------
    value : dict, list, str, int, float, bool or None
        The document; None if it is empty.
    lines : dict
        The line, counted from 1, at which the value at each path begins.

    Raises
    ------
    YamlError
        For text that is not YAML, and for anchors, tags, repeated keys, keys that are no text, more than one document, and
        nesting beyond ``MAX_DEPTH``.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise YamlError(f"the text is larger than {MAX_BYTES // 1024} KiB")
    lines: dict[FieldPath, int] = {}
    try:
        events = (e for e in yaml.parse(text, Loader=_EVENTS) if not isinstance(e, (yaml.StreamStartEvent, yaml.DocumentEndEvent)))
        if not isinstance(next(events), yaml.DocumentStartEvent):
            return None, lines
        value = _value(next(events), events, (), lines)
        if isinstance(extra := next(events), yaml.DocumentStartEvent):
            raise YamlError("there is a second document; one file holds one", _line(extra))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        if mark and _open_brackets(text[: mark.index]) > MAX_DEPTH:  # PyYAML reads ahead, and has its own limit
            raise YamlError(_TOO_DEEP, line) from None
        raise YamlError(_explained(error, text), line) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlError(f"not readable as YAML: {str(error).splitlines()[0]}") from None
    return value, lines


def dump(value: Any) -> str:
    """Return plain data as YAML that :func:`parse` reads back unchanged."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)


def _value(event: yaml.Event, events: Iterator[yaml.Event], path: FieldPath, lines: dict[FieldPath, int]) -> Any:
    line = _line(event)
    if isinstance(event, yaml.AliasEvent):
        raise YamlError(f"aliases such as *{event.anchor} are not taken; if this is a unit's address, quote it", line)
    if not isinstance(event, (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)):
        raise YamlError("not readable as YAML", line)
    if event.anchor is not None:
        raise YamlError(f"anchors such as &{event.anchor} are not taken", line)
    if event.tag is not None:
        raise YamlError(f"tags such as {event.tag} are not taken; only plain data is", line)
    if len(path) > MAX_DEPTH:
        raise YamlError(_TOO_DEEP, line)
    lines[path] = line
    if isinstance(event, yaml.ScalarEvent):
        # The first of `implicit` says that the scalar is plain, i.e. not quoted.
        return scalar(event.value) if event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(event, events, (*path, len(items)), lines))
        return items
    fields: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise YamlError("a key has to be text", _line(event))
        if event.value == "<<" and event.implicit[0]:
            raise YamlError("merge keys (<<) are not taken", _line(event))
        if event.anchor is not None or event.tag is not None:
            raise YamlError("anchors and tags are not taken", _line(event))
        key, key_line = event.value, _line(event)
        if key in fields:
            raise YamlError(f"{show((*path, key))} is given twice, first on line {lines[(*path, key)]}", key_line)
        fields[key] = _value(next(events), events, (*path, key), lines)
        lines[(*path, key)] = key_line
    return fields


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _open_brackets(text: str) -> int:
    """Return the number of brackets of flow sequences and mappings that are open at the end of ``text``."""
    return sum(text.count(bracket) for bracket in "[{") - sum(text.count(bracket) for bracket in "]}")


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    problem = f"not readable as YAML: {error.problem or error.context}"
    mark = error.problem_mark or error.context_mark
    source = text.splitlines()
    if mark and mark.line < len(source):
        shown = source[mark.line]
        if "\t" in shown[: len(shown) - len(shown.lstrip())]:
            return f"{problem} (indent with spaces, not tabs)"
        if re.search(r"[\[,]\s*[\w.]+\[", shown):
            return f'{problem} (inside [ ] quote a unit\'s address: ["lif_out[3]"])'
    return problem


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.2 would read as another type."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: repeated values are written in full, since :func:`parse` refuses aliases."""
        return True


def _represent_text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    plain = data.isprintable() and isinstance(scalar(data), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=None if plain else '"')


def _represent_float(dumper: yaml.SafeDumper, data: float) -> yaml.ScalarNode:
    named = {float("inf"): ".inf", float("-inf"): "-.inf"}
    text = ".nan" if math.isnan(data) else named.get(data) or repr(data)
    if "." not in text:
        text = text.replace("e", ".0e")  # the form of YAML 1.1, which PyYAML's emitter expects
    return dumper.represent_scalar("tag:yaml.org,2002:float", text, style=None)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_float)
