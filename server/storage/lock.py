"""One live server to a data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FolderInUse(RuntimeError):
    """Another process holds the lock; the message says which."""


class FileLock:
    """An advisory lock on ``path`` that ends with the process that holds it, however that ends.

    Parameters
    ----------
    path : Path
        Made where it is missing; stays behind, as removing a lock file races with the next holder.
    note : str
        Written into the file, for whoever is refused.

    Raises
    ------
    FolderInUse
        Someone holds it.
    """

    def __init__(self, path: Path, note: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, note.encode())
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace")
            os.close(descriptor)
            raise FolderInUse(f"{path.parent} is in use by {holder or 'another process'}") from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go; once is enough."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
