"""Whether a network's responses depend on the stimulus alone, tested by showing the same stimuli in different batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..networks.preserve_state import Habits, preserve_state
from ..networks.random_state import seed_all
from .discover import Layers, layers_of
from .trace import Seen, Trace, Tracer

SIZES = (3, 2)
"""Sizes of the two batches that a network is tested with."""
SEED = 5
"""Seed of the test's random numbers."""

_TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
"""Largest differences that count as rounding, as a share of a row's norm: kernels depend on the size of a batch."""


@dataclass
class Behaviour:
    """The observed behaviour of a network: its layers, and what its responses depend on besides the stimulus.

    Attributes
    ----------
    layers : Layers
        The layers that can be read.
    mixing : set of str
        Layers whose responses depend on the other stimuli of a batch.
    noisy : set of str
        Layers whose responses to the same stimuli differ from call to call, with other random numbers.
    remembers : bool
        Whether responses depend on earlier stimuli as long as the network's state is not restored.
    unseeded : set of str
        Layers whose responses differ from call to call though state and random numbers are the same.
    padded : bool
        Whether a single stimulus has to be shown together with a copy of itself.
    alone : bool
        Whether the network takes one stimulus at a time only.
    returned : str
        Description of the network's return value.
    """

    layers: Layers
    mixing: set[str] = field(default_factory=set)
    noisy: set[str] = field(default_factory=set)
    remembers: bool = False
    unseeded: set[str] = field(default_factory=set)
    padded: bool = False
    alone: bool = False
    returned: str = ""


def observe(module: nn.Module, stimuli: Tensor, habits: Habits, batch: int | None = None) -> Behaviour:
    """Show ``stimuli`` in several batches, and return the network's behaviour.

    Parameters
    ----------
    module : nn.Module
        The network; its state is restored.
    stimuli : Tensor
        (3, *stimulus), all different, prepared for the network.
    habits : Habits
        Receives the side effects of the calls.
    batch : int or None
        The network's fixed batch size; None if it accepts any.

    Raises
    ------
    Exception
        The network's error where it refuses stimuli of that shape.
    """
    tracer = Tracer(module)
    if batch is not None:
        return _observe_fixed(module, tracer, stimuli, habits, batch)
    fewer = torch.cat([stimuli[2:], stimuli[:1]])
    try:
        with _trial(module, habits, thorough=True):
            first = tracer(stimuli.clone())
            seed_all(SEED)
            carried = tracer(fewer.clone())
    except Exception:
        return _observe_alone(module, tracer, stimuli, habits)
    found = Behaviour(layers_of(module, first, carried, SIZES), returned=first.returned)
    again = _trace(module, tracer, fewer, habits)
    compared = again
    if habits.sources or differing(found.layers, carried, again, (0, 1), (0, 1)):
        repeated = _trace(module, tracer, fewer, habits)
        found.unseeded = differing(found.layers, again, repeated, (0, 1), (0, 1))
        found.remembers = bool(differing(found.layers, carried, again, (0, 1), (0, 1)) - found.unseeded)
        found.noisy = differing(found.layers, again, _trace(module, tracer, fewer, habits, SEED + 1), (0, 1), (0, 1)) | found.unseeded
    if found.noisy:
        with still():
            first, compared = (_trace(module, tracer, shown, habits) for shown in (stimuli, fewer))
    elif habits.attributes:
        first = _trace(module, tracer, stimuli, habits)
    found.mixing = differing(found.layers, first, compared, (2, 0), (0, 1)) - found.unseeded
    _show_alone(found, module, tracer, stimuli, first, habits)
    return found


def notices(seen: Behaviour, habits: Habits) -> list[str]:
    """Return notices about a network for the user, one sentence each.

    Parameters
    ----------
    seen : Behaviour
        The network's behaviour.
    habits : Habits
        The side effects of its calls.
    """
    said: list[str] = []
    if seen.mixing:
        names = _listed([name for name in seen.layers.infos if name in seen.mixing])
        said.append(f"Responses of {names} depend on the other stimuli of a batch; each stimulus is shown alone.")
    if seen.alone:
        said.append("The network takes one stimulus at a time; each is shown alone.")
    if seen.remembers:
        names = _listed(sorted(habits.attributes))
        said.append(f"Responses depend on what the network was shown before ({names}); it is put back to its state before every call.")
    if seen.noisy - seen.unseeded:
        said.append("The network draws random numbers, so equal stimuli get different responses; seed and trial determine them.")
    if seen.unseeded:
        said.append(
            f"Responses of {_listed(sorted(seen.unseeded))} differ from call to call for the same stimuli, which no seed controls; "
            "a repeated job finds other numbers."
        )
    if habits.unrestored:
        said.append(f"The network has changed {_listed(sorted(habits.unrestored))} in a call, which could not be put back.")
    return said


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def differing(layers: Layers, one: Trace, other: Trace, rows: tuple[int, ...], others: tuple[int, ...]) -> set[str]:
    """Return the layers whose responses differ beyond rounding.

    Parameters
    ----------
    layers : Layers
        The layers to compare.
    one, other : Trace
        Two forward passes.
    rows, others : tuple of int
        Corresponding rows of ``one`` and of ``other``.
    """
    found = set[str]()
    for layer, key in layers.seen.items():
        first, second, dim = one.seen.get(key), other.seen.get(key), layers.readings[layer].rows
        if first is None or second is None or dim not in first.prints or dim not in second.prints:
            found.add(layer)
            continue
        left, right = first.prints[dim][list(rows)], second.prints[dim][list(others)]
        tolerance = _TOLERANCE.get(first.precision, 1e-1)
        largest = torch.maximum(left[:, 2:], right[:, 2:])
        if bool(((left - right).abs() > tolerance * largest + 1e-12).any()):
            found.add(layer)
    return found


@contextmanager
def still() -> Iterator[None]:
    """Disable randomness within the block: dropout returns its input, and torch's random functions return constants."""
    with _Still():
        yield


class _Still(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func in _DROPOUTS:
            return args[0] if args else kwargs["input"]
        if func is torch.bernoulli:
            return args[0]
        answer = func(*args, **kwargs)
        return answer.fill_(_CONSTANTS[func]) if func in _CONSTANTS else answer


_DROPOUTS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout}
_CONSTANTS: dict[Callable[..., Tensor], float] = {
    torch.rand: 0.5,
    torch.rand_like: 0.5,
    torch.randn: 0.0,
    torch.randn_like: 0.0,
    torch.normal: 0.0,
    torch.Tensor.normal_: 0.0,
    torch.Tensor.uniform_: 0.5,
}


@contextmanager
def _trial(module: nn.Module, habits: Habits, seed: int = SEED, *, thorough: bool = False) -> Iterator[None]:
    with preserve_state(module, habits, thorough=thorough), torch.no_grad():
        seed_all(seed)
        yield


def _trace(module: nn.Module, tracer: Tracer, stimuli: Tensor, habits: Habits, seed: int = SEED) -> Trace:
    with _trial(module, habits, seed):
        return tracer(stimuli.clone())


def _show_alone(found: Behaviour, module: nn.Module, tracer: Tracer, stimuli: Tensor, first: Trace, habits: Habits) -> None:
    """Show each stimulus alone, and record whether the network refuses it or responds in another shape."""
    for row in range(len(stimuli)):
        single = Trace()
        try:
            with still() if found.noisy else nullcontext():
                single = _trace(module, tracer, stimuli[row : row + 1], habits)
            fits = all(_single_fits(found.layers, layer, first, single) for layer in found.layers.seen)
        except Exception:  # networks raise any class for a batch of one, such as batch norm for a single value
            fits = False
        if not fits:
            found.padded = True
            return
        found.mixing |= differing(found.layers, first, single, (row,), (0,)) - found.unseeded


def _single_fits(layers: Layers, layer: str, several: Trace, single: Trace) -> bool:
    dim, key = layers.readings[layer].rows, layers.seen[layer]
    if key not in single.seen:
        return False
    shape, found = several.seen[key].shape, single.seen[key].shape
    return found == (*shape[:dim], 1, *shape[dim + 1 :]) and single.seen[key].calls == several.seen[key].calls


def _observe_alone(module: nn.Module, tracer: Tracer, stimuli: Tensor, habits: Habits) -> Behaviour:
    """Return the behaviour of a network that refuses batches but takes a single stimulus."""
    with _trial(module, habits, thorough=True):
        first = tracer(stimuli[:1].clone())
        carried = tracer(stimuli[:1].clone())
    return _repeated(module, tracer, stimuli[:1], habits, first, carried, 1)


def _observe_fixed(module: nn.Module, tracer: Tracer, stimuli: Tensor, habits: Habits, batch: int) -> Behaviour:
    """Return the behaviour of a program with a fixed batch size."""
    shown = stimuli.repeat(-(-batch // len(stimuli)), *[1] * (stimuli.ndim - 1))[:batch]
    with _trial(module, habits, thorough=True):
        first = tracer(shown.clone())
        carried = tracer(shown.clone())
    found = _repeated(module, tracer, shown, habits, first, carried, batch)
    if batch > 1:
        turned = _trace(module, tracer, shown.roll(1, 0), habits)
        found.mixing = differing(found.layers, first, turned, tuple(range(batch)), (*range(1, batch), 0))
    found.alone = batch == 1
    return found


def _repeated(module: nn.Module, tracer: Tracer, shown: Tensor, habits: Habits, first: Trace, carried: Trace, batch: int) -> Behaviour:
    """Compare calls on one batch where only one size is possible: dimension 0 is taken for the stimuli's where its length fits."""
    larger = {key: _with_a_row_more(seen, batch) for key, seen in first.seen.items()}
    found = Behaviour(layers_of(module, first, Trace(larger), (batch, batch + 1)), alone=True, returned=first.returned)
    rows = tuple(range(batch))
    again = _trace(module, tracer, shown, habits)
    found.unseeded = differing(found.layers, again, _trace(module, tracer, shown, habits), rows, rows)
    found.remembers = bool(differing(found.layers, carried, again, rows, rows) - found.unseeded) and not habits.sources
    found.noisy = differing(found.layers, again, _trace(module, tracer, shown, habits, SEED + 1), rows, rows) | found.unseeded
    return found


def _with_a_row_more(seen: Seen, batch: int) -> Seen:
    return replace(seen, shape=(batch + 1, *seen.shape[1:])) if seen.shape and seen.shape[0] == batch else seen
