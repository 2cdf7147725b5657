"""The reference page of the command line, generated from the commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from actmax.client.cli import app
from actmax.client.commands.common import EXIT_CODES

from .tables import code, table


def command_pages() -> Iterator[tuple[str, str]]:
    """Yield the file name and the Markdown text of the page."""
    parts = [f"# Every command\n\nMade from the code. `actmax COMMAND --help` prints the same. {EXIT_CODES}\n"]
    parts += _commands("actmax", typer.main.get_command(app))
    yield "reference/commands.md", "\n".join(parts)


def _commands(name: str, command: Any) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        arguments = table(("argument", "default", "meaning"), _rows(command))
        yield f"## `{name}` {{#{name.replace(' ', '-')}}}\n\n{_text(command.help)}\n\n{arguments}"
        return
    for key, each in inner.items():
        yield from _commands(f"{name} {key}", each)


def _rows(command: Any) -> Iterator[tuple[str, str, str]]:
    for parameter in command.params:
        if parameter.name != "help":
            value = parameter.default
            default = code(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
            yield _shown(parameter), "required" if parameter.required else default, _text(parameter.help)


def _shown(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return code(parameter.metavar or str(parameter.name).upper())
    return ", ".join(map(code, parameter.opts + parameter.secondary_opts))


def _text(help_: str | None) -> str:
    return " ".join((help_ or "").split())
