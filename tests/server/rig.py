"""What the tests of sessions over the wire share: a session's spec, its calls, and a neuron that answers by trial."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from google.protobuf.json_format import ParseDict

from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

IMPORTS = ("toy_lab",)


def spec(**changes: Any) -> session_pb2.SessionSpec:
    plain: dict[str, Any] = {
        "generator": {"name": "toy_lab:decoder"},
        "units": [{"name": "a"}],
        "stop": {"evaluations": 110},
        "design": {"generation_size": 12},
        "seed": 5,
    }
    return ParseDict(plain | changes, session_pb2.SessionSpec())


def array(tensor: session_pb2.Tensor) -> np.ndarray:
    return np.frombuffer(tensor.data, tensor.dtype).reshape(tuple(tensor.shape))


def neuron(trial: int, stimulus: np.ndarray) -> float:
    """A spike count that depends on the stimulus and the trial's number alone."""
    rate = 20.0 * float(stimulus.astype(np.float64).mean()) ** 2
    return float(np.random.default_rng(trial).poisson(rate))


def answers(ask: pb.Generation) -> list[pb.TrialResponse]:
    shown = array(ask.stimuli)
    return [pb.TrialResponse(trial=trial, responses=[neuron(trial, shown[row])]) for row, trial in enumerate(ask.trials)]


class Stream:
    """One ``RunSession``."""

    def __init__(self, channel: Any, session: str, client: str = "rig", **options: Any) -> None:
        self.call = session_service_pb2_grpc.SessionServiceStub(channel).RunSession()
        self.open = pb.Open(session=session, client_id=client, **options)

    async def __aenter__(self) -> Stream:
        await self.send(open=self.open)
        self.opened = (await self.next("opened")).opened
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()

    async def send(self, **content: Any) -> None:
        await self.call.write(pb.RunSessionRequest(**content))

    async def tell(self, trials: list[pb.TrialResponse]) -> pb.Ack:
        await self.send(tell=pb.Tell(trials=trials))
        return (await self.next("ack")).ack

    async def next(self, kind: str = "", seconds: float = 60.0) -> pb.RunSessionResponse:
        async with asyncio.timeout(seconds):
            response = await self.call.read()
        if not isinstance(response, pb.RunSessionResponse):
            await self.call  # raises the stream's status
            raise AssertionError("the stream ended")
        assert not kind or response.WhichOneof("content") == kind, response
        return response


async def run(stream: Stream) -> tuple[list[bytes], session_pb2.Session]:
    """Answer to the end; the bytes of every generation, and the session as it ended."""
    shown: list[bytes] = []
    while True:
        response = await stream.next()
        if response.HasField("ended"):
            return shown, response.ended
        shown.append(response.ask.stimuli.data)
        await stream.tell(answers(response.ask))


@asynccontextmanager
async def sessions(serving: Any, **settings: Any):
    """A server with the toy lab; yields the stub and the channel."""
    async with serving(allow_imports=IMPORTS, **settings) as (server, calls):
        yield server, session_service_pb2_grpc.SessionServiceStub(calls.channel), calls.channel
