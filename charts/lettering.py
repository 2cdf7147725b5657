"""Text on pictures."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

from .style import FONT, FONT_BOLD
from .words import shortened


@dataclass(frozen=True)
class Fonts:
    """Of one size."""

    plain: ImageFont.FreeTypeFont
    bold: ImageFont.FreeTypeFont

    @classmethod
    def of(cls, size: int) -> Fonts:
        """``size`` in pixels."""
        return cls(ImageFont.truetype(str(FONT), size), ImageFont.truetype(str(FONT_BOLD), size))


def write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, font: ImageFont.FreeTypeFont, color: str, room: int) -> None:
    """``text`` in one line, shortened in its middle until it fits into ``room`` pixels."""
    line, longest = shortened(text, 200), min(len(text), 200)
    while longest > 3 and font.getlength(line) > room:
        longest -= 1
        line = shortened(text, longest)
    draw.text(at, line, fill=color, font=font)
