"""A session as plain data: the Python form of ``actmax.v1.SessionSpec``."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..errors import InvalidJob
from ..spec import ComponentSpec, ConstraintsSpec, violations_of

WEEK = 7 * 86400.0
DTYPES = {"float32": "<f4", "float64": "<f8", "uint8": "|u1", "int32": "<i4", "int64": "<i8"}
"""Of tensors on the wire, with numpy's names of their little-endian forms."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _short(prefix: str) -> BeforeValidator:
    return BeforeValidator(lambda value: value.removeprefix(prefix).lower() if isinstance(value, str) else value)


class TensorSpec(_Strict):
    """An array: ``data`` holds its row-major little-endian bytes in base64, as many as ``shape`` and ``dtype`` need."""

    dtype: Literal["float32", "float64", "uint8", "int32", "int64"]
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=8)] = Field(default_factory=list)
    data: str = ""

    @model_validator(mode="after")
    def _whole(self) -> TensorSpec:
        self.array()
        return self

    def array(self) -> NDArray[Any]:
        """The array; ValueError where bytes and shape don't agree."""
        try:
            data = base64.b64decode(self.data, validate=True)
        except binascii.Error:
            raise ValueError("data is not base64") from None
        wanted = math.prod(self.shape) * np.dtype(DTYPES[self.dtype]).itemsize
        if len(data) != wanted:
            raise ValueError(f"{self.dtype} of shape {self.shape} takes {wanted} bytes, data has {len(data)}")
        return np.frombuffer(data, DTYPES[self.dtype]).reshape(self.shape)


class UnitSpec(_Strict):
    """A recorded unit; what is told for it is a spike ``count``, a ``rate`` of at least 0, or any ``signed`` number."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    kind: Annotated[Literal["count", "rate", "signed"], _short("RESPONSE_KIND_")] = "count"


class ShapeSpec(_Strict):
    """Of the stimuli, for generators that make whatever is asked for."""

    shape: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(min_length=2, max_length=3)]
    low: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    high: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    modality: Literal["image", "series"] = "image"

    @model_validator(mode="after")
    def _ordered(self) -> ShapeSpec:
        if not (self.low == self.high == 0 or self.low < self.high):
            raise ValueError(f"low {self.low:g} has to lie below high {self.high:g}")
        return self


class ReferencesSpec(_Strict):
    """What tells how excitable the units are: ``rate`` of a generation; ``synthetic`` of the generator's, or ``stimuli`` of one's own."""

    rate: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] = 0.1
    synthetic: Annotated[int, Field(ge=1, le=1000)] = 8
    stimuli: TensorSpec | None = None


class GenerationSpec(_Strict):
    """The design of a generation. See ``SessionDesign`` in ``protos/actmax/v1/session.proto``."""

    generation_size: Annotated[int, Field(ge=2, le=10_000)] = 40
    replicates: Annotated[int, Field(ge=1, le=1000)] = 1
    references: ReferencesSpec = ReferencesSpec()
    leaders: Annotated[int, Field(ge=0, le=1000)] = 1
    remeasure: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)] = 0.2
    normalise: bool | None = None
    generation_seconds: Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)] = 0.0


class StopSpec(_Strict):
    """When a session ends: at whichever limit is reached first."""

    evaluations: Annotated[int, Field(ge=1, le=10**8)]
    plateau: Annotated[int, Field(ge=1, le=10**8)] | None = None
    significance: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] = 0.0


class PresentationSpec(_Strict):
    """How stimuli travel; ``width`` and ``height``, in pixels, where images are to come in the rig's size."""

    encoding: Annotated[Literal["float32", "uint8", "png"], _short("STIMULUS_ENCODING_")] = "float32"
    width: Annotated[int, Field(ge=0, le=8192)] = 0
    height: Annotated[int, Field(ge=0, le=8192)] = 0

    @model_validator(mode="after")
    def _both(self) -> PresentationSpec:
        if bool(self.width) != bool(self.height):
            raise ValueError("width and height are given both, or none")
        return self


class ThreadSpec(_Strict):
    """A search of its own within a session; what is left out is the session's. Evaluations are split as ``share`` is to the others'."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    unit: Annotated[str, Field(max_length=1000)] = ""
    objective: ComponentSpec | None = None
    optimizer: ComponentSpec | None = None
    share: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0


class WarmStartSpec(_Strict):
    """Latents to try before any others: ``most`` of earlier ``sessions``' best, or ``latents`` of one's own; kept in the session's log."""

    sessions: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=64)] = Field(default_factory=list)
    most: Annotated[int, Field(ge=1, le=1000)] = 8
    latents: TensorSpec | None = None


class SessionSpec(_Strict):
    """What is shown, what is recorded, what is sought. See ``protos/actmax/v1/session.proto`` for the fields."""

    title: Annotated[str, Field(max_length=200)] = ""
    generator: ComponentSpec
    units: Annotated[list[UnitSpec], Field(min_length=1, max_length=4096)]
    unit: Annotated[str, Field(max_length=1000)] = ""
    objective: ComponentSpec = ComponentSpec(name="unit")
    optimizer: ComponentSpec = ComponentSpec(name="auto")
    design: GenerationSpec = GenerationSpec()
    stop: StopSpec
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    prior: Literal["natural", "none"] = "natural"
    constraints: ConstraintsSpec = ConstraintsSpec()
    stimulus: ShapeSpec | None = None
    presentation: PresentationSpec = PresentationSpec()
    expire_seconds: Annotated[float, Field(gt=0, le=4e8, allow_inf_nan=False)] = WEEK
    threads: Annotated[list[ThreadSpec], Field(max_length=16)] = Field(default_factory=list)
    warm_start: WarmStartSpec | None = None

    @model_validator(mode="after")
    def _distinct(self) -> SessionSpec:
        names = [unit.name for unit in self.units]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated or "population" in names:
            raise ValueError(f"units need names of their own, {(repeated or ['population'])[0]!r} has another meaning")
        called = [thread.name for thread in self.threads]
        twice = [name for name in called if called.count(name) > 1]
        if twice:
            raise ValueError(f"threads need names of their own, {twice[0]!r} is there more than once")
        return self

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> SessionSpec:
        """Read a session from plain data.

        Raises
        ------
        InvalidJob
            With one violation a wrong field, by its path.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidJob(violations_of(error, "")) from None
