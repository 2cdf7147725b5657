"""The files of ``deploy/`` hold together, as far as that can be known without systemd and Docker."""

from __future__ import annotations

import configparser
from pathlib import Path

import yaml

from actmax.server.settings import load

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_settings_file_is_taken_with_and_without_its_comments(tmp_path, monkeypatch):
    assert load(DEPLOY / "actmax.yaml", {}).log_format == "json"
    text = (DEPLOY / "actmax.yaml").read_text()
    offered = "\n".join(line[2:] if line.startswith("# ") and ": " in line and line[2].islower() else line for line in text.splitlines())
    lines = [line for line in offered.splitlines() if not line.startswith(("#", "address: 127"))]
    (tmp_path / "all.yaml").write_text("\n".join(lines))
    found = load(tmp_path / "all.yaml", {})
    assert (found.address, found.tokens, found.files) == ("0.0.0.0:50051", True, "s3://bucket/actmax")


def test_the_compose_file_sets_what_there_is_to_set(tmp_path, monkeypatch):
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    environment = compose["services"]["one"]["environment"]
    (tmp_path / "url").write_text("postgresql://a:b@c/d")
    for name, value in (environment | {"ACTMAX_SERVE_DATABASE_FILE": str(tmp_path / "url")}).items():
        monkeypatch.setenv(name, value)
    found = load(None, {})
    assert (found.tokens, found.address, found.database) == (True, "0.0.0.0:50051", "postgresql://a:b@c/d")
    assert set(compose["services"]["one"]["secrets"]) <= set(compose["secrets"])
    assert compose["services"]["two"]["image"] == "actmax"
    for name in ("ACTMAX_SERVE_DATA", "ACTMAX_SERVE_LOG_FORMAT", "ACTMAX_SERVE_LOG_LEVEL"):
        assert name in (DEPLOY / "Dockerfile").read_text()


def test_the_unit_starts_the_command():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "actmax.service")
    assert unit["Service"]["ExecStart"].split()[1:] == ["serve", "--config", "/etc/actmax/actmax.yaml"]
    assert unit["Service"]["KillMode"] == "mixed"
