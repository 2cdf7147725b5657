"""A proxy of the environment lies on no way to this machine, and is named where it lies on another."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from actmax.wire.addresses import EXCEPT, PROXIES, proxy_of, stays_here
from actmax.wire.status import from_rpc
from actmax.wire.transport import open_channel

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in (*PROXIES, *EXCEPT):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", PROXIES)
def test_a_server_on_this_machine_is_reached_past_a_proxy(monkeypatch, variable):
    monkeypatch.setenv(variable, NOWHERE)
    server = grpc.server(ThreadPoolExecutor(1))
    echo = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Echo": echo}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        for host in ("127.0.0.1", "localhost"):
            with open_channel(f"{host}:{port}") as channel:
                assert channel.unary_unary("/test.Test/Echo")(b"x", timeout=60) == b"x"
    finally:
        server.stop(0)


def test_the_proxy_to_another_machine_is_named_where_the_way_is_closed(monkeypatch):
    monkeypatch.setenv("http_proxy", NOWHERE)
    with open_channel("rig.example:50051") as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/test.Test/Echo")(b"x", timeout=60)
    assert f"http_proxy={NOWHERE}: name hosts to be reached directly in no_proxy" in from_rpc(error.value, "rig.example:50051").message


@pytest.mark.parametrize(
    ("address", "spared", "proxied"),
    [
        ("127.0.0.1:1", "", False),
        ("[::1]:1", "", False),
        ("localhost:1", "", False),
        ("unix:/tmp/x", "", False),
        ("lab.example:1", "", True),
        ("lab.example:1", "other, .example", False),
        ("10.0.0.7:1", "10.0.0.7", False),
    ],
)
def test_who_is_reached_by_a_proxy(monkeypatch, address, spared, proxied):
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", spared)
    assert bool(proxy_of(address)) is proxied
    assert not (stays_here(address) and proxied)
