"""Random snntorch networks: what stands in published ones, at odd sizes, with every neuron and option."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate
from snntorch.functional import quant
from torch import Tensor, nn

WIDTHS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100, 128, 129, 256, 512)
"""Units of linear layers: on both sides of what shortcuts are chosen by."""

SURROGATES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: surrogate.atan(alpha=3.0),
    lambda: surrogate.fast_sigmoid(slope=5),
    lambda: surrogate.sigmoid(slope=4),
    surrogate.straight_through_estimator,
    lambda: surrogate.spike_rate_escape(beta=1, slope=3),
)


@dataclass
class Network:
    """A random network and how it is asked.

    Attributes
    ----------
    seed : int
        From which it was made.
    model : nn.Sequential
        The network, flat.
    shape : tuple of int
        Of a stimulus.
    steps, n : int
        Time steps and stimuli.
    exact : bool
        Whether all sums are exact in any order: spikes have to agree bit for bit.
    readout, coding : str
        As for ``SpikingTarget``.
    layout : str
        How the stimuli lie in memory.
    thresholds : dict of str to int
        What shortcuts are chosen by meanwhile, by module and name; small ones, so that small networks meet both sides.
    """

    seed: int
    model: nn.Sequential
    shape: tuple[int, ...]
    steps: int
    n: int
    exact: bool
    readout: str = "count"
    coding: str = "direct"
    layout: str = "contiguous"
    thresholds: dict[str, int] = field(default_factory=dict)

    def stimuli(self) -> Tensor:
        """Return the stimuli, (n, *shape)."""
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.randint(0, 17, (self.n, *self.shape), generator=generator) / 16
        if not self.exact:
            x = (x + 0.05 * torch.rand(x.shape, generator=generator)).clamp(0, 1)
        if self.layout == "channels_last" and x.dim() == 4:
            return x.contiguous(memory_format=torch.channels_last)
        if self.layout == "strided":
            return torch.stack([x, x], -1)[..., 0]
        return x.transpose(-1, -2).contiguous().transpose(-1, -2) if self.layout == "transposed" else x


def make(seed: int, work: int = 400_000) -> Network:
    """Return the network of a seed; steps times stimuli times size of the network stay below ``work``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _Maker(random.Random(seed)).network(seed, work)


class View(nn.Module):
    """Flattens by view, as tutorials do."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, *units) -> (n, features)."""
        return x.view(x.size(0), -1)


class Quarter(nn.Dropout):
    """A subclass of a module that would be passed over."""

    def forward(self, input: Tensor) -> Tensor:
        """A quarter of the input."""
        return input * 0.25


class Signed(snn.Leaky):
    """A neuron whose spikes have a sign."""

    def fire(self, mem: Tensor) -> Tensor:
        """1 above the threshold, -1 below its negative."""
        threshold: Any = self.threshold
        return self.spike_grad(mem - threshold) - self.spike_grad(-mem - threshold)  # type: ignore[operator]


class _Maker:
    def __init__(self, pick: random.Random) -> None:
        self.pick = pick
        self.exact = pick.random() < 0.6
        self.layers: list[nn.Module] = []
        self.shape: tuple[int, ...] = ()
        self.fresh = True  # whether no layer with weights was made since the last neuron: then sums stay exact

    def network(self, seed: int, work: int) -> Network:
        pick = self.pick
        image = pick.random() < 0.8
        side = pick.choice((1, 2, 3, 4, 5, 6, 7, 9))
        shape = (
            (pick.choice((1, 1, 2, 3, 4, 8, 9)), side, pick.choice((side, 1, 3, 8))) if image else (pick.randint(1, 4), pick.randint(1, 17))
        )
        self.shape = shape
        if pick.random() < 0.15:
            self.add(snn.Leaky(beta=0.5, threshold=0.5), self.shape)
        for _ in range(pick.choice((0, 1, 1, 2, 2, 3))):
            self.block()
        if pick.random() < 0.8 or len(self.layers) < 2:
            self.head()
        model = nn.Sequential(*self.layers)
        self.weigh(model)
        if not self.exact and pick.random() < 0.3 and all(map(_takes_double, model)):
            model = model.double()
        size = max(64, sum(p.numel() for p in model.parameters()) + torch.Size(shape).numel())
        steps, n = pick.choice((1, 2, 3, 4, 5, 8, 16, 64)), pick.choice((1, 1, 2, 3, 4, 5, 8, 17, 33, 65))
        while steps * n * size > work and (steps > 2 or n > 1):
            steps, n = max(2, steps // 2) if steps > 2 else steps, max(1, n // 2)
        readout = pick.choice(("count", "count", "rate", "latency", "membrane"))
        coding = pick.choice(("direct", "direct", "direct", "rate", "latency"))
        layout = pick.choice(("contiguous", "channels_last", "strided", "transposed"))
        return Network(seed, model.eval(), shape, steps, n, self.exact, readout, coding, layout, self.thresholds())

    def thresholds(self) -> dict[str, int]:
        pick, chosen = self.pick, {}
        for name, values in THRESHOLDS.items():
            value = pick.choice((0, *values))
            if value:
                chosen[name] = value
        return chosen

    def add(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        self.layers.append(module)
        self.shape = shape

    def block(self) -> None:
        """A layer with weights, what may stand around it, and a neuron."""
        pick = self.pick
        if len(self.shape) == 3:
            self.conv2d()
            if pick.random() < 0.4:
                self.norm(nn.BatchNorm2d(self.shape[0], eps=0 if self.exact else 1e-5))
            if pick.random() < 0.5:
                self.pool()
        elif len(self.shape) == 2:
            channels, length = self.shape
            kernel = pick.randint(1, min(3, length))
            out = pick.choice((1, 2, 8, 32, 33))
            self.add(nn.Conv1d(channels, out, kernel, padding=kernel // 2), (out, length + 2 * (kernel // 2) - kernel + 1))
        self.between()
        self.neuron()
        self.between()
        if len(self.shape) == 3 and pick.random() < 0.3:
            self.pool(largest=True)

    def conv2d(self) -> None:
        pick = self.pick
        channels, *sides = self.shape
        groups = pick.choice([g for g in (1, 1, 1, 2, 3, channels) if channels % g == 0])
        out = groups * pick.choice((1, 2, 4, 8, 9)) if groups > 1 else pick.choice((1, 2, 5, 8, 9, 31, 32, 33, 40))
        kernel = [pick.randint(1, min(4, side)) for side in sides]
        padding = [pick.randint(0, 2) for _ in sides]
        dilation = [pick.randint(1, 2) if (k - 1) * 2 < s + 2 * p else 1 for k, s, p in zip(kernel, sides, padding, strict=True)]
        stride = [pick.randint(1, 3) for _ in sides]
        mode = pick.choice(("zeros", "zeros", "zeros", "circular")) if all(p <= s for p, s in zip(padding, sides, strict=True)) else "zeros"
        after = tuple(
            (s + 2 * p - d * (k - 1) - 1) // t + 1 for s, p, d, k, t in zip(sides, padding, dilation, kernel, stride, strict=True)
        )
        conv: Any = nn.Conv2d
        self.add(conv(channels, out, kernel, stride, padding, dilation, groups, bias=pick.random() < 0.6, padding_mode=mode), (out, *after))

    def norm(self, norm: nn.BatchNorm2d) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        shape = norm.running_mean.shape
        norm.running_mean = torch.randint(-2, 3, shape) / 8 if self.exact else torch.randn(shape) * 0.1
        norm.running_var = 4.0 ** torch.randint(-1, 2, shape) if self.exact else torch.rand(shape) + 0.5
        self.add(norm, self.shape)

    def pool(self, *, largest: bool = False) -> None:
        pick = self.pick
        channels, *sides = self.shape
        size = [min(pick.choice((1, 2, 2) if self.exact else (1, 2, 3)), side) for side in sides]
        stride = [pick.randint(1, 3) if pick.random() < 0.3 else k for k in size]
        ceil, pad = pick.random() < 0.3, [pick.randint(0, k // 2) if pick.random() < 0.2 else 0 for k in size]
        if largest or pick.random() < 0.4:
            self.layers.append(nn.MaxPool2d(size, stride, pad, ceil_mode=ceil))  # type: ignore[arg-type]
        else:
            ceil = ceil and not self.exact  # a window that is cut off is divided by an odd number
            include = self.exact or pick.random() < 0.5
            self.layers.append(nn.AvgPool2d(size, stride, pad, ceil, include))  # type: ignore[arg-type]
        with torch.no_grad():
            self.shape = tuple(self.layers[-1](torch.zeros(1, channels, *sides)).shape[1:])

    def between(self) -> None:
        kinds: list[Callable[[], nn.Module]] = [
            nn.Identity,
            nn.Dropout,
            nn.ReLU,
            lambda: nn.ReLU(inplace=True),
            lambda: nn.LeakyReLU(0.25, inplace=True),
            Quarter,
            nn.AlphaDropout,
        ]
        if not self.exact:
            kinds.append(nn.Tanh)
            if self.shape[-1] >= 8:  # over fewer, a normalisation makes much of a rounding
                kinds += [lambda: nn.LayerNorm(self.shape[-1]), lambda: nn.GroupNorm(1, self.shape[0])]
        if self.pick.random() < 0.3:
            self.add(self.pick.choice(kinds)(), self.shape)

    def head(self) -> None:
        """Linear layers behind a flattening, or over tokens."""
        pick = self.pick
        if len(self.shape) == 3 and pick.random() < 0.3:
            self.add(nn.Flatten(2), (self.shape[0], self.shape[1] * self.shape[2]))
        elif len(self.shape) > 1 and not (len(self.shape) == 2 and pick.random() < 0.3):
            self.add(pick.choice((nn.Flatten, nn.Flatten, View))(), (int(torch.Size(self.shape).numel()),))
        for _ in range(pick.choice((1, 1, 2))):
            width = pick.choice(WIDTHS)
            *tokens, features = list(self.shape)
            self.add(nn.Linear(features, width, bias=pick.random() < 0.7), (*tokens, width))
            self.between()
            self.neuron()
            self.between()

    def neuron(self) -> None:
        pick = self.pick
        made, shape = pick.choice(self.neurons())()
        self.add(made, shape)

    def neurons(self) -> list[Callable[[], tuple[nn.Module, tuple[int, ...]]]]:
        pick, shape = self.pick, self.shape
        decay = (lambda: pick.choice((0.0, 0.25, 0.5, 1.0))) if self.exact else (lambda: pick.uniform(0.05, 0.95))
        common: dict[str, Any] = {
            "threshold": pick.choice((0.125, 0.25, 0.5, 1.0)) if self.exact else pick.uniform(0.1, 1.0),
            "spike_grad": pick.choice(SURROGATES)(),
            "init_hidden": pick.random() < 0.3,
            "output": pick.random() < 0.3,
            "reset_mechanism": pick.choice(("subtract", "subtract", "zero", "none")),
        }
        later = {"reset_delay": pick.random() < 0.7}
        known: dict[str, Any] = {**common, **later}

        def leaky() -> snn.Leaky:
            options = dict(known)
            if pick.random() < 0.15:
                options["graded_spikes_factor"] = 0.5
            if pick.random() < 0.15:
                options["state_quant"] = quant.state_quant(4)
            if pick.random() < 0.2:
                options.update(learn_beta=True, learn_threshold=True)
            units = (shape[0], *(1 for _ in shape[1:]))
            beta: Any = torch.tensor([decay() for _ in range(shape[0])]).view(units) if pick.random() < 0.2 else decay()
            return snn.Leaky(beta=beta, **options)

        plain: list[Callable[[], nn.Module]] = [
            *[leaky] * 8,
            lambda: snn.Synaptic(alpha=decay(), beta=decay(), **known),
            lambda: snn.RLeaky(beta=decay(), all_to_all=False, V=0.25, **known),
            lambda: snn.DeltaLeaky(delta_threshold=0.25, beta=decay()),
            lambda: Signed(beta=decay(), **known),
        ]
        if not self.exact:
            plain += [
                lambda: snn.Alpha(alpha=pick.uniform(0.6, 0.9), beta=pick.uniform(0.1, 0.5), **common),
                lambda: snn.Lapicque(beta=pick.uniform(0.3, 0.9), **common),  # pyright: ignore[reportArgumentType]
                lambda: snn.RSynaptic(alpha=decay(), beta=decay(), all_to_all=False, V=0.3, **common),
            ]
        made: list[Callable[[], tuple[nn.Module, tuple[int, ...]]]] = [lambda make=make: (make(), shape) for make in plain]
        if len(shape) == 1 and not self.exact:
            (f,) = shape
            made += [
                lambda: (snn.SLSTM(f, f, threshold=0.05), shape),
                lambda: (snn.RLeaky(beta=decay(), linear_features=f, **known), shape),
                lambda: (snn.StateLeaky(beta=decay(), channels=f, threshold=0.3), shape),
                lambda: (snn.LinearLeaky(beta=decay(), in_features=f, out_features=9, threshold=0.2), (9,)),
                lambda: (snn.LeakyParallel(f, 8, beta=decay(), threshold=0.2), (8,)),
                lambda: (snn.AssociativeLeaky(f, 2, 3, 6, use_q_projection=False), (6,)),
                lambda: (snn.Leaky(beta=decay(), inhibition=True, threshold=0.2), shape),
            ]
        if len(shape) == 3 and not self.exact:
            made += [
                lambda: (snn.SConv2dLSTM(shape[0], shape[0], 3, threshold=0.05), shape),
                lambda: (snn.RLeaky(beta=decay(), conv2d_channels=shape[0], kernel_size=3, **known), shape),
            ]
        return made

    def weigh(self, model: nn.Module) -> None:
        """Weights that keep neurons busy; in an exact network multiples of small powers of two."""
        for module in model.modules():
            if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                continue
            fan = module.weight[0].numel()
            if self.exact:
                scale = 2.0 ** -round(torch.tensor(float(fan)).log2().item() / 2)
                module.weight.data = torch.randint(-14, 18, module.weight.shape) / 8 * scale
                if module.bias is not None:
                    module.bias.data = torch.randint(-2, 4, module.bias.shape) / 16
            else:
                nn.init.normal_(module.weight, 0.3 / fan, 2.0 / fan**0.5)


def _takes_double(module: nn.Module) -> bool:
    """Whether snntorch runs it in double precision: surrogates spike in single, which recurrent weights don't take."""
    return not isinstance(module, snn.SpikingNeuron | snn.LeakyParallel) or type(module) in (
        snn.Leaky,
        snn.Synaptic,
        snn.Alpha,
        snn.DeltaLeaky,
    )


THRESHOLDS: dict[str, tuple[int, ...]] = {
    "lookup.FEWEST_OUTPUTS": (1, 5),
    "lookup.LARGEST_TABLE": (60_000,),
    "lookup._NEAR": (20_000, 1),
    "lookup._BLOCK": (64, 1),
    "layerwise._CACHED": (500, 50),
    "leaky._BLOCK": (16, 1),
}
"""What shortcuts are chosen by, and small values of it."""
