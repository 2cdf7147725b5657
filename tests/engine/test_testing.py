"""The contract suite over every built-in analysis."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

import toy_lab
from actmax.engine.analyses.attribution.method import Attribution
from actmax.engine.analyses.diversity import Diversity
from actmax.engine.analyses.film import FilmAnalysis
from actmax.engine.analyses.importance import Importance
from actmax.engine.analyses.most_activating import MostActivating
from actmax.engine.analyses.natural import Natural
from actmax.engine.analyses.remote import RemoteAnalysis
from actmax.engine.analyses.sensitivity.analysis import Sensitivity
from actmax.engine.analyses.superposition.analysis import Superposition
from actmax.engine.analyses.tuning.analysis import Tuning
from actmax.engine.components.registry import components
from actmax.engine.testing import check_analysis
from actmax.models.components import find
from actmax.models.permissions import EVERYTHING


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for number in range(7):
        picture = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(picture).save(root / f"{number}.png")
    return root


MADE = {
    "natural": lambda folder: Natural(),
    "importance": lambda folder: Importance(),
    "most-activating": lambda folder: MostActivating(str(folder), 3),
    "film": lambda folder: FilmAnalysis("gif"),
    "diversity": lambda folder: Diversity(),
    "sensitivity": lambda folder: Sensitivity(Sensitivity.Options(samples=16, grid=2, methods=["sobol"], second_order=False, local=False)),
    "superposition": lambda folder: Superposition(Superposition.Options(stimuli=40, clusters=3, atoms=3)),
    "tuning": lambda folder: Tuning(Tuning.Options(points=1, latent_axes=1, transformations=["shift-x"])),
}


@pytest.mark.parametrize("name", MADE)
def test_it_keeps_to_the_contract(name, folder):
    options: dict[str, Any] = {"optimizer": "adam"} if name == "importance" else {"diverse": 2} if name == "diversity" else {}
    sections = check_analysis(MADE[name](folder), toy_lab.decoder(), toy_lab.network(), ["4[0]", "4[1]"], **options)
    assert [section for section in sections if section.arrays or section.figures]


def test_every_registered_one_is_here_or_a_method_of_attribution_or_another_process():
    entries = {entry.name: find("analysis", entry.name, EVERYTHING) for entry in components("analysis")}
    assert {name for name, kind in entries.items() if not issubclass(kind, Attribution | RemoteAnalysis)} == set(MADE)
    assert all(entry.summary and not entry.unavailable for entry in components("analysis"))
