"""Targets behind ``actmax.v1.TargetService``: honest ones, and every way in which one may answer wrongly."""

import threading
import time
from concurrent import futures
from contextlib import contextmanager
from dataclasses import replace

import grpc
import numpy as np
import pytest
import torch
import trustme
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from actmax.client.plugin import PluginServer, TargetPlugin
from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.spec import JobSpec
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.options import InvalidOption
from actmax.models.permissions import EVERYTHING, NOTHING, PERMISSIONS, Permissions
from actmax.models.plugins import connection
from actmax.models.plugins.connection import PluginError, rows_within
from actmax.models.plugins.options import TOKENS
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.function import FunctionTarget
from actmax.models.targets.remote import RemoteTarget
from actmax.models.targets.testing import check_target
from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc, session_pb2
from actmax.wire.transport import PLUGIN_BYTES

SHAPE = (1, 4, 4)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def made(address, **options) -> RemoteTarget:
    return RemoteTarget.from_options(RemoteTarget.Options(address=f"grpc://{address}", **options))


def mean(stimuli):
    return stimuli.mean((1, 2, 3))


class Hand(plugin_service_pb2_grpc.TargetServiceServicer):
    """A plugin written by hand, which answers as ``how`` says."""

    def __init__(self, **description) -> None:
        layers = [pb.PluginLayer(name="a", shape=[2])]
        told = {"version": "1", "stimulus": session_pb2.StimulusShape(shape=SHAPE), "layers": layers} | description
        self.description = pb.TargetDescription(**told)
        self.failures: list[tuple[grpc.StatusCode, float]] = []
        self.how = ""
        self.rows: list[int] = []
        self.trials: list[tuple[int, int]] = []

    def Describe(self, request, context):
        return self.description

    def Respond(self, request, context):
        rows = request.stimuli.shape[0]
        self.rows.append(rows)
        self.trials.append((request.seed, request.trial))
        if self.failures:
            code, again = self.failures.pop(0)
            if again:
                status = status_pb2.Status(code=code.value[0], message="later")
                info = error_details_pb2.RetryInfo()
                info.retry_delay.FromMilliseconds(round(1000 * again))
                detail = any_pb2.Any()
                detail.Pack(info)
                status.details.append(detail)
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(code, "not now")
        values = np.tile(np.arange(rows, dtype=np.float32)[:, None], 2)
        response = pb.RespondResponse(version="2" if self.how == "version" else "1")
        tensor = response.responses["b" if self.how == "layer" else "a"]
        match self.how:
            case "nan":
                values[rows // 2] = np.nan
            case "infinite":
                values[-1] = np.inf
            case "rows":
                values = values[:-1]
            case "shape":
                values = values[:, :1]
            case "more":
                response.responses["c"].dtype = "float32"
            case "oversized":
                values = np.zeros((rows, PLUGIN_BYTES // 4 // rows + 1), np.float32)
            case "silent":
                time.sleep(2.0)
            case _:
                pass
        tensor.dtype = {"dtype": "int64", "unknown dtype": "complex128"}.get(self.how, "float32")
        tensor.shape.extend(values.shape)
        tensor.data = values.tobytes()[: -1 if self.how == "bytes" else None]
        return b"\xff\xff\xff" if self.how == "garbage" else response.SerializeToString()

    @contextmanager
    def serving(self):
        server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)])
        methods = {
            "Describe": grpc.unary_unary_rpc_method_handler(
                self.Describe, pb.DescribePluginRequest.FromString, pb.TargetDescription.SerializeToString
            ),
            "Respond": grpc.unary_unary_rpc_method_handler(self.Respond, pb.RespondRequest.FromString, bytes),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("actmax.v1.TargetService", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0).wait()


def test_a_function_keeps_the_contract_over_the_wire():
    functions = {"mean": mean, "rows": lambda stimuli: stimuli.mean(3)[:, 0], "map": lambda stimuli: stimuli}
    plugin = TargetPlugin(functions, SHAPE, low=-1, high=2, unit_names=["a", "b", "c", "d"], kind="spikes", max_batch=3)
    with PluginServer(plugin, "127.0.0.1:0") as server:
        target = made(server.address)
        check_target(target)
        assert target.stimulus == StimulusSpec(SHAPE, -1, 2)
        assert [(layer.name, layer.shape, layer.kind) for layer in target.layers()] == [
            ("mean", (1,), "spikes"),
            ("rows", (4,), "spikes"),
            ("map", SHAPE, "spikes"),
        ]
        assert (target.unit_name("rows", (2,)), target.unit_name("mean", (0,)), target.noisy, target.version) == ("c", "", False, "1")
        stimuli = torch.rand(10, *SHAPE)
        assert torch.equal(target.respond(stimuli, {"map"})["map"], stimuli)
        with pytest.raises(KeyError, match="did you mean mean"):
            target.respond(stimuli, {"maen"})


def test_a_job_over_a_plugin_is_the_job_over_its_function():
    generator = DecoderGenerator(torch.nn.Unflatten(1, SHAPE), Box((16,), 0, 1))
    settings = {"optimizer": "cma", "evaluations": 60, "prior": "none", "seed": 5}
    here = maximize(generator, FunctionTarget({"output": mean}, StimulusSpec(SHAPE)), "output[0]", **settings).searches[0]
    with PluginServer(TargetPlugin(mean, SHAPE), "127.0.0.1:0") as server:
        options = {"address": f"grpc://{server.address}"}
        there = maximize(generator, "remote", "output[0]", target_options=options, **settings).searches[0]
        assert np.array_equal(there.scores, here.scores)
        with pytest.raises(InvalidJob, match="gives none"):
            maximize(generator, "remote", "output[0]", target_options=options, **{**settings, "optimizer": "adam"})


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nan", "layer a answers stimulus 2 with NaN or infinity; one that leaves"),
        ("infinite", "layer a answers stimulus 4 with NaN or infinity"),
        ("rows", r"layer a came in the shape \(4, 2\), not in \(5, 2\)"),
        ("shape", r"layer a came in the shape \(5, 1\), not in \(5, 2\)"),
        ("layer", "answered without a"),
        ("more", "layers that it was not asked for"),
        ("dtype", "came as int64, not as float32 or float64"),
        ("unknown dtype", "came as complex128"),
        ("bytes", "came with 39 bytes, its shape takes 40"),
        ("garbage", "its answer of 3 bytes is no RespondResponse"),
        ("version", "was version '1' when the job began and is '2' now"),
        ("oversized", "RESOURCE_EXHAUSTED"),
        ("silent", "DEADLINE_EXCEEDED"),
    ],
)
def test_wrong_answers_are_told_by_name(how, says):
    hand = Hand()
    with hand.serving() as address:
        target = made(address, plugin="v1", deadline_seconds=1.0 if how == "silent" else 30.0)
        hand.how = how
        with pytest.raises(PluginError, match=f"plugin v1 at grpc://{address}: .*{says}"):
            target.respond(torch.zeros(5, *SHAPE), {"a"})
        hand.how = ""
        assert target.respond(torch.zeros(5, *SHAPE), {"a"})["a"][:, 1].tolist() == [0, 1, 2, 3, 4]


def test_a_missed_stimulus_is_nan_where_the_plugin_says_that_it_may_miss():
    hand = Hand(misses=True, noisy=True)
    with hand.serving() as address:
        target = made(address)
        assert target.noisy
        hand.how = "nan"
        assert target.respond(torch.zeros(4, *SHAPE), {"a"})["a"].isnan().any(1).tolist() == [False, False, True, False]
        hand.how = "infinite"
        with pytest.raises(PluginError, match="infinity"):
            target.respond(torch.zeros(4, *SHAPE), {"a"})


@pytest.mark.parametrize(
    ("description", "says"),
    [
        ({"version": ""}, "TargetDescription.version"),
        ({"layers": []}, "TargetDescription.layers"),
        ({"layers": [pb.PluginLayer(name="a[1]", shape=[1])]}, r"TargetDescription.layers\[0\].name"),
        ({"layers": [pb.PluginLayer(name="a", shape=[0])]}, r"TargetDescription.layers\[0\].shape"),
        ({"layers": [pb.PluginLayer(name="a", shape=[10**7, 10**7])]}, "at most"),
        ({"layers": [pb.PluginLayer(name="a", shape=[1])] * 2}, "a layer twice"),
        ({"stimulus": session_pb2.StimulusShape(shape=[3, 4, 4], low=2, high=1)}, "low 2 has to lie below high 1"),
        ({"stimulus": session_pb2.StimulusShape(shape=[3, 4, 4], modality="series")}, "an image has"),
        ({"stimulus": session_pb2.StimulusShape(shape=[10**5, 10**5, 10**5])}, "at most"),
        ({"stimulus": session_pb2.StimulusShape(shape=[4], high=float("inf"))}, "TargetDescription.stimulus"),
        ({"max_batch": -1}, "TargetDescription.max_batch"),
    ],
)
def test_wrong_descriptions_are_refused(description, says):
    with Hand(**description).serving() as address, pytest.raises(InvalidOption, match=says) as caught:
        made(address)
    assert caught.value.option == "address"
    assert address in str(caught.value)


def test_what_passes_is_tried_again_and_nothing_else(pauses_of):
    hand = Hand()
    with hand.serving() as address:
        target = made(address, retries=3)
        hand.failures = [(UNAVAILABLE, 0), (grpc.StatusCode.RESOURCE_EXHAUSTED, 0.4)]
        pauses = pauses_of(connection)
        assert target.respond(torch.zeros(2, *SHAPE), {"a"})["a"].shape == (2, 2)
        assert len(pauses) == 2
        assert pauses[1] >= 0.4
        assert hand.rows == [2, 2, 2]
        hand.failures = [(UNAVAILABLE, 0)] * 4
        with pytest.raises(PluginError, match=r"UNAVAILABLE: not now \(tried 4 times\)"):
            target.respond(torch.zeros(2, *SHAPE), {"a"})
        for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED):
            hand.failures, hand.rows = [(code, 0)] * 2, []
            with pytest.raises(PluginError, match=f"{code.name}: not now$"):
                target.respond(torch.zeros(2, *SHAPE), {"a"})
            assert hand.rows == [2]


def test_batches_fit_what_the_plugin_takes_and_trials_are_counted():
    hand = Hand(max_batch=4)
    with hand.serving() as address:
        target = made(address)
        target.begin(7, 100)
        target.respond(torch.zeros(10, *SHAPE), {"a"})
        assert (hand.rows, hand.trials) == ([4, 4, 2], [(7, 100), (7, 104), (7, 108)])
        hand.rows = []
        made(address, batch=3).respond(torch.zeros(4, *SHAPE), {"a"})
        assert hand.rows == [3, 1]
        hand.description.max_message_bytes, hand.rows = 4096 + 66 + 5 * 64, []
        made(address, batch=100).respond(torch.zeros(7, *SHAPE), {"a"})
        assert max(hand.rows) < 5
        assert sum(hand.rows) == 7
        hand.description.max_message_bytes = 4096 + 10
        with pytest.raises(PluginError, match="too large: one of them takes"):
            made(address).respond(torch.zeros(1, *SHAPE), {"a"})
    assert rows_within(0, 5, 0, 0, 10) == []
    assert sum(rows_within(10**6, 10**6, 0, 10**9, 1000)) == 10**6


def test_a_plugin_that_is_not_healthy_is_not_asked():
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    plugin_service_pb2_grpc.add_TargetServiceServicer_to_server(hand := _Whole(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with pytest.raises(InvalidOption, match="it says that it is not serving"):
            made(address, retries=1)
        assert not hand.described
        back = threading.Timer(0.3, lambda: healthy.set("", health_pb2.HealthCheckResponse.SERVING))
        back.start()
        assert made(address).version == "1"
        back.join()
    finally:
        server.stop(0).wait()


class _Whole(plugin_service_pb2_grpc.TargetServiceServicer):
    described = 0

    def Describe(self, request, context):
        self.described += 1
        return Hand().description


def test_tls_and_tokens_go_to_their_own_address_alone(tmp_path, monkeypatch):
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    serving = {"token": "s3cret", "certificate": chain, "key": certificate.private_key_pem.bytes()}
    with PluginServer(TargetPlugin(mean, SHAPE), "localhost:0", **serving) as server:
        address = f"grpcs://{server.address}"

        def options(**more):
            return RemoteTarget.Options(address=address, tls=str(tmp_path / "ca.pem"), retries=1, **more)

        def refused(options) -> str:
            with pytest.raises(InvalidOption) as caught:
                RemoteTarget.from_options(options)
            assert "s3cret" not in str(caught.value)
            return str(caught.value)

        monkeypatch.delenv(TOKENS, raising=False)
        assert "UNAUTHENTICATED" in refused(options())
        tokens = tmp_path / "tokens"
        monkeypatch.setenv(TOKENS, str(tokens))
        assert "can't be read" in refused(options())
        tokens.write_text(f"grpcs://elsewhere:1 other\n{address} s3cret\n")
        check_target(RemoteTarget.from_options(options()))
        tokens.write_text(f"{address.replace('grpcs', 'grpc')} s3cret\n{address}1 s3cret\n")
        assert "UNAUTHENTICATED" in refused(options())
        tokens.write_text("grpc://plugins.example:1 s3cret\n")
        assert "only by TLS" in refused(RemoteTarget.Options(address="grpc://plugins.example:1", retries=0))
        assert "UNAVAILABLE" in refused(RemoteTarget.Options(address=address, retries=0))  # an authority that nobody knows
        (tmp_path / "no.pem").write_text("x")
        assert "no certificate" in refused(RemoteTarget.Options(address=address, tls=str(tmp_path / "no.pem")))


ALLOWED = Permissions(folders=("/certificates",), servers=("grpc://127.0.0.1:9",), relay="relay://ticket@127.0.0.1:8")


@pytest.mark.parametrize(
    ("options", "allowed", "field", "says"),
    [
        ({"address": "127.0.0.1:9"}, EVERYTHING, "address", "grpc://host:port"),
        ({"address": "http://127.0.0.1:9"}, EVERYTHING, "address", "grpc://host:port"),
        ({"address": "grpc://127.0.0.1"}, EVERYTHING, "address", "grpc://host:port"),
        ({"address": "grpc://127.0.0.1:9/x"}, EVERYTHING, "address", "grpc://host:port"),
        ({"address": "grpc://127.0.0.1:99999"}, EVERYTHING, "address", "grpc://host:port"),
        ({"address": "grpc://me:secret@127.0.0.1:9"}, EVERYTHING, "address", TOKENS),
        ({"address": "relay://ticket@127.0.0.1:8"}, ALLOWED, "address", "grpc://host:port"),
        ({"address": "grpc://127.0.0.1:8"}, ALLOWED, "address", "--allow-import"),
        ({"address": "grpc://127.0.0.1:9"}, NOTHING, "address", "--allow-import"),
        ({"address": "grpc://127.0.0.1:9"}, ALLOWED, "address", "UNAVAILABLE"),
        ({"address": "grpc://127.0.0.1:9", "tls": "/certificates/ca.pem"}, ALLOWED, "tls", "grpcs://"),
        (
            {"address": "grpcs://127.0.0.1:9", "tls": "/etc/passwd"},
            replace(ALLOWED, servers=("grpcs://127.0.0.1:9",)),
            "tls",
            "--allow-import",
        ),
        ({"address": "grpc://127.0.0.1:9", "token": "x"}, EVERYTHING, "token", "no such option"),
        ({"plugin": "x"}, EVERYTHING, "", "address is needed"),
        ({}, ALLOWED, "", "address or plugin is needed"),
        ({"plugin": "x"}, ALLOWED, "plugin", "plugin x at this server: UNAVAILABLE"),
        ({"address": "grpc://127.0.0.1:9", "deadline_seconds": 0}, EVERYTHING, "deadline_seconds", "0"),
        ({"address": "grpc://127.0.0.1:9", "batch": 0}, EVERYTHING, "batch", "1"),
    ],
)
def test_options_are_refused_by_field_and_only_allowed_addresses_are_asked(options, allowed, field, says):
    spec = {
        "generator": {"name": "mine"},
        "target": {"name": "remote", "options": {"retries": 0, **options}},
        "units": ["a[0]"],
        "budget": {"evaluations": 5},
        "prior": "none",
    }
    given = {"mine": DecoderGenerator(torch.nn.Unflatten(1, SHAPE), Box((16,), 0, 1))}
    with pytest.raises(InvalidJob) as caught:
        check(JobSpec.parse(spec), given=given, permissions=allowed)
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert says in found[f"target.options.{field}".rstrip(".")]


def test_who_runs_jobs_waits_for_a_plugin_that_is_away():
    for entry, patient in (("relay://ticket@127.0.0.1:8", False), ("relay://ticket@127.0.0.1:8?patient", True)):
        for options in ({"plugin": "x"}, {"address": "grpc://127.0.0.1:9"}):
            read = RemoteTarget.Options.model_validate(options, context={PERMISSIONS: replace(ALLOWED, relay=entry)})
            assert read.place.patient == patient
            assert read.place.ticket == ("ticket" if "plugin" in options else "")
