"""A reader of a page, who pastes its blocks one after the other: shell blocks into one shell, Python blocks into one interpreter.

A block that is not to be run says why behind its language: ```` ```sh no-run: needs CIFAR-10 ````.
"""

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS_SERVER = "# needs a running server"
READY = "actmax serving on"


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    info: str
    code: str

    @property
    def runs(self) -> bool:
        return self.language in ("sh", "python") and not self.info.startswith("no-run:")

    @property
    def file(self) -> str:
        """The name of the file that the block shows, by its first line."""
        named = re.match(r"# ([\w.-]+\.(?:py|yaml))\b", self.code)
        return named[1] if named else ""


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        language, _, info = match[1].strip().partition(" ")
        found.append(Block(page, text[: match.start(2)].count("\n"), language, info.strip(), match[2]))
    return found


def pages() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in sorted(listed) if name != "CHANGELOG.md"]


def listen_to_interrupts() -> None:
    """Heed SIGINT, also where the tests run in the background, to which a shell gives it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(condition: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for ``condition`` while ``process`` runs; a hang is pytest's to end."""
    while not condition():
        assert process.poll() is None, f"it ended early:\n{log.read_text()[-3000:]}"
        time.sleep(0.05)


@dataclass
class Terminal:
    """A bash of its own, as one more window of the reader's: of one command that runs until it is interrupted."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def open(cls, code: str, folder: Path, environment: dict[str, str], log: Path) -> "Terminal":
        with log.open("wb") as file:
            command = ["bash", "-ec", code]
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=listen_to_interrupts,
            )
        return cls(process, log)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait()
        assert code in (0, 130, -signal.SIGINT), f"it ended with {code}:\n{self.log.read_text()[-3000:]}"


@dataclass
class Reader:
    """Runs blocks in ``folder``, a clean copy of the repository.

    Attributes
    ----------
    names
        The interpreter's, with what a page leaves to its reader.
    """

    folder: Path
    scratch: Path
    names: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    server: Terminal | None = None
    others: list[Terminal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names["__name__"] = "pasted"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ACTMAX_") and name != "VIRTUAL_ENV"}
        path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{kept['PATH']}"
        self.environment = {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "ACTMAX_SERVE_DATA": "actmax-data", **self.environment}
        self._log = self.scratch / "shell.log"
        self._done, written = os.pipe()
        with self._log.open("wb") as log:
            self._shell = subprocess.Popen(
                ["bash", "-e"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(written,),
                start_new_session=True,
                preexec_fn=listen_to_interrupts,
            )
        self._mark = f"echo done >&{written}\n"
        self._written = written

    def run(self, block: Block) -> None:
        if block.file:
            (self.folder / block.file).write_text(block.code)
        if not block.runs:
            return
        if NEEDS_SERVER in block.code or re.search(r"^actmax (rig|submit)", block.code, re.MULTILINE):
            self.serve()
        if block.language == "python":
            self.python(block)
        elif re.search(r"^actmax serve\b(?!.*&$)", block.code, re.MULTILINE):
            self.serve(block.code)
        elif block.code.startswith("actmax rig"):
            self.wait_for(block.code, lambda: (self.folder / "exchange" / "READY").exists())
        else:
            self.shell(block.code)

    def python(self, block: Block) -> None:
        # line numbers of the page itself in a traceback
        source = "\n" * block.line + block.code
        exec(compile(source, str(block.page), "exec"), self.names)
        if 'if __name__ == "__main__":' in block.code:
            port = int(re.findall(r"127\.0\.0\.1:(\d+)", block.code)[0])
            self.wait_for(f"python {block.file}", lambda: listens(port))

    def shell(self, code: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write((code.rstrip("\n") + "\n" + self._mark).encode())
        self._shell.stdin.flush()
        # not read from before there is something, since the shell's children hold the other end too
        until(lambda: select.select([self._done], [], [], 0)[0], self._shell, self._log)
        os.read(self._done, 5)
        if re.search(r"^actmax serve\b.*&$", code, re.MULTILINE):
            until(lambda: READY in self._log.read_text(), self._shell, self._log)
            self.server = Terminal(self._shell, self._log)

    def serve(self, code: str = "") -> None:
        """Have the server of ``code`` running, or any where that is empty."""
        if self.server is not None and not code:
            return
        if self.server is not None:
            self.server.interrupt()
        log = self.scratch / "server.log"
        self.server = Terminal.open(code or "actmax serve", self.folder, self.environment, log)
        until(lambda: READY in log.read_text(), self.server.process, log)

    def wait_for(self, code: str, sign: Callable[[], object]) -> None:
        """Have ``code`` running in a window of its own until there is a sign that it works, then interrupt it."""
        log = self.scratch / f"window-{len(self.others)}.log"
        window = Terminal.open(code, self.folder, self.environment, log)
        self.others.append(window)
        until(sign, window.process, log)
        window.interrupt()

    def close(self) -> None:
        os.close(self._written)
        os.close(self._done)
        try:
            if self.server is not None and self.server.process is not self._shell:
                self.server.interrupt()
        finally:
            for process in [self._shell, *(window.process for window in self.others), *([self.server.process] if self.server else [])]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait()


def listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def clean_copy(folder: Path) -> Path:
    """Copy what git tracks, and what it would track, to ``folder``; the environment that runs the tests is its ``.venv``."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@contextlib.contextmanager
def usual_ports() -> Iterator[None]:
    """Have the ports that pages name to oneself, among all tests on this machine."""
    lock: TextIO
    with (Path(tempfile.gettempdir()) / "actmax-usual-ports.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        while any(listens(port) for port in (50051, 50061, 9464)):
            time.sleep(0.2)
        yield
