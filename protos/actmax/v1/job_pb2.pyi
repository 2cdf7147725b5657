import datetime

from actmax.v1 import schema_pb2 as _schema_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_PENDING: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_SUSPENDED: _ClassVar[JobState]
    JOB_STATE_CANCELLING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_PENDING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUSPENDED: JobState
JOB_STATE_CANCELLING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState

class Component(_message.Message):
    __slots__ = ("name", "options")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    options: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., options: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("evaluations", "seconds", "plateau")
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PLATEAU_FIELD_NUMBER: _ClassVar[int]
    evaluations: int
    seconds: float
    plateau: int
    def __init__(self, evaluations: _Optional[int] = ..., seconds: _Optional[float] = ..., plateau: _Optional[int] = ...) -> None: ...

class Design(_message.Message):
    __slots__ = ("replicates", "remeasure", "noisy")
    REPLICATES_FIELD_NUMBER: _ClassVar[int]
    REMEASURE_FIELD_NUMBER: _ClassVar[int]
    NOISY_FIELD_NUMBER: _ClassVar[int]
    replicates: int
    remeasure: float
    noisy: bool
    def __init__(self, replicates: _Optional[int] = ..., remeasure: _Optional[float] = ..., noisy: _Optional[bool] = ...) -> None: ...

class Constraints(_message.Message):
    __slots__ = ("max_latent_std", "max_code_changes", "luminance", "contrast")
    MAX_LATENT_STD_FIELD_NUMBER: _ClassVar[int]
    MAX_CODE_CHANGES_FIELD_NUMBER: _ClassVar[int]
    LUMINANCE_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    max_latent_std: float
    max_code_changes: float
    luminance: float
    contrast: float
    def __init__(self, max_latent_std: _Optional[float] = ..., max_code_changes: _Optional[float] = ..., luminance: _Optional[float] = ..., contrast: _Optional[float] = ...) -> None: ...

class Transformations(_message.Message):
    __slots__ = ("preset", "steps", "samples")
    PRESET_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    preset: str
    steps: _containers.RepeatedCompositeFieldContainer[Component]
    samples: int
    def __init__(self, preset: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[Component, _Mapping]]] = ..., samples: _Optional[int] = ...) -> None: ...

class Diverse(_message.Message):
    __slots__ = ("n", "distance")
    N_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    n: int
    distance: float
    def __init__(self, n: _Optional[int] = ..., distance: _Optional[float] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("images", "top", "film")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    FILM_FIELD_NUMBER: _ClassVar[int]
    images: str
    top: int
    film: str
    def __init__(self, images: _Optional[str] = ..., top: _Optional[int] = ..., film: _Optional[str] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("cpus", "gpus", "memory")
    CPUS_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    cpus: float
    gpus: float
    memory: float
    def __init__(self, cpus: _Optional[float] = ..., gpus: _Optional[float] = ..., memory: _Optional[float] = ...) -> None: ...

class Replicas(_message.Message):
    __slots__ = ("n", "chunk")
    N_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    n: int
    chunk: int
    def __init__(self, n: _Optional[int] = ..., chunk: _Optional[int] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("title", "generator", "target", "units", "objective", "optimizer", "baselines", "budget", "seed", "device", "prior", "sharing", "design", "constraints", "transformations", "diverse", "report", "analyses", "resources", "replicas")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    BASELINES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    SHARING_FIELD_NUMBER: _ClassVar[int]
    DESIGN_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORMATIONS_FIELD_NUMBER: _ClassVar[int]
    DIVERSE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    ANALYSES_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    title: str
    generator: Component
    target: Component
    units: _containers.RepeatedScalarFieldContainer[str]
    objective: Component
    optimizer: Component
    baselines: _containers.RepeatedCompositeFieldContainer[Component]
    budget: Budget
    seed: int
    device: str
    prior: str
    sharing: bool
    design: Design
    constraints: Constraints
    transformations: Transformations
    diverse: Diverse
    report: Report
    analyses: _containers.RepeatedCompositeFieldContainer[Component]
    resources: Resources
    replicas: Replicas
    def __init__(self, title: _Optional[str] = ..., generator: _Optional[_Union[Component, _Mapping]] = ..., target: _Optional[_Union[Component, _Mapping]] = ..., units: _Optional[_Iterable[str]] = ..., objective: _Optional[_Union[Component, _Mapping]] = ..., optimizer: _Optional[_Union[Component, _Mapping]] = ..., baselines: _Optional[_Iterable[_Union[Component, _Mapping]]] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., seed: _Optional[int] = ..., device: _Optional[str] = ..., prior: _Optional[str] = ..., sharing: _Optional[bool] = ..., design: _Optional[_Union[Design, _Mapping]] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ..., transformations: _Optional[_Union[Transformations, _Mapping]] = ..., diverse: _Optional[_Union[Diverse, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., analyses: _Optional[_Iterable[_Union[Component, _Mapping]]] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., replicas: _Optional[_Union[Replicas, _Mapping]] = ...) -> None: ...

class SearchProgress(_message.Message):
    __slots__ = ("unit", "optimizer", "evaluations", "best_response", "natural_multiple", "stopped_by", "warnings")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    BEST_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    NATURAL_MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    optimizer: str
    evaluations: int
    best_response: float
    natural_multiple: float
    stopped_by: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unit: _Optional[str] = ..., optimizer: _Optional[str] = ..., evaluations: _Optional[int] = ..., best_response: _Optional[float] = ..., natural_multiple: _Optional[float] = ..., stopped_by: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("searches", "evaluations", "total_evaluations", "evaluations_per_second", "seconds_left", "warnings", "outcome", "stage")
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    searches: _containers.RepeatedCompositeFieldContainer[SearchProgress]
    evaluations: int
    total_evaluations: int
    evaluations_per_second: float
    seconds_left: float
    warnings: _containers.RepeatedScalarFieldContainer[str]
    outcome: str
    stage: str
    def __init__(self, searches: _Optional[_Iterable[_Union[SearchProgress, _Mapping]]] = ..., evaluations: _Optional[int] = ..., total_evaluations: _Optional[int] = ..., evaluations_per_second: _Optional[float] = ..., seconds_left: _Optional[float] = ..., warnings: _Optional[_Iterable[str]] = ..., outcome: _Optional[str] = ..., stage: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("name", "spec", "state", "attempt", "create_time", "start_time", "end_time", "progress", "error", "owner", "priority", "labels", "etag", "suspending", "artifact_bytes", "analysis_of")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SUSPENDING_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_OF_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: JobSpec
    state: JobState
    attempt: int
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    progress: Progress
    error: JobError
    owner: str
    priority: int
    labels: _containers.ScalarMap[str, str]
    etag: str
    suspending: bool
    artifact_bytes: int
    analysis_of: str
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., attempt: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., error: _Optional[_Union[JobError, _Mapping]] = ..., owner: _Optional[str] = ..., priority: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., etag: _Optional[str] = ..., suspending: _Optional[bool] = ..., artifact_bytes: _Optional[int] = ..., analysis_of: _Optional[str] = ...) -> None: ...

class JobError(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256", "media_type")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    media_type: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., media_type: _Optional[str] = ...) -> None: ...
