"""torch's ambient settings around a job: torch's defaults inside, the caller's settings restored after it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import nn

Args = ParamSpec("Args")
Result = TypeVar("Result")

AUTOCASTING = ("cpu", "cuda", "mps", "xpu")
"""Types of devices whose autocast a caller may have enabled."""


class _ProcessSettings:
    """Settings that torch keeps once for all threads: the default dtype and anomaly detection.

    Jobs may overlap in several threads. The first one that starts under other settings saves them, the last one that ends restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = 0
        self._dtype: torch.dtype | None = None
        self._anomaly: tuple[bool, bool] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Set float32 and no anomaly detection for the duration of a block."""
        with self._lock:
            self._jobs += 1
            if torch.get_default_dtype() != torch.float32:
                self._dtype = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            if torch.is_anomaly_enabled():  # it would raise at the first NaN, which a search counts instead
                self._anomaly = (True, torch.is_anomaly_check_nan_enabled())
                torch.set_anomaly_enabled(False)
        try:
            yield
        finally:
            with self._lock:
                self._jobs -= 1
                if not self._jobs and self._dtype is not None:
                    torch.set_default_dtype(self._dtype)
                    self._dtype = None
                if not self._jobs and self._anomaly is not None:
                    torch.set_anomaly_enabled(*self._anomaly)
                    self._anomaly = None


_PROCESS = _ProcessSettings()


@contextmanager
def default_settings() -> Iterator[None]:
    """Run a block under torch's default settings, and restore the caller's.

    Inside, gradients are recorded, tensors are ordinary ones (no inference mode), nothing is cast automatically, anomaly detection is off,
    and tensors are made as float32 on the CPU. Settings for speed or exactness stay as the caller chose them: the number of threads,
    deterministic algorithms, the precision of matrix products. Grad mode, inference mode, autocast and the default device belong to the
    thread. The default dtype and anomaly detection belong to the process, so other threads see them changed while a job runs.
    """
    with ExitStack() as stack:
        stack.enter_context(_PROCESS.held())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in AUTOCASTING:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def under_default_settings(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Return ``function`` wrapped such that it always runs under :func:`default_settings`."""

    @wraps(function)
    def settled(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        with default_settings():
            return function(*args, **kwargs)

    return settled


@contextmanager
def own_threads(threads: int | None) -> Iterator[None]:
    """Set the number of torch's CPU threads for the duration of a block; None keeps it."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads is not None:
            torch.set_num_threads(before)


def usable_by_autograd(module: nn.Module) -> nn.Module:
    """Return ``module``, or a copy where its weights were made under ``torch.inference_mode``, which autograd refuses.

    Raises
    ------
    ValueError
        The module has to be copied, and the copy fails.
    """
    if not any(tensor.is_inference() for tensor in (*module.parameters(), *module.buffers())):
        return module
    try:
        return copy.deepcopy(module)
    except Exception as error:  # a user's network may raise any class
        what = f"the weights of this {type(module).__name__} were made under torch.inference_mode, which autograd refuses"
        raise ValueError(f"{what}, and copying them failed ({error}); make the network outside torch.inference_mode") from error
