"""``actmax plugin list``."""

import json

from actmax.client.cli import execute
from actmax.client.plugin import PluginOffering, TargetPlugin


def test_plugins_that_have_dialled_in_are_listed(server, capsys):
    assert execute(["plugin", "list", "--server", server.address]) == 0
    assert capsys.readouterr().out == "No plugin has dialled in.\n"
    plugin = TargetPlugin(lambda stimuli: stimuli.mean((1, 2, 3)), (1, 4, 4), version="3")
    with PluginOffering(plugin, "neuron", server.address, shared_with=["*"]):
        assert execute(["plugin", "list", "--server", server.address]) == 0
        assert capsys.readouterr().out == "neuron  target  version 3  shared with *\n"
        assert execute(["plugin", "list", "--server", server.address, "--json"]) == 0
        assert [each["name"] for each in json.loads(capsys.readouterr().out)["plugins"]] == ["neuron"]
