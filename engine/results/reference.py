"""The reference stimuli that responses are compared with, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """Kind of the reference stimuli, in the words of reports."""

    kind: str

    @property
    def best(self) -> str:
        """The words for the reference stimulus with the highest response, such as "best natural"."""
        return f"best {self.kind}"

    def among(self, modality: str) -> str:
        """Return the words for all reference stimuli of a modality, such as "natural test images"."""
        return f"{self.kind} test {'images' if modality == 'image' else 'stimuli'}"


REFERENCE = Reference("natural")
"""Reference of the responses in :attr:`SearchResult.reference`."""
