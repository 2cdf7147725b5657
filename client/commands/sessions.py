"""``session``: lists, shows, closes, deletes, exports and reports sessions on a server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb
from actmax.v1.session_service_pb2_grpc import SessionServiceStub

from ...wire.errors import InvalidInput
from ...wire.transport import ask_service
from ...wire.writer import to_plain
from ..sessions.display import conclusion, interval, standing
from ..sessions.trials import fetch_trials
from .common import SERVER, Json, Server, Yes, check_folder, confirm, out, print_json

app = typer.Typer(no_args_is_help=True, help="Closed-loop sessions on a server.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="The session's name; sessions/ may be left out.", show_default=False)]


class Format(StrEnum):
    """File format of an export."""

    PARQUET = "parquet"
    NWB = "nwb"


@app.command("list")
def list_sessions(server: Server = SERVER, as_json: Json = False) -> None:
    """List the sessions, newest first."""
    found: list[session_pb2.Session] = []
    token = ""
    while True:
        page: pb.ListSessionsResponse = _call(server, "ListSessions", pb.ListSessionsRequest(page_token=token))
        found.extend(page.sessions)
        if not (token := page.next_page_token):
            break
    if as_json:
        return print_json([to_plain(session) for session in found])
    if not found:
        out.print("There are no sessions.")
    for session in found:
        state = session_pb2.SessionState.Name(session.state).removeprefix("SESSION_STATE_").lower()
        out.print(f"{session.name}  {state:8}  {session.spec.title}")
    return None


@app.command()
def show(name: Name, server: Server = SERVER, as_json: Json = False) -> None:
    """Show a session's progress."""
    session: session_pb2.Session = _call(server, "GetSession", pb.GetSessionRequest(name=full(name)))
    if as_json:
        return print_json(to_plain(session))
    if session.stopped_by:
        for line in conclusion(session):
            out.print(line)
    else:
        progress = session.progress
        out.print(f"generation {progress.generation}, {progress.evaluations} of {progress.total_evaluations} evaluations")
        for thread in session.threads:
            out.print(f"{thread.name}: recommended so far: {standing(thread, session.threads)}", markup=False)
        if not session.threads:
            out.print(f"recommended so far: {interval(session.recommendation)}")
    return None


@app.command()
def mark(
    name: Name,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", min=1, help="The trial's number.", show_default=False)],
    server: Server = SERVER,
    undo: Annotated[bool, typer.Option("--undo", help="Take the mark back.")] = False,
) -> None:
    """Mark a trial as bad, so that no figure counts it; a rig may be running the session meanwhile."""
    _call(server, "Tell", pb.TellRequest(session=full(name), mark_trial=pb.MarkTrial(trial=trial, bad=not undo)))


@app.command()
def finish(
    name: Name,
    server: Server = SERVER,
    at_once: Annotated[bool, typer.Option("--at-once", help="Measure nothing again, and end the present generation.")] = False,
) -> None:
    """End a session's search with the present generation, after its leaders were measured again; the rig goes on until then."""
    _call(server, "Tell", pb.TellRequest(session=full(name), finish=pb.Finish(at_once=at_once)))


@app.command()
def close(name: Name, server: Server = SERVER) -> None:
    """Close a session for good; its trials are kept."""
    _call(server, "CloseSession", pb.CloseSessionRequest(name=full(name)))


@app.command()
def delete(name: Name, yes: Yes = False, server: Server = SERVER) -> None:
    """Delete a session that has ended, with all its trials."""
    confirm(f"{full(name)} and all its trials", yes)
    _call(server, "DeleteSession", pb.DeleteSessionRequest(name=full(name)))


@app.command()
def export(  # noqa: PLR0913 - options of the command
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to: FILE.parquet or FILE.nwb.", show_default=False)],
    kind: Annotated[Format | None, typer.Option("--format", help="By the file's ending by default.", show_default=False)] = None,
    server: Server = SERVER,
    subject: Annotated[str, typer.Option("--subject", help="NWB: the animal's identifier. What isn't given is the session's own.")] = "",
    species: Annotated[str, typer.Option("--species", help="NWB: its species, as in 'Macaca mulatta'.")] = "",
    sex: Annotated[str, typer.Option("--sex", help="NWB: M, F, U or O.")] = "",
    age: Annotated[str, typer.Option("--age", help="NWB: an ISO 8601 duration, as in P7Y.")] = "",
    experimenter: Annotated[list[str] | None, typer.Option("--experimenter", help="NWB: 'Last, First'.", show_default=False)] = None,
    institution: Annotated[str, typer.Option("--institution", help="NWB.")] = "",
    lab: Annotated[str, typer.Option("--lab", help="NWB.")] = "",
) -> None:
    """Write all trials of a session to a file: Parquet (actmax[parquet]) or NWB with the stimuli (actmax[nwb])."""
    form = kind or _format(file)
    check_folder(file.parent, "FILE")
    trials = fetch_trials(full(name), server, stimuli=form is Format.NWB)
    file.parent.mkdir(parents=True, exist_ok=True)
    if form is Format.PARQUET:
        from ..export.parquet import write_trials

        write_trials(trials, file)
    else:
        from ..export.nwb import write_nwb

        about = session_pb2.Recording()
        about.CopyFrom(trials.session.spec.recording)
        if experimenter:
            about.ClearField("experimenters")
        told = session_pb2.Subject(id=subject, species=species, sex=sex, age=age)
        about.MergeFrom(session_pb2.Recording(subject=told, experimenters=experimenter, institution=institution, lab=lab))
        write_nwb(trials, file, about)
    out.print(f"{len(trials)} trials in {file}")


@app.command()
def report(
    name: Name,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="For the files.", show_default=False)],
    server: Server = SERVER,
    as_json: Json = False,
) -> None:
    """Write plots and a gallery of a session, running or ended: report.html, evolution.svg, gallery.png, result.json."""
    from ..sessions.report import write_report  # Pillow

    check_folder(folder)
    files = write_report(full(name), folder, server)
    if as_json:
        return print_json([str(file) for file in files])
    out.print(f"open {files[0]}")
    return None


def _format(file: Path) -> Format:
    """Return the format for the file's ending; Parquet without an ending."""
    ending = file.suffix.removeprefix(".").lower()
    if ending and ending not in list(Format):
        raise InvalidInput(f"{file}: trials are written as .parquet or .nwb, not as .{ending}; end the name so, or give --format")
    return Format(ending or Format.PARQUET)


def full(name: str) -> str:
    """Return a session's full name."""
    return name if name.startswith("sessions/") else f"sessions/{name}"


def _call(server: str, method: str, request: Any) -> Any:
    return ask_service(SessionServiceStub, lambda stub: getattr(stub, method)(request, timeout=180), server, seconds=2.0)
