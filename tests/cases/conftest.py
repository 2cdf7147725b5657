"""Keeps snntorch's resets to the networks of one test."""

import pytest
import snntorch


@pytest.fixture(autouse=True)
def own_neurons():
    """Forget all neurons made before: ``snntorch.utils.reset`` goes over every one of the process, and fails at those without a state."""
    snntorch.SpikingNeuron.instances.clear()
