"""How a process becomes part of a Ray cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...wire.transport import is_loopback

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Joining:
    """The way in: an address that ``ray.init`` takes, and environment variables, such as the cluster's token."""

    address: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def join(self) -> Any:
        """Become a driver of the cluster; gives the module ``ray``.

        Raises
        ------
        ImportError
            Ray is not installed.
        Exception
            Of Ray's own many: the cluster can't be joined.
        """
        ray = prepare(self.environment)
        if is_loopback(self.address.removeprefix("ray://")):
            stay_on_loopback(ray)
        ray.init(address=self.address, log_to_driver=False, configure_logging=False)
        return ray


def prepare(environment: Mapping[str, str]) -> Any:
    """The module ``ray``, told to send no usage statistics; ``environment`` is read when it is first imported."""
    os.environ.update(environment)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


def stay_on_loopback(ray: Any) -> None:
    """Keep Ray from listening on, and going by, an address that other machines reach.

    Ray takes a loopback address for an oversight and puts the machine's outer one in its place; there is no setting against that.
    """
    ray._private.services.resolve_ip_for_localhost = lambda host: host


def why(error: BaseException) -> str:
    """Ray's errors have whole tracebacks in them: how they begin and end, in one line."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    told = lines if len(lines) < 4 else [lines[0], "…", *lines[-2:]]
    return f"{type(error).__name__}: {' '.join(line[:200] for line in told)}"
