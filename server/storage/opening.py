"""A server's data folder, held by one live server at a time, its database and its files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import sqlalchemy as sa
import sqlalchemy.exc
from filelock import lock_descriptor

from ..config import ServerConfig, StartError
from .database import DatabaseTooNew, database_url, sqlite_url
from .folders import JobFiles
from .remote import job_files
from .sql import SqlJobStore
from .store import StorageFull, StorageGone


def open_storage(config: ServerConfig, server: str, undo: AsyncExitStack) -> tuple[SqlJobStore, JobFiles]:
    """Hold the data folder, and open the database and the files of jobs.

    Parameters
    ----------
    config : ServerConfig
        Says where they lie.
    server : str
        What another server is told holds the folder.
    undo : AsyncExitStack
        Closes what was opened.

    Raises
    ------
    StartError
        One of them can't be used.
    """
    data, where = config.data, config.database
    url = database_url(where) if where else sqlite_url(data / "actmax.db")
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=data):
            pass  # it can be written to
        undo.callback(hold_folder(data, server))
    except OSError as error:
        raise StartError(f"the data folder {data} can't be used: {error.strerror}") from error
    store = _open_store(url, sa.make_url(where).render_as_string() if where else str(data / "actmax.db"))  # without its password
    undo.callback(store.close)
    try:
        return store, job_files(config.files, data)
    except (ValueError, ImportError, OSError) as error:
        raise StartError(f"the files can't be kept at {config.files}: {error}") from error


def hold_folder(folder: Path, holder: str) -> Callable[[], None]:
    """Hold a folder until the returned function is called, or this process ends, however it does.

    The lock file stays behind, since removing it would race with the next holder; ``holder`` stands in it.

    Raises
    ------
    StartError
        Another process holds it.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not lock_descriptor(lock, blocking=False):
            other = os.read(lock, 200).decode(errors="replace")
            raise StartError(f"the data folder {folder} is in use by {other or 'another process'}; stop that, or give another folder")
        os.ftruncate(lock, 0)
        os.write(lock, holder.encode())
    except BaseException:
        os.close(lock)
        raise
    return partial(os.close, lock)


def _open_store(url: sa.URL, shown: str) -> SqlJobStore:
    try:
        return SqlJobStore(url)
    except (StorageFull, StorageGone, DatabaseTooNew) as error:
        raise StartError(f"{shown}: {error}") from error
    except sqlalchemy.exc.DatabaseError as error:
        raise StartError(f"{shown} can't be read as a database of actmax: {getattr(error, 'orig', error)}") from error
