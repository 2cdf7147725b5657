"""A server that lies must not make the client write where it should not, or keep what is not whole."""

from __future__ import annotations

import hashlib
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from actmax.client import ActmaxError, Client, DamagedArtifact, InvalidInput, ServerFault, Unavailable, UnsafePath
from actmax.client.jobs.artifacts import destination
from actmax.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc

BYTES = bytes(range(256)) * 40


def artifact(path: str = "found.bin", data: bytes = BYTES, **changes) -> job_pb2.Artifact:
    return job_pb2.Artifact(**{"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **changes})


class Liar(job_service_pb2_grpc.JobServiceServicer):
    """Announces ``artifacts`` and sends what ``send(offset)`` yields."""

    def __init__(self, artifacts, send) -> None:
        self.artifacts, self.send, self.calls = artifacts, send, []

    def ListArtifacts(self, request, context):
        return job_service_pb2.ListArtifactsResponse(artifacts=self.artifacts)

    def DownloadArtifact(self, request, context):
        self.calls.append(request.offset)
        for item in self.send(request.offset):
            if isinstance(item, grpc.StatusCode):
                context.abort(item, "as it is")
            yield item


@contextmanager
def lying(artifacts, send=lambda offset: whole(offset)):
    liar = Liar(artifacts, send)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    job_service_pb2_grpc.add_JobServiceServicer_to_server(liar, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}", patience=0.5, stream_patience=1.0) as client:
            yield client, liar
    finally:
        server.stop(0).wait()


def piece(data: bytes = b"", about: job_pb2.Artifact | None = None) -> job_service_pb2.DownloadArtifactResponse:
    return job_service_pb2.DownloadArtifactResponse(data=data, artifact=about)


def whole(offset: int):
    yield piece(BYTES[offset : offset + 5000], artifact())
    yield piece(BYTES[offset + 5000 :])


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/x", "a/../../x", "a//x", "", ".", "..", "a/", "C:\\x", "..\\x", "a\0b", "a\nb", "c:x", "x" * 300, "a/./b", "\u202ex"],
)
def test_no_path_leads_out_of_the_folder(path: str, tmp_path: Path) -> None:
    # One good artifact comes first, and is not written either.
    with lying([artifact("good.bin"), artifact(path)]) as (client, liar), pytest.raises(UnsafePath):
        client.fetch("jobs/1", tmp_path / "inner" / "found")
    assert liar.calls == []
    assert list(tmp_path.rglob("*")) == []


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "found"
    folder.mkdir()
    (folder / "stimuli").symlink_to(tmp_path / "elsewhere")
    (folder / "report.html").symlink_to(tmp_path / "elsewhere/report.html")
    for path in ("stimuli/one.png", "report.html"):
        with lying([artifact(path)]) as (client, _), pytest.raises(UnsafePath, match="link"):
            client.fetch("jobs/1", folder)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert destination(tmp_path / "link", "a/b.png") == tmp_path / "link/a/b.png"


@pytest.mark.parametrize(
    ("send", "says"),
    [
        (lambda offset: [piece(BYTES[:-1], artifact())], "should have 10240 bytes, but 10239 came"),
        (lambda offset: [piece(BYTES + b"x", artifact())], "more came"),
        (lambda offset: [piece(BYTES[::-1], artifact())], "differs from the announced"),
        (lambda offset: [piece(BYTES)], "before saying what it is"),
        (lambda offset: [], "did not say"),
        (lambda offset: [piece(BYTES, artifact(sha256=""))], "differs from the announced"),
        (lambda offset: [piece(BYTES[:9], artifact()), piece(b"", artifact(sha256="00"))], "changed while"),
    ],
)
def test_damaged_bytes_leave_nothing(send, says: str, tmp_path: Path) -> None:
    (tmp_path / "found.bin").write_text("the earlier one")
    with lying([artifact()], send) as (client, _), pytest.raises(DamagedArtifact, match=says):
        client.fetch("jobs/1", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["found.bin"]
    assert (tmp_path / "found.bin").read_text() == "the earlier one"


def test_an_interrupted_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    def send(offset: int):
        yield piece(BYTES[offset : offset + 3000], artifact())
        if offset + 3000 < len(BYTES):
            yield grpc.StatusCode.UNAVAILABLE

    with lying([artifact()], send) as (client, liar):
        client.fetch("jobs/1", tmp_path)
    assert liar.calls == [0, 3000, 6000, 9000]
    assert (tmp_path / "found.bin").read_bytes() == BYTES


def test_a_download_that_never_moves_ends(tmp_path: Path) -> None:
    with lying([artifact()], lambda offset: [grpc.StatusCode.UNAVAILABLE]) as (client, _), pytest.raises(Unavailable, match="as it is"):
        client.download("jobs/1", "found.bin")


class Failing(job_service_pb2_grpc.JobServiceServicer):
    """GetJob fails with ``status``."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.status, self.calls = status, 0

    def GetJob(self, request, context):
        self.calls += 1
        context.abort_with_status(rpc_status.to_status(self.status))


def failure(code: int, message: str, *details) -> tuple[ActmaxError, int]:
    """What a client raises for a status, and after how many calls."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    failing = Failing(status_pb2.Status(code=code, message=message, details=packed))
    server = grpc.server(futures.ThreadPoolExecutor(2))
    job_service_pb2_grpc.add_JobServiceServicer_to_server(failing, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}", patience=0.5) as client, pytest.raises(ActmaxError) as caught:
            client.get("jobs/1")
    finally:
        server.stop(0).wait()
    return caught.value, failing.calls


def test_errors_carry_fields_and_reason() -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="spec.budget", description="set evaluations or seconds")
    error, calls = failure(
        code_pb2.INVALID_ARGUMENT,
        "the job is wrong",
        error_details_pb2.ErrorInfo(reason="INVALID_JOB", domain="actmax"),
        error_details_pb2.BadRequest(field_violations=[violation]),
    )
    assert isinstance(error, InvalidInput)
    assert str(error) == "the job is wrong:\n  spec.budget: set evaluations or seconds"
    assert error.to_dict() == {
        "code": "INVALID_ARGUMENT",
        "message": "the job is wrong",
        "reason": "INVALID_JOB",
        "violations": [{"field": "spec.budget", "description": "set evaluations or seconds"}],
    }
    assert calls == 1


def test_only_an_unavailable_server_is_called_again() -> None:
    assert failure(code_pb2.UNAVAILABLE, "stopping")[1] > 1
    error, calls = failure(code_pb2.INTERNAL, "a bug")
    assert isinstance(error, ServerFault)
    assert (error.code, calls) == ("INTERNAL", 1)


class Forgetful(job_service_pb2_grpc.JobServiceServicer):
    """Refuses to delete with one status after the other."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def DeleteJob(self, request, context):
        status = status_pb2.Status(code=self.codes.pop(0), message="as it is")
        if status.code == code_pb2.RESOURCE_EXHAUSTED:
            again = error_details_pb2.RetryInfo()
            again.retry_delay.FromMilliseconds(10)
            status.details.add().Pack(again)
        context.abort_with_status(rpc_status.to_status(status))


@pytest.mark.parametrize(
    ("codes", "succeeds"),
    [
        ((code_pb2.UNAVAILABLE, code_pb2.NOT_FOUND), True),
        ((code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED, code_pb2.NOT_FOUND), True),
        ((code_pb2.RESOURCE_EXHAUSTED, code_pb2.NOT_FOUND), False),
        ((code_pb2.NOT_FOUND,), False),
    ],
)
def test_a_deletion_whose_answer_was_lost_has_succeeded_where_the_job_is_gone(codes, succeeds):
    servicer = Forgetful(*codes)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    job_service_pb2_grpc.add_JobServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}", patience=5.0) as client:
            if succeeds:
                client.delete("jobs/x")
            else:
                with pytest.raises(ActmaxError, match="as it is"):
                    client.delete("jobs/x")
    finally:
        server.stop(0).wait()
    assert not servicer.codes
