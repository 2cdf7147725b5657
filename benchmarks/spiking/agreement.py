"""Whether a target answers as a loop of snntorch, written out here, does.

Where every sum of a network is exact, spikes and membranes have to agree bit for bit. Elsewhere the order of a sum may move a membrane by a
rounding, and a membrane within rounding of the threshold may spike in one and not in the other. So stimuli are followed layer by layer:
a unit may differ only where its membrane came that near to the threshold, or to where its state is rounded; a stimulus that
has met one such unit is left out of deeper layers, since all that follows from a moved spike moves.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import snntorch as snn
import torch
from torch import Tensor, nn

from actmax.models.codings.coding import Presentation, coding_of
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.spiking import SpikingTarget

from .networks import Network

_SEQUENCES = (snn.StateLeaky, snn.AssociativeLeaky, snn.LeakyParallel)
_PACKAGE = "actmax.models.targets"
_NEAR = 2e-4
"""Of the size of membranes: what rounding may move one by, over all steps, generously."""


@dataclass
class Outcome:
    """What came of one network.

    Attributes
    ----------
    failures : list of str
        What must not be.
    moved : int
        Units that differ within rounding.
    compared : int
        Neurons' responses that were compared.
    branches : Counter
        Ways that the evaluation went, by name.
    """

    failures: list[str] = field(default_factory=list)
    moved: int = 0
    compared: int = 0
    branches: Counter[str] = field(default_factory=Counter)


def reference(network: Network, x: Tensor) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Return spikes and membranes of every neuron, (steps, n, *units), link by link; differentiable in ``x``."""
    model = copy.deepcopy(network.model)
    model.requires_grad_(False)
    dtype = next((p.dtype for p in model.parameters()), x.dtype)
    given = x.to(dtype).contiguous()
    modality = "image" if len(network.shape) == 3 else "series"
    spec = StimulusSpec(network.shape, 0.0, 1.0, modality)
    coded = coding_of(network.coding, Presentation(spec, network.steps))(given)
    each = [given] * network.steps if network.coding == "direct" else list(coded)
    found: dict[str, tuple[Tensor, Tensor | None]] = {}
    for name, module in model.named_children():
        if isinstance(module, _SEQUENCES):
            sequence = torch.stack(each)
            output = module(sequence)
            membranes = module.rnn(sequence)[0] if isinstance(module, snn.LeakyParallel) else None
            spikes, membranes = output if isinstance(output, tuple) else (output, membranes)
            each = list(spikes.to(dtype))
            found[name] = (spikes, membranes)
        elif isinstance(module, snn.SpikingNeuron):
            each, membranes = _stepped(module, each)
            found[name] = (torch.stack(each), membranes)
        else:
            each = [module(one.clone()) for one in each]
    return found


def _stepped(module: nn.Module, each: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    spikes, membranes, state = [], [], None
    for one in each:
        if isinstance(module, snn.DeltaLeaky):
            output, state = module(one, (None, None) if state is None else state)
            spikes.append(output.to(one.dtype))
            membranes.append(state[0])
            continue
        output = module(one)
        spikes.append((output[0] if isinstance(output, tuple) else output).to(one.dtype))
        membranes.append(module.mem)
    return spikes, torch.stack(membranes)  # type: ignore[arg-type]


def read(network: Network, spikes: Tensor, membranes: Tensor | None) -> Tensor | None:
    """Return the response of a layer, from its definition."""
    if network.readout == "membrane":
        return None if membranes is None else membranes.amax(0)
    if network.readout in ("count", "rate"):
        return spikes.sum(0) / (1 if network.readout == "count" else network.steps)
    fired = spikes > 0
    first = torch.where(fired.any(0), fired.to(torch.uint8).argmax(0), network.steps)
    return (network.steps - first) / network.steps


def check(network: Network, *, gradients: bool = True) -> Outcome:
    """Return how a target of the network agrees with the loop."""
    outcome = Outcome()
    with _thresholds(network), counting(outcome.branches):
        try:
            _compare(network, outcome, gradients)
        except Exception as error:
            outcome.failures.append(f"{type(error).__name__}: {str(error)[:300]}")
    return outcome


def _compare(network: Network, outcome: Outcome, gradients: bool) -> None:
    modality = "image" if len(network.shape) == 3 else "series"
    spec, x = StimulusSpec(network.shape, 0.0, 1.0, modality), network.stimuli()
    with torch.no_grad():
        expected = reference(network, x)
    target = SpikingTarget(network.model, spec, steps=network.steps, readout=network.readout, coding=network.coding)  # type: ignore[arg-type]
    offered = {layer.name for layer in target.layers()}
    wanted = {name: pair for name, pair in expected.items() if read(network, *pair) is not None and name in offered}
    outcome.failures += [
        f"{name} is missing, and no notice says why"
        for name in expected.keys() - offered
        if not any(notice.startswith(f"{name} ") for notice in target.notices)
    ]
    with torch.inference_mode():
        inferred = target.respond(x, wanted)
    clean = _follow(network, outcome, {name: value.clone() for name, value in inferred.items()}, wanted, "inference")
    given = x.clone().requires_grad_()
    found = target.respond(given, wanted)
    clean &= _follow(network, outcome, {name: value.detach() for name, value in found.items()}, wanted, "gradient")
    if not torch.equal(x, network.stimuli()):
        outcome.failures.append("the stimuli were changed")
    if [notice for notice in target.notices if "failed" in notice]:
        outcome.failures.append(str(target.notices))
    outcome.branches["layer by layer" if target.layer_by_layer else "plain"] += 1
    if gradients and wanted and bool(clean.all()) and network.readout != "latency":
        _gradients(network, outcome, given, found, x)


def _follow(network: Network, outcome: Outcome, found: Any, wanted: dict[str, tuple[Tensor, Tensor | None]], mode: str) -> Tensor:
    """Compare layer by layer; which stimuli agree throughout."""
    clean = torch.ones(network.n, dtype=torch.bool)
    for name, (spikes, membranes) in wanted.items():
        right = read(network, spikes, membranes)
        assert right is not None
        right = right.float()
        if found[name].shape != right.shape:
            outcome.failures.append(f"{mode} {name}: {tuple(found[name].shape)} where {tuple(right.shape)} is right")
            return clean & False
        scale = 1.0 if membranes is None else float(membranes.abs().max().clamp(min=1))
        atol = (
            0.0 if network.exact and network.readout in ("count", "membrane") else 1e-5 if network.readout != "membrane" else _NEAR * scale
        )
        off = ((found[name] - right).abs() > atol) & clean.view(-1, *[1] * (right.dim() - 1))
        outcome.compared += right.numel()
        if not off.any():
            continue
        moved = off & _on_the_edge(network, name, membranes, scale)
        if network.exact or bool((off & ~moved).any()):
            most = float((found[name] - right).abs().max())
            outcome.failures.append(f"{mode} {name}: {int((off & ~moved).sum())} of {off.numel()} differ, by up to {most:g}")
            return clean & False
        outcome.moved += int(moved.sum())
        clean &= ~off.flatten(1).any(1)
    return clean


def _on_the_edge(network: Network, name: str, membranes: Tensor | None, scale: float) -> Tensor:
    """Units whose membranes came within rounding of where something happens."""
    module = network.model.get_submodule(name)
    if membranes is None or isinstance(module, snn.DeltaLeaky | snn.SConv2dLSTM) or bool(getattr(module, "state_quant", False)):
        return torch.tensor(True)  # it happens elsewhere than at the membrane's threshold
    if not getattr(module, "reset_delay", True) or getattr(module, "inhibition", False):
        return torch.tensor(True)  # the membrane that is returned is another than that which fired
    threshold: Any = module.threshold
    near = (membranes - threshold).abs() <= _NEAR * scale
    return (near | ((membranes + threshold).abs() <= _NEAR * scale)).any(0)


def _gradients(network: Network, outcome: Outcome, given: Tensor, found: Any, x: Tensor) -> None:
    again = x.clone().requires_grad_()
    expected = reference(network, again)
    pairs = []
    for name, response in found.items():
        spikes, membranes = expected[name]
        right = membranes.amax(0) if network.readout == "membrane" and membranes is not None else spikes.sum(0)
        if network.readout == "rate":
            right = right / network.steps
        cotangent = torch.randn(right.shape, generator=torch.Generator().manual_seed(1)).to(right.dtype)
        if network.readout == "membrane" and membranes is not None and network.steps > 1:
            highest = membranes.detach().topk(2, 0).values
            cotangent *= highest[0] - highest[1] > _NEAR * highest.abs().max()  # else rounding chooses the step
        pairs.append(((response * cotangent.float()).sum(), (right * cotangent).sum()))
    one, other = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    if not (isinstance(one, Tensor) and isinstance(other, Tensor) and other.requires_grad):
        return
    one.backward()
    other.backward()
    assert given.grad is not None
    assert again.grad is not None
    size = float(again.grad.double().norm())
    error = float((given.grad.double() - again.grad.double()).norm())
    outcome.branches["gradients"] += 1
    if error > 2e-3 * size + 1e-6 or (error != error and size == size):  # where the loop has none, neither has the target
        outcome.failures.append(f"the gradient is off by {error:g} of {size:g}")


@contextmanager
def _thresholds(network: Network) -> Iterator[None]:
    patches = []
    for name, value in network.thresholds.items():
        module, attribute = name.split(".")
        package = _PACKAGE if module == "leaky" else f"{_PACKAGE}.spiking"
        patches.append(patch(f"{package}.{module}.{attribute}", value))
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


@contextmanager
def counting(branches: Counter[str]) -> Iterator[None]:
    """Count which way is taken wherever a threshold or a layout chooses, while the block runs."""
    from actmax.models.targets import leaky
    from actmax.models.targets.spiking import layerwise, lookup, prepared, stages

    pays, convolve, ambiguous, fast = lookup.pays, lookup.SpikeConv2d.__call__, prepared.ambiguous, layerwise.LayerByLayer._fast
    unknown, by_row = stages.Stateless._unknown, stages.acts_by_row

    def counted_pays(weight: Tensor) -> bool:
        outputs, channels, *kernel = weight.shape if weight.dim() == 4 else lookup.column_shape(weight)
        size = 4 * outputs * kernel[0] * kernel[1] * -(-channels // 8) * 256
        branches[f"outputs {'enough' if outputs >= lookup.FEWEST_OUTPUTS else 'few'}"] += 1
        branches[f"channels {'enough' if channels >= 8 else 'few'}"] += 1
        branches[f"table {'large' if size > lookup.LARGEST_TABLE else 'bearable'}"] += 1
        return pays(weight)

    def counted_convolve(self: lookup.SpikeConv2d, spikes: Tensor, *rest: Any) -> Tensor:
        found = convolve(self, spikes, *rest)
        places = found.shape[2] * found.shape[3] * self.outputs
        branches[f"table {'a row of the kernel' if self.rows < self.kernel[0] else 'whole'}"] += 1
        branches[f"lookup {'in one block' if spikes.shape[0] * places <= lookup._BLOCK else 'in blocks'}"] += 1
        branches[f"channels {'a multiple' if spikes.shape[1] % 8 == 0 else 'no multiple'} of 8"] += 1
        return found

    def counted_ambiguous(*sizes: Any) -> bool:
        found = ambiguous(*sizes)
        branches[f"layout {'ambiguous' if found else 'certain'}"] += 1
        return found

    def counted_fast(self: layerwise.LayerByLayer, signal: stages.Signal, plan: Any, wanted: Any) -> Any:
        rows = signal.values.shape[0] // (1 if signal.constant else self.steps)
        branches[f"chunks {'of a batch' if rows * self._units <= layerwise._CACHED else 'of one'}"] += 1
        return fast(self, signal, plan, wanted)

    def counted_unknown(self: stages.Stateless, link: Any, signal: Any, dtype: Any) -> Any:
        branches[f"unknown {'once' if signal.constant and link.name in self.steady else 'every step'}"] += 1
        return unknown(self, link, signal, dtype)

    def counted_by_row(module: nn.Module, activation: Tensor) -> bool:
        found = by_row(module, activation)
        branches[f"stateless {'together' if found else 'apart'}"] += 1
        return found

    backward = leaky._LeakyScan.backward

    def counted_backward(ctx: Any, *grads: Any) -> Any:
        block = max(1, leaky._BLOCK // max(1, ctx.saved_tensors[0][0].numel()))
        branches[f"backward {'in one block' if ctx.saved_tensors[0].shape[0] <= block else 'in blocks'}"] += 1
        return backward(ctx, *grads)

    with (
        patch.object(lookup, "pays", counted_pays),
        patch.object(stages, "pays", counted_pays),
        patch.object(prepared, "pays", counted_pays),
        patch.object(lookup.SpikeConv2d, "__call__", counted_convolve),
        patch.object(prepared, "ambiguous", counted_ambiguous),
        patch.object(layerwise.LayerByLayer, "_fast", counted_fast),
        patch.object(stages.Stateless, "_unknown", counted_unknown),
        patch.object(stages, "acts_by_row", counted_by_row),
        patch.object(leaky._LeakyScan, "backward", staticmethod(counted_backward)),
    ):
        yield


BRANCHES = frozenset(
    {
        *(f"outputs {one}" for one in ("enough", "few")),
        *(f"channels {one}" for one in ("enough", "few", "a multiple of 8", "no multiple of 8")),
        *(f"table {one}" for one in ("large", "bearable", "a row of the kernel", "whole")),
        *(f"lookup {one}" for one in ("in one block", "in blocks")),
        *(f"layout {one}" for one in ("ambiguous", "certain")),
        *(f"chunks {one}" for one in ("of a batch", "of one")),
        *(f"unknown {one}" for one in ("once", "every step")),
        *(f"stateless {one}" for one in ("together", "apart")),
        *(f"backward {one}" for one in ("in one block", "in blocks")),
        "layer by layer",
        "gradients",
    }
)
"""All that ``counting`` counts, on both sides of every choice."""
