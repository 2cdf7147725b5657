"""Files that are seen whole or not at all."""

from __future__ import annotations

import time
from pathlib import Path

WRITING = ".writing-"
"""What the name of a file or folder begins with that is not whole yet."""


def write(path: Path, content: str | bytes) -> None:
    """Whole or not at all; on Windows also while somebody reads what was there before."""
    writing = path.with_name(f"{WRITING}{path.name}")
    writing.write_bytes(content.encode() if isinstance(content, str) else content)
    for attempt in range(50):
        try:
            writing.replace(path)
            return
        except PermissionError:
            if attempt == 49:
                raise
            time.sleep(0.02)
