"""What the service costs a job: its time on a server, with progress, checkpoints and events kept, against the bare search in-process.

python -m benchmarks.service.overhead --evaluations 3000 --out benchmarks/service/results
python -m benchmarks.service.overhead --evaluations 1200 --shifted --out benchmarks/service/results
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from actmax.client import Client
from actmax.engine.build import check
from actmax.engine.run import execute, searches_of
from actmax.engine.spec import JobSpec
from benchmarks.service.cluster import ServerProcess

SHIFTED: dict[str, Any] = {"transformations": {"steps": [{"name": "jitter", "options": {"pixels": 2}}], "samples": 3}}
"""Three forward passes an evaluation."""
JOB: dict[str, Any] = {
    "generator": {"name": "cifar10-vqvae"},
    "target": {"name": "cifar10-snn"},
    "units": ["lif_out[3]"],
    "optimizer": {"name": "random"},
    "seed": 1,
}


def in_process(evaluations: int) -> float:
    """Seconds of the bare search: no process, no observer, no file."""
    import torch

    torch.set_num_threads(1)
    job = check(JobSpec.parse(JOB | {"budget": {"evaluations": evaluations}}))
    began = time.monotonic()
    execute(job, searches_of(job))
    return time.monotonic() - began


def served(client: Client, evaluations: int) -> tuple[float, float]:
    """Seconds of the same search on a server, by its own count; and from CreateJob to the first event of progress."""
    began = time.monotonic()
    name = client.create(JOB | {"budget": {"evaluations": evaluations}}).name
    first = 0.0
    for response in client.watch(name):
        if response.event.HasField("progress") and not first:
            first = time.monotonic() - began
    return float(json.loads(client.download(name, "result.json"))["seconds"]), first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--shifted", action="store_true", help="three forward passes an evaluation, over 5 ms in all")
    options = parser.parse_args()
    if options.shifted:
        JOB.update(SHIFTED)
    bare: list[float] = []
    with_service: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data", workers=1, checkpoint_seconds=2.0)
        try:
            with Client(server.address) as client:
                for _ in range(options.repeats):  # in turns, so that a busy machine is busy for both
                    bare.append(in_process(options.evaluations))
                    time.sleep(5.0)  # the next worker has imported what it needs, as on a server that isn't asked for more than it can do
                    with_service.append(served(client, options.evaluations))
        finally:
            server.stop()
        server = ServerProcess(Path(folder) / "fresh", workers=1, standby=False)
        try:
            with Client(server.address) as client:
                in_process(20)  # the checking process has imported what it needs
                without_standby = [served(client, 20)[1] for _ in range(options.repeats)]
        finally:
            server.stop()
    best, best_served = min(bare), min(seconds for seconds, _ in with_service)
    middle, middle_served = median(bare), median(seconds for seconds, _ in with_service)
    report = {
        "evaluations": options.evaluations,
        "milliseconds_an_evaluation": round(1000 * best / options.evaluations, 3),
        "in_process_seconds": [round(seconds, 2) for seconds in bare],
        "served_seconds": [round(seconds, 2) for seconds, _ in with_service],
        "overhead_of_the_fastest": round(best_served / best - 1, 4),
        "overhead_of_the_medians": round(middle_served / middle - 1, 4),
        "create_to_first_progress_seconds": [round(first, 2) for _, first in with_service],
        "create_to_first_progress_seconds_without_standby": [round(first, 2) for first in without_standby],
    }
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"overhead{'-shifted' if options.shifted else ''}.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
