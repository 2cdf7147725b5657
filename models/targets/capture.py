"""Reading layers of a torch module without leaving a trace in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .attention import heads_of_multihead, split_heads

Path = tuple[Any, ...]
"""Where a tensor lies in what a layer answers with: keys of mappings, places in tuples, names of attributes."""


@dataclass(frozen=True)
class Reading:
    """Where a layer is read in one forward pass.

    Attributes
    ----------
    module : str
        The submodule; empty for the whole module.
    calls : int
        How many times it is called in one forward pass; the last call is read.
    path : tuple
        Where the tensor lies in its answer; empty where the answer is the tensor.
    heads : int
        0 for the answer. Otherwise what its attention heads put together before they are projected, split into so many: of a linear
        projection its input, of an ``nn.MultiheadAttention`` computed again from its input, for it answers in one fused step.
    rows : int
        Dimension of the tensor that counts the stimuli; it is moved to the front.
    """

    module: str
    calls: int = 1
    path: Path = ()
    heads: int = 0
    rows: int = 0


class _Reached(BaseException):
    """The deepest layer that was asked for has answered; no error, so that no network catches it as one."""


def tensors_in(answer: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Yield every tensor of what a layer answers with, and where.

    It looks into tuples, lists, mappings (so ``ModelOutput`` too) and dataclasses, to any depth.
    """
    if isinstance(answer, Tensor):
        yield path, answer
    elif isinstance(answer, Mapping):
        for key, value in answer.items():
            yield from tensors_in(value, (*path, key))
    elif isinstance(answer, tuple | list):
        for place, value in enumerate(answer):
            yield from tensors_in(value, (*path, place))
    elif dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        for each in dataclasses.fields(answer):
            yield from tensors_in(getattr(answer, each.name, None), (*path, each.name))


def tensor_at(answer: Any, path: Path) -> Tensor | None:
    """Return the tensor of ``answer`` at ``path``; None where there is none, as in a call that answers with less."""
    for part in path:
        try:
            inside = isinstance(answer, Mapping | tuple | list)
            answer = answer[part] if inside else getattr(answer, part)
        except (KeyError, IndexError, TypeError, AttributeError):
            return None
    return answer if isinstance(answer, Tensor) else None


def capture(module: nn.Module, stimuli: Tensor, readings: Mapping[str, Reading], *, stop: bool = True) -> dict[str, Tensor]:
    """Run ``module`` and return what ``readings`` find.

    Parameters
    ----------
    module : nn.Module
        Run as it is, within :class:`actmax.models.networks.preserve_state.preserve_state`; hooks are taken off whatever happens.
    stimuli : Tensor
        (n, *stimulus).
    readings : mapping of str to Reading
        What to read, by any names.
    stop : bool
        Whether to end the forward pass once all were read.

    Returns
    -------
    dict of str to Tensor
        One for each of ``readings``, its rows in front, but for those that the pass never came to.
    """
    answers: dict[str, Tensor] = {}
    left = {name: reading.calls for name, reading in readings.items()}

    def read(name: str, find: Callable[[], Tensor | None]) -> None:
        left[name] -= 1
        if left[name] or (tensor := find()) is None:
            return
        done = stop and len(answers) + (name not in answers) == len(readings)
        tensor = tensor.movedim(readings[name].rows, 0) if tensor.ndim else tensor
        # a later in-place operation (ReLU(inplace=True)) would overwrite it
        answers[name] = tensor if done else tensor.clone()
        if done:
            raise _Reached

    with ExitStack() as stack:
        for name, reading in readings.items():
            stack.callback(_attach(module.get_submodule(reading.module), name, reading, read).remove)
        with suppress(_Reached):
            module(stimuli)
    return answers


def _attach(part: nn.Module, name: str, reading: Reading, read: Callable[[str, Callable[[], Tensor | None]], None]) -> Any:
    """Attach the hook of one reading."""
    if not reading.heads:
        return part.register_forward_hook(lambda _module, _inputs, answer: read(name, lambda: tensor_at(answer, reading.path)))
    if isinstance(part, nn.MultiheadAttention):
        return part.register_forward_pre_hook(
            lambda _module, inputs, named: read(name, lambda: heads_of_multihead(part, *inputs, **named)), with_kwargs=True
        )
    return part.register_forward_pre_hook(lambda _module, inputs: read(name, lambda: split_heads(inputs[0], reading.heads)))
