"""All public networks that the benchmark drives, by name."""

from __future__ import annotations

from . import series_networks, spiking_networks, timm_networks, torchvision_networks, trained_networks, transformers_networks
from .entry import PublicNetwork

NETWORKS: dict[str, PublicNetwork] = {
    network.name: network
    for part in (trained_networks, torchvision_networks, timm_networks, transformers_networks, series_networks, spiking_networks)
    for network in part.NETWORKS
}
