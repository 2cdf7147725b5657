"""Servers of the Open Inference Protocol for tests: a real MLServer in an environment of its own, and one that fails on demand."""

import fcntl
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from actmax.models.targets.oip import open_inference_pb2 as messages

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "tests/fixtures/oip/small_network.py"
VENV = ROOT / "build/mlserver-venv"
LOCK = ROOT / "locks/mlserver.txt"
VERSION = "mlserver==1.7.1"
_spec = importlib.util.spec_from_file_location("installing", ROOT / "locks/install.py")
assert _spec is not None
assert _spec.loader is not None
installing = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(installing)


def mlserver_python() -> Path:
    """Python of an environment with MLServer, which wants an older protobuf than actmax; made once, under build/."""
    VENV.parent.mkdir(exist_ok=True)
    with (VENV.parent / "mlserver-venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = VENV / VERSION
        if not done.exists():
            uv, environment = Path(sys.executable).with_name("uv"), installing.read_uv_environment()
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV], check=True, env=environment)
            install = [uv, "pip", "install", "--quiet", "--python", VENV / "bin/python", "--constraint", LOCK, VERSION]
            made = subprocess.run(install, capture_output=True, text=True, check=False, env=environment)
            if made.returncode:
                pytest.skip(f"MLServer can't be installed here: {made.stderr.strip().splitlines()[-1:]}")
            done.touch()
    return VENV / "bin/python"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class MLServer:
    """One that serves models of one small network, in a folder."""

    folder: Path
    weights: dict[str, np.ndarray]
    http: int = 0
    grpc: int = 0
    process: Any = None

    def model(self, name: str, **settings: Any) -> None:
        """Add a model of ``settings`` before it starts."""
        home = self.folder / name
        home.mkdir()
        shutil.copy(RUNTIME, home)
        np.savez(home / "weights.npz", first=self.weights["first"], second=self.weights["second"])
        told = {"name": name, "implementation": "small_network.SmallNetwork", "parameters": {"uri": "./weights.npz"}, **settings}
        (home / "model-settings.json").write_text(json.dumps(told))

    def start(self, **settings: Any) -> None:
        """Start, and wait until it is ready."""
        if not self.http:
            self.http, self.grpc, metrics = free_ports(3)
            told = {"host": "127.0.0.1", "http_port": self.http, "grpc_port": self.grpc, "metrics_port": metrics, "parallel_workers": 0}
            (self.folder / "settings.json").write_text(json.dumps({**told, **settings}))
        with (self.folder / "log").open("w") as log:
            command = [str(mlserver_python().with_name("mlserver")), "start", str(self.folder)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/health/ready", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        """Kill it at once."""
        self.process.kill()
        self.process.wait()


def _serialised(answer: Any) -> bytes:
    return answer.SerializeToString()


@dataclass
class Failing:
    """A server of one model (twice the sum of its input) that fails as it is told to.

    Attributes
    ----------
    failures : list
        What the next inferences do instead of answering: a status code with its details, or seconds to wait before the answer.
    most : int
        Rows that it takes at once; it says so as Triton does.
    """

    failures: list[tuple[grpc.StatusCode, str] | float] = field(default_factory=list)
    most: int = 10**6
    rows: list[int] = field(default_factory=list)
    typed: bool = False
    lost: bool = False
    port: int = 0

    def infer(self, request: Any, context: grpc.ServicerContext) -> Any:
        count = request.inputs[0].shape[0]
        self.rows.append(count)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, tuple):
                context.abort(failure[0], failure[1])
            time.sleep(failure)
        if count > self.most:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"inference request batch-size must be <= {self.most} for 'sum'")
        given = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(count, -1)
        sums = 2 * given.sum(1)[: count - 1 if self.lost else count]
        output: Any = messages.ModelInferResponse.InferOutputTensor(name="sum", datatype="FP32", shape=[len(sums)])
        if self.typed:
            output.contents.fp32_contents.extend(sums.tolist())
            return messages.ModelInferResponse(outputs=[output])
        return messages.ModelInferResponse(outputs=[output], raw_output_contents=[sums.astype("<f4").tobytes()])

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its URL."""

        def handler(method: Any, request: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(method, request.FromString, _serialised)

        told = messages.ModelMetadataResponse
        tensor = told.TensorMetadata
        metadata = told(inputs=[tensor(name="x", datatype="FP32", shape=[-1, 1, 2, 2])], outputs=[tensor(name="sum", datatype="FP32")])
        methods = {
            "ServerReady": handler(lambda *_: messages.ServerReadyResponse(ready=True), messages.ServerReadyRequest),
            "ModelReady": handler(lambda *_: messages.ModelReadyResponse(ready=True), messages.ModelReadyRequest),
            "ModelMetadata": handler(lambda *_: metadata, messages.ModelMetadataRequest),
            "ModelInfer": handler(self.infer, messages.ModelInferRequest),
        }
        server = grpc.server(futures.ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"grpc://127.0.0.1:{self.port}"
        finally:
            server.stop(0).wait()
