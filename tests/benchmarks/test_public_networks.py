"""Public networks go through layers, a search and a report, or are refused with a reason; the docs say which."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.public_networks import drive as driving
from benchmarks.public_networks.__main__ import PAGE, RESULTS, page
from benchmarks.public_networks.entry import PublicNetwork
from benchmarks.public_networks.registry import NETWORKS
from benchmarks.public_networks.torchvision_on_cpu import suppressed

LEAN = [
    "torch Conv1d",
    "torch TransformerEncoder, time first",
    "timm vit_tiny_patch16_224",
    "transformers CLIPVisionModelWithProjection",
    "transformers BertModel",
    "torchvision r3d_18, a film",
    "snntorch population coding",
]


def driven(name, tmp_path, evaluations):
    outcome = driving.drive(NETWORKS[name], tmp_path, evaluations)
    if outcome.status == "missing":
        pytest.skip(outcome.reason)
    assert (outcome.status, outcome.reason if outcome.status != "refused" else "") == (NETWORKS[name].expected, "")
    if outcome.status == "works":
        assert (tmp_path / f"{driving.file_name(name)}.png").stat().st_size > 1000
    else:
        assert outcome.reason


@pytest.mark.parametrize("name", LEAN)
def test_a_few_public_networks(name, tmp_path):
    driven(name, tmp_path, 8)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NETWORKS)
def test_every_public_network(name, tmp_path):
    driven(name, tmp_path, 32)


def test_a_response_that_is_not_the_bare_networks_is_found_out(monkeypatch):
    def network():
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))

    entry = PublicNetwork("own", "torch", "test", network, (3, 8, 8))
    assert driving.drive(entry, None, 4).status == "works"
    monkeypatch.setattr(driving, "bare_response", lambda *_: 1e6)
    outcome = driving.drive(entry, None, 4)
    assert outcome.status == "wrong"
    assert "the bare network says 1e+06" in outcome.reason


def test_a_changed_network_is_found_out(monkeypatch):
    search = driving.maximize

    def careless(generator, module, *arguments, **options):
        result = search(generator, module, *arguments, **options)
        with torch.no_grad():
            module[1].bias += 1e-6
        return result

    monkeypatch.setattr(driving, "maximize", careless)
    entry = PublicNetwork("own", "torch", "test", lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4)), (3, 8, 8))
    outcome = driving.drive(entry, None, 4)
    assert (outcome.status, outcome.reason) == ("wrong", "the network was changed")


def test_suppression_keeps_the_highest_of_boxes_that_overlap():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 9]])
    assert suppressed(boxes, torch.tensor([0.8, 0.9, 0.3, 0.7]), 0.5).tolist() == [1, 2]
    assert suppressed(boxes, torch.tensor([0.8, 0.9, 0.3, 0.7]), 0.99).tolist() == [1, 0, 3, 2]
    assert suppressed(boxes[:0], torch.zeros(0), 0.5).tolist() == []


def test_the_docs_have_the_stored_outcome_of_every_network():
    stored = json.loads(RESULTS.read_text())["networks"]
    assert [row["name"] for row in stored] == list(NETWORKS)
    assert {row["name"]: row["status"] for row in stored} == {network.name: network.expected for network in NETWORKS.values()}
    text = Path(PAGE).read_text("utf-8")
    assert page(text, stored) == text
