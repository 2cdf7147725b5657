import pytest
import torch
from torch import nn

from actmax.models.generators.codebook import CodebookGenerator
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.generators.prior import Prior
from actmax.models.generators.testing import check_generator
from actmax.models.spaces import Box, Categorical, StimulusSpec
from actmax.models.zoo.architectures.sngan import Generator
from actmax.models.zoo.architectures.vqvae import Decoder


def decoder():
    torch.manual_seed(0)
    return DecoderGenerator(
        nn.Sequential(nn.Linear(7, 48), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 4))), Box((7,), -3, 3), bank=torch.zeros(4, 7)
    )


def codebook():
    torch.manual_seed(0)
    return CodebookGenerator(
        torch.randn(11, 6), nn.Sequential(nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Sigmoid()), (4, 4), bank=torch.ones(5, 4, 4).long()
    )


def flat_codebook():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(30, 12), nn.Tanh(), nn.Unflatten(1, (1, 12)))
    return CodebookGenerator(torch.randn(9, 5), layers, (6,), StimulusSpec((1, 12), -1, 1, "series"), channels_first=False)


def zoo_vqvae():
    torch.manual_seed(0)
    return CodebookGenerator(torch.randn(512, 64), Decoder(), (8, 8))


def zoo_sngan():
    torch.manual_seed(0)
    return DecoderGenerator(Generator(), Box((128,), -3, 3))


@pytest.mark.parametrize("make", [decoder, codebook, flat_codebook, zoo_vqvae, zoo_sngan])
def test_contract(make):
    check_generator(make())


def test_codebook_is_a_table_look_up():
    generator = codebook()
    codes = generator.latent.sample(3, torch.Generator().manual_seed(2))
    vectors = torch.stack([torch.stack([generator.codebook[code] for code in image.flatten()]).T.view(6, 4, 4) for image in codes])
    assert torch.allclose(generator(codes), generator.decoder(vectors))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not take latents"):
        DecoderGenerator(nn.Linear(5, 3), Box((7,), -1, 1))
    with pytest.raises(ValueError, match="lie in"):
        DecoderGenerator(nn.Sequential(nn.Linear(7, 48), nn.Unflatten(1, (3, 4, 4))), Box((7,), -1, 1), bank=torch.full((2, 7), 2.0))
    with pytest.raises(ValueError, match="code book has shape"):
        CodebookGenerator(torch.zeros(3, 4, 5), nn.Identity(), (4,))


def test_prior_draws_without_replacement_while_it_lasts():
    prior = Prior(torch.arange(10)[:, None], Categorical((1,), 10))
    drawn = prior.sample(25, torch.Generator().manual_seed(0)).flatten()
    assert sorted(drawn[:10].tolist()) == list(range(10))
    assert sorted(drawn[10:20].tolist()) == list(range(10))
    assert drawn.shape == (25,)
    assert prior.sample(0, torch.Generator()).shape == (0, 1)
