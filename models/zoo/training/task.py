"""What a training script is given, and what it gives back."""

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
        Where they come from, for the card.
    stimuli : str
        What the test ones are called.
    classes : sequence of str
        What the labels stand for.
    labels : Tensor
        int64, (n,): places in ``classes``.
    """

    @property
    def source(self) -> str:
        """See the class."""
        ...

    @property
    def stimuli(self) -> str:
        """See the class."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """See the class."""
        ...

    @property
    def labels(self) -> Tensor:
        """See the class."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...

    def unit_range(self, rows: slice | Tensor) -> Tensor:
        """The stimuli of ``rows`` as the target takes them, float32."""
        ...


Data = TypeVar("Data", bound=Labelled)


@dataclass(frozen=True)
class Task(Generic[Data]):
    """Data, seed, device and the checkpoint's place; ``epochs`` is None for the script's own number."""

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
