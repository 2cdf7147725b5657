"""LRP against Zennit's own calls with its canonizers, its sums, and networks that it can't follow."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actmax.engine.analyses.attribution.lrp import LRP
from actmax.engine.analyses.attribution.relevance import Relevance
from actmax.models.options import InvalidOption
from actmax.models.targets.module import ModuleTarget
from actmax.models.units import resolve
from actmax.models.zoo.architectures.cnn import BasicBlock, ResidualCNN
from actmax.models.zoo.targets import CNNTarget
from attributed import IMAGE, ask, attributed, drawn, images, network


def zennits(net: nn.Module, composite: Any, x: torch.Tensor, unit: int) -> torch.Tensor:
    leaf = x.clone().requires_grad_()
    with composite.context(net) as ruled:
        out = ruled(leaf)
        (found,) = torch.autograd.grad(out, leaf, out * F.one_hot(torch.tensor(unit), out.shape[1]))
    return found


@pytest.mark.parametrize("rules", ["epsilon-plus-flat", "epsilon-plus", "epsilon-alpha2-beta1"])
def test_it_equals_zennits_own_call_on_a_residual_network(torchvision, rules):
    from zennit import canonizers, composites, layer

    def summed(name: str, module: nn.Module) -> dict[str, Any] | None:
        if not isinstance(module, BasicBlock):
            return None

        def forward(x: torch.Tensor) -> torch.Tensor:
            y = module.bn2(module.conv2(F.relu(module.bn1(module.conv1(x)))))
            return F.relu(module.get_submodule("total")(torch.stack([y, module.shortcut(x)], -1)))

        return {"forward": forward, "total": layer.Sum()}

    net: Any = ResidualCNN((4, 6, 8))
    net.normalize = nn.Identity()
    net, x = drawn(net), images(2) - 0.4
    kinds = {
        "epsilon-plus-flat": composites.EpsilonPlusFlat,
        "epsilon-plus": composites.EpsilonPlus,
        "epsilon-alpha2-beta1": composites.EpsilonAlpha2Beta1,
    }
    simplified = [canonizers.SequentialMergeBatchNorm(), canonizers.AttributeCanonizer(summed)]
    told = zennits(net, kinds[rules](zero_params="bias", canonizers=simplified), x, 3)
    found = attributed(LRP(LRP.Options(rules=rules)), ask(ModuleTarget(net, IMAGE), "fc[3]", x))[0]
    assert float(told.abs().max()) > 1e-3
    rounding = 2e-3 if rules == "epsilon-alpha2-beta1" else 1e-5  # it subtracts large relevances
    assert torch.allclose(found, told, atol=rounding * float(told.abs().max()), rtol=1e-3)


def test_relevances_add_up_to_the_response_on_the_zoos_network(torchvision):
    target, method = CNNTarget.from_options(CNNTarget.Options()), LRP()
    question = ask(target, ["fc[3]", "layer3.conv1[5]", "stem.0[1, 4, 4]"], images(2))
    method.check_units(target, question.reader.units)
    expected = question.reader.responses(question.stimuli)
    assert torch.allclose(attributed(method, question).flatten(2).sum(2), expected, atol=1e-4, rtol=1e-4)


def test_without_biases_softmax_and_norms_the_rules_of_attention_are_gradient_times_input(torchvision):
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3072, 6, bias=False), nn.Linear(6, 2, bias=False)

        def forward(self, x):
            return self.b(F.relu(self.a(x.flatten(1))))

    net, x = drawn(Linear()), images(2)
    found = attributed(LRP(LRP.Options(rules="attention")), ask(ModuleTarget(net, IMAGE), "b[1]", x))[0]
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)
    assert torch.allclose(found, x * slope, atol=1e-4)


def test_the_rules_of_attention_are_attnlrps(torchvision):
    """AttnLRP by its other form: gradient times input, where nonlinearities, norms and products have its slopes (its appendix A)."""
    target, x = network("vit"), images(2)
    net: Any = target.module
    method = LRP()
    question = ask(target, "head[3]", x)
    assert method._rules(target, "head") == "attention"
    tokens = (net.patch(net.normalize(x)).flatten(2).transpose(1, 2) + net.position).detach().requires_grad_()
    with Relevance("attention"):
        out = _after_patches(net, tokens)
    (ruled,) = torch.autograd.grad(out, tokens, out.detach() * F.one_hot(torch.tensor(3), 10))
    slopes = _after_patches(net, tokens, _Halved())
    (slope,) = torch.autograd.grad(slopes[:, 3].sum(), tokens)
    assert torch.allclose(ruled, tokens.detach() * slope, atol=1e-3 * float(ruled.abs().max()))
    assert attributed(method, question).isfinite().all()


class _Halved:
    """Slopes of AttnLRP: half of a product's gradient, an activation as its quotient, what a norm divides by as constant."""

    def product(self, a, b):
        both = a @ b
        return (both / 2) + (both / 2).detach()

    def activation(self, x):
        return x * (F.gelu(x) / torch.where(x == 0, 1.0, x)).detach()

    def norm(self, norm, x):
        size = (x.var(-1, correction=0, keepdim=True) + norm.eps).rsqrt().detach()
        return (x - x.mean(-1, keepdim=True)) * size * norm.weight + norm.bias


def _after_patches(net: Any, x: torch.Tensor, slopes: _Halved | None = None) -> torch.Tensor:
    """The zoo's transformer from its tokens on; its own modules, or written out with other slopes."""
    for block in net.blocks:
        if slopes is None:
            x = block(x)
            continue
        attention, tokens = block.attn, slopes.norm(block.norm1, x)
        q, k, v = attention.qkv(tokens).unflatten(2, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = slopes.product((slopes.product(q, k.transpose(-2, -1)) * q.shape[-1] ** -0.5).softmax(-1), v)
        x = x + attention.proj(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp[2](slopes.activation(block.mlp[0](slopes.norm(block.norm2, x))))
    return net.head((net.norm(x) if slopes is None else slopes.norm(net.norm, x)).mean(1))


def test_torchs_own_attention_and_in_place_activations_are_followed(torchvision):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 8, 8, 8), nn.ReLU(inplace=True)
            self.attend, self.fc = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

        def forward(self, x):
            x = self.act(self.conv(x)).flatten(2).transpose(1, 2)
            x = x + self.attend(x, x, x, need_weights=False)[0]
            return self.fc(F.scaled_dot_product_attention(x, x, x).mean(1))

    target, method = ModuleTarget(drawn(Net()), IMAGE), LRP()
    question = ask(target, "fc[1]", images(2))
    method.check_units(target, question.reader.units)
    assert attributed(method, question).abs().sum() > 0


def test_what_has_no_rule_is_refused_by_its_name(torchvision):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(torch.fft.fft2(self.conv(x)).real.abs().mean((2, 3)))

    target = ModuleTarget(drawn(Odd()), IMAGE)
    with pytest.raises(InvalidOption, match=r"no rule for fft_fft2.*fc\[0\].*integrated-gradients"):
        LRP().check_units(target, resolve("fc[0]", target.layers()))
    LRP().check_units(target, resolve("conv[0]", target.layers()))
    with pytest.raises(InvalidOption, match="spiking"):
        LRP().check(network("snn"))
