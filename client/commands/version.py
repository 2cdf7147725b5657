"""``version``: of this client, and of a server."""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Annotated

import typer

from .common import Json, connect, out, print_json


def version(
    server: Annotated[str, typer.Option("--server", metavar="HOST:PORT", help="Print this server's version too.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Print the version."""
    found = {"version": installed("actmax")}
    if server:
        with connect(server) as client:
            found["server"] = client.limits().version
    if as_json:
        print_json(found)
    else:
        out.print("\n".join(f"{'actmax' if name == 'version' else name} {value}" for name, value in found.items()))


def print_and_leave(wanted: bool) -> None:
    """``--version``."""
    if wanted:
        out.print(f"actmax {installed('actmax')}")
        raise typer.Exit
