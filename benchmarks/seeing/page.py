"""The pictures of docs/seeing.md, from the jobs under examples/seeing.

    python -m benchmarks.seeing.page                       # all
    python -m benchmarks.seeing.page --only generators     # docs/pictures/seeing-generators.png

What a job found is kept in runs/seeing and run again only where the job has changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from actmax.engine.report.pictures import enlarged
from actmax.models.pictures.decoding import decode
from benchmarks.seeing.jobs import EXAMPLES, ROOT, Found, found, predictions
from benchmarks.seeing.sheet import Row, Tile, sheet, tile

PICTURES = ROOT / "docs" / "pictures"
CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NETWORKS = {"cnn": "CNN", "vit": "ViT", "snn": "spiking"}
OUTPUT = {"cnn": "fc", "vit": "head", "snn": "lif_out"}
SIDE = 96

Picture = NDArray[np.float32]


def _generators(path: Path) -> None:
    columns = {
        "pixel": "pixels",
        "laplacian": "Laplacian\npyramid",
        "fourier": "Fourier\nas in Lucid",
        "maco": "MACO\nphases",
        "cppn": "CPPN\nnetwork",
        "deep_generator": "GAN\nDGN-AM",
        "deep_generator langevin": "GAN\nPPGN",
        "codes": "VQ-VAE\nno gradient",
        "from_image": "image\nfrom a ship",
        "perturbation": "attack\ncat ± 8/255",
    }
    rows: list[Row] = []
    for number, kind in ((1, "horse"), (0, "channel")):
        for network, words in NETWORKS.items():
            tiles: list[Tile] = []
            for column in columns:
                job, _, optimizer = column.partition(" ")
                all_ = found(f"{job}_{network}")
                unit = all_[number * len(all_) // 2].unit
                tiles.append(tile(next(f for f in all_ if f.unit == unit and optimizer in ("", f.optimizer)), 64))
            unit = found(f"pixel_{network}")[number].unit
            rows.append(Row((words, kind if number else "a channel", unit), tiles))
    sheet(rows, path, side=64, heads=list(columns.values()), label=112)


def _picture(name: str) -> Picture:
    levels = np.asarray(decode(EXAMPLES / name).image.convert("RGB"), np.float32)
    return (levels.transpose(2, 0, 1) / 255).astype(np.float32)


def _beside(image: Picture, like: Found, *lines: str, side: int = SIDE) -> Tile:
    return Tile(enlarged(image, like.spec, side).convert("RGB"), lines)


def _deepdream(path: Path) -> None:
    rows: list[Row] = []
    for network, words in NETWORKS.items():
        dreams = found(f"deepdream_{network}")
        rows.append(Row((words,), [_beside(_picture("ship.png"), dreams[0], "given"), *(tile(one, SIDE, one.unit) for one in dreams)]))
    sheet(rows, path, side=SIDE, label=60)


def _attacks(path: Path) -> None:
    rows: list[Row] = []
    cat = _picture("cat.png")
    for network, words in NETWORKS.items():
        wanted, queried = found(f"attack_{network}")[0], found(f"attack_by_queries_{network}")[0]
        shown = [cat, wanted.stimulus, queried.stimulus]
        chances = predictions(f"attack_{network}", OUTPUT[network], shown)
        told = [f"{CLASSES[int(one.argmax())]} {one.max():.0%}" for one in chances]
        change = np.clip(0.5 + (wanted.stimulus - cat) * 255 / 16, 0, 1).astype(np.float32)
        titles = ("given", "to a dog, by gradient", "not a cat, by queries")
        tiles = [_beside(image, wanted, title, answer, side=128) for image, title, answer in zip(shown, titles, told, strict=True)]
        tiles.insert(2, _beside(change, wanted, "its change, 16 ×", side=128))
        rows.append(Row((words,), tiles))
    sheet(rows, path, side=128, label=60)


def _style(path: Path) -> None:
    rows: list[Row] = []
    for network, words in NETWORKS.items():
        one = found(f"objectives/style_transfer_{network}")[0]
        given = [_beside(_picture("cat.png"), one, "content"), _beside(_picture("ship.png"), one, "style")]
        rows.append(Row((words,), [*given, tile(one, SIDE, "found")]))
    sheet(rows, path, side=SIDE, label=60)


def _inversion(path: Path) -> None:
    rows: list[Row] = []
    for network, words in NETWORKS.items():
        back = found(f"objectives/inversion_{network}")
        rows.append(
            Row((words,), [_beside(_picture("ship.png"), back[0], "given"), *(tile(one, SIDE, f"from {one.unit}") for one in back)])
        )
    sheet(rows, path, side=SIDE, label=60)


def _scored(one: Found) -> Tile:
    return tile(one, SIDE, f"score {one.response if one.score is None else one.score:.3g}")


def _objectives(path: Path) -> None:
    columns = {
        "direction": "direction\ncat − dog",
        "cosine": "cosine\ncar + truck",
        "boundary": "boundary\ncat | dog",
        "joint": "joint\nchannel, ship",
        "interpolated": "interpolated\ntwo channels",
        "code_prior": "code prior\nhorse, GAN",
        "regularised": "regularised\nhorse, pixels",
    }
    rows = [
        Row((NETWORKS[network],), [_scored(found(f"objectives/{column}_{network}")[-1]) for column in columns])
        for network in ("cnn", "vit")
    ]
    sheet(rows, path, side=SIDE, heads=list(columns.values()), label=60)


def _diversity(path: Path) -> None:
    rows: list[Row] = []
    for network in ("cnn", "vit"):
        one = found(f"objectives/diversity_{network}")[0]
        rows.append(Row((NETWORKS[network],), [_beside(ascent, one) for ascent in one.ascents]))
    sheet(rows, path, side=SIDE, label=60)


def _attention(path: Path) -> None:
    shown = [*found("objectives/heads_vit"), *found("objectives/tokens_vit")]
    titles = ("head 0, block 1", "head 2, block 1", "feature, one token", "feature, all tokens")
    sheet([Row((), [tile(one, SIDE, words) for one, words in zip(shown, titles, strict=True)])], path, side=SIDE, label=0)


def _series(path: Path) -> None:
    shown = found("series")
    rows = [Row((), [tile(one, SIDE, f"{one.unit} {one.unit_name}") for one in shown[start : start + 3]]) for start in (0, 3)]
    sheet(rows, path, side=SIDE, label=0)


DRAWN: dict[str, Callable[[Path], None]] = {
    "generators": _generators,
    "attacks": _attacks,
    "deepdream": _deepdream,
    "style": _style,
    "inversion": _inversion,
    "objectives": _objectives,
    "diversity": _diversity,
    "attention": _attention,
    "series": _series,
}


def main() -> None:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=DRAWN, default=list(DRAWN), metavar="PICTURE", help=", ".join(DRAWN))
    parser.add_argument("--folder", type=Path, default=PICTURES, help="for the pictures")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.only:
        path = given.folder / f"seeing-{name}.png"
        DRAWN[name](path)
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
