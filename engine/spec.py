"""A job as plain data: the Python form of ``actmax.v1.JobSpec`` and of a job file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import InvalidJob, Violation


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ComponentSpec(_Strict):
    """A component by ``name``, with its ``options``."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    options: dict[str, Any] = Field(default_factory=dict)


class BudgetSpec(_Strict):
    """When a search ends: at whichever limit is reached first; at least ``evaluations`` or ``seconds`` is set.

    Attributes
    ----------
    evaluations : int or None
        Candidates evaluated for each unit and optimizer.
    seconds : float or None
        Running time of the whole job.
    plateau : int or None
        Evaluations of one search without improvement.
    """

    evaluations: Annotated[int, Field(ge=1, le=10**9)] | None = None
    seconds: Annotated[float, Field(gt=0, le=10**8, allow_inf_nan=False)] | None = None
    plateau: Annotated[int, Field(ge=1, le=10**9)] | None = None

    @model_validator(mode="after")
    def _limited(self) -> BudgetSpec:
        if self.evaluations is None and self.seconds is None:
            raise ValueError("set evaluations or seconds, more than zero; a search needs an end")
        return self


class DesignSpec(_Strict):
    """What to do about noise.

    Attributes
    ----------
    replicates : int
        How often each candidate is shown; each time is an evaluation.
    remeasure : float or None
        Share of each search's evaluations kept back to measure the leading candidates again. None: 0.1 on a noisy target, else 0.
    noisy : bool or None
        Whether the same stimulus may be answered differently twice. None: as the target says; one that says nothing is taken to be exact.
    """

    replicates: Annotated[int, Field(ge=1, le=10_000)] = 1
    remeasure: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)] | None = None
    noisy: bool | None = None


class ConstraintsSpec(_Strict):
    """What every stimulus has to keep.

    Attributes
    ----------
    within : float or None
        Most standard deviations from natural latents (root mean square over whitened coordinates); real-valued latents only.
    changes : float or None
        Largest share of codes that differ from the nearest natural code map of the bank; codes only.
    luminance : float or None
        Mean over all values of a stimulus.
    contrast : float or None
        Standard deviation over all values of a stimulus.
    """

    within: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    changes: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    luminance: Annotated[float, Field(allow_inf_nan=False)] | None = None
    contrast: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class DiverseSpec(_Strict):
    """Several optima a search, instead of one.

    Attributes
    ----------
    n : int
        How many.
    distance : float
        Least between any two: 0 is the same latent, about 1 as far as two natural ones are on average. The share of codes that differ,
        or, of real-valued latents, the root mean square difference over that of two natural latents (uniform draws where none are known).
    """

    n: Annotated[int, Field(ge=2, le=100)]
    distance: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5


class TransformationsSpec(_Strict):
    """Random changes of each stimulus, over which its score is averaged.

    Attributes
    ----------
    preset : str
        Name of a recipe; or else
    steps : list of ComponentSpec
        Transformations in order.
    samples : int or None
        Draws a candidate and evaluation; None: as the preset says, else 1.
    """

    preset: Annotated[str, Field(max_length=200)] = ""
    steps: Annotated[list[ComponentSpec], Field(max_length=50)] = Field(default_factory=list)
    samples: Annotated[int, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _some(self) -> TransformationsSpec:
        if bool(self.preset) == bool(self.steps):
            raise ValueError("name a preset, or steps, at least one; leave transformations out where there are none")
        return self


class ReportSpec(_Strict):
    """What the report holds besides what was found.

    Attributes
    ----------
    images : str
        A folder of pictures: those that drive each unit the most stand beside what was found for it. Empty: none.
    top : int
        How many of them a unit.
    film : {"none", "gif", "mp4"}
        What was found best at growing numbers of evaluations, one film a search.
    """

    images: Annotated[str, Field(max_length=4096)] = ""
    top: Annotated[int, Field(ge=1, le=50)] = 5
    film: Literal["none", "gif", "mp4"] = "none"


class ResourcesSpec(_Strict):
    """What each process of a job needs; a search in the caller's own process takes what there is.

    Attributes
    ----------
    cpus, gpus : float or None
        Cores and GPUs, parts of one included.
    memory : float or None
        GiB.
    """

    cpus: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] | None = None
    gpus: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None
    memory: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None


class ReplicasSpec(_Strict):
    """Several processes that evaluate a generation together, each with generator and target of its own.

    Attributes
    ----------
    n : int
        How many, where there are processes to be had; results do not depend on it.
    chunk : int
        Stimuli in one pass, transformed copies counted; the last bits of results depend on it, as sums are taken in another order.
    """

    n: Annotated[int, Field(ge=1, le=1000)]
    chunk: Annotated[int, Field(ge=1, le=10_000)] = 16


class JobSpec(_Strict):
    """What to search, for which units, how. See ``protos/actmax/v1/job.proto`` for the fields."""

    title: Annotated[str, Field(max_length=200)] = ""
    generator: ComponentSpec
    target: ComponentSpec
    units: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    objective: ComponentSpec = ComponentSpec(name="unit")
    optimizer: ComponentSpec = ComponentSpec(name="auto")
    baselines: Annotated[list[ComponentSpec], Field(max_length=20)] = Field(default_factory=list)
    budget: BudgetSpec
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    prior: Literal["natural", "none"] = "natural"
    sharing: bool = True
    design: DesignSpec = DesignSpec()
    constraints: ConstraintsSpec = ConstraintsSpec()
    transformations: TransformationsSpec | None = None
    diverse: DiverseSpec | None = None
    report: ReportSpec = ReportSpec()
    analyses: Annotated[list[ComponentSpec], Field(max_length=20)] = Field(default_factory=list)
    resources: ResourcesSpec = ResourcesSpec()
    replicas: ReplicasSpec | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> JobSpec:
        """Read a job from plain data.

        Raises
        ------
        InvalidJob
            With one violation a wrong field, by its path.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidJob(violations_of(error, "")) from None


def violations_of(error: ValidationError, prefix: str) -> list[Violation]:
    """Pydantic's errors as violations, their fields below ``prefix``."""
    found: list[Violation] = []
    for item in error.errors():
        path = prefix
        for part in item["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "there is no such field"
        found.append(Violation(path, message))
    return found
