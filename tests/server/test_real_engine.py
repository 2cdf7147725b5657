"""Whole jobs of the true engine, over the wire."""

import asyncio
import io
import json
import os
import signal
from pathlib import Path

import grpc
import numpy as np
import pytest
from calls import refused
from google.protobuf.json_format import ParseDict

from actmax.server.execution.engine import ActmaxEngine
from actmax.v1 import catalog_service_pb2, job_pb2

ALLOWED = ("toy_lab",)


@pytest.fixture(autouse=True)
def _toy_lab(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "fixtures"))


def job(**changes) -> job_pb2.JobSpec:
    plain = {
        "generator": {"name": "toy_lab:codes", "options": {"bank": 20}},
        "target": {"name": "toy_lab:network"},
        "units": ["4[0]", "4[2]"],
        "optimizer": {"name": "tt-cross"},
        "baselines": [{"name": "random"}],
        "budget": {"evaluations": 300},
        "seed": 3,
    }
    return ParseDict({**plain, **changes}, job_pb2.JobSpec())


async def arrays(calls, name: str) -> dict[str, np.ndarray]:
    data = b"".join((await calls.download(name, "arrays.npz"))[1])
    with np.load(io.BytesIO(data)) as file:
        return dict(file)


async def test_a_job_is_checked_run_and_reported(serving):
    async with serving(engine=ActmaxEngine(), allow_imports=ALLOWED) as (_, calls):
        made = await calls.create(job(title="toy"))
        assert made.progress.total_evaluations == 4 * 300
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
        assert done.progress.evaluations == 4 * 300
        assert {(s.unit, s.optimizer) for s in done.progress.searches} == {(u, o) for u in ("4[0]", "4[2]") for o in ("tt-cross", "random")}
        assert all(np.isfinite(s.best_response) and s.stopped_by == "evaluations" for s in done.progress.searches)
        found = await calls.artifacts(made.name)
        assert {"report.html", "result.json", "arrays.npz", "montage.png"} <= set(found)
        assert found["report.html"].media_type == "text/html"
        assert b"toy" in b"".join((await calls.download(made.name, "report.html"))[1])

        by_field = {
            "spec.generator.name": {"generator": {"name": "cifar10-vqva"}},
            "spec.target.name": {"target": {"name": "os:system"}},
            "spec.units[1]": {"units": ["4[0]", "4[7]"]},
            "spec.optimizer.options.rnk": {"optimizer": {"name": "tt-cross", "options": {"rnk": 3}}},
            "spec.optimizer.options.rank": {"optimizer": {"name": "tt-cross", "options": {"rank": "many"}}},
            "spec.baselines[0].name": {"baselines": [{"name": "tt-cros"}]},
            "spec.device": {"device": "cuda:77"},
        }
        for field, change in by_field.items():
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, field):
                await calls.create(job(**change))
        assert len((await calls.page()).jobs) == 1

        kinds = catalog_service_pb2.ComponentKind
        entries = (await calls.catalog.ListComponents(catalog_service_pb2.ListComponentsRequest())).components
        assert {"tt-cross", "random"} <= {entry.name for entry in entries if entry.kind == kinds.COMPONENT_KIND_OPTIMIZER}
        request = catalog_service_pb2.DescribeTargetRequest(target=job_pb2.Component(name="toy_lab:network"))
        target = await calls.catalog.DescribeTarget(request)
        assert list(target.stimulus_shape) == [3, 6, 6]
        assert [list(layer.shape) for layer in target.layers if layer.name == "4"] == [[4]]
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "target.name"):
            request = catalog_service_pb2.DescribeTargetRequest(target=job_pb2.Component(name="cifar10-sn"))
            await calls.catalog.DescribeTarget(request)


async def test_an_analysis_of_an_ended_job_equals_one_of_the_job_itself_also_when_it_was_killed(serving, tmp_path):
    tuning = {"name": "toy_lab:Tuning", "options": {"levels": 5}}
    slow = {"name": "toy_lab:SlowTuning", "options": {"levels": 5, "folder": str(tmp_path)}}
    async with serving(engine=ActmaxEngine(), allow_imports=ALLOWED, checkpoint_seconds=0.001) as (server, calls):
        at_once = await calls.ended((await calls.create(job(analyses=[tuning]))).name)
        assert at_once.state == job_pb2.JOB_STATE_SUCCEEDED, at_once.error
        plain = await calls.ended((await calls.create(job())).name)
        before = {path: artifact.sha256 for path, artifact in (await calls.artifacts(plain.name)).items()}
        bad = grpc.StatusCode.INVALID_ARGUMENT
        async with refused(bad, "analyses[0].options.levels"):
            await calls.analyse(plain.name, tuning | {"options": {"levels": 1}})
        async with refused(bad, "analyses[0]", "records searches while they run"):
            await calls.analyse(plain.name, {"name": "film"})
        analysis = await calls.analyse(plain.name, tuning)
        done = await calls.ended(analysis.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
        one, other = [json.loads(b"".join((await calls.download(name, "result.json"))[1])) for name in (at_once.name, plain.name)]
        assert one["sections"] == other["sections"] != []
        assert one["spec"] == other["spec"]
        first, second = await arrays(calls, at_once.name), await arrays(calls, plain.name)
        assert set(first) == set(second)
        for name in first.keys() - {"seconds", "provenance"}:
            np.testing.assert_array_equal(first[name], second[name], name)
        page = b"".join((await calls.download(plain.name, "report.html"))[1])
        assert b"Tuning to contrast" in page
        after = {path: artifact.sha256 for path, artifact in (await calls.artifacts(plain.name)).items()}
        changed = {path for path, digest in before.items() if after[path] != digest}
        assert changed == {"result.json", "arrays.npz", "report.html"}

        # killed in the midst of it: what had been computed is not computed again
        killed = await calls.analyse(plain.name, slow)
        async with asyncio.timeout(200):
            while not (tmp_path / "waits").exists():
                await asyncio.sleep(0.02)
        os.kill(server.executor.processes()[killed.name.removeprefix("jobs/")], signal.SIGKILL)
        (tmp_path / "go").touch()
        ended = await calls.ended(killed.name)
        assert (ended.state, ended.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2), ended.error
        assert (tmp_path / "asked").read_text().split() == ["1", "2", "3", "4"]
        again = await arrays(calls, plain.name)
        (name,) = [name for name in set(again) - set(second) if "responses" in name]
        (same,) = [name for name in set(second) if "Tuning" in name]
        assert np.array_equal(again[name], second[same])


async def test_a_job_whose_worker_and_server_went_away_ends_as_if_nothing_had_happened(serving):
    spec = job(units=["4[1]"], optimizer={"name": "random"}, baselines=[], budget={"evaluations": 30_000})
    async with serving(engine=ActmaxEngine(), allow_imports=ALLOWED, checkpoint_seconds=0.3) as (server, calls):
        disturbed = await calls.create(spec)
        await calls.until(disturbed.name, lambda job: job.progress.evaluations > 1000)
        os.kill(next(iter(server.executor.processes().values())), signal.SIGKILL)
        again = await calls.until(disturbed.name, lambda job: job.attempt == 2)
        await calls.until(disturbed.name, lambda job: job.progress.evaluations != again.progress.evaluations)
        assert (await calls.get(disturbed.name)).state == job_pb2.JOB_STATE_RUNNING
        await server.stop()
    async with serving(engine=ActmaxEngine(), allow_imports=ALLOWED) as (_, calls):
        quiet = await calls.create(spec)
        done = await calls.ended(disturbed.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
        assert done.attempt in (2, 3)  # 2 where it came to its end while the server stopped
        assert (await calls.ended(quiet.name)).attempt == 1
        a, b = await arrays(calls, disturbed.name), await arrays(calls, quiet.name)
        assert sorted(a) == sorted(b)
        for key in a:
            if "seconds" not in key:
                np.testing.assert_array_equal(a[key], b[key])


async def test_noise_is_met_by_design_over_the_wire(serving):
    noisy = {"name": "noisy", "options": {"target": {"name": "toy_lab:network"}, "noise": "gaussian", "sigma": 0.05}}
    spec = job(target=noisy, baselines=[], sharing=False, budget={"evaluations": 120}, design={"replicates": 3, "remeasure": 0.2})
    assert job(design={}).design == job_pb2.Design()
    async with serving(engine=ActmaxEngine(), allow_imports=ALLOWED) as (_, calls):
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.target.options.target.name"):
            await calls.create(job(target={"name": "noisy", "options": {"target": {"name": "cifar10-sn"}}}))
        made = await calls.create(spec)
        assert made.spec.HasField("sharing")
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
        assert done.progress.evaluations == 240
        found = json.loads(b"".join((await calls.download(made.name, "result.json"))[1]))
        assert found["spec"]["design"] == {"replicates": 3, "remeasure": 0.2, "noisy": None}
        assert all(search["measurements"] == 6 and search["response_sem"] > 0 for search in found["searches"])


async def test_a_cancelled_job_keeps_what_was_found(serving):
    async with serving(engine=ActmaxEngine(), allow_imports=ALLOWED) as (_, calls):
        made = await calls.create(job(budget={"seconds": 300}))
        assert made.progress.total_evaluations == 0
        await calls.until(made.name, lambda job: job.progress.evaluations > 500)
        assert (await calls.cancel(made.name)).state == job_pb2.JOB_STATE_CANCELLING
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_CANCELLED
        result = json.loads(b"".join((await calls.download(made.name, "result.json"))[1]))
        assert result
        assert "report.html" in await calls.artifacts(made.name)


async def test_what_cannot_be_drawn_is_named_and_the_numbers_are_there(serving):
    cramped = {"name": "cramped_lab:target", "options": {"most_bytes": 12_000}}
    async with serving(engine=ActmaxEngine(), allow_imports=(*ALLOWED, "cramped_lab")) as (_, calls):
        made = await calls.create(job(target=cramped, baselines=[], budget={"evaluations": 60}, optimizer={"name": "random"}))
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
        found = await calls.artifacts(made.name)
        assert {"result.json", "arrays.npz", "stimuli/raw/4-0--random.png"} <= set(found)
        assert "report.html" not in found
        (warning,) = (warning for warning in done.progress.warnings if "could not be drawn" in warning)
        document = json.loads(b"".join((await calls.download(made.name, "result.json"))[1]))
        assert warning in document["warnings"]
        assert document["files"]["report"] is None
        assert (await arrays(calls, made.name))["responses"].shape == (2,)


async def test_numbers_without_room_fail_the_job_which_says_what_to_do(serving):
    cramped = {"name": "cramped_lab:target", "options": {"most_bytes": 1500}}
    async with serving(engine=ActmaxEngine(), allow_imports=(*ALLOWED, "cramped_lab")) as (_, calls):
        made = await calls.create(job(target=cramped, budget={"evaluations": 60}, optimizer={"name": "random"}, baselines=[]))
        failed = await calls.ended(made.name)
        assert (failed.state, failed.error.code) == (job_pb2.JOB_STATE_FAILED, "RESOURCE_EXHAUSTED")
        assert "make room and resume the job" in failed.error.message
        assert failed.progress.evaluations == 120
