"""What objectives may know of a small job."""

import pytest
import torch

from actmax.models.generators.prior import Prior
from actmax.models.objectives.setting import Setting
from actmax.models.spaces import Box
from objective_lab import network


@pytest.fixture(scope="session")
def setting() -> Setting:
    box = Box((4,), -3.0, 3.0)
    return Setting(network(), box, Prior(torch.randn(80, 4, generator=torch.Generator().manual_seed(1)).clamp(-3, 3), box))
