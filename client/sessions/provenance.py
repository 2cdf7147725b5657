"""Where a session's data come from: what reports and exported files keep beside the numbers."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from actmax.v1 import session_pb2

from ..extras import installed_version

PACKAGES = ("numpy", "grpcio", "protobuf", "pynwb", "pyarrow")
"""Packages that read or write a session's data."""


def session_provenance(session: session_pb2.Session) -> dict[str, Any]:
    """Return plain data: the session's name, seed and start, the SHA-256 of its specification, and what read it when.

    ``created`` and ``date`` are ISO 8601 in UTC; ``spec_sha256`` is over the specification's deterministic bytes, in hexadecimal digits.
    """
    return {
        "session": session.name,
        "created": datetime.fromtimestamp(session.create_time.ToMicroseconds() / 1e6, UTC).isoformat(),
        "seed": session.spec.seed,
        "spec_sha256": hashlib.sha256(session.spec.SerializeToString(deterministic=True)).hexdigest(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "actmax": version("actmax"),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed_version(name))},
    }
