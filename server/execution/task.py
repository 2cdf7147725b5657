"""The task of a worker process, and its serialised form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...models.permissions import Permissions
from ..observing.logs import Logs


@dataclass(frozen=True)
class WorkerTask:
    """One attempt at a job, in terms of plain data.

    Attributes
    ----------
    job_id : str
        The job's identifier.
    attempt : int
        The attempt's number, from 1.
    spec : mapping of str to object
        The job.
    folder : Path
        The attempt's folder: holds its checkpoint, and ``artifacts/`` at the end.
    permissions : Permissions
        What the job may import, read and ask.
    threads : int
        CPU threads for torch.
    checkpoint_seconds : float
        Seconds between two checkpoints, at least.
    device : str
        The worker's GPUs in the form of ``CUDA_VISIBLE_DEVICES``; empty for all.
    logs : Logs
        How the worker logs.
    analyses : bool
        Whether ``folder/artifacts`` holds an ended job's results, to which the analyses of ``spec`` are to be added.
    """

    job_id: str
    attempt: int
    spec: Mapping[str, Any]
    folder: Path
    permissions: Permissions
    threads: int
    checkpoint_seconds: float
    device: str
    logs: Logs
    analyses: bool = False


_PLAIN = ("job_id", "attempt", "spec", "threads", "checkpoint_seconds", "device", "analyses")


def encode_task(task: WorkerTask) -> bytes:
    """Return a task as bytes of JSON."""
    fields = {name: getattr(task, name) for name in _PLAIN}
    fields |= {"folder": str(task.folder), "permissions": asdict(task.permissions), "logs": asdict(task.logs)}
    return json.dumps(fields).encode()


def decode_task(data: bytes) -> WorkerTask:
    """Return the task in ``data``, bytes from :func:`encode_task`."""
    fields = json.loads(data)
    made = {"folder": Path, "permissions": Permissions.from_plain, "logs": lambda plain: Logs(**plain)}
    return WorkerTask(**{name: made[name](value) if name in made else value for name, value in fields.items()})
