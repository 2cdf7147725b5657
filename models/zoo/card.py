"""A model's card: what it was trained on, how well it does, how to train it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .weights import FOLDER


class Responses(BaseModel):
    """Responses of every unit of one layer over natural stimuli.

    Attributes
    ----------
    layer : str
        The layer.
    readout : str
        What a response is, e.g. ``spike count``.
    stimuli : str
        Over what.
    levels : list of float
        Quantile levels, 0 to 1.
    quantiles : list of list of float
        One row a unit, one value a level.
    names : list of str
        What the units stand for.
    """

    model_config = ConfigDict(extra="forbid")
    layer: str
    readout: str
    stimuli: str
    levels: list[float]
    quantiles: list[list[float]]
    names: list[str]


class Card(BaseModel):
    """The card of one model of the zoo, as stored beside its weights."""

    model_config = ConfigDict(extra="forbid")
    name: str
    summary: str
    data: str
    figures: dict[str, float]
    command: str
    seed: int
    epochs: int
    seconds: float
    machine: str
    parameters: int
    bytes: int
    responses: Responses | None = None


def read_card(name: str, folder: Path = FOLDER) -> Card:
    """The card of a shipped model."""
    return Card.model_validate_json((folder / f"{name}.json").read_text())


class NaturalResponses:
    """Answers ``natural_quantiles`` and ``unit_name`` from a card."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def __call__(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """Quantile level to response, or None where the card doesn't hold the unit."""
        measured = self._responses
        if layer != measured.layer or len(index) != 1 or index[0] >= len(measured.quantiles):
            return None
        return dict(zip(measured.levels, measured.quantiles[index[0]], strict=True))

    def name(self, layer: str, index: tuple[int, ...]) -> str:
        """What the unit stands for, or an empty text."""
        measured = self._responses
        return measured.names[index[0]] if layer == measured.layer and len(index) == 1 and index[0] < len(measured.names) else ""
