"""Writes artifacts into a folder: verified bytes, whole files only, never outside the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from actmax.v1 import job_pb2

from ...wire.errors import DamagedArtifact, UnsafePath

_FORBIDDEN = set('\\:*?"<>|')


def destination(folder: Path, artifact_path: str) -> Path:
    """Return the path below ``folder`` for an artifact.

    Raises
    ------
    UnsafePath
        If the artifact's path is absolute, contains "..", passes through a link that leaves the folder, or has characters that
        some system interprets differently.
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
    """Return the paths for all of a job's artifacts; see :func:`destination`."""
    return [destination(folder, artifact.path) for artifact in artifacts]


def is_complete(path: Path, artifact: job_pb2.Artifact) -> bool:
    """Return whether ``path`` holds exactly the artifact's bytes."""
    if not path.is_file() or path.stat().st_size != artifact.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256


class Receipt:
    """The received bytes of one artifact: counted and hashed, and at the end compared with the server's announcement."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.artifact: job_pb2.Artifact | None = None
        self.received = 0
        self._digest = hashlib.sha256()

    def announce(self, artifact: job_pb2.Artifact) -> None:
        """Receive the server's record of the artifact, at the start and after each reconnection.

        Raises
        ------
        DamagedArtifact
            If the record has changed since the start.
        """
        if self.artifact is not None and (self.artifact.sha256, self.artifact.size_bytes) != (artifact.sha256, artifact.size_bytes):
            raise DamagedArtifact(f"{self.path} changed while it was downloaded")
        self.artifact = artifact

    def add(self, data: bytes) -> None:
        """Receive the next bytes.

        Raises
        ------
        DamagedArtifact
            If there was no announcement, or more bytes come than announced.
        """
        if self.artifact is None:
            raise DamagedArtifact(f"the server sent bytes of {self.path} before saying what it is")
        self.received += len(data)
        if self.received > self.artifact.size_bytes:
            raise DamagedArtifact(f"{self.path} should have {self.artifact.size_bytes} bytes, but more came")
        self._digest.update(data)

    def check(self) -> job_pb2.Artifact:
        """Return the artifact's record, after verifying that all bytes were received.

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
