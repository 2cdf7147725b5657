"""Options of objectives that compare responses with those to a given image."""

from __future__ import annotations

from pydantic import Field

from ..image_source import Fit, ImageSource
from ..options import OptionsModel


class ReferenceOptions(OptionsModel):
    """Options of an image whose responses are the reference."""

    image: ImageSource = Field(description="The picture, as a data URI, or a path where the caller may read files.")
    fit: Fit = Field(
        default="exact", description="What to do about an image of another size: 'exact' refuses it, else 'crop' or 'stretch'."
    )
