"""Text on pictures."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

from .style import FONT, FONT_BOLD
from .words import shortened


@dataclass(frozen=True)
class Fonts:
    """The plain and the bold font of one size."""

    plain: ImageFont.FreeTypeFont
    bold: ImageFont.FreeTypeFont

    @classmethod
    def of(cls, size: int) -> Fonts:
        """Return the fonts of ``size`` pixels."""
        return cls(ImageFont.truetype(str(FONT), size), ImageFont.truetype(str(FONT_BOLD), size))


def write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, font: ImageFont.FreeTypeFont, color: str, room: int) -> None:
    """Draw a text in one line, shortened in its middle until it fits.

    Parameters
    ----------
    draw : ImageDraw
        The picture to draw on.
    at : tuple of int
        Left and top of the text, in pixels.
    text : str
        The text; line breaks and tabs become spaces.
    font : FreeTypeFont
        Its font.
    color : str
        Any colour that Pillow reads.
    room : int
        Most pixels that the line may be wide.
    """
    line, longest = shortened(text, 200), min(len(text), 200)
    while longest > 3 and font.getlength(line) > room:
        longest -= 1
        line = shortened(text, longest)
    draw.text(at, line, fill=color, font=font)
