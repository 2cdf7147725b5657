import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from actmax.models.zoo.training import __main__ as command
from actmax.models.zoo.training.cifar10 import read_parquet, shuffled_batches
from actmax.models.zoo.training.loop import Run


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(path, n: int, layout: str = "image", size: int = 32):
    rng = np.random.default_rng(n)
    pixels = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    cells = [encoded(image) for image in pixels]
    labels = (np.arange(n) % 10).tolist()
    columns = {"image": cells} if layout == "image" else {"img": [{"bytes": cell, "path": None} for cell in cells]}
    pq.write_table(pa.table({**columns, "label": labels}), path)
    return pixels, labels


@pytest.mark.parametrize("layout", ["image", "img"])
def test_both_layouts_read_back(tmp_path, layout):
    pixels, labels = parquet(tmp_path / "c.parquet", 23, layout)
    images = read_parquet(tmp_path / "c.parquet")
    assert np.array_equal(images.pixels.permute(0, 2, 3, 1).numpy(), pixels)
    assert images.labels.tolist() == labels


def test_other_files_are_refused(tmp_path):
    parquet(tmp_path / "small.parquet", 3, size=16)
    with pytest.raises(ValueError, match="row 0 is 16 × 16"):
        read_parquet(tmp_path / "small.parquet")
    pq.write_table(pa.table({"pixels": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="needs the columns image"):
        read_parquet(tmp_path / "other.parquet")


def test_augmentation_only_flips_and_shifts(tmp_path):
    parquet(tmp_path / "c.parquet", 40)
    images = read_parquet(tmp_path / "c.parquet")
    seen = 0
    for pixels, labels in shuffled_batches(images, 20, torch.Generator().manual_seed(1), crop=False):
        for picture, label in zip(pixels, labels, strict=True):
            same = images.unit_range(images.labels == label)
            candidates = torch.cat([same, same.flip(-1)])
            assert bool((candidates == picture).flatten(1).all(1).any())
            seen += 1
    assert seen == 40
    shifted = torch.cat([pixels for pixels, _ in shuffled_batches(images, 20, torch.Generator().manual_seed(1), crop=True)])
    assert set(shifted.unique().tolist()) <= set(images.unit_range(slice(None)).unique().tolist())


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["cnn", "snn", "vqvae", "vit", "sngan"])
def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch, name):
    parquet(tmp_path / "train.parquet", 260)
    parquet(tmp_path / "test.parquet", 50)
    given = [name, "--train", str(tmp_path / "train.parquet"), "--test", str(tmp_path / "test.parquet"), "--epochs", "3", "--device", "cpu"]

    def run(folder):
        command.main([*given, "--checkpoints", str(tmp_path / folder), "--out", str(tmp_path / folder)])
        return torch.load(tmp_path / folder / f"{name}-1.pt", weights_only=True)

    whole = run("whole")
    save = Run.save

    def save_and_stop(self):
        save(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save", save_and_stop)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run("stopped")
    resumed = run("stopped")
    assert resumed["epoch"] == whole["epoch"] == 3
    for part in whole["parts"]:
        for key, value in whole["parts"][part].items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, resumed["parts"][part][key]), (part, key)
    names = sorted(path.name for path in (tmp_path / "stopped").iterdir())
    assert names == sorted([f"cifar10-{name}.json", f"cifar10-{name}.png", f"cifar10-{name}.safetensors", f"{name}-1.pt"])
    shipped = (tmp_path / "whole" / f"cifar10-{name}.safetensors").read_bytes()
    assert (tmp_path / "stopped" / f"cifar10-{name}.safetensors").read_bytes() == shipped


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    run = Run("a", 1, tmp_path / "c.pt", {})
    run.save()
    with pytest.raises(ValueError, match="belongs to a with seed 1"):
        Run("a", 2, tmp_path / "c.pt", {}).resume()
