"""Opens a server's storage: locks its data folder, and opens the database and the job files."""

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
    """Lock the data folder, and open the database and the files of jobs.

    Parameters
    ----------
    config : ServerConfig
        Settings, with the paths and URLs.
    server : str
        Description of this server, for the message to another server that finds the folder locked.
    undo : AsyncExitStack
        Receives the functions that close what was opened.

    Returns
    -------
    SqlJobStore
        The database.
    JobFiles
        The files of jobs.

    Raises
    ------
    StartError
        The folder, the database or the URL of the files can't be used.
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
    """Lock a folder until the returned function is called or this process ends.

    The lock file stays behind, since removing it would race with the next holder.

    Parameters
    ----------
    folder : Path
        The folder.
    holder : str
        Description of this process, which is written into the lock file.

    Returns
    -------
    callable
        Releases the lock.

    Raises
    ------
    StartError
        Another process holds the lock.
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
