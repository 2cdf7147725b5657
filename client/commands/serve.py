"""``serve``: runs a server in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...wire.errors import InvalidInput
from .common import SERVER, AllowImport, needing_server


def serve(
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT", help=f"Where to listen, {SERVER} if not given; port 0 picks a free one.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of the jobs and their files, actmax-data if not given.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Jobs that run at the same time; 1 if not given.")] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            metavar="WHERE",
            help="Where jobs run: local, if not given; ray, a Ray cluster of the server's own; ray:auto, ray:HOST:PORT or ray://HOST:PORT.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", envvar="ACTMAX_CONFIG", help="Settings in YAML; docs/operations.md names them all."),
    ] = None,
    allow_import: AllowImport = None,
) -> None:
    """Run a server until Ctrl-C; running jobs continue at its next start.

    Settings come from the file, then from environment variables (ACTMAX_SERVE_WORKERS=2 and the like), then from these options.
    """
    with needing_server("serve"):
        from ...server.app import serve as run_server
        from ...server.config import ConfigError
        from ...server.settings import load
    given = {
        "address": address,
        "data": data,
        "workers": workers,
        "executor": executor,
        "allow_imports": tuple(allow_import) if allow_import else None,
    }
    try:
        settings = load(config, given)
    except ConfigError as error:
        raise InvalidInput(f"cannot start a server: {error}") from None
    if code := run_server(settings):
        raise typer.Exit(code)
