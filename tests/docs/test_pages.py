"""Every shell and Python block of the README and the documentation runs as it stands, page by page, in a clean folder."""

import numpy as np
import pytest
from reader import ROOT, Reader, blocks, clean_copy, pages, usual_ports

NIGHTLY = {"README.md", "docs/seeing.md", "docs/operations.md", "docs/sessions.md"}
NOT_RUN = {
    ("CONTRIBUTING.md", ".venv/bin/python -m pytest"),
    ("README.md", "make run"),
    ("docs/zoo.md", "pip install 'actmax[train]'"),
    ("docs/operations.md", "actmax serve --executor ray://head.example"),
    ("docs/outputs.md", "queued = client.analyse("),
    ("docs/plugins.md", "from actmax.client.plugin import offer_target"),
    ("docs/rigs.md", "actmax rig sessions/"),
    ("docs/rigs.md", "from actmax.client import Session\nfrom actmax.client.rigs.lsl"),
    ("docs/rigs.md", "from actmax.client import Session\nfrom actmax.client.rigs.openephys"),
    ("docs/security.md", "actmax token revoke"),
}
"""Page and beginning of every block that says that it is not run."""


def rig(stimuli):
    """What docs/sessions.md leaves to its reader: counts of a cell that likes red."""
    return np.random.default_rng(0).poisson(20 * stimuli[:, 0].mean((1, 2)))


GIVEN = {"docs/sessions.md": {"rig": rig}}
ALL = [(page.relative_to(ROOT).as_posix(), blocks(page)) for page in pages()]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param(name, found, id=name, marks=[pytest.mark.nightly] if name in NIGHTLY else [])
        for name, found in ALL
        if any(block.runs for block in found)
    ],
)
@pytest.mark.timeout(3000)  # one page at a time has the usual ports
def test_a_page_runs(name, found, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    folder = clean_copy(tmp_path / "actmax")
    monkeypatch.chdir(folder)
    with usual_ports():
        reader = Reader(folder, tmp_path / "scratch", dict(GIVEN.get(name, {})))
        try:
            for block in found:
                reader.run(block)
        finally:
            reader.close()


def test_the_blocks_that_are_not_run_are_these():
    told = [(name, block.code) for name, found in ALL for block in found if block.info.startswith("no-run:")]
    for name, begins in NOT_RUN:
        assert sum(page == name and code.startswith(begins) for page, code in told) == 1, f"{name}: {begins}"
    assert len(told) == len(NOT_RUN)


def test_a_block_says_what_it_is_and_nothing_but_why_it_is_not_run():
    for name, found in ALL:
        assert (ROOT / name).read_text().count("\n```") + (ROOT / name).read_text().startswith("```") == 2 * len(found), name
        for block in found:
            assert block.language in ("sh", "python", "yaml", "toml", "matlab"), f"{name}:{block.line}"
            assert not block.info or (block.info.startswith("no-run: ") and len(block.info) > 12), f"{name}:{block.line}"
