import datetime

from actmax.v1 import job_pb2 as _job_pb2
from actmax.v1 import session_pb2 as _session_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateSessionRequest(_message.Message):
    __slots__ = ("spec", "request_id")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    spec: _session_pb2.SessionSpec
    request_id: str
    def __init__(self, spec: _Optional[_Union[_session_pb2.SessionSpec, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[_session_pb2.Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[_session_pb2.Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RunSessionRequest(_message.Message):
    __slots__ = ("open", "tell", "advance", "change_objective", "restart_clock", "mark_trial", "finish")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    TELL_FIELD_NUMBER: _ClassVar[int]
    ADVANCE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    RESTART_CLOCK_FIELD_NUMBER: _ClassVar[int]
    MARK_TRIAL_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    open: Open
    tell: Tell
    advance: Advance
    change_objective: ChangeObjective
    restart_clock: RestartClock
    mark_trial: MarkTrial
    finish: Finish
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., tell: _Optional[_Union[Tell, _Mapping]] = ..., advance: _Optional[_Union[Advance, _Mapping]] = ..., change_objective: _Optional[_Union[ChangeObjective, _Mapping]] = ..., restart_clock: _Optional[_Union[RestartClock, _Mapping]] = ..., mark_trial: _Optional[_Union[MarkTrial, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("session", "last_sequence", "client_id", "take_over", "renew")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    TAKE_OVER_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    session: str
    last_sequence: int
    client_id: str
    take_over: bool
    renew: bool
    def __init__(self, session: _Optional[str] = ..., last_sequence: _Optional[int] = ..., client_id: _Optional[str] = ..., take_over: _Optional[bool] = ..., renew: _Optional[bool] = ...) -> None: ...

class Tell(_message.Message):
    __slots__ = ("trials",)
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[TrialResponse]
    def __init__(self, trials: _Optional[_Iterable[_Union[TrialResponse, _Mapping]]] = ...) -> None: ...

class TrialResponse(_message.Message):
    __slots__ = ("trial", "responses", "missed", "onset", "offset")
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    ONSET_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    trial: int
    responses: _containers.RepeatedScalarFieldContainer[float]
    missed: bool
    onset: float
    offset: float
    def __init__(self, trial: _Optional[int] = ..., responses: _Optional[_Iterable[float]] = ..., missed: _Optional[bool] = ..., onset: _Optional[float] = ..., offset: _Optional[float] = ...) -> None: ...

class Advance(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: int
    def __init__(self, generation: _Optional[int] = ...) -> None: ...

class ChangeObjective(_message.Message):
    __slots__ = ("objective", "unit", "thread")
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    THREAD_FIELD_NUMBER: _ClassVar[int]
    objective: _job_pb2.Component
    unit: str
    thread: str
    def __init__(self, objective: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., unit: _Optional[str] = ..., thread: _Optional[str] = ...) -> None: ...

class RestartClock(_message.Message):
    __slots__ = ("clock",)
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    clock: int
    def __init__(self, clock: _Optional[int] = ...) -> None: ...

class MarkTrial(_message.Message):
    __slots__ = ("trial", "bad")
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    BAD_FIELD_NUMBER: _ClassVar[int]
    trial: int
    bad: bool
    def __init__(self, trial: _Optional[int] = ..., bad: _Optional[bool] = ...) -> None: ...

class Finish(_message.Message):
    __slots__ = ("at_once",)
    AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    at_once: bool
    def __init__(self, at_once: _Optional[bool] = ...) -> None: ...

class RunSessionResponse(_message.Message):
    __slots__ = ("opened", "ask", "ack", "warning", "ended")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    opened: Opened
    ask: Generation
    ack: Ack
    warning: ExpiryWarning
    ended: _session_pb2.Session
    def __init__(self, opened: _Optional[_Union[Opened, _Mapping]] = ..., ask: _Optional[_Union[Generation, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., warning: _Optional[_Union[ExpiryWarning, _Mapping]] = ..., ended: _Optional[_Union[_session_pb2.Session, _Mapping]] = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("last_sequence", "session")
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    last_sequence: int
    session: _session_pb2.Session
    def __init__(self, last_sequence: _Optional[int] = ..., session: _Optional[_Union[_session_pb2.Session, _Mapping]] = ...) -> None: ...

class Generation(_message.Message):
    __slots__ = ("generation", "trials", "kinds", "stimuli", "png", "progress", "recommendation", "threads", "thread_progress")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    STIMULI_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    THREAD_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    trials: _containers.RepeatedScalarFieldContainer[int]
    kinds: _containers.RepeatedScalarFieldContainer[_session_pb2.TrialKind]
    stimuli: _session_pb2.Tensor
    png: _containers.RepeatedScalarFieldContainer[bytes]
    progress: _session_pb2.SessionProgress
    recommendation: _session_pb2.Recommendation
    threads: _containers.RepeatedScalarFieldContainer[str]
    thread_progress: _containers.RepeatedCompositeFieldContainer[_session_pb2.ThreadProgress]
    def __init__(self, generation: _Optional[int] = ..., trials: _Optional[_Iterable[int]] = ..., kinds: _Optional[_Iterable[_Union[_session_pb2.TrialKind, str]]] = ..., stimuli: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., png: _Optional[_Iterable[bytes]] = ..., progress: _Optional[_Union[_session_pb2.SessionProgress, _Mapping]] = ..., recommendation: _Optional[_Union[_session_pb2.Recommendation, _Mapping]] = ..., threads: _Optional[_Iterable[str]] = ..., thread_progress: _Optional[_Iterable[_Union[_session_pb2.ThreadProgress, _Mapping]]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequence", "trials", "late", "untold")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    UNTOLD_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    trials: int
    late: int
    untold: int
    def __init__(self, sequence: _Optional[int] = ..., trials: _Optional[int] = ..., late: _Optional[int] = ..., untold: _Optional[int] = ...) -> None: ...

class ExpiryWarning(_message.Message):
    __slots__ = ("expire_time",)
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("ask", "ended")
    ASK_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ask: Generation
    ended: _session_pb2.Session
    def __init__(self, ask: _Optional[_Union[Generation, _Mapping]] = ..., ended: _Optional[_Union[_session_pb2.Session, _Mapping]] = ...) -> None: ...

class TellRequest(_message.Message):
    __slots__ = ("session", "tell", "advance", "change_objective", "restart_clock", "mark_trial", "finish")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TELL_FIELD_NUMBER: _ClassVar[int]
    ADVANCE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    RESTART_CLOCK_FIELD_NUMBER: _ClassVar[int]
    MARK_TRIAL_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    session: str
    tell: Tell
    advance: Advance
    change_objective: ChangeObjective
    restart_clock: RestartClock
    mark_trial: MarkTrial
    finish: Finish
    def __init__(self, session: _Optional[str] = ..., tell: _Optional[_Union[Tell, _Mapping]] = ..., advance: _Optional[_Union[Advance, _Mapping]] = ..., change_objective: _Optional[_Union[ChangeObjective, _Mapping]] = ..., restart_clock: _Optional[_Union[RestartClock, _Mapping]] = ..., mark_trial: _Optional[_Union[MarkTrial, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class TellResponse(_message.Message):
    __slots__ = ("ack",)
    ACK_FIELD_NUMBER: _ClassVar[int]
    ack: Ack
    def __init__(self, ack: _Optional[_Union[Ack, _Mapping]] = ...) -> None: ...

class ListTrialsRequest(_message.Message):
    __slots__ = ("session", "stimuli")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STIMULI_FIELD_NUMBER: _ClassVar[int]
    session: str
    stimuli: bool
    def __init__(self, session: _Optional[str] = ..., stimuli: _Optional[bool] = ...) -> None: ...

class ListTrialsResponse(_message.Message):
    __slots__ = ("trials", "latents", "stimuli")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    STIMULI_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[Trial]
    latents: _session_pb2.Tensor
    stimuli: _session_pb2.Tensor
    def __init__(self, trials: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ..., latents: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., stimuli: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("trial", "generation", "kind", "stimulus", "replicate", "responses", "status", "onset", "offset", "told_time", "score", "gain", "thread", "clock", "bad")
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_FIELD_NUMBER: _ClassVar[int]
    REPLICATE_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ONSET_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOLD_TIME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    GAIN_FIELD_NUMBER: _ClassVar[int]
    THREAD_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    BAD_FIELD_NUMBER: _ClassVar[int]
    trial: int
    generation: int
    kind: _session_pb2.TrialKind
    stimulus: int
    replicate: int
    responses: _containers.RepeatedScalarFieldContainer[float]
    status: str
    onset: float
    offset: float
    told_time: _timestamp_pb2.Timestamp
    score: float
    gain: float
    thread: str
    clock: int
    bad: bool
    def __init__(self, trial: _Optional[int] = ..., generation: _Optional[int] = ..., kind: _Optional[_Union[_session_pb2.TrialKind, str]] = ..., stimulus: _Optional[int] = ..., replicate: _Optional[int] = ..., responses: _Optional[_Iterable[float]] = ..., status: _Optional[str] = ..., onset: _Optional[float] = ..., offset: _Optional[float] = ..., told_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., score: _Optional[float] = ..., gain: _Optional[float] = ..., thread: _Optional[str] = ..., clock: _Optional[int] = ..., bad: _Optional[bool] = ...) -> None: ...
