"""Whole simulated experiments: what each search recommends after so many noisy presentations, and whether what it reports is true.

    python -m benchmarks.sessions.experiments                                      # the first, reduced grid
    python -m benchmarks.sessions.experiments --problem all --optimizer all --noise all --presentations 1000 3000 --seeds 5
    python -m benchmarks.sessions.experiments --report                             # writes the table of docs/sessions.md

Each is a session by the engine's own code with the design's defaults, without the wire; a simulated rig answers. What is in the results
already is left alone, so that evidence accumulates: lines of JSON, the last line of a key counts.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actmax.engine.errors import InvalidJob
from actmax.engine.session.checked import CheckedSession
from actmax.engine.session.checking import check_session
from actmax.engine.session.session import Session
from actmax.engine.session.simulated_rig import RigOptions, SimulatedRig, simulated_rig
from actmax.engine.session.spec import SessionSpec
from actmax.engine.session.trials import TrialResponse

RESULTS = Path(__file__).with_name("results") / "experiments.jsonl"
BEST = Path(__file__).with_name("results") / "best_known.json"
DOCS = Path(__file__).parents[2] / "docs" / "sessions.md"
PROBLEMS = {
    "sngan-snn": ("cifar10-sngan", "cifar10-snn", "lif_out[0]"),
    "vqvae-cnn": ("cifar10-vqvae", "cifar10-cnn", "layer3[96]"),
    "sngan-cnn": ("cifar10-sngan", "cifar10-cnn", "layer3[96]"),
    "vqvae-snn": ("cifar10-vqvae", "cifar10-snn", "lif_out[0]"),
}
"""Generator, target and unit."""
FIRST = ("sngan-snn", "vqvae-cnn")
SPIKES = 10.0
"""Mean count of the best natural stimulus: strongly driven neurons answer an image of 100 ms with about as many."""
NOISES = {
    "none": {"noise": "none"},
    "x0.2": {"noise": "multiplicative", "sigma": 0.2},
    "x0.5": {"noise": "multiplicative", "sigma": 0.5},
    "poisson": {"noise": "poisson"},
}
BOXES = ("auto", "sphere-cma", "cma", "tt-grid", "thompson", "xdream", "patch-evolution", "nevergrad", "protes", "tt-cross", "random")
CODES = ("auto", "tt-evolution", "patch-evolution", "nevergrad", "protes", "tt-cross", "random")
EVALUATIONS = 0.78
"""Share of a session's presentations that are evaluations, by the design's defaults: the rest are references, leaders, controls."""


@dataclass(frozen=True)
class Experiment:
    """One simulated session."""

    problem: str
    noise: str
    presentations: int
    optimizer: str
    seed: int
    design: str = ""
    """What differs from the design's defaults, as JSON."""

    @property
    def key(self) -> tuple[Any, ...]:
        return tuple(asdict(self).values())


@cache
def neuron(problem: str) -> tuple[SimulatedRig, float]:
    """A rig without noise at the problem's unit, and the spikes for a response of 1 by which its best natural stimulus drives 10."""
    _, target, unit = PROBLEMS[problem]
    rig = simulated_rig(target, [unit], RigOptions(noise="none"))
    made = check_session(spec_of(Experiment(problem, "none", 100, "random", 0))).generator
    assert made.prior is not None
    with torch.inference_mode():
        best = max(float(rig.clean(made(part).numpy()).max()) for part in made.prior.bank[:512].split(64))
    return rig, SPIKES / best


def spec_of(experiment: Experiment) -> SessionSpec:
    generator, _, unit = PROBLEMS[experiment.problem]
    del unit
    return SessionSpec.parse(
        {
            "generator": {"name": generator},
            "units": [{"name": "a", "kind": "count" if experiment.noise == "poisson" else "rate"}],
            "optimizer": {"name": experiment.optimizer},
            "stop": {"evaluations": round(EVALUATIONS * experiment.presentations)},
            "design": json.loads(experiment.design or "{}"),
            "seed": experiment.seed,
        }
    )


@cache
def _checked(spec: str) -> CheckedSession:
    return check_session(SessionSpec.model_validate_json(spec))


def show(session: Session, rig: SimulatedRig) -> None:
    """One generation, from the rig's screen to the next one's plan."""
    trials = [trial.number for trial in session.record.current]
    responses = rig.show(trials, session.screen.present().numpy())
    told = [
        TrialResponse(number, missed=True) if np.isnan(row).any() else TrialResponse(number, tuple(row))
        for number, row in zip(trials, responses.tolist(), strict=True)
    ]
    session.record.tell(told)
    session.step()


def perform(experiment: Experiment, **drift: Any) -> dict[str, Any]:
    """Run one; ``drift`` are further options of the rig.

    Returns
    -------
    dict
        ``true`` and ``reported`` responses of what it recommends, in spikes; how many trials it took.
    """
    torch.set_num_threads(1)
    clean, gain = neuron(experiment.problem)
    options = RigOptions(**NOISES[experiment.noise], gain=gain, seed=1000 + experiment.seed, **drift)  # type: ignore[arg-type]
    rig = SimulatedRig(clean.target, clean.units, options)
    began = time.process_time()
    session = Session(_checked(spec_of(experiment).model_dump_json()))
    while not session.stopped_by:
        show(session, rig)
    found = session.found()
    assert found.latent is not None
    with torch.inference_mode():
        stimulus = session.checked.decoder(found.latent[None]).numpy()
    return {
        **asdict(experiment),
        "true": float(rig.clean(stimulus)[0, 0]),
        "reported": found.response,
        "low": found.low,
        "high": found.high,
        "measurements": found.measurements,
        "gain": session.scorer.gain(session.threads[0]),
        "trials": len(session.record.trials),
        "note": session.threads[0].note.partition(":")[0],
        "seconds": round(time.process_time() - began, 2),
    }


def load(path: Path = RESULTS) -> dict[tuple[Any, ...], dict[str, Any]]:
    """All records, the last of each key."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        record = json.loads(line)
        found[Experiment(**{name: record[name] for name in Experiment.__dataclass_fields__}).key] = record
    return found


def store(record: dict[str, Any], path: Path = RESULTS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def best_known(problem: str, records: Iterable[dict[str, Any]]) -> float:
    """Spikes: by gradients without noise, or by any experiment where one has found better."""
    kept = json.loads(BEST.read_text()) if BEST.exists() else {}
    if problem not in kept:
        from actmax.engine.maximize import maximize

        generator, target, unit = PROBLEMS[problem]
        found = maximize(generator, target, unit, optimizer="adam", evaluations=500, seed=0)
        kept[problem] = found.searches[0].response * neuron(problem)[1]
        BEST.write_text(json.dumps(kept, indent=2) + "\n")
    return max([kept[problem], *(record["true"] for record in records if record["problem"] == problem)])


def grid(options: argparse.Namespace) -> list[Experiment]:
    problems = list(PROBLEMS) if options.problem == ["all"] else options.problem
    noises = list(NOISES) if options.noise == ["all"] else options.noise
    found = []
    for presentations in options.presentations:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for optimizer in BOXES + CODES if options.optimizer == ["all"] else options.optimizer:
                for problem in problems:
                    able = BOXES if "sngan" in problem else CODES
                    if optimizer in able:
                        found += [Experiment(problem, noise, presentations, optimizer, seed, options.design) for noise in noises]
    return list(dict.fromkeys(found))


def table(records: Sequence[dict[str, Any]]) -> str:
    """Medians over problems and seeds, the default first."""
    best = {problem: best_known(problem, records) for problem in {record["problem"] for record in records}}
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        if not record["design"]:
            groups.setdefault((record["problem"], record["presentations"], record["optimizer"]), []).append(record)
    lines = [
        "| unit, presentations | optimizer | " + " | ".join(NOISES) + " | reported off by, median (worst) | runs |",
        "|---|---|" + "---|" * (len(NOISES) + 2),
    ]
    rows = []
    for (problem, presentations, optimizer), group in groups.items():
        cells = []
        for noise in NOISES:
            ratios = [record["true"] / best[problem] for record in group if record["noise"] == noise]
            cells.append(f"{statistics.median(ratios):.2f}" if ratios else "–")
        off = [abs(record["reported"] - record["true"]) / record["true"] for record in group if record["true"] > 0]
        mean = statistics.mean([record["true"] / best[problem] for record in group])
        name = f"**{optimizer}** ({group[0]['note']})" if optimizer == "auto" else optimizer
        wrong = f"{100 * statistics.median(off):.1f} % ({100 * max(off):.0f} %)" if off else "–"
        where = f"{PROBLEMS[problem][0].removeprefix('cifar10-')} × {PROBLEMS[problem][1].removeprefix('cifar10-')}, {presentations:,}"
        rows.append(((problem, presentations, -mean), f"| {where} | {name} | {' | '.join(cells)} | {wrong} | {len(group)} |"))
    return "\n".join([*lines, *(line for _, line in sorted(rows))])


def report() -> None:
    """Write the table into the docs."""
    found = table(list(load().values()))
    text = DOCS.read_text()
    pattern = re.compile(r"(<!-- experiments -->\n).*?(<!-- /experiments -->)", re.DOTALL)
    assert pattern.search(text), f"{DOCS} has no place for it"
    DOCS.write_text(pattern.sub(lambda match: f"{match[1]}{found}\n{match[2]}", text))
    print(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", nargs="+", default=list(FIRST))
    parser.add_argument("--optimizer", nargs="+", default=["all"])
    parser.add_argument("--noise", nargs="+", default=["all"])
    parser.add_argument("--presentations", nargs="+", type=int, default=[1000])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--design", default="", help="what differs from the design's defaults, as JSON")
    parser.add_argument("--seconds", type=float, help="start nothing new after so long")
    parser.add_argument("--again", action="store_true", help="run all again")
    parser.add_argument("--report", action="store_true", help="write the table into the docs and run nothing")
    options = parser.parse_args()
    if options.report:
        return report()
    known, began = load(), time.monotonic()
    left = [experiment for experiment in grid(options) if options.again or experiment.key not in known]
    print(f"{len(left)} to run", file=sys.stderr)
    for experiment in left:
        if options.seconds is not None and time.monotonic() - began > options.seconds:
            break
        try:
            record = perform(experiment)
        except InvalidJob as error:
            print(f"{experiment.optimizer} on {experiment.problem}: {error}", file=sys.stderr)
            continue
        store(record)
        what = f"true {record['true']:.2f}, reported {record['reported']:.2f}, {record['trials']} trials, {record['seconds']} s"
        print(f"{experiment.problem} {experiment.noise} {experiment.optimizer} seed {experiment.seed}: {what}", file=sys.stderr)


if __name__ == "__main__":
    main()
