import numpy as np
import pytest
import torch
from PIL import Image

from actmax.engine.maximize import maximize
from actmax.engine.report.pictures import enlarged
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.testing import check_target
from actmax.models.zoo.card import read_card
from actmax.models.zoo.targets import SeriesTarget
from actmax.models.zoo.training import __main__ as command
from actmax.models.zoo.training import series as script
from actmax.models.zoo.training.loop import Run
from actmax.models.zoo.training.signals import KINDS, draw, shuffled
from actmax.models.zoo.weights import FOLDER


def target():
    return SeriesTarget.from_options(SeriesTarget.Options())


def test_contract():
    check_target(target())
    assert target().stimulus == StimulusSpec((1, 128), -1, 1, "series")


def test_it_tells_new_signals_apart_as_its_card_says():
    card = read_card("series-classifier")
    fresh = draw(1200, seed=77)
    answers = target().respond(fresh.values, {"fc"})["fc"]
    right = answers.argmax(1) == fresh.labels
    assert card.figures["accuracy"] > 0.95
    assert float(right.float().mean()) == pytest.approx(card.figures["accuracy"], abs=0.02)
    assert card.bytes == (FOLDER / "series-classifier.safetensors").stat().st_size < 300_000
    assert card.command == "python -m actmax.models.zoo.training series --seed 1"
    assert "generated" in card.data
    with Image.open(FOLDER / "series-classifier.png") as sheet:
        assert min(sheet.size) > 200


def test_natural_quantiles_are_those_of_the_test_signals():
    test = draw(script.TEST, 0)
    answers = target().respond(test.values, {"fc"})["fc"]
    for unit, name in enumerate(KINDS):
        quantiles = target().natural_quantiles("fc", (unit,))
        assert quantiles is not None
        assert quantiles[1.0] == pytest.approx(float(answers[:, unit].max()), abs=1e-4)
        assert quantiles[0.5] == pytest.approx(float(answers[:, unit].median()), abs=0.01)
        assert target().unit_name("fc", (unit,)) == name


def test_signals_are_drawn_from_their_seed_alone():
    state = torch.get_rng_state()
    first, again, other = draw(60, 3), draw(60, 3), draw(60, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.values, again.values)
    assert not torch.equal(first.values, other.values)
    assert float(first.values.abs().max()) <= 1
    assert first.labels.bincount().tolist() == [10] * 6
    by_value = {tuple(row.tolist()): int(label) for row, label in zip(first.values.abs().flatten(1), first.labels, strict=True)}
    seen = 0
    for values, labels in shuffled(first, 20, torch.Generator().manual_seed(1)):
        for value, label in zip(values, labels, strict=True):
            assert by_value[tuple(value.abs().flatten().tolist())] == int(label)
            seen += 1
    assert seen == 60


def test_kinds_have_the_shapes_that_they_are_named_for():
    """Independent of how they are made: where energy and crossings lie."""
    signals = draw(600, 5)
    values = signals.values[:, 0] - signals.values[:, 0].mean(1, keepdim=True)
    kinds = {name: values[signals.labels == number].numpy() for number, name in enumerate(KINDS)}
    spectrum = {name: np.abs(np.fft.rfft(rows, axis=1)) ** 2 for name, rows in kinds.items()}
    narrow = {name: (rows.max(1) / rows.sum(1)).mean() for name, rows in spectrum.items()}
    assert narrow["sine"] > 0.6 > 2 * narrow["chirp"]
    levels = {name: (np.abs(rows) > 0.75 * np.abs(rows).max(1, keepdims=True)).mean() for name, rows in kinds.items()}
    assert levels["square"] > 0.7 > 1.5 * max(level for name, level in levels.items() if name != "square")
    assert levels["heartbeat"] < 0.1
    jumps = {name: np.abs(np.diff(rows, axis=1)).max(1) / np.ptp(rows, axis=1) for name, rows in kinds.items()}
    assert jumps["sawtooth"].mean() > 0.6 > jumps["sine"].mean()


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "TRAINING", 480)
    monkeypatch.setattr(script, "TEST", 120)

    def run(folder):
        arguments = ["series", "--epochs", "3", "--device", "cpu", "--checkpoints", str(tmp_path / folder), "--out", str(tmp_path / folder)]
        command.main(arguments)
        return torch.load(tmp_path / folder / "series-1.pt", weights_only=True)

    whole = run("whole")
    save = Run.save

    def save_and_stop(self):
        save(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run("stopped")
    resumed = run("stopped")
    assert all(torch.equal(value, resumed["parts"]["model"][key]) for key, value in whole["parts"]["model"].items())
    files = [tmp_path / folder / "series-classifier.safetensors" for folder in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_other_scripts_need_their_files():
    with pytest.raises(SystemExit):
        command.main(["cnn"])


def test_a_search_finds_a_series_and_shows_it_as_a_plot(tmp_path):
    options = {"optimizer": "adam", "objective": "log-probability", "evaluations": 600, "seed": 1}
    result = maximize("series", "series-classifier", "fc[2]", folder=tmp_path, **options)
    (search,) = result.searches
    assert search.unit_name == "square"
    assert search.stimulus.shape == (1, 128)
    assert search.natural_best is not None
    assert search.response > 0.5 * search.natural_best
    assert target().respond(torch.from_numpy(search.stimulus)[None], {"fc"})["fc"].argmax() == 2
    picture = np.asarray(enlarged(search.stimulus, target().stimulus).convert("L"))
    assert picture.shape == (256, 384)
    assert 0.002 < (picture < 128).mean() < 0.5
    assert (tmp_path / "artifacts" / "report.html").stat().st_size > 10_000
