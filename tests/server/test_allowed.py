"""An operator's typo in what jobs may name is said when the server starts."""

import sys

import pytest

from actmax.server.allowed import doubts


@pytest.mark.parametrize("allowed", ["*", "torch", "torch.nn", "grpc://127.0.0.1:50061", "http://models.lab/v2", "/"])
def test_what_allows_something_is_not_doubted(allowed):
    assert doubts([allowed]) == []


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        ("my_own_laboratory", "my_own_laboratory: no package my_own_laboratory is installed where the server runs"),
        ("tqdmm.auto", "tqdmm.auto: no package tqdmm is installed where the server runs; did you mean tqdm?"),
        ("/no/such/models", "/no/such/models: there is no such folder"),
        ("my lab", "my lab: neither a package, nor a folder (with a slash), nor an address such as grpc://127.0.0.1:50061"),
        (
            "127.0.0.1:50061",
            "127.0.0.1:50061: neither a package, nor a folder (with a slash), nor an address such as grpc://127.0.0.1:50061",
        ),
    ],
)
def test_what_allows_nothing_is_named(allowed, said):
    assert doubts(["torch", allowed]) == [said]


def test_packages_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "loud_package").mkdir()
    (tmp_path / "loud_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert doubts(["loud_package.units"]) == []
    assert "loud_package" not in sys.modules
