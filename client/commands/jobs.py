"""``submit``, ``watch``, ``list``, ``cancel``, ``suspend``, ``resume``, ``delete``, ``fetch``: jobs on a server."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from actmax.v1 import job_pb2, job_service_pb2

from ...wire.errors import InvalidInput
from ...wire.near_names import hint
from ...wire.writer import to_plain
from ..jobs import jobfile
from ..jobs.client import Client
from ..jobs.display import display_on, matrix, warnings_of
from ..jobs.follow import OnInterrupt, follow, state_text
from .common import (
    NOTHING_FOUND,
    SERVER,
    ExitCode,
    JobFileArgument,
    JobName,
    Json,
    Overrides,
    Server,
    Yes,
    check_folder,
    confirm,
    connect,
    err,
    job_name,
    out,
    print_json,
    print_warnings,
    say_remarks,
)

_STATES = [state_text(number) for number in job_pb2.JobState.values() if number]


def submit(  # noqa: PLR0913 - options of the command
    job: JobFileArgument,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show progress until the job has ended. Ctrl-C cancels it.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="With --watch: fetch what was found into this folder.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="To find the job by; may be repeated.", show_default=False)
    ] = None,
    priority: Annotated[int, typer.Option("--priority", min=-100, max=100, help="Jobs with a higher one start first.")] = 0,
    server: Server = SERVER,
    as_json: Json = False,
) -> None:
    """Queue a job on a server.

    With --watch, Ctrl-C cancels the job, waits until its results are written and, with --out, fetches them; a second Ctrl-C exits at
    once. With --json --watch, every response of the watch is a line, followed by a line with the ended job.
    """
    if folder is not None and not watch:
        raise typer.BadParameter("goes with --watch; for a job that runs on, use 'actmax fetch' later", param_hint="--out")
    file = jobfile.load(job, overrides or ())
    say_remarks(file)
    if folder is not None:
        check_folder(folder)
    with connect(server) as client:
        try:
            created = client.create(file.spec, labels=_labels(label), priority=priority)
        except InvalidInput as error:
            raise file.located(error) from None
        if watch:
            watch_to_end(client, created.name, as_json, OnInterrupt.CANCEL, folder)
        elif as_json:
            print_json(to_plain(created))
        else:
            out.print(f"{created.name} is {state_text(created.state)}")
            out.print(f"  actmax watch {created.name}\n  actmax fetch {created.name}")


def watch(name: JobName, server: Server = SERVER, as_json: Json = False) -> None:
    """Show a job's progress until it has ended.

    Ctrl-C only stops watching: the job continues. With --json, every response is a line, followed by a line with the ended job.
    """
    with connect(server) as client:
        watch_to_end(client, job_name(name), as_json, OnInterrupt.DETACH)


def list_jobs(
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help=f"Only jobs in this state ({', '.join(_STATES)}); may be repeated.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="KEY=VALUE", help="Only jobs with it; may be repeated.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    server: Server = SERVER,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    states = [_state(text) for text in state or ()]
    with connect(server) as client:
        jobs = list(islice(client.list(states, page_size=min(limit, 1000), labels=_labels(label)), limit))
    if as_json:
        print_json({"jobs": [to_plain(job) for job in jobs]})
        return
    if not jobs:
        out.print("There are no jobs.")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("name", "state", "created", "evaluations", "title"):
        table.add_column(heading, no_wrap=heading != "title", justify="right" if heading == "evaluations" else "left")
    for job in jobs:
        created = job.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
        total = f" of {job.progress.total_evaluations:,}" if job.progress.total_evaluations else ""
        table.add_row(job.name, state_text(job.state), created, f"{job.progress.evaluations:,}{total}", _title(job))
    out.print(table)


def cancel(name: JobName, server: Server = SERVER, as_json: Json = False) -> None:
    """End a job and keep its results."""
    with connect(server) as client:
        _print_state(client.cancel(job_name(name)), as_json)


def suspend(name: JobName, server: Server = SERVER, as_json: Json = False) -> None:
    """Suspend a job at a checkpoint, until it is resumed."""
    with connect(server) as client:
        _print_state(client.suspend(job_name(name)), as_json)


def resume(name: JobName, server: Server = SERVER, as_json: Json = False) -> None:
    """Resume a suspended or failed job from its last checkpoint."""
    with connect(server) as client:
        _print_state(client.resume(job_name(name)), as_json)


def _print_state(job: job_pb2.Job, as_json: bool) -> None:
    if as_json:
        print_json(to_plain(job))
    else:
        out.print(f"{job.name} is {'being suspended' if job.suspending else state_text(job.state)}")


def delete(name: JobName, yes: Yes = False, server: Server = SERVER, as_json: Json = False) -> None:
    """Delete a job that does not run, with all its files."""
    confirm(f"{job_name(name)} and all its files", yes)
    with connect(server) as client:
        client.delete(job_name(name))
    if as_json:
        print_json({"deleted": job_name(name)})
    else:
        out.print(f"{job_name(name)} is deleted")


def fetch(
    name: JobName,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Into this folder; into runs/ and the job's identifier by default.", show_default=False),
    ] = None,
    server: Server = SERVER,
    as_json: Json = False,
) -> None:
    """Download a job's pictures, report and results into a folder.

    Complete files are kept. Every file is verified, and appears whole or not at all.
    """
    name = job_name(name)
    with connect(server) as client:
        folder = folder or Path("runs") / name.removeprefix("jobs/").replace("/", "-")
        paths = client.fetch(name, folder)
        state = "" if paths else state_text(client.get(name).state)
    if as_json:
        print_json({"folder": str(folder), "files": [path.relative_to(folder).as_posix() for path in paths]})
    elif paths:
        print_fetched(folder, paths)
    else:
        out.print(f"{name} is {state} and has no files{' yet' if state in ('pending', 'running', 'cancelling') else ''}.")


def print_fetched(folder: Path, paths: tuple[Path, ...]) -> None:
    """Print where the files of a job are, the report first."""
    report = folder / "report.html"
    out.print(f"{len(paths)} files are in {folder}" + (f"; open {report}" if report in paths else ""))


def watch_to_end(client: Client, name: str, as_json: bool, on_interrupt: OnInterrupt, folder: Path | None = None) -> None:
    """Follow a job, print how it ended, and exit with the code of its outcome.

    Parameters
    ----------
    client : Client
        Connected to the job's server.
    name : str
        The job's name.
    as_json : bool
        Whether to print responses as JSON lines.
    on_interrupt : OnInterrupt
        Effect of Ctrl-C on the job.
    folder : Path or None
        Folder to fetch the results into; None to fetch nothing.

    Raises
    ------
    typer.Exit
        The job did not succeed, or Ctrl-C ended the watch.
    """

    def tell(response: job_service_pb2.WatchJobResponse) -> None:
        if as_json:
            print_json(to_plain(response), indent=None)

    try:
        with display_on(err, silent=as_json) as display:
            job = follow(client, name, display, on_interrupt, tell)
    except KeyboardInterrupt:
        if not as_json:
            goes_on = on_interrupt is OnInterrupt.DETACH
            err.print(f"{name} {'goes on' if goes_on else 'is being cancelled'}. Look again: actmax watch {name}")
            if goes_on:
                err.print(f"To end it: actmax cancel {name}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    name = job.analysis_of or name
    paths = client.fetch(name, folder) if folder is not None else ()
    if as_json:
        print_json(to_plain(job), indent=None)
    else:
        print_end(job)
        if folder is not None:
            print_fetched(folder, paths)
        elif job.state != job_pb2.JOB_STATE_FAILED:
            out.print(f"Its pictures and report: actmax fetch {name}")
    code = exit_code_of_job(job)
    if code != ExitCode.OK:
        raise typer.Exit(code)


def exit_code_of_job(job: job_pb2.Job) -> ExitCode:
    """Return the exit code for an ended job."""
    if job.state != job_pb2.JOB_STATE_CANCELLED and job.progress.outcome in NOTHING_FOUND:
        return ExitCode.NOTHING_FOUND
    return ExitCode.OK if job.state == job_pb2.JOB_STATE_SUCCEEDED else ExitCode.FAILED


def print_end(job: job_pb2.Job) -> None:
    """Print how a job ended, and its searches' best responses."""
    if job.state == job_pb2.JOB_STATE_FAILED:
        err.print(f"{job.name} failed: {job.error.message or job.error.code}")
        return
    # In a terminal the live table stays visible.
    if not err.is_terminal:
        if job.progress.searches:
            out.print(matrix(job.progress.searches))
        out.print(f"{job.name} {state_text(job.state)}")
        print_warnings(warnings_of(job.progress))


def _labels(texts: list[str] | None) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise InvalidInput(f"--label {text}: it is not KEY=VALUE")
        labels[key] = value
    return labels


def _title(job: job_pb2.Job) -> str:
    """Return a job's title; for a job of analyses their names and the analysed job."""
    if not job.analysis_of:
        return job.spec.title
    return f"{', '.join(one.name for one in job.spec.analyses)} of {job.analysis_of}"


def _state(text: str) -> str:
    if text.lower() not in _STATES:
        raise InvalidInput(f"--state {text}: there is no such state; {hint(text.lower(), _STATES)}")
    return f"JOB_STATE_{text.upper()}"
