"""Replaces a folder as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_replaceable(folder: Path, *, marker: str) -> None:
    """Validate that ``folder`` is missing, empty, or has the file ``marker``.

    Raises
    ------
    FileExistsError
        The folder holds other files, which would be lost.
    """
    if folder.exists() and not (folder / marker).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} has other things in it (there is no {marker}); name a new or empty folder")


@contextmanager
def replaced_folder(folder: Path, *, marker: str) -> Iterator[Path]:
    """Yield a fresh sibling folder to write into, which replaces ``folder`` when the block ends without an error.

    Parameters
    ----------
    folder : Path
        Folder to create or replace.
    marker : str
        Name of a file that identifies an existing folder as replaceable.

    Raises
    ------
    FileExistsError
        ``folder`` is not empty and has no ``marker``.
    """
    folder = folder.resolve()
    fresh, old = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
    # Fixed names, so that the next call finds what a killed process left behind: a half-written set, or a set moved aside.
    shutil.rmtree(fresh, ignore_errors=True)
    if old.exists() and not folder.exists():
        old.rename(folder)
    check_replaceable(folder, marker=marker)
    try:
        fresh.mkdir(parents=True)
        yield fresh
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
