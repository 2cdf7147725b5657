"""Random spiking networks, layer by layer against a plain loop of snntorch, for as long as asked.

    python -m benchmarks.spiking.random_networks --minutes 60

Prints what disagrees, with the seed that makes it again (``--first SEED --count 1``), and how many networks agreed.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter

import torch

from .agreement import BRANCHES, check
from .networks import make


def main() -> int:
    """Run; the exit code is 1 where a network disagreed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="for how long")
    parser.add_argument("--count", type=int, default=10**9, help="of networks at most")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    end = time.monotonic() + 60 * options.minutes
    branches: Counter[str] = Counter()
    networks = failed = moved = compared = exact = 0
    while networks < options.count and time.monotonic() < end:
        seed = options.first + networks
        network = make(seed)
        outcome = check(network)
        networks, moved, compared, exact = networks + 1, moved + outcome.moved, compared + outcome.compared, exact + network.exact
        branches += outcome.branches
        if outcome.failures:
            failed += 1
            print(f"seed {seed}: {'; '.join(outcome.failures)}", flush=True)
    print(f"{networks} networks, {exact} of them with exact sums; {compared:,} responses, {moved} moved within rounding; {failed} disagree")
    print(f"gradients of {branches['gradients']}; never taken: {', '.join(sorted(BRANCHES - set(branches))) or 'no branch'}")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
