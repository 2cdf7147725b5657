"""Joins a process to a Ray cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...wire.addresses import is_loopback

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Joining:
    """How to join a cluster: an address for ``ray.init``, and environment variables, such as the cluster's token."""

    address: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def join(self) -> Any:
        """Become a driver of the cluster and return the module ``ray``.

        Raises
        ------
        ImportError
            Ray is not installed.
        Exception
            One of Ray's exceptions: the cluster can't be joined.
        """
        ray = prepare(self.environment)
        if is_loopback(self.address.removeprefix("ray://")):
            stay_on_loopback(ray)
        ray.init(address=self.address, log_to_driver=False, configure_logging=False)
        return ray


def prepare(environment: Mapping[str, str]) -> Any:
    """Return the module ``ray`` with usage statistics off, after setting ``environment``, which Ray reads at its first import."""
    os.environ.update(environment)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


def stay_on_loopback(ray: Any) -> None:
    """Keep Ray from listening on an address that other machines can reach.

    Ray replaces a loopback address by the machine's outer one, and has no setting against that.
    """
    ray._private.services.resolve_ip_for_localhost = lambda host: host


def why(error: BaseException) -> str:
    """Return an error of Ray in one line: the beginning and the end of its text, without the traceback between."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    told = lines if len(lines) < 4 else [lines[0], "…", *lines[-2:]]
    return f"{type(error).__name__}: {' '.join(line[:200] for line in told)}"
