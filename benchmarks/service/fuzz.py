"""Calls every RPC with generated and mutated messages: no UNKNOWN, no INTERNAL, no crash, no growth of memory or open files.

python -m benchmarks.service.fuzz --messages 10000
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
from google.protobuf import descriptor
from google.protobuf.message import Message

from actmax.server.app import Server
from actmax.server.config import ServerConfig
from actmax.v1 import catalog_service_pb2, job_pb2, job_service_pb2

ROOT = Path(__file__).parents[2]
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


def services() -> dict[str, tuple[type[Message], bool]]:
    """Every method of actmax's services: its request's class, and whether it answers with a stream."""
    from google.protobuf import message_factory

    found = {}
    for file in (job_service_pb2.DESCRIPTOR, catalog_service_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                found[path] = (message_factory.GetMessageClass(method.input_type), method.server_streaming)
    return found


class Messages:
    """Draws requests: random ones by their descriptors, known ones with changed fields, and either with damaged bytes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = ["jobs/0123456789abcdef"]
        self.tokens = [""]

    def draw(self, kind: type[Message]) -> bytes:
        chance = self.random.random()
        message = self.filled(kind(), 0)
        if chance < 0.5:
            self.plausible(message)
        data = message.SerializeToString()
        return self.damaged(data) if chance > 0.8 else data

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
        if "name" in fields and isinstance(message.name, str):
            message.name = self.random.choice(self.names)
        if "etag" in fields:
            message.etag = self.random.choice(("", "", "1", "2"))
        if "path" in fields:
            message.path = self.random.choice(("result.json", "stimuli/one.png", message.path))
        if "request_id" in fields:
            message.request_id = self.random.choice(("", f"123e4567-e89b-42d3-a456-42661417{self.random.randrange(100):04}"))
        if "spec" in fields:
            spec: job_pb2.JobSpec = message.spec
            spec.generator.name, spec.target.name = "g", self.random.choice(("known", "unknown", "known"))
            spec.optimizer.name, spec.device, spec.prior, spec.seed = "paced", "", "", max(0, spec.seed)
            spec.budget.evaluations, spec.budget.seconds, spec.budget.plateau = self.random.choice((1, 2, 3)), 0.0, 0
            del spec.units[:], spec.baselines[:]
            spec.units.extend(["out[0]"])
            spec.ClearField("title")
            message.priority = self.random.randrange(-100, 101)
            if self.random.random() < 0.7:
                spec.optimizer.ClearField("options")
                spec.generator.ClearField("options")
                message.labels.clear()
                for part in ("design", "constraints", "transformations", "diverse", "objective"):
                    if part in spec.DESCRIPTOR.fields_by_name:
                        spec.ClearField(part)  # type: ignore[arg-type]

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


async def fuzz(folder: Path, messages: int, seed: int, engine: Any = None, seconds: float = 3.0) -> dict[str, Any]:
    """Send them to a server in this process; returns how many calls ended with which code, and what the process grew by.

    Raises
    ------
    AssertionError
        A call ended in a way that only a bug ends it, or the server can't do its work any more.
    """
    settings: dict[str, Any] = {"address": "127.0.0.1:0", "data": folder, "max_queued_per_owner": 20, "log_level": "error"}
    server = Server(ServerConfig(**settings, check_seconds=20, keep_alive_seconds=1), engine=engine)
    await server.start()
    codes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    drawn, methods, this = Messages(seed), services(), psutil.Process()
    grown: list[tuple[int, int]] = []
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:

            async def call(path: str, data: bytes) -> None:
                _, streams = methods[path]
                code = grpc.StatusCode.OK
                try:
                    if streams:
                        answer = channel.unary_stream(path, response_deserializer=bytes)(data, timeout=seconds)
                        async for _ in answer:
                            pass
                    else:
                        answer = await channel.unary_unary(path, response_deserializer=bytes)(data, timeout=30)
                        if path.endswith("/CreateJob"):
                            drawn.names = [*drawn.names[-20:], job_pb2.Job.FromString(answer).name]
                        if path.endswith("/ListJobs"):
                            drawn.tokens = [*drawn.tokens[-5:], job_service_pb2.ListJobsResponse.FromString(answer).next_page_token]
                except grpc.aio.AioRpcError as error:
                    code, told = error.code(), error.details()
                    if code in BAD or (code is grpc.StatusCode.DEADLINE_EXCEEDED and not streams):
                        raise AssertionError(f"{path} {data!r}: {code} {told}") from None
                codes[path.rpartition("/")[2]][code.name] += 1

            sent = 0
            while sent < messages:
                batch = [drawn.random.choice(list(methods)) for _ in range(min(20, messages - sent))]
                await asyncio.gather(*(call(path, drawn.draw(methods[path][0])) for path in batch))
                sent += len(batch)
                if sent % max(20, messages // 10 // 20 * 20) == 0:
                    grown.append((this.memory_info().rss, this.num_fds()))
            # It still does its work.
            spec = job_pb2.JobSpec(units=["out[0]"], budget=job_pb2.Budget(evaluations=1))
            spec.generator.name, spec.target.name, spec.optimizer.name = "g", "known", "paced"
            stub = channel.unary_unary("/actmax.v1.JobService/CreateJob", response_deserializer=job_pb2.Job.FromString)
            deadline = time.monotonic() + 60
            while True:
                try:
                    await stub(job_service_pb2.CreateJobRequest(spec=spec).SerializeToString())
                    break
                except grpc.aio.AioRpcError as error:
                    # Its queue may be full for a while.
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > deadline:
                        raise AssertionError(f"it can't work any more: {error}") from None
                    await asyncio.sleep(0.2)
    finally:
        await server.stop()
    middle = grown[len(grown) // 2]
    return {
        "messages": sent,
        "codes": {method: dict(sorted(counts.items())) for method, counts in sorted(codes.items())},
        "memory_growth_second_half_mb": round((grown[-1][0] - middle[0]) / 2**20, 2),
        "open_files_growth_second_half": grown[-1][1] - middle[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests" / "server"))
    from paced_engine import PacedEngine  # pyright: ignore[reportMissingImports] - a test's

    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(fuzz(Path(folder) / "data", options.messages, options.seed, PacedEngine(), seconds=0.3))
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "fuzz.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
