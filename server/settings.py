"""Settings from a file, the environment and the command line, later ones over earlier ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from .config import ConfigError, ServerConfig

PREFIX = "ACTMAX_SERVE_"
_KINDS = get_type_hints(ServerConfig)
_NAMES = tuple(field.name for field in fields(ServerConfig))
_LISTS = ("allow_imports", "devices")
_FILE_BYTES = 1_000_000


def load(file: Path | None, given: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> ServerConfig:
    """The settings of a server.

    Parameters
    ----------
    file : Path or None
        YAML with fields of ``ServerConfig``.
    given : mapping
        Fields from the command line; None where one was not given.
    environment : mapping
        Fields as ``ACTMAX_SERVE_`` and their name in capitals (``ACTMAX_SERVE_DATABASE``); the process's own by default. Lists are
        separated by commas. ``ACTMAX_SERVE_DATABASE_FILE`` and the like name a file that holds the value, for secrets.

    Raises
    ------
    ConfigError
        Naming the setting, and where it stands.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values |= {name: _read(name, value, f"{file}: {name}") for name, value in _file(file).items()}
    environment = os.environ if environment is None else environment
    for key, text in sorted(environment.items()):
        if key.startswith(PREFIX):
            name, value = key.removeprefix(PREFIX).lower(), text
            if name not in _NAMES and name.removesuffix("_file") in _NAMES:
                name = name.removesuffix("_file")
                try:
                    value = Path(text).read_text("utf-8").strip()
                except (OSError, ValueError) as error:
                    raise ConfigError(f"{key}: {error}") from None
            if name not in _NAMES:
                raise ConfigError(f"{key}: there is no such setting{_hint(name, lambda known: PREFIX + known.upper())}")
            values[name] = _read(name, [part for part in value.split(",") if part] if name in _LISTS else value, key)
    values |= {name: value for name, value in given.items() if value is not None}
    return ServerConfig(**values)


def _file(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _FILE_BYTES:
            raise ConfigError(f"{file}: more than {_FILE_BYTES} bytes are no settings")
        found = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        at = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ConfigError(f"{file}: not readable as YAML: {error.problem}{at}") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{file}: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: it is to hold settings by name, such as 'workers: 2'")
    for name in found:
        if name not in _NAMES:
            raise ConfigError(f"{file}: {name}: there is no such setting{_hint(str(name))}")
    return found


def _hint(name: str, shown: Callable[[str], str] = str) -> str:
    near = get_close_matches(name, _NAMES, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(map(shown, near))}?" if near else "; docs/operations.md names them all"


def _read(name: str, value: Any, where: str) -> Any:
    try:
        return TypeAdapter(_KINDS[name]).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{where}: {error.errors()[0]['msg']}") from None
