"""Pictures as options: who may name which, and what can't be read."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel, ValidationError

from actmax.models.file_access import FILES, MAX_URI_BYTES, FolderSource
from actmax.models.image_source import ImageSource, folder_stimuli, image_stimulus
from actmax.models.options import InvalidOption
from actmax.models.spaces import StimulusSpec

COLOUR, GREY, WIDE = StimulusSpec((3, 6, 6)), StimulusSpec((1, 6, 6)), StimulusSpec((3, 4, 8), -1.0, 1.0)


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def encoded(array: np.ndarray, mode: str | None = None, kind: str = "PNG", **options) -> bytes:
    picture = Image.fromarray(array)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, kind, **options)
    return buffer.getvalue()


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


class Options(BaseModel):
    image: ImageSource | None = None
    folder: FolderSource | None = None


@pytest.mark.parametrize("context", [{FILES: False}, {}])
def test_who_may_not_read_files_gives_pictures_and_nothing_else(context):
    good = uri(encoded(drawn(6, 6, 3)))
    assert Options.model_validate({"image": good}, context=context).image == good
    for value, says in [
        ("/etc/passwd", "may not read files"),
        ("cat.png", "may not read files"),
        ("file:cat.png", "for job files"),
        ("data:text/plain,hello", "begins with data:image/png;base64,"),
        ("data:image/png,raw", "begins with"),
        ("data:image/svg+xml;base64,AAAA", "begins with"),
        (good[:40] + "A" * (MAX_URI_BYTES * 4 // 3 + 200), "larger than 4 MiB"),
    ]:
        with pytest.raises(ValidationError, match=says):
            Options.model_validate({"image": value}, context=context)
    with pytest.raises(ValidationError, match="may not read files"):
        Options.model_validate({"folder": "/etc"}, context=context)


def test_the_library_and_who_may_read_files_name_paths():
    assert Options(image="cat.png", folder="cats").image == "cat.png"
    assert Options.model_validate({"folder": "cats"}, context={FILES: True}).folder == "cats"


def test_a_file_and_a_data_uri_give_the_same_pixels(tmp_path):
    array = drawn(6, 6, 3)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(array))
    for source in (str(path), uri(encoded(array)), uri(encoded(array, "RGBA"))):
        np.testing.assert_allclose(image_stimulus(source, COLOUR).numpy(), array.transpose(2, 0, 1) / 255, atol=1e-6)
    assert image_stimulus(uri(encoded(array, kind="JPEG"), "jpeg"), COLOUR).shape == (3, 6, 6)


def test_grey_other_ranges_and_palettes():
    array = drawn(4, 8)
    np.testing.assert_allclose(image_stimulus(uri(encoded(array)), WIDE).numpy(), np.stack([array / 127.5 - 1] * 3), atol=1e-6)
    np.testing.assert_allclose(image_stimulus(uri(encoded(drawn(6, 6))), GREY)[0].numpy(), drawn(6, 6) / 255, atol=1e-6)
    few = np.asarray(Image.fromarray(drawn(6, 6, 3)).convert("P").convert("RGB"))
    found = image_stimulus(uri(encoded(drawn(6, 6, 3), "P")), COLOUR)
    np.testing.assert_allclose(found.numpy(), few.transpose(2, 0, 1) / 255, atol=1e-6)


def test_crop_takes_the_middle_and_stretch_takes_all():
    array = np.zeros((6, 12, 3), np.uint8)
    array[:, 3:9] = 200
    assert image_stimulus(uri(encoded(array)), COLOUR, fit="crop").numpy() == pytest.approx(200 / 255, abs=0.01)
    assert float(image_stimulus(uri(encoded(array)), COLOUR, fit="stretch").min()) < 0.1


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that claims many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("source", "stimulus", "says"),
    [
        (uri(encoded(drawn(5, 6, 3))), COLOUR, "6 × 5 pixels"),
        (uri(encoded(drawn(6, 6, 3))), GREY, "in colour, the target takes one channel"),
        (uri(encoded(drawn(6, 6, 4))), COLOUR, "transparent parts"),
        (uri(encoded(drawn(6, 6, 3), "CMYK", "JPEG"), "jpeg"), COLOUR, "mode CMYK is not read"),
        (uri(encoded(np.arange(36, dtype=np.uint16).reshape(6, 6) * 1000)), GREY, "mode I"),
        (uri(encoded(drawn(6, 6, 3))[:-30]), COLOUR, "no whole PNG or JPEG"),
        (uri(b""), COLOUR, "no whole PNG or JPEG"),
        (uri(b"\x89PNG\r\n\x1a\nxx"), COLOUR, "no whole PNG or JPEG"),
        (uri(encoded(drawn(6, 6, 3), kind="GIF")), COLOUR, "no whole PNG or JPEG"),
        ("data:image/png;base64,$$$", COLOUR, "not base64"),
        (uri(bomb(5000, 5000)), COLOUR, "16 Mi"),
        (uri(bomb(60_000, 60_000)), COLOUR, "16 Mi"),
        ("no/such/file.png", COLOUR, "no such file"),
        (".", COLOUR, "can't be read"),
        ("a\0b", COLOUR, "can't be read"),
        (uri(encoded(drawn(6, 6, 3))), StimulusSpec((2, 6, 6)), "1 or 3 channels, the target takes 2"),
        (uri(encoded(drawn(6, 6, 3))), StimulusSpec((2, 6), 0, 1, "series"), "no series"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_such_picture_is_refused_by_option(source, stimulus, says):
    with pytest.raises(InvalidOption, match=says) as caught:
        image_stimulus(source, stimulus, "start")
    assert caught.value.option == "start"


def test_a_stimulus_as_it_is(tmp_path):
    series = StimulusSpec((2, 5), -1, 1, "series")
    values = np.linspace(-1, 1, 10).reshape(2, 5)
    np.save(tmp_path / "s.npy", values)
    np.testing.assert_allclose(image_stimulus(str(tmp_path / "s.npy"), series).numpy(), values, atol=1e-6)
    np.save(tmp_path / "t.npy", values * 2)
    with pytest.raises(InvalidOption, match="do not all lie"):
        image_stimulus(str(tmp_path / "t.npy"), series)
    np.save(tmp_path / "u.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidOption, match="damaged"):
        image_stimulus(str(tmp_path / "u.npy"), series)
    np.save(tmp_path / "v.npy", values.T)
    with pytest.raises(InvalidOption, match="shape"):
        image_stimulus(str(tmp_path / "v.npy"), series)


def test_a_folder_is_read_by_name_cropped_and_turned_grey(tmp_path):
    (tmp_path / "below").mkdir()
    for name, level in (("b.png", 200), ("a.jpg", 100), ("below/c.png", 50)):
        Image.new("RGB", (20, 10), (level, level, level)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    found = folder_stimuli(str(tmp_path), GREY, "images")
    assert found.shape == (3, 1, 6, 6)
    np.testing.assert_allclose(found.mean((1, 2, 3)).numpy() * 255, [100, 200, 50], atol=1)
    assert torch.allclose(folder_stimuli(str(tmp_path), COLOUR, "images", most=1), found[:1].expand(-1, 3, -1, -1), atol=1e-6)
    (tmp_path / "below" / "d.png").write_bytes(b"broken")
    with pytest.raises(InvalidOption, match=r"d\.png: it is no whole"):
        folder_stimuli(str(tmp_path), GREY, "images")
    with pytest.raises(InvalidOption, match="there is no folder"):
        folder_stimuli(str(tmp_path / "none"), GREY, "images")
