"""What a call to a plugin costs: at an address, dialled in, and a bare gRPC echo of the same bytes, in the same run.

python -m benchmarks.service.plugins --calls 300 --out benchmarks/service/results

A call is 40 images of 3 x 64 x 64 (float32), answered by one number each, by a function that does next to nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import torch

from actmax.client.plugin import PluginOffering, PluginServer, TargetPlugin
from actmax.models.permissions import PERMISSIONS, Permissions
from actmax.models.targets.remote import RemoteTarget
from actmax.server.app import Server
from actmax.server.config import ServerConfig

SHAPE = (3, 64, 64)
ROWS = 40


def first(stimuli: np.ndarray) -> np.ndarray:
    return stimuli[:, 0, 0, 0]


@contextmanager
def running(folder: Path):
    """A server in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = Server(ServerConfig(address="127.0.0.1:0", data=folder, log_level="error"))
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(1.0), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextmanager
def echo():
    """A unary method that answers with 160 bytes."""
    handler = grpc.unary_unary_rpc_method_handler(lambda data, context: bytes(4 * ROWS))
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel.unary_unary("/echo/Echo")
    server.stop(0).wait()


def timed(call: Callable[[], Any], calls: int) -> dict[str, float]:
    for _ in range(5):
        call()
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return {"p50_ms": round(1e3 * float(np.median(seconds)), 3), "p99_ms": round(1e3 * float(np.quantile(seconds, 0.99)), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    plugin = TargetPlugin(first, SHAPE)
    stimuli = torch.rand(ROWS, *SHAPE)
    data = stimuli.numpy().tobytes()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "data") as server,
        PluginServer(plugin, "127.0.0.1:0") as served,
        PluginOffering(plugin, "first", server.address),
        echo() as bare,
    ):
        context = {PERMISSIONS: Permissions(relay=server._relay.address("", patient=False))}
        relayed = RemoteTarget.from_options(RemoteTarget.Options.model_validate({"plugin": "first"}, context=context))
        direct = RemoteTarget.from_options(RemoteTarget.Options(address=f"grpc://{served.address}"))
        report = {
            "calls": options.calls,
            "cpus": os.cpu_count(),
            "echo": timed(lambda: bare(data), options.calls),
            "at an address": timed(lambda: direct.respond(stimuli, {"output"}), options.calls),
            "dialled in": timed(lambda: relayed.respond(stimuli, {"output"}), options.calls),
        }
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "plugins.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
