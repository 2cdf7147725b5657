"""Codings: how a stimulus enters a spiking network, as currents or as spikes."""
