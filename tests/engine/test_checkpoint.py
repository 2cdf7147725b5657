import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.engine import checkpoint

tensors = st.sampled_from(
    [
        torch.arange(6).view(2, 3),
        torch.rand(3, 0),
        torch.tensor(float("nan")),
        torch.zeros(2, dtype=torch.bool),
        torch.rand(4, 3).double().T,
    ]
)
leaves = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=8) | tensors
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=12
)


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return (
            isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.nan_to_num(1e9), b.nan_to_num(1e9))
        )
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(max_examples=60)
@given(tree=st.dictionaries(st.text(max_size=6), trees, max_size=4))
def test_any_tree_comes_back(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("c") / "checkpoint.safetensors"
    checkpoint.save(path, tree)
    assert same(checkpoint.load(path), tree)


def test_an_interrupted_write_leaves_the_older_one(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, {"a": 2})
    assert checkpoint.load(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_files_are_told(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.arange(1000)})
    whole = path.read_bytes()
    for data in (whole[:-1], whole[: len(whole) // 2], b"", b"\x80\x04pickle", os.urandom(64)):
        path.write_bytes(data)
        with pytest.raises(checkpoint.BadCheckpoint, match="no checkpoint that can be read"):
            checkpoint.load(path)


def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path):
    for value in (object(), {1: "x"}, {1, 2}):
        with pytest.raises(TypeError, match="checkpoint"):
            checkpoint.save(tmp_path / "c", {"a": value})
