"""Drive public networks through actmax: list layers, maximise an early, a middle and a last unit, write the report.

    OMP_NUM_THREADS=1 python -m benchmarks.public_networks --figures runs/public
    python -m benchmarks.public_networks --only timm --evaluations 64
    python -m benchmarks.public_networks --table

Weights are random unless a package ships trained ones; sizes are small. Each response is compared with a forward hook on the bare network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .drive import drive
from .registry import NETWORKS
from .table import page

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs/networks.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="Drive the networks whose name contains this.")
    parser.add_argument("--evaluations", type=int, default=32)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="Write the stored results into docs/networks.md and drive nothing.")
    asked = parser.parse_args()
    stored = json.loads(asked.out.read_text())["networks"] if asked.out.is_file() else []
    if asked.table:
        PAGE.write_text(page(PAGE.read_text("utf-8"), stored), "utf-8")
        return
    torch.set_num_threads(asked.threads)
    found = {row["name"]: row for row in stored if row["name"] in NETWORKS}
    for network in NETWORKS.values():
        if asked.only in network.name:
            outcome = drive(network, asked.figures, asked.evaluations)
            found[network.name] = outcome.plain()
            unexpected = "" if outcome.status == network.expected else f"  (expected: {network.expected})"
            _store(asked.out, found, asked.evaluations)
            print(f"{outcome.status:<8} {network.name:<50} {outcome.seconds:6.1f} s  {outcome.reason[:300]}{unexpected}", flush=True)


def _store(path: Path, found: Mapping[str, Mapping[str, Any]], evaluations: int) -> None:
    rows = [found[name] for name in NETWORKS if name in found]
    path.write_text(json.dumps({"torch": torch.__version__, "evaluations": evaluations, "networks": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
