"""Hooks of mkdocs: add generated reference pages, and copies of files outside ``docs`` that pages link to."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from site_pages import generated  # noqa: E402  # pyright: ignore[reportMissingImports]

_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and the linked files outside ``docs``."""
    for name, text in generated():
        files.append(File.generated(config, name, content=text))
    for name in sorted(set(_linked())):
        files.append(File.generated(config, f"source/{name}", abs_src_path=str(ROOT / name)))
    return files


def _linked() -> Iterator[str]:
    for page in (ROOT / "docs").rglob("*.md"):
        for found in _LINK.finditer(page.read_text(encoding="utf-8")):
            outside = _outside(page.parent.relative_to(ROOT).as_posix(), found[2])
            if outside and (ROOT / outside).is_file():
                yield outside


def _outside(folder: str, link: str) -> str:
    """Return the path of a link's file from the project's root; empty if it lies within ``docs``."""
    path = posixpath.normpath(posixpath.join(folder, link))
    return "" if path.startswith(("docs/", "..")) else path


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave ``docs`` to the site's copies."""
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def placed(found: re.Match[str]) -> str:
        outside = _outside(folder, found[2])
        if not outside:
            return found[0]
        up = "../" * (folder.count("/"))
        return f"{found[1]}{up}source/{outside}{found[3]}"

    return _LINK.sub(placed, markdown)
