from actmax.v1 import session_pb2 as _session_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribePluginRequest(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    def __init__(self, plugin: _Optional[str] = ...) -> None: ...

class TargetDescription(_message.Message):
    __slots__ = ("version", "stimulus", "layers", "noisy", "misses", "max_batch", "max_message_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    NOISY_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    stimulus: _session_pb2.StimulusShape
    layers: _containers.RepeatedCompositeFieldContainer[PluginLayer]
    noisy: bool
    misses: bool
    max_batch: int
    max_message_bytes: int
    def __init__(self, version: _Optional[str] = ..., stimulus: _Optional[_Union[_session_pb2.StimulusShape, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[PluginLayer, _Mapping]]] = ..., noisy: _Optional[bool] = ..., misses: _Optional[bool] = ..., max_batch: _Optional[int] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...

class PluginLayer(_message.Message):
    __slots__ = ("name", "shape", "kind", "unit_names")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_NAMES_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    kind: str
    unit_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., kind: _Optional[str] = ..., unit_names: _Optional[_Iterable[str]] = ...) -> None: ...

class RespondRequest(_message.Message):
    __slots__ = ("plugin", "version", "stimuli", "layers", "seed", "trial")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STIMULI_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    version: str
    stimuli: _session_pb2.Tensor
    layers: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    trial: int
    def __init__(self, plugin: _Optional[str] = ..., version: _Optional[str] = ..., stimuli: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., layers: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., trial: _Optional[int] = ...) -> None: ...

class RespondResponse(_message.Message):
    __slots__ = ("responses", "version")
    class ResponsesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _session_pb2.Tensor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ...) -> None: ...
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.MessageMap[str, _session_pb2.Tensor]
    version: str
    def __init__(self, responses: _Optional[_Mapping[str, _session_pb2.Tensor]] = ..., version: _Optional[str] = ...) -> None: ...

class AnalysisDescription(_message.Message):
    __slots__ = ("version", "needs", "max_message_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    needs: _containers.RepeatedScalarFieldContainer[str]
    max_message_bytes: int
    def __init__(self, version: _Optional[str] = ..., needs: _Optional[_Iterable[str]] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...

class AnalysisStepRequest(_message.Message):
    __slots__ = ("plugin", "version", "run", "step", "start", "responses", "cancelled")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    version: str
    run: str
    step: int
    start: AnalysisStart
    responses: _session_pb2.Tensor
    cancelled: bool
    def __init__(self, plugin: _Optional[str] = ..., version: _Optional[str] = ..., run: _Optional[str] = ..., step: _Optional[int] = ..., start: _Optional[_Union[AnalysisStart, _Mapping]] = ..., responses: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., cancelled: _Optional[bool] = ...) -> None: ...

class AnalysisStart(_message.Message):
    __slots__ = ("options", "seed", "stimulus", "units", "found", "stimuli", "max_batch")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    STIMULI_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    options: _struct_pb2.Struct
    seed: int
    stimulus: _session_pb2.StimulusShape
    units: _containers.RepeatedScalarFieldContainer[str]
    found: _containers.RepeatedCompositeFieldContainer[FoundStimulus]
    stimuli: _session_pb2.Tensor
    max_batch: int
    def __init__(self, options: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., seed: _Optional[int] = ..., stimulus: _Optional[_Union[_session_pb2.StimulusShape, _Mapping]] = ..., units: _Optional[_Iterable[str]] = ..., found: _Optional[_Iterable[_Union[FoundStimulus, _Mapping]]] = ..., stimuli: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., max_batch: _Optional[int] = ...) -> None: ...

class FoundStimulus(_message.Message):
    __slots__ = ("unit", "optimizer", "response", "unit_name")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    UNIT_NAME_FIELD_NUMBER: _ClassVar[int]
    unit: str
    optimizer: str
    response: float
    unit_name: str
    def __init__(self, unit: _Optional[str] = ..., optimizer: _Optional[str] = ..., response: _Optional[float] = ..., unit_name: _Optional[str] = ...) -> None: ...

class AnalysisStepResponse(_message.Message):
    __slots__ = ("version", "evaluate", "progress", "sections")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SECTIONS_FIELD_NUMBER: _ClassVar[int]
    version: str
    evaluate: _session_pb2.Tensor
    progress: str
    sections: AnalysisSections
    def __init__(self, version: _Optional[str] = ..., evaluate: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., progress: _Optional[str] = ..., sections: _Optional[_Union[AnalysisSections, _Mapping]] = ...) -> None: ...

class AnalysisSections(_message.Message):
    __slots__ = ("sections",)
    SECTIONS_FIELD_NUMBER: _ClassVar[int]
    sections: _containers.RepeatedCompositeFieldContainer[AnalysisSection]
    def __init__(self, sections: _Optional[_Iterable[_Union[AnalysisSection, _Mapping]]] = ...) -> None: ...

class AnalysisSection(_message.Message):
    __slots__ = ("title", "notes", "name", "columns", "rows", "arrays", "figures")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    title: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    name: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    rows: _containers.RepeatedCompositeFieldContainer[_struct_pb2.ListValue]
    arrays: _containers.RepeatedCompositeFieldContainer[NamedArray]
    figures: _containers.RepeatedCompositeFieldContainer[AnalysisFigure]
    def __init__(self, title: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., name: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., rows: _Optional[_Iterable[_Union[_struct_pb2.ListValue, _Mapping]]] = ..., arrays: _Optional[_Iterable[_Union[NamedArray, _Mapping]]] = ..., figures: _Optional[_Iterable[_Union[AnalysisFigure, _Mapping]]] = ...) -> None: ...

class NamedArray(_message.Message):
    __slots__ = ("name", "array")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    name: str
    array: _session_pb2.Tensor
    def __init__(self, name: _Optional[str] = ..., array: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ...) -> None: ...

class AnalysisFigure(_message.Message):
    __slots__ = ("title", "alt", "data", "stimulus", "media_type", "unit", "optimizer")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ALT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    title: str
    alt: str
    data: bytes
    stimulus: _session_pb2.Tensor
    media_type: str
    unit: str
    optimizer: str
    def __init__(self, title: _Optional[str] = ..., alt: _Optional[str] = ..., data: _Optional[bytes] = ..., stimulus: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., media_type: _Optional[str] = ..., unit: _Optional[str] = ..., optimizer: _Optional[str] = ...) -> None: ...

class LatentSpace(_message.Message):
    __slots__ = ("shape", "box", "codes")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    box: LatentBox
    codes: LatentCodes
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., box: _Optional[_Union[LatentBox, _Mapping]] = ..., codes: _Optional[_Union[LatentCodes, _Mapping]] = ...) -> None: ...

class LatentBox(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class LatentCodes(_message.Message):
    __slots__ = ("cardinality", "vectors")
    CARDINALITY_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    cardinality: int
    vectors: _session_pb2.Tensor
    def __init__(self, cardinality: _Optional[int] = ..., vectors: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ...) -> None: ...

class GeneratorDescription(_message.Message):
    __slots__ = ("version", "latent", "stimulus", "bank_size", "max_batch", "max_message_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LATENT_FIELD_NUMBER: _ClassVar[int]
    STIMULUS_FIELD_NUMBER: _ClassVar[int]
    BANK_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    latent: LatentSpace
    stimulus: _session_pb2.StimulusShape
    bank_size: int
    max_batch: int
    max_message_bytes: int
    def __init__(self, version: _Optional[str] = ..., latent: _Optional[_Union[LatentSpace, _Mapping]] = ..., stimulus: _Optional[_Union[_session_pb2.StimulusShape, _Mapping]] = ..., bank_size: _Optional[int] = ..., max_batch: _Optional[int] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("plugin", "version", "latents")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    version: str
    latents: _session_pb2.Tensor
    def __init__(self, plugin: _Optional[str] = ..., version: _Optional[str] = ..., latents: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("stimuli", "version")
    STIMULI_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    stimuli: _session_pb2.Tensor
    version: str
    def __init__(self, stimuli: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., version: _Optional[str] = ...) -> None: ...

class GetBankRequest(_message.Message):
    __slots__ = ("plugin", "version", "offset", "count")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    version: str
    offset: int
    count: int
    def __init__(self, plugin: _Optional[str] = ..., version: _Optional[str] = ..., offset: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class GetBankResponse(_message.Message):
    __slots__ = ("latents", "version")
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    latents: _session_pb2.Tensor
    version: str
    def __init__(self, latents: _Optional[_Union[_session_pb2.Tensor, _Mapping]] = ..., version: _Optional[str] = ...) -> None: ...

class OfferRequest(_message.Message):
    __slots__ = ("offer", "answer")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    offer: PluginOffer
    answer: PluginAnswer
    def __init__(self, offer: _Optional[_Union[PluginOffer, _Mapping]] = ..., answer: _Optional[_Union[PluginAnswer, _Mapping]] = ...) -> None: ...

class PluginOffer(_message.Message):
    __slots__ = ("name", "target", "generator", "analysis", "shared_with")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_FIELD_NUMBER: _ClassVar[int]
    SHARED_WITH_FIELD_NUMBER: _ClassVar[int]
    name: str
    target: TargetDescription
    generator: GeneratorDescription
    analysis: AnalysisDescription
    shared_with: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., target: _Optional[_Union[TargetDescription, _Mapping]] = ..., generator: _Optional[_Union[GeneratorDescription, _Mapping]] = ..., analysis: _Optional[_Union[AnalysisDescription, _Mapping]] = ..., shared_with: _Optional[_Iterable[str]] = ...) -> None: ...

class PluginAnswer(_message.Message):
    __slots__ = ("call", "respond", "generate", "bank", "fault", "step")
    CALL_FIELD_NUMBER: _ClassVar[int]
    RESPOND_FIELD_NUMBER: _ClassVar[int]
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    BANK_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    call: int
    respond: RespondResponse
    generate: GenerateResponse
    bank: GetBankResponse
    fault: PluginFault
    step: AnalysisStepResponse
    def __init__(self, call: _Optional[int] = ..., respond: _Optional[_Union[RespondResponse, _Mapping]] = ..., generate: _Optional[_Union[GenerateResponse, _Mapping]] = ..., bank: _Optional[_Union[GetBankResponse, _Mapping]] = ..., fault: _Optional[_Union[PluginFault, _Mapping]] = ..., step: _Optional[_Union[AnalysisStepResponse, _Mapping]] = ...) -> None: ...

class PluginFault(_message.Message):
    __slots__ = ("code", "message", "reason", "retry_seconds")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    retry_seconds: float
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., retry_seconds: _Optional[float] = ...) -> None: ...

class OfferResponse(_message.Message):
    __slots__ = ("offered", "call", "cancel")
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    offered: PluginOffered
    call: PluginCall
    cancel: CancelPluginCall
    def __init__(self, offered: _Optional[_Union[PluginOffered, _Mapping]] = ..., call: _Optional[_Union[PluginCall, _Mapping]] = ..., cancel: _Optional[_Union[CancelPluginCall, _Mapping]] = ...) -> None: ...

class PluginOffered(_message.Message):
    __slots__ = ("name", "owner")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class PluginCall(_message.Message):
    __slots__ = ("call", "seconds", "respond", "generate", "bank", "step")
    CALL_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESPOND_FIELD_NUMBER: _ClassVar[int]
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    BANK_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    call: int
    seconds: float
    respond: RespondRequest
    generate: GenerateRequest
    bank: GetBankRequest
    step: AnalysisStepRequest
    def __init__(self, call: _Optional[int] = ..., seconds: _Optional[float] = ..., respond: _Optional[_Union[RespondRequest, _Mapping]] = ..., generate: _Optional[_Union[GenerateRequest, _Mapping]] = ..., bank: _Optional[_Union[GetBankRequest, _Mapping]] = ..., step: _Optional[_Union[AnalysisStepRequest, _Mapping]] = ...) -> None: ...

class CancelPluginCall(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: int
    def __init__(self, call: _Optional[int] = ...) -> None: ...

class ListPluginsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPluginsResponse(_message.Message):
    __slots__ = ("plugins",)
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    plugins: _containers.RepeatedCompositeFieldContainer[PluginInfo]
    def __init__(self, plugins: _Optional[_Iterable[_Union[PluginInfo, _Mapping]]] = ...) -> None: ...

class PluginInfo(_message.Message):
    __slots__ = ("name", "owner", "kind", "version", "shared_with")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARED_WITH_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    kind: str
    version: str
    shared_with: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., kind: _Optional[str] = ..., version: _Optional[str] = ..., shared_with: _Optional[_Iterable[str]] = ...) -> None: ...
