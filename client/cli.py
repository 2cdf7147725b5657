"""The ``actmax`` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

# gRPC's own log lines would mix with the commands' output.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import typer

from ..wire.errors import ActmaxError, InvalidInput
from .commands import analyse, catalog, demo, doctor, jobs, rig, run, serve, sessions, simulate, token
from .commands.common import EXIT_CODES, ExitCode, exit_code_of, print_error

try:
    from typer._click.exceptions import ClickException
except ImportError:  # typer before it took click in
    from click.exceptions import ClickException  # pyright: ignore[reportMissingImports]

app = typer.Typer(
    name="actmax",
    help="Finds the stimulus that a unit prefers. " + EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(run.run)
app.command()(analyse.analyse)
app.command()(analyse.export)
app.command()(serve.serve)
app.command()(jobs.submit)
app.command()(jobs.watch)
app.command("list")(jobs.list_jobs)
app.command()(jobs.cancel)
app.command()(jobs.suspend)
app.command()(jobs.resume)
app.command()(jobs.delete)
app.command()(jobs.fetch)
app.add_typer(catalog.app, name="catalog")
app.add_typer(token.app, name="token")
app.add_typer(catalog.plugins, name="plugin")
app.command()(simulate.simulate)
app.command()(rig.rig)
app.add_typer(sessions.app, name="session")
app.command("version")(doctor.print_version)
app.command()(doctor.doctor)


@app.callback()
def _all(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", callback=doctor.print_and_leave, is_eager=True)] = False,
) -> None:
    """Take the options that stand before a command."""


def execute(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; expected errors end in a message, never in a traceback."""
    as_json = "--json" in arguments
    try:
        code = app(args=list(arguments), prog_name="actmax", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.OK
    except ActmaxError as error:
        print_error(error, as_json=as_json)
        return exit_code_of(error)
    except ClickException as error:
        if as_json:
            print_error(InvalidInput(error.format_message()), as_json=True)
        else:
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader, such as head, has closed the pipe. The rest of the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except OSError as error:
        # A folder that is a file, no permission to write, a full disk. Errors of pyarrow and others name the file in their text only.
        fault = ActmaxError(f"{error.filename}: {error.strerror}" if error.filename else str(error), code="IO_ERROR")
        print_error(fault, as_json=as_json)
        return exit_code_of(fault)


def main() -> None:
    """Run the ``actmax`` command with this process's arguments, and exit."""
    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()
