"""An append-only log of records in one file: each append is one write and one flush, and what was appended survives any kill."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from .lock import FileLock
from .store import StorageFull

_MAGIC = b"actmaxJ1"
_HEAD = struct.Struct("<II")  # length of the record, CRC-32 of length and record
_RECORD_MAX = 1 << 30
_BATCH = struct.Struct("<I")


class DamagedJournal(ValueError):
    """The file is no journal, or something in its middle was changed."""


class Journal:
    """Records, numbered from 1 in the order of their appending.

    Guarantees: an ``append`` that returned is on disk, all of its records; one that raised, or was killed, left all of them or
    none; sequences have no gap. One process at a time has a journal open: opening locks it, which fences whoever had it.

    Parameters
    ----------
    path : Path
        Its file; made where it is missing.

    Raises
    ------
    FolderInUse
        Another process, or this one, has it open.
    DamagedJournal
        The file is something else, or was damaged before its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(path.name + ".lock"), f"process {os.getpid()}")
        self._writing = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._last, self._size = self._recover()
            except BaseException:
                os.close(self._file)
                raise
        except BaseException:
            self._lock.release()
            raise
        self._broken = False

    @property
    def last(self) -> int:
        """The sequence of the newest record; 0 where there is none."""
        return self._last

    def append(self, records: Sequence[bytes]) -> int:
        """Keep ``records``, all or none; the sequence of the last one.

        Raises
        ------
        StorageFull, OSError
            None was kept.
        """
        if not records:
            return self._last
        if any(len(record) > _RECORD_MAX for record in records):
            raise ValueError(f"a record has at most {_RECORD_MAX} bytes")
        # A batch is one frame, so that a cut through it leaves nothing of it.
        body = _BATCH.pack(len(records)) + b"".join(struct.pack("<I", len(record)) + record for record in records)
        frame = _HEAD.pack(len(body), _checksum(body)) + body
        with self._writing:
            if self._broken:
                raise OSError("an earlier append failed and could not be undone; open the journal again")
            try:
                _write(self._file, frame, self._size)
                os.fdatasync(self._file)
            except OSError as error:
                self._undo()
                raise StorageFull(error.errno, f"nothing was appended: {error.strerror}", str(self.path)) from error
            self._size += len(frame)
            self._last += len(records)
            return self._last

    def read(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Records with sequences above ``after``, in order, as they are when this is called."""
        sequence, end = 0, self._size
        at = len(_MAGIC)
        while at < end:
            body, at = _frame(self._file, at, end)
            for record in _records(body):
                sequence += 1
                if sequence > after:
                    yield sequence, record

    def close(self) -> None:
        """Let go of it; once is enough."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._lock.release()

    def _recover(self) -> tuple[int, int]:
        """The sequence and the end of what is whole; the rest, of an append that was cut short, is cut off."""
        size = os.fstat(self._file).st_size
        head = os.pread(self._file, len(_MAGIC), 0)
        if not _MAGIC.startswith(head):
            raise DamagedJournal(f"{self.path} is no journal")
        if len(head) < len(_MAGIC):
            _write(self._file, _MAGIC, 0)
            os.ftruncate(self._file, len(_MAGIC))
            os.fsync(self._file)
            _sync_folder(self.path.parent)
            return 0, len(_MAGIC)
        sequence, at = 0, len(_MAGIC)
        while at < size:
            try:
                body, after = _frame(self._file, at, size)
            except DamagedJournal:
                if _more_follows(self._file, at, size):
                    raise DamagedJournal(f"{self.path} was changed at byte {at}, with whole records behind that") from None
                break
            sequence, at = sequence + sum(1 for _ in _records(body)), after
        if at < size:
            os.ftruncate(self._file, at)
            os.fsync(self._file)
        return sequence, at

    def _undo(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
            os.fdatasync(self._file)
        except OSError:
            self._broken = True


def _frame(file: int, at: int, end: int) -> tuple[bytes, int]:
    head = os.pread(file, _HEAD.size, at)
    if len(head) < _HEAD.size:
        raise DamagedJournal("cut short")
    length, checksum = _HEAD.unpack(head)
    after = at + _HEAD.size + length
    if after > end or length < _BATCH.size:
        raise DamagedJournal("cut short")
    body = os.pread(file, length, at + _HEAD.size)
    if len(body) != length or _checksum(body) != checksum:
        raise DamagedJournal("changed")
    return body, after


def _more_follows(file: int, at: int, size: int) -> bool:
    # A torn append is the last thing in the file; a whole frame behind a broken one was there before.
    head = os.pread(file, _HEAD.size, at)
    if len(head) < _HEAD.size:
        return False
    after = at + _HEAD.size + _HEAD.unpack(head)[0]
    try:
        _frame(file, after, size)
    except DamagedJournal:
        return False
    return after < size


def _records(body: bytes) -> Iterator[bytes]:
    (count,) = _BATCH.unpack_from(body)
    at = _BATCH.size
    for _ in range(count):
        (length,) = struct.unpack_from("<I", body, at)
        yield body[at + 4 : at + 4 + length]
        at += 4 + length


def _checksum(body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<I", len(body))))


def _write(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
