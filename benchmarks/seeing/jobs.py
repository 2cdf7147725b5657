"""What the example jobs find, each run once and kept until the job or the seed changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from actmax.client.jobs import jobfile
from actmax.engine.build import check
from actmax.engine.resolved_job import ResolvedJob
from actmax.engine.run import execute, fingerprint, searches_of
from actmax.engine.spec import JobSpec
from actmax.models.spaces import StimulusSpec

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "seeing"
KEPT = ROOT / "runs" / "seeing"


@dataclass(frozen=True)
class Found:
    """One unit searched by one optimizer: float32 ``stimulus``, ``response`` measured again, ``multiple`` of the best natural one's.

    ``score`` is what the search went by where that is another objective, ``ascents`` what all of them ended at, where an optimizer
    climbs several at once.
    """

    unit: str
    unit_name: str
    optimizer: str
    stimulus: NDArray[np.float32]
    response: float
    multiple: float | None
    score: float | None
    ascents: NDArray[np.float32]
    spec: StimulusSpec


def load(name: str) -> JobSpec:
    """The job of ``examples/seeing/NAME.yaml``."""
    return JobSpec.parse(jobfile.to_plain(jobfile.load(EXAMPLES / f"{name}.yaml").spec))


def checked(name: str) -> ResolvedJob:
    """The same, built."""
    return check(load(name))


def found(name: str) -> list[Found]:
    """What the job finds, unit by unit; from ``runs/seeing`` where it has been run before."""
    spec = load(name)
    path = KEPT / f"{name.replace('/', '-')}.npz"
    key = fingerprint(spec)
    if path.exists():
        with np.load(path) as kept:
            if str(kept["key"]) == key:
                return _read(kept)
    job = check(spec)
    searches = searches_of(job)
    result = execute(job, searches)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.generic]] = {"key": np.asarray(key)}
    plain: list[dict[str, object]] = []
    for number, (search, one) in enumerate(zip(searches, result.searches, strict=True)):
        arrays[f"stimulus{number}"] = one.stimulus
        with torch.inference_mode():
            # what it would show next is where its ascents stand; the schedule has brought the steps down to nothing
            ascents = job.generator(search.optimizer.ask()).float().cpu().numpy() if one.optimizer == "adam" else one.stimulus[None]
        arrays[f"ascents{number}"] = ascents
        plain.append(
            {
                "unit": one.unit,
                "unit_name": one.unit_name,
                "optimizer": one.optimizer,
                "response": one.response,
                "multiple": one.natural_multiple,
                "score": one.score,
            }
        )
    stimulus = job.generator.stimulus
    arrays["plain"] = np.asarray(json.dumps({"searches": plain, "spec": [stimulus.shape, stimulus.low, stimulus.high, stimulus.modality]}))
    np.savez_compressed(path, allow_pickle=False, **arrays)
    with np.load(path) as kept:
        return _read(kept)


def _read(kept: np.lib.npyio.NpzFile) -> list[Found]:
    plain = json.loads(str(kept["plain"]))
    shape, low, high, modality = plain["spec"]
    spec = StimulusSpec(tuple(shape), low, high, modality)
    return [
        Found(stimulus=kept[f"stimulus{number}"], ascents=kept[f"ascents{number}"], spec=spec, **one)
        for number, one in enumerate(plain["searches"])
    ]


def predictions(name: str, layer: str, stimuli: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Softmax probabilities, (stimuli, classes), that the target of job ``name`` gives by the responses of ``layer``."""
    with torch.inference_mode():
        responses = checked(name).target.respond(torch.from_numpy(np.stack(stimuli)), {layer})[layer]
    return torch.softmax(responses.double(), -1).numpy()
