"""Every Python snippet of the how-to pages and the README runs, page by page, as a reader would paste it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEEDS_SERVER = "# needs a running server"


@pytest.mark.parametrize("page", [page for page in PAGES if SNIPPET.search(page.read_text())], ids=lambda page: page.name)
def test_snippets_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    names: dict[str, object] = {"__name__": "snippets"}
    for match in SNIPPET.finditer(text):
        if NEEDS_SERVER in match[1]:
            continue
        # line numbers of the page itself in a traceback
        source = "\n" * text[: match.start(1)].count("\n") + match[1]
        exec(compile(source, str(page), "exec"), names)
