"""The helper that makes a plugin of a function: what it refuses, and that it needs numpy alone."""

import subprocess
import sys

import grpc
import numpy as np
import pytest

from actmax.client import plugin as plugins
from actmax.client.plugin import Fault, GeneratorPlugin, PluginOffering, PluginServer, TargetPlugin
from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc
from actmax.wire.arrays import to_array, to_tensor
from actmax.wire.errors import ActmaxError, InvalidInput

SHAPE = (1, 2, 3)


def mean(stimuli):
    return stimuli.mean((1, 2, 3))


def request(stimuli, layers=("output",), **more) -> pb.RespondRequest:
    return pb.RespondRequest(stimuli=to_tensor(stimuli), layers=layers, **more)


def test_a_function_is_a_target_of_one_layer():
    plugin = TargetPlugin(mean, SHAPE, unit_names=["mean"])
    assert [(layer.name, list(layer.shape), list(layer.unit_names)) for layer in plugin.description.layers] == [("output", [1], ["mean"])]
    stimuli = np.random.default_rng(0).random((4, *SHAPE), np.float32)
    response = plugin.answer(request(stimuli))
    np.testing.assert_array_equal(to_array(response.responses["output"])[:, 0], mean(stimuli))


def test_a_function_may_count_trials_and_write_into_what_it_is_given():
    seen = []

    def counting(stimuli, seed, trial):
        seen.append((seed, trial))
        stimuli[:] = 0
        return np.zeros(len(stimuli))

    plugin = TargetPlugin(counting, SHAPE)
    stimuli = np.ones((2, *SHAPE), np.float32)
    plugin.answer(request(stimuli, seed=3, trial=40))
    assert seen[-1] == (3, 40)
    assert stimuli.all()


def paint(codes):
    return codes.reshape(-1, 1, 2, 2) / 6


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TargetPlugin(lambda stimuli: 1.0, SHAPE), "not a row for each of 2 stimuli"),
        (lambda: TargetPlugin(lambda stimuli: stimuli[:1], SHAPE), "not a row for each"),
        (lambda: TargetPlugin(lambda stimuli: 1 / 0, SHAPE), "ZeroDivisionError"),
        (lambda: GeneratorPlugin(lambda latents: latents, (4,)), "not a stimulus for each of 2 latents"),
        (lambda: GeneratorPlugin(lambda z: z.reshape(-1, 1, 2, 2), (4,), bank=np.zeros((3, 5))), "the bank has shape"),
        (lambda: GeneratorPlugin(paint, (4,), vectors=np.zeros((3, 5))), "say how many codes there are"),
        (lambda: GeneratorPlugin(paint, (4,), codes=4, vectors=np.zeros((3, 5))), r"shape \(3, 5\); 4 codes take \(4, width\)"),
        (lambda: GeneratorPlugin(paint, (4,), codes=3, vectors=[0.0, 1.0, np.inf]), "vectors have to be finite"),
        (lambda: GeneratorPlugin(paint, (4,), codes=3, vectors=np.zeros((3, 400_000))), "vectors of 1200000 values; 1000000 work"),
    ],
)
def test_functions_that_do_not_fit_are_refused_at_once(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("made", "code", "says"),
    [
        (lambda ones: request(ones, ["x"]), grpc.StatusCode.NOT_FOUND, "no layer 'x'"),
        (lambda ones: request(ones[:, :, :1]), grpc.StatusCode.INVALID_ARGUMENT, "stimuli came in the shape"),
        (lambda ones: request(ones, version="2"), grpc.StatusCode.FAILED_PRECONDITION, "this is version '1', '2' was asked"),
        (lambda ones: pb.RespondRequest(layers=["output"]), grpc.StatusCode.INVALID_ARGUMENT, "no dtype"),
        (lambda ones: request(-ones), grpc.StatusCode.INTERNAL, "ValueError: dark"),
        (lambda ones: request(2 * ones), grpc.StatusCode.UNAVAILABLE, "warming up"),
    ],
)
def test_requests_that_cannot_be_answered_end_with_a_status(made, code, says):
    def picky(stimuli):
        if stimuli.max() > 1:
            raise Fault("warming up", grpc.StatusCode.UNAVAILABLE, "WARMING_UP", retry_seconds=2.0)
        if stimuli.min() < 0:
            raise ValueError("dark")
        return mean(stimuli)

    wrong = made(np.ones((2, *SHAPE), np.float32))
    with PluginServer(TargetPlugin(picky, SHAPE), "127.0.0.1:0") as server, grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            plugin_service_pb2_grpc.TargetServiceStub(channel).Respond(wrong, timeout=20)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() == code
        assert says in (caught.value.details() or "")


def test_an_address_that_is_taken_and_a_server_that_is_not_there_are_told():
    plugin = TargetPlugin(mean, SHAPE)
    with PluginServer(plugin, "127.0.0.1:0") as server, pytest.raises(InvalidInput, match="can't be listened on"):
        PluginServer(plugin, server.address)
    with pytest.raises(ActmaxError, match=r"cannot reach a server at 127\.0\.0\.1:9"):
        PluginOffering(plugin, "x", "127.0.0.1:9", patience=0.3).__enter__()


def test_numpy_is_all_that_it_needs():
    heavy = ("torch", "pydantic", "sqlalchemy", "protovalidate", "actmax.engine", "actmax.server", "actmax.models")
    script = f"import sys\nfrom actmax.client.plugin import *\nprint([m for m in sys.modules if m in {heavy!r}])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(plugins.__all__) >= {"serve_target", "offer_target", "serve_generator", "offer_generator"}
