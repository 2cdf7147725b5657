import pytest
import torch
from torch import nn

from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.normalise import IMAGENET, Normalise, for_channels
from actmax.models.targets.testing import check_target, check_unchanged, state_of
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
    network[4].weight.grad = torch.ones(2, 3600)
    network[0].register_forward_hook(lambda *_: None)
    before = state_of(network)
    with pytest.raises(ValueError, match="does not take"):
        ModuleTarget(network, StimulusSpec((5, 32, 32)))
    check_unchanged(network, before)
    target = ModuleTarget(network, IMAGE)
    target.respond(torch.rand(2, 3, 32, 32), {"1"})
    leaf = torch.rand(2, 3, 32, 32, requires_grad=True)
    torch.autograd.grad(target.respond(leaf, {"1", "output"})["output"].sum(), leaf)
    with pytest.raises(RuntimeError):
        target.respond(torch.rand(2, 5, 32, 32), {"1"})
    with pytest.raises(KeyError):
        target.respond(torch.rand(2, 3, 32, 32), {"1", "none"})
    check_unchanged(network, before)
    assert network.training
    assert not network[1].training


class Several(nn.Module):
    """Answers with a mapping, of which a scalar comes first; inside, with a tuple of a tuple."""

    class Inner(nn.Module):
        def forward(self, x):
            return (x.sum(), (x.mean(2), x.amax(2)), x.argmax(2), None)

    def __init__(self):
        super().__init__()
        self.inner = self.Inner()

    def forward(self, x):
        _, (mean, most), _, _ = self.inner(x.flatten(2))
        return {"loss": mean.sum(), "logits": mean + most, "features": most}


def test_tensors_inside_an_answer_have_names_of_their_own():
    target = ModuleTarget(Several(), IMAGE)
    assert [layer.name for layer in target.layers()] == ["inner", "inner:1.0", "inner:1.1", "output", "output:logits", "output:features"]
    stimuli = torch.rand(2, 3, 32, 32)
    answer = target.respond(stimuli, [layer.name for layer in target.layers()])
    flat = stimuli.flatten(2)
    assert torch.equal(answer["inner"], flat.mean(2))
    assert torch.equal(answer["inner:1.1"], flat.amax(2))
    assert torch.equal(answer["output"], flat.mean(2) + flat.amax(2))
    assert torch.equal(answer["output:features"], flat.amax(2))
    check_target(target)
    check_target(ModuleTarget(Shared(), StimulusSpec((1, 9, 10))))


def test_units_of_the_output_have_names_wherever_they_are_read():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Linear(3, 2))
    target = ModuleTarget(network, StimulusSpec((3, 2, 2)), unit_names=["cat", "dog"])
    assert [target.unit_name(layer, (1,)) for layer in ("1", "2", "output")] == ["", "dog", "dog"]
    assert target.unit_name("output", (2,)) == ""
    assert target.unit_name("output", (0, 0)) == ""


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_stimuli_come_in_the_precision_of_the_network(dtype):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 2))
    stimuli = torch.rand(2, 3, 32, 32, requires_grad=True)
    plain = ModuleTarget(network, IMAGE).respond(stimuli, {"output"})["output"]
    found = ModuleTarget(network.to(dtype), IMAGE).respond(stimuli, {"output"})["output"]
    assert torch.allclose(found.float(), plain, atol=0.02)
    (slope,) = torch.autograd.grad(found.sum(), stimuli)
    assert slope.dtype == torch.float32


def test_normalisation_happens_inside():
    torch.manual_seed(0)
    network = nn.Conv2d(2, 4, 3)
    normalise = Normalise((0.2, 0.4), (0.5, 2.0))
    target = ModuleTarget(network, StimulusSpec((2, 8, 8)), prepare=normalise)
    stimuli = torch.rand(3, 2, 8, 8)
    by_hand = torch.stack([(stimuli[:, 0] - 0.2) / 0.5, (stimuli[:, 1] - 0.4) / 2], 1)
    assert torch.allclose(target.respond(stimuli, {"output"})["output"], network(by_hand), atol=1e-6)
    assert for_channels(None, None, IMAGENET, 1).mean == pytest.approx([0.449], abs=1e-3)
    for mean, std in (([0.1, 0.2], None), (None, [0.1, 0.0, 0.1]), ([0.1], [0.1, 0.2]), ([0.1, 0.2], [1.0, 1.0])):
        with pytest.raises(ValueError, match=r"values|positive"):
            for_channels(mean, std, IMAGENET, 3)


def test_an_unknown_layer_gets_near_names():
    target = ModuleTarget(ResidualCNN((4, 8, 8, 8)), IMAGE)
    with pytest.raises(KeyError, match=r"did you mean .*layer2\.conv1"):
        target.respond(torch.rand(1, 3, 32, 32), {"layer2.cnv1"})


def test_a_module_that_takes_something_else_is_refused():
    with pytest.raises(ValueError, match="does not take stimuli of image 3 × 32 × 32"):
        ModuleTarget(nn.Conv2d(1, 2, 3), IMAGE)
    with pytest.raises(ValueError, match="answers with no float tensor"):
        ModuleTarget(nn.Flatten(0), IMAGE)
