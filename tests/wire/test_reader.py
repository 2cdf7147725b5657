"""What the one reader of plain data takes besides protobuf's JSON form."""

import base64

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict

from actmax.v1 import job_pb2, session_pb2
from actmax.wire.arrays import tensor_values
from actmax.wire.near_names import hint, near_names
from actmax.wire.reader import MOST_NAMES, Reader, show


def session(**fields) -> session_pb2.SessionSpec:
    reader = Reader()
    read = reader.message(fields, session_pb2.SessionSpec.DESCRIPTOR)
    assert reader.faults == []
    return ParseDict(read, session_pb2.SessionSpec())


def faults(message, **fields) -> dict[str, str]:
    reader = Reader()
    reader.message(fields, message.DESCRIPTOR)
    return {show(path): text for path, text in reader.faults}


def test_a_range_of_names_stands_for_its_units():
    units = session(units=["ch[0:96]", {"name": "lfp[8:10]", "kind": "signed"}, "last"]).units
    assert [unit.name for unit in units] == [*(f"ch{number}" for number in range(96)), "lfp8", "lfp9", "last"]
    assert {unit.kind for unit in units} == {session_pb2.RESPONSE_KIND_UNSPECIFIED, session_pb2.RESPONSE_KIND_SIGNED}
    assert [unit.name for unit in session(units="ch[3:5]").units] == ["ch3", "ch4"]


@pytest.mark.parametrize("name", ["ch[5:5]", "ch[6:5]", f"ch[0:{MOST_NAMES + 1}]"])
def test_a_range_of_no_names_or_too_many_is_refused(name):
    assert "stands for 1 to 10000 names" in faults(session_pb2.SessionSpec, units=["a", name])["units[1]"]


def test_addresses_of_a_job_are_no_ranges_of_names():
    reader = Reader()
    assert reader.message({"units": ["ch[0:96]"]}, job_pb2.JobSpec.DESCRIPTOR) == {"units": ["ch[0:96]"]}


@pytest.mark.parametrize("kind", ["rate", "RATE", "RESPONSE_KIND_RATE", 2])
def test_a_value_of_an_enum_has_its_names_and_its_number(kind):
    assert session(units=[{"name": "a", "kind": kind}]).units[0].kind == session_pb2.RESPONSE_KIND_RATE


@pytest.mark.parametrize("kind", ["counts", 7, True, [2]])
def test_other_values_of_an_enum_are_refused(kind):
    assert "expected one of count, rate, signed" in faults(session_pb2.SessionSpec, units=[{"name": "a", "kind": kind}])["units[0].kind"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32", "int64", ">f4"])
def test_an_array_is_a_tensor(dtype):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    latents = session(warm_start={"latents": values.T}).warm_start.latents
    assert list(latents.shape) == [3, 2]
    read = tensor_values(latents.dtype, latents.shape, base64.b64encode(latents.data).decode())
    assert read.dtype == values.dtype.newbyteorder("=")
    assert np.array_equal(read, values.T)


def test_arrays_that_the_wire_does_not_know_are_refused():
    said = faults(session_pb2.SessionSpec, warm_start={"latents": np.zeros(2, np.float16)})
    assert said == {"warm_start.latents.dtype": "arrays of float16 can't be sent; float32, float64, uint8, int32, int64 can"}


def test_bytes_are_as_many_as_their_shape_takes():
    short = {"dtype": "float32", "shape": [3], "data": "AAAAAA=="}
    assert faults(session_pb2.SessionSpec, warm_start={"latents": short}) == {
        "warm_start.latents": "float32 of shape [3] takes 12 bytes, data has 4"
    }
    assert "in base64" in faults(session_pb2.SessionSpec, warm_start={"latents": {**short, "data": "?"}})["warm_start.latents.data"]


def test_half_a_character_is_no_text():
    assert "surrogate" in faults(job_pb2.JobSpec, title="a\ud800")["title"]


def test_only_names_about_as_near_as_the_nearest_are_mentioned():
    assert near_names("generater", ["target", "generator", "budget"]) == ["generator"]
    assert hint("zzz", ["a", "b"]) == "there are a, b"
    assert hint("zzz", ["a"], "it has none") == "it has none"
    assert hint("body_1", ["head", "body.1"]) == "did you mean body.1?"
