"""A PsychoPy loop: the flip that shows a stimulus is its onset, spikes come from LabStreamingLayer or Open Ephys.

actmax serve &
python examples/psychopy_loop.py --spikes lsl:spikes:7               # stream, unit
python examples/psychopy_loop.py --spikes 'openephys:Electrode 1:0'  # electrode, TTL line of the photodiode
python examples/psychopy_loop.py --rehearse                          # no window, no amplifier, a made-up neuron
python examples/psychopy_loop.py --rehearse --session sessions/…     # goes on with a session after a crash
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from actmax.client import Session

SPEC = {
    "title": "unit 7 in V4",
    "generator": "cifar10-sngan",
    "units": ["ch7"],
    "stop": {"evaluations": 100},
    "design": {"generation_size": 20, "references": {"rate": 0.1}},
    "seed": 1,
}
SHOWN_SECONDS, BLANK_SECONDS, WINDOW = 0.1, 0.1, (0.05, 0.25)


class Recording(Protocol):
    """What happens beside the screen."""

    def arm(self, trial: int, picture: np.ndarray) -> None:
        """A stimulus is about to be shown."""
        ...

    def onset(self) -> None:
        """It is on the screen, this very frame."""
        ...

    def count(self) -> tuple[float, float]:
        """Spikes (NaN: missed), and when the stimulus appeared."""
        ...


class Lsl:
    """Markers out, spikes in."""

    def __init__(self, stream: str, unit: str) -> None:
        from actmax.client.rigs.lsl import LslSpikes, Markers

        self.markers, self.spikes = Markers(), LslSpikes(stream, {"ch7": unit}, window=WINDOW)

    def arm(self, trial: int, picture: np.ndarray) -> None:
        self.trial = trial

    def onset(self) -> None:
        self.began = self.markers.onset(self.trial)

    def count(self) -> tuple[float, float]:
        recorded = self.spikes.response(self.began)
        return float(recorded.counts[0]), recorded.onset


class OpenEphysRecording:
    """The photodiode's TTL pulse is the onset."""

    def __init__(self, electrode: str, line: str) -> None:
        from actmax.client.rigs.openephys import OpenEphys

        self.spikes = OpenEphys({"ch7": electrode}, line=int(line), window=WINDOW)
        self.spikes.wait()

    def arm(self, trial: int, picture: np.ndarray) -> None:
        self.spikes.arm()

    def onset(self) -> None:
        pass

    def count(self) -> tuple[float, float]:
        recorded = self.spikes.response()
        return float(recorded.counts[0]), recorded.onset


class Rehearsal:
    """A neuron that likes red in the middle, and now and then fails."""

    def arm(self, trial: int, picture: np.ndarray) -> None:
        draws = np.random.default_rng(trial)
        red, green, blue = picture[:, 8:24, 8:24].reshape(3, -1).mean(1)
        self.spikes = float("nan") if draws.random() < 0.02 else float(draws.poisson(30 * max(red - 0.5 * (green + blue), 0.0) + 1))

    def onset(self) -> None:
        self.began = time.monotonic()

    def count(self) -> tuple[float, float]:
        return self.spikes, self.began


def screen() -> Callable[[np.ndarray, Callable[[], None]], None]:
    """Shows a picture, (3, height, width) in [0, 1], in a window of PsychoPy's."""
    from psychopy import core, visual  # pyright: ignore[reportMissingImports]

    window = visual.Window(fullscr=True, units="deg", monitor="testMonitor", color=0)
    stimulus = visual.ImageStim(window, size=8, interpolate=True)

    def show(picture: np.ndarray, at_onset: Callable[[], None]) -> None:
        stimulus.image = np.flipud(picture.transpose(1, 2, 0)) * 2 - 1  # PsychoPy's origin is below, its black is -1
        stimulus.draw()
        window.callOnFlip(at_onset)
        window.flip()
        core.wait(SHOWN_SECONDS)
        window.flip()
        core.wait(BLANK_SECONDS)

    return show


def no_screen(picture: np.ndarray, at_onset: Callable[[], None]) -> None:
    """Shows nothing."""
    at_onset()


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--server", default="127.0.0.1:50051")
    asked.add_argument("--session")
    asked.add_argument("--spikes", default="")
    asked.add_argument("--rehearse", action="store_true")
    options = asked.parse_args()
    kind, *rest = options.spikes.split(":")
    recording: Recording = Rehearsal() if options.rehearse else Lsl(*rest) if kind == "lsl" else OpenEphysRecording(*rest)
    show = no_screen if options.rehearse else screen()
    with Session(options.session, options.server) if options.session else Session.create(SPEC, options.server) as session:
        print(session.name, flush=True)
        for generation in session:
            for trial, picture in zip(generation.trials, generation.stimuli, strict=True):
                recording.arm(trial, picture)
                show(picture, recording.onset)
                spikes, onset = recording.count()
                session.tell_trial(trial, [spikes], onset=onset)
            print(f"generation {generation.number}", flush=True)
        found = session.described.recommendation
        print(f"recommended: {found.response:.1f} spikes ({found.low:.1f} to {found.high:.1f})")


if __name__ == "__main__":
    main()
