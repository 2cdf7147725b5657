"""A session on disk: its log is the truth, a snapshot now and then makes opening quick."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...models.permissions import NOTHING, Permissions
from ...models.plugins.keeping import KeptPlugin
from .. import checkpoint
from ..durable import sync
from ..spec import ComponentSpec
from .checked import CheckedSession
from .checking import check_session
from .errors import DamagedSession
from .log import BUILDING, LOG, Log, Record
from .record import Receipt
from .session import Session
from .spec import SessionSpec
from .trials import TrialResponse, digest

_log = logging.getLogger(__name__)
SNAPSHOT = "snapshot.safetensors"
PLUGIN = "plugin.safetensors"
SNAPSHOT_SECONDS = 0.5
"""Seconds of the search's own work after which a snapshot is due: about as long as opening takes besides reading it."""
SNAPSHOT_SHARE = 2.0
"""The same as a multiple of what the last snapshot took, so that snapshots of large sessions don't take more time than searching."""


class DurableSession:
    """A :class:`Session` whose every lasting step is a record.

    A step is applied in memory first and then appended; whoever appends answers only afterwards. After an append that failed the object is
    to be dropped and the session opened again.

    Parameters
    ----------
    folder : Path
        Of the log, the snapshot, and what the generator's plugin said of itself when the session was created.
    checked : CheckedSession, optional
        Where it is at hand; else it is made from the log's first record.
    permissions : Permissions
        What the session may import, read and ask.
    plugin : KeptPlugin, optional
        Takes in what is known of the generator's plugin, so that whoever has it can let go of the plugin meanwhile.

    Raises
    ------
    DamagedSession
        The log is damaged, or replays to other trials than were asked.
    PluginError
        Scores have to be computed again for which the plugin is needed, and it does not answer.
    LogInUse
        It is open already, in this process or another.
    InvalidJob
        A component that it needs is no longer here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        checked: CheckedSession | None = None,
        permissions: Permissions = NOTHING,
        given: Mapping[str, Any] | None = None,
        plugin: KeptPlugin | None = None,
    ) -> None:
        self.folder = folder
        kept = self._kept()
        self._log = Log(folder / LOG, int(kept.get("logged", 0)))
        try:
            if _last(self._log.records) < int(kept.get("sequence", 0)):
                # the log ends where the snapshot was made, or before: a crash took what was not written yet
                self._log.records = Log.read(folder / LOG)
                kept = kept if _last(self._log.records) >= int(kept["sequence"]) else {}
            if not self._log.records:
                raise DamagedSession(f"{self._log.path} holds no session")
            self.header = self._log.records[0]
            if checked is None:
                spec, heard = SessionSpec.parse(self.header["spec"]), _heard(folder, plugin or KeptPlugin())
                checked = check_session(spec, permissions=permissions, given=given, plugin=heard, created=False)
            self.session = Session(checked)
            self.sequence = 0
            self.changed = int(self.header["at"])
            self.closed = self._ended = False
            self._queued: list[Record] = [self._asked()]
            self._worked = self._snapshot_seconds = 0.0
            restored = self._restored(kept)
            self._replay(self._log.records, restored)
            self._conclude()
        except BaseException:
            self._log.close()
            raise
        self._log.records = []

    @classmethod
    def create(cls, folder: Path, checked: CheckedSession, header: Mapping[str, Any]) -> DurableSession:
        """A new session in ``folder``, which must be new; on disk when this returns, and all of it or nothing."""
        building = folder.with_name(folder.name + BUILDING)
        building.mkdir(parents=True, mode=0o700)
        log = Log(building / LOG)
        try:
            log.append([{"t": "session", "at": now(), **header, "spec": checked.spec.model_dump(mode="json")}])
        finally:
            log.close()
        if checked.plugin.described:
            checkpoint.save(building / PLUGIN, {"described": checked.plugin.described.hex(), "bank": checked.plugin.bank})
        sync(building)
        building.rename(folder)
        sync(folder.parent)
        return cls(folder, checked=checked)

    @property
    def expire_time(self) -> int:
        """Microseconds since 1970."""
        return self.changed + round(1e6 * self.session.spec.expire_seconds)

    def tell(self, told: Sequence[TrialResponse]) -> Receipt:
        """Take responses; see :meth:`Session.tell`. Repeats add no record, but are a sign of life."""
        at = now()
        receipt = self.session.record.tell(told, at)
        if receipt.new:
            self._add({"t": "tell", "at": at, "trials": [_packed(each) for each in told]})
        self.changed = at
        return receipt

    def advance(self, generation: int, why: str) -> bool:
        """End the present generation; see :meth:`Session.advance`."""
        done = self.session.record.advance(generation)
        if done:
            self._add({"t": "advance", "at": now(), "generation": generation, "why": why})
        return done

    def mark(self, trial: int, *, bad: bool) -> bool:
        """Mark a trial as bad, or take that back; see :meth:`TrialRecord.mark`."""
        done = self.session.record.mark(trial, bad=bad)
        if done:
            self._add({"t": "mark", "at": now(), "trial": trial, "bad": bad})
        return done

    def finish(self, *, at_once: bool) -> None:
        """End the searches; see :meth:`Session.finish`."""
        self.session.finish(at_once=at_once)
        self._add({"t": "finish", "at": now(), "at_once": at_once})

    def restart_clock(self, clock: int) -> bool:
        """Begin the rig's next clock; see :meth:`TrialRecord.restart_clock`."""
        done = self.session.record.restart_clock(clock)
        if done:
            self._add({"t": "clock", "at": now(), "clock": clock})
        return done

    def change(self, objective: ComponentSpec | None, unit: str, thread: str = "") -> None:
        """Seek something else; see :meth:`Session.change`."""
        self.session.change(objective, unit, thread)
        sought = objective.model_dump() if objective else None
        self._add({"t": "objective", "at": now(), "objective": sought, "unit": unit, "thread": thread})

    def renew(self) -> None:
        """A sign of life that is kept."""
        self._add({"t": "renew", "at": now()})

    def close_for_good(self) -> None:
        """No trial is taken any more."""
        if not self.closed:
            self.closed = True
            self._add({"t": "close", "at": now()})

    def take(self) -> list[Record]:
        """The records of all steps since the last time, for :meth:`write`, which may run beside :meth:`step`."""
        queued = self._queued
        if not any("s" in record for record in queued):
            return []
        self._queued = []
        return queued

    def write(self, records: Sequence[Record]) -> None:
        """Bring records to disk, one call after the other.

        Raises
        ------
        OSError
            They are not there. Drop this object.
        """
        if records:
            self._log.append(records)

    def flush(self) -> None:
        """Bring all steps since the last time to disk; see :meth:`write`."""
        self.write(self.take())

    def step(self) -> None:
        """See :meth:`Session.step`; what it plans is recorded with the next flush."""
        began = time.monotonic()
        sequence = self.sequence

        def at_boundary() -> None:
            due = max(SNAPSHOT_SECONDS, SNAPSHOT_SHARE * self._snapshot_seconds)
            if self._worked + time.monotonic() - began > due:
                self._snapshot(sequence)
                self._worked = began - time.monotonic()  # what follows in this step is the first work after it

        self.session.step(at_boundary)
        self._worked += time.monotonic() - began
        self._queued.append(self._asked())
        self._conclude()

    def close(self) -> None:
        """Let go of the files."""
        self._log.close()

    def _add(self, record: Record) -> None:
        self.sequence += 1
        self.changed = int(record["at"])
        self._queued.append({"s": self.sequence, **record})

    def _conclude(self) -> None:
        """Say in the log that the search has ended, for lists that don't replay it."""
        if self.session.stopped_by and not self._ended:
            self._ended = True
            self._add({"t": "ended", "at": now(), "stopped_by": self.session.stopped_by})

    def _asked(self) -> Record:
        session = self.session
        return {"t": "asked", "generation": session.record.generation, "digest": digest(session.record.current, session.stimuli)}

    def _snapshot(self, sequence: int) -> None:
        began = time.monotonic()
        about = {"sequence": sequence, "changed": self.changed, "logged": self._log.end}
        with contextlib.suppress(OSError):  # the log has it all
            checkpoint.save(self.folder / SNAPSHOT, {**about, "session": self.session.state_dict()})
        self._snapshot_seconds = time.monotonic() - began

    def _replay(self, records: Sequence[Record], restored: int) -> None:
        began = time.monotonic()
        for record in records[1:]:
            if record["t"] == "asked":
                self._verify(record, restored)
                continue
            self.sequence = int(record["s"])
            self.changed = max(self.changed, int(record["at"]))
            self.closed |= record["t"] == "close"
            self._ended |= record["t"] == "ended"
            if self.sequence <= restored:
                continue
            match record["t"]:
                case "tell":
                    self.session.record.tell([_unpacked(*each) for each in record["trials"]], int(record["at"]), checked=True)
                case "advance":
                    self.session.record.advance(int(record["generation"]))
                case "mark":
                    self.session.record.mark(int(record["trial"]), bad=bool(record["bad"]))
                case "finish":
                    self.session.finish(at_once=bool(record["at_once"]))
                case "clock":
                    self.session.record.restart_clock(int(record["clock"]))
                case "objective":
                    objective = record["objective"]
                    sought = None if objective is None else ComponentSpec.model_validate(objective)
                    self.session.change(sought, record["unit"], record.get("thread", ""))
                case _:
                    pass
            if self.session.complete:
                self.session.step()
                self._queued = [self._asked()]
        self._worked = time.monotonic() - began

    def _kept(self) -> dict[str, Any]:
        """Return the last snapshot; nothing without one that can be read."""
        try:
            return checkpoint.load(self.folder / SNAPSHOT)
        except FileNotFoundError:
            pass
        except (checkpoint.BadCheckpoint, RuntimeError) as error:
            _log.warning("%s: its snapshot is of no use (%s); the whole log is replayed", self.folder, error)
        return {}

    def _restored(self, kept: Mapping[str, Any]) -> int:
        """Go on from a snapshot, if it is of use; return the sequence that it was made at, else 0."""
        if not kept:
            return 0
        try:
            self.session.load_state_dict(kept["session"])
        except (KeyError, ValueError, RuntimeError) as error:
            _log.warning("%s: its snapshot is of no use (%s); the whole log is replayed", self.folder, error)
            self.session = Session(self.session.checked)
            self._log.records = Log.read(self.folder / LOG)
            return 0
        self._queued = [self._asked()]
        self.sequence, self.changed = int(kept["sequence"]), max(self.changed, int(kept.get("changed", 0)))
        return self.sequence

    def _verify(self, record: Record, restored: int) -> None:
        if self.sequence < restored or record["generation"] > self.session.record.generation:
            return
        mine = self._asked()
        if record["generation"] == mine["generation"] and record["digest"] != mine["digest"]:
            what = f"{self.folder}: generation {record['generation']} replays to other trials than were shown; another version made it"
            raise DamagedSession(what)


def _heard(folder: Path, plugin: KeptPlugin) -> KeptPlugin:
    try:
        words = checkpoint.load(folder / PLUGIN)
        plugin.described, plugin.bank = bytes.fromhex(words["described"]), words["bank"]
    except FileNotFoundError:
        pass
    except (checkpoint.BadCheckpoint, KeyError, ValueError) as error:
        raise DamagedSession(f"{folder / PLUGIN}: {error}") from error
    return plugin


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def _packed(told: TrialResponse) -> list[Any]:
    return [told.trial, None if told.missed else [_known(value) for value in told.responses], _known(told.onset), _known(told.offset)]


def _unpacked(trial: int, responses: list[float | None] | None, onset: float | None, offset: float | None) -> TrialResponse:
    missing = math.nan
    clock = (missing if onset is None else onset, missing if offset is None else offset)
    return TrialResponse(trial, tuple(missing if value is None else float(value) for value in responses or ()), responses is None, *clock)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _last(records: Sequence[Record]) -> int:
    """Return the sequence of the last record that has one; 0 without any."""
    return max((int(record["s"]) for record in records if "s" in record), default=0)
