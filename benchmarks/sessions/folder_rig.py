"""How long a rig that exchanges files waits for its next generation, beside what session and disk take by themselves, in the same run.

python -m benchmarks.sessions.folder_rig --generations 100

A round is: a rig has renamed its file of 40 responses into place, the adapter sees it, tells it, gets 40 noisy pictures of 3 x 64 x 64,
writes them as PNG, and READY names the new folder. "session" is the same round without files, "disk" the same files encoded and written
alone.
XDream's loop of the same kind looks every 100 ms and sleeps for 500 ms a generation.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actmax.client import Session
from actmax.client.rigs.folder import FolderRig
from actmax.client.rigs.stimulus_files import as_image
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.spaces import Box
from benchmarks.service.cluster import ServerProcess

from .latency import figures, spec

SHAPE = (3, 64, 64)


def noisy() -> DecoderGenerator:
    """Pictures that compress badly."""
    spread = torch.nn.Linear(2, 3 * 64 * 64, bias=False)
    with torch.no_grad():
        spread.weight.copy_(torch.randn(3 * 64 * 64, 2, generator=torch.Generator().manual_seed(1)))
    return DecoderGenerator(torch.nn.Sequential(spread, torch.nn.Sigmoid(), torch.nn.Unflatten(1, SHAPE)), Box((2,), 0.0, 1.0))


def asked(generations: int, size: int) -> dict[str, Any]:
    return spec((generations + 1) * size, size) | {"generator": "benchmarks.sessions.folder_rig:noisy"}


def direct(address: str, generations: int, size: int) -> tuple[list[float], NDArray[Any]]:
    """Seconds of each round without files; the pictures of one."""
    times: list[float] = []
    with Session.create(asked(generations, size), address) as session:
        generation = session.ask()
        assert generation is not None
        stimuli = generation.stimuli
        while generation is not None and len(times) < generations:
            began = time.perf_counter()
            session.tell(np.arange(len(generation), dtype=float))
            generation = session.ask()
            times.append(time.perf_counter() - began)
    return times, stimuli


def exchanged(address: str, folder: Path, generations: int, size: int) -> list[float]:
    """Seconds that the rig waits."""
    times: list[float] = []

    def rig() -> None:
        began, shown = 0.0, ""
        while len(times) < generations and not (folder / "ENDED.json").exists():
            try:
                name = (folder / "READY").read_text().strip()
            except FileNotFoundError:
                name = ""
            if name in ("", shown):
                time.sleep(0.0005)
                continue
            if began:
                times.append(time.perf_counter() - began)
            with (folder / name / "trials.csv").open() as opened:
                trials = [row["trial"] for row in csv.DictReader(opened)]
            writing = folder / "responses" / f"{name}.tmp"
            writing.write_text("trial,a\n" + "".join(f"{trial},{at}\n" for at, trial in enumerate(trials)))
            began, shown = time.perf_counter(), name
            writing.replace(folder / "responses" / f"{name}.csv")

    with Session.create(asked(generations, size), address) as session:
        thread = threading.Thread(target=rig)
        thread.start()
        FolderRig(session, folder).run()
        thread.join()
    return times


def written(folder: Path, generations: int, stimuli: NDArray[Any]) -> list[float]:
    """Seconds that encoding and writing a generation take."""
    times = []
    for number in range(generations):
        began = time.perf_counter()
        writing = folder / f"writing-{number}"
        writing.mkdir()
        for at, stimulus in enumerate(stimuli):
            as_image(stimulus, 0.0, 1.0).save(writing / f"{at}.png", "PNG", compress_level=1)
        writing.replace(folder / f"generation-{number}")
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=100)
    parser.add_argument("--size", type=int, default=40)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="folder-rig") as name:
        folder = Path(name)
        server = ServerProcess(folder / "data", allow_imports=["benchmarks"], stop_seconds=5.0)
        try:
            direct(server.address, 3, options.size)  # imports
            session, stimuli = direct(server.address, options.generations, options.size)
            waited = exchanged(server.address, folder / "exchange", options.generations, options.size)
            (folder / "alone").mkdir()
            disk = written(folder / "alone", options.generations, stimuli)
        finally:
            server.stop()
    report = {
        "generations": len(waited),
        "load_average": os.getloadavg()[0],
        "rig_waits_ms": figures(waited),
        "session_ms": figures(session),
        "disk_ms": figures(disk),
    }
    print(json.dumps(report, indent=2))
    if options.out:
        (options.out / "folder_rig.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
