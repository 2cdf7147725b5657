import pytest

from actmax.models.networks.torchvision_import import import_torchvision


@pytest.fixture(scope="session")
def torchvision():
    return import_torchvision()
