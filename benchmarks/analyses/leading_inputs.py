"""How many inputs of a table suffice: accuracy of the diabetes classifier with its leading inputs alone, masked and trained again.

    python -m benchmarks.analyses.leading_inputs [--seeds 5]

Inputs are ranked by the analysis ``sensitivity`` (Sobol's total index of ``fc[1]``). With k of them the others are set to their mean
over the training patients: in the shipped network (masked), or for a network that is trained anew (trained again; mean over seeds).
Printed is a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from actmax.engine.maximize import maximize
from actmax.models.zoo.targets import DIABETES_INPUTS, DiabetesTarget
from actmax.models.zoo.training.diabetes import Patients, data, train
from actmax.models.zoo.training.task import Task


def ranked() -> list[int]:
    """Return the indices of the inputs, from the highest total Sobol index to the lowest."""
    options = {"samples": 1024, "second_order": False, "local": False, "leading": False}
    result = maximize("pixel", "diabetes", "fc[1]", evaluations=20, analyses=[{"name": "sensitivity", "options": options}])
    total = next(section.arrays["ST"] for section in result.sections if section.title == "Sensitivity")
    return np.argsort(-total[0]).tolist()


def masked(patients: Patients, kept: list[int], means: Tensor) -> Patients:
    """Return patients of whom only some inputs are known."""
    values = means.expand_as(patients.values).clone()
    values[..., kept] = patients.values[..., kept]
    return replace(patients, values=values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="Networks that are trained again for each number of inputs")
    seeds = parser.parse_args().seeds
    known, test = data(1)
    means, order = known.values.mean(0), ranked()
    shipped = DiabetesTarget.from_options(DiabetesTarget.Options())
    print("| inputs | the last of them | masked | trained again |\n|---|---|---|---|")
    for number in range(len(order) + 1):
        kept = order[:number]
        seen = masked(test, kept, means)
        right = shipped.respond(seen.values, {"fc"})["fc"].argmax(1) == test.labels
        again: list[float] = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                task = Task(masked(known, kept, means), seen, seed, "cpu", Path(folder) / "run.pt")
                again.append(train(task).figures["accuracy"])
        name = DIABETES_INPUTS[kept[-1]] if kept else "none"
        spread = np.std(again, ddof=1) / np.sqrt(len(again)) if len(again) > 1 else 0.0
        print(f"| {number} | {name} | {float(right.float().mean()):.2f} | {np.mean(again):.3f} ± {spread:.3f} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
