"""The log of a session: one line an append, written once and flushed, read back whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from ..durable import sync
from .errors import DamagedSession

Record = dict[str, Any]
LOG = "log"
"""Name of the log in a session's folder."""
BUILDING = ".new"
"""What the folder of a session that is being made or removed ends in."""


class LogInUse(OSError):
    """It is open for writing already, in this process or another."""


class Log:
    """An append-only file of JSON records; what one append keeps is one line with a checksum.

    What :meth:`append` returned from is on disk, all of it. A line that a crash has cut off is dropped when the file is opened again, with
    all of its records: nobody was told of them. A damaged line before others is an error.

    Parameters
    ----------
    path : Path
        Made where it is missing. One writer at a time, however many processes there are.
    start : int
        The byte from which records are wanted, as :attr:`end` was. Those before it are checked, and left out but for the first.

    Attributes
    ----------
    records : list of dict
        What it held when it was opened.

    Raises
    ------
    LogInUse
        There is one.
    DamagedSession
        A record in it is damaged.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        fresh = not path.exists()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not lock_descriptor(self._file, blocking=False):  # the lock ends with the process that holds it, however that ends
                raise LogInUse(errno.EAGAIN, "it is open for writing already", str(path))
            self.records, self._end = _read(path, start)
            if os.fstat(self._file).st_size > self._end:
                os.ftruncate(self._file, self._end)
                os.fsync(self._file)
            if fresh:
                sync(path.parent)
        except BaseException:
            os.close(self._file)
            raise
        self._writing = threading.Lock()
        self._broken = False

    @property
    def end(self) -> int:
        """Return the byte behind the last record that is on disk."""
        return self._end

    @staticmethod
    def read(path: Path) -> list[Record]:
        """The whole records of a log, which may be another's that is being written.

        Raises
        ------
        DamagedSession
            One of them is damaged.
        """
        return _read(path)[0]

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep some records, all or none: one write, one flush to disk.

        Raises
        ------
        OSError
            None of them is kept. Where what was written could not be taken back either, nothing is appended any more: open it again.
        """
        if not records:
            return
        line = _line(records)
        with self._writing:
            if self._broken:
                raise OSError("an earlier append failed and could not be undone; open the log again")
            try:
                _write(self._file, line, self._end)
                os.fdatasync(self._file)
            except BaseException:
                self._undo()
                raise
            self._end += len(line)

    def close(self) -> None:
        """Let go of the file; once is enough."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _undo(self) -> None:
        self._broken = True
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._end)
            os.fdatasync(self._file)
            self._broken = False


def first_record(path: Path) -> Record | None:
    """The record that a log begins with; None where there is none."""
    try:
        with path.open("rb") as file:
            found = _parsed(file.readline())
    except OSError:
        return None
    return found[0] if found else None


def _line(records: Sequence[Mapping[str, Any]]) -> bytes:
    # one alone stands as it is, several as a list: a cut through the line leaves none of them
    text = json.dumps(records[0] if len(records) == 1 else list(records), separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _text(line: bytes) -> bytes | None:
    """Return the JSON of a line; None where the line isn't whole."""
    head, _, text = line[:-1].partition(b" ")
    if not line.endswith(b"\n") or len(head) != 8:
        return None
    try:
        return text if int(head, 16) == zlib.crc32(text) else None
    except ValueError:
        return None


def _parsed(line: bytes) -> list[Record] | None:
    text = _text(line)
    try:
        found = None if text is None else json.loads(text)
    except ValueError:
        return None
    return [found] if isinstance(found, dict) else found


def _read(path: Path, start: int = 0) -> tuple[list[Record], int]:
    """Return the records of a log, of those before byte ``start`` the first alone, and where the last whole one ends."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    if start > len(data) or data[start - 1 : start] not in (b"", b"\n"):
        start = 0
    records: list[Record] = []
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line = data[at:end]
        found = _parsed(line) if at == 0 or at >= start else None if _text(line) is None else []
        if found is None:
            # an append has one line break, its last byte: what was cut off can't have anything behind it
            if end < len(data):
                raise DamagedSession(f"{path}: the record at byte {at} is damaged, and others come after it")
            break
        records += found
        at = end
    return records, at


def _write(file: int, data: bytes, at: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, at)
        rest, at = rest[written:], at + written
