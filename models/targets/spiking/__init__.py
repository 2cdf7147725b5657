"""Spiking targets: snntorch networks with the responses of any unit of any layer."""

from .target import SpikingOptions, SpikingTarget

__all__ = ["SpikingOptions", "SpikingTarget"]
