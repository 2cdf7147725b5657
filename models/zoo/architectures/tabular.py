"""A small network over the rows of a table."""

from __future__ import annotations

from torch import Tensor, nn


class TabularMLP(nn.Module):
    """A network from rows of a table in [0, 1], (n, 1, features), to one logit a class, with two hidden layers."""

    def __init__(self, features: int = 10, widths: tuple[int, int] = (32, 16), classes: int = 2) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(features, widths[0])
        self.act1 = nn.ReLU()
        self.hidden2 = nn.Linear(widths[0], widths[1])
        self.act2 = nn.ReLU()
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(widths[1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, classes), of rows in [0, 1], (n, 1, features)."""
        hidden = self.act1(self.hidden1(2 * x.flatten(1) - 1))
        return self.fc(self.dropout(self.act2(self.hidden2(hidden))))
