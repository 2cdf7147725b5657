"""What came of a session, as a page, pictures and numbers; needs numpy and Pillow alone."""

from .write import write_report

__all__ = ["write_report"]
