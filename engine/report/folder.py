"""A folder that changes all at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_replaceable(folder: Path, *, marker: str) -> None:
    """Validate that ``folder`` is missing, empty, or an earlier one with a ``marker``.

    Raises
    ------
    FileExistsError
        It has other things in it, which would be lost.
    """
    if folder.exists() and not (folder / marker).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} has other things in it (there is no {marker}); name a new or empty folder")


@contextmanager
def replaced_folder(folder: Path, *, marker: str) -> Iterator[Path]:
    """A fresh sibling folder to write into, which takes the place of ``folder`` when the block ends well.

    Parameters
    ----------
    folder : Path
        What to create or replace.
    marker : str
        A file that shows an existing folder to be an earlier one of these; a folder with other things in it is left alone.

    Raises
    ------
    FileExistsError
        ``folder`` is not empty and has no ``marker``.
    """
    folder = folder.resolve()
    fresh, old = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
    # The names are fixed so that what a killed process left behind is found: a half-written set, or a set moved aside.
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
