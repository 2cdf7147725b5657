"""One schema for jobs and sessions: whichever way a wrong one comes in, the same fields are named, in the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving import TOY, actmax

from actmax.client import Client, FieldViolation, InvalidInput, Session
from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.session.checking import check_session
from actmax.engine.session.spec import SessionSpec
from actmax.engine.spec import JobSpec
from actmax.models.permissions import Permissions
from actmax.models.plugins.connection import PluginConnection, PluginError
from actmax.models.plugins.options import PluginOptions
from actmax.server.errors import ServiceError
from actmax.server.servicers.admission import read
from actmax.v1 import plugin_service_pb2 as plugins
from actmax.v1.session_pb2 import StimulusShape

Faults = dict[str, str]
PERMISSIONS = Permissions.of(["toy_lab"])
JOB = yaml.safe_load(TOY)
SESSION = {"generator": "toy_lab:decoder", "units": ["a", "b"], "stop": {"evaluations": 100}}

RANGE = "must be greater than or equal to {} and less than or equal to {}"
BAD_JOBS: dict[str, tuple[dict[str, Any], Faults]] = {
    "of another form": (
        {
            "sed": 1,
            "seed": 1.5,
            "title": 5,
            "units": [["4[0]"]],
            "optimizer": ["random"],
            "objective": {"name": "unit", "unit": 3},
            "budget": 100,
            "sharing": "yes",
            "transformations": {"samples": "few"},
        },
        {
            "sed": "there is no such field; did you mean seed?",
            "seed": "expected a whole number, got the number 1.5",
            "title": 'expected text, got the number 5; in quotes ("5") it is text',
            "units[0]": "expected text, got a list",
            "optimizer": "expected fields (name, options), got a list",
            "objective.unit": "there is no such field; there are name, options",
            "budget": "expected fields (evaluations, seconds, plateau), got the number 100",
            "sharing": "expected true or false, got the text 'yes'",
            "transformations.samples": "expected a whole number, got the text 'few'",
        },
    ),
    "out of bounds": (
        {
            "seed": -1,
            "title": "x" * 201,
            "units": ["4[0]", "x" * 1001],
            "baselines": ["random", {"options": {}}],
            "generator": None,
            "budget": {"evaluations": -1, "seconds": 1e9},
            "device": "tpu",
            "prior": "some",
            "design": {"remeasure": 0.95},
            "constraints": {"max_latent_std": 0},
            "transformations": {"samples": 2},
            "diverse": 1,
            "report": {"film": "avi"},
            "replicas": {"chunk": 4},
        },
        {
            "seed": "must be greater than or equal to 0",
            "title": "must be at most 200 characters",
            "units[1]": "must be at most 1000 characters",
            "baselines[1].name": "value is required",
            "generator": "value is required",
            "budget.evaluations": RANGE.format(1, 10**9),
            "budget.seconds": "must be greater than 0 and less than or equal to 100000000",
            "device": "must be auto, cpu, cuda or a device such as cuda:1",
            "prior": "must be one of natural, none",
            "design.remeasure": RANGE.format(0, 0.9),
            "constraints.max_latent_std": "must be greater than 0 and less than or equal to 1000000",
            "transformations": "name a preset, or steps, at least one; leave transformations out where there are none",
            "diverse.n": RANGE.format(2, 100),
            "report.film": "must be one of none, gif, mp4",
            "replicas.n": "value is required",
        },
    ),
    "empty": (
        {"units": [], "budget": {}},
        {
            "units": "must contain at least 1 item(s)",
            "budget": "set evaluations or seconds, more than zero; a search needs an end",
        },
    ),
    "of parts that are not there": (
        {"units": "5[0]", "generator": {"name": "toy_lab:decoder", "options": {"bnk": 1}}},
        {
            "units[0]": "the target has no layer '5'; it has 0, 1, 2, 3, 4, output",
            "generator.options.bnk": "there is no such option; did you mean bank?",
        },
    ),
}
BAD_SESSIONS: dict[str, tuple[dict[str, Any], Faults]] = {
    "of another form": (
        {
            "desing": {},
            "units": [{"name": "a", "kind": "counts"}, "ch[4:4]"],
            "design": {"references": {"stimuli": {"dtype": "float32", "shape": [3], "data": "AAAAAA=="}}},
        },
        {
            "desing": "there is no such field; did you mean design?",
            "units[0].kind": "expected one of count, rate, signed, got the text 'counts'",
            "units[1]": "the range 4:4 stands for 1 to 10000 names, its end left out, such as ch[0:96]",
            "design.references.stimuli": "float32 of shape [3] takes 12 bytes, data has 4",
        },
    ),
    "out of bounds": (
        {
            "units": ["a", "b c"],
            "stop": {},
            "design": {"generation_size": 1, "references": {"rate": 0.9}},
            "presentation": {"width": 64},
            "stimulus": {"shape": [3, 8, 8], "low": 2, "high": 1},
        },
        {
            "units[1].name": "does not match regex pattern `^[A-Za-z0-9_.:-]{1,64}$`",
            "stop.evaluations": "value is required",
            "design.generation_size": RANGE.format(2, 10000),
            "design.references.rate": RANGE.format(0, 0.5),
            "presentation": "width and height are given both, or none",
            "stimulus": "low 2 has to lie below high 1",
        },
    ),
    "of units with one name": ({"units": ["ch[0:2]", "ch1"]}, {"": "units need names of their own, and population has another meaning"}),
    "of threads with one name": ({"threads": [{"name": "x"}, {"name": "x"}]}, {"": "threads need names of their own"}),
    "of parts that are not there": ({"unit": "c"}, {"unit": "the target has no layer 'c'; it has a, b, population"}),
}


def told(error: InvalidJob | InvalidInput) -> Faults:
    return {re.sub(r"^spec\.?", "", v.field): re.sub(r" \(line \d+\)$", "", v.description) for v in error.violations}


def refused(call: Callable[[], object]) -> Faults:
    with pytest.raises((InvalidJob, InvalidInput)) as caught:
        call()
    return told(caught.value)


def printed(*arguments: str) -> Faults:
    """What a command with ``--json`` says of fields."""
    done = actmax(*arguments, "--json")
    assert done.returncode == 2, done
    return told(
        InvalidInput("", violations=[FieldViolation(**each) for each in json.loads(done.stderr.splitlines()[-1])["error"]["violations"]])
    )


def wrong(good: Mapping[str, Any], changes: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], str]:
    """A wrong spec, as plain data and as a file."""
    data = {**good, **changes}
    file = folder / "wrong.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return data, str(file)


@pytest.mark.parametrize(("changes", "faults"), BAD_JOBS.values(), ids=BAD_JOBS)
def test_a_wrong_job_is_refused_alike_by_the_library_the_command_line_and_the_service(changes, faults, server, tmp_path) -> None:
    data, file = wrong(JOB, changes, tmp_path)
    with Client(server.address) as client:
        assert refused(lambda: client.create(data)) == faults
    assert printed("submit", file, "--server", server.address) == faults
    assert printed("run", file, "--out", str(tmp_path / "out"), "--allow-import", "toy_lab") == faults
    assert refused(lambda: check(JobSpec.parse(data), permissions=PERMISSIONS)) == faults


@pytest.mark.parametrize(("changes", "faults"), BAD_SESSIONS.values(), ids=BAD_SESSIONS)
def test_a_wrong_session_is_refused_alike_by_the_library_the_command_line_and_the_service(changes, faults, server, tmp_path) -> None:
    data, file = wrong(SESSION, changes, tmp_path)
    assert refused(lambda: Session.create(data, server.address)) == faults
    assert printed("rig", file, str(tmp_path / "rig"), "--server", server.address) == faults
    assert refused(lambda: check_session(SessionSpec.parse(data), permissions=PERMISSIONS)) == faults


BAD_PLUGINS: list[tuple[dict[str, Any], str, str]] = [
    ({"version": ""}, "version", "must be at least 1 characters"),
    ({"stimulus": None}, "stimulus", "value is required"),
    ({"stimulus": StimulusShape(shape=[3, 8, 8], low=2, high=1)}, "stimulus", "low 2 has to lie below high 1"),
    ({"stimulus": StimulusShape(shape=[3])}, "stimulus.shape", "must contain at least 2 item(s)"),
    (
        {"layers": [plugins.PluginLayer(name="a", shape=[1]), plugins.PluginLayer(name="b")]},
        "layers[1].shape",
        "must contain at least 1 item(s)",
    ),
]


@pytest.mark.parametrize(("changes", "field", "says"), BAD_PLUGINS)
def test_a_wrong_plugin_is_refused_alike_where_it_dials_in_and_where_it_is_asked(changes, field, says) -> None:
    fields: dict[str, Any] = {
        "version": "1",
        "stimulus": StimulusShape(shape=[3, 8, 8]),
        "layers": [plugins.PluginLayer(name="a", shape=[1])],
    }
    described = plugins.TargetDescription(**{**fields, **changes})
    request = plugins.OfferRequest(offer=plugins.PluginOffer(name="mine", target=described))
    with pytest.raises(ServiceError) as offered:
        read(plugins.OfferRequest.FromString, request.SerializeToString())
    assert [(v.field, v.description) for v in offered.value.violations] == [(f"offer.target.{field}", says)]
    connection = PluginConnection(PluginOptions(address="grpc://127.0.0.1:9"), "TargetService")
    with pytest.raises(PluginError, match=re.escape(f"TargetDescription.{field}: {says}")):
        connection.check(described)
    connection.close()
