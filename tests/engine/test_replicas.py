"""A generation's passes shared out between processes: the same bits, whoever evaluates which chunk in whatever order."""

import numpy as np
import pytest

from actmax.engine.build import check
from actmax.engine.evaluation.evaluator import Outcome
from actmax.engine.run import execute, replica, searches_of
from actmax.models.permissions import Permissions
from jobs import ALLOWED, job

LISTENER = {"name": "toy_lab:Eavesdropper", "options": {"batch": 10}}
JOBS = {
    "by gradients": {"optimizer": {"name": "adam", "options": {"batch": 7}}},
    "overhearing each other": {"optimizer": LISTENER},
    "transformed": {
        "optimizer": {"name": "random"},
        "transformations": {"steps": [{"name": "jitter", "options": {"pixels": 1}}], "samples": 3},
    },
    "noisy": {
        "optimizer": {"name": "random"},
        "target": {"name": "noisy", "options": {"target": {"name": "toy_lab:network"}, "noise": "gaussian", "sigma": 0.3}},
    },
}


class Swapped:
    """Two replicas that take turns, the later chunks first; what passes between processes shares no memory."""

    def __init__(self, spec) -> None:
        self.replicas = [replica(spec, permissions=Permissions(imports=ALLOWED)) for _ in range(2)]
        self.evaluated = 0

    def __call__(self, passes, own):
        outcomes: dict[int, Outcome] = {}
        for at in reversed(range(len(passes))):
            outcomes[at] = self.replicas[at % 2](passes[at].apart()).apart()
            self.evaluated += 1
        return (outcomes[at] for at in range(len(passes)))


@pytest.mark.parametrize("which", JOBS)
def test_replicas_change_no_bit(which):
    spec = job(units=["4[0]", "4[2]"], budget={"evaluations": 60}, replicas={"n": 2, "chunk": 3}, **JOBS[which])
    checked = check(spec, allow_imports=ALLOWED)
    alone = execute(checked, searches_of(checked))
    swapped = Swapped(spec)
    spread = execute(checked, searches_of(checked), spread=swapped)
    assert swapped.evaluated > 20
    for one, other in zip(alone.searches, spread.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.latent, other.latent)
        assert np.array_equal(one.stimulus, other.stimulus)
        assert (one.response, one.overheard) == (other.response, other.overheard)
        if one.importance is not None:
            assert other.importance is not None
            assert np.array_equal(one.importance, other.importance)
