"""Redirected gradients, for units whose ReLUs pass no gradient.

A unit behind a rectifier that is inactive at the start (on a grey image, say) has a gradient of exactly zero, and no gradient search can
move. Lucid's remedy (Olah, Mordvintsev and Schubert, "Feature visualization", 2017; ``lucid/misc/redirected_relu_grad.py``): where a
rectifier passes no gradient for a whole stimulus, it passes the gradients that would raise too low or lower too high inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..networks.held_networks import acting_for, current_owner


@dataclass(frozen=True)
class Rectifier:
    """An activation that is flat below ``low`` and above ``high``.

    Attributes
    ----------
    apply : callable
        The activation, elementwise, not in place.
    low, high : float
        Bounds between which its slope is not zero.
    """

    apply: Callable[[Tensor], Tensor]
    low: float = 0.0
    high: float = math.inf

    def gradient(self, x: Tensor, outer: Tensor, rows: int | None = None) -> Tensor:
        """Return the redirected gradient at the input, of a score to be maximised.

        Parameters
        ----------
        x : Tensor
            The input, (n, …).
        outer : Tensor
            The score's gradient at the output, of the shape of ``x``.
        rows : int or None
            Stimuli in the batch, n by default; an ``x`` with another number of rows counts as a whole.

        Returns
        -------
        Tensor
            For each row the true gradient, unless it is zero throughout. Then ``outer``, without the elements that would
            push an input further below ``low`` or above ``high``.
        """
        true = self.own_gradient(x, outer)
        useless = ((x < self.low) & (outer < 0)) | ((x > self.high) & (outer > 0))
        if x.ndim > 1 and (rows is None or x.shape[0] == rows):
            alive = true.ne(0).flatten(1).any(1).view(-1, *[1] * (x.ndim - 1))
        else:
            alive = true.ne(0).any()
        return torch.where(alive, true, outer.masked_fill(useless, 0))

    def own_gradient(self, x: Tensor, outer: Tensor) -> Tensor:
        """Return the true gradient at the input, of the shape of ``x``."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            (true,) = torch.autograd.grad(self.apply(leaf), leaf, outer)
        return true


Gradient = Callable[[Rectifier, Tensor, Tensor], Tensor]
"""From a rectifier, its input and the gradient at its output to the gradient that is passed on."""


class _Redirected(torch.autograd.Function):
    """A rectifier with another gradient than its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectifier: Rectifier, gradient: Gradient) -> Tensor:
        ctx.save_for_backward(x)
        ctx.rectifier, ctx.gradient = rectifier, gradient
        return rectifier.apply(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return ctx.gradient(ctx.rectifier, x, grads[0]), None, None


_RELU = Rectifier(torch.relu)


def _relu(x: Tensor, inplace: bool = False) -> tuple[Tensor, Rectifier, bool]:
    return x, _RELU, inplace


def _relu6(x: Tensor, inplace: bool = False) -> tuple[Tensor, Rectifier, bool]:
    return x, Rectifier(F.relu6, 0.0, 6.0), inplace


def _hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> tuple[Tensor, Rectifier, bool]:
    return x, Rectifier(partial(F.hardtanh, min_val=min_val, max_val=max_val), min_val, max_val), inplace


def _hardswish(x: Tensor, inplace: bool = False) -> tuple[Tensor, Rectifier, bool]:
    return x, Rectifier(F.hardswish, -3.0), inplace


def _gelu(x: Tensor, *, approximate: str = "none") -> tuple[Tensor, Rectifier, bool]:
    return x, Rectifier(partial(F.gelu, approximate=approximate)), False


_READERS: dict[Any, Callable[..., tuple[Tensor, Rectifier, bool]]] = {
    torch.relu: _relu,
    torch.Tensor.relu: _relu,
    torch.relu_: partial(_relu, inplace=True),
    torch.Tensor.relu_: partial(_relu, inplace=True),
    F.relu: _relu,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,  # what nn.ReLU6 calls
    F.hardswish: _hardswish,
    F.gelu: _gelu,
}
"""Readers of the arguments of torch's functions: each returns the input, the rectifier, and whether it works in place."""


class _Watch(TorchFunctionMode):
    """A mode that names every call of a rectifier, as a module or a function, and replaces its gradient if ``gradient`` is given."""

    def __init__(self, gradient: Gradient | None) -> None:
        super().__init__()
        self.gradient = gradient
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        reader = _READERS.get(func)
        if reader is None:
            return func(*args, **kwargs)
        self.seen.append(func.__name__.rstrip("_"))
        if self.gradient is None or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if "input" in kwargs:
            args, kwargs = (kwargs["input"], *args), {key: value for key, value in kwargs.items() if key != "input"}
        x, rectifier, in_place = reader(*args, **kwargs)
        if not x.requires_grad:
            return func(*args, **kwargs)
        if not in_place:
            return _Redirected.apply(x, rectifier, self.gradient)
        return x.copy_(_Redirected.apply(x.clone(), rectifier, self.gradient))  # pyright: ignore[reportArgumentType]


@contextmanager
def redirecting(rows: int) -> Iterator[None]:
    """Redirect the gradient of every rectifier within the block, for a batch of ``rows`` stimuli.

    Rectifiers are ReLU, ReLU6, Hardtanh, Hardswish and GELU, as modules and as functions of torch, in place or not. Nothing is attached to
    a module, and only the recorded graph outlives the block; run backward passes after it.
    """
    with _Watch(lambda rectifier, x, outer: rectifier.gradient(x, outer, rows)):
        yield


@contextmanager
def guided() -> Iterator[list[str]]:
    """Return a context in which rectifiers pass back only gradients above zero (Springenberg et al., 2015); see :func:`redirecting`.

    The context's value lists the names of the functions called so far, such as ``relu``.
    """
    with _Watch(lambda rectifier, x, outer: rectifier.own_gradient(x, outer.clamp(min=0))) as watch:
        yield watch.seen


@contextmanager
def watching() -> Iterator[Callable[[], int]]:
    """Count the calls of rectifiers within the block; the context's value is a function that returns their number."""
    with _Watch(None) as watch:
        yield lambda: len(watch.seen)


Respond = Callable[[Tensor], Mapping[str, Tensor]]


def retry_zero_gradients(respond: Respond, stimuli: Tensor) -> dict[str, Tensor]:
    """Return ``respond(stimuli)`` with a backward pass that redirects where a stimulus's gradient would be exactly zero.

    The forward pass costs nothing extra. Only where a backward pass ends in zeros for stimuli whose responses have a gradient, these
    stimuli are shown once more, alone, with redirected rectifiers. All other gradients stay unchanged to the bit.

    Parameters
    ----------
    respond : callable
        Returns the responses, each (n, *layer), to stimuli, (n, *stimulus); equal ones for equal stimuli.
    stimuli : Tensor
        (n, *stimulus), requiring gradients.

    Returns
    -------
    dict of str to Tensor
        The responses by layer.
    """
    entry = stimuli.view_as(stimuli)
    owner = current_owner()  # autograd may run the hook in another thread while this one waits
    answers = dict(respond(entry))
    arrived: dict[str, Tensor] = {}

    def retry(slope: Tensor) -> Tensor | None:
        outer = dict(arrived)
        arrived.clear()
        dead = slope.flatten(1).ne(0).any(1).logical_not()
        if not outer or not bool(dead.any()):
            return None
        asked = torch.stack([gradient.flatten(1).ne(0).any(1) for gradient in outer.values()]).any(0)
        rows = (dead & asked.to(dead.device)).nonzero()[:, 0]
        if not rows.numel():
            return None
        with acting_for(owner):
            redirected = _redirected(respond, stimuli.detach()[rows], {name: gradient[rows] for name, gradient in outer.items()})
        return slope.index_copy(0, rows, redirected.to(slope))

    for name, answer in answers.items():
        if answer.requires_grad:
            answer.register_hook(lambda gradient, name=name: arrived.__setitem__(name, gradient.detach()))
    entry.register_hook(retry)
    return answers


def _redirected(respond: Respond, stimuli: Tensor, outer: Mapping[str, Tensor]) -> Tensor:
    with torch.enable_grad():
        leaf = stimuli.requires_grad_()
        with redirecting(leaf.shape[0]):
            answers = respond(leaf)
        (slope,) = torch.autograd.grad([answers[name] for name in outer], leaf, list(outer.values()), allow_unused=True)
    return torch.zeros_like(leaf) if slope is None else slope
