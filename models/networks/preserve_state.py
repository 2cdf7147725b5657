"""Calls of a network that restore its state: weights, buffers, flags, hooks, gradients, attributes and random state."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from .held_networks import hold, holds, release
from .random_state import RandomState, Source, TorchSettings
from .state_walk import Walk, contents_differ, walk

MAX_COPIED = 2 << 30
"""Most bytes of tensors that a thorough call copies; for a larger network it copies all tensors but the parameters."""


@dataclass
class Habits:
    """The side effects of calling a network, as observed, so that later calls prevent them.

    Attributes
    ----------
    tensors : list of Tensor
        Tensors that the network writes in place. Later calls replace them by copies.
    objects : list of object
        Plain objects whose contents change.
    sources : set of str
        Global random number generators that are drawn from.
    attributes : set of str
        Names of all changed attributes and tensors, for messages.
    unrestored : set of str
        Names of changed tensors that could not be restored.
    needs_parameter_gradients : bool
        Whether the forward pass differentiates with respect to its own parameters, which then keep their ``requires_grad``.
    """

    tensors: list[Tensor] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list)
    sources: set[Source] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    unrestored: set[str] = field(default_factory=set)
    needs_parameter_gradients: bool = False
    _walk: Walk | None = field(default=None, repr=False)

    @property
    def any(self) -> bool:
        """Whether a call changes anything in the network, or draws random numbers."""
        return bool(self.tensors or self.objects or self.sources or self.attributes)


class preserve_state:
    """A context with ``module`` in evaluation mode and without parameter gradients, which restores its whole state to the bit.

    The context restores, also after exceptions and Ctrl-C:

    - the training flag, hooks, parameters, buffers and attributes of every part, also of parts in plain lists and dictionaries;
    - the contents of lists, dictionaries, sets and small arrays among the attributes;
    - ``.grad`` and ``requires_grad`` of every tensor;
    - random number generators, global ones too, and torch's settings, such as the default dtype.

    Evaluation mode is set by the parts' flags, so an overridden ``train`` or ``eval`` isn't called. Calls on networks that share a part or
    a parameter take turns, in all threads; the same thread may enter again. Keep the context open over the backward pass: activation
    checkpointing runs the network again there.

    Parameters
    ----------
    module : nn.Module
        The network.
    habits : Habits or None
        Side effects observed by earlier calls; this call adds its own. Calls that share one object are faster.
    thorough : bool
        Whether to copy all tensors and follow plain objects, to fill ``habits``: for the first call.

    Notes
    -----
    A tensor that the network is known to write into is replaced by a copy during the call, so that a recorded graph stays valid. Other
    tensors are watched by their version. A tensor that changes for the first time outside a thorough call can't be restored and is named
    in ``habits.unrestored``.
    """

    def __init__(self, module: nn.Module, habits: Habits | None = None, *, thorough: bool = False) -> None:
        self._module = module
        self.habits = Habits() if habits is None else habits
        self._thorough = thorough
        self._entered: list[_Snapshot | TorchSettings] = []

    def __enter__(self) -> Self:
        if holds(self._module) and not self._thorough and not self.habits.any:
            self._entered.append(TorchSettings())  # the outer context restores everything else
            return self
        snapshot = _Snapshot(self._module, self.habits, self._thorough)
        self._entered.append(snapshot)
        try:
            snapshot.take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        entered = self._entered.pop()
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                entered.restore()
                break
            except KeyboardInterrupt as again:  # finish first
                interrupt = again
        if interrupt is not None:
            raise interrupt


class _Snapshot:
    """The saved state of one network, which this thread holds."""

    def __init__(self, module: nn.Module, habits: Habits, thorough: bool) -> None:
        self._module = module
        self._habits = habits
        self._thorough = thorough
        self._walk: Walk | None = None
        self._held: frozenset[int] = frozenset()
        self._settings: TorchSettings | None = None
        self._random: RandomState | None = None
        self._versions: list[int | None] = []
        self._flags: list[bool] = []
        self._grads: list[Tensor | None] = []
        self._grad_versions: list[int | None] = []
        self._copies: dict[int, Tensor] = {}
        self._written_back = thorough

    def take(self) -> None:
        """Save the state, then set evaluation mode."""
        found = self._walk = self._hold()
        self._settings = TorchSettings()
        on_device = any(tensor.device.type != "cpu" for tensor in found.tensors[:1])
        self._random = RandomState({"numpy"} if self._thorough else self._habits.sources, on_device)
        self._flags = [tensor.requires_grad for tensor in found.tensors]
        self._grads = [tensor.grad for tensor in found.leaves]
        self._grad_versions = [_version(grad) for grad in self._grads if grad is not None]
        self._versions = _versions(found.tensors)
        if self._thorough or self._habits.tensors or None in self._versions:
            self._copy(found)
        if True in found.training:
            for part in found.parts:
                _set_training(part, False)
        if not self._habits.needs_parameter_gradients and True in self._flags:
            for tensor, flag in zip(found.tensors, self._flags, strict=True):
                if flag and tensor.is_leaf and not tensor.is_inference():
                    tensor.requires_grad_(False)

    def restore(self) -> None:
        """Restore the state and release the network; it may be called again after an interruption."""
        if self._settings is not None:
            self._settings.restore()
        if self._random is not None:
            self._habits.sources |= self._random.restore()
        if self._walk is not None:
            self._restore_parts(self._walk)
            if self._versions:
                self._restore_tensors(self._walk)
        release(self._held)

    def _hold(self) -> Walk:
        """Wait for this thread's turn, and return the walk over the network at that time."""
        found = self._habits._walk
        while True:
            if found is None or self._thorough:
                found = walk(self._module, self._habits.objects, deep=self._thorough)
            self._held = hold(found.keys)
            if found.unchanged():
                self._habits._walk = None if self._thorough else found
                return found
            held, self._held = self._held, frozenset()
            release(held)
            found = None

    def _copy(self, found: Walk) -> None:
        """Copy the tensors that may be written into, and put the copies of known ones into the network."""
        known = {id(tensor) for tensor in self._habits.tensors}
        large = self._thorough and sum(tensor.nbytes for tensor in found.tensors if _copyable(tensor)) > MAX_COPIED
        for tensor, version in zip(found.tensors, self._versions, strict=True):
            all_of_it = self._thorough and not (large and isinstance(tensor, nn.Parameter))
            if _copyable(tensor) and (all_of_it or version is None or id(tensor) in known):
                with torch.inference_mode(False), torch.no_grad():
                    copy = tensor.detach().clone()
                kept = isinstance(tensor, nn.Parameter) and not self._thorough
                self._copies[id(tensor)] = nn.Parameter(copy, requires_grad=False) if kept else copy
        if not self._thorough:
            self._written_back = bool(found.scripted)  # tensors of TorchScript parts lie in C++ and can't be replaced
            for holder in found.holders:
                holder.replace(self._copies)

    def _restore_parts(self, found: Walk) -> None:
        if True in found.training:
            for part, training in zip(found.parts, found.training, strict=True):
                _set_training(part, training)
        if found.unchanged():
            return
        for holder in found.restore():
            self._habits.attributes.add(holder.name)
            if holder.hidden is not None and not any(holder.hidden is known for known in self._habits.objects):
                self._habits.objects.append(holder.hidden)

    def _restore_tensors(self, found: Walk) -> None:
        if [tensor.requires_grad for tensor in found.tensors] != self._flags:
            for tensor, flag in zip(found.tensors, self._flags, strict=True):
                if tensor.requires_grad != flag and tensor.is_leaf:
                    tensor.requires_grad_(flag)
        if not all(map(operator.is_, [tensor.grad for tensor in found.leaves], self._grads)):
            for tensor, grad in zip(found.leaves, self._grads, strict=True):
                tensor.grad = grad
        if [_version(grad) for grad in self._grads if grad is not None] != self._grad_versions:
            self._habits.unrestored.add("gradients of parameters")
        if self._copies or _versions(found.tensors) != self._versions:
            for tensor, name, version in zip(found.tensors, found.names, self._versions, strict=True):
                self._restore_contents(tensor, name, version)
            self._versions = _versions(found.tensors)

    def _restore_contents(self, tensor: Tensor, name: str, version: int | None) -> None:
        copy = self._copies.get(id(tensor))
        moved = _version(tensor) != version
        if copy is None:
            if moved:
                self._habits.unrestored.add(name)
                self._learn(tensor, name)
        elif (moved or self._written_back) and contents_differ(tensor, copy):
            self._learn(tensor, name)
            with torch.no_grad():
                tensor.copy_(copy)

    def _learn(self, tensor: Tensor, name: str) -> None:
        self._habits.attributes.add(name)
        if not any(known is tensor for known in self._habits.tensors):
            self._habits.tensors.append(tensor)


def _version(tensor: Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version


def _versions(tensors: list[Tensor]) -> list[int | None]:
    try:
        return [tensor._version for tensor in tensors]
    except RuntimeError:  # a tensor made in inference mode has no version
        return [_version(tensor) for tensor in tensors]


def _copyable(tensor: Tensor) -> bool:
    return not isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer) and tensor.device.type != "meta"


def _set_training(part: nn.Module, training: bool) -> None:
    if isinstance(part, torch.jit.ScriptModule):
        if part.training != training:
            part.training = training
    elif part.__dict__.get("training") is not training:
        part.__dict__["training"] = training
