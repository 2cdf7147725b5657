"""Each transformation against the contract and an independent reference, with given draws."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage

from actmax.engine.components.registry import components, find
from actmax.models.options import InvalidOption
from actmax.models.spaces import StimulusSpec
from actmax.models.transformations.blur import Blur
from actmax.models.transformations.colour import Colour
from actmax.models.transformations.crop import Crop
from actmax.models.transformations.flip import Flip
from actmax.models.transformations.gain import Gain
from actmax.models.transformations.jitter import Jitter
from actmax.models.transformations.noise import Noise
from actmax.models.transformations.pad import Pad
from actmax.models.transformations.pipeline import Pipeline
from actmax.models.transformations.roll import Roll
from actmax.models.transformations.rotate import Rotate
from actmax.models.transformations.scale import Scale
from actmax.models.transformations.shift import Shift
from actmax.models.transformations.testing import check_transformation
from actmax.models.transformations.transformation import Draws

COLOUR, GREY, SERIES = StimulusSpec((3, 20, 27)), StimulusSpec((1, 23, 16), -1.0, 3.0), StimulusSpec((2, 40), modality="series")
ALL = [Pad, Jitter, Shift, Scale, Rotate, Crop, Flip, Roll, Blur, Noise, Colour, Gain]


def test_all_that_are_registered_are_tested():
    assert {find("transformation", entry.name, "name") for entry in components("transformation")} == set(ALL)


@pytest.mark.parametrize("stimulus", [COLOUR, GREY, SERIES], ids=["colour", "grey", "series"])
@pytest.mark.parametrize("kind", ALL)
def test_contract(kind, stimulus):
    made = kind.from_options(kind.Options(), stimulus)
    if stimulus.modality not in made.modalities:
        with pytest.raises(ValueError, match="can't change a series"):
            Pipeline([made], stimulus)
        return
    check_transformation(made, stimulus)


def drawn(n: int, variates: int, seed: int = 0) -> Draws:
    rng = np.random.default_rng(seed)
    return Draws(torch.from_numpy(rng.random((n, variates))), torch.zeros(n, dtype=torch.float64), list(range(n)))


def images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).random(shape, dtype=np.float32))


def reference(image: np.ndarray, matrix: np.ndarray, fill: str, cval: float) -> np.ndarray:
    """scipy's affine map about the middle; ``matrix`` maps (y, x) of the result to (y, x) of the image."""
    mode = {"grey": "grid-constant", "edge": "nearest", "reflect": "reflect"}[fill]
    linear, moved = matrix[:, :2], matrix[:, 2]
    middle = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, linear, middle + moved - linear @ middle, order=1, mode=mode, cval=cval)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("fill", ["grey", "edge", "reflect"])
@pytest.mark.parametrize("shape", [(4, 3, 20, 27), (4, 1, 15, 9)])
@pytest.mark.parametrize("kind", ["scale", "rotate", "crop", "shift"])
def test_places_are_scipys(kind, shape, fill):
    _, channels, height, width = shape
    draws = drawn(4, 3)
    u = draws.uniform.numpy()
    if kind == "scale":
        made = Scale(0.7, 1.4, fill, 0.5)
        factors = [1 / (0.7 + 0.7 * row[0]) for row in u]
        matrices = [np.array([[f, 0, 0], [0, f, 0]]) for f in factors]
    elif kind == "rotate":
        made = Rotate(-40, 60, fill, 0.5)
        angles = [math.radians(-40 + 100 * row[0]) for row in u]
        matrices = [np.array([[math.cos(a), math.sin(a), 0], [-math.sin(a), math.cos(a), 0]]) for a in angles]
    elif kind == "crop":
        made = Crop(0.3, 0.6, "uniform", fill, 0.5)
        matrices = []
        for row in u:
            side = 0.3 + 0.3 * row[0]
            x, y = ((1 - side) / 2 * (2 * v - 1) for v in row[1:])
            matrices.append(np.array([[side, 0, y * height], [0, side, x * width]]))
    else:
        made = Shift(3, fill, 0.5)
        matrices = [np.array([[1, 0, -3 + math.floor(7 * row[0])], [0, 1, -3 + math.floor(7 * row[1])]]) for row in u]
    stimuli = images(*shape)
    found = made(stimuli, draws).numpy()
    for row in range(4):
        for channel in range(channels):
            expected = reference(stimuli[row, channel].numpy(), matrices[row], fill, 0.5)
            np.testing.assert_allclose(found[row, channel], expected, atol=2e-5)


def test_a_quarter_turn_is_anticlockwise():
    stimuli = images(1, 2, 9, 9)
    found = Rotate(90, 90)(stimuli, drawn(1, 1))
    np.testing.assert_allclose(found.numpy(), np.rot90(stimuli.numpy(), 1, (2, 3)), atol=1e-5)


def test_pad_and_jitter_are_slices_of_the_padded_image():
    stimuli, draws = images(6, 2, 11, 7), drawn(6, 2)
    padded = Pad(3, "grey", 0.25)(stimuli, drawn(6, 0))
    np.testing.assert_allclose(padded.numpy(), np.pad(stimuli, ((0, 0), (0, 0), (3, 3), (3, 3)), constant_values=0.25), atol=1e-5)
    windows = Jitter(4)(padded, draws)
    assert windows.shape == (6, 2, 13, 9)
    for row in range(6):
        top, left = (math.floor(5 * float(v)) for v in draws.uniform[row])
        np.testing.assert_allclose(windows[row].numpy(), padded[row, :, top : top + 13, left : left + 9].numpy(), atol=1e-5)


def test_rolls_and_flips_are_numpys():
    stimuli, draws = images(5, 3, 8, 6), drawn(5, 2)
    found = Roll(9)(stimuli, draws)
    flipped, upside = Flip(0.5)(stimuli, draws), Flip(0.5, "vertical")(stimuli, draws)
    for row in range(5):
        down, right = (-9 + math.floor(19 * float(v)) for v in draws.uniform[row])
        np.testing.assert_array_equal(found[row].numpy(), np.roll(stimuli[row].numpy(), (down, right), (1, 2)))
        np.testing.assert_array_equal(
            Roll(9)(stimuli[row : row + 1], Draws(draws.uniform[row : row + 1], draws.progress, [0]))[0], found[row]
        )
        mirrored = draws.uniform[row, 0] < 0.5
        expected = stimuli[row].flip(2) if mirrored else stimuli[row]
        np.testing.assert_allclose(flipped[row].numpy(), expected.numpy(), atol=1e-5)
        np.testing.assert_allclose(upside[row].numpy(), (stimuli[row].flip(1) if mirrored else stimuli[row]).numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 2, 20, 31), (3, 2, 1, 40)])
def test_blur_is_scipys(shape):
    stimuli, draws = images(*shape), drawn(3, 1)
    found = Blur(0.3, 2.5)(stimuli, draws)
    for row, sigma in enumerate((0.3 + 2.2 * draws.uniform[:, 0]).tolist()):
        for channel in range(2):
            image = stimuli[row, channel].double().numpy()
            expected = ndimage.gaussian_filter(image, (sigma if shape[2] > 1 else 0, sigma), mode="reflect")
            np.testing.assert_allclose(found[row, channel].numpy(), expected, atol=1e-5)


def test_a_fading_blur_ends_sharp():
    stimuli = images(2, 3, 12, 12)
    draws = Draws(torch.zeros(2, 1, dtype=torch.float64), torch.tensor([0.5, 1.0], dtype=torch.float64), [0, 1])
    blur = Blur(1.5, 1.5, until=0.01)
    assert blur.widths(draws).tolist() == pytest.approx([0.755, 0.01])
    found = blur(stimuli, draws)
    np.testing.assert_allclose(found[1].numpy(), stimuli[1].numpy(), atol=1e-6)
    assert float((found[0] - stimuli[0]).abs().max()) > 0.1


def test_colour_and_gain_follow_their_formulas():
    stimuli, draws = images(4, 3, 5, 6), drawn(4, 8)
    u = 2 * draws.uniform.numpy() - 1
    found = Colour(0.3, 0.6)(stimuli, draws).numpy()
    for row in range(4):
        for channel in range(3):
            expected = (stimuli[row, channel].numpy() - 0.3 * u[row, channel]) / math.exp(0.6 * u[row, 4 + channel])
            np.testing.assert_allclose(found[row, channel], expected, atol=1e-5)
    gains = 0.5 + draws.uniform[:, 0].numpy()
    expected = 0.2 + gains[:, None, None, None] * (stimuli.numpy() - 0.2)
    np.testing.assert_allclose(Gain(0.5, 1.5, 0.2)(stimuli, draws).numpy(), expected, atol=1e-5)


def test_noise_has_its_deviation_and_fades():
    stimuli = torch.zeros(60, 3, 16, 16)
    draws = drawn(60, 0)
    added = Noise(0.2)(stimuli, draws)
    assert float(added.std()) == pytest.approx(0.2, rel=0.02)
    assert float(added.mean()) == pytest.approx(0.0, abs=0.005)
    assert abs(float((added[0] * added[1]).mean())) < 0.01
    tint = Noise(0.2, per="channel")(stimuli, draws)
    assert float(tint.flatten(2).std(2).max()) == 0.0
    assert float(tint.std()) == pytest.approx(0.2, rel=0.2)
    late = Draws(draws.uniform, torch.full((60,), 0.75, dtype=torch.float64), draws.seeds)
    assert float(Noise(0.2, until=0.0)(stimuli, late).std()) == pytest.approx(0.05, rel=0.02)


def test_draws_keep_within_what_is_stated_and_reach_all_of_it():
    n = 4000
    pipeline = Pipeline([Crop(0.2, 0.25, "central"), Scale(0.9, 1.1), Jitter(4)], COLOUR, seed=5)
    crop, scale, jitter = pipeline.draws(0, n, torch.zeros(n))
    side, x, y = Crop(0.2, 0.25, "central").boxes(crop)
    assert 0.2 <= float(side.min()) < 0.2005
    assert 0.2495 < float(side.max()) <= 0.25
    assert float((x.abs() + side / 2).max()) <= 0.5 + 1e-9
    assert float(y.std()) == pytest.approx(0.15, rel=0.05)
    factors = 1 / Scale(0.9, 1.1).move((20, 27), scale).matrix[:, 0, 0]
    assert 0.9 <= float(factors.min()) < 0.9005
    assert 1.0995 < float(factors.max()) <= 1.1
    counts = torch.bincount(jitter.whole(0, 0, 4).long(), minlength=5)
    assert counts.shape == (5,)
    assert float(counts.min()) > 0.85 * n / 5
    angles = Rotate(-10, 10)
    (rotation,) = Pipeline([angles], COLOUR, seed=5).draws(0, n, torch.zeros(n))
    matrix = angles.move((20, 27), rotation).matrix
    found = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]).rad2deg()
    assert -10 <= float(found.min()) < -9.95
    assert 9.95 < float(found.max()) <= 10


@pytest.mark.parametrize(
    ("kind", "options", "field"),
    [
        (Crop, {"size": [0.25, 0.2]}, "size"),
        (Crop, {"size": [0.0, 0.2]}, "size"),
        (Crop, {"size": [0.5, 1.2]}, "size"),
        (Scale, {"range": [1.1, 0.9]}, "range"),
        (Scale, {"range": [-1, 2]}, "range"),
        (Rotate, {"degrees": [10, -10]}, "degrees"),
        (Rotate, {"degrees": [float("nan"), 10]}, "degrees"),
        (Pad, {"pixels": 0}, "pixels"),
        (Jitter, {"pixels": -1}, "pixels"),
        (Blur, {"sigma": [0, 1]}, "sigma"),
        (Blur, {"until": -1}, "until"),
        (Noise, {"std": -0.1}, "std"),
        (Noise, {"std": float("inf")}, "std"),
        (Noise, {"std": 0}, ""),
        (Flip, {"probability": 0}, "probability"),
        (Roll, {"most": 0}, "most"),
        (Gain, {"range": [-1, 1]}, "range"),
        (Colour, {"shift": -1}, "shift"),
        (Pad, {"pixel": 3}, "pixel"),
        (Pad, {"fill": "black"}, "fill"),
    ],
)
def test_bad_options_are_refused_by_name(kind, options, field):
    with pytest.raises(ValidationError) as caught:
        kind.Options(**options)
    assert next(str(error["loc"][0]) if error["loc"] else "" for error in caught.value.errors()) == field


def test_options_that_leave_nothing_are_refused():
    with pytest.raises(InvalidOption, match="leaves nothing of 20") as caught:
        Jitter.from_options(Jitter.Options(pixels=20), COLOUR)
    assert caught.value.option == "pixels"
    with pytest.raises(InvalidOption, match="no top and bottom"):
        Flip.from_options(Flip.Options(axis="vertical"), SERIES)
