import datetime

from actmax.v1 import job_pb2 as _job_pb2
from actmax.v1 import schema_pb2 as _schema_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResponseKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESPONSE_KIND_UNSPECIFIED: _ClassVar[ResponseKind]
    RESPONSE_KIND_COUNT: _ClassVar[ResponseKind]
    RESPONSE_KIND_RATE: _ClassVar[ResponseKind]
    RESPONSE_KIND_SIGNED: _ClassVar[ResponseKind]

class StimulusEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STIMULUS_ENCODING_UNSPECIFIED: _ClassVar[StimulusEncoding]
    STIMULUS_ENCODING_FLOAT32: _ClassVar[StimulusEncoding]
    STIMULUS_ENCODING_UINT8: _ClassVar[StimulusEncoding]
    STIMULUS_ENCODING_PNG: _ClassVar[StimulusEncoding]

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_OPEN: _ClassVar[SessionState]
    SESSION_STATE_ENDED: _ClassVar[SessionState]
    SESSION_STATE_CLOSED: _ClassVar[SessionState]
    SESSION_STATE_EXPIRED: _ClassVar[SessionState]

class TrialKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIAL_KIND_UNSPECIFIED: _ClassVar[TrialKind]
    TRIAL_KIND_CANDIDATE: _ClassVar[TrialKind]
    TRIAL_KIND_REPLICATE: _ClassVar[TrialKind]
    TRIAL_KIND_REFERENCE: _ClassVar[TrialKind]
    TRIAL_KIND_REMEASURE: _ClassVar[TrialKind]
    TRIAL_KIND_CONTROL: _ClassVar[TrialKind]
RESPONSE_KIND_UNSPECIFIED: ResponseKind
RESPONSE_KIND_COUNT: ResponseKind
RESPONSE_KIND_RATE: ResponseKind
RESPONSE_KIND_SIGNED: ResponseKind
STIMULUS_ENCODING_UNSPECIFIED: StimulusEncoding
STIMULUS_ENCODING_FLOAT32: StimulusEncoding
STIMULUS_ENCODING_UINT8: StimulusEncoding
STIMULUS_ENCODING_PNG: StimulusEncoding
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_OPEN: SessionState
SESSION_STATE_ENDED: SessionState
SESSION_STATE_CLOSED: SessionState
SESSION_STATE_EXPIRED: SessionState
TRIAL_KIND_UNSPECIFIED: TrialKind
TRIAL_KIND_CANDIDATE: TrialKind
TRIAL_KIND_REPLICATE: TrialKind
TRIAL_KIND_REFERENCE: TrialKind
TRIAL_KIND_REMEASURE: TrialKind
TRIAL_KIND_CONTROL: TrialKind

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class RecordedUnit(_message.Message):
    __slots__ = ("name", "kind", "measure", "electrode")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    ELECTRODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ResponseKind
    measure: str
    electrode: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ResponseKind, str]] = ..., measure: _Optional[str] = ..., electrode: _Optional[str] = ...) -> None: ...

class Subject(_message.Message):
    __slots__ = ("id", "species", "sex", "age", "description")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPECIES_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    species: str
    sex: str
    age: str
    description: str
    def __init__(self, id: _Optional[str] = ..., species: _Optional[str] = ..., sex: _Optional[str] = ..., age: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class RecordingDevice(_message.Message):
    __slots__ = ("name", "description", "manufacturer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MANUFACTURER_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    manufacturer: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., manufacturer: _Optional[str] = ...) -> None: ...

class Electrode(_message.Message):
    __slots__ = ("name", "device", "location")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    device: str
    location: str
    def __init__(self, name: _Optional[str] = ..., device: _Optional[str] = ..., location: _Optional[str] = ...) -> None: ...

class Recording(_message.Message):
    __slots__ = ("subject", "devices", "electrodes", "experimenters", "institution", "lab")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    ELECTRODES_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTERS_FIELD_NUMBER: _ClassVar[int]
    INSTITUTION_FIELD_NUMBER: _ClassVar[int]
    LAB_FIELD_NUMBER: _ClassVar[int]
    subject: Subject
    devices: _containers.RepeatedCompositeFieldContainer[RecordingDevice]
    electrodes: _containers.RepeatedCompositeFieldContainer[Electrode]
    experimenters: _containers.RepeatedScalarFieldContainer[str]
    institution: str
    lab: str
    def __init__(self, subject: _Optional[_Union[Subject, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[RecordingDevice, _Mapping]]] = ..., electrodes: _Optional[_Iterable[_Union[Electrode, _Mapping]]] = ..., experimenters: _Optional[_Iterable[str]] = ..., institution: _Optional[str] = ..., lab: _Optional[str] = ...) -> None: ...

class StimulusShape(_message.Message):
    __slots__ = ("shape", "low", "high", "modality")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    low: float
    high: float
    modality: str
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., modality: _Optional[str] = ...) -> None: ...

class References(_message.Message):
    __slots__ = ("rate", "synthetic", "stimuli")
    RATE_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    STIMULI_FIELD_NUMBER: _ClassVar[int]
    rate: float
    synthetic: int
    stimuli: Tensor
    def __init__(self, rate: _Optional[float] = ..., synthetic: _Optional[int] = ..., stimuli: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class SessionDesign(_message.Message):
    __slots__ = ("generation_size", "replicates", "references", "leaders", "remeasure", "normalise", "generation_seconds")
    GENERATION_SIZE_FIELD_NUMBER: _ClassVar[int]
    REPLICATES_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    LEADERS_FIELD_NUMBER: _ClassVar[int]
    REMEASURE_FIELD_NUMBER: _ClassVar[int]
    NORMALISE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    generation_size: int
    replicates: int
    references: References
    leaders: int
    remeasure: float
    normalise: bool
    generation_seconds: float
    def __init__(self, generation_size: _Optional[int] = ..., replicates: _Optional[int] = ..., references: _Optional[_Union[References, _Mapping]] = ..., leaders: _Optional[int] = ..., remeasure: _Optional[float] = ..., normalise: _Optional[bool] = ..., generation_seconds: _Optional[float] = ...) -> None: ...

class StopRules(_message.Message):
    __slots__ = ("evaluations", "plateau", "significance")
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    PLATEAU_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANCE_FIELD_NUMBER: _ClassVar[int]
    evaluations: int
    plateau: int
    significance: float
    def __init__(self, evaluations: _Optional[int] = ..., plateau: _Optional[int] = ..., significance: _Optional[float] = ...) -> None: ...

class Presentation(_message.Message):
    __slots__ = ("encoding", "width", "height")
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    encoding: StimulusEncoding
    width: int
    height: int
    def __init__(self, encoding: _Optional[_Union[StimulusEncoding, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class SessionThread(_message.Message):
    __slots__ = ("name", "unit", "objective", "optimizer", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    objective: _job_pb2.Component
    optimizer: _job_pb2.Component
    share: float
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., objective: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., optimizer: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., share: _Optional[float] = ...) -> None: ...

class WarmStart(_message.Message):
    __slots__ = ("sessions", "most", "latents")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedScalarFieldContainer[str]
    most: int
    latents: Tensor
    def __init__(self, sessions: _Optional[_Iterable[str]] = ..., most: _Optional[int] = ..., latents: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class SessionSpec(_message.Message):
    __slots__ = ("title", "generator", "units", "unit", "objective", "optimizer", "design", "stop", "seed", "prior", "constraints", "stimulus", "presentation", "expire_seconds", "threads", "warm_start", "recording")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    DESIGN_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_FIELD_NUMBER: _ClassVar[int]
    PRESENTATION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    WARM_START_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    title: str
    generator: _job_pb2.Component
    units: _containers.RepeatedCompositeFieldContainer[RecordedUnit]
    unit: str
    objective: _job_pb2.Component
    optimizer: _job_pb2.Component
    design: SessionDesign
    stop: StopRules
    seed: int
    prior: str
    constraints: _job_pb2.Constraints
    stimulus: StimulusShape
    presentation: Presentation
    expire_seconds: float
    threads: _containers.RepeatedCompositeFieldContainer[SessionThread]
    warm_start: WarmStart
    recording: Recording
    def __init__(self, title: _Optional[str] = ..., generator: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., units: _Optional[_Iterable[_Union[RecordedUnit, _Mapping]]] = ..., unit: _Optional[str] = ..., objective: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., optimizer: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., design: _Optional[_Union[SessionDesign, _Mapping]] = ..., stop: _Optional[_Union[StopRules, _Mapping]] = ..., seed: _Optional[int] = ..., prior: _Optional[str] = ..., constraints: _Optional[_Union[_job_pb2.Constraints, _Mapping]] = ..., stimulus: _Optional[_Union[StimulusShape, _Mapping]] = ..., presentation: _Optional[_Union[Presentation, _Mapping]] = ..., expire_seconds: _Optional[float] = ..., threads: _Optional[_Iterable[_Union[SessionThread, _Mapping]]] = ..., warm_start: _Optional[_Union[WarmStart, _Mapping]] = ..., recording: _Optional[_Union[Recording, _Mapping]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("difference", "low", "high", "p_value", "measurements", "controls")
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    difference: float
    low: float
    high: float
    p_value: float
    measurements: int
    controls: int
    def __init__(self, difference: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., p_value: _Optional[float] = ..., measurements: _Optional[int] = ..., controls: _Optional[int] = ...) -> None: ...

class Recommendation(_message.Message):
    __slots__ = ("latent", "stimulus", "response", "low", "high", "measurements", "final", "over_references", "over_first", "over_threads")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    OVER_REFERENCES_FIELD_NUMBER: _ClassVar[int]
    OVER_FIRST_FIELD_NUMBER: _ClassVar[int]
    OVER_THREADS_FIELD_NUMBER: _ClassVar[int]
    latent: Tensor
    stimulus: Tensor
    response: float
    low: float
    high: float
    measurements: int
    final: bool
    over_references: Comparison
    over_first: Comparison
    over_threads: _containers.RepeatedCompositeFieldContainer[ThreadComparison]
    def __init__(self, latent: _Optional[_Union[Tensor, _Mapping]] = ..., stimulus: _Optional[_Union[Tensor, _Mapping]] = ..., response: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., measurements: _Optional[int] = ..., final: _Optional[bool] = ..., over_references: _Optional[_Union[Comparison, _Mapping]] = ..., over_first: _Optional[_Union[Comparison, _Mapping]] = ..., over_threads: _Optional[_Iterable[_Union[ThreadComparison, _Mapping]]] = ...) -> None: ...

class ThreadComparison(_message.Message):
    __slots__ = ("thread", "comparison")
    THREAD_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    thread: str
    comparison: Comparison
    def __init__(self, thread: _Optional[str] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ...) -> None: ...

class ThreadProgress(_message.Message):
    __slots__ = ("name", "unit", "objective", "optimizer", "evaluations", "total_evaluations", "reference", "remeasuring", "stopped_by", "recommendation")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REMEASURING_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BY_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    objective: _job_pb2.Component
    optimizer: str
    evaluations: int
    total_evaluations: int
    reference: float
    remeasuring: bool
    stopped_by: str
    recommendation: Recommendation
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., objective: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., optimizer: _Optional[str] = ..., evaluations: _Optional[int] = ..., total_evaluations: _Optional[int] = ..., reference: _Optional[float] = ..., remeasuring: _Optional[bool] = ..., stopped_by: _Optional[str] = ..., recommendation: _Optional[_Union[Recommendation, _Mapping]] = ...) -> None: ...

class SessionProgress(_message.Message):
    __slots__ = ("generation", "evaluations", "total_evaluations", "told", "missed", "late", "reference", "gain", "untold", "remeasuring", "clock")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    GAIN_FIELD_NUMBER: _ClassVar[int]
    UNTOLD_FIELD_NUMBER: _ClassVar[int]
    REMEASURING_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    generation: int
    evaluations: int
    total_evaluations: int
    told: int
    missed: int
    late: int
    reference: float
    gain: float
    untold: int
    remeasuring: bool
    clock: int
    def __init__(self, generation: _Optional[int] = ..., evaluations: _Optional[int] = ..., total_evaluations: _Optional[int] = ..., told: _Optional[int] = ..., missed: _Optional[int] = ..., late: _Optional[int] = ..., reference: _Optional[float] = ..., gain: _Optional[float] = ..., untold: _Optional[int] = ..., remeasuring: _Optional[bool] = ..., clock: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("name", "spec", "state", "create_time", "expire_time", "last_sequence", "progress", "recommendation", "stopped_by", "optimizer", "owner", "stimulus_shape", "stimulus_low", "stimulus_high", "objective", "unit", "threads")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BY_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_SHAPE_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_LOW_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_HIGH_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: SessionSpec
    state: SessionState
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    last_sequence: int
    progress: SessionProgress
    recommendation: Recommendation
    stopped_by: str
    optimizer: str
    owner: str
    stimulus_shape: _containers.RepeatedScalarFieldContainer[int]
    stimulus_low: float
    stimulus_high: float
    objective: _job_pb2.Component
    unit: str
    threads: _containers.RepeatedCompositeFieldContainer[ThreadProgress]
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[SessionSpec, _Mapping]] = ..., state: _Optional[_Union[SessionState, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_sequence: _Optional[int] = ..., progress: _Optional[_Union[SessionProgress, _Mapping]] = ..., recommendation: _Optional[_Union[Recommendation, _Mapping]] = ..., stopped_by: _Optional[str] = ..., optimizer: _Optional[str] = ..., owner: _Optional[str] = ..., stimulus_shape: _Optional[_Iterable[int]] = ..., stimulus_low: _Optional[float] = ..., stimulus_high: _Optional[float] = ..., objective: _Optional[_Union[_job_pb2.Component, _Mapping]] = ..., unit: _Optional[str] = ..., threads: _Optional[_Iterable[_Union[ThreadProgress, _Mapping]]] = ...) -> None: ...
