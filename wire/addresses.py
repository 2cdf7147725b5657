"""What an address says of the way to a server: whether it stays on this machine, and whether a proxy of the environment lies on it."""

from __future__ import annotations

import ipaddress
import os

PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""Variables in which gRPC looks for a proxy; the first that is set counts."""
EXCEPT = ("no_grpc_proxy", "no_proxy")
"""Variables with the hosts that gRPC reaches without it, likewise."""


def is_loopback(address: str) -> bool:
    """Return whether the host of ``host:port`` is this machine's loopback."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def stays_here(address: str) -> bool:
    """Return whether an address, ``host:port`` or ``unix:path``, is one of this machine's own, which no proxy can reach."""
    return address.startswith("unix:") or is_loopback(address)


def proxy_of(address: str) -> str:
    """Return the variable and the proxy by which gRPC reaches ``host:port``, as ``http_proxy=http://proxy:3128``; empty without one."""
    host = address.rpartition(":")[0].strip("[]")
    if stays_here(address):
        return ""
    named = next((name for name in PROXIES if os.environ.get(name)), "")
    spared = next((os.environ[name] for name in EXCEPT if os.environ.get(name)), "")
    if not named or any(host.endswith(part.strip()) for part in spared.split(",") if part.strip()):
        return ""
    return f"{named}={os.environ[named]}"
