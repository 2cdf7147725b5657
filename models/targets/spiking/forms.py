"""How a network with a custom ``forward`` is called, determined by showing it a few stimuli.

A network doesn't declare whether it takes one time step or all of them, or which dimension counts the stimuli. So it is called with
two batches of different sizes and orders, and the outputs of its layers are compared: which dimension has a row for each
stimulus, how often each layer is called in a step, and whether a row depends on other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .neurons import Fired, is_neuron, takes_sequence

Drive = Literal["step", "loop", "time_first", "batch_first"]
"""Called once a step with (n, *stimulus); once with that; once with (steps, n, *stimulus); once with (n, steps, *stimulus)."""

_TRIED: dict[Drive, str] = {
    "step": "a step at a time",
    "time_first": "all steps at once, time first",
    "batch_first": "all steps at once, stimuli first",
}

Layout = Literal["calls", "time_first", "batch_first", "time_folded", "batch_folded"]
"""Steps and stimuli in a layer's output: a call a step with n rows, or one call with (steps, n), (n, steps), steps * n or n * steps."""

Shape = tuple[int, ...] | None

Calls = Mapping[str, Sequence[Fired]]
"""All outputs of every layer in one presentation, by name."""

Run = Callable[[Drive, Tensor, int], tuple[Calls, "States"]]
"""Presents stimuli, (n, *stimulus), for a number of steps by one drive."""


@dataclass
class States:
    """The observed initial states of neurons.

    Attributes
    ----------
    reset : bool
        Whether a neuron with a state started from zeros when the network was called again.
    same_input : bool
        Whether the first neuron had the same input at every call.
    """

    reset: bool = False
    same_input: bool = True


@dataclass
class Form:
    """How a network is called, and the layout of its layers' outputs.

    Attributes
    ----------
    drive : {"step", "loop", "time_first", "batch_first"}
        How it is called.
    layouts : dict of str to Layout
        Layout of every layer that can be read.
    calls : dict of str to int
        Number of calls of each layer in a step, 0 for one call before the loop over steps; the last call is read.
    units : dict of str to tuple
        Shapes of each layer's spikes and membranes for one step and stimulus; None where it has none.
    mixes : bool
        Whether an output depends on the other stimuli of the batch.
    noisy : bool
        Whether repeated outputs for the same stimuli differ; then rows can't be compared.
    notes : list of str
        Notices for the user.
    """

    drive: Drive
    layouts: dict[str, Layout] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    units: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    mixes: bool = False
    noisy: bool = False
    notes: list[str] = field(default_factory=list)


class Refused(ValueError):
    """A network that can't be called in any known way; the message says what would work."""


def batches(steps: int) -> tuple[int, int]:
    """Return two batch sizes, the larger first, that differ from the number of steps."""
    sizes = [size for size in (3, 2, 5, 4) if size != steps]
    return max(sizes[:2]), min(sizes[:2])


def recognise(run: Run, modules: Mapping[str, nn.Module], stimuli: Tensor, steps: int) -> Form:
    """Return the form of a network.

    Parameters
    ----------
    run : callable
        Presents stimuli; any exception means that the network refuses this drive.
    modules : mapping of str to nn.Module
        Layers whose outputs can be read.
    stimuli : Tensor
        (n, *stimulus), as many as the larger of ``batches(steps)``.
    steps : int
        Time steps.

    Raises
    ------
    Refused
        No drive gives outputs with a row for each stimulus.
    """
    drives: tuple[Drive, ...] = ("step", "time_first", "batch_first")
    if any(takes_sequence(module) for module in modules.values()):
        drives = ("time_first", "step", "batch_first")
    reasons: list[str] = []
    mixed: Form | None = None
    refused: Refused | None = None
    for drive in drives:
        try:
            form = _tried(run, drive, modules, stimuli, steps)
        except Refused as error:
            refused = refused or error
            continue
        except Exception as error:  # networks raise any class for a shape that they refuse
            reasons.append(f"{_TRIED[drive]}: {str(error).strip().split(chr(10))[0] or type(error).__name__}")
            continue
        if not form.mixes:
            return form
        mixed = mixed or form
    if refused is not None:
        raise refused
    if mixed is not None:
        return mixed
    raise Refused("; ".join(reasons))


class _Unfit(ValueError):
    """An output has no row for each stimulus."""


def _tried(run: Run, drive: Drive, modules: Mapping[str, nn.Module], stimuli: Tensor, steps: int) -> Form:
    rows = most, least = batches(steps)
    other = torch.cat([stimuli[most - 1 : most], stimuli[: least - 1]])
    first = 1 if drive == "step" else steps
    calls, states = run(drive, stimuli[:most], first)
    fewer, _ = run(drive, other, first)
    counts = {name: len(found) for name, found in calls.items() if found}
    if counts != {name: len(found) for name, found in fewer.items() if found}:
        raise _Unfit("its layers are called once for every stimulus")
    if not any(is_neuron(modules[name]) for name in counts):
        raise _Unfit("no neuron is called")
    form = Form(drive)
    if drive == "step":
        _require_rows(calls, modules, most)
        form.drive = _step_or_loop(calls, modules, states, steps, most)
        if form.drive == "step":
            first = min(steps, _COMPARED)
            calls, fewer = run("step", stimuli[:most], first)[0], run("step", other, first)[0]
        else:
            first = steps
    _arrange(form, modules, {name: (calls[name], fewer[name]) for name in counts}, rows, first)
    again, _ = run(form.drive, stimuli[:most], first)
    form.noisy = any(not _identical(calls[name], again[name]) for name in form.layouts)
    form.mixes = form.mixes and not form.noisy
    form.notes += [f"{name} is called {times} times a step: its last call is read" for name, times in form.calls.items() if times > 1]
    return form


def _arrange(
    form: Form,
    modules: Mapping[str, nn.Module],
    pairs: Mapping[str, tuple[Sequence[Fired], Sequence[Fired]]],
    rows: tuple[int, int],
    steps: int,
) -> None:
    """Set the layout of every layer, and whether its rows depend on each other."""
    for name, (calls, fewer) in pairs.items():
        layout, times = _layout(name, modules[name], calls, fewer, rows, steps)
        if layout is None:
            continue
        differs = _differs(calls, fewer, layout, times, rows, steps)
        if differs and layout == "time_folded" and not _differs(calls, fewer, "batch_folded", times, rows, steps):
            layout, differs = "batch_folded", False
        form.layouts[name], form.calls[name] = layout, times
        found = [arranged(calls, layout, times, steps, which) for which in (0, 1)]
        form.units[name] = tuple(None if part is None else tuple(part.shape[2:]) for part in found)  # type: ignore[assignment]
        form.mixes = form.mixes or differs
    if form.drive in ("time_first", "batch_first") and steps > 1:
        timed = (name for name, layout in form.layouts.items() if is_neuron(modules[name]) and (layout != "calls" or form.calls[name]))
        if not any(timed):
            raise _Unfit("no neuron has an answer for each of the steps")


def _require_rows(calls: Calls, modules: Mapping[str, nn.Module], rows: int) -> None:
    for name, found in calls.items():
        if is_neuron(modules[name]) and not takes_sequence(modules[name]) and any(_one(call).shape[:1] != (rows,) for call in found):
            raise _Unfit(f"{name} answers {rows} stimuli with {tuple(_one(found[-1]).shape)}")


def _step_or_loop(calls: Calls, modules: Mapping[str, nn.Module], states: States, steps: int, rows: int) -> Drive:
    """Return whether a call with (n, *stimulus) is one step or a whole presentation."""
    for name, found in calls.items():
        shape = _one(found[0]).shape if found else ()
        if takes_sequence(modules[name]) and len(shape) > 2 and shape[1] == rows and shape[0] != steps:
            raise Refused(f"the network runs {shape[0]} time steps by itself; give steps={shape[0]}")
    counts = [len(found) for name, found in calls.items() if found and is_neuron(modules[name]) and not takes_sequence(modules[name])]
    if not counts:
        return "loop"  # neurons of whole sequences are called once with all steps
    if max(counts) == 1:
        if states.reset and steps > 1:
            raise Refused("the network starts from rest whenever it is called and runs one time step; give steps=1, or init_hidden=True")
        return "step"
    if not states.reset and (steps == 1 or not states.same_input or any(count % steps for count in counts)):
        return "step"
    looped = [count for count in counts if count > 1]
    if any(count % steps for count in looped):
        raise Refused(f"the network loops over {min(looped)} time steps by itself; give steps={min(looped)}")
    return "loop"


def _layout(
    name: str, module: nn.Module, calls: Sequence[Fired], fewer: Sequence[Fired], rows: tuple[int, int], steps: int
) -> tuple[Layout | None, int]:
    """Return a layer's layout and its calls in a step; None for the layout where no dimension has a row for each stimulus."""
    pairs = [(_one(call), _one(other)) for call, other in zip(calls, fewer, strict=True)]
    if takes_sequence(module) and any(one.dim() < 3 for one, _ in pairs):
        raise _Unfit(f"{name} ({type(module).__name__}) takes (steps, n, features)")

    def fits(size: Callable[[int], tuple[int, ...]]) -> bool:
        return all(tuple(t.shape[: len(size(n))]) == size(n) for pair in pairs for t, n in zip(pair, rows, strict=True))

    if len(calls) % steps == 0 and not takes_sequence(module) and fits(lambda n: (n,)):
        return "calls", len(calls) // steps
    if is_neuron(module) and not takes_sequence(module):
        times = "once" if len(calls) == 1 else f"{len(calls)} times"
        hint = f"; give steps={len(calls)}" if fits(lambda n: (n,)) else f", with {tuple(pairs[-1][0].shape)} for {rows[0]} stimuli"
        raise _Unfit(f"{name} is called {times} for {steps} steps{hint}")
    if len(calls) == 1:
        shapes: dict[Layout, Callable[[int], tuple[int, ...]]] = {
            "time_first": lambda n: (steps, n),
            "batch_first": lambda n: (n, steps),
            "time_folded": lambda n: (steps * n,),
        }
        for layout, size in shapes.items():
            if fits(size):
                return layout, 1
        if fits(lambda n: (n,)) and not is_neuron(module):
            return "calls", 0  # called before the loop over time: constant over the steps
    if is_neuron(module):
        raise _Unfit(f"{name} answers {rows[0]} stimuli and {steps} steps with {tuple(pairs[-1][0].shape)}")
    return None, 0


def _one(call: Fired) -> Tensor:
    found = call[1] if call[0] is None else call[0]
    if not isinstance(found, Tensor):
        raise _Unfit("a layer answers with something else than a tensor")
    return found


def arranged(calls: Sequence[Fired], layout: Layout, times: int, steps: int, which: int) -> Tensor | None:
    """Return the spikes or membranes of a layer over time.

    Parameters
    ----------
    calls : sequence of Fired
        The layer's outputs in one presentation.
    layout : Layout
        Their layout.
    times : int
        Calls in a step; the last one is read.
    steps : int
        Time steps.
    which : int
        0 for spikes, 1 for membranes.

    Returns
    -------
    Tensor or None
        (steps, n, *units); None where the layer has none.
    """
    parts = [call[which] for call in calls]
    if any(part is None for part in parts):
        return None
    tensors: list[Tensor] = parts  # type: ignore[assignment]
    if layout == "calls":
        return torch.stack(tensors[times - 1 :: times] if times else tensors)
    return _timed(tensors[0], layout, steps)


def over_time(tensor: Tensor, layout: Layout, steps: int) -> tuple[list[Tensor], Tensor]:
    """Split a call's output by time steps.

    Parameters
    ----------
    tensor : Tensor
        The output.
    layout : Layout
        Its layout.
    steps : int
        Time steps.

    Returns
    -------
    parts : list of Tensor
        One tensor for each time step, (n, *units); a single one for the layout "calls".
    output : Tensor
        The output computed from the parts, in its own memory.
    """
    if layout == "calls":
        return [tensor], tensor.clone()
    parts = list(_timed(tensor, layout, steps))
    joined = torch.stack(parts, 1 if layout.startswith("batch") else 0)
    return parts, joined.flatten(0, 1) if layout.endswith("folded") else joined


def _timed(tensor: Tensor, layout: Layout, steps: int) -> Tensor:
    """Return one output over all steps as (steps, n, *units)."""
    if layout.endswith("folded"):
        tensor = tensor.unflatten(0, (steps, -1) if layout == "time_folded" else (-1, steps))
    return tensor.transpose(0, 1) if layout.startswith("batch") else tensor


_COMPARED = 3
"""Number of first steps whose rows are compared: rounding moves no spike so early, and later a moved spike moves others."""


def _differs(calls: Sequence[Fired], fewer: Sequence[Fired], layout: Layout, times: int, rows: tuple[int, int], steps: int) -> bool:
    """Return whether rows of the same stimulus differ between the two batches by more than rounding."""
    most, least = rows
    order = [most - 1, *range(least - 1)]
    for which in (1, 0):
        ones, others = (arranged(found, layout, times, steps, which) for found in (calls, fewer))
        if ones is not None and others is not None and ones.is_floating_point():
            return not close(ones[:_COMPARED, order], others[:_COMPARED])
    return False


def _identical(calls: Sequence[Fired], again: Sequence[Fired]) -> bool:
    return len(calls) == len(again) and all(
        one is None or (other is not None and one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num()))
        for call, repeated in zip(calls, again, strict=True)
        for one, other in zip(call, repeated, strict=True)
    )


def close(one: Tensor, other: Tensor) -> bool:
    """Return whether at least 98 % of the elements are equal up to rounding."""
    if one.shape != other.shape:
        return False
    if not one.numel():
        return True
    one, other = one.double(), other.double()
    scale = one.abs().nan_to_num(posinf=0).max().clamp(min=1e-6)
    return float(torch.isclose(one, other, rtol=1e-3, atol=float(scale) * 1e-4, equal_nan=True).double().mean()) > 0.98


def first_input(inputs: tuple[Any, ...]) -> Tensor | None:
    """Return the input current of a neuron's call."""
    return inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
