"""``demo``: starts a server, runs one job over gRPC and fetches its report; ``make run`` calls it."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from actmax.v1 import job_pb2

from ...wire.errors import ActmaxError, InvalidInput
from ...wire.writer import to_plain
from ..jobs import jobfile
from ..jobs.client import Client
from ..jobs.display import display_on, warnings_of
from ..jobs.follow import OnInterrupt, follow
from ..jobs.results import kept, read_results, table
from .common import AllowImport, ExitCode, Json, Overrides, check_folder, err, out, print_json, print_warnings, say_remarks
from .jobs import exit_code_of_job, print_end

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


def demo(
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="For what is found.")] = Path("runs/first"),
    job: Annotated[Path, typer.Option("--job", metavar="JOB.YAML", help="The job file.")] = Path("examples/first_job.yaml"),
    overrides: Overrides = None,
    allow_import: AllowImport = None,
    as_json: Json = False,
) -> None:
    """Start a server, run one job on it over gRPC, fetch its report, stop the server.

    Ctrl-C cancels the job, fetches its results and stops the server; a second Ctrl-C exits at once.
    """
    file = jobfile.load(job, overrides or ())
    say_remarks(file)
    check_folder(folder)
    with _terminable(), _own_server(allow_import or ()) as address, Client(address) as client:
        if not as_json:
            err.print(f"A server listens on {address}; submitting {job}")
        try:
            created = client.create(file.spec)
        except InvalidInput as error:
            raise file.located(error) from None
        with display_on(err, silent=as_json) as display:
            ended = follow(client, created.name, display, OnInterrupt.CANCEL)
        paths = client.fetch(ended.name, folder)
    report = folder / "report.html"
    results = read_results(folder) if folder / "result.json" in paths else None
    if as_json:
        files = [path.relative_to(folder).as_posix() for path in paths]
        print_json({"folder": str(folder), "files": files, "job": to_plain(ended), "result": results})
    else:
        if results is None:
            print_end(ended)
        elif results.get("searches"):
            out.print(table(results))
        if ended.state == job_pb2.JOB_STATE_CANCELLED:
            out.print(kept(results or {}))
        if report in paths:
            out.print(f"The report: {report}")
        if results is not None:
            print_warnings(warnings_of(ended.progress))
    if (code := exit_code_of_job(ended)) != ExitCode.OK:
        raise typer.Exit(code)


@contextmanager
def _own_server(allow_imports: Sequence[str]) -> Iterator[str]:
    """Yield the address of a new server, whose data folder is removed with it."""
    with tempfile.TemporaryDirectory(prefix="actmax-") as scratch:
        log = Path(scratch) / "server.log"
        command = [sys.executable, "-m", "actmax.client.cli", "serve", "--address", "127.0.0.1:0", "--data", f"{scratch}/data"]
        command += [part for package in allow_imports for part in ("--allow-import", package)]
        with log.open("wb") as stderr:
            environment = {**os.environ, "ACTMAX_SERVE_STANDBY": "false"}  # there is one job
            # In a separate process group, so that a terminal's Ctrl-C does not stop it before the job is cancelled.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, process_group=0, env=environment
            )
        try:
            yield _address(process, log)
        except KeyboardInterrupt:
            # The server stops at once at the second signal.
            process.terminate()
            raise
        finally:
            _stop(process)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the server's address, from the first line that it prints."""
    assert process.stdout is not None
    limit = time.monotonic() + _START_SECONDS
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            ready = selector.select(max(0.0, limit - time.monotonic()))
            more = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not more:
                break
            line += more
    words = line.decode(errors="replace").split()
    if line.endswith(b"\n") and "on" in words[:-1]:
        return words[words.index("on") + 1].rstrip(",")
    why = log.read_text(errors="replace").strip() or f"nothing was heard of it for {_START_SECONDS:.0f} seconds"
    raise ActmaxError(f"the server did not start:\n{why[-2000:]}", code="INTERNAL")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def _terminable() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that no server is left behind."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
