"""Generators behind ``actmax.v1.GeneratorService``: honest ones, and every way in which one may decode wrongly."""

from concurrent import futures
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
import torch

from actmax.client.plugin import GeneratorPlugin, PluginServer
from actmax.engine.maximize import maximize
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.generators.generator import HasCodebook
from actmax.models.generators.remote import RemoteGenerator
from actmax.models.generators.testing import check_generator
from actmax.models.options import InvalidOption
from actmax.models.plugins.connection import PluginError
from actmax.models.spaces import Box, Categorical, StimulusSpec
from actmax.models.targets.function import FunctionTarget
from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc, session_pb2

SHAPE = (1, 4, 4)


def made(address, **options) -> RemoteGenerator:
    return RemoteGenerator.from_options(RemoteGenerator.Options(address=f"grpc://{address}", **options))


def decode(latents):
    return latents.reshape(-1, *SHAPE)


def paint(codes):
    return np.repeat(codes, 2, 1).reshape(-1, *SHAPE) / 6


def tensor(values) -> session_pb2.Tensor:
    return session_pb2.Tensor(dtype=values.dtype.name, shape=values.shape, data=values.tobytes())


def coded(vectors) -> pb.LatentSpace:
    return pb.LatentSpace(shape=[16], codes=pb.LatentCodes(cardinality=3, vectors=tensor(vectors)))


class Hand(plugin_service_pb2_grpc.GeneratorServiceServicer):
    """A plugin written by hand, which answers as ``how`` says; its bank comes three at a time."""

    def __init__(self, **description) -> None:
        latent = pb.LatentSpace(shape=[16], box=pb.LatentBox(low=0, high=1))
        told = {"version": "1", "latent": latent, "stimulus": session_pb2.StimulusShape(shape=SHAPE)} | description
        self.description = pb.GeneratorDescription(**told)
        self.how = ""
        self.asked: list[tuple[int, int]] = []

    def Describe(self, request, context):
        return self.description

    def Generate(self, request, context):
        values = np.full((request.latents.shape[0], *SHAPE), 0.5, np.float32)
        match self.how:
            case "nan":
                values[0, 0, 0, 0] = np.nan
            case "range":
                values += 0.6
            case "rounding":
                values += 0.5 + 1e-7
            case "rows":
                values = values[1:]
            case "integers":
                values = values.astype(np.int64)
            case _:
                pass
        return pb.GenerateResponse(stimuli=tensor(values), version="2" if self.how == "version" else "1")

    def GetBank(self, request, context):
        self.asked.append((request.offset, request.count))
        rows = {"empty": 0, "more": request.count + 1}.get(self.how, min(3, request.count))
        values = np.full((rows, 16), 2.0 if self.how == "outside" else request.offset / 10, np.float32)
        return pb.GetBankResponse(latents=tensor(values), version="1")

    @contextmanager
    def serving(self):
        server = grpc.server(futures.ThreadPoolExecutor(2))
        plugin_service_pb2_grpc.add_GeneratorServiceServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0).wait()


def test_functions_keep_the_contract_over_the_wire():
    bank = np.random.default_rng(0).uniform(0, 1, (30, 16))
    maps = np.random.default_rng(0).integers(0, 7, (20, 8))
    with PluginServer(
        {
            "box": GeneratorPlugin(decode, (16,), bounds=(0.0, 1.0), bank=bank, max_batch=2),
            "codes": GeneratorPlugin(paint, (8,), codes=7, bank=maps),
            "blind": GeneratorPlugin(decode, (16,), bounds=(0.0, 1.0)),
        },
        "127.0.0.1:0",
    ) as server:
        box, codes, blind = (made(server.address, plugin=name) for name in ("box", "codes", "blind"))
        for generator in (box, codes, blind):
            check_generator(generator)
            assert (generator.stimulus, generator.version) == (StimulusSpec(SHAPE), "1")
        assert (box.latent, codes.latent) == (Box((16,), 0.0, 1.0), Categorical((8,), 7))
        assert box.prior is not None
        assert codes.prior is not None
        assert np.array_equal(box.prior.bank, bank.astype(np.float32))
        assert np.array_equal(codes.prior.bank, maps)
        assert blind.prior is None
        latents = torch.rand(5, 16)
        assert torch.equal(box(latents).flatten(1), latents)
        with pytest.raises(InvalidOption, match="no generator 'x' here; there are: box, codes, blind"):
            made(server.address, plugin="x")


def test_where_codes_lie_comes_with_them_and_searches_use_it():
    places = np.random.default_rng(0).normal(size=(7, 3))
    plugins = {
        "map": GeneratorPlugin(paint, (8,), codes=7, vectors=places),
        "levels": GeneratorPlugin(paint, (8,), codes=7, vectors=range(7)),
        "names": GeneratorPlugin(paint, (8,), codes=7),
    }
    wanted = np.array([0, 6, 3, 1, 5, 2, 4, 4])
    target = FunctionTarget(
        {"output": lambda stimuli: 50 * np.exp(-np.square(6 * stimuli.reshape(-1, 8, 2)[:, :, 0] - wanted).sum(1) / 40)},
        StimulusSpec(SHAPE),
    )
    with PluginServer(plugins, "127.0.0.1:0") as server:
        made_of = {name: made(server.address, plugin=name) for name in plugins}
        for generator in made_of.values():
            check_generator(generator)
        assert not isinstance(made_of["names"], HasCodebook)
        assert isinstance(made_of["map"], HasCodebook)
        assert np.array_equal(made_of["map"].codebook, places.astype(np.float32))
        assert isinstance(made_of["levels"], HasCodebook)
        assert made_of["levels"].codebook.tolist() == [[float(level)] for level in range(7)]
        settings = {"prior": "none", "evaluations": 150, "seed": 2}
        results = {name: maximize(made_of[name], target, "output[0]", **settings) for name in ("levels", "names")}
    chose = {name: result.searches[0].note.partition(":")[0] for name, result in results.items()}
    assert chose == {"levels": "thompson", "names": "patch-evolution"}
    assert results["levels"].searches[0].response > 49.9, "that of the peak, 50"


def test_a_job_over_a_plugin_is_the_job_over_its_function():
    target = FunctionTarget({"output": lambda stimuli: stimuli.mean((1, 2, 3))}, StimulusSpec(SHAPE))
    bank = np.random.default_rng(0).uniform(0, 1, (30, 16)).astype(np.float32)
    settings = {"optimizer": "cma", "evaluations": 60, "seed": 5}
    local = DecoderGenerator(torch.nn.Unflatten(1, SHAPE), Box((16,), 0.0, 1.0), bank=torch.from_numpy(bank))
    here = maximize(local, target, "output[0]", **settings).searches[0]
    with PluginServer(GeneratorPlugin(decode, (16,), bounds=(0.0, 1.0), bank=bank), "127.0.0.1:0") as server:
        options = {"address": f"grpc://{server.address}"}
        there = maximize("remote", target, "output[0]", generator_options=options, **settings).searches[0]
    assert np.array_equal(there.scores, here.scores)
    assert np.array_equal(there.stimulus, here.stimulus)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nan", "stimuli leave their range, 0 to 1, or are NaN"),
        ("range", "stimuli leave their range"),
        ("rows", r"stimuli came in the shape \(4, 1, 4, 4\), not in \(5, 1, 4, 4\)"),
        ("integers", "stimuli came as int64"),
        ("version", "was version '1' when the job began and is '2' now"),
    ],
)
def test_wrong_stimuli_are_told_by_name(how, says):
    hand = Hand()
    with hand.serving() as address:
        generator = made(address, plugin="g")
        hand.how = how
        with pytest.raises(PluginError, match=f"plugin g at grpc://{address}: .*{says}"):
            generator(torch.zeros(5, 16))
        hand.how = "rounding"
        assert float(generator(torch.zeros(5, 16)).max()) == 1.0


def test_a_bank_comes_in_parts_and_has_to_be_of_the_space():
    hand = Hand(bank_size=8, max_message_bytes=4096 + 5 * 16 * 8)
    with hand.serving() as address:
        generator = made(address)
        assert hand.asked == [(0, 5), (3, 5), (6, 2)]
        assert generator.prior is not None
        assert torch.allclose(generator.prior.bank[:, 0], torch.tensor([0, 0, 0, 0.3, 0.3, 0.3, 0.6, 0.6]))
        for how, says in (("empty", "it gave 0"), ("more", "it gave 6"), ("outside", r"must lie in \[0.0, 1.0\]")):
            hand.how = how
            with pytest.raises(InvalidOption, match=says):
                made(address)
        hand.description.bank_size = 10_000_000
        with pytest.raises(InvalidOption, match="a bank of 10000000 latents of 16 values"):
            made(address)


@pytest.mark.parametrize(
    ("description", "says"),
    [
        ({"version": ""}, "GeneratorDescription.version"),
        ({"latent": pb.LatentSpace(shape=[3])}, "GeneratorDescription.latent"),
        ({"latent": pb.LatentSpace(shape=[3], box=pb.LatentBox(low=1, high=1))}, "low has to be below high"),
        ({"latent": pb.LatentSpace(shape=[3], codes=pb.LatentCodes(cardinality=1))}, "GeneratorDescription.latent.codes.cardinality"),
        ({"latent": pb.LatentSpace(shape=[10**7, 10**7], codes=pb.LatentCodes(cardinality=2))}, "at most"),
        ({"latent": coded(np.zeros((2, 3), np.float32))}, r"vectors of shape \(2, 3\) for 3 codes"),
        ({"latent": coded(np.zeros(3, np.float32))}, r"it has to be \(3, width\)"),
        ({"latent": coded(np.zeros((3, 0), np.float32))}, r"it has to be \(3, width\)"),
        ({"latent": coded(np.zeros((3, 400_000), np.float32))}, "vectors of 1200000 values; at most 1000000 work"),
        ({"latent": coded(np.zeros((3, 2), np.int64))}, "vectors that came as int64"),
        ({"latent": coded(np.full((3, 2), np.nan, np.float32))}, "not all finite"),
        ({"stimulus": session_pb2.StimulusShape(shape=[3])}, "GeneratorDescription.stimulus"),
    ],
)
def test_wrong_descriptions_are_refused(description, says):
    with Hand(**description).serving() as address, pytest.raises(InvalidOption, match=says) as caught:
        made(address)
    assert caught.value.option == "address"
