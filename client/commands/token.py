"""``token``: creates, lists and revokes tokens of a server's callers, on the machine with the server's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ...wire.errors import InvalidInput
from .common import Json, needing_server, out, print_json

app = typer.Typer(help="Make, list and revoke the tokens of a server's callers, on its own machine.", no_args_is_help=True)

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The server's data folder, as for 'serve'.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", envvar="ACTMAX_CONFIG", help="The server's settings.")]


@app.command()
def create(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Whose it is; the name that their jobs belong to.", show_default=False)],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="read, submit (and read), admin (everyone's jobs); may be repeated; submit if none."),
    ] = None,
    days: Annotated[float, typer.Option("--days", min=0, help="After how many days it ends; 0 for never.")] = 365.0,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Create a token and print it, this once. Clients read it from ACTMAX_TOKEN, or from the file that ACTMAX_TOKEN_FILE names."""
    with _tokens(data, config, make=True) as tokens:
        try:
            record, text = tokens.create(owner, scope or ["submit"], days * 86_400)
        except ValueError as error:
            raise InvalidInput(str(error)) from None
    if as_json:
        print_json(_plain(record) | {"token": text})
    else:
        out.print(text)


@app.command("list")
def list_tokens(data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """List the tokens without their secrets, which are stored as digests only."""
    with _tokens(data, config) as tokens:
        records = [_plain(record) for record in tokens.all()]
    if as_json:
        print_json({"tokens": records})
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("id", "owner", "scopes", "created", "ends"):
        table.add_column(heading, no_wrap=True)
    for record in records:
        table.add_row(record["id"], record["owner"], ", ".join(record["scopes"]), record["created"], record["ends"] or "never")
    out.print(table)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As 'token list' shows it.", show_default=False)],
    data: Data = None,
    config: Config = None,
) -> None:
    """Revoke a token; a server refuses it within five seconds."""
    with _tokens(data, config) as tokens:
        if not tokens.revoke(token_id):
            raise InvalidInput(f"there is no token {token_id}; 'actmax token list' shows them")
    out.print(f"{token_id} is revoked")


@contextmanager
def _tokens(data: Path | None, config: Path | None, *, make: bool = False) -> Iterator[Any]:
    with needing_server("token"):
        from ...server.config import ConfigError
        from ...server.security.tokens import Tokens
        from ...server.settings import load
        from ...server.storage.database import Database, DatabaseTooNew, database_url, sqlite_url
    try:
        settings = load(config, {"data": data})
        if make:
            settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not settings.database and not (settings.data / "actmax.db").is_file():
            raise InvalidInput(f"there is no server's database in {settings.data}; name the server's folder with --data, or its --config")
        database = Database(database_url(settings.database) if settings.database else sqlite_url(settings.data / "actmax.db"))
    except (ConfigError, OSError, DatabaseTooNew) as error:
        raise InvalidInput(f"cannot open the server's database: {error}") from None
    try:
        yield Tokens(database)
    finally:
        database.close()


def _plain(record: Any) -> dict[str, Any]:
    def shown(time: int) -> str:
        return datetime.fromtimestamp(time / 1e6, UTC).isoformat(timespec="seconds") if time else ""

    return {
        "id": record.id,
        "owner": record.owner,
        "scopes": list(record.scopes),
        "created": shown(record.create_time),
        "ends": shown(record.expire_time),
    }
