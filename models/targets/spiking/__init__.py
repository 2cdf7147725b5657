"""Spiking targets: any snntorch network, asked for any unit of any layer."""

from .target import SpikingOptions, SpikingTarget

__all__ = ["SpikingOptions", "SpikingTarget"]
