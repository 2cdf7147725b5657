"""Global random state and settings of torch, numpy and Python, restored after a network's call."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch

Source = Literal["torch", "numpy", "python", "cuda", "mps"]
"""One of the global random number generators."""

_MT19937_BYTES = 625 * 4
"""Size of the state of numpy's default global generator: 624 words and a position."""

_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    *(
        (partial(read, device), partial(write, device))
        for device in ("cpu", "cuda")
        for read, write in (
            (torch.is_autocast_enabled, torch.set_autocast_enabled),
            (torch.get_autocast_dtype, torch.set_autocast_dtype),
        )
    ),
)


class TorchSettings:
    """Settings of torch that a forward pass may change: grad mode, default dtype, autocast, determinism and precision."""

    def __init__(self) -> None:
        self._values = [read() for read, _ in _SETTINGS]

    def restore(self) -> None:
        """Restore every setting that differs."""
        for value, (read, write) in zip(self._values, _SETTINGS, strict=True):
            if read() != value:
                write(value)


class RandomState:
    """The global random state at construction.

    Parameters
    ----------
    sources : set of str
        Generators that the network is known to draw from. Reading numpy's whole state takes 0.1 ms and is done only for networks that
        draw from it. For others its words are compared, which misses only a cached normal number.
    devices : bool
        Whether to save the generators of CUDA and MPS devices too.
    """

    def __init__(self, sources: set[Source], devices: bool = False) -> None:
        self._torch = torch.get_rng_state()
        self._python = random.getstate()
        self._numpy = np.random.get_state(legacy=False) if "numpy" in sources else None  # noqa: NPY002 - the global state is kept
        self._words = _numpy_words()
        self._cuda = torch.cuda.get_rng_state_all() if devices and torch.cuda.is_initialized() else None
        self._mps = torch.mps.get_rng_state() if devices and torch.backends.mps.is_available() else None

    def restore(self) -> set[Source]:
        """Restore every generator that has changed, and return their names."""
        drawn: set[Source] = set()
        if not torch.equal(torch.get_rng_state(), self._torch):
            drawn.add("torch")
            torch.set_rng_state(self._torch)
        if random.getstate() != self._python:
            drawn.add("python")
            random.setstate(self._python)
        if _numpy_words() != self._words:
            drawn.add("numpy")
            if self._numpy is None:
                _set_numpy_words(self._words)
        if self._numpy is not None:
            np.random.set_state(cast("Any", self._numpy))  # noqa: NPY002
        if self._cuda is not None and not all(map(torch.equal, self._cuda, torch.cuda.get_rng_state_all())):
            drawn.add("cuda")
            torch.cuda.set_rng_state_all(self._cuda)
        if self._mps is not None and not torch.equal(self._mps, torch.mps.get_rng_state()):
            drawn.add("mps")
            torch.mps.set_rng_state(self._mps)
        return drawn


def seed_all(seed: int) -> None:
    """Seed every global generator; call it only where the state is restored afterwards."""
    torch.manual_seed(seed % 2**63)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - networks draw from the global state


def _numpy_address() -> int | None:
    generator: Any = np.random.get_bit_generator()  # pyright: ignore[reportAttributeAccessIssue] - numpy's stubs lack it
    return generator.ctypes.state_address if type(generator) is np.random.MT19937 else None


def _numpy_words() -> bytes:
    address = _numpy_address()
    return b"" if address is None else ctypes.string_at(address, _MT19937_BYTES)


def _set_numpy_words(words: bytes) -> None:
    address = _numpy_address()
    if address is not None and len(words) == _MT19937_BYTES:
        ctypes.memmove(address, words, _MT19937_BYTES)
