import os

import pytest
import torch
from safetensors.torch import save_file

from actmax.models.options import InvalidOption
from actmax.models.zoo.generators import SNGANGenerator, VQVAEGenerator
from actmax.models.zoo.targets import CNNTarget, SNNTarget, ViTTarget
from actmax.models.zoo.weights import FOLDER

COMPONENTS = {
    "cifar10-vqvae": VQVAEGenerator,
    "cifar10-sngan": SNGANGenerator,
    "cifar10-snn": SNNTarget,
    "cifar10-cnn": CNNTarget,
    "cifar10-vit": ViTTarget,
}


def loaded(name: str, path) -> None:
    component = COMPONENTS[name]
    component.from_options(component.Options(weights=str(path)))


@pytest.mark.parametrize("name", COMPONENTS)
def test_weights_that_cannot_be_used_are_refused_by_option(name, tmp_path):
    whole = (FOLDER / f"{name}.safetensors").read_bytes()
    path = tmp_path / "w.safetensors"
    cases: dict[bytes, str] = {
        whole[: len(whole) // 2]: "no whole safetensors file",
        whole[:-1]: "no whole safetensors file",
        b"": "no whole safetensors file",
        os.urandom(200): "no whole safetensors file",
        (2**62).to_bytes(8, "little") + whole[8:]: "no whole safetensors file",
    }
    torch.save({"a": torch.zeros(3)}, tmp_path / "pickled.pt")
    cases[(tmp_path / "pickled.pt").read_bytes()] = "convert pickled weights"
    for data, says in cases.items():
        path.write_bytes(data)
        with pytest.raises(InvalidOption, match=says) as caught:
            loaded(name, path)
        assert caught.value.option == "weights"
    with pytest.raises(InvalidOption, match="there is no file"):
        loaded(name, tmp_path / "missing.safetensors")
    with pytest.raises(InvalidOption, match="there is no file"):
        loaded(name, tmp_path)


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("other", COMPONENTS)
def test_weights_of_another_architecture_are_refused(name, other):
    if name != other:
        with pytest.raises(InvalidOption, match="another architecture"):
            loaded(name, FOLDER / f"{other}.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    from safetensors.torch import load_file

    tensors = load_file(FOLDER / "cifar10-snn.safetensors")
    tensors["fc.bias"][3] = float("nan")
    save_file(tensors, tmp_path / "nan.safetensors")
    with pytest.raises(InvalidOption, match="not finite"):
        loaded("cifar10-snn", tmp_path / "nan.safetensors")


def test_a_bank_of_impossible_codes_is_refused(tmp_path):
    from safetensors.torch import load_file

    tensors = load_file(FOLDER / "cifar10-vqvae.safetensors")
    tensors["bank"] = tensors["bank"] + 500
    save_file(tensors, tmp_path / "bank.safetensors")
    with pytest.raises(InvalidOption, match=r"codes must lie in 0 … 511"):
        loaded("cifar10-vqvae", tmp_path / "bank.safetensors")
