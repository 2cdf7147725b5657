"""Spikes from Open Ephys: a publisher that speaks as its plugins do, over real sockets."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
import zmq

from actmax.client import InvalidInput, Session
from actmax.client.rigs.openephys import OpenEphys, read_message
from actmax.client.rigs.windows import SpikeTimes, Window
from actmax.wire.errors import Unavailable

RATE = 30_000


class Plugin:
    """ZMQ Interface: PUB with numbered messages, REP that answers heartbeats."""

    def __init__(self, answers: bool = True) -> None:
        self.context = zmq.Context()
        self.data = self.context.socket(zmq.PUB)
        self.port = self.data.bind_to_random_port("tcp://127.0.0.1")
        self.listening = self.context.socket(zmq.REP)
        self.heartbeat = self.listening.bind_to_random_port("tcp://127.0.0.1")
        self.number = 0
        self.beats: list[dict] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._answer) if answers else None
        if self._thread:
            self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        if self._thread:
            self._thread.join()
        self.context.destroy(linger=0)

    def _answer(self) -> None:
        while not self._stop.is_set():
            if self.listening.poll(20):
                self.beats.append(json.loads(self.listening.recv()))
                self.listening.send(b"heartbeat received")

    def send(self, envelope: bytes, header: dict, data: bytes = b"", skip: int = 0) -> None:
        self.number += 1 + skip
        self.data.send_multipart([envelope, json.dumps({"message_num": self.number, "data_size": len(data), **header}).encode(), data])

    def samples(self, sample: int, n: int = 300) -> None:
        content = {"stream": "probe", "channel_num": 0, "num_samples": n, "sample_num": sample, "sample_rate": RATE}
        self.send(b"DATA", {"type": "data", "content": content}, np.zeros(n, np.float32).tobytes())

    def ttl(self, sample: int, line: int = 0, state: int = 1) -> None:
        content = {"stream": "probe", "source_node": 100, "type": 3, "sample_num": sample}
        self.send(b"EVENT", {"type": "event", "content": content}, bytes([line, state]) + (1 << line).to_bytes(8, "little"))

    def spike(self, sample: int, electrode: str = "E1", sorted_id: int = 0, skip: int = 0) -> None:
        spike = {
            "stream": "probe",
            "source_node": 101,
            "electrode": electrode,
            "sample_num": sample,
            "num_channels": 1,
            "num_samples": 40,
            "sorted_id": sorted_id,
            "threshold": [-40.0],
        }
        self.send(b"SPIKE", {"type": "spike", "spike": spike}, np.zeros(40, np.float32).tobytes(), skip)

    def trial(self, at: int, spikes: dict[str, list[float]], lose: bool = False) -> None:
        """An onset at a sample, and spikes so many seconds after it."""
        self.ttl(at)
        events = sorted((after, electrode) for electrode, times in spikes.items() for after in times)
        for number, (after, electrode) in enumerate(events):
            self.spike(at + round(after * RATE), electrode, skip=int(lose and number == 1))
        self.ttl(at + 3000, state=0)
        self.samples(at + 9000)


UNITS = {"a": "E1", "b": ("E2", 1)}


def connected(plugin: Plugin, **options) -> OpenEphys:
    recording = OpenEphys(UNITS, line=0, window=(0.05, 0.2), port=plugin.port, heartbeat=plugin.heartbeat, **options)
    recording.wait()
    # a subscription takes a moment to arrive, and what was published before is gone
    until = time.monotonic() + 60
    while recording._latest < 0 and time.monotonic() < until:
        plugin.samples(0)
        time.sleep(0.01)
    return recording


def test_spikes_are_counted_in_the_window_after_the_pulse():
    with Plugin() as plugin, connected(plugin) as recording:
        assert plugin.beats[0]["type"] == "heartbeat"
        assert set(plugin.beats[0]) == {"application", "uuid", "type"}
        at = 60_000
        plugin.ttl(at - 900, line=3)  # another line
        # the window's start is in it, its end is not
        plugin.trial(at, {"E1": [0.01, 0.05, 0.1, 0.1999, 0.2, 0.29], "E2": [0.1], "E3": [0.1]})
        recorded = recording.response()
        np.testing.assert_array_equal(recorded.counts, [3, 0])  # E2's spike belongs to no sorted unit
        assert recorded.onset == pytest.approx(at / RATE)
        plugin.ttl(at + 15_000)
        plugin.spike(at + 15_000 + 3_000, "E2", 1)
        plugin.spike(at + 15_000 + 3_001, "E2", 2)
        plugin.samples(at + 25_000)
        np.testing.assert_array_equal(recording.response().counts, [0, 1])
        assert recording.response(timeout=0.1).missed  # no pulse came
        assert recording.unread == 0


def test_without_data_the_clock_tells_when_a_window_is_over():
    with Plugin() as plugin, connected(plugin, margin=2.0) as recording:
        plugin.ttl(90_000)
        late = threading.Timer(0.1, lambda: plugin.spike(90_000 + 3_000))
        late.start()
        recorded = recording.response()
        late.join()
        np.testing.assert_array_equal(recorded.counts, [1, 0])


def test_a_trial_of_which_messages_were_lost_is_missed_and_the_next_is_not():
    with Plugin() as plugin, connected(plugin) as recording:
        plugin.trial(60_000, {"E1": [0.06, 0.1, 0.15]}, lose=True)
        assert recording.response().missed
        plugin.trial(120_000, {"E1": [0.06, 0.1]})
        np.testing.assert_array_equal(recording.response().counts, [2, 0])


def test_acquisition_that_begins_anew_does_not_turn_back_the_clock():
    with Plugin() as plugin, connected(plugin) as recording:
        plugin.trial(300_000, {"E1": [0.1]})
        first = recording.response()
        plugin.number = -1
        plugin.samples(0)
        plugin.trial(3_000, {"E1": [0.06, 0.1]})
        second = recording.response()
        assert second.onset > first.onset
        np.testing.assert_array_equal(second.counts, [2, 0])


def test_what_was_shown_before_is_forgotten_when_armed():
    with Plugin() as plugin, connected(plugin) as recording:
        plugin.trial(60_000, {"E1": [0.1, 0.11]})
        time.sleep(0.2)
        recording.arm()
        plugin.trial(90_000, {"E1": [0.1]})
        np.testing.assert_array_equal(recording.response().counts, [1, 0])


def test_event_broadcaster_is_understood():
    context = zmq.Context()
    with context.socket(zmq.PUB) as data:
        port = data.bind_to_random_port("tcp://127.0.0.1")

        def send(kind: int, **event) -> None:
            common = {"stream": "probe", "source_node": 1, "sample_rate": 25_000.0}
            data.send_multipart([kind.to_bytes(2, "little"), json.dumps(common | event).encode()])

        with OpenEphys({"a": "E1"}, line=2, window=(0.0, 0.1), port=port, heartbeat=0, margin=0.1) as recording:
            until = time.monotonic() + 60
            while not recording.alive and time.monotonic() < until:
                send(0, event_type="ttl", sample_number=0, line=7, state=True, channel_name="x")
                time.sleep(0.01)
            send(0, event_type="ttl", sample_number=50_000, line=2, state=True, channel_name="x")
            for sample in (49_999, 50_000, 52_499, 52_500):
                send(1, event_type="spike", sample_number=sample, electrode="E1", sorted_id=0, num_channels=1, amp1=-40.0)
            data.send_multipart([b"\0\0", b"{ not JSON"])
            recorded = recording.response()
            np.testing.assert_array_equal(recorded.counts, [2])
            assert recorded.onset == 2.0
            assert recording.unread == 1
    context.destroy(linger=0)


def test_nobody_there_is_said():
    with (
        Plugin(answers=False) as plugin,
        OpenEphys(UNITS, line=0, window=(0, 0.1), port=plugin.port, heartbeat=plugin.heartbeat) as recording,
        pytest.raises(Unavailable, match="nothing answers"),
    ):
        recording.wait(0.2)
    with pytest.raises(InvalidInput, match="holds nothing"):
        OpenEphys(UNITS, line=0, window=(0.2, 0.1))


def test_messages_that_are_none():
    for parts, says in (([b"EVENT"], "1 parts"), ([b"EVENT", b"[]"], "no object"), ([b"DATA", b"nothing"], "Expecting value")):
        with pytest.raises(ValueError, match=says):
            read_message(parts)
    assert read_message([b"PARAM\0", b'{"type": "param", "message_num": 4, "content": {}}']).number == 4


def test_spikes_are_counted_in_any_order_and_long_ago_forgotten():
    spikes = SpikeTimes(1)
    for moment in np.random.default_rng(1).permutation(np.arange(0.0, 1000.0, 0.5)):
        spikes.add(0, float(moment))
    assert spikes.count(990.0, Window(0, 5)).counts[0] == 10
    assert len(spikes._times[0]) < 600


def test_a_session_is_run_from_recorded_spikes(server):
    spec = {"generator": "toy_lab:decoder", "units": ["a", "b"], "optimizer": "random", "stop": {"evaluations": 20}, "seed": 5}
    spec["design"] = {"generation_size": 8}
    with Plugin() as plugin, connected(plugin) as recording, Session.create(spec, server.address) as session:
        at = 30_000
        for generation in session:
            for trial, picture in zip(generation.trials, generation.stimuli, strict=True):
                recording.arm()
                at += 15_000
                plugin.trial(at, {"E1": [0.1 + 0.001 * n for n in range(int(20 * picture.mean()))]})
                recorded = recording.response()
                session.tell_trial(trial, recorded.counts, onset=recorded.onset)
        assert session.described.progress.missed == 0
        assert session.described.recommendation.response > 5
