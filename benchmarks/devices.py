"""Times, memory and names of the device that a benchmark runs on."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Callable

import torch


def timed(run: Callable[[], object], device: str) -> float:
    """Return the seconds that ``run`` takes, all that it has started on ``device`` included.

    On one CPU thread these are processor time, which other programs affect little.
    """
    cuda = device.startswith("cuda")
    clock = time.process_time if not cuda and torch.get_num_threads() == 1 else time.perf_counter
    if cuda:
        torch.cuda.synchronize(device)
    began = clock()
    run()
    if cuda:
        torch.cuda.synchronize(device)
    return clock() - began


def forget_peak(device: str) -> None:
    """Count the peak of a CUDA device's memory from here; a process's own can't be reset."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: str) -> int:
    """Return the most memory held: a CUDA device's allocated tensors since :func:`forget_peak`, or this process's since its start."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def described(device: str) -> dict[str, str]:
    """Return what the figures were taken on: device, torch, CUDA, Python."""
    cuda = device.startswith("cuda")
    name = torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} thread(s)"
    return {
        "device": name,
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda) if cuda else "",
        "python": platform.python_version(),
    }
