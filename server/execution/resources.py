"""Resource requests of jobs, and the machines that can satisfy them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actmax.v1 import job_pb2

Unmet = tuple[str, str]
"""A field of a job's spec, and why its request can't be satisfied."""
GIB = 1 << 30


@dataclass(frozen=True)
class Request:
    """Resources of each process of a job, and the number of processes.

    Attributes
    ----------
    cpus, gpus : float
        Number of CPUs and GPUs; fractions are allowed.
    memory : int
        Bytes; 0 for no request.
    replicas : int
        Processes that evaluate, including the job's own.
    """

    cpus: float
    gpus: float = 0.0
    memory: int = 0
    replicas: int = 1

    @classmethod
    def of(cls, spec: job_pb2.JobSpec, cpus: float) -> Request:
        """Return a job's request, with ``cpus`` CPUs if the job requests none."""
        asked = spec.resources
        gpus = asked.gpus or (1.0 if spec.device.startswith("cuda") else 0.0)
        return cls(asked.cpus or cpus, gpus, int(asked.memory * GIB), max(1, spec.replicas.n))

    @property
    def threads(self) -> int:
        """CPU threads for the requested CPUs, at least 1."""
        return max(1, math.floor(self.cpus))


@dataclass(frozen=True)
class Node:
    """All resources of one machine, in use or not; ``memory`` in bytes."""

    cpus: float
    gpus: float
    memory: int

    def holds(self, request: Request) -> int:
        """Return how many processes of such a job fit on the machine at once."""
        parts = [(self.cpus, request.cpus), (self.gpus, request.gpus), (self.memory, request.memory)]
        return min((math.floor(has / needs + 1e-9) for has, needs in parts if needs), default=request.replicas)


def here(devices: Sequence[str] = ()) -> Node:
    """Return this machine as far as this process may use it.

    Parameters
    ----------
    devices : sequence of str
        Values of ``CUDA_VISIBLE_DEVICES`` of the workers: the GPUs counted are those of the worker with most. If empty, all GPUs count.
    """
    gpus = max((len(device.split(",")) for device in devices), default=len(list(Path("/dev").glob("nvidia[0-9]*"))))
    return Node(len(os.sched_getaffinity(0)), gpus, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def unmet(request: Request, nodes: Sequence[Node], what: str) -> list[Unmet]:
    """Return the resource requests that no node can satisfy, keyed by spec field.

    Parameters
    ----------
    request : Request
        The job's request.
    nodes : sequence of Node
        The machines.
    what : str
        What the machines are called in descriptions, such as "the cluster".

    Returns
    -------
    list of (str, str)
        Fields and descriptions; empty if the job can be placed.
    """
    found: list[Unmet] = []
    asked = {
        "cpus": (request.cpus, max((node.cpus for node in nodes), default=0), "CPUs"),
        "gpus": (request.gpus, max((node.gpus for node in nodes), default=0), "GPUs"),
        "memory": (request.memory / GIB, max((node.memory for node in nodes), default=0) / GIB, "GiB"),
    }
    for field, (needs, most, unit) in asked.items():
        if needs > most + 1e-9:
            description = f"{needs:.4g} {unit} are more than {what} has in one place, {most:.4g}"
            found.append((f"spec.resources.{field}", description))
    if found:
        return found
    room = sum(node.holds(request) for node in nodes)
    if room == 0:
        there = "; ".join(f"{node.cpus:.4g} CPUs, {node.gpus:.4g} GPUs, {node.memory / GIB:.4g} GiB" for node in nodes[:8])
        return [("spec.resources", f"no machine has all that is asked for at once; {what} has {there}")]
    if room < request.replicas:
        description = f"{request.replicas} processes of such a job are more than {what} holds, {room}; ask for fewer, or less for each"
        return [("spec.replicas.n", description)]
    return []
