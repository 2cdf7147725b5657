"""Reading the layers of a torch module by hooks that are removed afterwards."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .attention import heads_of_multihead, join_heads, split_heads

Path = tuple[Any, ...]
"""Path of a tensor in a layer's output: keys of mappings, indices of tuples, names of attributes."""


@dataclass(frozen=True)
class Reading:
    """The place at which a layer is read in one forward pass.

    Attributes
    ----------
    module : str
        The submodule; empty for the whole module.
    calls : int
        Number of its calls in one forward pass; the last call is read.
    path : tuple
        Path of the tensor in its output; empty where the output is the tensor.
    heads : int
        0 for the output. Otherwise the number of attention heads to split the module's input into, before the projection. The heads of an
        ``nn.MultiheadAttention``, which runs in one fused step, are computed again from its inputs.
    rows : int
        Dimension of the tensor that counts the stimuli; it is moved to the front.
    """

    module: str
    calls: int = 1
    path: Path = ()
    heads: int = 0
    rows: int = 0


class _Reached(BaseException):
    """Ends the forward pass after the deepest wanted layer; a BaseException, so that no network catches it as an error."""


def tensors_in(answer: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Yield every tensor of a layer's output with its path.

    Tuples, lists, mappings (so ``ModelOutput`` too) and dataclasses are searched to any depth.
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
    """Return the tensor of ``answer`` at ``path``; None where there is none, as in a call with fewer outputs."""
    for part in path:
        try:
            inside = isinstance(answer, Mapping | tuple | list)
            answer = answer[part] if inside else getattr(answer, part)
        except (KeyError, IndexError, TypeError, AttributeError):
            return None
    return answer if isinstance(answer, Tensor) else None


def with_tensor(answer: Any, path: Path, tensor: Tensor) -> Any:
    """Return an output with another tensor at a path.

    Parameters
    ----------
    answer : object
        The output; containers along the path are copied.
    path : Path
        Path of the tensor, as of :func:`tensors_in`.
    tensor : Tensor
        The tensor to put there.
    """
    if not path:
        return tensor
    inside = isinstance(answer, Mapping | tuple | list)
    part = with_tensor(answer[path[0]] if inside else getattr(answer, path[0]), path[1:], tensor)
    if isinstance(answer, tuple):
        parts = [*answer[: path[0]], part, *answer[path[0] + 1 :]]
        return type(answer)(*parts) if hasattr(answer, "_fields") else type(answer)(parts)
    copied: Any = copy.copy(answer)
    if inside:
        copied[path[0]] = part
    else:
        object.__setattr__(copied, path[0], part)
    return copied


def capture(
    module: nn.Module, stimuli: Tensor, readings: Mapping[str, Reading], *, stop: bool = True, attached: int | None = None
) -> dict[str, Tensor]:
    """Run ``module`` and return the tensors of ``readings``.

    Parameters
    ----------
    module : nn.Module
        The network, within :class:`actmax.models.networks.preserve_state.preserve_state`; hooks are removed in any case.
    stimuli : Tensor
        (n, *stimulus).
    readings : mapping of str to Reading
        Readings by any names.
    stop : bool
        Whether to end the forward pass after the last reading.
    attached : int or None
        None: copy the tensors. A number: return the first so many rows uncopied, at least two-dimensional, and let the network continue
        with them.

    Returns
    -------
    dict of str to Tensor
        One tensor for each reading that the pass reaches, its rows in front.

    Raises
    ------
    RuntimeError
        The network has written into an uncopied tensor.
    """
    answers: dict[str, Tensor] = {}
    left = {name: reading.calls for name, reading in readings.items()}

    def read(name: str, find: Callable[[], Tensor | None]) -> Tensor | None:
        """Store the tensor of a reading; return its replacement in the network, or None."""
        left[name] -= 1
        if left[name] or (tensor := find()) is None:
            return None
        done = stop and len(answers) + (name not in answers) == len(readings)
        again = None
        if attached is not None:
            answers[name], again = _on_the_way(tensor, readings[name].rows, attached)
            versions[name] = answers[name]._version
        else:
            tensor = tensor.movedim(readings[name].rows, 0) if tensor.ndim else tensor
            # a copy, since a later in-place operation (ReLU(inplace=True)) would overwrite the tensor
            answers[name] = tensor if done else tensor.clone()
        if done:
            raise _Reached
        return again

    versions: dict[str, int] = {}

    with ExitStack() as stack:
        for name, reading in readings.items():
            stack.callback(_attach(module.get_submodule(reading.module), name, reading, read).remove)
        with suppress(_Reached):
            module(stimuli)
    for name, version in versions.items():
        if answers[name]._version != version:
            raise RuntimeError(f"the network writes into what {name} has answered, so that it can't be read without a copy")
    return answers


def _on_the_way(tensor: Tensor, rows_at: int, rows: int) -> tuple[Tensor, Tensor]:
    """Return ``tensor`` as (rows, *units), and a tensor of the original shape computed from it, in its own memory."""
    front = tensor.movedim(rows_at, 0)
    wide = front[:, None] if front.ndim == 1 else front
    seen = wide[:rows]
    whole = seen if rows == wide.shape[0] else torch.cat([seen, wide[rows:]])
    return seen, whole.reshape(front.shape).movedim(0, rows_at).clone()


def _attach(part: nn.Module, name: str, reading: Reading, read: Callable[[str, Callable[[], Tensor | None]], Tensor | None]) -> Any:
    """Attach the hook of one reading."""

    def after(_module: nn.Module, _inputs: Any, answer: Any) -> Any:
        again = read(name, lambda: tensor_at(answer, reading.path))
        return None if again is None else with_tensor(answer, reading.path, again)

    def before(_module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        again = read(name, lambda: split_heads(inputs[0], reading.heads))
        return None if again is None else (join_heads(again), *inputs[1:])

    if not reading.heads:
        return part.register_forward_hook(after)
    if isinstance(part, nn.MultiheadAttention):

        def beside(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            read(name, lambda: heads_of_multihead(part, *inputs, **named))

        return part.register_forward_pre_hook(beside, with_kwargs=True)
    return part.register_forward_pre_hook(before)
