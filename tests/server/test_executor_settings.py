"""The setting ``executor``, and what jobs ask of machines."""

import socket

import pytest

from actmax.server.app import Server
from actmax.server.config import ConfigError, ServerConfig, StartError
from actmax.server.execution import messages
from actmax.server.execution.resources import GIB, Node, Request, here, unmet
from actmax.v1 import job_pb2


@pytest.mark.parametrize("executor", ["local", "ray", "ray:auto", "ray:10.0.0.7:6379", "ray://head.example:10001", "ray://[::1]:10001"])
def test_executors_are_taken(executor):
    assert ServerConfig(executor=executor).executor == executor


@pytest.mark.parametrize(
    "executor", ["", "Ray", "ray:", "ray:head", "ray://head", "ray://:10001", "ray://head:0", "dask://a:1", "ray:///a:1"]
)
def test_what_is_no_executor_is_refused_by_name(executor):
    with pytest.raises(ConfigError, match="executor: "):
        ServerConfig(executor=executor)


def test_settings_that_do_not_go_together_are_named():
    with pytest.raises(ConfigError, match="devices: "):
        ServerConfig(executor="ray", devices=("0",))
    for executor in ("local", "ray"):
        with pytest.raises(ConfigError, match="autoscaling: "):
            ServerConfig(executor=executor, autoscaling=True)
    assert ServerConfig(executor="ray:auto", autoscaling=True).autoscaling


async def test_a_server_says_which_cluster_is_not_there(tmp_path):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        executor = f"ray:127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match=f"executor: {executor}: no Ray cluster is there"):
            await Server(ServerConfig(address="127.0.0.1:0", data=tmp_path / "data", executor=executor)).start()


def request(**fields) -> Request:
    return Request.of(job_pb2.JobSpec(**fields), cpus=2.0)


def test_a_job_asks_for_what_its_spec_says():
    assert request() == Request(2.0)
    assert request(device="cuda").gpus == 1
    asked = request(resources=job_pb2.Resources(cpus=0.5, gpus=0.25, memory=1.5), replicas=job_pb2.Replicas(n=3))
    assert asked == Request(0.5, 0.25, 3 * GIB // 2, 3)
    assert (asked.threads, Request(3.7).threads) == (1, 3)


def test_what_no_machine_has_is_told_with_what_there_is():
    nodes = [Node(8, 0, 16 * GIB), Node(4, 2, 8 * GIB)]
    assert unmet(Request(8), nodes, "the cluster") == []
    assert unmet(Request(4, 2, 8 * GIB), nodes, "the cluster") == []
    assert unmet(Request(9, 3), nodes, "the cluster") == [
        ("spec.resources.cpus", "9 CPUs are more than the cluster has in one place, 8"),
        ("spec.resources.gpus", "3 GPUs are more than the cluster has in one place, 2"),
    ]
    ((field, text),) = unmet(Request(8, 1), nodes, "the cluster")  # each somewhere, never together
    assert field == "spec.resources"
    assert "8 CPUs, 0 GPUs, 16 GiB; 4 CPUs, 2 GPUs, 8 GiB" in text
    assert unmet(Request(0.1, replicas=120), [Node(12, 0, GIB)], "it") == []
    ((field, text),) = unmet(Request(3, replicas=4), nodes, "the cluster")
    assert field == "spec.replicas.n"
    assert "holds, 3" in text
    assert here(("0,1", "2")).gpus == 2


def test_a_lost_worker_says_so_over_the_pipe():
    for word in (messages.Lost("was lost\nwith its machine"), messages.Lost("never was", began=False)):
        assert messages.decode(messages.encode(word)) == word
    with pytest.raises(messages.BadMessage):
        messages.decode(b"L{}")
