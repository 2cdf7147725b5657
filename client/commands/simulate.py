"""``simulate``: rehearses a closed-loop experiment, with a simulated rig against a server."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actmax.v1 import session_pb2

from ...wire.arrays import to_array
from ...wire.errors import InvalidInput
from ...wire.writer import to_plain
from ..jobs import overrides
from ..sessions.display import session_display
from ..sessions.protocol import Generation
from ..sessions.session import Session
from .common import SERVER, AllowImport, ExitCode, Json, Server, check_folder, err, needing_server, out, print_json

if TYPE_CHECKING:
    from ...engine.session.simulated_rig import SimulatedRig


def simulate(  # noqa: PLR0913 - options of the command
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Where the electrodes are: a target of the catalog.", show_default=False)],
    unit: Annotated[list[str], typer.Option("--unit", metavar="ADDRESS", help="Unit recorded from; may be repeated.", show_default=False)],
    generator: Annotated[str, typer.Option("--generator", help="What makes the stimuli.")] = "cifar10-sngan",
    server: Server = SERVER,
    optimizer: Annotated[str, typer.Option("--optimizer", help="What searches.")] = "auto",
    evaluations: Annotated[int, typer.Option("--evaluations", min=2, help="Presentations of candidates and leaders.")] = 1000,
    generation_size: Annotated[int, typer.Option("--generation-size", min=2, help="Presentations a generation.")] = 40,
    replicates: Annotated[int, typer.Option("--replicates", min=1, help="Showings of each candidate.")] = 1,
    references: Annotated[float, typer.Option("--references", min=0, max=0.5, help="Share of reference stimuli.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the session and of the rig's noise.")] = 0,
    noise: Annotated[str, typer.Option("--noise", help="poisson, multiplicative or none.")] = "poisson",
    gain: Annotated[float, typer.Option("--gain", help="Spikes for a response of 1.")] = 1.0,
    sigma: Annotated[float, typer.Option("--sigma", help="Size of the multiplicative noise.")] = 0.2,
    saturation: Annotated[float, typer.Option("--saturation", help="Most spikes that refractoriness allows; 0: no limit.")] = 0.0,
    drift: Annotated[float, typer.Option("--drift", help="Change of the gain over the session, as a share.")] = 0.0,
    drop: Annotated[float, typer.Option("--drop", help="Share of missed trials.")] = 0.0,
    dead: Annotated[bool, typer.Option("--dead", help="Units that answer to nothing.")] = False,
    baseline: Annotated[float, typer.Option("--baseline", help="Spikes without a stimulus.")] = 0.0,
    latency: Annotated[float, typer.Option("--latency", help="Seconds that a trial takes.")] = 0.0,
    session: Annotated[str, typer.Option("--session", metavar="NAME", help="Go on with this session.", show_default=False)] = "",
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="For a report at the end.", show_default=False)] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the session: generator.options.plugin=x.", show_default=False),
    ] = None,
    allow_import: AllowImport = None,
    as_json: Json = False,
) -> None:
    """Run a whole closed-loop session over the wire, with a simulated neuron in place of the animal.

    The neuron is a unit of TARGET, with the noise and losses that the options set. The noise depends on the trial alone: after a kill, the
    same command with --session continues as if there had been no interruption.
    """
    options = {
        "noise": noise,
        "gain": gain,
        "sigma": sigma,
        "saturation": saturation,
        "drift": drift,
        "span": round(evaluations / max(1 - references, 0.5)),
        "drop": drop,
        "dead": dead,
        "baseline": baseline,
        "latency": latency,
        "seed": seed,
    }
    if folder is not None:
        check_folder(folder)
    rig = _rig(target, unit, options, allow_import or ())
    counts = noise == "poisson"
    spec: dict[str, Any] = {
        "title": f"simulated {target} {', '.join(unit)}",
        "generator": {"name": generator},
        "units": [{"name": f"unit{at}", "kind": "count" if counts else "rate"} for at in range(len(rig.units))],
        "optimizer": optimizer,
        "stop": {"evaluations": evaluations},
        "design": {"generation_size": generation_size, "replicates": replicates, "references": {"rate": references}},
        "seed": seed,
    }
    for text in changes or ():
        overrides.apply(overrides.Override.parse(text), spec)
    opened = Session(session, server) if session else Session.create(spec, server)
    ended = _rehearse(opened, rig, latency, silent=as_json)
    if folder is not None:
        _report(ended.name, folder, server, silent=as_json)
    if not _told(rig, ended, as_json=as_json):
        raise typer.Exit(ExitCode.FAILED)


def _rehearse(opened: Session, rig: SimulatedRig, latency: float, *, silent: bool) -> session_pb2.Session:
    """Show the rig every stimulus of a session, and return the session at its end; an interrupted session stays open."""
    with opened as running, session_display(err, silent=silent) as display:
        running.on_trouble = display.trouble
        display.name(running.name)
        try:
            for generation in running:
                display.asked(generation)
                _show(running, rig, generation, latency)
                display.generation(generation)
        except KeyboardInterrupt:
            if not silent:
                err.print(f"{running.name} stays open; to go on, give the same command with --session {running.name}")
            raise
        ended = running.described
        display.ended(ended)
    return ended


def _report(name: str, folder: Path, server: str, *, silent: bool) -> None:
    from ..sessions.report import write_report  # Pillow

    files = write_report(name, folder, server)
    if not silent:
        out.print(f"open {files[0]}")


def _told(rig: SimulatedRig, ended: session_pb2.Session, *, as_json: bool) -> bool:
    """Print the session's answer, and return whether it is final."""
    known = ended.recommendation.HasField("stimulus")  # False while the generator's plugin is away
    clean = float(rig.clean(to_array(ended.recommendation.stimulus)[None])[0, 0]) if known else math.nan
    if as_json:
        print_json({"session": to_plain(ended), "clean_response": clean if known else None})
    elif not known:
        out.print(f"{ended.name}: its generator is away, so the recommended stimulus can't be shown; actmax session show tells it later")
    else:
        out.print(f"{ended.name}: without noise and drift the recommended stimulus drives {clean:.4g} spikes")
    return ended.recommendation.final


def _show(running: Session, rig: SimulatedRig, generation: Generation, latency: float) -> None:
    responses = rig.show(generation.trials, generation.stimuli)
    if not latency:
        running.tell(responses)
        return
    for trial, row in zip(generation.trials, responses, strict=True):  # one by one, in real time
        onset = time.monotonic()
        time.sleep(latency)
        running.tell_trial(trial, row, onset=onset, offset=time.monotonic())


def _rig(target: str, units: list[str], options: dict[str, Any], allow_import: Sequence[str]) -> SimulatedRig:
    with needing_server("simulate"):
        from pydantic import ValidationError

        from ...engine.errors import InvalidJob
        from ...engine.schema import violations_of
        from ...engine.session.simulated_rig import RigOptions, simulated_rig
        from ...models.permissions import Permissions
    try:
        return simulated_rig(target, units, RigOptions.model_validate(options), Permissions.of(allow_import))
    except ValidationError as error:
        raise InvalidInput("such a rig can't be simulated", violations=violations_of(error, "")) from None
    except InvalidJob as error:
        raise InvalidInput("such a rig can't be simulated", violations=error.violations) from None
