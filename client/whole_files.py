"""Files that appear under their name when all of them is written, and not at all if anything fails."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITING = ".writing-"
"""What the name of a file or folder begins with that is not whole yet."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the path to write to, beside ``path``; what is written there becomes ``path`` at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{WRITING}{secrets.token_hex(4)}-{path.name[-40:]}")
    try:
        yield temporary
        _become(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _become(temporary: Path, path: Path) -> None:
    """Rename a file; on Windows also while somebody reads what was there before."""
    for _ in range(49):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            time.sleep(0.02)
    temporary.replace(path)
