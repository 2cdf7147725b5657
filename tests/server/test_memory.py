"""Freed memory is there again without the system's help."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from actmax.server.memory import keep_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def blocks():
    held = [np.ones(4 << 20, np.uint8) for _ in range(4)]
    held.sort(key=id)  # the top of the heap is freed last
    while held:
        held.pop(0)

assert keep_freed()
blocks()
before = faults()
for _ in range(50):
    blocks()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_blocks_are_not_got_from_the_system_again_and_again():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 5_000  # of 200,000 pages
