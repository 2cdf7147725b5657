"""The client against real servers: also ones that vanish and come back."""

from __future__ import annotations

import threading
import uuid
from itertools import islice
from pathlib import Path

import pytest
from serving import ENDLESS, TOY, ServerProcess

from actmax.client import Client, InvalidInput, NotFound, Unavailable, WrongState
from actmax.client.jobs import jobfile
from actmax.v1 import job_pb2, job_service_pb2
from actmax.wire import retry


@pytest.fixture(scope="module")
def client(server):
    with Client(server.address) as client:
        yield client


@pytest.fixture(scope="module")
def finished(client) -> job_pb2.Job:
    return client.wait(client.create(jobfile.loads(TOY).spec).name)


def test_a_job_from_a_mapping_runs_to_its_end(client) -> None:
    job = client.create({**jobfile.to_plain(jobfile.loads(TOY).spec), "optimizer": "random", "units": "4[1]"})
    assert job.name.startswith("jobs/")
    kinds = [response.WhichOneof("content") for response in client.watch(job.name)]
    assert kinds[0] == "snapshot"
    assert set(kinds[1:]) == {"event"}
    ended = client.get(job.name)
    assert ended.state == job_pb2.JOB_STATE_SUCCEEDED
    assert ended.progress.evaluations == 200


def test_the_same_request_makes_one_job(client) -> None:
    request, spec = str(uuid.uuid4()), jobfile.loads(TOY).spec
    assert client.create(spec, request).name == client.create(spec, request).name


def test_wrong_jobs_are_refused_by_field(client) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.create(jobfile.loads(TOY, ["units[1]=4[9]", "optimizer=randon"]).spec)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert "spec.units[1]" in {v.field for v in caught.value.violations}
    assert "spec.units[1]: " in str(caught.value)
    with pytest.raises(InvalidInput, match="did you mean units"):
        client.create({"unit": ["x"]})


def test_jobs_are_listed_page_by_page(client) -> None:
    # The first one keeps the only worker busy, so the others wait and are cancelled at once.
    made = [client.create(jobfile.loads(TOY, [ENDLESS, f"title=number {number}"]).spec).name for number in range(5)]
    for name in made[::-1]:
        client.cancel(name)
    listed = [job.name for job in islice(client.list(page_size=2), 5)]
    assert listed == made[::-1]
    everything = [job.name for job in client.list()]
    assert len(everything) == len(set(everything)) >= 5
    assert made[0] not in [job.name for job in client.list(states=["JOB_STATE_RUNNING"])]


def test_unknown_jobs_and_artifacts(client, finished) -> None:
    for call in (client.get, client.cancel, client.artifacts, client.wait):
        with pytest.raises(NotFound, match="no job"):
            call("jobs/ffffffff")
    with pytest.raises(NotFound, match="no artifact"):
        client.download(finished.name, "reports.html")


def test_artifacts_are_fetched_once_and_whole(client, finished, tmp_path: Path) -> None:
    paths = client.fetch(finished.name, tmp_path / "found")
    names = {path.relative_to(tmp_path / "found").as_posix() for path in paths}
    assert {"report.html", "result.json", "arrays.npz"} <= names
    assert {path for path in (tmp_path / "found").rglob("*") if path.is_file()} == set(paths)
    assert client.download(finished.name, "report.html") == (tmp_path / "found/report.html").read_bytes()

    before = {path: path.stat().st_mtime_ns for path in paths}
    spoiled = tmp_path / "found/result.json"
    good = spoiled.read_bytes()
    spoiled.write_bytes(good[::-1])
    (tmp_path / "found/mine.txt").touch()
    assert client.fetch(finished.name, tmp_path / "found") == paths
    assert spoiled.read_bytes() == good
    assert {path for path in paths if path.stat().st_mtime_ns != before[path]} == {spoiled}


def test_a_running_job_is_cancelled_and_keeps_what_it_found(client) -> None:
    job = client.create(jobfile.loads(TOY, [ENDLESS]).spec)
    for response in client.watch(job.name):
        if response.event.progress.evaluations:
            break
    assert client.cancel(job.name).state in (job_pb2.JOB_STATE_CANCELLING, job_pb2.JOB_STATE_CANCELLED)
    assert client.wait(job.name).state == job_pb2.JOB_STATE_CANCELLED
    assert "report.html" in {artifact.path for artifact in client.artifacts(job.name)}
    with pytest.raises(WrongState, match="ended already"):
        client.cancel(job.name)


def test_a_watch_goes_on_after_its_token(client, finished) -> None:
    events = [response for response in client.watch(finished.name) if response.HasField("event")]
    middle = events[len(events) // 2]
    rest = [response.event.sequence for response in client.watch(finished.name, middle.resume_token) if response.HasField("event")]
    assert rest == [response.event.sequence for response in events if response.event.sequence > middle.event.sequence]


def test_the_catalog(client) -> None:
    assert {"random", "adam"} <= {info.name for info in client.components("optimizer")}
    assert {"cifar10-snn", "cifar10-vqvae"} <= {info.name for info in client.components()}
    with pytest.raises(InvalidInput, match="did you mean optimizer"):
        client.components("optimiser")
    described = client.describe_target({"name": "toy_lab:network", "options": {}})
    assert list(described.stimulus_shape) == [3, 6, 6]
    assert [4] in [list(layer.shape) for layer in described.layers]
    assert client.limits().workers == 1


def test_nothing_listens(pauses_of) -> None:
    pauses = pauses_of(retry)
    with Client("127.0.0.1:1", patience=0.5) as client, pytest.raises(Unavailable, match=r"cannot reach a server at 127\.0\.0\.1:1"):
        client.get("jobs/1")
    assert pauses  # it was tried again


def test_a_watch_survives_a_killed_server(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    try:
        with Client(server.address) as client:
            job = client.create(jobfile.loads(TOY, ["budget={seconds: 4}"]).spec)
            sequences: list[int] = []
            killer: threading.Thread | None = None
            for response in client.watch(job.name):
                if response.HasField("event"):
                    sequences.append(response.event.sequence)
                if killer is None and response.event.progress.evaluations:
                    killer = threading.Thread(target=lambda: (server.kill(), server.start()))
                    killer.start()
            assert killer is not None
            killer.join()
            ended = client.get(job.name)
            assert ended.state == job_pb2.JOB_STATE_SUCCEEDED
            assert ended.attempt == 2
            assert sequences == sorted(set(sequences))
    finally:
        server.stop()


def test_a_server_that_stays_away_and_comes_back(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    try:
        with Client(server.address, patience=30, stream_patience=1.0) as client:
            first = client.create(jobfile.loads(TOY, [ENDLESS]).spec)
            watch = client.watch(first.name)
            next(watch)
            assert server.stop() == 0
            with pytest.raises(Unavailable):
                list(watch)
            back = threading.Timer(0.5, server.start)
            back.start()
            second = client.create(jobfile.loads(TOY).spec)
            back.join()
            assert [job.name for job in client.list()] == [second.name, first.name]
    finally:
        server.stop()


def test_channel_is_closed_with_the_client(server) -> None:
    with Client(server.address) as client:
        client.limits()
    with pytest.raises(ValueError):  # noqa: PT011  # the words are gRPC's
        client._jobs.GetJob(job_service_pb2.GetJobRequest(name="jobs/1"))
