import pytest
import torch
from PIL import Image

from actmax.models.generators.testing import check_generator
from actmax.models.spaces import Box, Categorical
from actmax.models.targets.testing import check_target
from actmax.models.zoo.card import read_card
from actmax.models.zoo.generators import SNGANGenerator, VQVAEGenerator
from actmax.models.zoo.targets import CNNTarget, SNNTarget, ViTTarget
from actmax.models.zoo.weights import FOLDER

GENERATORS = {"cifar10-vqvae": (VQVAEGenerator, Categorical((8, 8), 512)), "cifar10-sngan": (SNGANGenerator, Box((128,), -3.0, 3.0))}
TARGETS = {"cifar10-snn": (SNNTarget, "lif_out"), "cifar10-cnn": (CNNTarget, "fc"), "cifar10-vit": (ViTTarget, "head")}


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_keep_the_contract(name):
    component, latent = GENERATORS[name]
    generator = component.from_options(component.Options())
    check_generator(generator)
    assert generator.stimulus.shape == (3, 32, 32)
    assert generator.prior is not None
    assert generator.latent == latent


@pytest.mark.parametrize("name", TARGETS)
def test_targets_keep_the_contract(name):
    component, _ = TARGETS[name]
    check_target(component.from_options(component.Options()))


@pytest.mark.parametrize("name", TARGETS)
def test_cards_hold_the_quantiles_of_every_output_unit(name):
    component, layer = TARGETS[name]
    target = component.from_options(component.Options())
    card = read_card(name)
    assert card.responses is not None
    assert card.responses.stimuli == "10000 CIFAR-10 test images"
    for unit in range(10):
        quantiles = target.natural_quantiles(layer, (unit,))
        assert quantiles is not None
        assert list(quantiles) == sorted(quantiles)
        assert list(quantiles.values()) == sorted(quantiles.values())
        assert quantiles[1.0] > quantiles[0.5]
    assert target.natural_quantiles(layer, (10,)) is None
    assert target.natural_quantiles("no layer", (0,)) is None
    assert target.natural_quantiles(layer, (0, 0)) is None


def test_quantiles_hold_only_for_the_presentation_that_was_measured():
    for changed in ({"steps": 10}, {"readout": "latency"}, {"coding": "rate"}, {"weights": str(FOLDER / "cifar10-snn.safetensors")}):
        target = SNNTarget.from_options(SNNTarget.Options.model_validate(changed))
        assert target.natural_quantiles("lif_out", (0,)) is None


def test_units_prefer_natural_latents_to_blind_ones():
    """Decoded natural codes drive the spiking units as pictures do; uniform codes hardly do."""
    generator = VQVAEGenerator.from_options(VQVAEGenerator.Options())
    target = SNNTarget.from_options(SNNTarget.Options())
    assert generator.prior is not None
    with torch.inference_mode():
        natural = target.respond(generator(generator.prior.bank[:400]), {"lif_out"})["lif_out"].amax(0)
        blind = target.respond(generator(generator.latent.sample(400, torch.Generator().manual_seed(0))), {"lif_out"})["lif_out"].amax(0)
    assert natural.sum() > 1.3 * blind.sum()


@pytest.mark.parametrize("name", [*GENERATORS, *TARGETS])
def test_each_card_tells_what_was_trained_how(name):
    card = read_card(name)
    assert card.name == name
    assert card.command.startswith("python -m actmax.models.zoo.training ")
    assert "CIFAR-10" in card.data
    assert card.seconds > 60
    assert card.bytes == (FOLDER / f"{name}.safetensors").stat().st_size
    with Image.open(FOLDER / f"{name}.png") as sheet:
        assert min(sheet.size) > 300


def test_the_cnn_tells_samples_of_the_gan_apart_as_it_does_reconstructions():
    """Samples are of many kinds, and as recognisable to the CNN as the VQ-VAE's own pictures: by the score of Salimans et al., 2016."""
    cnn = CNNTarget.from_options(CNNTarget.Options())
    scores = []
    for component, _ in GENERATORS.values():
        generator = component.from_options(component.Options())
        assert generator.prior is not None
        with torch.inference_mode():
            log = cnn.respond(generator(generator.prior.bank[:300]), ["fc"])["fc"].log_softmax(1)
        mean = log.exp().mean(0)
        assert mean.min() > 0.01  # no class is missing
        scores.append(float((log.exp() * (log - mean.log())).sum(1).mean().exp()))
    assert scores[1] > 0.85 * scores[0] > 1.7
