"""Options of objectives that compare responses with those to a given image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..image_source import Fit, ImageSource
from .options import ObjectiveOptions


class ReferenceOptions(ObjectiveOptions):
    """An image whose responses are wanted."""

    image: Annotated[ImageSource, Field(description="The picture, as a data URI, or a path where the caller may read files.")]
    fit: Annotated[Fit, Field(description="What to do about an image of another size: 'exact' refuses it, else 'crop' or 'stretch'.")] = (
        "exact"
    )
