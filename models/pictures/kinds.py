"""The format of a file by its first bytes, regardless of its name."""

from __future__ import annotations

import re

HEAD = 512
"""Number of first bytes that identify a file's format."""

READ = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM")
"""Supported formats. Pillow's plugins of other formats are never called, in particular none that starts a program (EPS)."""

NAMES = {"WEBP": "WebP", "PPM": "PGM or PPM"}
"""Names of formats for messages, where they differ."""

SUFFIXES = {
    ".png": "PNG",
    ".apng": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".mpo": "JPEG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".avifs": "AVIF",
    ".pgm": "PPM",
    ".ppm": "PPM",
    ".pnm": "PPM",
    ".pbm": "PPM",
    ".pfm": "PPM",
}
"""Formats by a file's suffix."""

# fmt: off
UNREAD_SUFFIXES = frozenset({
    ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".psd", ".svg", ".eps", ".ico", ".tga", ".exr",
    ".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw", ".dcm",
})
# fmt: on
"""Suffixes of pictures in unsupported formats."""

_CONVERT = "save it as PNG or JPEG"
_FTYP = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), f"HEIC isn't read; {_CONVERT}"),
    b"crx ": f"a camera's raw file isn't read; {_CONVERT}",
}
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", f"JPEG XL isn't read; {_CONVERT}"),
    (b"\x00\x00\x00\x0cJXL ", f"JPEG XL isn't read; {_CONVERT}"),
    (b"\x00\x00\x00\x0cjP  ", f"JPEG 2000 isn't read; {_CONVERT}"),
    (b"\xff\x4f\xff\x51", f"JPEG 2000 isn't read; {_CONVERT}"),
    (b"8BPS", f"Photoshop's format isn't read; {_CONVERT}"),
    (b"%!PS", f"PostScript isn't read; {_CONVERT}"),
    (b"\xc5\xd0\xd3\xc6", f"PostScript isn't read; {_CONVERT}"),
    (b"%PDF", f"PDF isn't read; {_CONVERT}"),
    (b"\x00\x00\x01\x00", f"an icon isn't read; {_CONVERT}"),
    (b"v/1\x01", f"OpenEXR isn't read; {_CONVERT}"),
    (b"#?RADIANCE", f"Radiance HDR isn't read; {_CONVERT}"),
    (b"FUJIFILMCCD-RAW", f"a camera's raw file isn't read; {_CONVERT}"),
    (b"IIRO", f"a camera's raw file isn't read; {_CONVERT}"),
    (b"IIRS", f"a camera's raw file isn't read; {_CONVERT}"),
    (b"MMOR", f"a camera's raw file isn't read; {_CONVERT}"),
    (b"IIU\x00", f"a camera's raw file isn't read; {_CONVERT}"),
    (b"version https://git-lfs", "it is a pointer of Git LFS; `git lfs pull` fetches the picture"),
    (b"\x93NUMPY", "it is an array, no picture"),
    (b"PK\x03\x04", "it is a zip archive; unpack it"),
    (b"\x1f\x8b", "it is compressed by gzip; unpack it"),
)
_TEXT = re.compile(rb"\s*<(?:!doctype html|html)", re.IGNORECASE)
_SVG = re.compile(rb"\s*<(?:svg|\?xml)", re.IGNORECASE)
_PPM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+\d")
_PFM = re.compile(rb"Pf\s+\d")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def kind_of(head: bytes) -> str | None:
    """Return the format of :data:`READ` of a file with these first bytes; None for any other format."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if _brands(head) & {b"avif", b"avis"}:
        return "AVIF"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return "PPM" if _PPM.match(head) or _PFM.match(head) else None


def why_not(head: bytes) -> str:
    """Return a description of an unsupported file with these first bytes, and what would work."""
    if not head:
        return "it is empty"
    for brand, why in _FTYP.items():
        if brand in _brands(head):
            return why
    for magic, why in _MAGIC:
        if head.startswith(magic):
            return why
    if head[128:132] == b"DICM":
        return f"DICOM isn't read; {_CONVERT}"
    if _TEXT.match(head):
        return "it is a web page, such as a failed download leaves"
    if _SVG.match(head):
        return f"SVG isn't read; {_CONVERT}"
    if not any(head):
        return "it begins with zeros alone, such as a broken copy leaves"
    return "its content is no picture"


def is_picture_name(name: str) -> bool:
    """Return whether a file's name has the suffix of a picture."""
    suffix = _suffix(name)
    return suffix in SUFFIXES or suffix in UNREAD_SUFFIXES


def _suffix(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:].lower() if dot >= 0 else ""


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of an ISO media file: AVIF, HEIC, video."""
    if head[4:8] != b"ftyp":
        return set()
    length = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
