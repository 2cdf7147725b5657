"""Settings from a file, the environment and the command line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from actmax.server.config import ConfigError, ServerConfig
from actmax.server.settings import load


def test_later_sources_win(tmp_path, monkeypatch):
    file, secret = tmp_path / "actmax.yaml", tmp_path / "secret"
    file.write_text("workers: 2\nthreads: 3\nallow_imports: [mylab]\nlog_level: info\ndata: there\n")
    secret.write_text("postgresql://a:b@c/d\n")
    environment = {
        "ACTMAX_SERVE_THREADS": "4",
        "ACTMAX_SERVE_TOKENS": "true",
        "ACTMAX_SERVE_DATABASE_FILE": str(secret),
        "ACTMAX_SERVER": "the client's",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = load(file, {"workers": 5, "address": None, "data": None})
    assert (found.workers, found.threads, found.tokens, found.log_level, found.data) == (5, 4, True, "info", Path("there"))
    assert (found.database, found.allow_imports) == ("postgresql://a:b@c/d", ("mylab",))
    monkeypatch.setenv("ACTMAX_SERVE_ALLOW_IMPORTS", "a,b")
    assert load(None, {}).allow_imports == ("a", "b")
    for name in (*environment, "ACTMAX_SERVE_ALLOW_IMPORTS"):
        monkeypatch.delenv(name)
    file.write_text("")
    assert load(file, {}) == load(None, {})


def test_a_server_that_is_made_in_code_reads_no_environment(monkeypatch):
    monkeypatch.setenv("ACTMAX_SERVE_WORKERS", "4")
    assert ServerConfig().workers == 1


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
        load(file, {})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WROKERS", "2", r"ACTMAX_SERVE_WROKERS: there is no such setting; did you mean ACTMAX_SERVE_WORKERS\?"),
        ("WORKERS", "x", "ACTMAX_SERVE_WORKERS: .*integer"),
        ("WORKERS", "0", "ACTMAX_SERVE_WORKERS: .*greater than or equal to 1"),
        ("TLS_KEY", "secret.pem", "tls_certificate, tls_key: one needs the other"),
        ("DATABASE_FILE", "none", "ACTMAX_SERVE_DATABASE_FILE: .*none"),
    ],
)
def test_bad_environments_are_told(monkeypatch, tmp_path, name, value, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"ACTMAX_SERVE_{name}", value)
    with pytest.raises(ConfigError, match=words) as caught:
        load(None, {})
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match=rf"none: {os.strerror(errno.ENOENT)}$"):
        load(tmp_path / "none", {})
