"""What a generation costs beyond the wire: a session's round against a bare gRPC echo of the same bytes, in the same run.

python -m benchmarks.sessions.latency --generations 200 --out benchmarks/sessions/results

A round is: 40 responses go, are on disk (one append, one flush) and acknowledged, and the next generation of 40 images of 3 x 64 x 64
(float32) comes. The optimizer (random) and the generator (one value a picture) cost next to nothing, but what they and the session's
bookkeeping take is in the figure. The echo sends as many bytes each way through one bidirectional stream of the same kind of server.
``added_ms`` is a session's round less the echo's and a generator's time. ``step_ms`` is the session's own work alone, in this process: in
a row, and after a rest as between a rig's generations, from which a processor core takes a while to come back to speed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import torch

from actmax.client import Session
from actmax.engine.session.checking import check_session
from actmax.engine.session.session import Session as EngineSession
from actmax.engine.session.spec import SessionSpec
from actmax.engine.session.trials import TrialResponse
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.permissions import Permissions
from actmax.models.spaces import Box
from actmax.server.memory import keep_freed
from actmax.wire.transport import CHANNEL_OPTIONS
from benchmarks.service.cluster import ENVIRONMENT, ServerProcess

ROOT = Path(__file__).parents[2]
SHAPE = (3, 64, 64)
REST = 0.005
"""Seconds."""


class _Spread(torch.nn.Module):
    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return latents[:, :1, None, None].clamp(0, 1).expand(-1, *SHAPE).contiguous()


def plain() -> DecoderGenerator:
    """A generator that costs no more than writing its stimuli."""
    return DecoderGenerator(_Spread(), Box((2,), 0.0, 1.0))


def spec(evaluations: int, size: int) -> dict[str, Any]:
    return {
        "generator": "benchmarks.sessions.latency:plain",
        "prior": "none",
        "units": ["a"],
        "optimizer": "random",
        "stop": {"evaluations": evaluations},
        "design": {"generation_size": size, "leaders": 0, "remeasure": 0.0, "references": {"rate": 0.0}},
    }


def rounds(address: str, generations: int, size: int) -> tuple[list[float], int, int]:
    """Seconds of each round; bytes of a generation, and of a tell."""
    times: list[float] = []
    down = up = 0
    with Session.create(spec((generations + 1) * size, size), address) as session:
        generation = session.ask()
        while generation is not None and len(times) < generations:
            responses = np.arange(len(generation), dtype=float)
            began = time.perf_counter()
            session.tell(responses)
            after = session.ask()
            times.append(time.perf_counter() - began)
            down = generation.stimuli.nbytes + 60 * len(generation) // 10
            up = len(session._protocol.telling(generation.trials, responses).SerializeToString())
            generation = after
    return times, down, up


ECHO = """
import asyncio, sys, grpc, grpc.aio
async def echo(requests, context):
    async for request in requests:
        yield answer
answer = bytes(int(sys.argv[1]))
async def main():
    server = grpc.aio.server()
    method = grpc.stream_stream_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {"Run": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""


class Echo:
    """A bare server that answers whatever comes with as many bytes as a generation has."""

    def __init__(self, down: int) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", ECHO, str(down)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        assert self.process.stdout is not None
        self.address = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def rounds(self, n: int, up: int) -> list[float]:
        import queue

        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        data = bytes(up)
        times = []
        with grpc.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            answers: Iterator[bytes] = channel.stream_stream("/echo.Echo/Run")(iter(requests.get, None))
            for _ in range(n):
                began = time.perf_counter()
                requests.put(data)
                np.frombuffer(next(answers), np.uint8).copy()
                times.append(time.perf_counter() - began)
            requests.put(None)
        return times

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def flushes(folder: Path, n: int, up: int) -> list[float]:
    """Seconds of an append and a flush of so many bytes, as the log does it."""
    times = []
    file = os.open(folder / "flush", os.O_WRONLY | os.O_CREAT)
    for _ in range(n):
        began = time.perf_counter()
        os.write(file, bytes(up))
        os.fdatasync(file)
        times.append(time.perf_counter() - began)
    os.close(file)
    return times


def decodes(n: int, size: int) -> list[float]:
    """Seconds that the generator alone takes for a generation, after a rest as between a rig's."""
    generator = plain()
    latents = torch.rand(size, 2)
    times = []
    with torch.inference_mode():
        for _ in range(n):
            time.sleep(REST)
            began = time.perf_counter()
            generator(latents)
            times.append(time.perf_counter() - began)
    return times


def steps(n: int, size: int, rest: float) -> list[float]:
    """Seconds in which a session in this process takes a generation's responses and plans the next, each after so many seconds of rest."""
    asked = spec((n + 2) * size, size)
    parts = {"generator": {"name": asked["generator"]}, "units": [{"name": "a"}], "optimizer": {"name": asked["optimizer"]}}
    session = EngineSession(check_session(SessionSpec.parse(asked | parts), permissions=Permissions(imports=("benchmarks",))))
    times = []
    for _ in range(n):
        told = [TrialResponse(trial.number, (float(at),)) for at, trial in enumerate(session.record.current)]
        time.sleep(rest)
        began = time.perf_counter()
        session.record.tell(told)
        session.step()
        times.append(time.perf_counter() - began)
    return times


def figures(times: list[float]) -> dict[str, float]:
    return {name: round(1e3 * float(np.percentile(times, q)), 3) for name, q in (("p50", 50), ("p90", 90), ("p99", 99))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=200)
    parser.add_argument("--size", type=int, default=40)
    parser.add_argument("--concurrent", type=int, default=0, help="also so many sessions at once")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the server, and the next
    keep_freed()
    with tempfile.TemporaryDirectory(prefix="latency") as folder:
        server = ServerProcess(Path(folder) / "data", allow_imports=["benchmarks"], stop_seconds=5.0)
        try:
            rounds(server.address, 5, options.size)  # imports
            _, down, up = rounds(server.address, 5, options.size)
            echo = Echo(down)
            try:
                session: list[float] = []
                bare: list[float] = []
                made: list[float] = []
                for _ in range(10):  # by turns, so that both meet the same machine
                    session += rounds(server.address, options.generations // 10, options.size)[0]
                    bare += echo.rounds(options.generations // 10, up)
                    made += decodes(options.generations // 10, options.size)
            finally:
                echo.stop()
            report: dict[str, Any] = {
                "generations": len(session),
                "bytes": {"down": down, "up": up},
                "load_average": os.getloadavg()[0],
                "session_ms": figures(session),
                "echo_ms": figures(bare),
                "decode_ms": figures(made),
                "step_ms": {name: figures(steps(200, options.size, rest)) for name, rest in (("in a row", 0.0), ("after a rest", REST))},
                "flush_ms": figures(flushes(Path(folder), 200, up)),
                "added_ms": {
                    name: round(figures(session)[name] - figures(bare)[name] - figures(made)["p50"], 3) for name in ("p50", "p90", "p99")
                },
            }
            if options.concurrent:
                together: list[float] = []
                threads = [
                    threading.Thread(target=lambda: together.extend(rounds(server.address, 10, options.size)[0]))
                    for _ in range(options.concurrent)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                report["concurrent"] = {"sessions": options.concurrent, "session_ms": figures(together)}
        finally:
            server.stop()
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "latency.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
