"""Responses as a rig writes them: ``.csv`` line by line, ``.mat`` whole, neither trusted to be there before it is."""

from __future__ import annotations

import codecs
import csv
import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..extras import needing
from .telling import Problem, Row

SUFFIXES = frozenset({".csv", ".mat"})
_TRIAL = frozenset({"trial", "trials", "trial_id"})
_RESPONSE = frozenset({"response", "responses", "count", "counts"})
_LARGEST = 2.0**53


@dataclass(frozen=True)
class Found:
    """What a look at a file brought: rows that are new, all that is wrong with it now, and whether it was read from its beginning."""

    rows: list[Row]
    problems: list[Problem]
    afresh: bool = True


@dataclass
class ResponseFile:
    """One file of a rig's, looked at again and again while it is being written.

    Lines of a ``.csv`` are taken one by one, each as soon as its line break is there: a rig may append a line a trial, or write all of
    them at once. A ``.mat`` file is taken when it can be read and was the same at two looks. What is still half written after
    ``settle`` seconds without a change is told as a problem, and taken all the same when the rest comes; but not where nothing came of it
    but a line break, and its response is missing: that is half a line of a rig that was killed.

    Parameters
    ----------
    path : Path
        Ends in ``.csv`` or ``.mat``.
    units : sequence of str
        Names of the recorded units, in the session's order.
    settle : float
        Seconds.
    """

    path: Path
    units: Sequence[str]
    settle: float = 2.0
    half: bool = False
    """Whether a part of it was not whole when it was looked at last."""
    _seen: tuple[int, int, int] | None = None
    _changed: float = 0.0
    _judged: bool = False
    _final: bool = False
    _taken: bytes = b""
    _stale: bytes = b""
    _table: _Table | None = None
    _problems: list[Problem] = field(default_factory=list)

    def look(self, now: float | None = None) -> Found | None:
        """What is new since the last look; None where nothing is, or nothing whole."""
        moment = time.monotonic() if now is None else now
        binary = self.path.suffix.lower() == ".mat"
        try:
            status = self.path.stat()
            identity = (status.st_ino, status.st_size, status.st_mtime_ns)
            if identity != self._seen:
                self._seen, self._changed, self._judged, self._final = identity, moment, False, False
                if binary:
                    self.half = True
                    return None  # once more, to see that nobody is writing
            # the last look, after it has settled, sees what changed within a tick of the file system's clock
            old = moment - self._changed >= self.settle
            if self._final or (self._judged and not old):
                return None
            data = self.path.read_bytes()
        except OSError:  # taken away, or locked by whoever writes it
            return None
        self._judged, self._final = True, old
        return self._mat(data, old) if binary else self._csv(data, old)

    def _mat(self, data: bytes, old: bool) -> Found | None:
        self.half = False
        if data == self._taken:
            return None
        try:
            rows = read_mat(data, self.units)
        except _Unreadable as error:
            self.half = not error.final
            if not (old or error.final):
                return None
            self._taken = b""
            return Found([], [Problem(0, "", "UNREADABLE", str(error))])
        self._taken = data
        return Found(rows, [])

    def _csv(self, data: bytes, old: bool) -> Found | None:
        whole = _lines_in_utf8(data, old)
        lines = whole[: whole.rfind(b"\n") + 1]
        rest = whole[len(lines) :].strip()
        self.half, unfinished = bool(rest), rest if old else b""
        again = self._table is None or not lines.startswith(self._taken)
        if again or self._table is None:
            self._table, self._taken, self._stale, self._problems = _Table(self.units), b"", b"", []
        fresh, self._taken = lines[len(self._taken) :], lines
        stale = self._table.line + 1 if self._stale and self._stale == fresh.partition(b"\n")[0].strip() else 0
        rows, wrong = self._table.rows(fresh.decode("utf-8-sig", errors="replace"))
        if fresh:
            rows, cut = _without_halves(rows, stale)
            wrong, self._stale = [*wrong, *cut], b""
        self._stale = unfinished or self._stale
        self._problems += wrong
        shown = list(self._problems)
        if unfinished:
            text = unfinished.decode("utf-8", errors="replace")[:80]
            shown.append(Problem(self._table.line + 1, "", "UNFINISHED", f"the last line, {text!r}, has no line break: half written?"))
        return Found(rows, shown, again) if rows or wrong or unfinished or again else None


def _lines_in_utf8(data: bytes, old: bool) -> bytes:
    r"""Return a table's text as UTF-8 with ``\n`` in its line breaks, whatever it was written as.

    UTF-16, as of Excel's "Unicode text", is known by its mark or by its zeros. A carriage return alone is a line break where no line feed
    can follow it: with something behind it, or in a file that has not changed for long (``old``).
    """
    wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if wide or (data[1:2] == b"\0" and data[:1] != b"\0" and data[2:3] not in (b"", b"\0") and data[3:4] in (b"", b"\0")):
        even = data[: len(data) // 2 * 2]
        data = even.decode("utf-16" if wide else "utf-16-le", errors="ignore").encode("utf-8", errors="replace")
    # blocks that a network drive has made room for, but not filled yet
    whole = data.split(b"\0", 1)[0]
    if b"\n" not in whole and (b"\r" in whole[:-1] or (old and whole.endswith(b"\r"))):
        return whole.replace(b"\r", b"\n")
    return whole


def _without_halves(rows: list[Row], stale: int) -> tuple[list[Row], list[Problem]]:
    """Rows but for those that are half a line, and what is to be said of these; ``stale`` is the line that stood half written for long."""
    found = {row.trial for row in rows if not row.blank}
    what = "this line stood half written and was then ended without a response; write the response, or nan where the trial was missed"
    kept = [row for row in rows if not row.blank or (row.trial not in found and row.line != stale)]
    cut = [row for row in rows if row.blank and row.trial not in found and row.line == stale]
    return kept, [Problem(row.line, str(row.trial), "CUT_SHORT", what) for row in cut]


class _Unreadable(ValueError):
    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class _Table:
    """Lines of a ``.csv``, with or without a header, by commas, semicolons or tabs."""

    def __init__(self, units: Sequence[str]) -> None:
        self._units = list(units)
        self._delimiter = ","
        self._columns: dict[str, int] | None = None
        self._broken = False
        self.line = 0

    def rows(self, text: str) -> tuple[list[Row], list[Problem]]:
        """The rows of further lines, and what is wrong with others of them."""
        rows: list[Row] = []
        problems: list[Problem] = []
        for line in text.splitlines():
            self.line += 1
            if not line.strip() or self._broken:
                continue
            if self._columns is None:
                self._delimiter = next((mark for mark in ("\t", ";") if mark in line), ",")
            cells = [cell.strip() for cell in next(csv.reader(io.StringIO(line), delimiter=self._delimiter), [])]
            try:
                if self._columns is None and self._head(cells):
                    continue
                rows.append(self._row(cells, self._columns or {}))
            except _Unreadable as error:
                self._broken = error.final
                problems.append(Problem(self.line, cells[0] if cells else "", "MALFORMED", str(error)))
        return rows, problems

    def _head(self, cells: list[str]) -> bool:
        """Learn the columns; whether this line was a header."""
        names = [cell.strip().strip('"') for cell in cells]
        if _is_number(names[0]):
            extra = len(names) - 1 - len(self._units)
            if extra not in (0, 1, 2):
                wanted = ", ".join(["trial", *self._units])
                raise _Unreadable(f"{len(names)} columns and no header; the columns are {wanted}, and onset, offset or not", final=True)
            known = ["trial", *(f"unit {unit}" for unit in self._units), "onset", "offset"]
            self._columns = {name: at for at, name in enumerate(known[: len(names)])}
            return False
        found: dict[str, int] = {}
        for at, name in enumerate(names):
            lower = name.lower()
            if lower in _TRIAL:
                found["trial"] = at
            elif name in self._units or name.removeprefix("response_") in self._units:
                found[f"unit {name if name in self._units else name.removeprefix('response_')}"] = at
            elif lower in _RESPONSE and len(self._units) == 1:
                found.setdefault(f"unit {self._units[0]}", at)
            elif lower in ("onset", "offset"):
                found[lower] = at
        missing = [name for name in ["trial", *(f"unit {unit}" for unit in self._units)] if name not in found]
        if missing:
            wanted = ", ".join(name.removeprefix("unit ") for name in missing)
            raise _Unreadable(f"the header has no column {wanted}; it has {', '.join(names)}", final=True)
        self._columns = found
        return True

    def _row(self, cells: list[str], columns: dict[str, int]) -> Row:
        if len(cells) <= max(columns.values()):
            raise _Unreadable(f"{len(cells)} columns where {max(columns.values()) + 1} are wanted")
        trial = self._number(cells[columns["trial"]])
        if not (trial.is_integer() and abs(trial) < _LARGEST):
            raise _Unreadable(f"{cells[columns['trial']]!r} is no trial")
        responses = tuple(self._number(cells[columns[f"unit {unit}"]]) for unit in self._units)
        times = [self._number(cells[columns[name]]) if name in columns else math.nan for name in ("onset", "offset")]
        blank = not all(cells[columns[f"unit {unit}"]].strip('"') for unit in self._units)
        return Row(int(trial), responses, *times, line=self.line, blank=blank)

    def _number(self, text: str) -> float:
        plain = text.strip('"')
        if not plain or plain.lower() in ("nan", "na", "none"):
            return math.nan
        try:
            return float(plain.replace(",", ".") if self._delimiter != "," else plain)
        except ValueError:
            raise _Unreadable(f"{text!r} is no number") from None


def read_mat(data: bytes, units: Sequence[str]) -> list[Row]:
    """Rows of a ``.mat`` file of version 4 to 7.

    Its variables are ``trial``, (n,) or (n, 1) or (1, n); ``response``, the same for one unit or (n, units); and, or not, ``onset`` and
    ``offset`` like ``trial``. Plurals and ``count`` are understood.

    Raises
    ------
    ValueError
        It isn't one, or isn't one yet.
    NotInstalled
        scipy is missing.
    """
    with needing("mat"):
        from scipy.io import loadmat
    try:
        held: dict[str, Any] = loadmat(io.BytesIO(data))
    except NotImplementedError:
        raise _Unreadable("a .mat file of version 7.3; save it with '-v7'", final=True) from None
    except Exception as error:  # whatever half a file leads a parser to
        raise _Unreadable(f"not a whole .mat file: {error}") from None
    named = {name.lower(): value for name, value in held.items() if not name.startswith("__")}
    columns: dict[str, np.ndarray] = {}
    for what, names in (("trial", _TRIAL), ("response", _RESPONSE), ("onset", {"onset", "onsets"}), ("offset", {"offset", "offsets"})):
        value = next((named[name] for name in sorted(names) if name in named), None)
        if value is None:
            if what in ("trial", "response"):
                raise _Unreadable(f"no variable {what}; there are {', '.join(sorted(named)) or 'none'}")
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "iufb":
            raise _Unreadable(f"the variable {what} is not numeric", final=True)
        columns[what] = array.astype(np.float64)
    trials = columns["trial"].ravel()
    responses = columns["response"]
    if len(units) == 1 and responses.size == trials.size:
        responses = responses.reshape(-1, 1)
    if responses.shape != (trials.size, len(units)):
        shape = " × ".join(str(size) for size in responses.shape)
        raise _Unreadable(f"response is {shape}; {trials.size} × {len(units)} is wanted, a row a trial", final=True)
    times = [columns.get(name, np.full(trials.size, np.nan)).ravel() for name in ("onset", "offset")]
    if any(column.size != trials.size for column in times):
        raise _Unreadable(f"onset and offset have one number for each of {trials.size} trials", final=True)
    if not np.all((trials == np.round(trials)) & (np.abs(trials) < _LARGEST)):
        raise _Unreadable("trial holds whole numbers", final=True)
    return [
        Row(int(trial), tuple(row), float(onset), float(offset), line=at)
        for at, (trial, row, onset, offset) in enumerate(zip(trials, responses.tolist(), *times, strict=True), 1)
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
