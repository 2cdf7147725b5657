"""A data folder outlives its servers, however they end."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from calls import calling, spec
from paced_engine import PacedEngine

from actmax.server.app import Server
from actmax.server.config import ServerConfig, StartError
from actmax.v1 import job_pb2

SCRIPT = Path(__file__).with_name("paced_engine.py")


@asynccontextmanager
async def own_process(data: Path, address: str = "127.0.0.1:0", **settings: Any):
    """A server in a process group of its own; yields the process and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        str(data),
        address,
        json.dumps(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 200)).decode()
        ready = re.fullmatch(rf"actmax serving on (127\.0\.0\.1:\d+), data in {re.escape(str(data))}\n", line)
        assert ready, line
        yield process, ready[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def result(calls, name: str) -> dict:
    return json.loads(b"".join((await calls.download(name, "result.json"))[1]))


def running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_jobs_go_on_after_a_stop_in_order(serving):
    async with serving() as (server, calls):
        first, second = await calls.create(spec(steps=100)), await calls.create(spec(steps=3))
        await calls.until(first.name, lambda job: job.progress.evaluations > 5)
        await server.stop()
    async with serving() as (_, calls):
        done = await calls.ended(first.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert await result(calls, first.name) == {"done": list(range(100)), "attempts": 2}
        assert (await calls.ended(second.name)).attempt == 1
        # A client that watched before goes on where it was.
        states = [w.event.state_change.state for w in await calls.watch(first.name) if w.event.HasField("state_change")]
        pending, runs = job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_RUNNING
        assert states == [pending, runs, pending, runs, job_pb2.JOB_STATE_SUCCEEDED]


async def test_a_killed_server_takes_its_worker_with_it_and_the_next_one_goes_on(tmp_path):
    data = tmp_path / "data"
    key = "123e4567-e89b-42d3-a456-426614174000"
    async with own_process(data) as (process, address), calling(address) as calls:
        made = await calls.create(spec(steps=150), key)
        cancelled = await calls.create(spec(steps=10))
        await calls.until(made.name, lambda job: job.progress.evaluations > 5)
        worker = int((data / made.name / "work-1" / "pid").read_text())
        assert running(worker)
        process.kill()  # the server alone, as an OOM killer does
        await process.wait()
        async with asyncio.timeout(200):
            while running(worker):
                await asyncio.sleep(0.02)
    async with own_process(data) as (process, address), calling(address) as calls:
        assert (await calls.create(spec(steps=150), key)).name == made.name
        await calls.cancel(cancelled.name)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert await result(calls, made.name) == {"done": list(range(150)), "attempts": 2}
        assert (await calls.get(cancelled.name)).state == job_pb2.JOB_STATE_CANCELLED


async def test_a_server_killed_during_an_analysis_leaves_the_results_whole_and_the_next_one_goes_on(tmp_path):
    data = tmp_path / "data"
    async with own_process(data) as (process, address), calling(address) as calls:
        made = await calls.ended((await calls.create(spec(steps=2))).name)
        analysis = await calls.analyse(made.name, {"steps": 100, "pace": 0.02})
        await calls.until(analysis.name, lambda job: "counting" in job.progress.stage)
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    async with own_process(data) as (process, address), calling(address) as calls:
        assert "sections" not in await result(calls, made.name)
        done = await calls.ended(analysis.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert (await result(calls, made.name))["sections"] == [{"counted": 100, "title": ""}]


async def test_a_job_that_takes_its_server_down_again_and_again_is_given_up_and_others_are_not(tmp_path):
    limits: dict[str, Any] = {"max_server_deaths": 3, "workers": 2}
    data = tmp_path / "data"
    go = tmp_path / "go"
    deadly = steady = None
    for death in range(3):
        async with own_process(data, **limits) as (process, address), calling(address) as calls:
            if deadly is None or steady is None:
                steady = await calls.create(spec(steps=2000, pace=0.02))
                deadly = await calls.create(spec(steps=3, mishap="server", at=1, until=99, awaits=str(go)))
            reached = (await calls.get(steady.name)).progress.evaluations
            # that it gets further in every attempt is what tells it from the other
            await calls.until(
                steady.name, lambda job, reached=reached, attempt=death + 1: job.attempt == attempt and job.progress.evaluations > reached
            )
            go.touch()
            assert await asyncio.wait_for(process.wait(), 200) == -signal.SIGKILL
            go.unlink()
    async with own_process(data, **limits) as (_, address), calling(address) as calls:
        assert deadly is not None
        assert steady is not None
        given_up = await calls.ended(deadly.name)
        assert (given_up.state, given_up.attempt, given_up.error.code) == (job_pb2.JOB_STATE_FAILED, 3, "RESOURCE_EXHAUSTED")
        assert "its server had gone away; that happened 3 times" in given_up.error.message
        await calls.until(steady.name, lambda job: job.attempt == 4 and job.state == job_pb2.JOB_STATE_RUNNING)
        await calls.cancel(steady.name)
        assert (await calls.ended(steady.name)).state == job_pb2.JOB_STATE_CANCELLED
        assert (await calls.ended((await calls.create(spec(steps=1))).name)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_stops_in_order_are_no_deaths(tmp_path):
    made = None
    for stop in range(3):
        async with own_process(tmp_path / "data", max_server_deaths=1, max_attempts=1) as (process, address), calling(address) as calls:
            made = made or await calls.create(spec(steps=5, pace=0.4))
            await calls.until(made.name, lambda job, stop=stop: job.attempt == stop + 1)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 200) == 0
    async with own_process(tmp_path / "data", max_server_deaths=1) as (_, address), calling(address) as calls:
        assert made is not None
        assert (await calls.ended(made.name)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_a_cancellation_outlives_a_killed_server(tmp_path):
    async with own_process(tmp_path / "data") as (process, address), calling(address) as calls:
        made = await calls.create(spec(steps=5000, pace=0.3))
        await calls.until(made.name, lambda job: job.progress.evaluations > 1)
        await calls.cancel(made.name)
        process.kill()
    async with own_process(tmp_path / "data") as (_, address), calling(address) as calls:
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_CANCELLED
        assert len((await result(calls, made.name))["done"]) >= 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_a_server_in_order(tmp_path, number):
    async with own_process(tmp_path / "data") as (process, address), calling(address) as calls:
        made = await calls.create(spec(steps=5000))
        await calls.until(made.name, lambda job: job.progress.evaluations > 1)
        os.killpg(process.pid, number)  # as a terminal or systemd does: every process of the group
        assert await asyncio.wait_for(process.wait(), 200) == 0
        work = tmp_path / "data" / made.name / "work-1"
        assert json.loads((work / "checkpoint.json").read_text())["done"]
        assert not running(int((work / "pid").read_text()))


async def test_a_second_signal_stops_it_at_once(tmp_path):
    async with own_process(tmp_path / "data", stop_seconds=3000) as (process, address), calling(address) as calls:
        made = await calls.create(spec(steps=5000, pace=3000))
        async with asyncio.timeout(200):
            while not (tmp_path / "data" / made.name / "work-1" / "pid").exists():
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # its worker is in its long step
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)
        assert process.returncode is None
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 200) == 0


async def test_a_data_folder_has_one_live_server(serving, tmp_path):
    async with serving() as (server, calls):
        with pytest.raises(StartError, match=rf"in use by the server at {server.address} \(process {os.getpid()}\)"):
            await Server(ServerConfig(address="127.0.0.1:0", data=tmp_path / "data"), engine=PacedEngine()).start()
        assert (await calls.create(spec(steps=1))).name


async def test_a_taken_port_is_told_and_leaves_nothing(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), str(tmp_path / "data"), address, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 200)
        assert process.returncode == 1
        assert out == b""
        assert re.search(rf"actmax: {address} can't be listened on: port \d+ of 127.0.0.1 is taken", err.decode())
        assert "Traceback" not in err.decode()
        assert not (tmp_path / "data").exists()


async def test_two_servers_never_share_a_port(serving, tmp_path):
    async with serving() as (server, _):
        with pytest.raises(StartError, match="taken"):
            await Server(ServerConfig(address=server.address, data=tmp_path / "other"), engine=PacedEngine()).start()
        assert not (tmp_path / "other").exists()


async def test_a_data_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "actmax.db").write_bytes(b"no database " * 1000)
    for name, words in {"file": "can't be used", "file/below": "can't be used", "damaged": "can't be read as a database"}.items():
        server = Server(ServerConfig(address="127.0.0.1:0", data=tmp_path / name), engine=PacedEngine())
        with pytest.raises(StartError, match=words):
            await server.start()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server._port), timeout=1).close()


async def test_stopping_twice_and_without_work(serving):
    async with serving() as (server, calls):
        await asyncio.gather(server.stop(), server.stop())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await calls.page()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
