"""Sessions as files and as plain data: the form of job files, for ``actmax.v1.SessionSpec``.

A unit may be its name (a spike count) or a range of names (``ch[0:96]``), kinds and encodings their last part (``kind: rate``,
``encoding: png``), and in Python reference stimuli and the latents of a warm start an array.
"""

from __future__ import annotations

from actmax.v1 import session_pb2

from ..jobs.jobfile import FileFormat

_SESSIONS = FileFormat("session", session_pb2.SessionSpec)
load, from_plain = _SESSIONS.load, _SESSIONS.from_plain
