"""``plugin``: plugins that have dialled in to a server."""

from __future__ import annotations

import typer

from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc

from ..jobs.plain import to_plain
from ..sessions.core import channel, patiently
from .common import SERVER, Json, Server, out, print_json

app = typer.Typer(no_args_is_help=True, help="Plugins: targets and generators that have dialled in to a server. docs/plugins.md tells how.")


@app.callback()
def _all() -> None:
    """Have ``list`` stay a command of its own."""


@app.command("list")
def list_plugins(server: Server = SERVER, as_json: Json = False) -> None:
    """List the plugins that are there and that your jobs may use, as jobs name them."""
    with channel(server, None) as opened:
        stub = plugin_service_pb2_grpc.PluginServiceStub(opened)
        found: pb.ListPluginsResponse = patiently(lambda: stub.ListPlugins(pb.ListPluginsRequest(), timeout=20), server, 2.0)
    if as_json:
        return print_json({"plugins": [to_plain(plugin) for plugin in found.plugins]})
    if not found.plugins:
        out.print("No plugin has dialled in.")
    for plugin in found.plugins:
        name = f"{plugin.owner}/{plugin.name}" if plugin.owner else plugin.name
        shared = f"  shared with {', '.join(plugin.shared_with)}" if plugin.shared_with else ""
        out.print(f"{name}  {plugin.kind}  version {plugin.version}{shared}")
    return None
