"""A rig that exchanges files: stimuli in a folder, responses in another, nothing seen before it is whole."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from actmax.v1 import session_pb2

from ...wire.errors import InvalidInput, WrongState
from ...wire.writer import to_plain
from ..sessions.protocol import Generation
from ..sessions.session import Session
from ..sessions.trials import Trials, fetch_trials
from ..whole_files import write
from .options import FolderOptions, RigSilent, Then
from .ownership import claim, refuse_others
from .responses import SUFFIXES, ResponseFile
from .stimulus_files import StimulusFiles, csv_text
from .telling import Problem, tell_rows, unanswered, untaken

READY, ENDED, ADVANCE = "READY", "ENDED.json", "ADVANCE"
RESPONSES, REFUSED = "responses", "refused"
_QUICKEST, _SLOWEST = 0.005, 0.05
# Of the time that is spent looking.
_SHARE = 0.1


class FolderRig:
    """Runs a session with a rig that reads and writes files in ``folder``.

    ``generation-000001`` and so on appear whole, each with ``trials.csv`` (trial, file, kind) and a file a trial; ``READY`` names the one
    to show now. The rig writes ``.csv`` or ``.mat`` files of any names to ``responses``; a row is taken once, however often it is read.
    What is refused is written to ``refused``, a ``.csv`` of the same name. Adapter and rig may be killed and started again at any moment.

    Parameters
    ----------
    session : Session
        To run.
    folder : path
        Made where there is none; of one session only.
    options : FolderOptions
    shown : callable, optional
        Called with each generation when it has been put there.
    told : callable, optional
        Called with each generation when all of it is told.
    """

    def __init__(
        self,
        session: Session,
        folder: Path | str,
        options: FolderOptions | None = None,
        *,
        shown: Callable[[Generation], None] = lambda _: None,
        told: Callable[[Generation], None] = lambda _: None,
    ) -> None:
        self.session = session
        self.folder = Path(folder)
        self.options = options or FolderOptions()
        self._stimuli = StimulusFiles(self.folder, self.options.format)
        self._on_shown, self._on_told = shown, told
        self._files: dict[str, ResponseFile] = {}
        self._refused: dict[str, list[Problem]] = {}
        self._units: Sequence[str] = ()
        self._shown_at = 0.0
        self.unanswered: list[int] = []
        """Trials whose generation was ended before anything was told of them, and of which nothing has come since."""

    def run(self) -> session_pb2.Session:
        """Go on to the session's end.

        Raises
        ------
        RigSilent
            For longer than it may be; everything is kept.
        InvalidInput
            The folder is another session's, or stimuli can't be written in this format.
        """
        refuse_others(self.folder, self.session.name)
        try:
            self.session.connect()  # an error where there is no such session, before the folder is made its own
            claim(self.folder, self.session.name)
            self._run()
        except WrongState as error:
            if error.reason == "SESSION_CLOSED":
                self._report_untaken()
            raise
        return self.session.described

    def _run(self) -> None:
        current: Generation | None = None
        while (generation := self.session.ask()) is not None:
            if current is None or generation.number != current.number:
                if current is None:
                    self._begin()
                else:
                    self._on_told(current)
                current = generation
                self._stimuli.show(generation, self.session.described)
                write(self.folder / READY, f"{self._stimuli.place(generation).name}\n")
                self._shown_at = time.monotonic()
                self._on_shown(generation)
            self._stimuli.left(generation)
            self._wait(generation)
        if current is None:
            self._begin()
        else:
            self._on_told(current)
        self._tell()
        self._end(self.session.described)
        self._linger()

    def _linger(self) -> None:
        """After the end: rows that are still being written, or that trials cut short still lack, are kept as late."""
        known = self._known()
        self.unanswered = unanswered(known)
        changed = time.monotonic()
        while self.unanswered or any(file.half for file in self._files.values()):
            over = time.monotonic() - changed > self.options.settle
            if self._tell():
                changed = time.monotonic()
                self.unanswered = unanswered(self._known())
            elif over:
                break
            time.sleep(_SLOWEST)
        if self.unanswered:
            self._end(self.session.described)

    def _known(self) -> Trials:
        return fetch_trials(self.session.name, self.session.address, credentials=self.session.credentials)

    def _begin(self) -> None:
        """After the server has given this process the session: nobody else writes here."""
        self._units = [unit.name for unit in self.session.described.spec.units]
        (self.folder / RESPONSES).mkdir(exist_ok=True)
        self._stimuli.clean()

    def _wait(self, generation: Generation) -> None:
        """Until something of the rig's is told."""
        options = self.options
        silent_at = time.monotonic() + (options.timeout or math.inf)
        # the server ends a generation by itself then, which is not heard of before something is said
        over_at = self._shown_at + (self.session.described.spec.design.generation_seconds or math.inf)
        advance = self._stimuli.place(generation) / ADVANCE
        while True:
            began = time.monotonic()
            if self._tell():
                return
            now = time.monotonic()
            if now > over_at or advance.exists():
                return self._advance()
            if now >= silent_at:
                if options.then is Then.STOP:
                    raise RigSilent(f"the rig has written nothing for {options.timeout:g} s; generation {generation.number} waits for it")
                return self._advance()
            time.sleep(min(max(_QUICKEST, (now - began) / _SHARE), _SLOWEST))

    def _advance(self) -> None:
        try:
            self.session.advance()
        except (InvalidInput, WrongState) as error:
            if error.reason in ("SESSION_IN_USE", "FENCED"):
                raise
            # the server had ended it before

    def _tell(self) -> bool:
        """Tell all that is new in the rig's files; whether there was anything."""
        new = False
        try:
            names = sorted(path.name for path in (self.folder / RESPONSES).iterdir() if _is_response(path.name))
        except FileNotFoundError:  # a rig that cleans up
            (self.folder / RESPONSES).mkdir(exist_ok=True)
            return False
        for name in names:
            if name not in self._files:
                self._files[name] = ResponseFile(self.folder / RESPONSES / name, self._units, self.options.settle)
            found = self._files[name].look()
            if found is None:
                continue
            refused = [problem for _, problem in tell_rows(self.session, found.rows)]
            new = new or len(found.rows) > len(refused)
            if found.afresh:
                self._refused.pop(name, None)
            self._report(name, found.problems, refused)
        return new

    def _report(self, name: str, problems: list[Problem], refused: list[Problem]) -> None:
        """Write what is wrong with a file, or take the report away."""
        kept = self._refused.setdefault(name, [])
        kept.extend(refused)
        wrong = sorted([*problems, *kept], key=lambda problem: problem.line)
        report = self.folder / REFUSED / (name if name.lower().endswith(".csv") else f"{name}.csv")
        if not wrong:
            report.unlink(missing_ok=True)
            return
        report.parent.mkdir(exist_ok=True)
        write(report, csv_text([("line", "trial", "reason", "message"), *((p.line, p.trial, p.reason, p.message) for p in wrong)]))

    def _report_untaken(self) -> None:
        """Say of each row that the server doesn't have that it came too late: nobody takes it any more."""
        known = self._known()
        responses = self.folder / RESPONSES
        moment = time.monotonic()
        for name in sorted(path.name for path in responses.iterdir() if _is_response(path.name)) if responses.is_dir() else ():
            file = ResponseFile(responses / name, known.units, self.options.settle)
            self._refused.pop(name, None)
            for found in (file.look(moment), file.look(moment + self.options.settle)):
                if found is not None:
                    self._report(name, found.problems, untaken(found.rows, known))

    def _end(self, session: session_pb2.Session) -> None:
        self._stimuli.recommended(session)
        recommendation = to_plain(session.recommendation, arrays=False)
        about = {"session": session.name, "stopped_by": session.stopped_by, "recommendation": recommendation}
        if self.unanswered:
            about["unanswered"] = self.unanswered
        write(self.folder / ENDED, json.dumps(about, indent=2) + "\n")
        (self.folder / READY).unlink(missing_ok=True)


def _is_response(name: str) -> bool:
    return not name.startswith((".", "~")) and Path(name).suffix.lower() in SUFFIXES
