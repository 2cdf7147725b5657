"""What Open Ephys sends over ZeroMQ: spikes, changes of digital inputs, and how far its data are.

Two of its plugins are understood: ZMQ Interface (message number, header as JSON, data) and Event Broadcaster (a type and JSON); formats as
in https://open-ephys.github.io/gui-docs/User-Manual/Plugins/ZMQ-Interface.html and Event-Broadcaster.html.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_TTL = 3


@dataclass(frozen=True)
class Message:
    """What one message tells.

    Attributes
    ----------
    kind : str
        "spike", "line", "data", or "" for anything else.
    number : int
        Counted by the sender; -1 where it doesn't.
    sample : int
        Of the spike's peak or the change; of data the one after their last.
    rate : float
        Samples a second, 0 where it isn't said.
    stream, electrode : str
        Names.
    sorted_id : int
        Which of the electrode's units, 0 when unsorted.
    line, state : int
        Of a digital input, counted as the sender does, and what it became.
    """

    kind: str
    number: int = -1
    sample: int = 0
    rate: float = 0.0
    stream: str = ""
    electrode: str = ""
    sorted_id: int = 0
    line: int = -1
    state: int = 0


def read_message(parts: Sequence[bytes]) -> Message:
    """A multipart message of either plugin.

    Raises
    ------
    ValueError
        It is of neither.
    """
    if len(parts) < 2:
        raise ValueError(f"a message of {len(parts)} parts")
    header: Any = json.loads(parts[1].rstrip(b"\0").decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    if "event_type" in header:
        common = {
            "sample": int(header["sample_number"]),
            "rate": float(header.get("sample_rate", 0)),
            "stream": str(header.get("stream", "")),
        }
        if header["event_type"] == "spike":
            return Message("spike", electrode=str(header.get("electrode", "")), sorted_id=int(header.get("sorted_id", 0)), **common)
        return Message("line", line=int(header["line"]), state=int(bool(header["state"])), **common)
    number = int(header.get("message_num", header.get("message_no", -1)))
    kind = header.get("type")
    if kind == "spike":
        spike = header["spike"]
        return Message(
            "spike",
            number,
            int(spike["sample_num"]),
            stream=str(spike.get("stream", "")),
            electrode=str(spike.get("electrode", "")),
            sorted_id=int(spike.get("sorted_id", 0)),
        )
    content = header.get("content", {})
    if kind == "data":
        end = int(content["sample_num"]) + int(content["num_samples"])
        return Message("data", number, end, float(content.get("sample_rate", 0)), str(content.get("stream", "")))
    if kind == "event" and content.get("type") in (_TTL, "TTL", "ttl") and len(parts) > 2 and len(parts[2]) >= 2:
        sample, stream = int(content["sample_num"]), str(content.get("stream", ""))
        return Message("line", number, sample, stream=stream, line=parts[2][0], state=parts[2][1])
    return Message("", number)
