"""``rig``: runs a session with a rig that exchanges files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...wire.errors import InvalidInput
from ...wire.writer import to_plain
from ..rigs.options import FolderOptions, Format, RigSilent, Then
from ..sessions import spec
from ..sessions.display import session_display
from ..sessions.session import Session
from .common import SERVER, ExitCode, Json, Server, check_folder, err, print_error, print_json, say_remarks


def rig(  # noqa: PLR0913 - options of the command
    session: Annotated[str, typer.Argument(metavar="SESSION", help="A session's name, or SPEC.yaml of a new one.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Shared with the rig; made where there is none.", show_default=False)],
    server: Server = SERVER,
    kind: Annotated[Format, typer.Option("--format", help="Of the stimuli: 8-bit pictures, or arrays of their own values.")] = Format.PNG,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds for which the rig may be silent; 0: for ever.")] = 0.0,
    then: Annotated[Then, typer.Option("--then", help="After that: what is left of the generation was missed, or stop.")] = Then.MISSED,
    settle: Annotated[float, typer.Option("--settle", min=0.1, help="Seconds after which half a file is reported.")] = 2.0,
    patience: Annotated[float, typer.Option("--patience", min=0, help="Seconds for which a lost server is waited for.")] = 300.0,
    take_over: Annotated[bool, typer.Option("--take-over", help="End another client that runs the session.")] = False,
    renew: Annotated[bool, typer.Option("--renew", help="Go on with a session that has expired.")] = False,
    as_json: Json = False,
) -> None:
    """Run a session with a rig that exchanges files: stimuli as PNG, responses as .csv or .mat.

    FOLDER/READY names the generation to show; put responses into FOLDER/responses, with columns trial and one for each unit.
    FOLDER/refused says why a file was refused. After a kill, the same command continues the session; the rig may be restarted too.
    """
    from ..rigs.folder import FolderRig  # Pillow
    from ..rigs.ownership import create_in

    check_folder(folder, "FOLDER")
    options: dict[str, Any] = {"patience": patience, "take_over": take_over, "renew": renew}
    file = Path(session)
    if file.suffix.lower() in (".yaml", ".yml", ".json"):
        made = spec.load(file)
        say_remarks(made)
        try:
            opened = create_in(folder, made.spec, server, **options)
        except InvalidInput as error:
            raise made.located(error) from None
    else:
        opened = Session(session if session.startswith("sessions/") else f"sessions/{session}", server, **options)
    with opened as running, session_display(err, silent=as_json) as display:
        running.on_trouble = display.trouble
        display.name(running.name)
        used = FolderOptions(kind, timeout, then, settle)
        adapter = FolderRig(running, folder, used, shown=display.asked, told=display.generation)
        try:
            ended = adapter.run()
        except RigSilent as error:
            print_error(error, as_json=as_json)
            raise typer.Exit(ExitCode.FAILED) from None
        display.ended(ended)
    if adapter.unanswered and not as_json:
        what = "trial was" if len(adapter.unanswered) == 1 else "trials were"
        err.print(f"{len(adapter.unanswered)} {what} never answered; the same command takes their responses, as late, once they are there")
    if as_json:
        print_json(to_plain(ended))
