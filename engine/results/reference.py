"""What found responses are compared with, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """What kind of stimuli found responses are compared with, as reports say it."""

    kind: str

    @property
    def best(self) -> str:
        """The strongest of them."""
        return f"best {self.kind}"

    def among(self, modality: str) -> str:
        """All that were shown."""
        return f"{self.kind} test {'images' if modality == 'image' else 'stimuli'}"


REFERENCE = Reference("natural")
"""Of the responses in :attr:`SearchResult.reference`."""
