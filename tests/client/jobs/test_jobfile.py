"""Job files: what they may hold, what they are told where they are wrong."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.client.jobs import jobfile, plainyaml
from actmax.v1 import job_pb2
from actmax.wire.errors import FieldViolation, InvalidInput

WHOLE = """\
title: "What do they like?"
generator: cifar10-vqvae
target: {name: cifar10-snn, options: {steps: 12, readout: spikes, windows: [1, {from: null}]}}
units:
  - lif_out[*]
  - conv2[12]
optimizer: protes
baselines: [adam, {name: nevergrad, options: {optimizer: NGOpt}}]
budget: {evaluations: 1e3, seconds: "30"}
seed: 1
sharing: false
design: {replicates: 3, remeasure: 0, noisy: false}
constraints: {luminance: 0, contrast: .2}
"""


def violations(text: str, *overrides: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        jobfile.loads(text, overrides)
    return {v.field: v.description for v in caught.value.violations}


def test_a_whole_job_is_read() -> None:
    spec = jobfile.loads(WHOLE).spec
    assert spec.title == "What do they like?"
    assert spec.generator.name == "cifar10-vqvae"
    assert list(spec.units) == ["lif_out[*]", "conv2[12]"]
    assert [b.name for b in spec.baselines] == ["adam", "nevergrad"]
    assert spec.budget.evaluations == 1000
    assert spec.budget.seconds == 30.0
    assert spec.HasField("sharing")
    assert not spec.sharing
    assert spec.design.replicates == 3
    assert spec.constraints.HasField("luminance")
    assert not spec.constraints.HasField("max_latent_std")
    assert spec.design.HasField("remeasure")
    assert spec.design.HasField("noisy")
    assert not jobfile.loads("design: {}").spec.design.HasField("remeasure")
    assert not jobfile.loads("seed: 1").spec.HasField("sharing")
    assert jobfile.to_plain(spec)["target"]["options"] == {"steps": 12, "readout": "spikes", "windows": [1, {"from": None}]}


def test_a_written_job_is_read_back() -> None:
    spec = jobfile.loads(WHOLE).spec
    assert jobfile.loads(jobfile.dumps(spec)).spec == spec
    assert jobfile.from_plain(jobfile.to_plain(spec)) == spec


def test_a_list_of_one_may_be_its_only_item() -> None:
    spec = jobfile.loads("units: lif_out[3]\nbaselines: adam").spec
    assert list(spec.units) == ["lif_out[3]"]
    assert [b.name for b in spec.baselines] == ["adam"]


def test_every_wrong_field_is_named_with_its_line_and_near_names() -> None:
    found = violations(
        "generater: x\nbudget:\n  evaluations: many\n  second: 3\nunits: [{}]\n"
        "title: 5\nseed: true\noptimizer: {name: protes, option: {}}\n"
    )
    assert found == {
        "generater": "there is no such field; did you mean generator? (line 1)",
        "budget.evaluations": "expected a whole number, got the text 'many' (line 3)",
        "budget.second": "there is no such field; did you mean seconds? (line 4)",
        "units[0]": "expected text, got fields (line 5)",
        "title": 'expected text, got the number 5; in quotes ("5") it is text (line 6)',
        "seed": "expected a whole number, got true (line 7)",
        "optimizer.option": "there is no such field; did you mean options? (line 8)",
    }


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("budget: {evaluations: 1.5}", "budget.evaluations", "whole number"),
        ("budget: {evaluations: 1e30}", "budget.evaluations", "below 2^63"),
        ("budget: {seconds: .inf}", "budget.seconds", "finite"),
        ("budget: 1000", "budget", "expected fields (evaluations, seconds, plateau), got the number 1000"),
        ("optimizer: {name: adam, options: 3}", "optimizer.options", "expected fields"),
        ("optimizer: {name: adam, options: {lr: .nan}}", "optimizer.options.lr", "finite"),
        ("optimizer: {name: adam, options: {salt: 9007199254740993}}", "optimizer.options.salt", "in quotes"),
        ("optimizer: [adam, sgd]", "optimizer", "expected fields (name, options), got a list"),
        ("generator: 3", "generator", "got the number 3"),
        ("sharing: 1", "sharing", "expected true or false, got the number 1"),
    ],
)
def test_wrong_values_say_what_was_expected(text: str, field: str, says: str) -> None:
    assert says in violations(text)[field]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x 1\nb: *x", "line 1: anchors"),
        ("a: [1]\nb: {<<: {c: 1}}", "line 2: merge keys"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: tags"),
        ("seed: 1\nseed: 2", "line 2: seed is given twice, first on line 1"),
        ("seed: 1\n---\nseed: 2", "second document"),
        ("[" * 40, "nested more than 32 deep"),
        ("[" * 5000, "nested more than 32 deep"),
        ("a: {b: [" * 200, "nested more than 32 deep"),
        ("\n".join(" " * i + "a:" for i in range(40)), "line 34: nested more than 32 deep"),
        ("units: [lif_out[*]]", 'quote a unit\'s address: ["lif_out[3]"]'),
        ("budget:\n\tseconds: 1", "line 2: not readable as YAML"),
        ("- seed", "not a list"),
        ("? [a]\n: 3", "a key has to be text"),
        ("seed: '", "not readable"),
        ("\x00", "not readable"),
        ("x" * (plainyaml.MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match="the job file") as caught:
        jobfile.loads(text)
    assert says in caught.value.message


def test_expanding_aliases_are_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    with pytest.raises(InvalidInput, match="anchors"):
        jobfile.loads(bomb)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"missing\.yaml: {os.strerror(errno.ENOENT)}"):
        jobfile.load(tmp_path / "missing.yaml")
    with pytest.raises(InvalidInput, match="cannot read"):
        jobfile.load(tmp_path)
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(InvalidInput, match=r"picture\.yaml is not a job file"):
        jobfile.load(tmp_path / "picture.yaml")


def test_overrides() -> None:
    job = jobfile.loads(
        WHOLE,
        [
            "optimizer.options.rank=8",
            "baselines[1].options.optimizer=CMA",
            "baselines[2]=random",
            "budget={seconds: 5}",
            'units=["lif_out[2]"]',
            "title=a = b",
        ],
    )
    plain = jobfile.to_plain(job.spec)
    assert plain["optimizer"] == {"name": "protes", "options": {"rank": 8}}
    assert [b.get("options") for b in plain["baselines"]] == [None, {"optimizer": "CMA"}, None]
    assert plain["budget"] == {"seconds": 5.0}
    assert plain["units"] == ["lif_out[2]"]
    assert plain["title"] == "a = b"


@pytest.mark.parametrize(
    "text", ["seed", "=3", "a..b=1", "[0]=1", ".seed=1", "units[9]=x", "seed.x=1", "units=[a[1]]", "units[x]=1", "a=&b c"]
)
def test_unreadable_overrides_are_named(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        jobfile.loads(WHOLE, [text])
    assert f"--set {text}" in caught.value.message


def test_a_fault_of_an_override_is_told_as_its_own() -> None:
    assert violations(WHOLE, "budget.evaluations=many") == {
        "budget.evaluations": "expected a whole number, got the text 'many' (--set budget.evaluations=many)"
    }
    assert "--set optimiser.options.rank=3" in violations(WHOLE, "optimiser.options.rank=3")["optimiser"]


def test_a_servers_violations_get_the_files_lines() -> None:
    job = jobfile.loads(WHOLE, ["optimizer.options.rank=99"])
    error = job.located(
        InvalidInput(
            "no",
            violations=[
                FieldViolation("spec.units[1]", "there is no conv2"),
                FieldViolation("spec.target.options.windows[1].from", "?"),
                FieldViolation("spec.optimizer.options.rank", "too large"),
                FieldViolation("request_id", "no UUID"),
                FieldViolation("spec.device", "unknown"),
            ],
        )
    )
    assert [v.description for v in error.violations] == [
        "there is no conv2 (line 6)",
        "? (line 3)",
        "too large (--set optimizer.options.rank=99)",
        "no UUID",
        "unknown",
    ]


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=20), st.dictionaries(st.text(min_size=1, max_size=6), plain_values, max_size=4), st.integers(0, 2**63 - 1))
def test_any_job_survives_writing_and_reading(title: str, options: dict[str, object], seed: int) -> None:
    spec = job_pb2.JobSpec(title=title, seed=seed, optimizer=job_pb2.Component(name="x", options=options))
    assert jobfile.loads(jobfile.dumps(spec)).spec == spec


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("012", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("no", "no"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("~", None),
        ("True", True),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("9" * 200, 1e200),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = plainyaml.scalar(text)
    assert type(found) is type(value)
    assert found == value


BASE = WHOLE.replace("constraints: {luminance: 0, contrast: .2}\n", "")


def test_a_former_name_is_read_with_a_remark_and_the_new_one_without() -> None:
    former = jobfile.loads(BASE + "constraints: {within: 0.8, changes: 0.25}")
    assert former.remarks == (
        "constraints.within is called max_latent_std now; the next version will not take within",
        "constraints.changes is called max_code_changes now; the next version will not take changes",
    )
    new = jobfile.loads(BASE + "constraints: {max_latent_std: 0.8, max_code_changes: 0.25}")
    assert (new.remarks, new.spec) == ((), former.spec)
    overridden = jobfile.loads(BASE, ["constraints.within=0.8"])
    assert overridden.spec.constraints.max_latent_std == 0.8
    assert len(overridden.remarks) == 1
