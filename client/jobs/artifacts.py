"""Artifacts on their way to a folder: checked bytes, whole files only, never outside the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from actmax.v1 import job_pb2

from ...wire.errors import DamagedArtifact, UnsafePath

_FORBIDDEN = set('\\:*?"<>|')


def destination(folder: Path, artifact_path: str) -> Path:
    """Where below ``folder`` an artifact belongs.

    Raises
    ------
    UnsafePath
        If its path is absolute, climbs with "..", passes through a link that leaves the folder, or has characters that
        some system reads otherwise.
    """
    parts = artifact_path.split("/")
    if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts):
        raise UnsafePath(f"the server names an artifact {artifact_path[:200]!r}, which is no path below a folder")
    if any(not character.isprintable() or character in _FORBIDDEN for character in artifact_path):
        raise UnsafePath(f"the server names an artifact {artifact_path[:200]!r}, which is no portable file name")
    path = folder.joinpath(*parts)
    root = folder.resolve()
    if path.is_symlink() or not path.parent.resolve().is_relative_to(root):
        raise UnsafePath(f"{path} leads out of {folder} by a link; nothing is written through it")
    return path


def destinations(folder: Path, artifacts: Sequence[job_pb2.Artifact]) -> list[Path]:
    """Where all of a job's artifacts belong; see :func:`destination`."""
    return [destination(folder, artifact.path) for artifact in artifacts]


def is_complete(path: Path, artifact: job_pb2.Artifact) -> bool:
    """Whether ``path`` holds exactly the artifact's bytes."""
    if not path.is_file() or path.stat().st_size != artifact.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256


class Receipt:
    """The bytes of one artifact as they come: counted, digested, and at the end compared with what was announced."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.artifact: job_pb2.Artifact | None = None
        self.received = 0
        self._digest = hashlib.sha256()

    def announce(self, artifact: job_pb2.Artifact) -> None:
        """Take what the server says the artifact is, at the start and after each reconnection."""
        if self.artifact is not None and (self.artifact.sha256, self.artifact.size_bytes) != (artifact.sha256, artifact.size_bytes):
            raise DamagedArtifact(f"{self.path} changed while it was downloaded")
        self.artifact = artifact

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        if self.artifact is None:
            raise DamagedArtifact(f"the server sent bytes of {self.path} before saying what it is")
        self.received += len(data)
        if self.received > self.artifact.size_bytes:
            raise DamagedArtifact(f"{self.path} should have {self.artifact.size_bytes} bytes, but more came")
        self._digest.update(data)

    def check(self) -> job_pb2.Artifact:
        """The artifact, all of it received.

        Raises
        ------
        DamagedArtifact
            If bytes are missing or differ from the announced digest.
        """
        if self.artifact is None:
            raise DamagedArtifact(f"the server did not say what {self.path} is")
        if self.received != self.artifact.size_bytes:
            raise DamagedArtifact(f"{self.path} should have {self.artifact.size_bytes} bytes, but {self.received} came")
        if self._digest.hexdigest() != self.artifact.sha256:
            raise DamagedArtifact(f"{self.path} was damaged on its way: its SHA-256 differs from the announced one")
        return self.artifact
