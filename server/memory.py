"""Settings of the C library's heap."""

from __future__ import annotations

import ctypes
import platform

TRIM, MMAP = 256 << 20, 32 << 20
"""Bytes of free memory that the heap keeps, and the block size from which an allocation is mapped by itself."""
# Parameter numbers of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed() -> bool:
    """Have the heap keep freed memory instead of returning it to the system, and return whether the C library supports that.

    A session's generation of 2 MB passes through several blocks of that size, and fetching fresh pages each time may take longer than
    all other work. ``benchmarks/sessions/latency.py`` took 8.9 to 10.6 ms a round without this, 6.0 to 7.0 ms with it, on two quiet cores.
    The cost is at most 256 MB, of memory that was in use at once, in each of the heaps that threads have.

    Returns
    -------
    bool
        False on any C library but glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    adjust = ctypes.CDLL(None).mallopt
    return bool(adjust(_M_TRIM_THRESHOLD, TRIM)) and bool(adjust(_M_MMAP_THRESHOLD, MMAP))
