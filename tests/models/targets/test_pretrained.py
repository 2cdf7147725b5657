import json
import os
import re
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from actmax.engine.build import check, describe_target
from actmax.engine.errors import InvalidJob
from actmax.engine.spec import ComponentSpec
from actmax.models.options import InvalidOption
from actmax.models.targets.normalise import IMAGENET
from actmax.models.targets.pretrained import read_weights, seeded
from actmax.models.targets.testing import check_target
from actmax.models.targets.timm import TimmTarget
from actmax.models.targets.torchvision import TorchvisionTarget
from actmax.models.targets.transformers import TransformersTarget
from jobs import job

pytestmark = pytest.mark.usefixtures("torchvision")

TINY_VIT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32, "patch_size": 8, "num_labels": 5}
SMALL = {
    "torchvision": (TorchvisionTarget, {"model": "squeezenet1_1", "size": 40, "classes": 6}),
    "timm ViT": (TimmTarget, {"model": "test_vit", "size": [32, 48], "classes": 6, "channels": 1}),
    "timm ResNet": (TimmTarget, {"model": "test_resnet", "size": 40, "classes": 6}),
    "timm ConvNeXt": (TimmTarget, {"model": "test_convnext", "size": [40, 64], "classes": 6}),
    "transformers ViT": (TransformersTarget, {"model": "vit", "size": [32, 16], "config": TINY_VIT}),
    "transformers ConvNeXt": (
        TransformersTarget,
        {"model": "convnext", "size": 32, "config": {"hidden_sizes": [4, 8, 12, 16], "depths": [1] * 4}},
    ),
}


def made(component, **options):
    return component.from_options(component.Options(**options))


def refused(component, **options) -> tuple[str, str]:
    with pytest.raises(InvalidOption) as caught:
        made(component, **options)
    return caught.value.option, str(caught.value)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and empty caches."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.mark.parametrize("name", SMALL)
def test_contract_and_own_files_read_back(name, tmp_path):
    component, options = SMALL[name]
    state = torch.get_rng_state()
    target = made(component, seed=3, **options)
    assert torch.equal(torch.get_rng_state(), state), "it draws from the global random state"
    check_target(target)
    size = options["size"]
    assert target.stimulus.shape[1:] == ((size, size) if isinstance(size, int) else tuple(size))

    weights = target.module.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in made(component, seed=3, **options).module.state_dict().items())
    other = made(component, seed=4, **options).module.state_dict()
    assert any(not torch.equal(value, other[key]) for key, value in weights.items())

    save_file({key: value.contiguous() for key, value in weights.items()}, tmp_path / "w.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in weights.items()}}, tmp_path / "w.pt")
    stimuli = torch.rand(2, *target.stimulus.shape)
    expected = target.respond(stimuli, {"output"})["output"]
    for file in ("w.safetensors", "w.pt"):
        read = made(component, seed=9, weights=str(tmp_path / file), **options)
        assert torch.equal(read.respond(stimuli, {"output"})["output"], expected)


def test_torchvisions_own_weights_are_read_from_its_cache(torchvision, offline):
    """The files that torchvision downloads, with random content: loaded, normalised and named as torchvision does."""
    models = torchvision.models
    weights = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    network = seeded(lambda: models.squeezenet1_1().eval(), 5)
    (offline / "torch/hub/checkpoints").mkdir(parents=True)
    torch.save(network.state_dict(), offline / "torch/hub/checkpoints" / weights.url.rpartition("/")[2])
    stimuli = torch.rand(2, 3, 224, 224)
    expected = network((stimuli - torch.tensor(IMAGENET.mean).view(3, 1, 1)) / torch.tensor(IMAGENET.std).view(3, 1, 1))
    for name in ("IMAGENET1K_V1", "DEFAULT"):
        target = made(TorchvisionTarget, model="squeezenet1_1", weights=name)
        assert target.stimulus.shape == (3, 224, 224)
        assert torch.allclose(target.respond(stimuli, {"output"})["output"], expected, atol=1e-4)
        assert target.unit_name("output", (281,)) == "tabby"
    assert made(TorchvisionTarget, model="squeezenet1_1", size=64).unit_name("output", (281,)) == ""


def test_timms_own_weights_are_read_from_the_hubs_cache(offline):
    import timm

    network: Any = seeded(lambda: timm.create_model("test_resnet").eval(), 5)
    folder = offline / "hub/models--timm--test_resnet.r160_in1k"
    (folder / "snapshots/abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("abc")
    save_file(network.state_dict(), folder / "snapshots/abc/model.safetensors")
    for weights in ("r160_in1k", "default"):
        target = made(TimmTarget, model="test_resnet", weights=weights)
        assert target.stimulus.shape == (3, 160, 160)
        config = network.pretrained_cfg
        stimuli = torch.rand(1, 3, 160, 160)
        mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
        assert torch.allclose(target.respond(stimuli, {"output"})["output"], network((stimuli - mean) / std), atol=1e-4)
        assert target.unit_name("output", (281,)).startswith("tabby")
    assert made(TimmTarget, model="test_resnet", weights="default", classes=7).unit_name("output", (3,)) == ""


def saved(folder, **changes):
    import transformers

    config = transformers.ViTConfig(**{**TINY_VIT, "image_size": 32, **changes})
    config.id2label = {number: f"class {number}" for number in range(5)}
    network = seeded(lambda: transformers.ViTForImageClassification(config).eval(), 5)
    network.save_pretrained(folder)
    return network


def test_a_folder_of_save_pretrained(tmp_path):
    network = saved(tmp_path, num_channels=1, image_size=[16, 24])
    stimuli = torch.rand(2, 1, 16, 24)
    for normalise in (None, {"do_normalize": True, "image_mean": [0.3], "image_std": [0.2]}, {"do_normalize": False, "image_mean": [0.3]}):
        if normalise is not None:
            (tmp_path / "preprocessor_config.json").write_text(json.dumps(normalise))
        shift, scale = (0.5, 0.5) if normalise is None else (0.3, 0.2) if normalise["do_normalize"] else (0.0, 1.0)
        target = made(TransformersTarget, model=str(tmp_path))
        expected = network((stimuli - shift) / scale).logits
        assert torch.allclose(target.respond(stimuli, {"output:logits"})["output:logits"], expected, atol=1e-5)
    assert target.unit_name("classifier", (3,)) == "class 3"
    check_target(target)
    random = made(TransformersTarget, model=str(tmp_path), weights="random", size=32)
    assert random.stimulus.shape == (1, 32, 32)
    assert random.unit_name("classifier", (3,)) == ""
    torch.save(network.state_dict(), tmp_path / "w.pt")
    again = made(TransformersTarget, model=str(tmp_path), weights=str(tmp_path / "w.pt"), mean=[0.0], std=[1.0])
    assert torch.allclose(again.respond(stimuli, {"output"})["output"], network(stimuli).logits, atol=1e-5)


def test_weights_that_run_code_are_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"features.0.weight": Trap()}, tmp_path / "w.pt")
    option, says = refused(TorchvisionTarget, model="squeezenet1_1", size=64, weights=str(tmp_path / "w.pt"))
    assert option == "weights"
    assert "no weights that can be read safely" in says
    network = saved(tmp_path / "vit")
    (tmp_path / "vit/model.safetensors").unlink()
    torch.save({**network.state_dict(), "trap": Trap()}, tmp_path / "vit/pytorch_model.bin")
    assert refused(TransformersTarget, model=str(tmp_path / "vit"))[0] == "weights"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("component", "options", "option", "says"),
    [
        (TorchvisionTarget, {"model": "resnet51"}, "model", "did you mean .*resnet"),
        (TorchvisionTarget, {"model": "resnet18", "weights": "IMAGENET1K_V7"}, "weights", "did you mean IMAGENET1K_V1"),
        (
            TorchvisionTarget,
            {"model": "resnet18", "weights": "DEFAULT"},
            "weights",
            "DEFAULT of resnet18 can neither be read .* nor downloaded",
        ),
        (TorchvisionTarget, {"model": "squeezenet1_1", "weights": "gone.pt"}, "weights", "there is no file 'gone.pt'"),
        (TorchvisionTarget, {"model": "squeezenet1_1", "size": 4}, "size", "does not take stimuli of image 3 × 4 × 4"),
        (TorchvisionTarget, {"model": "squeezenet1_1", "mean": [0.5, 0.5]}, "mean", "2 values, std 3"),
        (TorchvisionTarget, {"model": "squeezenet1_1", "std": [0.5, 0.5, 0]}, "std", "must be positive"),
        (TimmTarget, {"model": "vit_tiny_patch16_225"}, "model", "did you mean vit_tiny_patch16_224"),
        (TimmTarget, {"model": "hf-hub:somebody/something"}, "model", "no model of timm"),
        (TimmTarget, {"model": "test_vit", "weights": "r160_in2k"}, "weights", "did you mean r160_in1k"),
        (TimmTarget, {"model": "test_vit", "weights": "default"}, "weights", "weights of test_vit can neither be read"),
        (TimmTarget, {"model": "test_vit", "size": 8}, "size", "does not take"),
        (TransformersTarget, {"model": "vitt"}, "model", "did you mean vit"),
        (TransformersTarget, {"model": "bert"}, "model", "bert is no vision model"),
        (TransformersTarget, {"model": "somebody/something"}, "model", "configuration of somebody/something can neither be read"),
        (TransformersTarget, {"model": "./nowhere"}, "model", r"there is no ./nowhere/config\.json"),
        (TransformersTarget, {"model": "vit", "weights": "pretrained"}, "weights", "vit is an architecture"),
        (TransformersTarget, {"model": "vit", "weights": "pretraind"}, "weights", "did you mean pretrained"),
        (TransformersTarget, {"model": "vit", "config": {"hiden_size": 24}}, "config", "did you mean hidden_size"),
        (
            TransformersTarget,
            {"model": "vit", "config": {"hidden_size": "wide"}},
            "config",
            "ViTForImageClassification can't be built|hidden_size",
        ),
        (TransformersTarget, {"model": "vit", "config": {"hidden_act": "nonsense"}}, "config", "can't be built so: .*nonsense"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_what_cannot_be_built_is_refused_by_option(component, options, option, says):
    found, message = refused(component, **options)
    assert found == option, message
    assert re.search(says, message), message


@pytest.mark.parametrize("component", [TorchvisionTarget, TimmTarget, TransformersTarget])
def test_weights_that_do_not_fit_are_refused(component, tmp_path):
    options = next(given for kind, given in SMALL.values() if kind is component)
    target = made(component, **options)
    weights = {key: value.contiguous() for key, value in target.module.state_dict().items()}
    last = next(reversed(weights))
    cases = {
        "lacks": ({key: value for key, value in weights.items() if key != last}, "another architecture.* is missing"),
        "more": ({**weights, "more": torch.zeros(1)}, "more is not part of it"),
        "shape": ({**weights, last: torch.zeros(17, 17, 17)}, "another architecture.*has shape"),
        "nan": ({**weights, last: weights[last] * float("nan")}, "not finite"),
    }
    for name, (tensors, says) in cases.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        option, message = refused(component, weights=str(tmp_path / f"{name}.safetensors"), **options)
        assert option == "weights"
        assert re.search(says, message), message


def test_files_that_hold_no_weights(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    data = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[:-4])
    (tmp_path / "noise.pt").write_bytes(os.urandom(300))
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    for name in ("cut.safetensors", "noise.pt", "empty.pt", "list.pt", "whole.pt"):
        with pytest.raises(InvalidOption, match=name):
            read_weights(tmp_path / name)
    torch.save({"model": {"b": torch.ones(2)}}, tmp_path / "nested.pth")
    assert torch.equal(read_weights(tmp_path / "nested.pth")["b"], torch.ones(2))
    assert torch.equal(read_weights(tmp_path / "a.safetensors")["a"], load_file(tmp_path / "a.safetensors")["a"])


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("torchvision", "torchvision.models", "torchvision"), ("timm", "timm", "timm"), ("transformers", "transformers", "transformers")],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    target = {"name": name, "options": {"model": "vit"}}
    with pytest.raises(InvalidJob) as caught:
        describe_target(ComponentSpec(**target))
    (violation,) = caught.value.violations
    assert violation.field == "target.options.model"
    assert f"pip install 'actmax[{extra}]'" in violation.description


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ({"name": "timm", "options": {"model": "test_vit", "weights": "/etc/w.pt"}}, "target.options.weights"),
        ({"name": "torchvision", "options": {"model": "resnet18", "weights": "w.safetensors"}}, "target.options.weights"),
        ({"name": "transformers", "options": {"model": "/etc"}}, "target.options.model"),
        ({"name": "transformers", "options": {"model": "../models"}}, "target.options.model"),
    ],
)
def test_jobs_that_may_not_read_files_name_none(target, field):
    with pytest.raises(InvalidJob) as caught:
        check(job(target=target))
    assert field in {violation.field for violation in caught.value.violations}
