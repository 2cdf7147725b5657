"""What the tests of sessions share: a small session over the toy lab, and a rig that answers it."""

from __future__ import annotations

from typing import Any

import numpy as np

import toy_lab
from actmax.engine.session.checking import check_session
from actmax.engine.session.session import Session
from actmax.engine.session.spec import SessionSpec
from actmax.engine.session.trials import TrialResponse

GIVEN = {"decoder": toy_lab.decoder(), "codes": toy_lab.codes()}


def spec(**changes: Any) -> SessionSpec:
    plain: dict[str, Any] = {
        "generator": {"name": "decoder"},
        "units": [{"name": "a"}, {"name": "b"}],
        "stop": {"evaluations": 200},
        "design": {"generation_size": 20},
        "seed": 5,
    }
    return SessionSpec.parse(plain | changes)


def session(**changes: Any) -> Session:
    return Session(check_session(spec(**changes), given=GIVEN))


def neuron(session: Session, gain: float = 8.0) -> list[TrialResponse]:
    """A Poisson neuron that likes one latent; noise belongs to the trial."""
    told = []
    best = np.array([1.0, -0.5, 0.3, 0.0, 0.8])
    for trial in session.record.current:
        latent = session.stimuli.latent(trial.stimulus)
        distance = 4.0 if latent is None else float(((latent.double().flatten().numpy()[:5] - best) ** 2).sum())
        draws = np.random.default_rng(trial.number)
        told.append(TrialResponse(trial.number, (float(draws.poisson(gain * np.exp(-distance / 4))), float(draws.poisson(2.0)))))
    return told


def run(session: Session, generations: int | None = None) -> list[tuple[int, ...]]:
    """Answer so many generations, to the end by default; what each has shown."""
    shown = []
    while not session.stopped_by and (generations is None or len(shown) < generations):
        shown.append(tuple(trial.stimulus for trial in session.record.current))
        session.record.tell(neuron(session))
        session.step()
    return shown
