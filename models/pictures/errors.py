"""The error of an unreadable picture."""

from __future__ import annotations


class UnreadablePicture(ValueError):
    """A picture that can't be read; the message gives the reason and what would work, without the picture's name."""
