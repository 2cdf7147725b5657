"""LabStreamingLayer: stimulus onsets go out as markers, spikes come in as a stream. It needs ``actmax[lsl]``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

import numpy as np

from ...wire.errors import InvalidInput, Unavailable
from ..extras import needing
from .windows import Counted, SpikeTimes, Window

# Of the samples that a stream of a known rate should have in a window; fewer, and some were lost.
_WHOLE = 0.9


class Markers:
    """A stream of markers, one at each stimulus's onset, for whatever records beside the session.

    Each is a line of JSON, such as ``{"trial": 12, "generation": 1, "kind": "candidate"}``.

    Parameters
    ----------
    name : str
        Of the stream; its type is "Markers".
    source : str
        Identifies it when it comes back after a crash; of this name by default.
    """

    def __init__(self, name: str = "actmax", source: str = "") -> None:
        with needing("lsl"):
            import pylsl
        self._pylsl: Any = pylsl
        info = pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source or f"actmax-{name}")
        self._outlet: Any = pylsl.StreamOutlet(info)

    def wait_for_recorder(self, seconds: float) -> bool:
        """Wait until something records the stream; markers sent before that are lost.

        Parameters
        ----------
        seconds : float
            How long to wait at most.

        Returns
        -------
        bool
            Whether something records it.
        """
        return bool(self._outlet.wait_for_consumers(seconds))

    def onset(self, trial: int, at: float | None = None, **about: Any) -> float:
        """Tell that a stimulus appeared.

        Parameters
        ----------
        trial : int
            As asked.
        at : float, optional
            When, on LSL's clock; now by default.
        **about
            More of the marker, such as ``generation`` and ``kind``.

        Returns
        -------
        float
            When, in seconds on LSL's clock.
        """
        moment = self._pylsl.local_clock() if at is None else at
        self._outlet.push_sample([json.dumps({"trial": trial, **about})], moment)
        return moment


class Spikes(StrEnum):
    """What a stream's samples are."""

    EVENTS = "events"
    COUNTS = "counts"


class LslSpikes:
    """Spikes from a stream, counted in a window after each onset.

    ::

        markers, recording = Markers(), LslSpikes("spikes", {"ch7": 7}, window=(0.05, 0.25))
        for generation in session:
            for trial, picture in zip(generation.trials, generation.stimuli):
                show(picture)
                recorded = recording.response(markers.onset(trial))
                session.tell_trial(trial, recorded.counts, onset=recorded.onset)

    Parameters
    ----------
    stream : str
        Name of the stream.
    units : mapping of str to int or str
        The session's units in their order. In a stream of events: the value that a sample of one channel has for the unit's spikes. In a
        stream of counts: the unit's channel, by number from 0.
    window : (float, float)
        Seconds after onset.
    spikes : Spikes
        Whether each sample is a spike, or holds each channel's number of spikes since the sample before.
    margin : float
        Seconds that samples may take to come.
    patience : float
        Seconds for which the stream is looked for.

    Raises
    ------
    Unavailable
        There is no such stream.
    InvalidInput
        It doesn't have these channels.
    """

    def __init__(
        self,
        stream: str,
        units: Mapping[str, int | str],
        *,
        window: tuple[float, float],
        spikes: Spikes | str = Spikes.EVENTS,
        margin: float = 0.1,
        patience: float = 10.0,
    ) -> None:
        with needing("lsl"):
            import pylsl
        self._pylsl: Any = pylsl
        self._window, self._margin, self._kind = Window(*window), margin, Spikes(spikes)
        self._units = {_label(place): at for at, place in enumerate(units.values())}
        if len(self._units) != len(units) or not units:
            raise InvalidInput("each unit has a place of its own in the stream")
        found: Any = pylsl.resolve_byprop("name", stream, 1, patience)
        if not found:
            raise Unavailable(f"no LSL stream is named {stream!r}")
        info = found[0]
        self._rate = float(info.nominal_srate())
        channels = int(info.channel_count())
        if self._kind is Spikes.COUNTS and any(not (isinstance(place, int) and 0 <= place < channels) for place in units.values()):
            raise InvalidInput(f"the stream {stream!r} has channels 0 to {channels - 1}")
        if self._kind is Spikes.EVENTS and channels != 1:
            raise InvalidInput(f"a stream of events has one channel, {stream!r} has {channels}")
        # the sender's clock is brought to this machine's; times are not smoothed, which would move spikes
        self._inlet: Any = pylsl.StreamInlet(info, max_buflen=120, processing_flags=pylsl.proc_clocksync)
        self._inlet.open_stream(timeout=patience)
        self._inlet.time_correction(timeout=patience)  # the first takes a while, which no trial should wait for
        self._spikes = SpikeTimes(len(units))
        self._samples = SpikeTimes(1)
        self._latest = -math.inf

    def __enter__(self) -> Self:
        """The recording itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no longer."""
        self.close()

    def close(self) -> None:
        """Listen no longer."""
        self._inlet.close_stream()

    def response(self, onset: float) -> Counted:
        """Spikes after an onset on LSL's clock, as soon as its window is over; all NaN where a stream of a known rate has a gap there."""
        over = onset + self._window.end + self._margin
        while (now := self._pylsl.local_clock()) < over and not self._past(onset):
            if not self._pull():
                time.sleep(min(0.002, max(over - now, 0.0)))
        while self._pull():
            pass
        counted = self._spikes.count(onset, self._window)
        expected = self._rate * (self._window.end - self._window.start)
        if expected and self._samples.count(onset, self._window).counts[0] < math.floor(_WHOLE * expected):
            return Counted(np.full(len(self._units), np.nan), onset)
        return counted

    def _past(self, onset: float) -> bool:
        """Whether a stream of a known rate has come to the window's end."""
        return self._rate > 0 and self._latest > onset + self._window.end

    def _pull(self) -> bool:
        samples, times = self._inlet.pull_chunk(timeout=0.0, max_samples=1024)
        for sample, moment in zip(samples, times, strict=True):
            self._latest = max(self._latest, moment)
            if self._rate:
                self._samples.add(0, moment)
            if self._kind is Spikes.COUNTS:
                for place, unit in self._units.items():
                    if spikes := float(sample[int(place)]):
                        self._spikes.add(unit, moment, spikes)
            elif (unit := self._units.get(_label(sample[0]))) is not None:
                self._spikes.add(unit, moment)
        return bool(times)


def _label(value: Any) -> str:
    """``7``, ``7.0`` and ``"7"`` are the same unit."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
