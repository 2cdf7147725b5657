"""Trains the diabetes classifier: ``python -m actmax.models.zoo.training diabetes``; scikit-learn brings the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..architectures.tabular import TabularMLP
from ..targets import DIABETES_INPUTS, DiabetesTarget
from .finish import ShippedTarget, accuracy, write_target
from .fitting import Recipe, fit
from .loop import one_cycle, split_decay
from .signals import sheet
from .task import Task, Trained

BATCH, TEST = 38, 100
CLASSES = ("slow progression", "fast progression")


@dataclass(frozen=True)
class Patients:
    """Rows of the diabetes table of Efron, Hastie, Johnstone and Tibshirani, "Least angle regression", 2004.

    Attributes
    ----------
    values : Tensor
        float32, (n, 1, 10): each column of ``DIABETES_INPUTS`` between its lowest (0) and its highest (1) value of all patients.
    labels : Tensor
        int64, (n,): 1 where the disease progressed more within a year than the median of all patients, else 0.
    """

    source = "scikit-learn's diabetes table (Efron et al., 2004)"
    stimuli = "test patients"
    classes = CLASSES

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.values.shape[0]

    def unit_range(self, rows: slice | Tensor) -> Tensor:
        """Return the patients of ``rows``, prepared for the target: float32 in [0, 1], (n, 1, 10)."""
        return self.values[rows]


def data(seed: int) -> tuple[Patients, Patients]:
    """Return training and test patients; they are the same for every seed."""
    from sklearn.datasets import load_diabetes

    loaded: Any = load_diabetes(scaled=False)
    values, progression = torch.from_numpy(loaded.data).float(), torch.from_numpy(loaded.target)
    low, high = values.min(0).values, values.max(0).values
    labels = (progression > progression.median()).long()
    rows = ((values - low) / (high - low))[:, None]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    first, last = order[:TEST], order[TEST:]
    return Patients(rows[last], labels[last]), Patients(rows[first], labels[first])


def train(task: Task[Patients]) -> Trained:
    """Train by AdamW on a one-cycle schedule, with dropout .3 and a little noise on the inputs."""
    torch.manual_seed(task.seed)
    model = TabularMLP(len(DIABETES_INPUTS), classes=len(CLASSES)).to(task.device)
    epochs = task.epochs or 60
    recipe = Recipe(
        name="diabetes",
        model=model,
        optimizer=torch.optim.AdamW(split_decay(model, 0.05), lr=3e-3),
        rate=one_cycle(epochs * (len(task.train) // BATCH)),
        epochs=epochs,
        batches=lambda order: _shuffled(task.train, order),
        loss=lambda _, values, labels: (F.cross_entropy(model(values), labels, label_smoothing=0.05), {}),
        evaluate=lambda _: accuracy(lambda x: model(x.to(task.device)), task.test),
    )
    return fit(recipe, task)


def _shuffled(patients: Patients, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of batches with noise of 3 % of each column's range."""
    for rows in torch.randperm(len(patients), generator=order).split(BATCH):
        values = patients.values[rows]
        noise = 0.03 * torch.randn(values.shape, generator=order)
        yield (values + noise).clamp(0, 1), patients.labels[rows]


publish = partial(
    write_target,
    ShippedTarget(
        summary="Two hidden layers over ten measurements of a patient, 32 and 16 units",
        layer="fc",
        readout="logit",
        load=lambda path: DiabetesTarget.from_options(DiabetesTarget.Options(weights=str(path))),
        draw=lambda rows, columns, path: sheet(2 * rows - 1, columns, path),
    ),
)
"""Write weights, card and sample sheet."""
