"""Superposition in jobs: every kind of network, classes by folder, two checkpoints, bad input, interruptions."""

from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import toy_lab
from actmax.engine.analyses.superposition.analysis import Superposition
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.testing import check_analysis


@pytest.fixture
def folder(tmp_path):
    root, rng = tmp_path / "pictures", np.random.default_rng(0)
    for name, colour, size in (("red", (200, 40, 40), 9), ("green", (40, 200, 40), 6), ("blue", (40, 40, 200), 7)):
        (root / name).mkdir(parents=True)
        for number in range(6):
            noise = rng.integers(-40, 40, (size, size + number % 3, 3))  # pictures of other sizes
            Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def run(target, units, options, generator="toy_lab:decoder"):
    result = maximize(
        generator, target, units, optimizer="random", evaluations=4, analyses=[Superposition(Superposition.Options(**options))]
    )
    assert result.notices == ()
    return [section for section in result.sections if section.title.startswith("Superposition")]


def finite(section):
    return not any(isinstance(value, float) and not np.isfinite(value) for row in section.rows for value in row.values())


@pytest.mark.parametrize(("target", "unit"), [("cifar10-cnn", "layer1[2]"), ("cifar10-vit", "blocks.1[:, 7]"), ("cifar10-snn", "lif2[4]")])
def test_it_keeps_to_the_contract_on_each_kind_of_network(target, unit):
    options = Superposition.Options(stimuli=24, clusters=3, atoms=4)
    (section,) = check_analysis(Superposition(options), "cifar10-vqvae", target, [unit])
    (row,) = section.rows
    assert row["weights of"]
    assert row["participation ratio"] is not None
    assert section.arrays["own/tsne"].shape == (24, 2)


def test_subfolders_are_classes_and_measures_are_those_of_the_activations(folder):
    first, last = run(toy_lab.network(), ["0[1]", "4[0]"], {"images": str(folder), "atoms": 3})
    assert first.arrays["classes"].tolist() == ["blue", "green", "red"]
    assert first.arrays["labels"].tolist() == [0] * 6 + [1] * 6 + [2] * 6
    from actmax.models.image_source import folder_stimuli

    target = toy_lab.network()
    stimuli = folder_stimuli(str(folder), target.stimulus, "images")
    expected = target.respond(stimuli, {"0", "4"})
    assert first.arrays["own/activations"] == pytest.approx(expected["0"].mean((2, 3)).detach().numpy(), abs=1e-5)
    assert last.arrays["own/activations"] == pytest.approx(expected["4"].detach().numpy(), abs=1e-5)
    silhouette = last.rows[0]["silhouette"]
    assert isinstance(silhouette, float)
    assert silhouette > 0.3  # colours are easy
    assert "some responses are negative" in str(last.rows[0]["limit"])
    assert all(map(finite, (first, last)))
    assert any("3 subfolders" in note for note in first.notes)


def test_other_weights_stand_beside_the_own(tmp_path):
    target = toy_lab.network()
    path = tmp_path / "other.safetensors"
    tensors = {name: value.clone() for name, value in target.module.state_dict().items()}
    safetensors.torch.save_file(tensors, path)
    before = [value.clone() for value in target.module.state_dict().values()]
    (same,) = run(target, ["4[0]"], {"weights": str(path), "atoms": 0})
    assert [row["weights"] for row in same.rows] == ["own", "other"]
    assert same.rows[0]["alignment (CKA)"] == pytest.approx(1)
    assert np.array_equal(same.arrays["own/activations"], same.arrays["other/activations"])
    rows = [{key: value for key, value in row.items() if key != "weights"} for row in same.rows]
    assert rows[0] == rows[1]
    tensors["4.weight"] = torch.randn(tensors["4.weight"].shape, generator=torch.Generator().manual_seed(0))
    safetensors.torch.save_file(tensors, path)
    (other,) = run(target, ["4[0]"], {"weights": str(path), "atoms": 0})
    assert other.rows[0]["alignment (CKA)"] != pytest.approx(1, abs=1e-3)
    assert all(torch.equal(one, now) for one, now in zip(before, target.module.state_dict().values(), strict=True))


def test_silent_layers_missed_trials_and_few_stimuli_are_said(folder):
    (still,) = run(toy_lab.still_network(), ["4[0]"], {})
    assert still.rows[0]["silent"] == 4
    assert still.rows[0]["limit"] == "0 of 4 units answer stimuli differently, two are needed"
    assert not still.figures
    (missed,) = run(toy_lab.query_only(), ["answer[0]"], {"stimuli": 40, "atoms": 2}, "pixel")
    assert any("not answered" in note for note in missed.notes)
    assert missed.rows[0].get("weights of") is None  # a black box has none
    for path in list(folder.rglob("*.png"))[7:]:
        path.unlink()
    (few,) = run(toy_lab.network(), ["4[0]"], {"images": str(folder)})
    assert few.rows[0]["limit"] == "only 7 stimuli were answered, 8 are needed"
    assert all(map(finite, (still, missed, few)))


def test_a_class_of_one_picture_is_said(folder):
    for path in list((folder / "red").glob("*.png"))[1:]:
        path.unlink()
    (section,) = run(toy_lab.network(), ["4[0]"], {"images": str(folder), "atoms": 0, "tsne": False})
    assert any(note == "Classes of a single picture, whose silhouette is 0: red." for note in section.notes)
    assert finite(section)


def test_what_can_not_be_looked_at_is_refused(folder, tmp_path):
    def refused(target: Any = "toy_lab:network", unit="4[0]", generator="pixel", **options):
        with pytest.raises(InvalidJob) as error:
            maximize(generator, target, unit, evaluations=5, analyses=[{"name": "superposition", "options": options}])
        (violation,) = error.value.violations
        return violation.field.removeprefix("analyses[0].options."), violation.description

    assert refused(layers=["44"])[0] == "layers"
    assert refused(layers=["4[0]"]) == ("layers", "'4[0]' names units; give the layer's name alone")
    assert refused("series-classifier", "fc[0]", images=str(folder))[0] == "images"
    field, why = refused(weights=str(tmp_path / "none.safetensors"))
    assert (field, "there is no file" in why) == ("weights", True)
    wrong = tmp_path / "wrong.safetensors"
    safetensors.torch.save_file({"4.weight": torch.zeros(3, 3)}, wrong)
    assert "another architecture" in refused(weights=str(wrong))[1]
    assert refused(toy_lab.query_only(), "answer[0]", weights=str(wrong)) == (
        "weights",
        "the target is no network whose weights could be exchanged",
    )
