"""Calls every RPC that a server has with generated and mutated messages: no UNKNOWN, no INTERNAL, no crash, no growth of memory or files.

python -m benchmarks.service.fuzz --messages 12000
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
from google.protobuf import descriptor, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from grpc._cython import cygrpc
from grpc_reflection.v1alpha import reflection_pb2

from actmax.server.app import SERVICES, Server
from actmax.server.config import ServerConfig
from actmax.v1 import job_pb2, job_service_pb2, session_pb2, session_service_pb2

ROOT = Path(__file__).parents[2]
# What grpc.aio makes of a write to a stream that has just ended; why it has ended is then lost.
_UNSENT = "Internal error from Core"
BAD = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS}
TEXTS = (
    "",
    "jobs/",
    "jobs/x",
    "jobs/../..",
    "/etc/passwd",
    "result.json",
    "..",
    "a" * 300,
    "é\0\n",
    "cuda:1",
    "natural",
    "random",
    "4[0]",
    "4[*]",
    "-1",
)
NUMBERS = (0, 1, -1, 2, 50, 1000, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
Field = descriptor.FieldDescriptor


@dataclass(frozen=True)
class Method:
    """One RPC: its request's class, and which sides stream."""

    request: type[Message]
    asks: bool
    answers: bool


def services(names: Iterable[str] = SERVICES) -> dict[str, Method]:
    """Every method of some services, by the path that it is called at."""
    pool = descriptor_pool.Default()
    return {
        f"/{name}/{method.name}": Method(
            message_factory.GetMessageClass(method.input_type), bool(method.client_streaming), bool(method.server_streaming)
        )
        for name in names
        for method in pool.FindServiceByName(name).methods
    }


async def registered(channel: grpc.aio.Channel) -> list[str]:
    """The services that a server says it has."""
    call = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    return [service.name async for response in call for service in response.list_services_response.service]


class Messages:
    """Draws requests: random ones by their descriptors, known ones with changed fields, and either with damaged bytes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = ["jobs/0123456789abcdef"]
        self.sessions = ["sessions/0123456789abcdef"]
        self.tokens = [""]
        self.trials: dict[str, list[int]] = {}

    def draw(self, kind: type[Message]) -> bytes:
        chance = self.random.random()
        message = self.filled(kind(), 0)
        if chance < 0.65:
            self.plausible(message)
        data = message.SerializeToString()
        return self.damaged(data) if chance > 0.85 else data

    def conversation(self, kind: type[Message]) -> list[bytes]:
        """What a client sends on one stream."""
        if kind is not session_service_pb2.RunSessionRequest or self.random.random() < 0.3:
            return [self.draw(kind) for _ in range(self.random.choice((0, 1, 2, 5)))]
        name = self.session()
        sent: list[Message] = [session_service_pb2.RunSessionRequest()]
        sent[0].open.session, sent[0].open.client_id = name, self.random.choice(("rig", "other"))  # type: ignore[attr-defined]
        sent[0].open.take_over, sent[0].open.renew = self.random.random() < 0.7, self.random.random() < 0.3  # type: ignore[attr-defined]
        for _ in range(self.random.choice((0, 1, 3, 6))):
            step = session_service_pb2.RunSessionRequest()
            match self.random.randrange(5):
                case 0:
                    self.filled(step, 0)
                case 1:
                    step.advance.generation = self.random.choice((1, 2, 3, 99))
                case _:
                    self.told(step.tell, name)
            sent.append(step)
        raw = [message.SerializeToString() for message in sent]
        if self.random.random() < 0.3:
            at = self.random.randrange(len(raw))
            raw[at] = self.damaged(raw[at])
        return raw

    def session(self) -> str:
        """The name of one, mostly of a new one."""
        return self.random.choice(self.sessions[-4:] if self.random.random() < 0.9 else self.sessions)

    def told(self, tell: session_service_pb2.Tell, session: str) -> None:
        """Responses to some of a session's trials, mostly as they should be."""
        known = self.trials.get(session, [1, 2, 3])
        for trial in self.random.sample(known, self.random.randrange(len(known) + 1)):
            response = self.random.choice((0.0, 1.0, 7.0)) if self.random.random() < 0.97 else self.random.choice((-1.0, float("nan"), 0.5))
            tell.trials.add(trial=trial, responses=[response] if self.random.random() < 0.97 else [], missed=self.random.random() < 0.03)

    def filled(self, message: Message, depth: int) -> Message:
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < (0.45 if depth < 2 else 0.25):
                self.fill(message, field, depth)
        return message

    def fill(self, message: Message, field: Any, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            for _ in range(self.random.choice((1, 2, 70))):
                if value.message_type is not None:
                    if depth < 8:
                        self.filled(getattr(message, field.name)[self.text()], depth + 1)
                else:
                    getattr(message, field.name)[self.text()] = self.scalar(value)
        elif field.message_type is not None:
            if depth > 8:
                return
            if field.is_repeated:
                for _ in range(self.random.choice((1, 2, 25))):
                    self.filled(getattr(message, field.name).add(), depth + 1)
            else:
                getattr(message, field.name).SetInParent()
                self.filled(getattr(message, field.name), depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(self.scalar(field) for _ in range(self.random.choice((1, 2, 200))))
        else:
            setattr(message, field.name, self.scalar(field))

    def scalar(self, field: Any) -> Any:
        if field.type == Field.TYPE_STRING:
            return self.text()
        if field.type == Field.TYPE_BYTES:
            return self.random.randbytes(self.random.choice((0, 3, 1000)))
        if field.type == Field.TYPE_BOOL:
            return self.random.random() < 0.5
        if field.type in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
            return self.random.choice((0.0, 1.5, -1.0, float("nan"), float("inf"), 1e308, -0.0))
        if field.type == Field.TYPE_ENUM:
            return self.random.choice((0, 1, 4, 7, 99, -5))
        numbers = [n for n in NUMBERS if abs(n) < 2**31] if field.type in (Field.TYPE_INT32,) else NUMBERS
        return self.random.choice([n for n in numbers if n >= 0] if field.type in (Field.TYPE_UINT32, Field.TYPE_UINT64) else numbers)

    def text(self) -> str:
        return self.random.choice((*TEXTS, *self.names[-3:], *self.tokens[-3:], str(self.random.random())))

    def plausible(self, message: Any) -> None:
        """Make what is most often refused right, so that other parts of the message are reached."""
        fields = message.DESCRIPTOR.fields_by_name
        of_sessions = message.DESCRIPTOR.file is session_service_pb2.DESCRIPTOR
        if "name" in fields and isinstance(message.name, str):
            message.name = self.session() if of_sessions else self.random.choice(self.names)
        if "session" in fields and isinstance(message.session, str):
            message.session = self.session()
        if message.DESCRIPTOR.name == "TellRequest" and self.random.random() < 0.7:
            self.told(message.tell, message.session)
        if "etag" in fields:
            message.etag = self.random.choice(("", "", "1", "2"))
        if "path" in fields:
            message.path = self.random.choice(("result.json", "stimuli/one.png", message.path))
        if "page_size" in fields:
            message.page_size = abs(message.page_size)
        if "request_id" in fields:
            message.request_id = self.random.choice(("", f"123e4567-e89b-42d3-a456-42661417{self.random.randrange(100):04}"))
        if isinstance(message, session_service_pb2.CreateSessionRequest):
            self.plausible_session(message.spec)
        elif isinstance(message, job_service_pb2.CreateJobRequest):
            message.priority = self.random.randrange(-100, 101)
            self.plausible_job(message.spec)
            if self.random.random() < 0.7:
                message.labels.clear()

    def plausible_job(self, spec: job_pb2.JobSpec) -> None:
        spec.generator.name, spec.target.name = "g", self.random.choice(("known", "unknown", "known"))
        spec.optimizer.name, spec.device, spec.prior, spec.seed = "paced", "", "", max(0, spec.seed)
        spec.budget.evaluations, spec.budget.seconds, spec.budget.plateau = self.random.choice((1, 2, 3)), 0.0, 0
        del spec.units[:], spec.baselines[:]
        spec.units.extend(["out[0]"])
        spec.ClearField("title")
        if self.random.random() < 0.7:
            spec.optimizer.ClearField("options")
            spec.generator.ClearField("options")
            self.cleared(spec, ("generator", "target", "units", "optimizer", "budget", "seed"))

    def plausible_session(self, spec: session_pb2.SessionSpec) -> None:
        plain = self.random.random() < 0.8
        if plain:
            self.cleared(spec, ("presentation", "design"))
            spec.design.Clear()
        spec.generator.Clear()
        spec.generator.name, spec.seed = "toy_lab:decoder", self.random.randrange(5)
        del spec.units[:]
        spec.units.add(name="a")
        spec.stop.Clear()
        spec.stop.evaluations = self.random.choice((1, 12, 40))
        if plain:
            spec.optimizer.name = self.random.choice(("", "random", "cma", "xdream"))
            spec.design.generation_size = self.random.choice((1, 3, 6))
            spec.presentation.width = spec.presentation.height = self.random.choice((0, 0, 9))
            spec.presentation.encoding = self.random.choice(session_pb2.StimulusEncoding.values())  # type: ignore[assignment]

    @staticmethod
    def cleared(message: Message, but: tuple[str, ...]) -> None:
        for field, _ in message.ListFields():
            if field.name not in but:
                message.ClearField(field.name)

    def damaged(self, data: bytes) -> bytes:
        found = bytearray(data or b"\0")
        for _ in range(self.random.choice((1, 1, 3, 20))):
            at = self.random.randrange(len(found))
            match self.random.randrange(4):
                case 0:
                    found[at] ^= 1 << self.random.randrange(8)
                case 1:
                    del found[at:]
                case 2:
                    found[at:at] = self.random.randbytes(self.random.choice((1, 5, 50)))
                case _:
                    found[at:at] = found[: self.random.randrange(len(found) + 1)]
            found = found or bytearray(b"\0")
        return bytes(found)


class Caller:
    """Makes the calls, learns names and trials from the answers, and counts how calls end."""

    def __init__(self, channel: grpc.aio.Channel, methods: dict[str, Method], drawn: Messages, seconds: float) -> None:
        self.channel, self.methods, self.drawn, self.seconds = channel, methods, drawn, seconds
        self.codes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self.sent = 0
        self.bugs: dict[tuple[str, str], str] = {}
        """Calls that ended as only a bug ends them, the first of each kind."""

    async def call(self, path: str) -> None:
        """One call with what is drawn for it."""
        method = self.methods[path]
        messages = self.drawn.conversation(method.request) if method.asks else [self.drawn.draw(method.request)]
        self.sent += max(1, len(messages))
        code = grpc.StatusCode.OK
        try:
            if method.asks:
                try:
                    await self.converse(path, messages)
                except grpc.aio.AioRpcError as error:
                    if error.details() != _UNSENT:
                        raise
                    await self.converse(path, messages, pause=0.1)
            elif method.answers:
                async for _ in self.channel.unary_stream(path, response_deserializer=bytes)(messages[0], timeout=self.seconds):
                    pass
            else:
                self.learn(path, await self.channel.unary_unary(path, response_deserializer=bytes)(messages[0], timeout=60))
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if error.details() == _UNSENT:
                code = grpc.StatusCode.CANCELLED
            late = code is grpc.StatusCode.DEADLINE_EXCEEDED and not (method.asks or method.answers)
            if code in BAD or late:
                self.bugs.setdefault((path, str(error.details())[:60]), f"{path} {messages!r}: {code} {error.details()}")
        self.codes[path.strip("/")][code.name] += 1

    def reached(self) -> bool:
        """Whether each of ``REACHED`` has ended well."""
        return all(self.codes[path]["OK"] for path in REACHED)

    async def converse(self, path: str, messages: list[bytes], pause: float = 0.0) -> None:
        call = self.channel.stream_stream(path, response_deserializer=bytes)(timeout=self.seconds)
        manner = self.drawn.random.random()
        with contextlib.suppress(
            asyncio.InvalidStateError, cygrpc.InternalError
        ):  # it has ended meanwhile, with the status that is read below
            for message in messages:
                await call.write(message)
                await asyncio.sleep(pause)
                if manner < 0.4 and isinstance(answer := await call.read(), bytes):
                    self.learn(path, answer)
            if manner > 0.9:  # as a client that is killed
                call.cancel()
            else:
                await call.done_writing()
        with contextlib.suppress(asyncio.CancelledError):
            while isinstance(answer := await call.read(), bytes):
                self.learn(path, answer)

    def learn(self, path: str, answer: bytes) -> None:
        drawn, name = self.drawn, path.rpartition("/")[2]
        if name == "CreateJob":
            drawn.names = [*drawn.names[-20:], job_pb2.Job.FromString(answer).name]
        elif name == "ListJobs":
            drawn.tokens = [*drawn.tokens[-5:], job_service_pb2.ListJobsResponse.FromString(answer).next_page_token]
        elif name == "CreateSession":
            drawn.sessions.append(session_pb2.Session.FromString(answer).name)
        elif name in ("Ask", "RunSession"):
            with contextlib.suppress(DecodeError):
                kind = session_service_pb2.AskResponse if name == "Ask" else session_service_pb2.RunSessionResponse
                trials = kind.FromString(answer).ask.trials
                if trials:
                    # Whose they are is not said; what is told of another session's is refused, which is a case too.
                    for session in drawn.sessions[-6:]:
                        drawn.trials[session] = list(trials)

    async def tidy(self) -> None:
        """Forget sessions but for the newest, as their number is no part of what is measured."""
        while len(self.drawn.sessions) > 12:
            name = self.drawn.sessions.pop(1)
            for method in ("CloseSession", "DeleteSession"):
                data = session_service_pb2.CloseSessionRequest(name=name).SerializeToString()
                try:
                    await self.channel.unary_unary(f"/actmax.v1.SessionService/{method}")(data, timeout=60)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        raise AssertionError(f"{method} of {name}: {error.code()} {error.details()}") from None

    async def still_works(self) -> None:
        """It still does its work.

        Raises
        ------
        AssertionError
            It doesn't.
        """
        spec = job_pb2.JobSpec(units=["out[0]"], budget=job_pb2.Budget(evaluations=1))
        spec.generator.name, spec.target.name, spec.optimizer.name = "g", "known", "paced"
        stub = self.channel.unary_unary("/actmax.v1.JobService/CreateJob", response_deserializer=job_pb2.Job.FromString)
        deadline = time.monotonic() + 60
        while True:
            try:
                await stub(job_service_pb2.CreateJobRequest(spec=spec).SerializeToString())
                return
            except grpc.aio.AioRpcError as error:
                # Its queue may be full for a while.
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > deadline:
                    raise AssertionError(f"it can't work any more: {error}") from None
                await asyncio.sleep(0.2)


REACHED = tuple(
    f"actmax.v1.{method}"
    for method in ("JobService/CreateJob", "SessionService/CreateSession", "SessionService/RunSession", "SessionService/Tell")
)
"""What has to end well at least once, lest only refusals are tried."""


async def fuzz(folder: Path, messages: int, seed: int, engine: Any = None, seconds: float = 3.0) -> dict[str, Any]:
    """Send them to a server in this process; returns how many calls ended with which code, and what the process grew by.

    Goes on beyond ``messages``, to ten times as many, until each method of ``REACHED`` has ended well: what is drawn depends on the
    answers, whose order no seed fixes.

    Raises
    ------
    AssertionError
        A call ended in a way that only a bug ends it, or the server can't do its work any more.
    """
    settings: dict[str, Any] = {"address": "127.0.0.1:0", "data": folder, "max_queued_per_owner": 20, "log_level": "error"}
    settings["allow_imports"] = ("toy_lab",)
    server = Server(ServerConfig(**settings, check_seconds=20, keep_alive_seconds=1), engine=engine)
    await server.start()
    this = psutil.Process()
    grown: list[tuple[int, int]] = []
    began = time.monotonic()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            methods = services(await registered(channel))
            assert set(services()) <= set(methods)
            caller = Caller(channel, methods, Messages(seed), seconds)
            while caller.sent < messages or (caller.sent < 10 * messages and not caller.reached()):
                await asyncio.gather(*(caller.call(caller.drawn.random.choice(list(methods))) for _ in range(20)))
                await caller.tidy()
                if caller.sent >= len(grown) * messages / 10:
                    grown.append((this.memory_info().rss, this.num_fds()))
            await caller.still_works()
            if caller.bugs:
                raise AssertionError("\n".join(caller.bugs.values()))
    finally:
        await server.stop()
    grown.append((this.memory_info().rss, this.num_fds()))
    middle, last = grown[len(grown) // 2], grown[-2]
    return {
        "messages": caller.sent,
        "codes": {method: dict(sorted(counts.items())) for method, counts in sorted(caller.codes.items())},
        "memory_growth_second_half_mb": round((last[0] - middle[0]) / 2**20, 2),
        "open_files_growth_second_half": last[1] - middle[1],
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "tests" / "server"), str(ROOT / "tests" / "fixtures")]
    from paced_engine import PacedEngine  # pyright: ignore[reportMissingImports] - a test's

    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(fuzz(Path(folder) / "data", options.messages, options.seed, PacedEngine(), seconds=0.3))
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "fuzz.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
