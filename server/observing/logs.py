"""Logs: text for people, or one JSON object per line for programs, with the job's name in its own field."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime

_JOB = re.compile(r"\bjobs/[0-9a-f]{4,64}\b")
_EXTRAS = ("job", "attempt", "method", "code", "seconds", "owner", "trace")


@dataclass(frozen=True)
class Logs:
    """Logging settings: the lowest level that is written, and whether as JSON."""

    level: int = logging.WARNING
    as_json: bool = False

    def configure(self, name: str = "server") -> None:
        """Set up this process's logging; ``name`` identifies the process in each line."""
        handler = logging.StreamHandler()
        text = logging.Formatter(f"%(asctime)s %(levelname)s {name} %(name)s: %(message)s")
        handler.setFormatter(JsonFormatter(name) if self.as_json else text)
        root = logging.getLogger()
        for old in list(root.handlers):
            root.removeHandler(old)
        root.addHandler(handler)
        root.setLevel(self.level)


class JsonFormatter(logging.Formatter):
    """Formats one JSON object per line: time, level, process, logger, message, and job, attempt and the like if the record has them."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        message = record.getMessage()
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"time": time, "level": record.levelname, "process": self._process, "logger": record.name, "message": message}
        if match := _JOB.search(message) or _JOB.search(self._process):
            entry["job"] = match[0]
        entry |= {key: getattr(record, key) for key in _EXTRAS if hasattr(record, key)}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)
