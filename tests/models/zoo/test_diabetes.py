"""The zoo's network over a table."""

import pytest
import torch

from actmax.models.spaces import StimulusSpec
from actmax.models.targets.target import HasInputNames
from actmax.models.targets.testing import check_target
from actmax.models.zoo.card import read_card
from actmax.models.zoo.targets import DiabetesTarget
from actmax.models.zoo.training import __main__ as command
from actmax.models.zoo.training import diabetes as script
from actmax.models.zoo.weights import FOLDER


def target():
    return DiabetesTarget.from_options(DiabetesTarget.Options())


def test_contract():
    check_target(target())
    assert target().stimulus == StimulusSpec((1, 10), 0, 1, "series")
    named = target()
    assert isinstance(named, HasInputNames)
    assert named.input_names[:4] == ("age", "sex", "bmi", "bp")


def test_it_tells_patients_apart_as_its_card_says():
    card = read_card("diabetes")
    train, test = script.data(1)
    assert (len(train), len(test)) == (342, 100)
    assert float(torch.cat([train.values, test.values]).min()) == 0
    assert float(torch.cat([train.values, test.values]).max()) == 1
    assert float(torch.cat([train.labels, test.labels]).float().mean()) == pytest.approx(0.5, abs=0.01)
    right = target().respond(test.values, {"fc"})["fc"].argmax(1) == test.labels
    assert float(right.float().mean()) == card.figures["accuracy"] > 0.7
    assert card.bytes == (FOLDER / "diabetes.safetensors").stat().st_size < 10_000
    assert target().unit_name("fc", (1,)) == "fast progression"
    assert target().natural_quantiles("fc", (0,)) is not None


def test_it_is_trained_again_by_its_command(tmp_path):
    folders = ["--checkpoints", str(tmp_path / "checkpoints"), "--out", str(tmp_path)]
    command.main(["diabetes", "--epochs", "2", "--device", "cpu", *folders])
    assert (tmp_path / "diabetes.safetensors").exists()
    assert read_card("diabetes", tmp_path).epochs == 2
