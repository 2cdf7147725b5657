"""An interpolation between two units."""

from __future__ import annotations

from pydantic import Field

from ..units import UnitAddress
from .joint import Joint
from .options import UnitOptions
from .setting import Setting


class Interpolated:
    """(1 - share) of one unit and share of another (Olah et al., "Feature Visualization", 2017, "Interaction between neurons")."""

    class Options(UnitOptions):
        """Options of the objective."""

        other: str = Field(min_length=1, max_length=500, description="Address of the second unit.")
        share: float = Field(default=0.5, ge=0, le=1, description="Of the second unit; the job's own has the rest.")

    @classmethod
    def from_setting(cls, options: Options, unit: UnitAddress, setting: Setting) -> Joint:
        """Return the weighted sum of both units for one unit of a job."""
        return Joint([(unit, 1 - options.share), (setting.unit(options.other, "other"), options.share)])
