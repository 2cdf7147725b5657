"""Files that appear under their name once they are written as a whole, and not at all if an error occurs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITING = ".writing-"
"""Prefix of the name of a file or folder that is still being written."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; the file there is renamed to ``path`` at the end.

    Raises
    ------
    OSError
        The file can't be written or renamed; ``path`` is unchanged then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{WRITING}{secrets.token_hex(4)}-{path.name[-40:]}")
    try:
        yield temporary
        _become(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write(path: Path, content: str | bytes) -> None:
    """Write a file as a whole."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _become(temporary: Path, path: Path) -> None:
    """Rename a file; on Windows also while another process reads the former file."""
    for _ in range(49):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            time.sleep(0.02)
    temporary.replace(path)
