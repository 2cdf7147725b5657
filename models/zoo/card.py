"""A model's card: its training data, its figures, and the command that trains it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .weights import FOLDER


class Responses(BaseModel):
    """Responses of every unit of one layer to natural stimuli.

    Attributes
    ----------
    layer : str
        The layer.
    readout : str
        Kind of a response, e.g. ``spike count``.
    stimuli : str
        Description of the stimuli.
    levels : list of float
        Quantile levels, 0 to 1.
    quantiles : list of list of float
        One row a unit, one value a level.
    names : list of str
        Names of the units.
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
    """Return the card of a shipped model.

    Parameters
    ----------
    name : str
        Name of the model in the zoo.
    folder : Path
        The folder of weights and cards.
    """
    return Card.model_validate_json((folder / f"{name}.json").read_text())


class NaturalResponses:
    """Quantiles of responses and names of units, from a card."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def __call__(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """Return a unit's responses by quantile level, 0 to 1, or None where the card doesn't have the unit."""
        measured = self._responses
        if layer != measured.layer or len(index) != 1 or index[0] >= len(measured.quantiles):
            return None
        return dict(zip(measured.levels, measured.quantiles[index[0]], strict=True))

    def name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit, or an empty text."""
        measured = self._responses
        return measured.names[index[0]] if layer == measured.layer and len(index) == 1 and index[0] < len(measured.names) else ""
