"""Fourier, MACO, Laplacian, CPPN and series against independent references in numpy, on random inputs."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.models.generators.colour import IMAGENET
from actmax.models.generators.cppn import CppnGenerator
from actmax.models.generators.fourier import FourierGenerator
from actmax.models.generators.laplacian import LaplacianGenerator
from actmax.models.generators.maco import MacoGenerator
from actmax.models.generators.natural import NaturalStatistics, cifar10, cycles
from actmax.models.generators.series import SeriesGenerator
from actmax.models.spaces import StimulusSpec

shapes = st.tuples(st.sampled_from([1, 2, 3]), st.integers(3, 15), st.integers(3, 15))


def made(kind, shape, modality: Literal["image", "series"] = "image", **options):
    return kind.for_stimulus(kind.Options(**options), StimulusSpec(shape, 0, 1, modality))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def image_of(spectrum: np.ndarray, height: int, width: int) -> np.ndarray:
    """The real image of half a spectrum, wave by wave."""
    y, x = np.mgrid[:height, :width]
    total = np.zeros((*spectrum.shape[:-2], height, width))
    for row in range(height):
        for column in range(width // 2 + 1):
            twice = 1 if column == 0 or 2 * column == width else 2
            wave = np.exp(2j * np.pi * (row * y / height + column * x / width))
            total += twice * (spectrum[..., row, column, None, None] * wave).real
    return total / (height * width)


@given(shapes, st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_fourier_is_lucids_formula(shape, seed):
    channels, height, width = shape
    generator = made(FourierGenerator, shape)
    latents = np.random.default_rng(seed).normal(0, 0.3, (2, *generator.latent.shape)).astype(np.float32)
    rows = np.minimum(np.arange(height), height - np.arange(height)) / height
    frequency = np.hypot(rows[:, None], np.arange(width // 2 + 1)[None] / width)
    scale = np.sqrt(width * height) / np.maximum(frequency, 1.0 / max(width, height))
    planes = image_of((latents[:, 0] + 1j * latents[:, 1]) * scale, height, width) / 4
    if channels == 3:
        root = np.array(IMAGENET)
        matrix = root / np.max(np.linalg.norm(root, axis=0))
        planes = np.moveaxis(np.moveaxis(planes, 1, -1) @ matrix.T, -1, 1)
    np.testing.assert_allclose(generator(torch.from_numpy(latents)).numpy(), sigmoid(planes), atol=2e-6)


@given(shapes, st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_maco_keeps_the_magnitude_of_natural_images_to_rounding(shape, seed):
    _, height, width = shape
    generator = made(MacoGenerator, shape)
    latents = generator.latent.sample(3, torch.Generator().manual_seed(seed))
    planes = generator.planes(latents).numpy().astype(np.float64)
    magnitude = generator.magnitude.numpy()
    found = np.abs(np.fft.rfft2(planes))
    assert np.abs(found - magnitude).max() <= 1e-5 * magnitude.max()
    # phases are those asked for, where a real image leaves them free
    free = np.angle(np.fft.rfft2(planes))[:, :, : (height - 1) // 2 + 1, 1 : (width + 1) // 2]
    asked = latents.numpy()[:, :, : (height - 1) // 2 + 1, 1 : (width + 1) // 2]
    np.testing.assert_allclose(np.exp(1j * free), np.exp(1j * asked), atol=2e-3)


def test_maco_at_full_size_keeps_it_too():
    generator = made(MacoGenerator, (3, 224, 160))
    planes = generator.planes(generator.prior.bank[:2]).numpy().astype(np.float64)
    magnitude = generator.magnitude.numpy()
    assert np.abs(np.abs(np.fft.rfft2(planes)) - magnitude).max() <= 1e-5 * magnitude.max()
    assert (magnitude[:, 1:, 1:] > 0).all()


@given(st.integers(0, 999), st.sampled_from([1, 3]))
@settings(max_examples=15, deadline=None)
def test_maco_in_colour_is_the_planes_in_natural_colours(seed, channels):
    generator = made(MacoGenerator, (channels, 8, 10), contrast=0.7)
    latents = generator.latent.sample(2, torch.Generator().manual_seed(seed))
    natural = cifar10(channels)
    colours = np.einsum("rc,nchw->nrhw", natural.colour.numpy(), generator.planes(latents).numpy())
    mean = natural.mean.numpy()[:, None, None]
    expected = sigmoid(4 * 0.7 * colours + np.log(mean / (1 - mean)))
    np.testing.assert_allclose(generator(latents).numpy(), expected, atol=1e-5)


def test_statistics_are_those_of_the_images():
    rng = np.random.default_rng(3)
    mixing = np.array([[0.1, 0.02, 0.0], [0.08, -0.03, 0.01], [0.09, 0.0, -0.02]])
    images = np.einsum("rc,nchw->nrhw", mixing, rng.normal(size=(400, 3, 9, 8))) + np.array([0.3, 0.5, 0.6])[:, None, None]
    found = NaturalStatistics.of(torch.from_numpy(images).float())
    flat = images.transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(found.mean.numpy(), flat.mean(1), atol=1e-5)
    colour = found.colour.numpy().astype(np.float64)
    np.testing.assert_allclose(colour @ colour.T, np.cov(flat, bias=True), atol=1e-6)
    planes = np.einsum("rc,nchw->nrhw", np.linalg.inv(colour), images - flat.mean(1)[:, None, None])
    np.testing.assert_allclose(np.cov(planes.transpose(1, 0, 2, 3).reshape(3, -1), bias=True), np.eye(3), atol=1e-4)
    expected = np.abs(np.fft.rfft2(planes)).mean(0)
    expected[:, 0, 0] = 0
    np.testing.assert_allclose(found.magnitude.numpy(), expected, rtol=2e-4, atol=1e-3)


def test_statistics_survive_their_file(tmp_path):
    found = NaturalStatistics.of(torch.rand(5, 1, 6, 7, generator=torch.Generator().manual_seed(0)))
    found.save(tmp_path / "s.safetensors")
    again = NaturalStatistics.load(tmp_path / "s.safetensors")
    assert (again.height, again.width) == (6, 7)
    assert torch.equal(again.magnitude, found.magnitude)
    assert torch.equal(again.colour, found.colour)


@pytest.mark.parametrize(("before", "after"), [((32, 32), (16, 16)), ((16, 16), (48, 48)), ((32, 32), (20, 40)), ((15, 21), (32, 32))])
def test_a_power_law_stays_one_at_any_size(before, after):
    """A spectrum of exactly A / f^1.3 per cycle of the scene, seen at one size, gives that of the other."""

    def seen(height, width):
        y, x = cycles(height, width)
        radius = np.hypot(y.numpy(), x.numpy())
        density = 0.2 * np.where(radius > 0, radius, np.inf) ** -1.3
        return torch.from_numpy(density * max(height, width) * np.sqrt(height * width))[None].float()

    own = NaturalStatistics(torch.zeros(1), torch.eye(1), seen(*before), *before)
    found = own.resized(*after).magnitude
    np.testing.assert_allclose(found[0].numpy()[1:], seen(*after)[0].numpy()[1:], rtol=0.02)


def test_cifars_spectrum_falls_as_natural_ones_do():
    for channels in (1, 3):
        natural = cifar10(channels)
        y, x = cycles(32, 32)
        radius = np.hypot(y.numpy(), x.numpy())
        used = (radius >= 1) & (radius <= 10)
        slope = np.polyfit(np.log(radius[used]), np.log(natural.magnitude[0].numpy()[used]), 1)[0]
        assert -1.7 < slope < -0.9
        assert 0.3 < float(natural.mean.mean()) < 0.6


def bilinear(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixel centres aligned, edges held."""
    rows, columns = grid.shape

    def weights(size, own):
        at = np.clip((np.arange(size) + 0.5) * own / size - 0.5, 0, own - 1)
        low = np.floor(at).astype(int)
        matrix = np.zeros((size, own))
        matrix[np.arange(size), low] += 1 - (at - low)
        matrix[np.arange(size), np.minimum(low + 1, own - 1)] += at - low
        return matrix

    return weights(height, rows) @ grid @ weights(width, columns).T


@given(shapes, st.integers(1, 5), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_laplacian_is_a_sum_of_interpolated_grids(shape, levels, seed):
    channels, height, width = shape
    generator = made(LaplacianGenerator, shape, levels=levels, colour="none")
    latents = np.random.default_rng(seed).normal(size=(2, *generator.latent.shape)).astype(np.float32)
    expected = np.zeros((2, channels, height, width))
    start = 0
    for level in range(levels):
        rows, columns = -(-height // 2**level), -(-width // 2**level)
        grids = latents[..., start : start + rows * columns].reshape(2, channels, rows, columns)
        expected += np.array([[bilinear(grid, height, width) for grid in each] for each in grids])
        start += rows * columns
        if rows == columns == 1:
            break
    assert start == generator.latent.shape[1]
    np.testing.assert_allclose(generator(torch.from_numpy(latents)).numpy(), sigmoid(expected), atol=2e-6)


def test_a_cppn_is_a_network_of_the_coordinates():
    generator = made(CppnGenerator, (3, 5, 8), width=4, layers=2)
    latent = np.random.default_rng(1).normal(size=generator.latent.shape).astype(np.float32)
    found = generator(torch.from_numpy(latent)[None])[0].numpy()
    for row, column in [(0, 0), (2, 5), (4, 7)]:
        x = np.array([(2 * column - 7) / 7, (2 * row - 4) / 7]) * np.sqrt(3)
        start = 0
        for number, (before, after) in enumerate([(2, 4), (8, 4), (8, 3)]):
            weights = latent[start : start + before * after].reshape(before, after)
            start += before * after
            x = (x @ weights + latent[start : start + after]) / np.sqrt(before)
            start += after
            if number < 2:
                x = np.arctan(x)
                x = np.concatenate([x / 0.67, x**2 / 0.6])
        np.testing.assert_allclose(found[:, row, column], sigmoid(x), atol=1e-5)


@given(st.integers(1, 3), st.integers(2, 80), st.sampled_from([0.0, 0.7, 3.0]), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_series_are_smoothed_white_noise_of_its_variance(channels, length, sigma, seed):
    generator = made(SeriesGenerator, (channels, length), "series", smoothing=sigma)
    latents = np.random.default_rng(seed).normal(size=(2, channels, length)).astype(np.float32)
    at = np.arange(length)
    apart = np.abs(at[:, None] - at[None])
    reach = min(int(np.ceil(4 * sigma)), length - 1)
    window = np.where(apart <= reach, np.exp(-0.5 * (apart / max(sigma, 1e-6)) ** 2), 0)
    window /= np.sqrt((window**2).sum(1, keepdims=True))
    np.testing.assert_allclose(generator(torch.from_numpy(latents)).numpy(), sigmoid(latents @ window.T), atol=2e-6)
