"""Who may call, over the wire: TLS, clients' certificates, tokens, scopes, owners."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from calls import Calls, details, refused, spec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from actmax.client import Client, Credentials, InvalidInput, NotFound, Refused, Unavailable
from actmax.server.config import ConfigError, ServerConfig, StartError
from actmax.server.security.tokens import Tokens
from actmax.v1 import catalog_service_pb2, job_pb2, job_service_pb2

NOBODY, FORBIDDEN = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


@asynccontextmanager
async def as_caller(server, text: str):
    async def shown(_self, continuation, call, request):
        metadata = grpc.aio.Metadata(*(call.metadata or ()), ("authorization", text))
        return await continuation(call._replace(metadata=metadata), request)

    # An interceptor of both kinds is taken for one kind only.
    unary = type("Unary", (grpc.aio.UnaryUnaryClientInterceptor,), {"intercept_unary_unary": shown})()
    stream = type("Stream", (grpc.aio.UnaryStreamClientInterceptor,), {"intercept_unary_stream": shown})()
    async with grpc.aio.insecure_channel(server.address, interceptors=[unary, stream]) as channel:
        yield Calls(channel)


async def test_tokens_keep_out_and_owners_apart(serving):
    async with serving(tokens=True, max_queued_per_owner=1) as (server, anonymous):
        tokens = Tokens(server.store.database)
        secret = {owner: tokens.create(owner, ["submit"])[1] for owner in ("ann", "bob")}
        record, reads = tokens.create("ann", ["read"])
        admin = tokens.create("root", ["admin"])[1]
        ended = tokens.create("ann", ["submit"], seconds=1e-6)[1]
        for text in ("", "Bearer", "Bearer x", f"Basic {reads}", f"Bearer {reads}x", f"Bearer {reads[:-1]}", f"Bearer {ended}"):
            async with as_caller(server, text) as calls, refused(NOBODY):
                await calls.page()
        async with refused(NOBODY, match="token"):
            await anonymous.watch("jobs/x")
        health = health_pb2_grpc.HealthStub(anonymous.channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING  # type: ignore[misc]

        async with as_caller(server, f"Bearer {secret['ann']}") as ann, as_caller(server, f"bearer {secret['bob']}") as bob:
            made = await ann.create(spec(steps=3))
            assert made.owner == "ann"
            await ann.ended(made.name)
            key = "123e4567-e89b-42d3-a456-426614174000"
            others = await bob.create(spec(steps=3), key)
            assert (await ann.create(spec(steps=2), key)).name != others.name  # a request id is its owner's
            assert [job.name for job in (await bob.page()).jobs] == [others.name]
            changes = (bob.cancel, bob.suspend, bob.resume, bob.delete)
            for call in (bob.get, *changes, bob.watch, bob.artifacts, lambda name: bob.download(name, "result.json")):
                async with refused(grpc.StatusCode.NOT_FOUND) as found:
                    await call(made.name)
                assert made.name not in str(found[0].details()).replace(made.name, "", 1)  # nothing near is named
            async with refused(grpc.StatusCode.NOT_FOUND, match="ListJobs"):
                await bob.get(made.name[:-2])
            async with as_caller(server, f"Bearer {admin}") as root:
                assert len((await root.page()).jobs) == 3
                assert (await root.get(made.name)).owner == "ann"
            async with as_caller(server, f"Bearer {reads}") as reader:
                assert (await reader.get(made.name)).name == made.name
                for call in (lambda: reader.create(spec()), lambda: reader.delete(made.name), lambda: reader.cancel(made.name)):
                    async with refused(FORBIDDEN, match="submit") as found:
                        await call()
                    assert details(found[0])[0].reason == "MISSING_SCOPE"
                async with refused(FORBIDDEN):
                    await reader.catalog.DescribeTarget(catalog_service_pb2.DescribeTargetRequest(target=job_pb2.Component(name="known")))
            assert tokens.revoke(record.id)
            assert not tokens.revoke(record.id)
            await ann.ended((await ann.page()).jobs[0].name)


async def test_an_analysis_has_the_rights_and_quotas_of_the_job_that_it_is_of(serving):
    async with serving(tokens=True, max_queued_per_owner=1) as (server, _):
        tokens = Tokens(server.store.database)
        secrets = [
            tokens.create(owner, [scope])[1] for owner, scope in (("ann", "submit"), ("bob", "submit"), ("ann", "read"), ("root", "admin"))
        ]
        async with AsyncExitStack() as stack:
            ann, bob, reader, root = [await stack.enter_async_context(as_caller(server, f"Bearer {secret}")) for secret in secrets]
            made = await ann.ended((await ann.create(spec(steps=2))).name)
            async with refused(grpc.StatusCode.NOT_FOUND):
                await bob.analyse(made.name, {})
            async with refused(grpc.StatusCode.PERMISSION_DENIED):
                await reader.analyse(made.name, {})
            busy = await ann.create(spec(steps=10_000))
            await ann.until(busy.name, lambda job: job.state == job_pb2.JOB_STATE_RUNNING)
            queued = await root.analyse(made.name, {})
            assert queued.owner == "ann"
            async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
                await ann.analyse(made.name, {})
            await ann.cancel(busy.name)
            assert (await ann.ended(queued.name)).state == job_pb2.JOB_STATE_SUCCEEDED
            async with refused(grpc.StatusCode.NOT_FOUND):
                await bob.get(queued.name)


async def test_what_is_kept_of_a_token_is_not_the_token(serving, tmp_path):
    async with serving(tokens=True) as (server, _):
        text = Tokens(server.store.database).create("ann", ["admin", "read"])[1]
        with pytest.raises(ValueError, match="scopes"):
            Tokens(server.store.database).create("ann", ["root"])
        with pytest.raises(ValueError, match="owner"):
            Tokens(server.store.database).create("a b", ["read"])
    assert text.rsplit("_", 1)[1].encode() not in b"".join(path.read_bytes() for path in (tmp_path / "data").glob("actmax.db*"))


@pytest.fixture
def certificates(tmp_path):
    authority, other = trustme.CA(), trustme.CA()
    files: dict[str, Any] = {}
    for name, made in {
        "server": authority.issue_cert("localhost", "127.0.0.1"),
        "ann": authority.issue_cert("ann@lab.org", common_name="ann"),
        "mallory": other.issue_cert("mallory@lab.org", common_name="ann"),
    }.items():
        files[name] = (str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key"))
        made.private_key_pem.write_to_path(files[name][1])
        for number, blob in enumerate(made.cert_chain_pems):
            blob.write_to_path(files[name][0], append=number > 0)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    return files | {"authority": authority, "ca": str(tmp_path / "ca.pem"), "other": str(tmp_path / "other.pem")}


async def test_tls_and_clients_certificates(serving, certificates):
    certificate, key = certificates["server"]
    tls = {"tls_certificate": certificate, "tls_key": key}

    async def called(address: str, credentials: Credentials) -> list[str]:
        def call() -> list[str]:
            with Client(address, credentials=credentials, patience=0.1, timeout=60) as client:
                return [job.owner for job in client.list()]

        return await asyncio.to_thread(call)

    async with serving(**tls, tokens=True) as (server, _):
        token = Tokens(server.store.database).create("ann", ["submit"])[1]
        address = server.address.replace("127.0.0.1", "localhost")
        assert await called(f"grpcs://{address}", Credentials(token, certificates["ca"])) == []
        with pytest.raises(Refused, match="token"):
            await called(f"grpcs://{address}", Credentials("", certificates["ca"]))
        for wrong in (Credentials(token, certificates["other"]), Credentials(token)):  # a stranger's server; and plain text to a TLS port
            with pytest.raises(Unavailable):
                await called(address, wrong)
    async with serving(**tls, tls_client_ca=certificates["ca"]) as (server, _):

        def submit():
            with Client(server.address, credentials=Credentials("", certificates["ca"], *certificates["ann"])) as client:
                name = client.create(spec(steps=1)).name
                client.wait(name)
                return name

        name = await asyncio.to_thread(submit)
        assert (await called(server.address, Credentials("", certificates["ca"], *certificates["ann"]))) == ["ann"]
        assert server.store.get(name.removeprefix("jobs/")).owner == "ann"
        for wrong in (Credentials("", certificates["ca"]), Credentials("", certificates["ca"], *certificates["mallory"])):
            with pytest.raises(Unavailable):
                await called(server.address, wrong)


async def test_a_replaced_certificate_is_taken_up(serving, certificates):
    certificate, key = certificates["server"]
    async with serving(tls_certificate=certificate, tls_key=key) as (server, _):
        host, port = server.address.split(":")

        def shown() -> str:
            return ssl.get_server_certificate((host, int(port)), timeout=60)

        before = await asyncio.to_thread(shown)
        made = certificates["authority"].issue_cert("localhost", "127.0.0.1")
        made.private_key_pem.write_to_path(key)
        made.cert_chain_pems[0].write_to_path(certificate)
        after = await asyncio.to_thread(shown)
        assert before != after
        assert after.strip() == made.cert_chain_pems[0].bytes().decode().strip()


def test_a_token_stays_off_open_networks():
    with pytest.raises(InvalidInput, match=r"grpcs://example\.org:1"):
        Client("example.org:1", credentials=Credentials("actmax_x"))
    Client("localhost:1", credentials=Credentials("actmax_x")).close()
    with pytest.raises(InvalidInput, match="nowhere"):
        Client("grpcs://localhost:1", credentials=Credentials(authority="nowhere"))


async def test_other_addresses_need_credentials(serving, certificates, tmp_path):
    certificate, key = certificates["server"]
    wrong: tuple[dict[str, Any], ...] = (
        {"tokens": True},
        {"tls_certificate": certificate, "tls_key": key},
        {"tls_certificate": certificate},
        {"tls_client_ca": certificates["ca"], "tokens": True},
    )
    for settings in wrong:
        with pytest.raises(ConfigError):
            ServerConfig(address="0.0.0.0:0", **settings)
    assert ServerConfig(address="0.0.0.0:0", tls_certificate=certificate, tls_key=key, tokens=True)
    assert ServerConfig(address="0.0.0.0:0", tls_certificate=certificate, tls_key=key, tls_client_ca=certificates["ca"])
    for broken in ({"tls_certificate": "none.pem", "tls_key": key}, {"tls_certificate": str(tmp_path / "x"), "tls_key": key}):
        (tmp_path / "x").write_text("no certificate")
        with pytest.raises(StartError, match="tls"):
            async with serving(**broken):
                pass


async def test_the_protos_constraints_are_kept_by_field(serving):
    async with serving() as (_, calls):
        request = job_service_pb2.CreateJobRequest(spec=spec(), priority=500, request_id="x")
        request.spec.budget.evaluations = -1
        request.labels["bad key"] = "x"
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.budget.evaluations") as found:
            await calls.jobs.CreateJob(request)
        assert set(details(found[0])[1]) == {"spec.budget.evaluations", "priority", "request_id", "labels['bad key']"}


async def test_metrics_and_logs_tell_of_calls_and_jobs(serving, caplog):
    with caplog.at_level(logging.INFO, "actmax.access"):
        async with serving(metrics_address="127.0.0.1:0") as (server, calls):
            made = await calls.create(spec(steps=3))
            await calls.ended(made.name)
            with pytest.raises(grpc.aio.AioRpcError):
                await calls.get("jobs/none")
            watch = calls.jobs.WatchJob(job_service_pb2.WatchJobRequest(name=made.name))
            await watch.read()
            watch.cancel()
            text = urllib.request.urlopen(f"http://127.0.0.1:{server.metrics.port}/metrics").read().decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['actmax_call_seconds_count{code="OK",method="CreateJob"}'] == "1.0"
    assert lines['actmax_call_seconds_count{code="NOT_FOUND",method="GetJob"}'] == "1.0"
    assert lines['actmax_jobs{state="SUCCEEDED"}'] == "1.0"
    assert lines['actmax_attempts_total{end="Finished"}'] == "1.0"
    told = [record for record in caplog.records if record.name == "actmax.access"]
    assert {"CreateJob OK", "GetJob NOT_FOUND"} <= {f"{r.method.rpartition('/')[2]} {r.code}" for r in told}  # type: ignore[attr-defined]


def test_json_logs_name_the_job():
    from actmax.server.observing.logs import JsonFormatter

    record = logging.LogRecord("a", logging.INFO, "f", 1, "jobs/%s: attempt %d ends", ("0123456789abcdef", 2), None)
    entry = json.loads(JsonFormatter("server").format(record))
    assert (entry["job"], entry["message"], entry["level"]) == ("jobs/0123456789abcdef", "jobs/0123456789abcdef: attempt 2 ends", "INFO")
    record = logging.LogRecord("a", logging.INFO, "f", 1, "it goes on", (), None)
    assert json.loads(JsonFormatter("jobs/0123456789abcdef#2").format(record))["job"] == "jobs/0123456789abcdef"


async def test_calls_are_traced_below_their_callers():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from actmax.server.observing.calls import Observer
    from actmax.server.observing.metrics import Metrics

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    observer = Observer(Metrics(), provider.get_tracer("test"))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with observer.span("/actmax.v1.JobService/GetJob", [("traceparent", parent)]) as span:
        observer.called("/actmax.v1.JobService/GetJob", grpc.StatusCode.NOT_FOUND, 0.1, "ann", span)
    (ended,) = kept.get_finished_spans()
    assert ended.name == "actmax.v1.JobService/GetJob"
    assert ended.context is not None
    assert format(ended.context.trace_id, "032x") == parent.split("-")[1]
    assert (ended.attributes or {})["rpc.grpc.status_code"] == 5
    assert NotFound.code == "NOT_FOUND"
