"""``version`` and ``doctor``: installed versions, the machine's devices, and missing packages."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from ...wire.errors import ActmaxError
from ..extras import installed_version
from .common import SERVER, Json, Server, connect, out, print_json

_SHOWN = ("numpy", "grpcio", "protobuf", "torch", "snntorch", "nevergrad", "tntorch", "scipy", "pydantic", "sqlalchemy", "ray")


def print_version(
    server: Annotated[str, typer.Option("--server", metavar="HOST:PORT", help="Print this server's version too.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Print the version."""
    found = {"version": version("actmax")}
    if server:
        with connect(server) as client:
            found["server"] = client.limits().version
    if as_json:
        print_json(found)
    else:
        out.print("\n".join(f"{'actmax' if name == 'version' else name} {value}" for name, value in found.items()))


def print_and_leave(wanted: bool) -> None:
    """Print the version for ``--version``."""
    if wanted:
        out.print(f"actmax {version('actmax')}")
        raise typer.Exit


def doctor(
    server: Server = SERVER,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The folder whose disk is looked at.")] = Path(),
    as_json: Json = False,
) -> None:
    """Print versions, devices, free disk and memory, whether a server answers, and the missing packages of each extra, for bug reports."""
    found: dict[str, Any] = {
        "actmax": version("actmax"),
        "python": f"{platform.python_version()} at {sys.executable}",
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory": _memory(),
        "disk": f"{shutil.disk_usage(data).free / 2**30:.1f} GiB free at {data.resolve()}",
        "devices": _devices(),
        "server": _server(server),
        "packages": {name: installed for name in _SHOWN if (installed := installed_version(name))},
        "missing": _missing(),
    }
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if not isinstance(value, dict):
            out.print(f"{name:9} {value}")
        elif name == "packages":
            out.print(f"{name:9} {', '.join(f'{package} {installed}' for package, installed in value.items())}")
        else:
            lines = [f"pip install 'actmax[{extra}]' would bring {', '.join(lacking)}" for extra, lacking in value.items()]
            out.print("\n".join(f"{name if not number else '':9} {line}" for number, line in enumerate(lines or ["nothing"])))


def _memory() -> str:
    """Return total and available memory as text, as far as the system reports them."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    except (AttributeError, ValueError, OSError):  # Windows; macOS has no SC_AVPHYS_PAGES
        return "unknown"
    return f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of it unused"


def _devices() -> str:
    if find_spec("torch") is None:
        return "unknown without torch: pip install 'actmax[server]'"
    import torch

    cuda = [f"cuda:{number} {torch.cuda.get_device_name(number)}" for number in range(torch.cuda.device_count())]
    return ", ".join(["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])])


def _server(address: str) -> str:
    try:
        with connect(address) as client:
            return f"actmax {client.limits().version} answers at {address}"
    except ActmaxError as error:
        return f"none at {address}: {error}"


def _missing() -> dict[str, list[str]]:
    """Return the missing packages of each extra of actmax; extras without missing packages are left out."""
    missing: dict[str, list[str]] = {}
    for text in requires("actmax") or ():
        named = re.match(r"([\w.-]+)(?:\[[^]]*\])?([^;]*)", text)
        extra = re.search(r"""extra == ["']([\w-]+)""", text)
        if named and extra and extra[1] not in ("dev", "bench") and named[1] != "actmax" and not installed_version(named[1]):
            missing.setdefault(extra[1], []).append(f"{named[1]}{named[2]}".strip())
    return missing
