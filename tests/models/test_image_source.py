"""Pictures as options: who may name which, and what can't be read."""

import base64
import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel, ValidationError

from actmax.models.image_source import ImageSource, folder_stimuli, image_stimulus, read_folder
from actmax.models.options import InvalidOption
from actmax.models.permissions import MAX_PICTURE_BYTES, PERMISSIONS, FolderSource, Permissions
from actmax.models.pictures.colour import BACKGROUND, TRANSPARENT
from actmax.models.pictures.log import readings
from actmax.models.spaces import StimulusSpec

COLOUR, GREY, WIDE = StimulusSpec((3, 6, 6)), StimulusSpec((1, 6, 6)), StimulusSpec((3, 4, 8), -1.0, 1.0)


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def encoded(array: np.ndarray, mode: str | None = None, kind: str = "PNG", lossless: bool = False) -> bytes:
    picture = Image.fromarray(array)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, kind, lossless=lossless)
    return buffer.getvalue()


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


class Options(BaseModel):
    image: ImageSource | None = None
    folder: FolderSource | None = None


@pytest.mark.parametrize("context", [{PERMISSIONS: Permissions()}, {}])
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
        (good[:40] + "A" * (MAX_PICTURE_BYTES * 4 // 3 + 200), "larger than 4 MiB"),
    ]:
        with pytest.raises(ValidationError, match=says):
            Options.model_validate({"image": value}, context=context)
    with pytest.raises(ValidationError, match="may not read files"):
        Options.model_validate({"folder": "/etc"}, context=context)


def test_the_library_and_who_may_read_files_name_paths():
    assert Options(image="cat.png", folder="cats").image == "cat.png"
    assert Options.model_validate({"folder": "cats"}, context={PERMISSIONS: Permissions(any_file=True)}).folder == "cats"


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
        (uri(encoded(drawn(6, 6, 3))[:-30]), COLOUR, "no whole PNG picture"),
        (uri(b""), COLOUR, "it is empty"),
        (uri(b"\x89PNG\r\n\x1a\nxx"), COLOUR, "no whole PNG picture"),
        (uri(b"\0\0\0\x18ftypheic" + bytes(20)), COLOUR, "HEIC isn't read; save it as PNG or JPEG"),
        ("data:image/png;base64,$$$", COLOUR, "not base64"),
        (uri(bomb(5000, 5000)), COLOUR, "5000 × 5000 pixels; at most 17 million"),
        (uri(bomb(60_000, 60_000)), COLOUR, "at most 17 million"),
        ("no/such/file.png", COLOUR, "no such file"),
        (".", COLOUR, "can't be read"),
        ("a\0b", COLOUR, "can't be read"),
        (uri(encoded(drawn(6, 6, 3))), StimulusSpec((2, 6, 6)), "1 or 3 channels, the target takes 2"),
        (uri(encoded(drawn(6, 6, 3))), StimulusSpec((2, 6), 0, 1, "series"), "no series"),
    ],
)
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
    assert torch.equal(folder_stimuli(str(tmp_path), GREY, "images"), found)
    with pytest.raises(InvalidOption, match="there is no folder"):
        folder_stimuli(str(tmp_path / "none"), GREY, "images")


def test_what_was_decided_about_a_picture_is_noted():
    half = np.dstack([drawn(6, 6, 3), np.full((6, 6), 100, np.uint8)])
    with readings() as noted:
        found = image_stimulus(uri(encoded(half)), COLOUR, "start")
        image_stimulus(uri(encoded(drawn(6, 6, 3))), COLOUR, "other")
    expected = (half[..., :3] * (100 / 255) + BACKGROUND * (155 / 255)) / 255
    np.testing.assert_allclose(found.numpy(), expected.transpose(2, 0, 1), atol=0.005)
    assert [reading.account() for reading in noted] == [f"the picture ({TRANSPARENT})"]


def test_formats_without_grey_suit_a_target_of_one_channel(tmp_path):
    array = drawn(6, 6)
    for kind in ("WEBP", "GIF", "PNG"):
        (tmp_path / "a").write_bytes(encoded(np.stack([array] * 3, -1) if kind == "WEBP" else array, kind=kind, lossless=True))
        np.testing.assert_allclose(image_stimulus(str(tmp_path / "a"), GREY)[0].numpy(), array / 255, atol=1e-6)


def test_grey_of_16_bits_keeps_them_and_becomes_three_channels(tmp_path):
    wide = np.arange(36, dtype=np.uint16).reshape(6, 6) * 1801
    (tmp_path / "a.png").write_bytes(encoded(wide))
    for spec in (GREY, COLOUR):
        found = image_stimulus(str(tmp_path / "a.png"), spec)
        assert found.shape == spec.shape
        np.testing.assert_allclose(found.numpy(), np.broadcast_to(wide / 65535, spec.shape), atol=1e-6)
        np.testing.assert_allclose(folder_stimuli(str(tmp_path), spec, "images")[0].numpy(), found.numpy(), atol=1e-6)


def test_a_photo_of_24_megapixels_is_scaled_on_load(tmp_path):
    rows = np.linspace(0, 255, 4000).astype(np.uint8)[:, None, None]
    Image.fromarray(np.broadcast_to(rows, (4000, 6000, 3))).save(tmp_path / "a.jpg")
    with pytest.raises(InvalidOption, match="6000 × 4000 pixels"):
        image_stimulus(str(tmp_path / "a.jpg"), COLOUR)
    found = image_stimulus(str(tmp_path / "a.jpg"), COLOUR, fit="crop")
    np.testing.assert_allclose(found[0, :, 3].numpy() * 6, np.arange(6) + 0.5, atol=0.1)


def test_what_a_folder_holds_is_counted_and_named(tmp_path):
    kinds = {"a.png": "PNG", "b.WEBP": "WEBP", "c.tif": "TIFF", "d.bmp": "BMP", "e.gif": "GIF", "f.png": "JPEG", "nameless": "PNG"}
    for name, kind in kinds.items():
        (tmp_path / name).write_bytes(encoded(drawn(8, 8, 3), kind=kind))
    (tmp_path / "g.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "h.jpg").write_bytes(encoded(drawn(8, 8, 3), kind="JPEG")[:-200])
    (tmp_path / "i.png").write_text("<!DOCTYPE html><html>404")
    (tmp_path / "empty.jpg").touch()
    for name in ("notes.txt", "._a.png", "Thumbs.db", ".hidden/z.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(drawn(8, 8, 3)) if name == ".hidden/z.png" else b"something else")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(encoded(drawn(8, 8, 3)))
    found = read_folder(str(tmp_path), COLOUR, "images")
    reading = found.reading
    assert found.stimuli.shape[0] == reading.used == len(kinds) + 1
    assert {name: why[:20] for name, why in reading.unread.items()} == {
        "empty.jpg": "it is empty",
        "g.heic": "HEIC isn't read; sav",
        "gone.png": "there is no such fil",
        "h.jpg": "it is cut short: a J",
        "i.png": "it is a web page, su",
        "pipe.jpg": "it is no ordinary fi",
    }
    assert {what: group.names for what, group in reading.others.items()} == {
        "hidden": ["._a.png", ".hidden", "Thumbs.db"],
        "link to a folder, not followed": ["link"],
        "no picture": ["notes.txt"],
    }
    assert json.loads(json.dumps(reading.to_json(), ensure_ascii=False).encode())["used"] == 8
    said = reading.account()
    for word in ("8 pictures", "6 pictures can't be read: empty.jpg (it is empty)", "notes.txt", "3 files passed over (hidden)"):
        assert word in said
    assert read_folder(str(tmp_path), COLOUR, "images", most=3).reading.left_out == 11


def test_a_folder_of_which_no_picture_can_be_read_is_refused_with_why(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(InvalidOption, match=r"no picture of .* can be used: 1 picture can't be read: a\.heic \(HEIC isn't read"):
        folder_stimuli(str(tmp_path), COLOUR, "images")
    (tmp_path / "a.heic").unlink()
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InvalidOption, match=r"with pictures in it: 1 file passed over \(no picture\): notes\.txt"):
        folder_stimuli(str(tmp_path), COLOUR, "images")
