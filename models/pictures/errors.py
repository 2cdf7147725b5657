"""What is wrong with a picture."""

from __future__ import annotations


class UnreadablePicture(ValueError):
    """A picture that can't be read; its text says why and what would work, and not which picture."""
