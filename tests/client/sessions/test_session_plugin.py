"""Clients whose session's stimuli come from a plugin: a rehearsal from the command line, and patience while it is away."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import pytest
from serving import ENVIRONMENT, FIXTURES, actmax

from actmax.client import Session
from actmax.wire.errors import ActmaxError

SPEC = {
    "generator": {"name": "remote", "options": {"plugin": "decoder"}},
    "units": ["a"],
    "optimizer": "random",
    "stop": {"evaluations": 30},
    "design": {"generation_size": 10},
}


@contextmanager
def plugin(server):
    command = (sys.executable, str(FIXTURES / "plugin_process.py"), "decode", server.address, "decoder")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        try:
            yield running
        finally:
            running.kill()


def test_a_rehearsal_with_a_plugin(server):
    asked = ("simulate", "toy_lab:network", "--unit", "4[0]", "--allow-import", "toy_lab", "--generator", "remote", "--optimizer", "random")
    small = ("--evaluations", "30", "--generation-size", "10", "--server", server.address)
    named = ("--set", "generator.options.plugin=decoder")
    done = actmax(*asked, *small, *named)
    assert done.returncode != 0
    assert "spec.generator.options.plugin" in done.stderr
    assert "no such generator has dialled in" in " ".join(done.stderr.split())
    with plugin(server):
        done = actmax(*asked, *small, *named)
    assert done.returncode == 0, done.stderr
    assert "the recommended stimulus drives" in " ".join(done.stdout.split())


def test_a_plugin_that_is_away_is_waited_for_as_long_as_patience_lasts(server):
    heard: list[str] = []
    with plugin(server) as first, Session.create(SPEC, server.address, patience=2.5) as session:
        session.on_trouble = heard.append
        shown = session.ask()
        assert shown is not None
        first.kill()
        first.wait()
        session.tell([1.0] * len(shown))  # on the server's disk, plugin or not
        with pytest.raises(ActmaxError, match="decoder") as caught:
            session.ask()
        assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "PLUGIN_AWAY")
        assert "goes on when the plugin is back" in heard[0]
        with plugin(server):
            told = len(shown)
            for generation in session:
                session.tell([1.0] * len(generation))
                told += len(generation)
    assert session.described.progress.told == told
