"""Attention rollout against its product written out, for attention spelled out, fused and torch's own."""

import torch
from torch import nn
from torch.nn import functional as F

from actmax.engine.analyses.attribution.attention_rollout import AttentionRollout, rollout
from actmax.models.targets.module import ModuleTarget
from attributed import IMAGE, ask, attributed, drawn, images, network


def spelled_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1) @ value


class Tokens(nn.Module):
    """Sixteen tokens and one of the class through two layers of attention."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.patch, self.fused = nn.Conv2d(3, 8, 8, 8), fused
        self.one = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1)
        x = x + self.one(x, x, x)[0]
        heads = x.unflatten(2, (2, 4)).transpose(1, 2)
        y = (F.scaled_dot_product_attention if self.fused else spelled_out)(heads, heads, heads)
        return self.fc((x + y.transpose(1, 2).flatten(2))[:, 0])


def test_it_is_the_product_of_the_layers():
    rng = torch.Generator().manual_seed(0)
    layers = [torch.rand(2, 3, 5, 5, generator=rng).softmax(-1) for _ in range(3)]
    told = torch.eye(5)
    for layer in layers:
        told = (0.5 * layer.mean(1) + 0.5 * torch.eye(5)) @ told
    found = rollout(layers)
    assert torch.allclose(found, told, atol=1e-6)
    assert torch.allclose(found.sum(2), torch.ones(2, 5))
    assert torch.allclose(rollout(layers[:1], 1), 0.5 * layers[0][:, 1] + 0.5 * torch.eye(5))


def test_the_class_token_looks_at_the_places_whichever_way_attention_is_computed():
    spelled, fused = drawn(Tokens(False)), drawn(Tokens(True))
    x, net = images(2), spelled
    found = [attributed(AttentionRollout(), ask(ModuleTarget(module, IMAGE), "fc[1]", x))[0] for module in (spelled, fused)]
    tokens = net.patch(x).flatten(2).transpose(1, 2)  # type: ignore[operator]
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
    answer, first = net.one(tokens, tokens, tokens)  # type: ignore[operator]
    heads = (tokens + answer).unflatten(2, (2, 4)).transpose(1, 2)
    told = rollout([first[:, None], (heads @ heads.transpose(-2, -1) / 2).softmax(-1)])[:, 0, 1:].unflatten(1, (4, 4))
    large = F.interpolate(told[:, None], (32, 32), mode="bilinear")[:, 0]
    assert all(torch.allclose(maps, large, atol=1e-5) for maps in found)


def test_a_token_and_a_head_have_maps_of_their_own():
    target, x = network("vit"), images(1)
    maps = attributed(AttentionRollout(), ask(target, ["blocks.1[5, 7]", "blocks.1[6, 7]", "blocks.1.attn.heads[1]", "head[3]"], x))
    assert len({tuple(one.flatten().tolist()) for one in maps}) == 4
    assert int(maps[0, 0, 2:30:4, 2:30:4].argmax()) == 5  # itself, in a grid of 8 × 8 tokens
