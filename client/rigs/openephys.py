"""Spikes from Open Ephys over ZeroMQ, counted after each stimulus's TTL pulse. It needs ``actmax[openephys]``.

A heartbeat goes to the listening port of its plugin ZMQ Interface; Event Broadcaster takes none.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from ...wire.errors import InvalidInput, Unavailable
from ..extras import needing
from .openephys_messages import Message, read_message
from .windows import Counted, SpikeTimes, Window, nothing

_HEARTBEAT_SECONDS, _REPLY_SECONDS = 2.0, 10.0
# Spikes may be sent a little after data that are younger than their peaks.
_BEHIND_SECONDS = 0.005


@dataclass(eq=False, repr=False)
class OpenEphys:
    """Listens to Open Ephys in a thread of its own; each rising edge of one TTL line is a stimulus's onset.

    ::

        with OpenEphys({"ch7": "Electrode 1"}, line=0, window=(0.05, 0.25)) as recording:
            for generation in session:
                for trial, picture in zip(generation.trials, generation.stimuli):
                    recording.arm()
                    show(picture)  # raises the line, by a photodiode best
                    recorded = recording.response()
                    session.tell_trial(trial, recorded.counts, onset=recorded.onset)

    Parameters
    ----------
    units : mapping of str to str or (str, int)
        The session's units in their order: of each its electrode's name, for all its spikes, or that and a sorted id.
    line : int
        TTL line of onsets, as Open Ephys counts them in its messages.
    window : (float, float)
        Seconds after onset.
    host : str
        Where Open Ephys runs.
    port : int
        Of the plugin's data: 5556 by default of ZMQ Interface, 5557 of Event Broadcaster.
    heartbeat : int, optional
        Listening port of ZMQ Interface, ``port + 1`` by default; 0 for none, as for Event Broadcaster.
    sample_rate : float
        Samples a second, until a message says it; ZMQ Interface says it with data alone.
    stream : str
        Only of this stream, where there are several.
    margin : float
        Seconds that spikes may take to come, where no data tell how far the recording is.
    """

    units: Mapping[str, str | tuple[str, int]]
    _: KW_ONLY
    line: int
    window: tuple[float, float]
    host: str = "127.0.0.1"
    port: int = 5556
    heartbeat: int | None = None
    sample_rate: float = 30_000.0
    stream: str = ""
    margin: float = 0.1

    def __post_init__(self) -> None:
        with needing("openephys"):
            import zmq
        if not self.units:
            raise InvalidInput("a recording of no units")
        self._zmq: Any = zmq
        self._places: dict[tuple[str, int | None], int] = {}
        for at, place in enumerate(self.units.values()):
            self._places[(place, None) if isinstance(place, str) else (place[0], place[1])] = at
        self._window = Window(*self.window)
        self._data = f"tcp://{self.host}:{self.port}"
        beat = self.port + 1 if self.heartbeat is None else self.heartbeat
        self._beat = f"tcp://{self.host}:{beat}" if beat else ""
        self._news = threading.Condition()
        self._spikes = SpikeTimes(len(self.units))
        self._onsets: deque[tuple[float, float]] = deque()
        self._number = -1
        self._shift = 0.0
        self._latest = -math.inf
        self._heard = 0.0
        self._data_until = -math.inf
        self._replied = math.nan
        self.unread = 0
        """Messages that could not be read."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="actmax-open-ephys", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """The recording itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no longer."""
        self.close()

    def close(self) -> None:
        """Listen no longer."""
        self._stop.set()
        self._thread.join(5)

    @property
    def alive(self) -> bool:
        """Whether Open Ephys has answered a heartbeat lately; of Event Broadcaster, which answers none, whether a message ever came."""
        with self._news:
            if not self._beat:
                return self._heard > 0
            return time.monotonic() - self._replied < _REPLY_SECONDS

    def wait(self, seconds: float = 10.0) -> None:
        """Until Open Ephys answers.

        Raises
        ------
        Unavailable
            It doesn't.
        """
        until = time.monotonic() + seconds
        while not self.alive:
            if time.monotonic() >= until:
                raise Unavailable(f"nothing answers at {self._beat or self._data}; is the plugin there, and acquisition on?")
            time.sleep(0.01)

    def arm(self) -> None:
        """Forget onsets that have come; the next one is the next stimulus's."""
        with self._news:
            self._onsets.clear()

    def response(self, timeout: float = 5.0) -> Counted:
        """Spikes after the next onset, as soon as its window is over.

        Parameters
        ----------
        timeout : float
            Seconds for which an onset is waited for. Where none comes the trial was missed: all NaN.
        """
        until = time.monotonic() + timeout
        with self._news:
            while not self._onsets:
                left = until - time.monotonic()
                if left <= 0:
                    return nothing(len(self.units))
                self._news.wait(left)
            onset, came = self._onsets.popleft()
            surely = came + self._window.end + self.margin
            while self._data_until < onset + self._window.end + _BEHIND_SECONDS and time.monotonic() < surely:
                self._news.wait(max(min(surely - time.monotonic(), 0.05), 0.0))
            return self._spikes.count(onset, self._window)

    def _take(self, message: Message, now: float) -> None:
        if self._number >= 0 and message.number not in (-1, self._number + 1) and self._latest > -math.inf:
            # what was in between is unknown; up to now by its clock, since a later message may be of an earlier sample
            self._spikes.lost(self._latest - _BEHIND_SECONDS, self._latest + (now - self._heard))
        if message.number >= 0:
            self._number = message.number
        if not message.kind or (self.stream and message.stream != self.stream):
            return
        if message.rate > 0:
            self.sample_rate = message.rate
        moment = message.sample / self.sample_rate + self._shift
        if moment < self._latest - 1.0:  # acquisition was started anew, and samples are counted from 0
            self._shift += self._latest + (now - self._heard) - moment
            moment = message.sample / self.sample_rate + self._shift
            self._data_until = -math.inf
        if moment > self._latest:
            self._latest, self._heard = moment, now
        if message.kind == "spike":
            for place in ((message.electrode, None), (message.electrode, message.sorted_id)):
                if place in self._places:
                    self._spikes.add(self._places[place], moment)
        elif message.kind == "line" and message.line == self.line and message.state:
            self._onsets.append((moment, now))
        elif message.kind == "data":
            self._data_until = max(self._data_until, moment)

    def _listen(self) -> None:
        zmq = self._zmq
        context = zmq.Context()
        data = context.socket(zmq.SUB)
        data.setsockopt(zmq.RCVHWM, 100_000)
        data.setsockopt(zmq.SUBSCRIBE, b"")
        data.connect(self._data)
        beat = None
        poller = zmq.Poller()
        poller.register(data, zmq.POLLIN)
        if self._beat:
            beat = context.socket(zmq.REQ)
            # a lost answer doesn't end the conversation
            beat.setsockopt(zmq.REQ_RELAXED, 1)
            beat.setsockopt(zmq.REQ_CORRELATE, 1)
            beat.connect(self._beat)
            poller.register(beat, zmq.POLLIN)
        said = json.dumps({"application": "actmax", "uuid": str(uuid.uuid4()), "type": "heartbeat"}).encode()
        next_beat = 0.0
        try:
            while not self._stop.is_set():
                now = time.monotonic()
                if beat is not None and now >= next_beat:
                    beat.send(said, zmq.NOBLOCK)
                    next_beat = now + _HEARTBEAT_SECONDS
                ready = dict(poller.poll(20))
                if beat is not None and beat in ready:
                    beat.recv()
                    with self._news:
                        self._replied = time.monotonic()
                if data in ready:
                    self._drain(data)
        except zmq.ZMQError:
            if not self._stop.is_set():
                raise
        finally:
            context.destroy(linger=0)

    def _drain(self, data: Any) -> None:
        with self._news:
            for _ in range(1000):
                try:
                    parts = data.recv_multipart(self._zmq.NOBLOCK)
                except self._zmq.Again:
                    break
                try:
                    self._take(read_message(parts), time.monotonic())
                except (ValueError, KeyError, TypeError):
                    self.unread += 1
            self._news.notify_all()
