"""What a person looks at, and what a program reads, once a job has ended."""

from ..results.view import show_results_by
from . import notebook
from .artifacts import write_artifacts

__all__ = ["write_artifacts"]

show_results_by(notebook)
