"""``catalog``: components of a server, or of this installation; ``plugin``: plugins connected to a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from actmax.v1 import catalog_service_pb2
from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1.plugin_service_pb2_grpc import PluginServiceStub

from ...wire.errors import InvalidInput, NotFound, Unavailable
from ...wire.near_names import hint
from ...wire.transport import ask_service
from ...wire.writer import to_plain
from ..extras import NotInstalled
from ..jobs.catalog import KINDS, component
from ..jobs.client import Client
from ..jobs.overrides import Override, apply
from ..schema_words import type_in_words, value_in_words
from .common import SERVER, AllowImport, Json, Server, connect, err, import_from, needing_server, out, print_json

_HELP = "What a server offers, or this installation where none runs: components, their options, the layers of a target."
_SOON = 0.2
"""Seconds for which the default address is tried if no server is named."""

app = typer.Typer(help=_HELP, invoke_without_command=True)
plugins = typer.Typer(
    no_args_is_help=True, help="Plugins: targets and generators that have dialled in to a server. docs/plugins.md tells how."
)
CatalogServer = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="ACTMAX_SERVER",
        metavar="HOST:PORT",
        help=f"The server to ask. Not given: the one at {SERVER} if it runs, else what is installed here.",
        show_default=False,
    ),
]

Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Only one kind: generator, target, coding, objective, optimizer, transformation or analysis.",
        show_default=False,
    ),
]


@app.callback()
def catalog(context: typer.Context, server: CatalogServer = "", as_json: Json = False) -> None:
    """List the components of a server, or of this installation if none runs."""
    if context.invoked_subcommand is None:
        components(server=server, as_json=as_json)
    else:
        # Options given before the subcommand apply to it too.
        command: dict[str, Any] = {}
        if server:
            command["server"] = server
        if as_json:
            command["as_json"] = True
        context.default_map = {context.invoked_subcommand: command}


@app.command()
def components(kind: Kind = "", server: CatalogServer = "", as_json: Json = False) -> None:
    """List the generators, targets, codings, objectives, optimizers, transformations and analyses."""
    found = _components(server, kind)
    if as_json:
        print_json({"components": [to_plain(info) for info in found]})
        return
    table = _table("kind", "name", "what it is")
    for info in found:
        table.add_row(_kind(info), info.name, f"cannot be used here: {info.unavailable}" if info.unavailable else info.summary)
    out.print(table)


@app.command()
def options(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The component's name.", show_default=False)],
    kind: Kind = "",
    server: CatalogServer = "",
    as_json: Json = False,
) -> None:
    """Show the options of a component."""
    offered = _components(server, kind)
    found = [info for info in offered if info.name == name]
    if not found:
        raise NotFound(f"there is no component {name}; {hint(name, [info.name for info in offered])}")
    if as_json:
        print_json({"components": [to_plain(info) for info in found]})
        return
    for info in found:
        out.print(f"{_kind(info)} {info.name}: {info.summary}")
        if info.unavailable:
            out.print(f"It cannot be used here: {info.unavailable}")
            continue
        schema: dict[str, Any] = to_plain(info.options_schema)
        if not schema.get("properties"):
            out.print("It has no options.")
            continue
        table = _table("option", "type", "default", "what it does")
        for option, described in schema["properties"].items():
            default = "(needed)" if option in schema.get("required", ()) else value_in_words(described.get("default"))
            table.add_row(option, type_in_words(described, schema.get("$defs", {})), default, described.get("description", ""))
        out.print(table)


@app.command()
def layers(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The target's name.", show_default=False)],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the target; may be repeated.", show_default=False),
    ] = None,
    server: CatalogServer = "",
    allow_import: AllowImport = None,
    as_json: Json = False,
) -> None:
    """List the layers of a target whose units can be maximised."""
    given: dict[str, Any] = {"name": target}
    for text in option or ():
        apply(Override.parse(f"options.{text}"), given)
    described = _describe_target(server, given, allow_import or ())
    if as_json:
        print_json(to_plain(described))
        return
    shape = " x ".join(map(str, described.stimulus_shape))
    out.print(f"{target} takes {described.modality} {shape}; it {'gives' if described.differentiable else 'gives no'} gradients")
    table = _table("layer", "shape", "kind")
    for layer in described.layers:
        table.add_row(layer.name, " x ".join(map(str, layer.shape)), layer.kind)
    out.print(table)
    if described.layers:
        first = described.layers[0]
        out.print(f"A unit is a layer and an index, such as {first.name}[{', '.join('0' for _ in first.shape)}]; * stands for every index.")


@plugins.callback()
def _plugins() -> None:
    """Keep ``list`` a subcommand: with one command and no callback, typer would drop its name."""


@plugins.command("list")
def list_plugins(server: Server = SERVER, as_json: Json = False) -> None:
    """List the connected plugins that your jobs may use, with their names in jobs."""
    request = pb.ListPluginsRequest()
    found: pb.ListPluginsResponse = ask_service(PluginServiceStub, lambda stub: stub.ListPlugins(request, timeout=20), server, seconds=2.0)
    if as_json:
        return print_json({"plugins": [to_plain(plugin) for plugin in found.plugins]})
    if not found.plugins:
        out.print("No plugin has dialled in.")
    for plugin in found.plugins:
        name = f"{plugin.owner}/{plugin.name}" if plugin.owner else plugin.name
        shared = f"  shared with {', '.join(plugin.shared_with)}" if plugin.shared_with else ""
        out.print(f"{name}  {plugin.kind}  version {plugin.version}{shared}")
    return None


def _components(server: str, kind: str) -> Sequence[catalog_service_pb2.ComponentInfo]:
    """Return the components of a server, or of this installation."""
    try:
        with _client(server) as client:
            return client.components(kind)
    except Unavailable as error:
        engine = _engine_here(server, error)
    from ...server.servicers.catalog import component_info

    wanted = catalog_service_pb2.ComponentKind.DESCRIPTOR.values_by_name.get(f"COMPONENT_KIND_{kind.upper()}") if kind else None
    if kind and wanted is None:
        raise InvalidInput(f"--kind {kind}: there is no such kind; {hint(kind, KINDS)}")
    return [info for info in map(component_info, engine.components()) if wanted is None or info.kind == wanted.number]


def _describe_target(server: str, given: dict[str, Any], allow_import: Sequence[str]) -> catalog_service_pb2.DescribeTargetResponse:
    """Return a server's, or this installation's, description of a target."""
    try:
        with _client(server) as client:
            return client.describe_target(component(given))
    except Unavailable as error:
        engine = _engine_here(server, error)
    from ...engine.errors import InvalidJob
    from ...models.permissions import Permissions
    from ...server.servicers.catalog import description

    try:
        import_from(Path())
        return description(engine.describe(given, Permissions.of(allow_import, allow_files=True)))
    except InvalidJob as error:
        raise InvalidInput("the target can't be described", violations=error.violations) from None


def _client(server: str) -> Client:
    return connect(server) if server else Client(SERVER, patience=_SOON)


def _engine_here(server: str, error: Unavailable) -> Any:
    """Return the engine of this installation if no server is named and the engine is installed; else raise ``error``."""
    if server:
        raise error
    try:
        with needing_server("catalog"):
            from ...server.execution.engine import ActmaxEngine
            from ...server.servicers import catalog as _  # noqa: F401
    except NotInstalled:
        raise error from None
    err.print(f"No server runs at {SERVER}: this is what is installed here.")
    return ActmaxEngine()


def _kind(info: catalog_service_pb2.ComponentInfo) -> str:
    return catalog_service_pb2.ComponentKind.Name(info.kind).removeprefix("COMPONENT_KIND_").lower()


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
