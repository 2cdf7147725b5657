"""``analyse`` and ``export``: further analyses and tables of a job that has ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ...wire.errors import ActmaxError, InvalidInput
from ..export.parquet import write_tables
from ..jobs import plainyaml
from ..jobs.display import display_on
from ..jobs.follow import OnInterrupt
from ..jobs.results import read_results
from .common import (
    SERVER,
    AllowImport,
    ExitCode,
    Json,
    Server,
    connect,
    err,
    import_from,
    job_name,
    needing_server,
    out,
    print_json,
    print_warnings,
)
from .jobs import watch_to_end
from .run import stopping

Finished = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="What actmax run or fetch left: a folder with a result.json.", show_default=False)
]
_ASKED = re.compile(r"(?P<name>.+?)(?::(?P<options>[A-Za-z_][\w-]*=.*))?", re.DOTALL)
_NEXT = re.compile(r",(?=[A-Za-z_][\w-]*=)")


def analyse(
    job: Annotated[
        str,
        typer.Argument(metavar="JOB", help="A folder that actmax run or fetch left; or the name of a server's job.", show_default=False),
    ],
    analysis: Annotated[
        list[str],
        typer.Option("--analysis", metavar="NAME[:OPTION=VALUE,...]", help="What to compute; may be repeated.", show_default=False),
    ],
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.", show_default="torch's choice")] = None,
    allow_import: AllowImport = None,
    server: Server = SERVER,
    as_json: Json = False,
) -> None:
    """Run analyses on a job that has ended, and add their results to its report.

    On a folder they run in this process; after a kill, the same command continues. On a job's name its server runs them, as another job,
    under the server's own limits and permissions. In both cases Ctrl-C keeps the results so far.
    """
    asked = [parse_analysis(text) for text in analysis]
    folder = _folder(job)
    if folder is None:
        if threads is not None or allow_import:
            raise InvalidInput(
                f"{job} is a server's job: --threads and --allow-import are for folders; fetch it first to run analyses here"
            )
        with connect(server) as client:
            return watch_to_end(client, client.analyse(job_name(job), asked).name, as_json, OnInterrupt.CANCEL)
    import_from(Path())
    return _analyse_here(folder, asked, threads, allow_import, as_json)


def _analyse_here(
    folder: Path, asked: Sequence[dict[str, Any]], threads: int | None, allow_import: Sequence[str] | None, as_json: bool
) -> None:
    """Run analyses on a folder, and print what they added."""
    with needing_server("analyse"):
        from ...engine.checkpoint import BadCheckpoint
        from ...engine.errors import InvalidJob
        from ...engine.jobs.finished import analyse_finished
        from ...engine.results.reading import UnreadableResult
        from ...engine.spec import ComponentSpec
        from ...models.permissions import Permissions
    try:
        with display_on(err, silent=as_json) as display, stopping(display) as should_stop:
            done = analyse_finished(
                folder,
                [ComponentSpec.model_validate(one) for one in asked],
                permissions=Permissions.of(allow_import or (), allow_files=True),
                on_stage=display.state,
                should_stop=should_stop,
                threads=threads,
            )
    except InvalidJob as error:
        raise InvalidInput("the analyses cannot be run", violations=error.violations) from None
    except (UnreadableResult, BadCheckpoint) as error:
        raise InvalidInput(str(error)) from None
    except OSError as error:
        raise ActmaxError(f"cannot write the results into {folder}: {error.strerror or error}", code="IO_ERROR") from None
    titles = [section.title for section in done.sections]
    if as_json:
        print_json({"folder": str(folder), "sections": titles, "warnings": list(done.notices), "cancelled": bool(done.reason)})
    else:
        shown = folder / "report.html"
        where = shown if shown.is_file() else folder / "result.json"
        out.print(f"Added to {where}: {', '.join(titles)}" if titles else "Nothing was added.")
        print_warnings(done.notices)
    if done.reason or not titles:
        raise typer.Exit(ExitCode.FAILED)


def _folder(job: str) -> Path | None:
    """Return the folder of a job's results; None if ``job`` is the name of a server's job.

    Raises
    ------
    InvalidInput
        The folder exists and has no results, or the name is that of neither.
    """
    folder = Path(job)
    if (folder / "result.json").is_file():
        return folder
    if folder.exists() and not job.startswith("jobs/"):
        raise InvalidInput(f"{job}: there is no result.json; give the folder that actmax run or actmax fetch has written")
    if "/" in job.removeprefix("jobs/"):
        raise InvalidInput(f"{job}: there is no such folder, and a server's job is named by its identifier or jobs/ and that")
    return None


def export(
    job: Finished,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="For the tables; tables/ in the job's folder by default.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the tables of a job that has ended as Parquet files (actmax[parquet]): its searches, and the tables of its analyses."""
    paths = write_tables(read_results(job), folder or job / "tables")
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        out.print(f"{len(paths)} tables are in {folder or job / 'tables'}")


def parse_analysis(text: str) -> dict[str, Any]:
    """Return the analysis in ``NAME`` or ``NAME:option=value,…``, values as in a job file; a name may be ``package:attribute``.

    Raises
    ------
    InvalidInput
        A value can't be read.
    """
    found = _ASKED.fullmatch(text)
    if found is None:
        raise InvalidInput(f"--analysis {text!r}: give the name of an analysis")
    options: dict[str, Any] = {}
    for part in _NEXT.split(found["options"]) if found["options"] else ():
        name, _, value = part.partition("=")
        try:
            options[name], _ = plainyaml.parse(value)
        except plainyaml.YamlError as error:
            raise InvalidInput(f"--analysis {text}: {name}: {error.message}") from None
    return {"name": found["name"], "options": options}
