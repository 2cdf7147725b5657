from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from actmax.engine.results.result import JobResult, SearchResult
from actmax.engine.spec import JobSpec
from actmax.models.spaces import StimulusSpec

MakeJob = Callable[..., JobResult]


def _search(unit: str, optimizer: str, spec: StimulusSpec, seed: int, evaluations: int, natural: float | None) -> SearchResult:
    random = np.random.RandomState(seed)
    scores = np.cumsum(random.rand(evaluations)) / evaluations * 20 * random.rand(evaluations)
    scores[random.rand(evaluations) < 0.1] = np.nan
    stimulus = (random.rand(*spec.shape) * (spec.high - spec.low) + spec.low).astype(np.float32)
    response = float(5 + 10 * random.rand())
    return SearchResult(unit, optimizer, response, natural, stimulus, random.randint(0, 512, (8, 8)), scores, 1.5 + seed, "evaluations")


@pytest.fixture
def make_job() -> MakeJob:
    def make(
        units: int | list[str] = 2,
        optimizers: int | list[str] = 2,
        spec: StimulusSpec | None = None,
        *,
        title: str = "A title",
        evaluations: int = 60,
        natural: float | None = 9.5,
        cancelled: bool = False,
    ) -> JobResult:
        spec = spec or StimulusSpec((3, 8, 8))
        units = [f"lif_out[{unit}]" for unit in range(units)] if isinstance(units, int) else units
        optimizers = ["protes", "adam", "nevergrad", "random"][:optimizers] if isinstance(optimizers, int) else optimizers
        searches = [
            _search(unit, optimizer, spec, 100 * row + column, evaluations, natural)
            for row, unit in enumerate(units)
            for column, optimizer in enumerate(optimizers)
        ]
        job = JobSpec.parse(
            {
                "title": title,
                "generator": {"name": "cifar10-vqvae"},
                "target": {"name": "cifar10-snn", "options": {"readout": "count"}},
                "units": units,
                "optimizer": {"name": optimizers[0][:200], "options": {"rank": 5}},
                "baselines": [{"name": name[:200]} for name in optimizers[1:]],
                "budget": {"evaluations": evaluations},
            }
        )
        return JobResult(job, searches, 12.5, cancelled)

    return make
