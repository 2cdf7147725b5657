"""A convolutional spiking network in snntorch, rate-trained with surrogate gradients.

Neftci, Mostafa, Zenke, "Surrogate gradient learning in spiking neural networks", 2019; Eshraghian et al.,
"Training spiking neural networks using lessons from deep learning", 2023 (snntorch).
"""

from __future__ import annotations

from collections import OrderedDict

import snntorch as snn
from snntorch import surrogate
from torch import nn

from .normalize import Normalize

STEPS = 20
"""Time steps of one presentation."""


def spiking_cnn(widths: tuple[int, int, int] = (48, 96, 192), beta: float = 0.8, classes: int = 10) -> nn.Sequential:
    """Return a network that is run once per time step on the same image (direct input coding).

    Its leaky integrate-and-fire layers are ``lif1`` (48, 16, 16), ``lif2`` (96, 8, 8), ``lif3`` (192, 4, 4) and ``lif_out`` (10). Each
    takes the membrane of the step before and returns (spikes, membrane), as in snntorch.

    Parameters
    ----------
    widths : tuple of int
        Channels of the three convolutions.
    beta : float
        Decay of the membranes a step, in [0, 1].
    classes : int
        Output units.
    """
    a, b, c = widths

    def lif() -> snn.Leaky:
        return snn.Leaky(beta=beta, spike_grad=surrogate.atan(alpha=2.0), reset_mechanism="subtract")

    return nn.Sequential(
        OrderedDict(
            normalize=Normalize(),
            conv1=nn.Conv2d(3, a, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(a),
            pool1=nn.AvgPool2d(2),
            lif1=lif(),
            conv2=nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False),
            norm2=nn.BatchNorm2d(b),
            lif2=lif(),
            conv3=nn.Conv2d(b, c, 3, stride=2, padding=1, bias=False),
            norm3=nn.BatchNorm2d(c),
            lif3=lif(),
            flatten=nn.Flatten(),
            fc=nn.Linear(c * 16, classes),
            lif_out=lif(),
        )
    )
