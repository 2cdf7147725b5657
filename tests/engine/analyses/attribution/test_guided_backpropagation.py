"""Guided backpropagation against Captum's on a network of modules, and on functions that Captum does not see."""

import torch
from captum import attr
from torch import nn
from torch.nn import functional as F

from actmax.engine.analyses.attribution.guided_backpropagation import GuidedBackpropagation
from actmax.models.targets.module import ModuleTarget
from attributed import IMAGE, ask, attributed, drawn, images


class Functions(nn.Module):
    """The same network with functions for modules, one in place."""

    def __init__(self, modules: nn.Sequential) -> None:
        super().__init__()
        self.a, self.b, self.fc = modules[0], modules[2], modules[5]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu_(self.b(F.relu(self.a(x)))).flatten(1))


def test_it_equals_captums_by_modules_and_by_functions():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3))
    x = images(2)
    drawn(net)
    told = attr.GuidedBackprop(net).attribute(x.clone().requires_grad_(), target=2)
    assert isinstance(told, torch.Tensor)
    assert told.abs().sum() > 0
    for module, unit in ((net, "5[2]"), (Functions(net), "fc[2]")):
        assert torch.allclose(attributed(GuidedBackpropagation(), ask(ModuleTarget(module, IMAGE), unit, x))[0], told, atol=1e-6)
