import numpy as np
import pytest
import torch

from actmax.models.objectives.testing import check_objective
from actmax.models.objectives.unit import UnitObjective
from actmax.models.targets.target import LayerInfo
from actmax.models.units import resolve

SHAPES = {"conv": (6, 4, 5), "fc": (10,)}
LAYERS = [LayerInfo(name, shape, "") for name, shape in SHAPES.items()]


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("text", ["fc[3]", "fc", "conv[2]", "conv[2, 1, 4]", "conv[:, 1]", "conv[1:4, :, 0]"])
def test_contract_and_meaning(text, direction):
    (unit,) = resolve(text, LAYERS)
    objective = UnitObjective(unit, direction)
    check_objective(objective, SHAPES)
    response = np.random.default_rng(0).random((3, *SHAPES[unit.layer]), dtype=np.float32)
    expected = [float(np.mean(one[unit.index])) for one in response]
    sign = 1 if direction == "up" else -1
    assert objective({unit.layer: torch.from_numpy(response)}).tolist() == pytest.approx([sign * value for value in expected], rel=1e-5)
