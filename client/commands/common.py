"""Options, exit codes and printing that the commands share."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ...wire.errors import ActmaxError, DamagedArtifact, InvalidInput, ServerFault, Unavailable, UnsafePath
from ...wire.transport import DEFAULT_ADDRESS
from ..extras import NotInstalled
from ..jobs.client import Client
from ..jobs.jobfile import SpecFile


class ExitCode(IntEnum):
    """Exit codes of ``actmax``."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    NOTHING_FOUND = 4
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done; 1 the job failed or was cancelled, or something broke; 2 wrong input or usage; 3 the server cannot be reached; "
    "4 the job ended, but none of its searches measured anything or moved; "
    "130 left by Ctrl-C while the job goes on or before it could be ended."
)

NOTHING_FOUND = ("stuck", "unmeasured")
"""Outcomes of a job that end a command with :attr:`ExitCode.NOTHING_FOUND`."""

MOST_WARNINGS = 10
"""Most lines of warnings that are printed; the report has all."""

PATIENCE = 2.0
"""Seconds for which a command retries if no server answers."""

Server = Annotated[str, typer.Option("--server", envvar="ACTMAX_SERVER", metavar="HOST:PORT", help="The server to talk to.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of text; errors too, on stderr.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
JobFileArgument = Annotated[Path, typer.Argument(metavar="JOB.YAML", help="The job file.", show_default=False)]
JobName = Annotated[
    str, typer.Argument(metavar="NAME", help="The job's name, such as jobs/3f2a...; jobs/ may be left out.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a field of the job, such as optimizer.options.rank=8; may be repeated.",
        show_default=False,
    ),
]
AllowImport = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-import",
        metavar="NAME",
        help="Let jobs use this: a package, for components named package:attribute, which runs its code; a folder of models or pictures; "
        "or an inference server's grpc:// or http:// address. May be repeated.",
        show_default=False,
    ),
]

SERVER = DEFAULT_ADDRESS

# Width of tables without a terminal, in place of rich's 80 columns.
_WIDE = 200

out = Console(soft_wrap=True, highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def connect(server: str) -> Client:
    """Return a client that gives up soon if nothing listens, since a person waits."""
    return Client(server, patience=PATIENCE)


def job_name(name: str) -> str:
    """Return a job's full name."""
    return name if name.startswith("jobs/") else f"jobs/{name}"


def check_folder(folder: Path, given: str = "--out") -> None:
    """Validate, before a long search, that its results can be written into a folder.

    Parameters
    ----------
    folder : Path
        The folder, which may not exist yet.
    given : str
        The option that names it, for messages.

    Raises
    ------
    InvalidInput
        ``folder`` is a file or lies below one, or the user may not write there.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InvalidInput(f"{given} {folder}: {place} is a file; give a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InvalidInput(f"{given} {folder}: {place} is not for you to write; give another folder")


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document to standard output."""
    sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_warnings(warnings: Sequence[str]) -> None:
    """Print a result's warnings to standard error."""
    for warning in warnings[:MOST_WARNINGS]:
        err.print(f"Warning: {warning}")
    if len(warnings) > MOST_WARNINGS:
        err.print(f"... and {len(warnings) - MOST_WARNINGS} more warnings, in result.json")


def print_error(error: ActmaxError, *, as_json: bool) -> None:
    """Print an expected error to standard error, as text or as JSON."""
    if as_json:
        sys.stderr.write(json.dumps({"error": error.to_dict()}, ensure_ascii=False) + "\n")
    else:
        hint = "; start one with 'actmax serve', or name another with --server" if error.code == "UNAVAILABLE" else ""
        sys.stderr.write(f"actmax: {error}{hint}\n")


def exit_code_of(error: ActmaxError) -> ExitCode:
    """Return the exit code for an error."""
    if isinstance(error, Unavailable):
        return ExitCode.UNREACHABLE
    if isinstance(error, NothingFound):
        return ExitCode.NOTHING_FOUND
    if isinstance(error, (ServerFault, DamagedArtifact, UnsafePath)):
        return ExitCode.FAILED
    return ExitCode.BAD_INPUT


class NothingFound(ActmaxError):
    """A job ended without a single response that is a finite number."""

    code = "UNMEASURED"


@contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield
        return
    interrupted = False

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def needing_server(command: str) -> Iterator[None]:
    """Run the imports of a command that needs ``actmax[server]``.

    A Ctrl-C meanwhile is raised after the imports, since it may abort the process inside a library's import; a second one ends the process.

    Raises
    ------
    NotInstalled
        If another package is missing. A missing module of actmax is a bug, whose error is raised unchanged.
    """
    try:
        with _interrupted_afterwards():
            yield
    except ModuleNotFoundError as error:
        if (error.name or "actmax").split(".")[0] == "actmax":
            raise
        raise NotInstalled(
            f"'actmax {command}' needs the package {error.name}, which is not installed: pip install 'actmax[server]'"
        ) from None


def import_from(folder: Path) -> None:
    """Add ``folder`` to the import path, for components that ``--allow-import`` permits, as Python does for a script.

    The folder comes last, so that it hides no installed module.
    """
    sys.path.append(str(folder.resolve()))


def confirm(what: str, yes: bool) -> None:
    """Ask whether ``what`` is to be deleted for good, unless ``yes`` is given.

    Parameters
    ----------
    what : str
        Description of what is deleted, for the question.
    yes : bool
        Whether to skip the question.

    Raises
    ------
    InvalidInput
        Standard input is no terminal, so the question can't be asked.
    typer.Abort
        The answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(f"{what} would be deleted for good; add --yes to do so without being asked")
    typer.confirm(f"Delete {what} for good?", abort=True, err=True)


def say_remarks(file: SpecFile[Any]) -> None:
    """Print remarks about the pictures of a file to standard error."""
    for remark in file.remarks:
        err.print(remark, markup=False)
