"""Errors about invalid jobs, by field, and about jobs without a result."""

from __future__ import annotations

from collections.abc import Sequence

from ..wire.errors import FieldViolation as Violation


class InvalidJob(ValueError):
    """A job that is refused before any work starts; ``violations`` has the wrong fields."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in self.violations))

    @classmethod
    def at(cls, field: str, description: str) -> InvalidJob:
        """Return an error with one violation."""
        return cls([Violation(field, description)])


class Unmeasured(RuntimeError):
    """A job ended without a single finite response, so that there is nothing to report; the message says what the responses were."""
