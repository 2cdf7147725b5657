"""The stateless stages of a chain, evaluated for all time steps at once where the result is certainly the same.

The evaluation-mode normalisation and the average pooling after a convolution are folded into it. Pooling k × k outputs of
a kernel of size s equals one kernel of s + k - 1 at k times the stride, with (s + k - 1)² instead of (k s)²
multiplications. Unknown modules are called unchanged, once a step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .chain import Link
from .lookup import pays
from .memory import Workspace, own, unambiguous
from .module_kinds import PASSED_OVER, acts_by_row, flattens_rows_apart, hooked, is_exactly
from .prepared import Cache, Prepared, PreparedLinear, fold, pair, settings_of, sources_of


@dataclass
class Signal:
    """The values between two layers of a chain.

    Attributes
    ----------
    values : Tensor
        (n, *units) where ``constant``, otherwise (steps * n, *units), step by step.
    constant : bool
        Whether the values are the same at every step.
    binary : bool
        Whether the values are certainly 0 or 1; they may then be bool.
    """

    values: Tensor
    constant: bool
    binary: bool = False

    def floats(self, like: torch.dtype, workspace: Workspace | None = None) -> Tensor:
        """Return the values as numbers of the type ``like``; in ``workspace`` if given, valid until the next call."""
        if self.values.dtype != torch.bool:
            return self.values
        return self.values.to(like) if workspace is None else workspace.like("numbers", self.values, like).copy_(self.values)


@dataclass
class Stage:
    """One or more links that are evaluated together; ``name`` is that of the last."""

    links: Sequence[Link]

    @property
    def name(self) -> str:
        """Address of the stage's output."""
        return self.links[-1].name


def stages_of(chain: Sequence[Link], wanted: Collection[str]) -> list[Stage]:
    """Return the links up to the deepest of ``wanted``, grouped into stages whose inner outputs are not wanted."""
    deepest = max(index for index, link in enumerate(chain) if link.name in wanted)
    stages: list[Stage] = []
    index = 0
    while index <= deepest:
        size = 1
        if _foldable_conv(chain[index].module):
            for rule in (_folds_norm, _folds_pool):
                end = index + size
                if end <= deepest and chain[end - 1].name not in wanted and rule(chain[index].module, chain[end].module):
                    size += 1
        stages.append(Stage(chain[index : index + size]))
        index += size
    return stages


class Stateless:
    """Evaluates stateless stages, and caches their prepared layers.

    With a ``workspace``, which is for evaluation without gradient, outputs may lie in it until the stage's next call.

    Parameters
    ----------
    steps : int
        Time steps.
    steady : collection of str
        Names of unknown links that returned equal outputs for equal inputs and kept no state in a trial.
    """

    def __init__(self, steps: int, steady: Collection[str] = ()) -> None:
        self.steps, self.steady = steps, frozenset(steady)
        self._cache = Cache()

    def __call__(self, stage: Stage, signal: Signal, dtype: torch.dtype, workspace: Workspace | None = None) -> Signal:
        """Return the output of ``stage``; constant for a constant input, unless a module has to be called once a step.

        Parameters
        ----------
        stage : Stage
            A stage without neurons.
        signal : Signal
            Its input.
        dtype : torch.dtype
            The network's precision.
        workspace : Workspace or None
            Memory for the output, without gradient; valid until the stage's next call.
        """
        modules = [link.module for link in stage.links]
        conv = modules[0]
        if _foldable_conv(conv) and signal.values.dim() == 4 and conv.weight.dtype == dtype:  # type: ignore[union-attr]
            prepared = self._folded(stage, modules)
            spikes = signal.binary and not signal.constant
            values = signal.values if spikes and prepared.looks_up else signal.floats(dtype, workspace)
            return Signal(prepared(values, spikes=spikes, workspace=workspace, name=stage.name), signal.constant)
        for link in stage.links:
            signal = self._one(link, signal, dtype, workspace)
        return signal

    def _one(self, link: Link, signal: Signal, dtype: torch.dtype, workspace: Workspace | None) -> Signal:
        module, values = link.module, signal.values
        if is_exactly(module, *PASSED_OVER):
            return signal
        if flattens_rows_apart(module, values):
            return Signal(module(values), signal.constant, signal.binary)
        if signal.binary and not signal.constant and values.dim() == 2 and is_exactly(module, nn.Linear) and pays(module.weight):  # type: ignore[arg-type]
            return Signal(self._linear(link)(values, workspace, link.name), signal.constant)
        if not acts_by_row(module, values):
            return self._unknown(link, signal, dtype)
        binary = signal.binary and type(module) is nn.MaxPool2d
        values = signal.floats(dtype, workspace)
        if workspace is not None and values.dim() == 4 and _simple_max_pool(module):
            return Signal(_max_pool(values, pair(module.kernel_size), workspace, link.name), signal.constant, binary)  # type: ignore[arg-type]
        found = module(own(values) if getattr(module, "inplace", False) else unambiguous(values))
        if found.requires_grad and 1 in found.shape:
            found.register_hook(unambiguous)
        return Signal(found, signal.constant, binary)

    def _unknown(self, link: Link, signal: Signal, dtype: torch.dtype) -> Signal:
        """Call an unknown module once a step, each time with its own copy of the input."""
        module, values = link.module, signal.floats(dtype)
        if signal.constant and link.name in self.steady and not hooked(module):
            return Signal(require_rows(module(own(values)), values.shape[0], link), True)
        each: Iterable[Tensor] = [values] * self.steps if signal.constant else values.unflatten(0, (self.steps, -1))
        return Signal(torch.cat([require_rows(module(own(one)), one.shape[0], link) for one in each]), False)

    def _folded(self, stage: Stage, modules: Sequence[nn.Module]) -> Prepared:
        def make() -> Prepared:
            conv, *following = modules
            assert isinstance(conv, nn.Conv2d)
            return fold(conv, following)

        return self._cache.get(tuple(link.name for link in stage.links), sources_of(modules), settings_of(modules), make)

    def _linear(self, link: Link) -> PreparedLinear:
        module = link.module
        assert isinstance(module, nn.Linear)
        return self._cache.get((link.name,), [module.weight, module.bias], (), lambda: PreparedLinear(module.weight, module.bias))


def require_rows(output: object, rows: int, link: Link) -> Tensor:
    """Return ``output`` of a link after checking that it is a tensor with a row for each stimulus.

    Parameters
    ----------
    output : object
        The link's output.
    rows : int
        Number of stimuli.
    link : Link
        The link, for messages.

    Raises
    ------
    ValueError
        The output is no such tensor.
    """
    if not isinstance(output, Tensor) or output.dim() < 1 or output.shape[0] != rows:
        what = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"{link.name} ({type(link.module).__name__}) answers {rows} stimuli with {what}; one row for each was expected")
    return output


def _foldable_conv(module: nn.Module) -> bool:
    return is_exactly(module, nn.Conv2d) and module.padding_mode == "zeros" and module.padding != "same"


def _folds_norm(conv: nn.Module, norm: nn.Module) -> bool:
    return is_exactly(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None


def _folds_pool(conv: nn.Module, pool: nn.Module) -> bool:
    return (
        is_exactly(pool, nn.AvgPool2d)
        and isinstance(pool, nn.AvgPool2d)
        and isinstance(conv, nn.Conv2d)
        and pair(conv.dilation) == (1, 1)
        and pair(pool.padding) == (0, 0)
        and pair(pool.stride) == pair(pool.kernel_size)
        and not pool.ceil_mode
        and pool.divisor_override is None
    )


def _simple_max_pool(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.MaxPool2d)
        and pair(module.padding) == (0, 0)
        and pair(module.dilation) == (1, 1)
        and pair(module.stride) == pair(module.kernel_size)
        and not (module.ceil_mode or module.return_indices)
    )


def _max_pool(values: Tensor, size: tuple[int, int], workspace: Workspace, name: str) -> Tensor:
    """Return the largest value of each window, without recording its place."""
    (kh, kw), (n, channels, height, width) = size, values.shape
    windows = values[:, :, : height // kh * kh, : width // kw * kw]
    shape = (n, height // kh, width // kw, channels)
    pooled = workspace.get(f"pool {name}", shape, values.dtype, values.device).permute(0, 3, 1, 2)
    for index in range(kh * kw):
        window = windows[:, :, index // kw :: kh, index % kw :: kw]
        pooled.copy_(window) if index == 0 else torch.maximum(pooled, window, out=pooled)
    return pooled
