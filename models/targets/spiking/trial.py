"""The trial of a network, by which a spiking target decides how to evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...spaces import StimulusSpec
from ..target import LayerInfo
from .chain import Link, as_chain
from .forms import batches, close
from .layerwise import LayerByLayer, largest_layer
from .neurons import Fired, is_neuron, takes_sequence
from .readout import KINDS, RESPONSE_UNITS, Readout
from .stepwise import try_chain
from .whole import WholeNetwork, restored_attributes

_TRIED = 3
"""Steps of a trial; a network with its own loop runs all steps."""


@dataclass
class Trial:
    """How a network is evaluated.

    Attributes
    ----------
    whole : WholeNetwork
        The unchanged network.
    chain : sequence of Link or None
        Its modules in order, if it is a chain.
    steps, readout
        Options of the target.
    modules : dict of str to nn.Module
        Layers that can be read.
    layers : dict of str to LayerInfo
        The same layers with the shapes of their responses.
    steady : set of str
        Names of unknown links that are called once for a constant input; see ``Stateless``.
    stepwise : bool
        Whether only the plain loop over steps is right.
    mixes : bool
        Whether an output depends on the other stimuli of the batch, so that each stimulus has to be shown alone.
    noisy : bool
        Whether repeated outputs for the same stimuli differ.
    notices : list of str
        Notices for the user.
    """

    whole: WholeNetwork
    chain: Sequence[Link] | None
    steps: int
    readout: Readout
    modules: dict[str, nn.Module] = field(default_factory=dict)
    layers: dict[str, LayerInfo] = field(default_factory=dict)
    steady: set[str] = field(default_factory=set)
    stepwise: bool = False
    mixes: bool = False
    noisy: bool = False
    notices: list[str] = field(default_factory=list)

    def layer_by_layer(self) -> LayerByLayer | None:
        """Return the evaluation layer by layer, or None where it would be wrong."""
        if self.chain is None or self.stepwise or self.mixes:
            return None
        units = largest_layer({name: info.shape for name, info in self.layers.items() if is_neuron(self.modules[name])})
        return LayerByLayer(self.chain, self.steps, self.readout, units, self.steady)


def random_stimuli(stimulus: StimulusSpec, steps: int) -> Tensor:
    """Return different stimuli for a trial, (n, *stimulus), the same ones at every call."""
    uniform = torch.rand(batches(steps)[0], *stimulus.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return stimulus.low + (stimulus.high - stimulus.low) * uniform


def try_network(network: nn.Module, stimulus: StimulusSpec, stimuli: Tensor, steps: int, readout: Readout, *, constant: bool) -> Trial:
    """Show a network a few stimuli, and return how to evaluate it. Call this within ``preserve_state``.

    Parameters
    ----------
    network : nn.Module
        The network.
    stimulus : StimulusSpec
        The specification of the stimuli, for messages.
    stimuli : Tensor
        (n, *input), the input of one step for each of ``random_stimuli``, on the network's device and in its precision.
    steps : int
        Time steps of one presentation.
    readout : {"count", "rate", "latency", "membrane"}
        Response of neurons.
    constant : bool
        Whether every step has the same input.

    Raises
    ------
    ValueError
        The network refuses such stimuli, or none of its layers has a row for each.
    """
    trial = Trial(WholeNetwork(network, steps), as_chain(network), steps, readout)
    try:
        if trial.chain is None:
            _try_whole(trial, stimuli, constant)
        else:
            _try_chain(trial, trial.chain, stimuli)
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"the network does not take a stimulus of {stimulus}: {reason}") from error
    if trial.noisy:
        trial.notices.append("the network answers the same stimuli differently twice, so its responses are noisy")
    if trial.mixes:
        trial.notices.append("an answer of the network depends on the stimuli beside it, so each stimulus is shown alone")
    if not trial.layers:
        raise ValueError(f"no layer of the network can be read by readout={readout!r}: {'; '.join(trial.notices) or 'none has rows'}")
    return trial


def _try_chain(trial: Trial, chain: Sequence[Link], stimuli: Tensor) -> None:
    network, steps = trial.whole.network, min(trial.steps, _TRIED)
    most, least = batches(trial.steps)
    other = torch.cat([stimuli[most - 1 : most], stimuli[: least - 1]])
    shown = []
    for batch in (stimuli[:most], stimuli[:most], other):
        with restored_attributes(network):
            shown.append(try_chain(chain, batch, steps))
    first, again, fewer = (found.record for found in shown)
    trial.steady = shown[0].steady & shown[1].steady & shown[2].steady
    order = [most - 1, *range(least - 1)]
    trial.noisy = any(not _agrees(first[name], again[name], None) for name in first)
    trial.mixes = not trial.noisy and any(not _agrees(first[name], fewer[name], order) for name in first)
    stateful = shown[0].stateful
    if stateful and not any(takes_sequence(link.module) for link in chain):
        trial.stepwise = True
        trial.notices.append(f"{', '.join(sorted(stateful))} keeps a state from step to step, so the plain loop over steps answers")
    if stimuli.dtype not in (torch.float32, torch.float64):
        trial.stepwise = True
        trial.notices.append(f"the network computes in {stimuli.dtype}, so the plain loop over steps answers")
    trial.modules = {link.name: link.module for link in chain if link.neuron or any(True for _ in link.module.parameters())}
    for name in trial.modules:
        _offer(trial, name, *(None if part is None else tuple(part.shape[1:]) for part in first[name][0]))
    if trial.mixes:
        with restored_attributes(network):  # raises here if the network refuses a single stimulus
            try_chain(chain, stimuli[:1], steps)


def _try_whole(trial: Trial, stimuli: Tensor, constant: bool) -> None:
    whole = trial.whole
    names = whole.trial(stimuli)
    form = whole.form
    if form.drive == "loop" and not constant:
        raise ValueError("the network loops over time by itself and sees one input: only a constant coding works with it, such as direct")
    trial.noisy, trial.mixes = form.noisy, form.mixes
    trial.notices += form.notes
    known = whole.names()
    trial.modules = {name: known[name] for name in names}
    for name in names:
        _offer(trial, name, *form.units[name])
    if trial.mixes:
        with restored_attributes(whole.network):
            whole.respond(
                stimuli[:1] if constant else stimuli[:1].expand(trial.steps, *stimuli[:1].shape),
                list(trial.layers),
                trial.readout,
                constant=constant,
            )


def _offer(trial: Trial, name: str, spikes: tuple[int, ...] | None, membranes: tuple[int, ...] | None) -> None:
    """Add a layer, if it has the spikes or membranes to read."""
    module = trial.modules[name]
    neuron = is_neuron(module)
    shape = membranes if neuron and trial.readout == "membrane" else spikes
    kind = KINDS[trial.readout] if neuron else f"{type(module).__name__} mean current"
    if shape is None:
        lacking = "membranes" if trial.readout == "membrane" else "spikes"
        trial.notices.append(f"{name} ({type(module).__name__}) returns no {lacking}, so readout {trial.readout!r} leaves it out")
    else:
        trial.layers[name] = LayerInfo(name, shape, kind, RESPONSE_UNITS[trial.readout] if neuron else "")


def _agrees(calls: Sequence[Fired], others: Sequence[Fired], order: Sequence[int] | None) -> bool:
    """Return whether two presentations have the same rows: exactly, or up to rounding where ``order`` rearranges them."""
    for call, other in zip(calls, others, strict=True):
        # membranes, if there are any, show smaller differences than spikes
        one, two = next(
            ((a, b) for a, b in zip(reversed(call), reversed(other), strict=True) if a is not None and b is not None), (None, None)
        )
        if one is None or two is None:
            continue
        if order is None and not torch.equal(one.nan_to_num(), two.nan_to_num()):
            return False
        if order is not None and not close(one[order], two):
            return False
    return True
