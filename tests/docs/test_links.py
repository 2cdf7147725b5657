"""Links between pages resolve, and the README stays short."""

from __future__ import annotations

import re

import pytest
from reader import ROOT, pages

LINK = re.compile(r"\]\(([^)\s]+)\)")
MADE = re.compile(r"^reference/(commands|job-file|\w+s|wire/\w+)\.md$")
"""Pages of the site that are made from the code, by their path below ``docs``."""
LONGEST_README = 1200


def anchors(text: str) -> set[str]:
    """Ids of the headings of a page, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", [page.relative_to(ROOT).as_posix() for page in pages()])
def test_every_link_of_a_page_resolves(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        path, _, anchor = link.partition("#")
        if path.startswith(("http://", "https://", "mailto:")):
            continue
        there = (page.parent / path).resolve() if path else page
        made = there.is_relative_to(ROOT / "docs") and MADE.match(there.relative_to(ROOT / "docs").as_posix())
        assert there.exists() or made, link
        if anchor and there.suffix == ".md" and there.exists():
            assert anchor in anchors(there.read_text(encoding="utf-8")), link


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= LONGEST_README
