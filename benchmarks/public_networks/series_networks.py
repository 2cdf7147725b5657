"""torch's own classes: recurrent networks, transformers over sequences, one-dimensional convolutions."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .entry import Around, PublicNetwork

_SIGNED = {"low": -1.0, "high": 1.0}


def _by_time(x: Tensor) -> Tensor:
    """(n, channels, time) -> (n, time, channels)."""
    return x.transpose(1, 2)


class LastState(nn.Module):
    """An LSTM whose last hidden state is classified, as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 24, num_layers=2, batch_first=True)
        self.classifier = nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(x.transpose(1, 2))
        return self.classifier(hidden[-1])


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 16, 7, stride=2),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 6),
    )


def _encoder(batch_first: bool) -> nn.Module:
    part = nn.TransformerEncoderLayer(16, 4, 32, batch_first=batch_first)
    return nn.TransformerEncoder(part, 3, enable_nested_tensor=False)


def _entry(name: str, family: str, make: Any, shape: tuple[int, ...], **further: Any) -> PublicNetwork:
    return PublicNetwork(f"torch {name}", "torch", family, make, shape, **{"options": _SIGNED, **further})


NETWORKS = [
    _entry("LSTM, last hidden state", "LSTM", LastState, (4, 40), around="a classifier on the hidden state"),
    _entry("GRU", "GRU", lambda: nn.GRU(6, 24, batch_first=True), (30, 6)),
    _entry("Conv1d", "1-D CNN", _convolutions, (2, 128), around="nn.Sequential of torch's layers"),
    _entry("TransformerEncoder, batch first", "transformer", lambda: _encoder(True), (24, 16)),
    _entry(
        "TransformerEncoder, time first",
        "transformer",
        lambda: Around(_encoder(False), lambda x: x.permute(2, 0, 1), lambda y: y.mean(0)),
        (16, 24),
        around="a module that puts time first, and averages over it",
    ),
]
