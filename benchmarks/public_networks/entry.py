"""What the benchmark knows about one public network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .torchvision_on_cpu import import_torchvision

Expected = Literal["works", "refused"]


@dataclass(frozen=True)
class PublicNetwork:
    """A network that nobody here made.

    Attributes
    ----------
    name : str
        Its place in tables and on the command line.
    source : str
        The package whose class or function makes it.
    family : str
        Its kind, for the table.
    make : callable
        Returns the network with random weights drawn from torch's random state (or weights that its package ships).
    shape : tuple of int
        Of one stimulus.
    options : mapping
        Further options of the target.
    expected : {"works", "refused"}
        What actmax does with it.
    around : str
        What a user writes around the network, in words; empty where it is given as it is.
    steps : int
        Time steps of a snntorch network; 0 for any other.
    random : bool
        Whether it draws from the random state at each call, so that no two calls have to agree.
    """

    name: str
    source: str
    family: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    expected: Expected = "works"
    around: str = ""
    steps: int = 0
    random: bool = False

    def build(self, seed: int = 0) -> nn.Module:
        """Return the network with weights drawn from ``seed``, in evaluation mode."""
        if self.source in ("torchvision", "timm", "transformers", "spikingjelly"):  # each imports torchvision where it is installed
            import_torchvision()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.make().eval()

    def target_options(self) -> dict[str, Any]:
        """Return the options that go with the network into ``maximize``."""
        return {"shape": list(self.shape), **self.options, **({"steps": self.steps} if self.steps else {})}


class Around(nn.Module):
    """A network with a function before it and one after it, as a user would write them."""

    def __init__(
        self, network: nn.Module, before: Callable[[Tensor], Any] | None = None, after: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self._before = before
        self._after = after

    def forward(self, x: Tensor) -> Any:
        answer = self.network(x if self._before is None else self._before(x))
        return answer if self._after is None else self._after(answer)
