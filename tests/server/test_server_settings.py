import pytest

from actmax.server.config import ConfigError, ServerConfig, split_address


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:0", "[::1]:1", "127.8.9.1:2"])
def test_loopback_is_taken(address):
    assert ServerConfig(address=address).address == address


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:50051", ":50051", "192.0.2.7:50051"])
def test_other_machines_are_kept_out(address):
    with pytest.raises(ConfigError, match=r"address: .*other machines.*credentials"):
        ServerConfig(address=address)


@pytest.mark.parametrize("address", ["", "50051", "localhost", "localhost:", "localhost:x", "localhost:65536", "::1:5", "127.0.0.1:-1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="address: "):
        ServerConfig(address=address)


def test_a_host_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="not known"):
        ServerConfig(address="no-such-host.invalid:1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 0),
        ("max_attempts", 0),
        ("stop_seconds", 0),
        ("check_seconds", float("nan")),
        ("threads", -1),
        ("max_receive_bytes", 7),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ConfigError, match=name):
        ServerConfig(**{name: value})


def test_workers_share_the_cpus():
    assert ServerConfig(workers=10_000).worker_threads == 1
    assert ServerConfig(workers=2, threads=3).worker_threads == 3
    assert split_address("[::1]:50") == ("::1", 50)
