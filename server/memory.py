"""What the C library does with memory that was freed."""

from __future__ import annotations

import ctypes
import platform

TRIM, MMAP = 256 << 20, 32 << 20
"""Bytes: of free memory that the heap keeps, and from which a block is got from the system by itself."""
# Of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed() -> bool:
    """Have the heap keep what was freed, rather than give it back and get it again page by page; whether this system can be asked to.

    A session's generation of 2 MB passes through several blocks of that size, and to get their pages anew each time may take longer than
    all else: a round took 8.9 to 10.6 ms without this, 6.0 to 7.0 with it (``benchmarks/sessions/latency.py``, by turns, two quiet cores).
    It costs at most 256 MB, of what was in use at once, in each of the heaps that threads have.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    adjust = ctypes.CDLL(None).mallopt
    return bool(adjust(_M_TRIM_THRESHOLD, TRIM)) and bool(adjust(_M_MMAP_THRESHOLD, MMAP))
