"""Origin of a result: versions, machine, weights and job, so that it can be identified and reproduced."""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...models.targets.target import HasModule
from ...models.version import version_of
from ..resolved_job import ResolvedJob
from ..spec import JobSpec

PACKAGES = ("torch", "numpy", "snntorch", "nevergrad", "tntorch", "cmaes", "scipy", "pillow")
"""Packages whose versions can change a result's numbers."""

Provenance = Mapping[str, Any]
"""Plain data: text, numbers, and mappings of them."""


def fingerprint(spec: JobSpec) -> str:
    """Return the SHA-256 of a job with all its defaults written out, in hexadecimal digits: equal for equal jobs."""
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()


def provenance_of(job: ResolvedJob, command: str = "") -> Provenance:
    """Return the origin of a job's result, at the present time.

    Parameters
    ----------
    job : ResolvedJob
        The job.
    command : str
        The command line that ran the job; empty where readers must not see it, as on a server.

    Returns
    -------
    mapping
        ``date`` (ISO 8601, UTC), ``actmax``, ``python`` and ``system`` (text), ``packages`` (versions by name), ``device`` (text),
        ``threads``, ``seed``, ``job_sha256``, ``command``; and by role ("generator", "target") ``weights_sha256`` of torch networks in
        this process and ``versions`` of parts elsewhere.
    """
    parts = {"generator": job.generator, "target": job.target}
    weights = {role: digest for role, part in parts.items() if (digest := weights_digest(part))}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "actmax": version("actmax"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: found for name in PACKAGES if (found := _installed(name))},
        "device": _device(job.device),
        "threads": torch.get_num_threads(),
        "seed": job.spec.seed,
        "job_sha256": fingerprint(job.spec),
        "weights_sha256": weights,
        "versions": versions_of(job),
        "command": command,
    }


def versions_of(job: ResolvedJob) -> dict[str, str]:
    """Return the versions of the generator and the target by role, of those that live elsewhere."""
    found = {"generator": version_of(job.generator), "target": version_of(job.target)}
    return {role: version for role, version in found.items() if version}


def command_line() -> str:
    """Return the command line of this process, with the program's name without its folder; empty if Python is embedded."""
    if not sys.argv or not sys.argv[0]:
        return ""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def weights_digest(part: Any) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of all parameters and buffers of a generator or target, in hexadecimal digits.

    It is empty for a part that holds no torch module, or one whose tensors can't be read.
    """
    digest, found = hashlib.sha256(), False
    try:
        for module in _modules(part):
            for name, tensor in sorted(module.state_dict().items()):
                if isinstance(tensor, torch.Tensor):
                    found = True
                    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
                    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    except Exception:  # tensors on "meta", quantised or sharded ones
        return ""
    return digest.hexdigest() if found else ""


def _modules(part: Any) -> Iterator[nn.Module]:
    """Yield the torch modules of a part, or of the part that it wraps."""
    while part is not None:
        held = [part] if isinstance(part, nn.Module) else [value for value in vars(part).values() if isinstance(value, nn.Module)]
        if isinstance(part, HasModule):
            held = [part.module]
        if held:
            yield from held
            return
        part = getattr(part, "target", None) or getattr(part, "generator", None)


def _device(device: str) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
