import pytest
import torch
from torch import nn

from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.testing import check_target
from actmax.models.zoo.architectures.cnn import ResidualCNN
from actmax.models.zoo.architectures.vit import SmallViT

IMAGE = StimulusSpec((3, 32, 32))


class Shared(nn.Module):
    """One ReLU called twice, in place, and a layer that answers with a tuple."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3)
        self.relu = nn.ReLU(inplace=True)
        self.lstm = nn.LSTM(2 * 6, 5, batch_first=True)

    def forward(self, x):
        x = self.relu(self.b(self.relu(self.a(x))))
        return self.lstm(x.permute(0, 2, 1, 3).flatten(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ModuleTarget(ResidualCNN((4, 8, 8, 8)), IMAGE),
        lambda: ModuleTarget(SmallViT(16, 2, 2), IMAGE),
        lambda: ModuleTarget(Shared(), StimulusSpec((1, 9, 10))),
        lambda: ModuleTarget(nn.Sequential(nn.Conv1d(2, 3, 5), nn.Flatten(), nn.Linear(48, 2)), StimulusSpec((2, 20), -1, 1, "series")),
    ],
)
def test_contract(make):
    torch.manual_seed(0)
    check_target(make())


def test_layers_answer_what_the_network_computes():
    torch.manual_seed(0)
    network = ResidualCNN((4, 8, 8, 8)).eval()
    target = ModuleTarget(network, IMAGE)
    stimuli = torch.rand(4, 3, 32, 32)
    answer = target.respond(stimuli, {"layer2.conv1", "fc", "output"})
    stem = network.stem(network.normalize(stimuli))
    expected = network.get_submodule("layer2.conv1")(network.get_submodule("layer1")(stem))
    assert torch.allclose(answer["layer2.conv1"], expected, atol=1e-5)
    assert torch.allclose(answer["fc"], network(stimuli), atol=1e-5)
    assert torch.equal(answer["fc"], answer["output"])


def test_an_operation_in_place_does_not_overwrite_what_was_read():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten())
    stimuli = torch.rand(2, 3, 32, 32)
    answer = ModuleTarget(network, IMAGE).respond(stimuli, {"0", "2"})
    assert torch.equal(answer["0"], network[0](stimuli))
    assert float(answer["0"].detach().min()) < 0


def test_the_forward_pass_ends_at_the_deepest_layer_asked_for():
    calls = []
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 2))
    target = ModuleTarget(network, IMAGE)
    network[3].register_forward_pre_hook(lambda *_: calls.append("linear"))
    target.respond(torch.rand(1, 3, 32, 32), {"0", "1"})
    assert calls == []
    target.respond(torch.rand(1, 3, 32, 32), {"3"})
    assert calls == ["linear"]


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(3600, 2))
    network.train()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    target = ModuleTarget(network, IMAGE)
    target.respond(torch.rand(2, 3, 32, 32), {"1"})
    with pytest.raises(RuntimeError):
        target.respond(torch.rand(2, 5, 32, 32), {"1"})
    assert network.training
    assert not network[1].training
    assert network[2].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())


def test_an_unknown_layer_gets_near_names():
    target = ModuleTarget(ResidualCNN((4, 8, 8, 8)), IMAGE)
    with pytest.raises(KeyError, match=r"did you mean .*layer2\.conv1"):
        target.respond(torch.rand(1, 3, 32, 32), {"layer2.cnv1"})


def test_a_module_that_takes_something_else_is_refused():
    with pytest.raises(ValueError, match="does not take stimuli of image 3 × 32 × 32"):
        ModuleTarget(nn.Conv2d(1, 2, 3), IMAGE)
    with pytest.raises(ValueError, match="answers with no float tensor"):
        ModuleTarget(nn.Flatten(0), IMAGE)
