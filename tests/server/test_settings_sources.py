"""Settings from a file, the environment and the command line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from actmax.server.config import ConfigError
from actmax.server.settings import load


def test_later_sources_win(tmp_path):
    file, secret = tmp_path / "actmax.yaml", tmp_path / "secret"
    file.write_text("workers: 2\nthreads: 3\nallow_imports: [mylab]\nlog_level: info\ndata: there\n")
    secret.write_text("postgresql://a:b@c/d\n")
    environment = {
        "ACTMAX_SERVE_THREADS": "4",
        "ACTMAX_SERVE_TOKENS": "true",
        "ACTMAX_SERVE_DATABASE_FILE": str(secret),
        "ACTMAX_SERVER": "the client's",
    }
    found = load(file, {"workers": 5, "address": None, "data": None}, environment)
    assert (found.workers, found.threads, found.tokens, found.log_level, found.data) == (5, 4, True, "info", Path("there"))
    assert (found.database, found.allow_imports) == ("postgresql://a:b@c/d", ("mylab",))
    assert load(None, {}, {"ACTMAX_SERVE_ALLOW_IMPORTS": "a,b"}).allow_imports == ("a", "b")
    file.write_text("")
    assert load(file, {}, {}) == load(None, {}, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wrokers: 2", r"wrokers: there is no such setting; did you mean workers\?"),
        ("zzzzzz: 2", "zzzzzz: there is no such setting; docs/operations.md names them all"),
        ("workers: many", "workers: .*integer"),
        ("workers: 0", "workers"),
        ("- 2", "by name"),
        ("workers: 2\na: [", r"not readable as YAML: expected .* \(line 2\)$"),
        ("a: &a [*a, *a]\n", "a: there is no such setting"),
        ("[" * 100_000, "actmax.yaml"),
        ("x" * 2_000_000, "no settings"),
    ],
)
def test_bad_files_are_told(tmp_path, text, words):
    file = tmp_path / "actmax.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load(file, {}, {})


def test_bad_environments_are_told(tmp_path):
    for name, value in {"WROKERS": "2", "WORKERS": "x", "DATABASE_FILE": str(tmp_path / "none")}.items():
        environment = {f"ACTMAX_SERVE_{name}": value}
        with pytest.raises(ConfigError, match=next(iter(environment))):
            load(None, {}, environment)
    with pytest.raises(ConfigError, match=r"did you mean ACTMAX_SERVE_WORKERS\?"):
        load(None, {}, {"ACTMAX_SERVE_WROKERS": "2"})
    with pytest.raises(ConfigError, match=rf"none: {os.strerror(errno.ENOENT)}$"):
        load(tmp_path / "none", {}, {})
