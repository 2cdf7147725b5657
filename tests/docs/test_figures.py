"""Figures of the zoo are those of the cards."""

import re
from pathlib import Path

import pytest

from actmax.models.zoo.card import read_card

PAGE = (Path(__file__).parents[2] / "docs/zoo.md").read_text()
NAMES = ["cifar10-vqvae", "cifar10-sngan", "cifar10-snn", "cifar10-cnn", "cifar10-vit"]


@pytest.mark.parametrize("name", NAMES)
def test_the_zoo_table_says_what_the_card_says(name):
    card = read_card(name)
    row = re.search(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
    assert row is not None
    if "accuracy" in card.figures:
        assert f"{100 * card.figures['accuracy']:.1f} %" in row[0]
    if "psnr_db" in card.figures:
        assert f"{card.figures['psnr_db']:.1f} dB" in row[0]
    assert f"{card.bytes / 2**20:.1f} MB" in row[0]
