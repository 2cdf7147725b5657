"""Markers out and spikes in through LabStreamingLayer, with real outlets and inlets on this machine."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest

pylsl = pytest.importorskip("pylsl")

from actmax.client import InvalidInput, Unavailable  # noqa: E402
from actmax.client.rigs import lsl  # noqa: E402
from actmax.client.rigs.lsl import LslSpikes, Markers  # noqa: E402


def outlet(channels: int = 1, rate: float = 0.0, kind: int = pylsl.cf_int32):
    name = f"spikes-{uuid.uuid4().hex[:8]}"
    return name, pylsl.StreamOutlet(pylsl.StreamInfo(name, "Spikes", channels, rate, kind, name))


def test_markers_say_which_trial_appeared_when():
    name = f"actmax-{uuid.uuid4().hex[:8]}"
    markers = Markers(name)
    (info,) = pylsl.resolve_byprop("name", name, 1, 10)
    assert info.type() == "Markers"
    assert not markers.wait_for_recorder(0.01)
    inlet = pylsl.StreamInlet(info)
    inlet.open_stream(10)
    assert markers.wait_for_recorder(10)
    before = pylsl.local_clock()
    shown = markers.onset(12, generation=2, kind="candidate")
    assert before <= shown <= pylsl.local_clock()
    assert markers.onset(13, at=shown + 0.5) == shown + 0.5
    sample, moment = inlet.pull_sample(timeout=10)
    assert json.loads(sample[0]) == {"trial": 12, "generation": 2, "kind": "candidate"}
    assert moment == pytest.approx(shown, abs=0.01)
    inlet.close_stream()


@pytest.mark.parametrize(("kind", "values"), [(pylsl.cf_int32, (7, 9, 8)), (pylsl.cf_string, ("7", "u9", "8"))])
def test_a_stream_of_spikes_is_counted(kind, values):
    name, spikes = outlet(kind=kind)
    with LslSpikes(name, {"a": values[0], "b": values[1]}, window=(0.05, 0.2), margin=0.05) as recording:
        assert spikes.wait_for_consumers(10)
        onset = pylsl.local_clock()
        for unit, after in ((0, 0.01), (0, 0.06), (1, 0.1), (2, 0.1), (0, 0.199), (0, 0.21)):
            spikes.push_sample([values[unit]], onset + after)
        recorded = recording.response(onset)
        np.testing.assert_array_equal(recorded.counts, [2, 1])
        assert recorded.onset == onset
        assert pylsl.local_clock() >= onset + 0.25
        # silence is a response too
        np.testing.assert_array_equal(recording.response(pylsl.local_clock()).counts, [0, 0])


def test_a_stream_of_counts_is_summed_and_a_gap_makes_the_trial_missed(pauses_of):
    name, bins = outlet(channels=3, rate=100.0)
    with LslSpikes(name, {"a": 2, "b": 0}, window=(0.0, 0.2), spikes="counts", margin=20) as recording:
        assert bins.wait_for_consumers(10)
        onset = pylsl.local_clock()
        for at in range(-5, 30):
            bins.push_sample([at == 3, 5, 1], onset + 0.01 * at + 0.005)
        pauses = pauses_of(lsl)
        np.testing.assert_array_equal(recording.response(onset).counts, [20, 1])
        assert sum(pauses) < 10  # a stream that has come so far needs no waiting
        later = onset + 1
        for at in range(40):
            if not 5 <= at < 10:
                bins.push_sample([0, 0, 1], later + 0.01 * at + 0.005)
        assert recording.response(later).missed


def test_what_is_not_there_is_said():
    with pytest.raises(Unavailable, match="no LSL stream"):
        LslSpikes("no such stream", {"a": 1}, window=(0, 0.1), patience=0.2)
    name, _bins = outlet(channels=2)
    with pytest.raises(InvalidInput, match="channels 0 to 1"):
        LslSpikes(name, {"a": 2}, window=(0, 0.1), spikes="counts")
    with pytest.raises(InvalidInput, match="one channel"):
        LslSpikes(name, {"a": 2}, window=(0, 0.1))
    with pytest.raises(InvalidInput, match="place of its own"):
        LslSpikes(name, {"a": 2, "b": 2}, window=(0, 0.1))
