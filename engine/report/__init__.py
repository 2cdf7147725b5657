"""What a person looks at, and what a program reads, once a job has ended."""

from .artifacts import write_artifacts

__all__ = ["write_artifacts"]
