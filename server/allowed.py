"""What an operator allows jobs to name, looked at once when the server starts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import packages_distributions
from pathlib import Path


def doubts(allow_imports: Iterable[str]) -> list[str]:
    """One line for each entry of ``allow_imports`` that allows nothing now: a typo, or something that is still to come.

    Nothing is imported, and addresses are not called.

    Parameters
    ----------
    allow_imports : iterable of str
        As ``ServerConfig.allow_imports``: packages, folders (with a slash), addresses (``grpc://host:port``), or ``*``.
    """
    found: list[str] = []
    for allowed in allow_imports:
        if allowed == "*" or "://" in allowed:
            continue
        if "/" in allowed:
            if not Path(allowed).exists():
                found.append(f"{allowed}: there is no such folder")
        elif not all(part.isidentifier() for part in allowed.split(".")):
            found.append(f"{allowed}: neither a package, nor a folder (with a slash), nor an address such as grpc://127.0.0.1:50061")
        elif not _installed(package := allowed.partition(".")[0]):
            near = get_close_matches(package, packages_distributions(), n=1, cutoff=0.7)
            hint = f"; did you mean {near[0]}?" if near else ""
            found.append(f"{allowed}: no package {package} is installed where the server runs{hint}")
    return found


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # a half-imported or broken module is not this check's matter
        return True
