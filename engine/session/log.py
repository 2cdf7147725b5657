"""The log of a session: one line a record, written once and flushed, read back whole or not at all."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import DamagedSession

Record = dict[str, Any]


class Log:
    """An append-only file of JSON records, each with a checksum.

    What :meth:`append` returned from is on disk. A line that a crash has cut off is dropped when the file is opened again: nobody was
    told of it. A damaged line before others is an error.

    Parameters
    ----------
    path : Path
        Made where it is missing; one process at a time.

    Raises
    ------
    DamagedSession
        A record in it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records, whole = _read(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, whole)
        os.lseek(self._file, whole, os.SEEK_SET)
        self._end = whole

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
        """Keep some records: one write, one flush to disk.

        Raises
        ------
        OSError
            None of them is kept.
        """
        data = b"".join(_line(record) for record in records)
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
        except OSError:
            # what was written of it is cut off again; where that fails too, the checksums of the next lines tell
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
            raise
        self._end += len(data)

    def close(self) -> None:
        """Let go of the file; once is enough."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def first_record(path: Path) -> Record | None:
    """The record that a log begins with; None where there is none."""
    try:
        with path.open("rb") as file:
            return _parsed(file.readline())
    except OSError:
        return None


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> Record | None:
    head, _, text = line[:-1].partition(b" ")
    if not line.endswith(b"\n") or len(head) != 8:
        return None
    try:
        return json.loads(text) if int(head, 16) == zlib.crc32(text) else None
    except ValueError:
        return None


def _read(path: Path) -> tuple[list[Record], int]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    records: list[Record] = []
    at = 0
    for line in data.splitlines(keepends=True):
        record = _parsed(line)
        if record is None:
            if data.find(b"\n", at) not in (-1, len(data) - 1):
                raise DamagedSession(f"{path}: the record at byte {at} is damaged, and others come after it")
            break
        records.append(record)
        at += len(line)
    return records, at
