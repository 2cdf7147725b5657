"""How a folder is used; apart, since the command line reads it without what it takes to use one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...wire.errors import ActmaxError


class Format(StrEnum):
    """Of stimuli as files."""

    PNG = "png"
    NPY = "npy"


class Then(StrEnum):
    """What a silent rig means."""

    MISSED = "missed"
    STOP = "stop"


class RigSilent(ActmaxError):
    """The rig has written nothing for longer than it may."""

    code = "DEADLINE_EXCEEDED"


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is used.

    Attributes
    ----------
    format : Format
        PNG, or the stimuli's own values as ``.npy`` (for series, or more than 8 bits).
    timeout : float
        Seconds for which the rig may be silent in a generation; 0: for ever.
    then : Then
        After that: what is left of the generation was missed, or stop.
    settle : float
        Seconds without a change after which half a file is reported.
    """

    format: Format = Format.PNG
    timeout: float = 0.0
    then: Then = Then.MISSED
    settle: float = 2.0
