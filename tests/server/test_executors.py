"""What every executor keeps, local workers and a real Ray cluster alike: jobs run, stop, go on after a death, and give the same bits."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from calls import refused, spec
from google.protobuf.json_format import ParseDict

from actmax.engine.run import RunSettings, run_job
from actmax.engine.spec import JobSpec
from actmax.models.permissions import Permissions
from actmax.server.config import ServerConfig
from actmax.server.execution.engine import ActmaxEngine
from actmax.server.execution.ray_cluster import RayCluster
from actmax.v1 import job_pb2

FIXTURES = str(Path(__file__).parents[1] / "fixtures")
PATIENCE = 400.0  # a cluster's processes start slowly on a busy machine
pytestmark = pytest.mark.timeout(900)
SUCCEEDED, SUSPENDED, CANCELLED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_SUSPENDED, job_pb2.JOB_STATE_CANCELLED


@pytest.fixture(scope="module", params=["local", "ray"])
def executor(request):
    """The setting; for Ray a cluster as ``executor: ray`` starts it, which servers of the tests join."""
    if request.param == "local":
        yield "local"
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [FIXTURES, *sys.path])
        cluster = RayCluster(ServerConfig(executor="ray"))
        cluster.start()
        for name, value in cluster.joining.environment.items():
            patch.setenv(name, value)
        try:
            yield f"ray:{cluster.joining.address}"
        finally:
            cluster.close()


async def result(calls, name: str) -> dict:
    return json.loads(b"".join((await calls.download(name, "result.json"))[1]))


async def test_jobs_run_stop_and_go_on(serving, executor):
    async with serving(executor=executor, workers=4, threads=1) as (_, calls):
        resources = {"cpus": 0.25}

        def job(**options):
            made = spec(**options)
            ParseDict({"resources": resources}, made)
            return made

        killed, paused, wrong = [
            await calls.create(made) for made in (job(steps=30, mishap="sigkill", at=20), job(steps=3000), job(steps=5, mishap="bug", at=2))
        ]
        watch = asyncio.create_task(calls.watch(killed.name))
        await calls.until(paused.name, lambda job: job.progress.evaluations > 3, PATIENCE)
        assert (await calls.suspend(paused.name)).suspending
        reached = (await calls.until(paused.name, lambda job: job.state == SUSPENDED, PATIENCE)).progress.evaluations
        assert 3 < reached < 3000
        await calls.resume(paused.name)
        again = await calls.until(paused.name, lambda job: job.progress.evaluations > reached, PATIENCE)
        assert again.attempt == 2
        await calls.cancel(paused.name)
        assert (await calls.ended(paused.name, PATIENCE)).state == CANCELLED
        kept = await result(calls, paused.name)
        assert kept["done"] == list(range(len(kept["done"])))
        assert kept["attempts"] == 2

        done = await calls.ended(killed.name, PATIENCE)
        assert (done.state, done.attempt, done.progress.evaluations) == (SUCCEEDED, 2, 30)
        assert await result(calls, killed.name) == {"done": list(range(30)), "attempts": 2}
        found = await calls.artifacts(killed.name)
        assert set(found) == {"result.json", "stimuli/one.png", "empty.txt"}
        assert b"".join((await calls.download(killed.name, "stimuli/one.png"))[1]) == bytes(range(256)) * 4
        analysis = await calls.ended((await calls.analyse(killed.name, {"steps": 9, "at": 4, "mishap": "sigkill"})).name, PATIENCE)
        assert (analysis.state, analysis.attempt) == (SUCCEEDED, 2), analysis.error
        assert await result(calls, killed.name) == {"done": list(range(30)), "attempts": 2, "sections": [{"counted": 9, "title": ""}]}
        assert set(await calls.artifacts(killed.name)) == {*found, "section-1.png"}
        seen = [response.event.progress.evaluations for response in await watch if response.event.HasField("progress")]
        assert seen == sorted(seen)
        assert seen[-1] == 30

        failed = await calls.ended(wrong.name, PATIENCE)
        assert (failed.state, failed.error.code, failed.attempt) == (job_pb2.JOB_STATE_FAILED, "INTERNAL", 1)
        assert "division by zero" in failed.error.message


async def test_what_no_machine_has_is_refused_with_what_there_is(serving, executor):
    async with serving(executor=executor) as (_, calls):
        for resources, field in (({"cpus": 5000}, "cpus"), ({"gpus": 900}, "gpus"), ({"memory": 900_000}, "memory")):
            asked = spec()
            ParseDict({"resources": resources}, asked)
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, f"spec.resources.{field}", match="are more than"):
                await calls.create(asked)
        asked = spec()
        ParseDict({"replicas": {"n": 900}}, asked)
        if executor == "local":  # one process evaluates all chunks
            assert (await calls.ended((await calls.create(asked)).name, PATIENCE)).state == SUCCEEDED
        else:
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.replicas.n", match="holds"):
                await calls.create(asked)


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.nightly)], indirect=True)
async def test_workers_and_replicas_die_and_no_bit_changes(serving, executor, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FIXTURES)

    def job(folder: str, **dies) -> dict:
        (tmp_path / folder).mkdir()
        return {
            "generator": {"name": "toy_lab:decoder"},
            "target": {"name": "fragile_lab:target", "options": {"folder": str(tmp_path / folder), **dies}},
            "units": ["4[0]", "4[2]"],
            "optimizer": {"name": "cma"},
            "budget": {"evaluations": 400},
            "seed": 3,
            "device": "cpu",
            "replicas": {"n": 2, "chunk": 3},
            "resources": {"cpus": 1.0},
        }

    plain = job("quiet")
    imports = ("toy_lab", "fragile_lab")
    run_job(JobSpec.parse(plain), tmp_path / "run", permissions=Permissions.of(imports, allow_files=True), settings=RunSettings(threads=1))
    expected = dict(np.load(tmp_path / "run" / "artifacts" / "arrays.npz"))

    replica = {} if executor == "local" else {"replica": 5}
    disturbed = job("disturbed", worker=40, **replica)
    settings = {"engine": ActmaxEngine(), "allow_imports": imports, "threads": 1, "checkpoint_seconds": 0.05}
    async with serving(executor=executor, **settings) as (_, calls):
        made = await calls.create(ParseDict(disturbed, job_pb2.JobSpec()))
        done = await calls.ended(made.name, PATIENCE)
        assert (done.state, done.attempt) == (SUCCEEDED, 2), done
        found = dict(np.load(io.BytesIO(b"".join((await calls.download(made.name, "arrays.npz"))[1]))))
    assert {path.name for path in (tmp_path / "disturbed").iterdir()} == {"worker", *replica}
    assert found.keys() == expected.keys()
    expected.pop("provenance")  # names the job's own digest
    differing = [name for name, array in expected.items() if not np.array_equal(found[name], array, equal_nan=array.dtype.kind == "f")]
    assert not differing


@pytest.mark.parametrize("executor", ["ray"], indirect=True)
def test_a_cluster_of_the_servers_own_keeps_to_the_loopback_and_has_a_token(executor):
    assert os.environ["RAY_AUTH_MODE"] == "token"
    heads: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            heads += [process] if "gcs_server" in " ".join(process.cmdline()) else []
    assert heads
    listening: list[str] = []
    for process in heads[0].parent().children(recursive=True):  # type: ignore[union-attr]
        with contextlib.suppress(psutil.Error):
            listening += [one.laddr.ip for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
    assert listening
    assert all(ip.removeprefix("::ffff:").startswith("127.") or ip == "::1" for ip in listening), listening
