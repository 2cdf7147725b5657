import re
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch
from grpc_tools import protoc
from torch import nn

from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.spec import JobSpec
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.options import InvalidOption
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets import oip
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.oip import InferenceTarget
from actmax.models.targets.oip.connection import InferenceError
from actmax.models.targets.testing import check_target

sys.path.insert(0, str(Path(__file__).parent))
from inference_servers import Failing, MLServer

IMAGE = [-1, 3, 4, 4]
TOLD = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": IMAGE}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}],
}


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory, network):
    weights = {"first": network[1].weight.detach().numpy(), "second": network[3].weight.detach().numpy()}
    server = MLServer(tmp_path_factory.mktemp("mlserver"), weights)
    server.model("net", **TOLD)
    server.model("silent")
    server.model("flat", inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 48]}])
    server.model("words", inputs=[{"name": "x", "datatype": "BYTES", "shape": [-1, 1]}])
    server.model("bytes", inputs=[{"name": "x", "datatype": "UINT8", "shape": IMAGE}])
    server.model("open", inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 3, -1, -1]}])
    server.model("two", inputs=[{"name": name, "datatype": "FP32", "shape": IMAGE} for name in "xy"])
    server.start(grpc_max_message_length=20_000)  # of 256 stimuli no more than a hundred go into one message
    yield server
    server.stop()


def url(server, scheme):
    return f"{scheme}://127.0.0.1:{server.grpc if scheme == 'grpc' else server.http}"


def made(address, model="net", **options):
    return InferenceTarget.from_options(InferenceTarget.Options(url=address, model=model, **options))


def refused(address, model="net", **options):
    with pytest.raises(InvalidOption) as caught:
        made(address, model, **options)
    assert address in str(caught.value)
    return caught.value.option, str(caught.value)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_mlserver_answers_as_the_network_does(mlserver, network, scheme):
    target = made(url(mlserver, scheme), names=["a", "b", "c"], mean=[0.2], std=[2.0])
    assert target.stimulus == StimulusSpec((3, 4, 4))
    assert {layer.name: layer.shape for layer in target.layers()} == {"hidden": (5,), "logits": (3,), "best": (1,)}
    assert target.unit_name("logits", (2,)) == "c"
    check_target(target)
    stimuli = torch.rand(300, 3, 4, 4)
    answers = target.respond(stimuli, {"logits", "hidden"})
    reference = ModuleTarget(network, target.stimulus).respond((stimuli - 0.2) / 2, {"2", "output"})
    assert torch.allclose(answers["logits"], reference["output"], atol=1e-5)
    assert torch.allclose(answers["hidden"], reference["2"], atol=1e-5)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_what_a_server_does_not_tell_is_given(mlserver, network, scheme):
    stimuli = torch.rand(5, 3, 4, 4)
    expected = network(stimuli)
    for model, options in (
        ("silent", {"input": "image", "shape": (3, 4, 4)}),
        ("silent", {"input": "image", "shape": (3, 4, 4), "datatype": "FP64"}),
        ("flat", {"shape": (3, 4, 4)}),
        ("open", {"shape": (3, 4, 4)}),
    ):
        answer = made(url(mlserver, scheme), model, **options).respond(stimuli, {"logits"})["logits"]
        assert torch.allclose(answer, expected, atol=1e-5), model
    # integers are the nearest ones
    bright = made(url(mlserver, scheme), "bytes", high=255.0)
    answer = bright.respond(stimuli * 255, {"logits"})["logits"]
    assert torch.allclose(answer, network((stimuli * 255).round()), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
@pytest.mark.parametrize(
    ("model", "options", "option", "says"),
    [
        ("nett", {}, "url", "nett"),
        ("silent", {}, "input", "no inputs; name the one"),
        ("silent", {"input": "x"}, "shape", "nothing for one stimulus; give its shape"),
        ("net", {"input": "picture"}, "input", "inputs are image"),
        ("net", {"shape": (3, 5, 5)}, "shape", "does not fit the input image, 3 × 4 × 4"),
        ("flat", {}, "shape", "give its shape"),
        ("flat", {"shape": (3, 4, 5)}, "shape", "does not fit"),
        ("words", {"shape": (1, 1, 1)}, "datatype", "takes BYTES"),
        ("two", {}, "input", "x, y; name"),
        ("two", {"input": "x"}, "input", "besides x the model needs y"),
        ("silent", {"input": "x", "shape": (1, 2, 2)}, "url", "net|matmul|mismatch|core dimension"),
    ],
)
def test_what_does_not_fit_is_refused_by_option(mlserver, scheme, model, options, option, says):
    found, message = refused(url(mlserver, scheme), model, retries=0, **options)
    assert found == option, message
    assert re.search(says, message), message


class Latents(nn.Module):
    def forward(self, x):
        return x.sigmoid().view(-1, 3, 4, 4)


def job(target, **changes):
    return {
        "generator": {"name": "mine"},
        "target": target,
        "units": ["logits[1]"],
        "optimizer": {"name": "cma"},
        "budget": {"evaluations": 60},
        "prior": "none",
        "seed": 5,
        **changes,
    }


def test_a_job_over_a_server_is_the_job_over_its_network(mlserver, network):
    generator = DecoderGenerator(Latents(), Box((48,), -3, 3))
    settings = {"optimizer": "cma", "evaluations": 60, "prior": "none", "seed": 5}
    options = {"url": url(mlserver, "grpc"), "model": "net"}
    there = maximize(generator, "oip", "logits[1]", target_options=options, **settings).searches[0]
    here = maximize(generator, ModuleTarget(network, StimulusSpec((3, 4, 4))), "output[1]", **settings).searches[0]
    assert np.allclose(there.scores, here.scores, atol=1e-4)
    with pytest.raises(InvalidJob, match="gives none"):
        maximize(generator, "oip", "logits[1]", target_options=options, **{**settings, "optimizer": "adam"})


def test_only_servers_that_the_owner_allows_are_asked(mlserver):
    address = url(mlserver, "grpc")
    spec = JobSpec.parse(job({"name": "oip", "options": {"url": address, "model": "net"}}))
    given = {"mine": DecoderGenerator(Latents(), Box((48,), -3, 3))}
    assert check(spec, given=given, allow_files=True).searches == 1
    assert check(spec, given=given, allow_files=("/models", address + "/")).searches == 1
    for allowed in (False, (), ("/",), (address.replace("grpc", "http"),), (address[:-1],), ("grpc://127.0.0.1",)):
        with pytest.raises(InvalidJob) as caught:
            check(spec, given=given, allow_files=allowed)
        assert caught.value.violations[0].field == "target.options.url"


def test_a_server_that_goes_away_is_named_and_one_that_comes_back_is_asked_on(tmp_path, network):
    weights = {"first": network[1].weight.detach().numpy(), "second": network[3].weight.detach().numpy()}
    server = MLServer(tmp_path, weights)
    server.model("net", **TOLD)
    server.start()
    try:
        targets = [made(url(server, scheme), retries=0, timeout=5) for scheme in ("grpc", "http")]
        patient = made(url(server, "grpc"), retries=12)
        stimuli = torch.rand(3, 3, 4, 4)
        before = patient.respond(stimuli, {"logits"})["logits"]
        server.stop()
        for target, scheme in zip(targets, ("grpc", "http"), strict=True):
            with pytest.raises(InferenceError, match=url(server, scheme)):
                target.respond(stimuli, {"logits"})
        back = threading.Thread(target=server.start)
        back.start()
        assert torch.equal(patient.respond(stimuli, {"logits"})["logits"], before)
        back.join()
    finally:
        server.stop()


UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "restarting")


def test_what_passes_is_tried_again_and_nothing_else():
    server = Failing()
    stimuli = torch.rand(4, 1, 2, 2)
    with server.serving() as address:
        target = made(address, "sum", retries=3, timeout=5.0)
        server.failures = [UNAVAILABLE, (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests"), (grpc.StatusCode.ABORTED, "")]
        assert torch.allclose(target.respond(stimuli, {"sum"})["sum"], 2 * stimuli.sum((1, 2, 3))[:, None])
        server.failures = [UNAVAILABLE] * 4
        with pytest.raises(InferenceError, match=rf"{address}: UNAVAILABLE: restarting \(tried 4 times\)"):
            target.respond(stimuli, {"sum"})
        assert not server.failures
        server.failures, server.rows = [(grpc.StatusCode.INTERNAL, "broken")], []
        with pytest.raises(InferenceError, match=f"{address}: model sum: INTERNAL: broken"):
            target.respond(stimuli, {"sum"})
        assert server.rows == [4]


def test_a_call_has_a_deadline():
    server = Failing()
    with server.serving() as address:
        target = made(address, "sum", retries=1, timeout=1.0)
        server.failures = [2.0]
        assert target.respond(torch.ones(1, 1, 2, 2), {"sum"})["sum"].item() == 8  # the second try is in time
        server.failures = [2.0, 2.0]
        with pytest.raises(InferenceError, match="DEADLINE_EXCEEDED"):
            target.respond(torch.ones(1, 1, 2, 2), {"sum"})


def test_batches_fit_the_server():
    server = Failing(most=8)
    stimuli = torch.rand(20, 1, 2, 2)
    with server.serving() as address:
        target = made(address, "sum")
        server.rows = []
        assert torch.allclose(target.respond(stimuli, {"sum"})["sum"], 2 * stimuli.sum((1, 2, 3))[:, None])
        assert server.rows == [20, 8, 8, 4]
        server.rows = []
        target.respond(stimuli, {"sum"})
        assert server.rows == [8, 8, 4]
        server.rows = []
        made(address, "sum", batch=5).respond(stimuli, {"sum"})
        assert server.rows == [2, 5, 5, 5, 5]
        server.most = 0
        with pytest.raises(InferenceError, match="does not take even one stimulus"):
            target.respond(stimuli, {"sum"})


def test_answers_need_a_row_for_each_stimulus():
    server = Failing(typed=True)
    with server.serving() as address:
        target = made(address, "sum")
        assert target.respond(torch.ones(3, 1, 2, 2), {"sum"})["sum"].tolist() == [[8.0]] * 3
        server.lost = True
        with pytest.raises(InferenceError, match=f"{address}: output sum came not at all"):
            target.respond(torch.ones(3, 1, 2, 2), {"sum"})
        assert refused(address, "sum")[0] == "url"


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"url": "ftp://host:21"}, "url", "needs a scheme and a host"),
        ({"url": "localhost:8081"}, "url", "needs a scheme and a host"),
        ({"url": "grpc://host"}, "url", "host and port alone"),
        ({"url": "grpc://host:1/path"}, "url", "host and port alone"),
        ({"url": "http://me:secret@host"}, "url", "password"),
        ({"datatype": "FP8"}, "datatype", "there are BOOL"),
        ({"timeout": 0}, "timeout", "0"),
        ({"batch": 0}, "batch", "1"),
        ({"url": "grpc://127.0.0.1:9"}, "url", "grpc://127.0.0.1:9: UNAVAILABLE"),
        ({"url": "http://127.0.0.1:9"}, "url", "http://127.0.0.1:9: ConnectionRefusedError"),
    ],
)
def test_options_are_refused_by_field(options, field, says):
    target = {"name": "oip", "options": {"url": "grpc://127.0.0.1:9", "model": "net", "retries": 0, **options}}
    with pytest.raises(InvalidJob) as caught:
        check(JobSpec.parse(job(target)), given={"mine": DecoderGenerator(Latents(), Box((48,), -3, 3))}, allow_files=True)
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert says in found[f"target.options.{field}"]


def test_the_committed_stubs_are_what_the_proto_makes(tmp_path):
    home = Path(oip.__file__).parent
    assert (
        protoc.main(["protoc", f"-I{home}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", str(home / "open_inference.proto")]) == 0
    )
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (home / file.name).read_bytes(), "stale, run make protos"
