"""Analyses behind ``AnalysisService``: the contract over gRPC, and what can go wrong on the way."""

import numpy as np
import plugin_process
import pytest

from actmax import maximize
from actmax.client.plugin import AnalysisPlugin, PluginSection, PluginServer
from actmax.engine.analyses.remote import RemoteAnalysis
from actmax.engine.errors import InvalidJob
from actmax.engine.testing import check_analysis

JOB = {"evaluations": 8, "optimizer": "random", "prior": "none", "device": "cpu"}
UNITS = ["fc[3]", "fc[5]"]


def remote(server, **options):
    return RemoteAnalysis.from_options(RemoteAnalysis.Options(address=f"grpc://{server.address}", **options))


def analysed(analysis, **more):
    return maximize("pixel", "cifar10-cnn", UNITS, analyses=[analysis], **JOB, **more)


def test_it_keeps_the_contract_over_the_wire():
    with PluginServer(plugin_process.analysis(), "127.0.0.1:0") as server:
        (section,) = check_analysis(remote(server, options={"levels": 4}), "pixel", "cifar10-cnn", UNITS)
    assert (section.title, section.notes, section.columns) == ("Fading", ("Grey is 0.",), ["unit", "optimizer", "full", "levels"])
    assert section.arrays["curves"].shape == (2, 4)
    assert [row["levels"] for row in section.rows] == [4, 4]
    assert [figure.unit for figure in section.figures] == UNITS
    assert [row["full"] for row in section.rows] == section.arrays["curves"][:, -1].tolist()


def test_a_plugin_that_is_started_again_goes_on_and_asks_nothing_twice():
    begun = []

    def forgetful(context):
        begun.append(context)
        sections = plugin_process.fade(context)
        if len(begun) == 1:
            forgetting._runs.clear()  # as where its process is another one
            context.evaluate(np.full((1, *context.shape), 0.5))
        return sections

    forgetting = AnalysisPlugin(forgetful)
    with PluginServer({"plain": plugin_process.analysis(), "forgetting": forgetting}, "127.0.0.1:0") as server:
        plain = analysed(remote(server, plugin="plain"))
        again = analysed(remote(server, plugin="forgetting"))
    assert len(begun) == 2
    assert not again.notices
    assert np.array_equal(plain.sections[-1].arrays["curves"], again.sections[-1].arrays["curves"])


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda context: context.target, "an analysis over the wire is given no target"),
        (lambda context: 1 / 0, "ZeroDivisionError"),
        (lambda context: context.evaluate(np.full((1, *context.shape), 7.0)), "leave the range"),
        (lambda context: context.evaluate(np.zeros((1, 2))), "stimuli have shape (1, 2)"),
        (lambda context: [PluginSection("")], "title"),
        (lambda context: [PluginSection("x", rows=[{"a": [1]}])], "a cell holds a list_value"),
        (lambda context: [PluginSection("x", arrays={"a": np.array(["text"])})], "can't be sent"),
    ],
)
def test_a_fault_of_the_plugin_ends_the_analysis_alone(function, told):
    with PluginServer(AnalysisPlugin(function), "127.0.0.1:0") as server:
        result = analysed(remote(server))
    (notice,) = result.notices
    assert told in notice
    assert server.address in notice
    assert len(result.searches) == 2


def test_what_the_wire_does_not_offer_is_refused_by_name_before_the_job():
    with PluginServer(AnalysisPlugin(plugin_process.fade, needs=["HasModule", "HasActivations"]), "127.0.0.1:0") as server:
        analysis = remote(server)
        with pytest.raises(InvalidJob, match="needs HasModule, HasActivations, which is not offered over the wire"):
            analysed(analysis)


def test_a_long_step_says_what_is_under_way():
    stages = []
    with PluginServer(plugin_process.analysis(), "127.0.0.1:0") as server:
        analysis = remote(server, options={"pause": 2.5})
        result = analysed(analysis, on_progress=lambda progress: stages.append(progress.stage))
    assert not result.notices
    assert "fading: 1 of 2" in stages
