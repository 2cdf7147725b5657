"""Sessions as Python classes, after ``protos/actmax/v1/session.proto``; ``make protos`` writes this file."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from google.protobuf.message import Message
from pydantic import Field

from actmax.v1 import session_pb2

from ..schema import Spec, short
from ..spec import ComponentSpec, ConstraintsSpec


class TensorSpec(Spec):
    """An array: product(shape) values of dtype, row-major, raw little-endian bytes. The length of data must fit exactly."""

    proto: ClassVar[type[Message]] = session_pb2.Tensor
    dtype: Literal["float32", "float64", "uint8", "int32", "int64"]
    shape: list[int] = Field(default_factory=list)
    data: str = ""


class RecordedUnitSpec(Spec):
    """A recorded unit. Its name is its address in objectives ("ch7"); "population[0]", "population" are the first unit, and all of them."""

    proto: ClassVar[type[Message]] = session_pb2.RecordedUnit
    name: str
    kind: Annotated[Literal["count", "rate", "signed"], short("RESPONSE_KIND_")] = "count"
    measure: str = ""
    """For people and files: what a response of 1 is, such as "spikes", "Hz" or "pA"; nothing is computed by it."""
    electrode: str = ""
    """Name of the electrode that it was recorded by, one of SessionSpec.recording."""


class SubjectSpec(Spec):
    """Whom is recorded from. What is empty is not known, and no file claims anything about it."""

    proto: ClassVar[type[Message]] = session_pb2.Subject
    id: str = ""
    species: str = ""
    """The Latin name, as in "Macaca mulatta", or a term of the NCBI taxonomy."""
    sex: Literal["", "M", "F", "U", "O"] = ""
    """M, F, U (unknown) or O (other)."""
    age: str = ""
    """An ISO 8601 duration, as in "P7Y" or "P90D"."""
    description: str = ""


class RecordingDeviceSpec(Spec):
    """What is recorded with, such as a probe or an array."""

    proto: ClassVar[type[Message]] = session_pb2.RecordingDevice
    name: str = ""
    description: str = ""
    manufacturer: str = ""


class ElectrodeSpec(Spec):
    """A contact of a device."""

    proto: ClassVar[type[Message]] = session_pb2.Electrode
    name: str = ""
    device: str = ""
    """Of the devices."""
    location: str = ""
    """Where in the brain, as in "V4"."""


class RecordingSpec(Spec):
    """Whom and what a session records from, for exported files; no search depends on it."""

    proto: ClassVar[type[Message]] = session_pb2.Recording
    subject: SubjectSpec | None = None
    devices: list[RecordingDeviceSpec] = Field(default_factory=list)
    electrodes: list[ElectrodeSpec] = Field(default_factory=list)
    experimenters: list[str] = Field(default_factory=list)
    """As in "Last, First"."""
    institution: str = ""
    lab: str = ""


class StimulusShapeSpec(Spec):
    """Of the stimuli, for generators that make whatever is asked for, such as "pixel" or "fourier"."""

    proto: ClassVar[type[Message]] = session_pb2.StimulusShape
    shape: list[int]
    """(channels, height, width) of an image, (channels, time) of a series."""
    low: float = 0.0
    """Value range; 0 to 1 when both are 0."""
    high: float = 0.0
    modality: Literal["image", "series"] = "image"


class ReferencesSpec(Spec):
    """Stimuli whose responses tell how excitable the units are at the moment; shown in every generation."""

    proto: ClassVar[type[Message]] = session_pb2.References
    rate: float = 0.1
    """Share of a generation's presentations; 0 for none."""
    synthetic: int = 8
    """Natural latents of the generator's bank (uniform draws where it has none), chosen by the seed."""
    stimuli: TensorSpec | None = None
    """Or pictures of one's own, (n, *stimulus) in the stimulus's range."""


class SessionDesignSpec(Spec):
    """A generation, and what is done about noise."""

    proto: ClassVar[type[Message]] = session_pb2.SessionDesign
    generation_size: int = 40
    """Presentations a generation at most, all kinds together. What an optimizer asks at once comes in as many generations as it takes."""
    replicates: int = 1
    """How often each candidate is shown; each time is an evaluation, the optimizer is told mean and variance."""
    references: ReferencesSpec = ReferencesSpec()
    leaders: int = 1
    """Presentations a generation of what is recommended so far."""
    remeasure: float = 0.2
    """Share of the evaluations that is kept back to measure the leading candidates again, at the end."""
    normalise: bool | None = None
    """Whether scores are divided by the units' momentary gain, as references tell it; true when absent and there are references."""
    generation_seconds: float = 0.0
    """Seconds after which what is untold of a generation counts as missed; 0: the session waits."""


class StopRulesSpec(Spec):
    """When a session ends: at whichever limit is reached first."""

    proto: ClassVar[type[Message]] = session_pb2.StopRules
    evaluations: int
    """Presentations of candidates, replicates and leaders measured at the end."""
    plateau: int | None = None
    """Evaluations without improvement."""
    significance: float = 0.0
    """The recommended stimulus beats the references at this level, all looks at it together; 0 never."""


class PresentationSpec(Spec):
    """How stimuli travel."""

    proto: ClassVar[type[Message]] = session_pb2.Presentation
    encoding: Annotated[Literal["float32", "uint8", "png"], short("STIMULUS_ENCODING_")] = "float32"
    width: int = 0
    """Of images at the rig, in pixels; both or none. Resized bicubically with antialiasing."""
    height: int = 0


class SessionThreadSpec(Spec):
    """A search of its own within a session. What is left out is the session's."""

    proto: ClassVar[type[Message]] = session_pb2.SessionThread
    name: str
    """For people, and for trials."""
    unit: str = ""
    objective: ComponentSpec | None = None
    optimizer: ComponentSpec | None = None
    share: float = 1.0
    """Of the evaluations, in proportion to the other threads'."""


class WarmStartSpec(Spec):
    """Latents that every search tries before any others; their scores are measured anew, since a neuron's gain may be another one today.
    They are kept in the session's own log, so that it needs no other session to go on."""

    proto: ClassVar[type[Message]] = session_pb2.WarmStart
    sessions: list[str] = Field(default_factory=list)
    """The best of these sessions, by turns: what each recommends, then its other leaders. Of the same owner and generator."""
    most: int = 8
    """How many at most."""
    latents: TensorSpec | None = None
    """Instead of sessions, (k, *latent) of one's own, the most promising first."""


class SessionSpec(Spec):
    """A closed-loop experiment: what is shown, what is recorded, what is sought."""

    proto: ClassVar[type[Message]] = session_pb2.SessionSpec
    title: str = ""
    generator: ComponentSpec
    units: list[RecordedUnitSpec]
    unit: str = ""
    """Address of what the objective is about; the first unit when empty."""
    objective: ComponentSpec = ComponentSpec(name="unit")
    """As a job's. Those that compare candidates, or ask the target beforehand, are refused."""
    optimizer: ComponentSpec = ComponentSpec(name="auto")
    """What searches; "auto" is what has measured best for noisy responses."""
    design: SessionDesignSpec = SessionDesignSpec()
    stop: StopRulesSpec
    seed: int = 0
    prior: Literal["natural", "none"] = "natural"
    """Where the search starts: "natural" from the generator's bank of natural latents, "none" blind."""
    constraints: ConstraintsSpec = ConstraintsSpec()
    stimulus: StimulusShapeSpec | None = None
    presentation: PresentationSpec = PresentationSpec()
    expire_seconds: float = 604800.0
    """Seconds without a word from the rig after which the session expires. Its trials are kept."""
    threads: list[SessionThreadSpec] = Field(default_factory=list)
    """Several searches, interleaved in every generation; one with the session's own unit, objective and optimizer when empty. They share
    the evaluations, references and controls, and know nothing of each other's candidates."""
    warm_start: WarmStartSpec | None = None
    recording: RecordingSpec | None = None
