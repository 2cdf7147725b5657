"""What a request may use: judged as stated, the same at the other end of a pipe, and an operator's typo is said at the start."""

import json
import sys
from dataclasses import asdict

import pytest

from actmax.models.permissions import EVERYTHING, NOTHING, Permissions

STATED = Permissions.of(["toy_lab", "/models/", "relative/folder", "grpc://Host:1/path", "*"])


def test_lists_are_parted_into_code_files_and_servers():
    assert Permissions(("toy_lab", "*"), ("/models/", "relative/folder"), ("grpc://Host:1/path",)) == STATED
    assert Permissions.of([], True) == Permissions(any_file=True)
    assert Permissions.of(["a"], ("folder", "http://b")) == Permissions(("a",), ("folder",), ("http://b",))


@pytest.mark.parametrize("permissions", [NOTHING, EVERYTHING, STATED, Permissions(relay="relay://ticket@127.0.0.1:1")])
def test_they_cross_borders_of_processes_unchanged(permissions):
    assert Permissions.from_plain(json.loads(json.dumps(asdict(permissions)))) == permissions


def test_code_may_come_from_a_package_and_what_is_below_it():
    mine = Permissions(imports=("lab.units",))
    assert [mine.may_import(name) for name in ("lab.units", "lab.units.v1", "lab", "lab.unitss", "os")] == [True, True, False, False, False]
    assert EVERYTHING.may_import("os")
    assert not NOTHING.may_import("os")


def test_files_may_be_read_below_a_folder_and_not_through_links_out_of_it(tmp_path):
    inside, outside = tmp_path / "models", tmp_path / "private"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a").touch()
    (inside / "link").symlink_to(outside)
    mine = Permissions(folders=(f"{inside}/",))
    paths = (inside, inside / "a", inside / ".." / "private" / "a", inside / "link" / "a", f"{inside}2")
    assert [mine.may_read(str(path)) for path in paths] == [True, True, False, False, False]
    assert EVERYTHING.may_read("/etc/passwd")
    assert not NOTHING.may_read("/etc/passwd")


def test_a_server_is_known_by_scheme_host_and_port():
    urls = ("GRPC://host:1/other", "grpc://host:2", "http://host:1", "relay://ticket@127.0.0.1:1")
    assert [STATED.may_ask(url) for url in urls] == [True, False, False, False]
    assert not Permissions(relay=urls[-1]).may_ask(urls[-1]), "only the server itself asks its relay"
    assert EVERYTHING.may_ask("http://anywhere")


@pytest.mark.parametrize("entry", ["*", "torch", "torch.nn", "grpc://127.0.0.1:50061", "http://models.lab/v2", "/"])
def test_an_entry_that_permits_something_is_not_idle(entry):
    assert Permissions.of([entry]).idle_entries() == []


@pytest.mark.parametrize(
    ("entry", "said"),
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
def test_an_entry_that_permits_nothing_is_named(entry, said):
    assert Permissions.of(["torch", entry]).idle_entries() == [said]


def test_packages_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "loud_package").mkdir()
    (tmp_path / "loud_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert Permissions.of(["loud_package.units"]).idle_entries() == []
    assert "loud_package" not in sys.modules
