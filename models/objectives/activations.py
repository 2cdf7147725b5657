"""The distance of responses to those of a given image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ..options import InvalidOption
from ..units import UnitAddress
from .options import UnitOptions
from .reference import ReferenceOptions
from .setting import Setting
from .unit import OfUnit, read

Measure = Literal["distance", "cosine", "dot"]


class Activations(OfUnit):
    """How like its responses are to those to a given image: inversion of a layer, or of the part that the unit's address names.

    ``distance``: minus the squared distance over the squared norm of the reference, ≤ 0 (Mahendran and Vedaldi, "Understanding deep image
    representations by inverting them", 2015, equation 2). ``cosine``: in [-1, 1]. ``dot``: the product, normalised by the reference's
    norm alone, which exaggerates what the layer sees in the image (an activation caricature).
    """

    class Options(ReferenceOptions, UnitOptions):
        """Options of the objective."""

        measure: Measure = Field(default="distance", description="'distance', 'cosine', or 'dot' for a caricature.")

    def __init__(self, unit: UnitAddress, reference: Tensor, measure: Measure = "distance") -> None:
        self.unit, self.reference, self.measure = unit, reference.flatten(), measure

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Self:
        """Return the objective for one address of a job.

        Raises
        ------
        InvalidOption
            The image can't be read, or the unit does not respond to it.
        """
        reference = read(unit, setting.reference(options.image, {unit.layer}, "image", options.fit))
        if not bool((reference != 0).any()):
            raise InvalidOption("image", f"{unit} does not respond to it at all")
        return cls(unit, reference, options.measure)

    def __call__(self, responses: Mapping[str, Tensor], /) -> Tensor:
        """Return the scores of responses: {layer: (n, *layer)} -> (n,)."""
        values = self.values(responses)
        reference = self.reference.to(values)
        if self.measure == "distance":
            return -(values - reference).square().sum(1) / reference.square().sum()
        direction = F.normalize(reference, dim=0)
        return (F.normalize(values, dim=1) if self.measure == "cosine" else values) @ direction
