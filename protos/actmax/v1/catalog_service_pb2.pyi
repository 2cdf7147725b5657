from actmax.v1 import job_pb2 as _job_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ComponentKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPONENT_KIND_UNSPECIFIED: _ClassVar[ComponentKind]
    COMPONENT_KIND_GENERATOR: _ClassVar[ComponentKind]
    COMPONENT_KIND_TARGET: _ClassVar[ComponentKind]
    COMPONENT_KIND_OBJECTIVE: _ClassVar[ComponentKind]
    COMPONENT_KIND_OPTIMIZER: _ClassVar[ComponentKind]
    COMPONENT_KIND_TRANSFORMATION: _ClassVar[ComponentKind]
    COMPONENT_KIND_CODING: _ClassVar[ComponentKind]
    COMPONENT_KIND_ANALYSIS: _ClassVar[ComponentKind]
COMPONENT_KIND_UNSPECIFIED: ComponentKind
COMPONENT_KIND_GENERATOR: ComponentKind
COMPONENT_KIND_TARGET: ComponentKind
COMPONENT_KIND_OBJECTIVE: ComponentKind
COMPONENT_KIND_OPTIMIZER: ComponentKind
COMPONENT_KIND_TRANSFORMATION: ComponentKind
COMPONENT_KIND_CODING: ComponentKind
COMPONENT_KIND_ANALYSIS: ComponentKind

class ListComponentsRequest(_message.Message):
    __slots__ = ("kind",)
    KIND_FIELD_NUMBER: _ClassVar[int]
    kind: ComponentKind
    def __init__(self, kind: _Optional[_Union[ComponentKind, str]] = ...) -> None: ...

class ListComponentsResponse(_message.Message):
    __slots__ = ("components",)
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    components: _containers.RepeatedCompositeFieldContainer[ComponentInfo]
    def __init__(self, components: _Optional[_Iterable[_Union[ComponentInfo, _Mapping]]] = ...) -> None: ...

class ComponentInfo(_message.Message):
    __slots__ = ("kind", "name", "summary", "options_schema", "unavailable")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    kind: ComponentKind
    name: str
    summary: str
    options_schema: _struct_pb2.Struct
    unavailable: str
    def __init__(self, kind: _Optional[_Union[ComponentKind, str]] = ..., name: _Optional[str] = ..., summary: _Optional[str] = ..., options_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., unavailable: _Optional[str] = ...) -> None: ...

class DescribeTargetRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: _job_pb2.Component
    def __init__(self, target: _Optional[_Union[_job_pb2.Component, _Mapping]] = ...) -> None: ...

class DescribeTargetResponse(_message.Message):
    __slots__ = ("layers", "stimulus_shape", "modality", "differentiable")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_SHAPE_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    DIFFERENTIABLE_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    stimulus_shape: _containers.RepeatedScalarFieldContainer[int]
    modality: str
    differentiable: bool
    def __init__(self, layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., stimulus_shape: _Optional[_Iterable[int]] = ..., modality: _Optional[str] = ..., differentiable: _Optional[bool] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("name", "shape", "kind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    kind: str
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., kind: _Optional[str] = ...) -> None: ...

class GetLimitsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_receive_bytes", "workers", "max_evaluations", "version", "max_searches", "max_queued_per_owner", "max_running_per_owner", "max_stored_bytes_per_owner", "max_open_sessions_per_owner", "largest_response")
    MAX_RECEIVE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    MAX_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_PER_OWNER_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_PER_OWNER_FIELD_NUMBER: _ClassVar[int]
    MAX_STORED_BYTES_PER_OWNER_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_SESSIONS_PER_OWNER_FIELD_NUMBER: _ClassVar[int]
    LARGEST_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    max_receive_bytes: int
    workers: int
    max_evaluations: int
    version: str
    max_searches: int
    max_queued_per_owner: int
    max_running_per_owner: int
    max_stored_bytes_per_owner: int
    max_open_sessions_per_owner: int
    largest_response: float
    def __init__(self, max_receive_bytes: _Optional[int] = ..., workers: _Optional[int] = ..., max_evaluations: _Optional[int] = ..., version: _Optional[str] = ..., max_searches: _Optional[int] = ..., max_queued_per_owner: _Optional[int] = ..., max_running_per_owner: _Optional[int] = ..., max_stored_bytes_per_owner: _Optional[int] = ..., max_open_sessions_per_owner: _Optional[int] = ..., largest_response: _Optional[float] = ...) -> None: ...
