"""Calls a second that one owner may make, and clients that come back when they are told to."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from calls import calling, details, refused, spec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from actmax.client import Client, Credentials, Refused
from actmax.server.config import ConfigError, ServerConfig
from actmax.server.errors import ServiceError
from actmax.server.security.principal import ANYBODY, Principal
from actmax.server.security.rate_limiter import RateLimiter
from actmax.server.security.tokens import Tokens
from actmax.server.storage.database import Database, sqlite_url
from actmax.wire.status import from_rpc

GET = "/actmax.v1.JobService/GetJob"
ANN, BOB = (Principal(name, frozenset({"submit"})) for name in ("ann", "bob"))


def taken(pace: RateLimiter, number: int, caller: Principal = ANN, peer: str = "ipv4:10.0.0.1:1000", method: str = GET) -> int:
    """How many of so many calls were let through."""
    through = 0
    for _ in range(number):
        try:
            pace.take(method, caller, peer)
        except ServiceError as error:
            assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")  # noqa: PT017
            assert 0 < error.retry_seconds <= 1.0  # noqa: PT017
        else:
            through += 1
    return through


def test_a_bucket_holds_five_seconds_worth_and_fills_steadily():
    now = 1000.0
    pace = RateLimiter(2.0, clock=lambda: now)
    assert taken(pace, 30) == 10
    assert taken(pace, 30, BOB) == 10  # each has their own
    now += 1.0
    assert taken(pace, 30) == 2
    now += 0.3
    assert taken(pace, 3) == 0
    now += 0.3  # what is refused costs nothing
    assert taken(pace, 3) == 1
    now += 10_000.0
    assert taken(pace, 30) == 10


def test_without_owners_it_is_the_address_and_without_a_limit_nothing():
    pace = RateLimiter(1.0, clock=lambda: 0.0)
    assert taken(pace, 9, ANYBODY, "ipv4:10.0.0.1:1000") == 5
    assert taken(pace, 9, ANYBODY, "ipv4:10.0.0.1:2000") == 0
    assert taken(pace, 9, ANYBODY, "ipv4:10.0.0.2:1000") == 5
    assert taken(pace, 9, ANYBODY, "ipv6:[::1]:2000") == 5
    assert taken(pace, 9, ANYBODY, "unix:") == 5
    assert taken(pace, 100, method="/grpc.health.v1.Health/Check") == 100
    assert taken(RateLimiter(0.0), 10_000) == 10_000


def test_as_many_as_call_are_remembered_and_no_more():
    pace = RateLimiter(1.0, clock=lambda: 0.0)
    for number in range(20_000):
        pace.take(GET, ANYBODY, f"ipv4:10.0.{number // 256}.{number % 256}:1")
        pace.take(GET, ANN, "") if number % 5000 == 0 else None
    assert len(pace._buckets) <= 10_000
    assert taken(pace, 9) == 1  # who calls stays known, however many others do


@pytest.mark.parametrize("rate", [-1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ConfigError, match="max_calls_per_second_per_owner"):
        ServerConfig(max_calls_per_second_per_owner=rate)


async def test_a_server_refuses_with_a_time_and_a_client_waits_for_it(serving):
    async with serving(max_calls_per_second_per_owner=4.0) as (server, calls):
        made = await calls.create(spec(steps=1))
        await asyncio.sleep(0.3)
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, match="4 calls a second") as found:
            for _ in range(40):
                await calls.get(made.name)
        assert details(found[0])[0].reason == "TOO_MANY_CALLS"
        assert 0 < from_rpc(found[0], server.address).retry_seconds <= 0.25
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            await calls.watch(made.name)
        checks: Any = health_pb2_grpc.HealthStub(calls.channel)
        for _ in range(30):
            assert (await checks.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING

        def patient() -> None:
            with Client(server.address) as client:
                assert [client.get(made.name).name for _ in range(6)] == [made.name] * 6
                assert client.wait(made.name).attempt == 1

        await asyncio.to_thread(patient)

        def impatient() -> None:
            with Client(server.address, patience=0.0) as client:
                for _ in range(40):
                    client.get(made.name)

        with pytest.raises(Refused, match="calls a second") as told:
            await asyncio.to_thread(impatient)
        assert told.value.retry_seconds > 0


async def test_one_owner_does_not_use_up_anothers_calls(serving, tmp_path):
    (tmp_path / "data").mkdir()
    database = Database(sqlite_url(tmp_path / "data" / "actmax.db"))
    texts = [Tokens(database).create(owner, ["submit"])[1] for owner in ("ann", "bob")]
    database.close()
    async with serving(tokens=True, max_calls_per_second_per_owner=1.0) as (server, _):

        def calls(text: str, number: int) -> None:
            with Client(server.address, patience=0.0, credentials=Credentials(token=text)) as client:
                for _ in range(number):
                    client.limits()

        with pytest.raises(Refused, match="calls a second"):
            await asyncio.to_thread(calls, texts[0], 30)
        await asyncio.to_thread(calls, texts[1], 4)
        async with calling(server.address) as nobody, refused(grpc.StatusCode.UNAUTHENTICATED):
            await nobody.page()
