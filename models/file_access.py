"""Options that name files: data URIs from anywhere, paths only from callers who may read files here."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

FILES = "files"
"""Key of pydantic's validation context that says whether paths may be read. Without a context, as in a library call, they may."""

MAX_URI_BYTES = 4 << 20
"""Most of an encoded image from a caller who may not name files: it travels with its job, and is kept with it."""

_IMAGE_URI = re.compile(r"data:image/(?:png|jpeg);base64,")


def permitted_path(value: str, info: ValidationInfo) -> str:
    """``value``, a path; ValueError where the caller may not read files here."""
    if not _free(info):
        raise ValueError("a job may not read files here; a picture is given as data:image/png;base64,…, in a job file as file:picture.png")
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
    return info.context is None or bool(info.context.get(FILES, False))


FolderSource = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(permitted_path)]
"""Option type of a folder of pictures."""
