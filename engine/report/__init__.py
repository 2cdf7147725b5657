"""The report of an ended job, for people, and its files for programs."""

from ..results.view import show_results_by
from . import notebook
from .artifacts import write_artifacts

__all__ = ["write_artifacts"]

show_results_by(notebook)
