"""From a session's text to its parts: everything that can be refused is refused here, before the first trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.generators.generator import Generator
from ...models.permissions import NOTHING, Permissions
from ...models.plugins.keeping import KeptPlugin
from ...models.spaces import Box, StimulusSpec
from ...wire.arrays import tensor_values
from ..build import build_generator
from ..components.registry import Resolver
from ..errors import InvalidJob
from ..search.design import Design
from .checked import CheckedSession
from .recorded import RecordedTarget
from .spec import SessionSpec


def check_session(
    spec: SessionSpec,
    *,
    permissions: Permissions = NOTHING,
    given: Mapping[str, Any] | None = None,
    plugin: KeptPlugin | None = None,
    created: bool = True,
) -> CheckedSession:
    """Resolve every component, option, unit and pairing of a session without starting it.

    Parameters
    ----------
    spec : SessionSpec
        The session.
    permissions : Permissions
        What the session may import, read and ask.
    given : mapping of str to object, optional
        Parts that the session names and that are at hand.
    plugin : KeptPlugin, optional
        What the generator's plugin has said of itself, which is not asked again then.
    created : bool
        Whether it is a new session. One that is opened again is not refused for what it could not report at its end.

    Raises
    ------
    InvalidJob
        With a violation for each wrong part.
    """
    plugin = plugin or KeptPlugin()
    given = given or {}
    asked = spec.stimulus
    wanted = None
    if asked is not None:
        high = asked.high if asked.high > asked.low else 1.0
        try:
            wanted = StimulusSpec(tuple(asked.shape), asked.low, high, asked.modality)
        except ValueError as error:
            raise InvalidJob.at("stimulus.shape", str(error)) from None
    with plugin.keeping():
        generator = build_generator(spec.generator, wanted, permissions=permissions, given=given)
    if generator is None:
        raise InvalidJob.at("stimulus", f"{spec.generator.name} makes stimuli of any shape; say which")
    if wanted is not None and generator.stimulus != wanted:
        raise InvalidJob.at("stimulus", f"{spec.generator.name} makes an {generator.stimulus}; leave stimulus out, or say the same")
    if spec.presentation.encoding == "png" or spec.presentation.width:
        shape = generator.stimulus.shape
        if generator.stimulus.modality != "image" or shape[0] not in (1, 3):
            raise InvalidJob.at("presentation", f"{generator.stimulus} is no picture of 1 or 3 channels; only its values can be sent")
    _check_normalising(spec)
    references, pictures = _references(spec, generator)
    target = RecordedTarget(spec.units, generator.stimulus)
    starts = _starts(spec, generator)
    parts = (spec, generator, generator, target, references, pictures, starts)
    checked = CheckedSession(*parts, Resolver(permissions, given), plugin)
    design, threads = spec.design, range(len(checked.threads))
    least = min(checked.rooms(threads))
    if least < design.leaders + design.replicates:
        among = " a thread" if len(threads) > 1 else ""
        besides = f"{checked.references_shown} references and {design.leaders} leaders{among}"
        raise InvalidJob.at("design.generation_size", f"{besides} leave no room for a candidate in {design.generation_size}")
    if min(checked.evaluations) < 1:
        raise InvalidJob.at("stop.evaluations", f"{spec.stop.evaluations} are too few for {len(threads)} threads with these shares")
    if created:
        _check_remeasured(checked)
    for thread in threads:
        aim, evaluations = checked.aims[thread], checked.evaluations[thread]
        job = checked.job(thread, aim, checked.optimizer(thread), 0, evaluations)
        checked.search(thread, aim, 0, evaluations)
    return replace(checked, decoder=job.generator)  # pyright: ignore[reportPossiblyUnboundVariable] - there is a thread


def _starts(spec: SessionSpec, generator: Generator) -> Tensor | None:
    asked = spec.warm_start
    if asked is None:
        return None
    if asked.latents is None:
        what = "sessions are looked up by the server that has them; elsewhere give latents"
        raise InvalidJob.at("warm_start", what if asked.sessions else "name sessions, or give latents")
    found, space = tensor_values(**asked.latents.model_dump()), generator.latent
    wanted = np.dtype("float32" if isinstance(space, Box) else "int64")
    if found.ndim != len(space.shape) + 1 or found.shape[1:] != tuple(space.shape) or not len(found) or found.dtype != wanted:
        shape = ", ".join(map(str, space.shape))
        what = f"they are {found.dtype} of shape {list(found.shape)}; {spec.generator.name} has {wanted} (n, {shape})"
        raise InvalidJob.at("warm_start.latents", what)
    latents = torch.from_numpy(found.astype(wanted))
    try:
        space.check(latents)
    except ValueError as error:
        raise InvalidJob.at("warm_start.latents", str(error)) from None
    return latents.unique_consecutive(dim=0)[: asked.most]


def _check_remeasured(checked: CheckedSession) -> None:
    """Refuse a session in which nothing would be left to measure its recommendation with."""
    share, fewest = checked.spec.design.remeasure, min(checked.evaluations)
    if share and not Design(remeasure=share).reserve(fewest):
        among = " for a thread" if len(checked.threads) > 1 else ""
        what = f"{fewest}{among} leave none to measure the recommendation again; {math.ceil(1 / share)} are the fewest"
        raise InvalidJob.at("stop.evaluations", f"{what} with design.remeasure {share:g}")


def _check_normalising(spec: SessionSpec) -> None:
    signed = [unit.name for unit in spec.units if unit.kind == "signed"]
    if spec.design.normalise and signed:
        raise InvalidJob.at("design.normalise", f"{signed[0]} is signed, so it has no gain that references could tell; set false")
    if spec.design.normalise and not spec.design.references.rate:
        raise InvalidJob.at("design.normalise", "without references nothing tells the gain; set references.rate, or false")


def _references(spec: SessionSpec, generator: Generator) -> tuple[Tensor | None, Tensor | None]:
    asked = spec.design.references
    if asked.stimuli is not None:
        array = tensor_values(**asked.stimuli.model_dump())
        stimulus = generator.stimulus
        if array.ndim == 0 or array.shape[1:] != stimulus.shape or not array.shape[0]:
            what = f"its shape is {list(array.shape)}; (n, {', '.join(map(str, stimulus.shape))}) is wanted, n at least 1"
            raise InvalidJob.at("design.references.stimuli", what)
        values = torch.from_numpy(array.astype("float32"))
        if not bool(((values >= stimulus.low) & (values <= stimulus.high)).all()):
            raise InvalidJob.at("design.references.stimuli", f"its values do not all lie in [{stimulus.low:g}, {stimulus.high:g}]")
        return None, values
    if not asked.rate:
        return None, None
    draws = torch.Generator().manual_seed((spec.seed ^ 0x5EED5EED) % 2**63)
    if generator.prior is not None:
        return generator.prior.sample(asked.synthetic, draws), None
    return generator.latent.sample(asked.synthetic, draws), None
