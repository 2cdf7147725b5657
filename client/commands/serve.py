"""``serve``: a server in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput
from .common import SERVER, AllowImport, needing_server


def serve(
    address: Annotated[str, typer.Option("--address", metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")] = SERVER,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the jobs and their files.")] = Path("actmax-data"),
    workers: Annotated[int, typer.Option("--workers", min=1, help="Jobs that run at the same time.")] = 1,
    allow_import: AllowImport = None,
) -> None:
    """Run a server until Ctrl-C; jobs under way go on when it is started again."""
    with needing_server("serve"):
        from ...server.app import serve as run_server
        from ...server.config import ConfigError, ServerConfig
    try:
        config = ServerConfig(address=address, data=data, workers=workers, allow_imports=tuple(allow_import or ()))
    except ConfigError as error:
        raise InvalidInput(f"cannot start a server: {error}") from None
    if code := run_server(config):
        raise typer.Exit(code)
