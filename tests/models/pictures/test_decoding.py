"""Pictures by round trips: closed-form levels are stored in a format, mode and orientation, and come back as they are displayed."""

import io
import os
import struct
import zlib
from contextlib import suppress
from typing import Literal

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms, ImageFile, TiffImagePlugin, features

from actmax.models.pictures import decoding
from actmax.models.pictures.colour import BACKGROUND, TRANSPARENT
from actmax.models.pictures.decoding import decode
from actmax.models.pictures.errors import UnreadablePicture

WIDTH, HEIGHT = 24, 16
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}, "PPM": {}}
AVIF = pytest.param("AVIF", marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF"))


def ramp(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Red grows to the right, green downwards, blue is checked: no turn or flip leaves it alone."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, np.full_like(x, 60)], -1).round().astype(np.uint8)


def stored(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def levels(data: bytes, **options) -> np.ndarray:
    return np.asarray(decode(data, **options).image)


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores under ``orientation`` (EXIF 2.3, tag 0x0112): row 0 and column 0 of it are the named sides of the scene."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "MPO", AVIF])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_come_back_upright(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ramp()
    lossless = LOSSLESS.get(kind, {"quality": 95, "subsampling": "4:4:4"} if kind == "AVIF" else {"quality": 95, "subsampling": 0})
    data = stored(Image.fromarray(np.ascontiguousarray(turned(upright, orientation))), kind, exif=exif, **lossless)
    found = decode(data)
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(np.asarray(found.image).astype(int), upright, atol=0 if kind in LOSSLESS else 12)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_colours_of_formats_without_loss_come_back_exactly(kind):
    assert np.array_equal(levels(stored(Image.fromarray(ramp()), kind, **LOSSLESS[kind])), ramp())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "JPEG", "PPM"])
def test_grey_comes_back_as_grey(kind):
    grey = ramp()[..., 0]
    found = levels(stored(Image.fromarray(grey), kind, **({"quality": 100} if kind == "JPEG" else {})))
    if kind == "GIF":  # it has palettes alone
        assert bool((found == found[..., :1]).all())
        found = found[..., 0]
    assert found.shape == grey.shape
    np.testing.assert_allclose(found.astype(int), grey, atol=3 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_one_bit_is_black_and_white(kind):
    bits = ramp()[..., 0] > 100
    found = levels(stored(Image.fromarray(bits), kind))
    assert np.array_equal(found.reshape(HEIGHT, WIDTH, -1)[..., 0], bits * 255)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_palettes_are_colours(kind):
    few = Image.fromarray(ramp()).quantize(16)
    assert np.array_equal(levels(stored(few, kind)), np.asarray(few.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_is_scaled_and_not_clipped(kind):
    x = np.linspace(0, 65535, WIDTH).round().astype(np.uint16)
    wide = np.repeat(x[None], HEIGHT, 0)
    found = decode(stored(Image.fromarray(wide), kind))
    assert found.image.mode == "F"
    np.testing.assert_allclose(np.asarray(found.image), wide / 65535 * 255, rtol=1e-5, atol=1e-4)


def test_grey_of_16_bits_that_uses_few_of_them_is_read_as_it_is_and_that_is_said():
    dark = (ramp()[..., 0].astype(np.uint16) * 16).astype(np.uint16)
    found = decode(stored(Image.fromarray(dark), "PNG"))
    np.testing.assert_allclose(np.asarray(found.image), dark / 257, rtol=1e-5)
    assert "eighth of white" in found.remarks[0]


def tiff(values: np.ndarray, photometric: int, bits: int, order: Literal["<", ">"] = "<", more: dict[int, int] | None = None) -> bytes:
    """An uncompressed TIFF, written by hand (TIFF 6.0, sections 2 to 4)."""
    height, width = values.shape[:2]
    samples = values.shape[2] if values.ndim == 3 else 1
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = {
        256: width,
        257: height,
        259: 1,
        262: photometric,
        277: samples,
        278: height,
        279: len(pixels),
        **(more or {}),
    }
    entries = {**tags, 258: bits, 273: 0}
    start = 8 + 2 + 12 * len(entries) + 4
    extra = b""
    if samples > 1:
        extra = struct.pack(f"{order}{samples}H", *[bits] * samples)
    entries[273] = start + len(extra)
    body = struct.pack(f"{order}H", len(entries))
    for tag, value in sorted(entries.items()):
        if tag == 258 and samples > 1:
            body += struct.pack(f"{order}HHII", 258, 3, samples, start)
        else:
            body += struct.pack(f"{order}HHII", tag, 4, 1, value)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8) + body + bytes(4) + extra + pixels


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_grey_of_16_bits_in_either_byte_order(order):
    wide = (np.arange(WIDTH * HEIGHT, dtype=np.uint16) * 170).reshape(HEIGHT, WIDTH)
    np.testing.assert_allclose(levels(tiff(wide, 1, 16, order)), wide / 65535 * 255, rtol=1e-5, atol=1e-4)


def test_where_white_is_zero_levels_are_turned_round():
    wide = (np.arange(WIDTH * HEIGHT, dtype=np.uint16) * 170).reshape(HEIGHT, WIDTH)
    np.testing.assert_allclose(levels(tiff(wide, 0, 16)), 255 - wide / 65535 * 255, rtol=1e-5, atol=1e-3)
    assert np.array_equal(levels(tiff(ramp()[..., 0], 0, 8)), 255 - ramp()[..., 0])


def test_grey_of_12_bits_is_scaled_by_its_own_depth():
    values = (np.arange(WIDTH * HEIGHT) * 4095 // (WIDTH * HEIGHT - 1)).reshape(HEIGHT, WIDTH)
    first, second = values[:, ::2], values[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8)
    data = tiff(packed.reshape(HEIGHT, -1), 1, 12)
    data = data.replace(struct.pack("<HHII", 256, 4, 1, WIDTH * 3 // 2), struct.pack("<HHII", 256, 4, 1, WIDTH))
    np.testing.assert_allclose(levels(data), values / 4095 * 255, atol=1e-3)


@pytest.mark.parametrize("order", ["<", ">"])
def test_colours_of_16_bits_are_scaled(order):
    wide = ramp().astype(np.uint16) * 257
    assert np.array_equal(levels(tiff(wide, 2, 16, order)), ramp())


def png(values: np.ndarray, bits: int, colour_type: int, *more: bytes) -> bytes:
    """A PNG written by hand (ISO/IEC 15948); ``more`` are chunks before the pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = values.astype(">u2") if bits == 16 else values
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:].reshape(height, -1), axis=-1) if bits < 8 else rows
    raw = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    made = [chunk(extra[:4], extra[4:]) for extra in more]
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *made, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")])


def test_png_colours_of_16_bits_are_scaled():
    assert np.array_equal(levels(png(ramp().astype(np.uint16) * 257, 16, 2)), ramp())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_level_of_grey_lies_on_mid_grey_at_every_depth(bits):
    most = (1 << bits) - 1
    values = np.tile(np.linspace(0, most, 8).round().astype(np.uint16 if bits == 16 else np.uint8), (4, 1))
    found = decode(png(values, bits, 0, b"tRNS" + struct.pack(">H", most)))
    expected = np.where(values == most, BACKGROUND, values / most * 255)
    np.testing.assert_allclose(np.asarray(found.image).astype(float), expected, atol=0.51)
    assert found.remarks == (TRANSPARENT,)


def test_a_transparent_colour_lies_on_mid_grey_or_is_refused():
    data = png(ramp(), 8, 2, b"tRNS" + struct.pack(">3H", *(int(level) for level in ramp()[3, 5])))
    expected = ramp()
    expected[3, 5] = BACKGROUND
    assert np.array_equal(levels(data), expected)
    with pytest.raises(UnreadablePicture, match="transparent colour of 16 bits"):
        decode(png(ramp().astype(np.uint16) * 257, 16, 2, b"tRNS" + struct.pack(">3H", 0, 0, 0)))


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("TIFF", "RGBA"), ("TIFF", "LA"), ("WEBP", "RGBA")])
def test_alpha_is_laid_on_mid_grey_and_said(kind, mode):
    alpha = np.linspace(0, 255, WIDTH).round().astype(np.uint8)[None].repeat(HEIGHT, 0)
    colours = ramp() if mode == "RGBA" else ramp()[..., :1]
    options = {"exact": True, "lossless": True} if kind == "WEBP" else {}
    found = decode(stored(Image.fromarray(np.concatenate([colours, alpha[..., None]], -1)), kind, **options))
    share = alpha[..., None] / 255
    expected = (colours * share + BACKGROUND * (1 - share)).squeeze()
    np.testing.assert_allclose(np.asarray(found.image).astype(float), expected, atol=1.01)
    assert found.remarks == (TRANSPARENT,)
    opaque = decode(stored(Image.fromarray(np.concatenate([colours, np.full_like(alpha, 255)[..., None]], -1)), kind, **options))
    assert np.array_equal(np.asarray(opaque.image), colours.squeeze())
    assert opaque.remarks == ()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_entry_of_a_palette_is_laid_on_mid_grey(kind):
    few = Image.fromarray(ramp()).quantize(8)
    expected = np.array(few.convert("RGB"))
    expected[np.asarray(few) == 2] = BACKGROUND
    found = decode(stored(few, kind, transparency=2))
    assert np.array_equal(np.asarray(found.image), expected)
    assert TRANSPARENT in found.remarks


def test_partly_transparent_entries_of_a_palette():
    few = Image.fromarray(ramp()).quantize(4)
    shares = np.array([0, 64, 128, 255])
    found = levels(stored(few, "PNG", transparency=bytes(shares.tolist())))
    share = shares[np.asarray(few)][..., None] / 255
    np.testing.assert_allclose(found, np.asarray(few.convert("RGB")) * share + BACKGROUND * (1 - share), atol=1.01)


def without_adobe(data: bytes) -> bytes:
    """A JPEG without its marker APP14, which says that its inks are stored turned round."""
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] :]


def test_inks_are_colours_adobe_or_not():
    inks = Image.fromarray(ramp()).convert("CMYK")
    for data in (stored(inks, "JPEG", quality=100), stored(inks, "TIFF")):
        found = decode(data)
        np.testing.assert_allclose(np.asarray(found.image).astype(int), ramp(), atol=6)
        assert any("CMYK" in remark for remark in found.remarks)
    straight = without_adobe(stored(ImageChops.invert(inks), "JPEG", quality=100))
    np.testing.assert_allclose(levels(straight).astype(int), ramp(), atol=6)


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 12, reason="Pillow 11 can't read back such a TIFF of its own")
def test_luma_is_colours():
    np.testing.assert_allclose(levels(stored(Image.fromarray(ramp()).convert("YCbCr"), "TIFF")).astype(int), ramp(), atol=3)


def test_lab_is_colours():
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    muted = (ramp() // 4 + 96).astype(np.uint8)
    data = stored(ImageCms.applyTransform(Image.fromarray(muted), lab) or Image.new("LAB", (1, 1)), "TIFF")
    np.testing.assert_allclose(levels(data).astype(int), muted, atol=4)


def rgb_profile(primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """An ICC profile of three primaries in XYZ (D50) and one gamma (ICC.1:2010, matrix and tone curves)."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)}
    tags |= {name: b"XYZ " + bytes(4) + b"".join(map(fixed, xyz)) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= {name: b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0) for name in (b"rTRC", b"gTRC", b"bTRC")}
    tags[b"wtpt"] = b"XYZ " + bytes(4) + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    table, data, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, at + len(data), len(content))
        data += content
    header = struct.pack(">I4sI4s4s4s", at + len(data), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0") + b"acsp"
    return header.ljust(68, b"\0") + b"".join(map(fixed, (0.9642, 1.0, 0.8249))) + bytes(48) + table + data


ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""Primaries of Adobe RGB (1998), adapted to D50: ICC's AdobeRGB1998."""
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_colours_of_a_wide_space_are_turned_into_srgb(kind):
    """Against the formulas of both spaces: linear light by the gamma, a matrix, and sRGB's curve (IEC 61966-2-1)."""
    inner = (ramp() // 4 + 96).astype(np.uint8)
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    found = levels(stored(Image.fromarray(inner), kind, icc_profile=rgb_profile(ADOBE, 2.19921875), **options))
    light = (inner / 255) ** 2.19921875 @ np.array(ADOBE) @ np.linalg.inv(np.array(SRGB))
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055) * 255
    np.testing.assert_allclose(found, expected.clip(0, 255), atol=4 if kind == "JPEG" else 2)
    assert np.abs(found.astype(int) - inner).max() > 5


def test_srgb_with_its_profile_is_left_as_it_is_and_a_damaged_profile_is_said():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(levels(stored(Image.fromarray(ramp()), "PNG", icc_profile=srgb)), ramp())
    for profile in (b"no profile at all", srgb[:200]):
        found = decode(stored(Image.fromarray(ramp()), "PNG", icc_profile=profile))
        assert np.array_equal(np.asarray(found.image), ramp())
        assert "colour profile" in found.remarks[0]


def test_floats_from_0_to_1_are_black_to_white_and_others_are_refused():
    values = np.linspace(0, 1, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
    found = decode(stored(Image.fromarray(values), "TIFF"))
    np.testing.assert_allclose(np.asarray(found.image), values * 255, rtol=1e-6)
    assert "floats" in found.remarks[0]
    for wrong in (values * 300, values - 0.5, np.where(values > 0.5, np.float32(np.nan), values)):
        with pytest.raises(UnreadablePicture, match=r"floats from .* white isn't known"):
            decode(stored(Image.fromarray(wrong), "TIFF"))


def test_whole_numbers_whose_white_is_not_known_are_refused():
    for data in (
        stored(Image.fromarray(np.arange(384, dtype=np.int32).reshape(16, 24) * 1000), "TIFF"),
        tiff(np.arange(384, dtype=np.int16).reshape(16, 24), 1, 16, more={339: 2}),
        tiff(np.arange(384).astype(np.int8).reshape(16, 24), 1, 8, more={339: 2}),
    ):
        with pytest.raises(UnreadablePicture, match="signed or of 32 bits"):
            decode(data)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", AVIF])
def test_of_several_frames_the_first_is_read_and_that_is_said(kind):
    first, second = Image.fromarray(ramp()), Image.fromarray(255 - ramp())
    options = {"lossless": True} if kind == "WEBP" else {}
    data = stored(first.quantize(64) if kind == "GIF" else first, kind, save_all=True, append_images=[second], **options)
    found = decode(data)
    assert np.abs(np.asarray(found.image.convert("RGB")).astype(int) - ramp()).mean() < 12
    assert found.remarks == ("of several pages: its first" if kind == "TIFF" else "animated: its first frame",)


@pytest.mark.parametrize(("tag", "value"), [(254, 1), (50706, 1), (262, 32803)])
def test_a_camera_raw_file_whose_preview_alone_could_be_read_is_refused(tag, value):
    with pytest.raises(UnreadablePicture, match=r"raw file|no whole TIFF"):
        decode(tiff(ramp()[..., 0], 1, 8, more={tag: value}))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", AVIF])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_cut_short_is_refused_whatever_pillow_was_told(kind, share, lenient, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    data = stored(Image.fromarray(noise), kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    with pytest.raises(UnreadablePicture, match=r"cut short|no whole|damaged"):
        decode(data[: int(len(data) * share)])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_whose_end_alone_is_missing_is_refused(progressive):
    exif = Image.Exif()
    exif[0x010E] = "a thumbnail's end: \xff\xd9"
    data = stored(Image.fromarray(ramp()), "JPEG", progressive=progressive, exif=exif)
    assert decode(data + bytes(100)).width == WIDTH
    with pytest.raises(UnreadablePicture, match="cut short"):
        decode(data[:-2])


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_was_cut_and_given_an_end_is_refused(subsampling, share, large, progressive, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (75, 101, 3), dtype=np.uint8)
    data = stored(Image.fromarray(noise), "JPEG", subsampling=subsampling, progressive=progressive)
    if large:
        monkeypatch.setattr(decoding, "FULL_PIXELS", 1000)
    assert decode(data, wanted=(20, 15)).width == 101
    with pytest.raises(UnreadablePicture, match=r"data are missing|truncated"):
        decode(data[: 700 + int((len(data) - 700) * share)] + b"\xff\xd9", wanted=(20, 15))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (101, 75), (33, 41)])
def test_a_whole_jpeg_that_ends_in_mid_grey_is_read(progressive, mode, width, height, monkeypatch):
    pixels = ramp(width, height)
    pixels[20:] = 128  # as the pictures of many experiments
    image = Image.fromarray(pixels).convert(mode)
    data = stored(image, "JPEG", progressive=progressive, quality=95) + b"more"
    np.testing.assert_allclose(levels(data).astype(int)[40:], 128)
    monkeypatch.setattr(decoding, "FULL_PIXELS", 500)
    for wanted in ((3, 3), (7, 5), (20, 16), None):
        assert decode(data, wanted=wanted).width == width


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]))
def test_damaged_files_are_read_or_refused_and_never_anything_else(data, kind):
    broken = bytearray(stored(Image.fromarray(ramp()), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadablePicture):
        assert decode(bytes(broken), most=1 << 20).image.mode in ("L", "RGB", "F")


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=600))
def test_any_bytes_are_refused_in_words(content):
    with pytest.raises(UnreadablePicture, match=r"\w+ \w+"):
        decode(content)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    orientation=st.integers(1, 8),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]),
)
def test_any_size_mode_and_orientation_of_a_png(width, height, orientation, mode):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(turned(ramp(width, height), orientation))).convert(mode)
    found = decode(stored(image, "PNG", exif=exif))
    expected = np.asarray(image.convert("L" if mode in ("1", "L", "LA") else "RGB"))
    assert (found.width, found.height) == (width, height)
    assert np.array_equal(turned(np.asarray(found.image), orientation), expected)


def test_large_pictures_are_read_at_a_part_of_their_size(monkeypatch):
    monkeypatch.setattr(decoding, "FULL_PIXELS", 1000)
    big = np.kron(ramp(), np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    for kind in ("PNG", "TIFF", "BMP", "WEBP", "JPEG"):
        for orientation in (1, 6):
            exif[0x0112] = orientation
            stays = np.ascontiguousarray(turned(big, orientation))
            options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
            data = stored(Image.fromarray(stays), kind, **options, **({} if kind == "BMP" else {"exif": exif}))
            upright = kind != "BMP" or orientation == 1
            found = decode(data, wanted=(12, 8))
            assert (found.width, found.height) == ((192, 128) if upright else (128, 192))
            if upright:
                assert found.image.size == (24, 16), kind
                np.testing.assert_allclose(np.asarray(found.image).astype(int), ramp(), atol=12 if kind == "JPEG" else 1)
    wide = np.asarray(Image.fromarray(big[..., 0])).astype(np.uint16) * 257
    np.testing.assert_allclose(levels(stored(Image.fromarray(wide), "PNG"), wanted=(12, 8)), ramp()[..., 0], atol=0.01)
    assert decode(stored(Image.fromarray(big), "PNG"), wanted=(192, 128)).image.size == (192, 128)
    reduced = decode(stored(Image.fromarray(big), "PNG")).image
    assert reduced.width * reduced.height <= 1100


def test_too_many_pixels_are_refused_from_the_header():
    claimed = png(ramp(), 8, 2)
    header = struct.pack(">4sIIBBBBB", b"IHDR", 20_000, 20_000, 8, 2, 0, 0, 0)
    claimed = claimed[:12] + header + struct.pack(">I", zlib.crc32(header)) + claimed[33:]
    columns = struct.pack("<HHII", 256, 4, 1, WIDTH), struct.pack("<HHII", 256, 4, 1, 10**9)
    for data in (claimed, tiff(ramp()[..., 0], 1, 8).replace(*columns)):
        with pytest.raises(UnreadablePicture, match="pixels; at most 100 million are read"):
            decode(data)
    huge = (
        b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + (16000).to_bytes(3, "little") * 2 + bytes(100)
    )
    with pytest.raises(UnreadablePicture, match="16001 × 16001 pixels; at most 25 million"):
        decode(huge)
    with pytest.raises(UnreadablePicture, match="at most 0 million"):
        decode(stored(Image.fromarray(ramp()), "PNG"), most=100)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path, says in [
        (tmp_path / "pipe.png", "no ordinary file"),
        (tmp_path, "a folder"),
        (tmp_path / "none.png", "no such file"),
        (tmp_path / "a\0b", "null"),
    ]:
        with pytest.raises(UnreadablePicture, match=says):
            decode(path)


def test_no_plugin_but_those_of_the_list_is_ever_called():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(UnreadablePicture, match="PostScript isn't read"):
        decode(postscript)
    for kind in ("ICO", "TGA", "PCX", "SGI", "JPEG2000", "PDF", "ICNS"):
        with pytest.raises(UnreadablePicture, match=r"isn't read|no picture"):
            decode(stored(Image.new("RGB", (32, 32)), kind))
    assert set(decoding._OPENERS) == set(decoding.kinds.READ)
    assert TiffImagePlugin.READ_LIBTIFF is False
