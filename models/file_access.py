"""Options that name files or servers: data URIs from anywhere, paths and addresses only from callers who may use them here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

FILES = "files"
"""Key of pydantic's validation context that says what may be read: True for anything, False for nothing, or the folders, and addresses of
servers, that the owner of this machine allows. Without a context, as in a library call, anything may."""

AllowedFiles = bool | tuple[str, ...]
"""What ``FILES`` holds."""

MAX_URI_BYTES = 4 << 20
"""Most of an encoded image from a caller who may not name files: it travels with its job, and is kept with it."""

_IMAGE_URI = re.compile(r"data:image/(?:png|jpeg);base64,")


def permitted_path(value: str, info: ValidationInfo) -> str:
    """``value``, a path; ValueError where the caller may not read files here."""
    roots = [Path(root).resolve() for root in _roots(info) if "://" not in root]
    if not _free(info) and not any(Path(value).resolve().is_relative_to(root) for root in roots):
        raise ValueError("a job may not read files here; a picture is given as data:image/png;base64,…, in a job file as file:picture.png")
    return value


def permitted_model(value: str, info: ValidationInfo) -> str:
    """``value``, the path of a model; ValueError where the caller may not read it."""
    try:
        return permitted_path(value, info)
    except ValueError:
        raise ValueError(f"a job may not read {value!r} here; start the server with --allow-import and the folder that it is in") from None


def permitted_address(value: str, info: ValidationInfo) -> str:
    """``value``, a server's URL; ValueError where the caller may not have it asked."""
    if not _free(info) and _server(value) not in {_server(root) for root in _roots(info) if "://" in root}:
        raise ValueError(f"a job may not ask {value!r} here; start the server with --allow-import and that address")
    return value


def permitted_image(value: str, info: ValidationInfo) -> str:
    """``value``, a path or data URI; ValueError for a path, or another URI than a PNG's or JPEG's, where the caller may not read files."""
    if value.startswith("file:"):
        raise ValueError("file: is for job files, which are sent with the picture in them; here give a data URI")
    if not value.startswith("data:"):
        return permitted_path(value, info)
    if not _free(info):
        if not _IMAGE_URI.match(value):
            raise ValueError("a data URI begins with data:image/png;base64, or data:image/jpeg;base64,")
        if len(value) > MAX_URI_BYTES * 4 // 3 + 100:
            raise ValueError(f"the picture is larger than {MAX_URI_BYTES >> 20} MiB")
    return value


def _free(info: ValidationInfo) -> bool:
    return info.context is None or info.context.get(FILES, False) is True


def _roots(info: ValidationInfo) -> tuple[str, ...]:
    allowed = (info.context or {}).get(FILES, False)
    return allowed if isinstance(allowed, tuple) else ()


def _server(url: str) -> tuple[str, str]:
    """Scheme and host with port: what two URLs of one server have in common."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


FolderSource = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(permitted_path)]
"""Option type of a folder of pictures."""
