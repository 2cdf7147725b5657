"""The sessions of a data folder: one folder each, identified by the first line of its log."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.session.log import BUILDING, LOG, Log, first_record


@dataclass(frozen=True)
class Entry:
    """A session's header; ``number`` grows with each session."""

    id: str
    number: int
    owner: str
    request_id: str
    fingerprint: str
    spec: bytes


@dataclass(frozen=True)
class Summary:
    """What a session's log says without a replay; ``changed`` in microseconds since 1970."""

    sequence: int
    changed: int
    closed: bool
    stopped_by: str


class SessionIndex:
    """The sessions below ``root``. Methods may be called from any thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._summaries: dict[str, tuple[tuple[int, int], Summary]] = {}
        for folder in root.iterdir() if root.is_dir() else ():
            header = first_record(folder / LOG)
            if folder.name.endswith(BUILDING) or header is None:
                shutil.rmtree(folder, ignore_errors=True)  # a server died while it created this session, before the client had its name
            else:
                self._add(folder.name, header)

    def folder(self, session_id: str) -> Path:
        """Return the folder of a session."""
        return self.root / session_id

    def number(self, at: int) -> int:
        """Return the number of a session created ``at`` microseconds since 1970: that time, or the next free number after it."""
        with self._lock:
            return max([at, *(entry.number + 1 for entry in self._entries.values())])

    def added(self, session_id: str) -> Entry:
        """Add a session whose folder was just written, and return its entry."""
        header = first_record(self.folder(session_id) / LOG)
        assert header is not None
        return self._add(session_id, header)

    def get(self, session_id: str) -> Entry | None:
        """Return a session's entry; None if there is none."""
        return self._entries.get(session_id)

    def by_request(self, owner: str, request_id: str) -> Entry | None:
        """Return the entry of the session that a request of ``owner`` created; None if there is none."""
        with self._lock:
            return next((e for e in self._entries.values() if request_id and (e.owner, e.request_id) == (owner, request_id)), None)

    def page(self, owner: str | None, before: int | None, limit: int) -> list[Entry]:
        """Return entries, newest first.

        Parameters
        ----------
        owner : str or None
            The sessions' owner; None for all.
        before : int or None
            Bound of the numbers, excluded; None for no bound.
        limit : int
            Most entries.
        """
        with self._lock:
            found = [e for e in self._entries.values() if (owner is None or e.owner == owner) and (before is None or e.number < before)]
        return sorted(found, key=lambda entry: -entry.number)[:limit]

    def summary(self, session_id: str) -> Summary:
        """Return the summary of a session's log, which is read again only if its file has changed.

        Raises
        ------
        FileNotFoundError
            The session was deleted meanwhile.
        DamagedSession
            The log is damaged.
        """
        path = self.folder(session_id) / LOG
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
        known = self._summaries.get(session_id)
        if known is not None and known[0] == stamp:
            return known[1]
        records = Log.read(path)
        found = Summary(
            max((int(record.get("s", 0)) for record in records), default=0),
            max((int(record.get("at", 0)) for record in records), default=0),
            any(record["t"] == "close" for record in records),
            next((record["stopped_by"] for record in records if record["t"] == "ended"), ""),
        )
        with self._lock:
            if session_id in self._entries:
                self._summaries[session_id] = (stamp, found)
        return found

    def forget(self, session_id: str) -> bool:
        """Remove a session's entry before its files are removed; return False if there is no entry."""
        with self._lock:
            self._summaries.pop(session_id, None)
            return self._entries.pop(session_id, None) is not None

    def remember(self, entry: Entry) -> None:
        """Restore the entry of a session whose files could not be removed."""
        with self._lock:
            self._entries[entry.id] = entry

    def remove(self, session_id: str) -> None:
        """Remove the files of a session without entry.

        Raises
        ------
        OSError
            The folder can't be renamed.
        """
        # renamed first, so that the next start removes what a crash leaves
        doomed = self.root / (session_id + BUILDING)
        self.folder(session_id).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _add(self, session_id: str, header: dict[str, Any]) -> Entry:
        message = bytes.fromhex(header["message"])
        entry = Entry(session_id, int(header["number"]), header["owner"], header["request_id"], header["fingerprint"], message)
        with self._lock:
            self._entries[session_id] = entry
        return entry
