"""A rig that knows nothing but files: ``file_rig.py FOLDER STYLE``. It is killed and started at will, and remembers nothing."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image


def count(trial: int, path: Path) -> int:
    """Spikes of a neuron that likes red, the same whenever the trial is shown."""
    picture = np.asarray(Image.open(path), np.float64) / 255
    return int(np.random.default_rng(trial).poisson(20 * picture[..., 0].mean() ** 2 + 1))


def main(folder: Path, style: str) -> None:
    shown = ""
    while not (folder / "ENDED.json").exists():
        try:
            name = (folder / "READY").read_text().strip()
        except FileNotFoundError:
            name = ""
        if not name or name == shown:
            time.sleep(0.002)
            continue
        with (folder / name / "left.csv").open() as opened:
            rows = [(int(row["trial"]), row["file"]) for row in csv.DictReader(opened)]
        counts = [(trial, count(trial, folder / name / file)) for trial, file in rows]
        put(folder / "responses", name, counts, style)
        shown = name


def put(responses: Path, name: str, counts: list[tuple[int, int]], style: str) -> None:
    if style == "renamed":
        writing = responses / f"{name}.tmp"
        writing.write_text("trial,a\n" + "".join(f"{trial},{found}\n" for trial, found in counts))
        writing.replace(responses / f"{name}.csv")
    elif style == "dribbled":  # a byte or a few at a time, in one file for all generations, without a header
        with (responses / "all.csv").open("a+b", buffering=0) as opened:
            opened.seek(0)
            opened.truncate(opened.read().rfind(b"\n") + 1)  # half a line, after a kill: ended now, it would tell half a count
            text = "".join(f"{trial};{found}\n" for trial, found in counts).encode()
            for at in range(0, len(text), 5):
                opened.write(text[at : at + 5])
                time.sleep(0.001)
    elif style == "mat":  # in place, the first half a while before the second
        from io import BytesIO

        from scipy.io import savemat

        made = BytesIO()
        trials, found = np.array(counts, np.float64).T
        onsets = trials * 0.5
        savemat(made, {"trial": trials, "response": found[:, None], "onset": onsets, "offset": onsets + 0.1}, do_compression=True)
        whole = made.getvalue()
        with (responses / f"{name}.mat").open("wb", buffering=0) as opened:
            opened.write(whole[: len(whole) // 2])
            time.sleep(0.05)
            opened.write(whole[len(whole) // 2 :])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
