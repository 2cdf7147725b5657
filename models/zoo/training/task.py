"""Input and output of a training script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

from .loop import Run


class Labelled(Protocol):
    """Stimuli with labels.

    Attributes
    ----------
    source : str
        Source of the data, for the card.
    stimuli : str
        Description of the test stimuli.
    classes : sequence of str
        Names of the labels.
    labels : Tensor
        int64, (n,): indices into ``classes``.
    """

    @property
    def source(self) -> str:
        """Source of the data; see the class."""
        ...

    @property
    def stimuli(self) -> str:
        """Description of the test stimuli; see the class."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the labels; see the class."""
        ...

    @property
    def labels(self) -> Tensor:
        """Labels, int64, (n,); see the class."""
        ...

    def __len__(self) -> int:
        """Return the number of stimuli."""
        ...

    def unit_range(self, rows: slice | Tensor) -> Tensor:
        """Return the stimuli of ``rows``, prepared for the target: float32, (n, *stimulus)."""
        ...


Data = TypeVar("Data", bound=Labelled)


@dataclass(frozen=True)
class Task(Generic[Data]):
    """Data, seed, device and checkpoint file of a training run; ``epochs`` is None for the script's default."""

    train: Data
    test: Data
    seed: int
    device: str
    checkpoint: Path
    epochs: int | None = None


@dataclass(frozen=True)
class Trained:
    """The finished run, the modules whose weights are shipped, and the figures for the card."""

    run: Run
    modules: Mapping[str, nn.Module]
    figures: Mapping[str, float]
