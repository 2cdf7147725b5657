"""Reads settings from a file, the environment and the command line; later sources override earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from .config import PREFIX, ConfigError, ServerConfig

_FILE_BYTES = 1_000_000


class _Environment(EnvSettingsSource):
    """Settings from variables such as ``ACTMAX_SERVE_WORKERS``; ``ACTMAX_SERVE_DATABASE_FILE`` names a file with the value, for secrets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        name = f"{PREFIX}{field_name}_FILE"
        file = self.env_vars.get(name.lower())
        if file is not None:
            try:
                value = Path(file).read_text("utf-8").strip()
            except (OSError, ValueError) as error:
                raise ConfigError(f"{name.upper()}: {error}") from None
        return value, key, is_complex

    def unknown(self) -> list[str]:
        """Return the names in variables with this prefix that are no settings."""
        named = [key.removeprefix(PREFIX.lower()) for key in self.env_vars if key.startswith(PREFIX.lower())]
        known = ServerConfig.model_fields
        return [name for name in named if name not in known and name.removesuffix("_file") not in known]


def load(file: Path | None, given: Mapping[str, Any]) -> ServerConfig:
    """Return the settings of a server.

    Environment variables override the file and are overridden by ``given``: ``ACTMAX_SERVE_`` and a field's name in capitals, lists
    separated by commas. ``ACTMAX_SERVE_DATABASE_FILE`` names a file that holds the value, for secrets; every setting has such a variable.

    Parameters
    ----------
    file : Path or None
        YAML with fields of ``ServerConfig``.
    given : mapping of str to object
        Fields from the command line; None for one that was not given.

    Raises
    ------
    ConfigError
        A setting is unknown or invalid; the message names it and its source.
    """
    environment = _Environment(ServerConfig)
    in_file = {} if file is None else _read(file)
    for name in in_file:
        if name not in ServerConfig.model_fields:
            raise ConfigError(f"{file}: {name}: there is no such setting{_hint(str(name))}")
    for name in environment.unknown():
        raise ConfigError(f"{_variable(name)}: there is no such setting{_hint(name, _variable)}")
    try:
        in_environment = environment()
    except SettingsError as error:
        raise ConfigError(str(error.__cause__)) from None
    told = {name: value for name, value in given.items() if value is not None}
    places = {name: f"{file}: {name}" for name in in_file}
    places |= {name: _variable(name) for name in in_environment} | {name: name for name in told}
    try:
        return ServerConfig(**in_file | in_environment | told)
    except ConfigError as error:
        name, colon, what = str(error).partition(":")
        raise ConfigError(f"{places.get(name, name)}{colon}{what}") from None


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _read(file: Path) -> dict[str, Any]:
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
    if not isinstance(found, dict | None):
        raise ConfigError(f"{file}: it is to hold settings by name, such as 'workers: 2'")
    return found or {}


def _hint(name: str, shown: Callable[[str], str] = str) -> str:
    near = get_close_matches(name, ServerConfig.model_fields, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(map(shown, near))}?" if near else "; docs/operations.md names them all"
