"""Spiking targets: any snntorch network, asked for any unit of any layer."""

from .options import SpikingOptions
from .target import SpikingTarget

__all__ = ["SpikingOptions", "SpikingTarget"]
