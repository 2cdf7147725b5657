"""What regularisers share: they read stimuli or latents, and are positive where there is something to keep down."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from ..options import InvalidOption
from ..spaces import Categorical
from .objective import LATENT, STIMULUS
from .options import ObjectiveOptions
from .setting import Setting

Of = Literal["stimulus", "latent"]


class NormOptions(ObjectiveOptions):
    """Options of norms."""

    of: Annotated[Of, Field(description="Of the stimulus, or of the latent (real-valued ones only).")] = "stimulus"
    centre: Annotated[
        float | None,
        Field(
            ge=-1e6,
            le=1e6,
            allow_inf_nan=False,
            description="Value that counts nothing; by default the middle of the stimulus's range, 0 of a latent.",
        ),
    ] = None


def norm_of(options: NormOptions, setting: Setting) -> tuple[str, float]:
    """The layer that a norm reads, and its centre."""
    if options.of == "latent":
        if isinstance(setting.latent, Categorical):
            raise InvalidOption("of", "this generator's latents are codes, which have no size; use stimulus, or code-prior")
        return LATENT, options.centre or 0.0
    middle = (setting.stimulus.low + setting.stimulus.high) / 2
    return STIMULUS, middle if options.centre is None else options.centre


def flat(responses: Tensor) -> Tensor:
    """(n, values)."""
    return responses.flatten(1)
