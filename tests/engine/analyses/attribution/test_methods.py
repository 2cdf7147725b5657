"""Every method as an analysis: the contract on a CNN, a ViT and a spiking network, its section, and what is refused."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from actmax.engine.analyses.attribution.grad_cam import GradCam
from actmax.engine.analyses.attribution.gradient import Gradient
from actmax.engine.analyses.attribution.method import Attribution
from actmax.engine.components.registry import components
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.testing import check_analysis
from actmax.models.components import find
from actmax.models.permissions import EVERYTHING
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.function import FunctionTarget
from attributed import UNITS, network

FEW: dict[str, dict[str, Any]] = {
    "smoothgrad": {"samples": 2},
    "integrated-gradients": {"steps": 3},
    "occlusion": {"window": 16},
    "rise": {"samples": 6},
}
METHODS = sorted(
    entry.name
    for entry in components("analysis")
    if isinstance(kind := find("analysis", entry.name, EVERYTHING), type) and issubclass(kind, Attribution)
)
REFUSED = {
    ("attention-rollout", "cnn"),
    ("attention-rollout", "snn"),
    ("guided-backpropagation", "vit"),
    ("guided-backpropagation", "snn"),
    ("lrp", "snn"),
}


def made(name: str, **options: Any) -> Attribution:
    kind: Any = find("analysis", name, EVERYTHING)
    return kind(kind.Options(**FEW.get(name, {}), **options))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for number in range(2):
        picture = np.random.default_rng(number).integers(0, 256, (40, 48, 3)).astype(np.uint8)
        Image.fromarray(picture).save(root / "images" / f"{number}.png")
    Image.fromarray(np.full((40, 48), 255, np.uint8)).save(root / "masks" / "1.png")
    return root


@pytest.mark.parametrize("kind", ["cnn", "vit", "snn"])
@pytest.mark.parametrize("name", METHODS)
def test_it_keeps_to_the_contract(name, kind):
    if (name, kind) in REFUSED:
        with pytest.raises(InvalidJob, match=r"analyses\[0\].*(integrated-gradients|gradient)"):
            maximize(
                "pixel", network(kind), UNITS[kind], optimizer="random", evaluations=2, prior="none", device="cpu", analyses=[made(name)]
            )
        return
    (section,) = check_analysis(made(name, scores=[]), "pixel", network(kind), UNITS[kind][:1])
    assert section.arrays["maps"].shape == (1, 32, 32)
    assert np.isfinite(section.arrays["maps"]).all()


def test_a_section_has_the_found_stimuli_and_the_pictures_with_scores(photos):
    options = {"images": str(photos / "images"), "masks": str(photos / "masks")}
    units = list(UNITS["cnn"])
    result = maximize(
        "pixel",
        network("cnn"),
        units,
        optimizer="random",
        baselines=["square"],
        evaluations=6,
        prior="none",
        device="cpu",
        analyses=[{"name": "integrated-gradients", "options": {"steps": 3, **options}}, "grad-cam"],
    )
    assert result.notices == ()
    path, cam = result.sections[-2:]
    assert [(row["unit"], row["optimizer"], row["stimulus"]) for row in path.rows] == [
        (unit, optimizer, name)
        for unit in units
        for optimizer, name in (("random", "found"), ("square", "found"), ("", "0.png"), ("", "1.png"))
    ]
    assert path.columns == [
        *("unit", "optimizer", "stimulus", "response", "sum", "expected sum", "deletion", "insertion", "random order"),
        *("max-sensitivity", "randomisation", "pointing game"),
    ]
    assert [row["pointing game"] for row in path.rows] == [None, None, None, 1.0] * 2
    assert path.arrays["maps"].shape == (8, 32, 32)
    assert np.allclose(path.arrays["attributions"].sum(1), path.arrays["maps"], atol=1e-6)
    assert "1 of 2 pictures have no mask" in " ".join(path.notes)
    assert [figure.unit for figure in path.figures] == units
    found = {(search.unit, search.optimizer): search.response for search in result.searches}
    assert [row["response"] for row in cam.rows] == pytest.approx(
        [found[str(row["unit"]), str(row["optimizer"])] for row in cam.rows], rel=1e-5
    )
    assert "The layer of fc[3]: layer3." in cam.notes


def test_a_spiking_network_has_a_map_a_time_step():
    (section,) = check_analysis(Gradient(Gradient.Options(scores=[], film=True)), "pixel", network("snn"), UNITS["snn"][:1])
    film = section.arrays["film"]
    assert film.shape == (1, 5, 32, 32)
    assert [figure.media_type for figure in section.figures] == ["image/png", "image/gif"]


def test_series_are_attributed_along_time():
    sections = check_analysis(GradCam(GradCam.Options(scores=["deletion"])), "series", "series-classifier", ["fc[2]"])
    assert sections[0].arrays["maps"].shape == (1, 128)


@pytest.mark.parametrize(
    ("analysis", "says"),
    [
        ({"name": "gradient"}, "gradient needs gradients"),
        ({"name": "grad-cam"}, "HasActivations"),
        ({"name": "occlusion", "options": {"film": True}}, "no time steps"),
        ({"name": "occlusion", "options": {"masks": "/nowhere"}}, "masks belong to pictures"),
        ({"name": "rise", "options": {"images": "/nowhere"}}, "no folder"),
        ({"name": "rise", "options": {"scores": ["beauty"]}}, "scores"),
    ],
)
def test_what_cannot_be_right_is_refused_before_the_job_begins(analysis, says):
    target = FunctionTarget({"mean": lambda x: x.mean((1, 2, 3))}, StimulusSpec((3, 8, 8)))
    with pytest.raises(InvalidJob, match=rf"(?i)analyses\[0\].*{says}"):
        maximize("pixel", target, "mean[0]", optimizer="random", evaluations=2, prior="none", device="cpu", analyses=[analysis])


def test_pictures_of_a_series_target_are_refused():
    with pytest.raises(InvalidJob, match="takes series"):
        maximize(
            "series",
            "series-classifier",
            "fc[0]",
            optimizer="random",
            evaluations=2,
            analyses=[{"name": "rise", "options": {"images": "/"}}],
        )
