"""``run``: runs a job in this process, without a server."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...wire.errors import ActmaxError, InvalidInput
from ..jobs import jobfile
from ..jobs.display import Display, display_on
from ..jobs.results import kept, read_results, table
from .common import (
    NOTHING_FOUND,
    AllowImport,
    ExitCode,
    JobFileArgument,
    Json,
    NothingFound,
    Overrides,
    err,
    import_from,
    needing_server,
    out,
    print_json,
    print_warnings,
    say_remarks,
)

if TYPE_CHECKING:
    from ...engine.jobs.progress import Progress
    from ...engine.results.result import JobResult
    from ...engine.run import NotWritten

# Holds the checkpoint while a job runs, so that the same command continues after a crash.
_WORK = ".actmax-run"


def run(  # noqa: PLR0913 - options of the command
    job: JobFileArgument,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="For what is found; runs/ and the file's name by default.", show_default=False),
    ] = None,
    overrides: Overrides = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Show which of these pictures drive each unit the most.", show_default=False),
    ] = None,
    film: Annotated[str | None, typer.Option("--film", metavar="gif|mp4", help="Film each search.", show_default=False)] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.", show_default="torch's choice")] = None,
    allow_import: AllowImport = None,
    as_json: Json = False,
) -> None:
    """Run a job in this process, without a server.

    Modules beside the job file can be named as components, if --allow-import permits them.
    Ctrl-C ends the job and writes its results so far; a second Ctrl-C exits at once. After a kill, the same command continues from the last
    checkpoint.
    """
    report = [("images", images), ("film", film)]
    asked = [f"report.{name}={json.dumps(str(value), ensure_ascii=False)}" for name, value in report if value is not None]
    file = jobfile.load(job, [*(overrides or ()), *asked])
    say_remarks(file)
    folder = folder or Path("runs") / job.stem
    import_from(job.parent)
    try:
        with display_on(err, silent=as_json) as display:
            result = _run(file, folder, display, threads, allow_import or ())
    except OSError as error:
        raise ActmaxError(f"cannot write the results into {folder}: {error.strerror or error}", code="IO_ERROR") from None
    results = read_results(folder)
    if as_json:
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        print_json({"folder": str(folder), "cancelled": result.cancelled, "files": files, "result": results})
    else:
        if results.get("searches"):
            out.print(table(results))
        if result.cancelled:
            out.print(kept(results))
        shown = "report.html" if (folder / "report.html").is_file() else "result.json"
        out.print(f"The report: {folder / shown}")
        print_warnings(result.warnings)
    if result.cancelled:
        raise typer.Exit(ExitCode.FAILED)
    if result.outcome in NOTHING_FOUND:
        raise typer.Exit(ExitCode.NOTHING_FOUND)


def _run(file: jobfile.JobFile, folder: Path, display: Display, threads: int | None, allow_import: Sequence[str]) -> JobResult:
    display.state("checking")
    with needing_server("run"):
        from ...engine.checkpoint import BadCheckpoint
        from ...engine.errors import InvalidJob, Unmeasured
        from ...engine.jobs.provenance import command_line
        from ...engine.run import NotWritten, RunSettings, run_job
        from ...engine.spec import JobSpec
        from ...models.permissions import Permissions
        from ...server.messages import jobs as messages

    def show(progress: Progress) -> None:
        display.state("running")
        display.progress(messages.progress(progress))

    work = folder / _WORK
    try:
        with stopping(display) as should_stop:
            spec = JobSpec.parse(jobfile.to_plain(file.spec))
            result = run_job(
                spec,
                work,
                on_progress=show,
                should_stop=should_stop,
                permissions=Permissions.of(allow_import, allow_files=True),
                settings=RunSettings(threads, command=command_line()),
            )
    except InvalidJob as error:
        _discard(work)
        raise file.located(InvalidInput("the job cannot be run", violations=error.violations)) from None
    except NotWritten as error:
        raise _written_elsewhere(error, folder) from error
    except Unmeasured as error:
        _discard(work)
        raise NothingFound(str(error)) from None
    except BadCheckpoint as error:
        raise InvalidInput(f"{error}; give another --out, or remove {work} to begin anew") from None
    _forget(folder)
    for made in sorted((work / "artifacts").rglob("*")):
        if made.is_file():
            place = folder / made.relative_to(work / "artifacts")
            place.parent.mkdir(parents=True, exist_ok=True)
            made.replace(place)
    shutil.rmtree(work)
    return result


def _written_elsewhere(error: NotWritten, folder: Path) -> ActmaxError:
    """Write the result into a temporary folder instead; return the error that names it."""
    from ...engine.report import write_artifacts

    shown = ("unit", "unit_name", "optimizer", "note", "response", "response_sem", "natural_multiple")
    searches = [{name: getattr(search, name) for name in shown} for search in error.result.searches]
    if searches:
        out.print(table({"searches": searches}))
    why = f"cannot write the results into {folder}: {error.strerror}"
    elsewhere = Path(tempfile.mkdtemp(prefix="actmax-"))
    try:
        write_artifacts(error.result, elsewhere, error.stimulus)
        return ActmaxError(f"{why}; they are in {elsewhere}", code="IO_ERROR")
    except Exception:
        shutil.rmtree(elsewhere, ignore_errors=True)
        return ActmaxError(f"{why}; make room and give the same command again, which goes on from its last checkpoint", code="IO_ERROR")


def _forget(folder: Path) -> None:
    """Remove the pages of an earlier job from ``folder``, since the new job may write fewer."""
    if (folder / "result.json").is_file():
        for pattern in ("report.html", "convergence.png", "montage*.png", "images*.png"):
            for page in folder.glob(pattern):
                page.unlink()


def _discard(work: Path) -> None:
    """Remove the folders of a job that was refused, but keep an earlier job's checkpoint."""
    for folder in (work, work.parent):
        try:
            folder.rmdir()
        except OSError:
            return


@contextmanager
def stopping(display: Display) -> Iterator[Callable[[], Literal["", "cancel", "suspend"]]]:
    """Turn the first Ctrl-C (or SIGTERM) into a "cancel" between two generations; the second one raises KeyboardInterrupt."""
    from ...engine.jobs.interruption import stopped_by_signals

    def tell() -> None:
        display.note("Cancelling; what was found is being written. Ctrl-C again leaves at once.")

    with stopped_by_signals([signal.SIGINT, signal.SIGTERM], tell) as interruption:
        yield interruption.should_stop
