"""Pictures that users bring: each is read as it is displayed, or counted and named."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, features

from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.models.image_source import folder_stimuli, image_stimulus, read_folder
from actmax.models.options import InvalidOption
from actmax.models.pictures.log import readings
from actmax.models.spaces import StimulusSpec

SPEC = StimulusSpec((3, 32, 32))


def above_white() -> np.ndarray:
    """A scene that is white above and black below."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16] = 255
    return pixels


def stands(stimulus: torch.Tensor) -> bool:
    """Whether the scene stands upright."""
    return bool(stimulus[:, :14].mean() > 0.95 and stimulus[:, 18:].mean() < 0.05)


def turned(degrees: int, orientation: int) -> tuple[Image.Image, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.fromarray(np.ascontiguousarray(np.rot90(above_white(), degrees // 90))), exif


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(("degrees", "orientation"), [(90, 6), (180, 3), (270, 8)])
def test_a_turned_photo_stands_upright_by_every_way_in(tmp_path, kind, degrees, orientation):
    image, exif = turned(degrees, orientation)
    image.save(tmp_path / f"a.{kind}", exif=exif)
    assert stands(folder_stimuli(str(tmp_path), SPEC, "images")[0])
    assert stands(image_stimulus(str(tmp_path / f"a.{kind}"), SPEC))


def test_a_portrait_has_the_size_that_it_is_displayed_at(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (48, 16)).save(tmp_path / "a.jpg", exif=exif)
    assert image_stimulus(str(tmp_path / "a.jpg"), StimulusSpec((3, 48, 16))).shape == (3, 48, 16)
    with pytest.raises(InvalidOption, match="16 × 48 pixels"):
        image_stimulus(str(tmp_path / "a.jpg"), StimulusSpec((3, 16, 48)))


def test_a_medical_picture_of_16_bits_is_not_white_all_over(tmp_path):
    Image.fromarray(np.repeat(np.linspace(0, 65535, 32).astype(np.uint16)[None], 32, 0)).save(tmp_path / "a.png")
    found = folder_stimuli(str(tmp_path), SPEC, "images")[0]
    assert torch.allclose(found[0, 0], torch.linspace(0, 1, 32), atol=1e-4)


def test_a_cut_out_object_does_not_stand_on_hidden_colours(tmp_path):
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[..., 0] = 255  # red wherever it is transparent
    pixels[8:24, 8:24] = (0, 255, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with readings() as noted:
        found = image_stimulus(str(tmp_path / "a.png"), SPEC)
    assert torch.allclose(found[:, 0, 0], torch.full((3,), 128 / 255))
    assert torch.equal(found[:, 16, 16], torch.tensor([0.0, 1.0, 0.0]))
    assert "mid-grey" in noted[0].account()


def test_a_print_file_has_its_colours(tmp_path):
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[:16], colours[16:] = (200, 30, 30), (30, 30, 200)
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    found = folder_stimuli(str(tmp_path), SPEC, "images")[0]
    np.testing.assert_allclose(found[:, 4, 16] * 255, [200, 30, 30], atol=8)
    np.testing.assert_allclose(found[:, 28, 16] * 255, [30, 30, 200], atol=8)


@pytest.mark.parametrize("kind", ["webp", "tif", "bmp", "gif", "avif", "ppm"])
def test_a_folder_of_another_format_is_read(tmp_path, kind):
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    Image.fromarray(above_white()).save(tmp_path / f"a.{kind}")
    assert stands(folder_stimuli(str(tmp_path), SPEC, "images")[0])


def test_the_content_decides_and_not_the_name(tmp_path):
    Image.fromarray(above_white()).save(tmp_path / "a.jpg", "WEBP", lossless=True)
    Image.fromarray(above_white()).save(tmp_path / "photo", "PNG")
    found = read_folder(str(tmp_path), SPEC, "images")
    assert found.reading.used == 2
    assert all(stands(stimulus) for stimulus in found.stimuli)


def test_half_a_download_is_never_half_grey(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as many programs set it
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for kind in ("jpg", "png"):
        Image.fromarray(noise).save(tmp_path / f"whole.{kind}")
        whole = (tmp_path / f"whole.{kind}").read_bytes()
        (tmp_path / f"half.{kind}").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InvalidOption, match=rf"half\.{kind}' can't be read: it is (cut short|no whole)"):
            image_stimulus(str(tmp_path / f"half.{kind}"), SPEC, fit="crop")
    found = read_folder(str(tmp_path), SPEC, "images")
    assert found.reading.used == 2
    assert sorted(found.reading.unread) == ["half.jpg", "half.png"]


def test_an_animation_is_its_first_frame_and_that_is_said(tmp_path):
    first, second = Image.fromarray(above_white()), Image.fromarray(255 - above_white())
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    found = read_folder(str(tmp_path), SPEC, "images")
    assert stands(found.stimuli[0])
    assert "animated: its first frame" in found.reading.account()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_tiny_and_narrow_pictures_are_scaled(tmp_path, size):
    Image.new("RGB", size, (51, 102, 153)).save(tmp_path / "a.png")
    found = folder_stimuli(str(tmp_path), SPEC, "images")
    np.testing.assert_allclose(found[0].mean((1, 2)), [0.2, 0.4, 0.6], atol=1e-3)


def test_a_panorama_is_scaled_on_load_and_a_bomb_is_refused(tmp_path):
    Image.new("RGB", (9000, 2500), (51, 102, 153)).save(tmp_path / "a.jpg")
    found = read_folder(str(tmp_path), SPEC, "images")
    np.testing.assert_allclose(found.stimuli[0].mean((1, 2)), [0.2, 0.4, 0.6], atol=0.01)
    header = b"P5 100000 100000 255\n"
    (tmp_path / "bomb.pgm").write_bytes(header + bytes(1000))
    assert "100000 × 100000 pixels" in read_folder(str(tmp_path), SPEC, "images").reading.unread["bomb.pgm"]


def folder_of_odd_files(root) -> None:
    """Three that can be used, one of them turned; a HEIC, half a picture, hidden files, a name that is no UTF-8."""
    image, exif = turned(90, 6)
    image.save(root / "turned.jpg", exif=exif)
    Image.fromarray(above_white()).save(root / "b.webp", lossless=True)
    (root / os.fsdecode(b"\xff<b>[red]\n.png")).write_bytes((root / "b.webp").read_bytes())
    (root / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (root / "half.jpg").write_bytes((root / "turned.jpg").read_bytes()[:-300])
    for name in ("._turned.jpg", "Thumbs.db", "notes.txt"):
        (root / name).write_text("something else")
    (root / "link").symlink_to(root)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 28 * 28, 3))


def test_reports_say_what_of_a_folder_was_used_and_what_was_not(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    folder_of_odd_files(root)
    result = maximize(
        "maco",
        "cifar10-cnn",
        "fc[3]",
        generator_options={"images": str(root)},
        optimizer="random",
        evaluations=8,
        images=root,
        folder=tmp_path / "out",
    )
    written = json.loads((tmp_path / "out/artifacts/result.json").read_text())
    for reading in (written["pictures"][0], written["images"]["reading"]):
        assert reading["used"] == 3
        assert {entry["name"]: entry["why"][:15] for entry in reading["unread"]} == {
            "c.heic": "HEIC isn't read",
            "half.jpg": "it is cut short",
        }
        assert {group["what"] for group in reading["passed_over"]} == {"hidden", "no picture", "link to a folder, not followed"}
    page = (tmp_path / "out/artifacts/report.html").read_text()
    for word in ("3 pictures of", "c.heic (HEIC isn", "half.jpg (it is cut short", "notes.txt"):
        assert page.count(word) == 2, word
    assert result.images is not None
    assert len(result.images.of["fc[3]"]) == 3


def test_a_folder_without_one_readable_picture_is_refused_before_the_search(tmp_path):
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(InvalidJob, match=r"report\.images: no picture of .*: c\.heic \(HEIC isn't read; save it as PNG or JPEG\)"):
        maximize("pixel", "cifar10-cnn", "fc[3]", optimizer="random", evaluations=8, images=tmp_path)
    with pytest.raises(InvalidJob, match=r"generator\.options\.images: no picture of"):
        maximize("maco", "cifar10-cnn", "fc[3]", generator_options={"images": str(tmp_path)}, optimizer="random", evaluations=8)


def test_a_start_image_and_a_reference_of_any_kind_are_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    scene = Image.fromarray(np.rot90(np.kron(above_white(), np.ones((4, 4, 1), np.uint8))).copy())
    scene.save(tmp_path / "start.tif", exif=exif)
    Image.fromarray(above_white()).convert("P").save(tmp_path / "like.gif", save_all=True, append_images=[Image.new("P", (32, 32))])
    result = maximize(
        "image",
        "cifar10-cnn",
        "fc[3]",
        generator_options={"image": str(tmp_path / "start.tif"), "fit": "crop", "std": 0.001},
        objective="content",
        objective_options={"image": str(tmp_path / "like.gif"), "layers": [{"layer": "layer1"}]},
        optimizer="random",
        evaluations=4,
    )
    assert stands(torch.from_numpy(result.searches[0].stimulus))
    accounts = [(reading.option, reading.account()) for reading in result.pictures]
    assert accounts == [("image", f"{tmp_path / 'like.gif'} (animated: its first frame)")]
