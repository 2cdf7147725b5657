"""Jobs as Python classes, after ``protos/actmax/v1/job.proto``; ``make protos`` writes this file."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from google.protobuf.message import Message
from pydantic import Field

from actmax.v1 import job_pb2

from .schema import Spec


class ComponentSpec(Spec):
    """A generator, target, objective, optimizer, transformation or analysis, named as in the catalog."""

    proto: ClassVar[type[Message]] = job_pb2.Component
    name: str
    """A registered name such as "cifar10-vqvae", or "package:attribute" where the server's owner allows it."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the component; the catalog holds their JSON schema."""


class BudgetSpec(Spec):
    """When a search ends: at whichever limit is reached first. At least one of evaluations and seconds is set."""

    proto: ClassVar[type[Message]] = job_pb2.Budget
    evaluations: int | None = None
    """Candidates evaluated for each unit and optimizer."""
    seconds: float | None = None
    """Seconds of running time of the whole job."""
    plateau: int | None = None
    """Evaluations of a search without improvement after which that search ends."""


class DesignSpec(Spec):
    """What to do about noise."""

    proto: ClassVar[type[Message]] = job_pb2.Design
    replicates: int = 1
    """How often each candidate is shown; each time is an evaluation, the optimizer is told mean and variance."""
    remeasure: float | None = None
    """Share (0 to 0.9) of each search's evaluations that is kept back to measure its leading candidates again. The response that is
    reported then comes from measurements that had no part in choosing the stimulus. Absent: 0.1 on a noisy target, else 0."""
    noisy: bool | None = None
    """Whether the same stimulus may be answered differently twice. Absent: as the target says."""


class ConstraintsSpec(Spec):
    """What every stimulus has to keep; each is absent where it is free."""

    proto: ClassVar[type[Message]] = job_pb2.Constraints
    max_latent_std: float | None = None
    """Most standard deviations from natural latents: the root mean square over a latent's whitened coordinates, about 1 for natural ones.
    For generators of real-valued latents with a prior."""
    max_code_changes: float | None = None
    """Largest share (0 to 1) of a code map's codes that differ from the nearest natural code map of the generator's bank. For generators of
    codes with a prior."""
    luminance: float | None = None
    """Mean over all values of a stimulus, in its own unit (images are in [0, 1])."""
    contrast: float | None = None
    """Standard deviation over all values of a stimulus (root-mean-square contrast), in its own unit."""


class TransformationsSpec(Spec):
    """Random changes of each stimulus, over which its score is averaged."""

    proto: ClassVar[type[Message]] = job_pb2.Transformations
    preset: str = ""
    """A recipe by name, such as "lucid"; or else steps."""
    steps: list[ComponentSpec] = Field(default_factory=list)
    """Transformations in order, as in the catalog."""
    samples: int | None = None
    """Draws for each candidate and evaluation; absent: as the preset says, else 1."""


class DiverseSpec(Spec):
    """Several optima a search, instead of one."""

    proto: ClassVar[type[Message]] = job_pb2.Diverse
    n: int
    """How many."""
    distance: float = 0.5
    """Least distance between any two. 0 is the same latent, about 1 as far apart as two natural ones are on average: the share of codes
    that differ, or, of real-valued latents, the root mean square difference over that of two natural latents (uniform draws where none
    are known)."""


class ReportSpec(Spec):
    """What the report holds besides what was found."""

    proto: ClassVar[type[Message]] = job_pb2.Report
    images: str = ""
    """A folder of pictures on the server, where its owner allows it: those that drive each unit the most stand beside what was found for
    it. Empty: none."""
    top: int = 5
    """How many of the pictures are shown for each unit."""
    film: Literal["none", "gif", "mp4"] = "none"
    """One film a search, of what it had found best at growing numbers of evaluations."""


class ResourcesSpec(Spec):
    """What each process of a job needs. A server with local workers refuses what its machine never has, and is bound by its own settings
    else; on Ray it decides where the job runs. What is 0 or absent is left to the server."""

    proto: ClassVar[type[Message]] = job_pb2.Resources
    cpus: float | None = None
    """CPU cores, parts of one included."""
    gpus: float | None = None
    """GPUs, parts of one included. On Ray a job that asks for none sees none."""
    memory: float | None = None
    """GiB."""


class ReplicasSpec(Spec):
    """Several processes that evaluate a generation together, each with generator and target of its own."""

    proto: ClassVar[type[Message]] = job_pb2.Replicas
    n: int
    """How many, the job's own process counted. Local workers evaluate all chunks in that one. Results do not depend on it."""
    chunk: int = 16
    """Stimuli in one pass, transformed copies counted. The last bits of results depend on it, as sums are taken in another order."""


class JobSpec(Spec):
    """What to search, for which units, how."""

    proto: ClassVar[type[Message]] = job_pb2.JobSpec
    title: str = ""
    """Shown in lists and reports."""
    generator: ComponentSpec
    target: ComponentSpec
    units: list[str]
    """Addresses such as "lif_out[3]", "conv2[12]" or "lif_out[*]" (one search for every index)."""
    objective: ComponentSpec = ComponentSpec(name="unit")
    """How a unit's response is scored."""
    optimizer: ComponentSpec = ComponentSpec(name="auto")
    """What searches; "auto" is the search that has measured best for such a job."""
    baselines: list[ComponentSpec] = Field(default_factory=list)
    """Further optimizers given the same units and budget, for comparison in the report."""
    budget: BudgetSpec
    seed: int = 0
    """Every random draw comes from it."""
    device: str = "auto"
    """Where it runs: "auto", "cpu", "cuda" or "cuda:1"."""
    prior: Literal["natural", "none"] = "natural"
    """Where searches start: "natural" from the generator's bank of natural latents, "none" blind."""
    sharing: bool = True
    """Whether the searches of one optimizer learn from each other's candidates, where the optimizer can. Searches of different optimizers
    never do, so that comparing them stays fair."""
    design: DesignSpec = DesignSpec()
    constraints: ConstraintsSpec = ConstraintsSpec()
    transformations: TransformationsSpec | None = None
    """Absent: stimuli are shown as they are."""
    diverse: DiverseSpec | None = None
    """Absent: one optimum."""
    report: ReportSpec = ReportSpec()
    analyses: list[ComponentSpec] = Field(default_factory=list)
    """What is computed about the units once the searches have ended, besides what report asks for."""
    resources: ResourcesSpec = ResourcesSpec()
    replicas: ReplicasSpec | None = None
    """Absent: one process, with passes as large as fit."""
