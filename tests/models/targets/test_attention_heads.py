from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actmax.models.objectives.unit import UnitObjective
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.attention import heads_of_multihead
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.testing import check_unchanged, state_of
from actmax.models.units import resolve
from actmax.models.zoo.architectures.vit import SmallViT

IMAGE = StimulusSpec((3, 32, 32))


def attend(q, k, v, mask=None):
    """softmax(QK'/√d) V, spelled out."""
    weights = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    return (weights if mask is None else weights + mask).softmax(-1) @ v


def split(x, heads):
    return torch.stack(x.split(x.shape[-1] // heads, dim=-1), 1)


def timm_vit():
    timm = pytest.importorskip("timm")
    return timm.create_model("test_vit", img_size=32, num_classes=5)


def huggingface_vit():
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 32,
        "image_size": 32,
        "patch_size": 8,
    }
    return transformers.ViTForImageClassification(transformers.ViTConfig(**sizes))


def huggingface_names(network):
    """Names of the second attention, of what it reads and of its projection: the package has nested them in two ways."""
    try:
        network.get_submodule("vit.layers.1")
    except AttributeError:
        return "vit.encoder.layer.1.attention", "vit.encoder.layer.1.layernorm_before", "output.dense"
    return "vit.layers.1.attention", "vit.layers.1.layernorm_before", "o_proj"


def huggingface_qkv(part, x):
    inner = getattr(part, "attention", None)
    layers = (part.q_proj, part.k_proj, part.v_proj) if inner is None else (inner.query, inner.key, inner.value)
    return [layer(x) for layer in layers]


class Torch(nn.Module):
    """As torchvision's: attention in one fused step, whose projection is called as a function."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 8, 8)
        self.block = nn.TransformerEncoderLayer(12, 3, 16, batch_first=True)
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        return self.fc(self.block(self.embed(x).flatten(2).transpose(1, 2)).mean(1))


CASES = {
    "zoo": (lambda: SmallViT(16, 2, 4), lambda _: ("blocks.1.attn", "blocks.1.norm1", "proj"), 4),
    "timm": (timm_vit, lambda _: ("blocks.1.attn", "blocks.1.norm1", "proj"), 2),
    "transformers": (huggingface_vit, huggingface_names, 3),
    "torch": (Torch, lambda _: ("block.self_attn", None, "out_proj"), 3),
}
"""How each network is made, the names of an attention, of the layer that it reads and of its projection, and the number of its heads."""


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize("name", CASES)
def test_heads_are_what_attention_puts_together_before_the_projection(name):
    make, names, heads = CASES[name]
    torch.manual_seed(0)
    network = make().eval()
    attention, norm, projection = names(network)
    before = state_of(network)
    target = ModuleTarget(network, IMAGE)
    layer = next(layer for layer in target.layers() if layer.name == f"{attention}.heads")
    assert layer.shape[0] == heads
    stimuli = torch.rand(3, 3, 32, 32, requires_grad=True)
    wanted = [layer.name, attention, *([norm] if norm else [])]
    answers = target.respond(stimuli, wanted)
    found = answers[layer.name]
    assert found.shape == (3, *layer.shape)

    part = network.get_submodule(attention)
    x = answers[norm] if norm else network.embed(stimuli).flatten(2).transpose(1, 2)
    if name == "transformers":
        q, k, v = huggingface_qkv(part, x)
    elif name == "torch":
        q, k, v = F.linear(x, part.in_proj_weight, part.in_proj_bias).chunk(3, -1)
    else:
        q, k, v = part.qkv(x).chunk(3, -1)
    expected = attend(*(split(each, heads) for each in (q, k, v)))
    assert torch.allclose(found, expected, atol=1e-5)

    # the projection of all heads together is what the module answers
    joined = F.linear(found.transpose(1, 2).flatten(2), part.get_submodule(projection).weight, part.get_submodule(projection).bias)
    assert torch.allclose(joined, answers[attention], atol=1e-5)

    # alone, in inference mode (where torch's own layers would take another way), and with a gradient
    with torch.inference_mode():
        assert torch.allclose(target.respond(stimuli.detach(), {layer.name})[layer.name], found, atol=1e-5)
    (unit,) = resolve(f"{layer.name}[{heads - 1}]", target.layers())
    score = UnitObjective(unit)({layer.name: found})
    assert torch.allclose(score, expected[:, heads - 1].flatten(1).mean(1), atol=1e-5)
    (slope,) = torch.autograd.grad(score.sum(), stimuli)
    assert bool((slope.flatten(1).abs().sum(1) > 0).all())
    check_unchanged(network, before)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masked", ["no", "attention", "padding", "both"])
def test_torch_attention_is_computed_again_from_all_that_it_takes(batch_first, masked):
    torch.manual_seed(1)
    module = nn.MultiheadAttention(12, 3, kdim=5, vdim=7, bias=True, batch_first=batch_first).eval()
    nn.init.normal_(module.in_proj_bias)
    query, key, value = torch.randn(2, 4, 12), torch.randn(2, 6, 5), torch.randn(2, 6, 7)
    masks: dict[str, Any] = {}
    if masked in ("attention", "both"):
        masks["attn_mask"] = torch.randn(4, 6) if masked == "both" else torch.rand(2 * 3, 4, 6) < 0.3
    if masked in ("padding", "both"):
        padding = torch.zeros(2, 6, dtype=torch.bool)
        padding[1, 4:] = True
        masks["key_padding_mask"] = padding if masked == "padding" else torch.zeros(2, 6).masked_fill(padding, float("-inf"))
    given = [each if batch_first else each.transpose(0, 1) for each in (query, key, value)]
    answer, _ = module(*given, **masks)
    heads = heads_of_multihead(module, given[0], given[1], given[2], **masks)
    assert heads.shape == (2, 3, 4, 4)
    joined = module.out_proj(heads.transpose(1, 2).flatten(2))
    assert torch.allclose(joined if batch_first else joined.transpose(0, 1), answer, atol=1e-5)


def test_a_head_stops_the_pass_before_its_projection():
    network = SmallViT(16, 2, 4)
    target = ModuleTarget(network, IMAGE)
    called = []
    for name in ("blocks.0.attn.proj", "blocks.1"):
        network.get_submodule(name).register_forward_pre_hook(lambda *_, name=name: called.append(name))
    target.respond(torch.rand(1, 3, 32, 32), {"blocks.0.attn.heads"})
    assert "blocks.1" not in called


def test_tokens_and_features_have_addresses():
    torch.manual_seed(0)
    network = SmallViT(16, 2, 4).eval()
    target = ModuleTarget(network, IMAGE)
    stimuli = torch.rand(2, 3, 32, 32)
    answer = target.respond(stimuli, {"blocks.1"})
    tokens = answer["blocks.1"]
    for text, expected in (
        ("blocks.1[7]", tokens[:, 7].mean(1)),
        ("blocks.1[:, 7]", tokens[:, :, 7].mean(1)),
        ("blocks.1[7, 3]", tokens[:, 7, 3]),
    ):
        (unit,) = resolve(text, target.layers())
        assert torch.allclose(UnitObjective(unit)(answer), expected)


def test_a_child_called_heads_keeps_its_name():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.num_heads = 2
            self.proj = nn.Linear(8, 8)
            self.heads = nn.Linear(8, 3)

        def forward(self, x):
            return self.heads(self.proj(x.mean((2, 3)) @ x.new_ones(3, 8)))

    target = ModuleTarget(Own(), IMAGE)
    assert {layer.name: layer.shape for layer in target.layers()}["heads"] == (3,)
