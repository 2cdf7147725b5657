"""Every objective against the contract, its formula in numpy, and finite differences."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from actmax.engine.components.registry import components
from actmax.models.objectives.objective import LATENT, STIMULUS
from actmax.models.objectives.testing import check_objective
from actmax.models.units import UnitAddress
from objective_lab import CLASS, MAP, PIXELS, SHAPES, TOKENS, make, picture

CASES: dict[str, tuple[UnitAddress, dict[str, Any]]] = {
    "unit": (CLASS, {}),
    "unit down, another": (CLASS, {"unit": "1[3, 1:3]", "direction": "down"}),
    "layer": (MAP, {}),
    "layer l2": (UnitAddress("1", (slice(1, 3),)), {"energy": "l2"}),
    "layer absolute": (CLASS, {"energy": "mean-absolute"}),
    "direction": (MAP, {"vector": [1, -2, 0.5, 0, 0, 3]}),
    "direction tokens": (TOKENS, {"vector": [1, -2, 0.5, 0, 0, 3, 1], "cosine_power": 2}),
    "direction of a token": (UnitAddress("3", (1,)), {"vector": [1, -2, 0.5, 0, 0, 3, 1]}),
    "direction of all": (TOKENS, {"vector": list(range(42))}),
    "cosine": (MAP, {"vector": [1, -2, 0.5, 0, 0, 3]}),
    "logit": (CLASS, {}),
    "logit centred": (CLASS, {"centred": True, "direction": "down"}),
    "log-probability": (CLASS, {"temperature": 2.0}),
    "margin": (CLASS, {}),
    "margin down": (CLASS, {"direction": "down", "confidence": 5.0}),
    "boundary": (CLASS, {"other": "5[4]"}),
    "boundary difference": (CLASS, {"other": "1[0]", "how": "difference", "weight": 0.3}),
    "joint": (CLASS, {"terms": [{"unit": "1[3]", "weight": -2.0}, {"unit": "5[0]"}], "weight": 0.5}),
    "interpolated": (CLASS, {"other": "5[1]", "share": 0.25}),
    "diversity": (MAP, {}),
    "diversity tokens": (TOKENS, {}),
    "activations": (MAP, {"image": picture()}),
    "activations cosine": (UnitAddress("3", (2,)), {"image": picture(), "measure": "cosine"}),
    "activations dot": (CLASS, {"image": picture(), "measure": "dot", "unit": "3"}),
    "content": (CLASS, {"image": picture(), "layers": ["1", {"layer": "3[2]", "weight": 0.5}]}),
    "style": (CLASS, {"image": picture(), "layers": [{"layer": "1", "weight": 1e3}, "3"]}),
    "l1": (CLASS, {}),
    "l1 latent": (CLASS, {"of": "latent"}),
    "l2": (CLASS, {"centre": 0.2}),
    "total-variation": (CLASS, {}),
    "total-variation isotropic": (CLASS, {"kind": "isotropic", "beta": 1.5}),
    "blur": (CLASS, {"sigma": 0.8}),
    "code-prior": (CLASS, {}),
    "code-prior distance": (CLASS, {"measure": "distance"}),
}


def named(case: str) -> str:
    return case.split()[0]


def test_all_that_are_registered_are_tested():
    # spikes and sum have tests of their own
    assert {named(case) for case in CASES} | {"spikes", "sum"} == {entry.name for entry in components("objective")}


@pytest.mark.parametrize("case", CASES)
def test_contract(case, setting):
    check_objective(make(named(case), *CASES[case], setting), SHAPES)


@pytest.mark.parametrize("case", [case for case in CASES if named(case) != "diversity"])
def test_gradients_are_slopes(case, setting):
    objective = make(named(case), *CASES[case], setting)
    rng = torch.Generator().manual_seed(2)
    responses = {layer: torch.rand(2, *SHAPES[layer], generator=rng, dtype=torch.float64) for layer in sorted(objective.layers)}
    ways = {layer: torch.randn(response.shape, generator=rng, dtype=torch.float64) for layer, response in responses.items()}
    leaves = {layer: response.clone().requires_grad_() for layer, response in responses.items()}
    slopes = torch.autograd.grad(objective(leaves).sum(), list(leaves.values()))
    expected = sum(float((slope * ways[layer]).sum()) for layer, slope in zip(leaves, slopes, strict=True))

    def along(step: float) -> float:
        return float(objective({layer: response + step * ways[layer] for layer, response in responses.items()}).sum())

    assert (along(1e-5) - along(-1e-5)) / 2e-5 == pytest.approx(expected, rel=1e-3, abs=1e-6)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def gram(values: np.ndarray) -> np.ndarray:
    """Channels first."""
    flat = values.reshape(values.shape[0], -1)
    return flat @ flat.T


def expected_score(case: str, r: dict[str, np.ndarray], at: dict[str, np.ndarray], others: list[dict[str, np.ndarray]]) -> float:
    """The score of one candidate with the responses ``r``; ``at`` are those to the picture."""
    v, w = np.array([1, -2, 0.5, 0, 0, 3]), np.array([1, -2, 0.5, 0, 0, 3, 1])
    z, x = r["5"], r[STIMULUS]
    dx, dy = np.diff(x, axis=2, append=x[:, :, -1:]), np.diff(x, axis=1, append=x[:, -1:])
    match case:
        case "unit":
            return z[2]
        case "unit down, another":
            return -r["1"][3, 1:3].mean()
        case "layer":
            return (r["1"] ** 2).mean()
        case "layer l2":
            return np.sqrt((r["1"][1:3] ** 2).sum())
        case "layer absolute":
            return abs(z[2])
        case "direction":
            return float(np.mean([pixel @ v for pixel in r["1"].reshape(6, -1).T]) / np.linalg.norm(v))
        case "direction tokens":
            return float(np.mean([token @ w / np.linalg.norm(w) * max(cosine(token, w), 0.1) ** 2 for token in r["3"]]))
        case "direction of a token":
            return float(r["3"][1] @ w / np.linalg.norm(w))
        case "direction of all":
            return float(r["3"].ravel() @ np.arange(42) / np.linalg.norm(np.arange(42)))
        case "cosine":
            return float(np.mean([cosine(pixel, v) for pixel in r["1"].reshape(6, -1).T]))
        case "logit":
            return z[2]
        case "logit centred":
            return z.mean() - z[2]
        case "log-probability":
            return math.log(math.exp(z[2] / 2) / sum(math.exp(value / 2) for value in z))
        case "margin":
            return z[2] - max(z[[0, 1, 3, 4]])
        case "margin down":
            return min(max(z[[0, 1, 3, 4]]) - z[2], 5.0)
        case "boundary":
            return min(z[2], z[4])
        case "boundary difference":
            return (z[2] + r["1"][0].mean()) / 2 - 0.3 * abs(z[2] - r["1"][0].mean())
        case "joint":
            return 0.5 * z[2] - 2 * r["1"][3].mean() + z[0]
        case "interpolated":
            return 0.75 * z[2] + 0.25 * z[1]
        case "diversity":
            return -float(np.mean([cosine(gram(r["1"]).ravel(), gram(other["1"]).ravel()) for other in others]))
        case "diversity tokens":
            return -float(np.mean([cosine(gram(r["3"].T).ravel(), gram(other["3"].T).ravel()) for other in others]))
        case "activations":
            return -((r["1"] - at["1"]) ** 2).sum() / (at["1"] ** 2).sum()
        case "activations cosine":
            return cosine(r["3"][2], at["3"][2])
        case "activations dot":
            return float(r["3"].ravel() @ at["3"].ravel() / np.linalg.norm(at["3"]))
        case "content":
            return -((r["1"] - at["1"]) ** 2).mean() - 0.5 * ((r["3"][2] - at["3"][2]) ** 2).mean()
        case "style":
            one = ((gram(r["1"]) - gram(at["1"])) ** 2).sum() / (4 * 6**2 * 20**2)
            return -1e3 * one - ((gram(r["3"].T) - gram(at["3"].T)) ** 2).sum() / (4 * 7**2 * 6**2)
        case "l1":
            return np.abs(x - 0.5).mean()
        case "l1 latent":
            return np.abs(r[LATENT]).mean()
        case "l2":
            return ((x - 0.2) ** 2).mean()
        case "total-variation":
            return (np.abs(dx).sum() + np.abs(dy).sum()) / x.size
        case "total-variation isotropic":
            return ((dx**2 + dy**2) ** 0.75).mean()
        case "blur":
            return ((x - np.stack([ndimage.gaussian_filter(channel, 0.8, mode="reflect") for channel in x])) ** 2).mean()
    raise KeyError(case)


@pytest.mark.parametrize("case", [case for case in CASES if named(case) != "code-prior"])
def test_scores_are_the_formulas(case, setting):
    objective = make(named(case), *CASES[case], setting)
    rng = np.random.default_rng(5)
    responses = {layer: rng.random((3, *shape), dtype=np.float32) for layer, shape in SHAPES.items()}
    image = torch.from_numpy(PIXELS.transpose(2, 0, 1) / 255).float()[None]
    at = {layer: answer[0].detach().numpy() for layer, answer in setting.target.respond(image, {"1", "3"}).items()}
    found = objective({layer: torch.from_numpy(responses[layer]) for layer in objective.layers}).tolist()
    rows = [{layer: values[row].astype(np.float64) for layer, values in responses.items()} for row in range(3)]
    expected = [expected_score(case, rows[row], at, [rows[other] for other in range(3) if other != row]) for row in range(3)]
    assert found == pytest.approx(expected, rel=2e-5, abs=2e-5)


def test_inversion_is_best_at_the_image_itself(setting):
    image = torch.from_numpy(PIXELS.transpose(2, 0, 1) / 255).float()[None]
    for case in ("activations", "content", "style"):
        objective = make(case, *CASES[case], setting)
        with torch.no_grad():
            found = float(objective(setting.target.respond(image, objective.layers)))
        assert found == pytest.approx(0.0, abs=1e-6)
    cosine_objective = make("activations", *CASES["activations cosine"], setting)
    with torch.no_grad():
        found = float(cosine_objective(setting.target.respond(image, {"3"})))
    assert found == pytest.approx(1.0, abs=1e-5)


def test_diversity_rises_along_its_gradient(setting):
    objective = make("diversity", MAP, {}, setting)
    leaf = torch.rand(4, 6, 4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = objective({"1": leaf})
    (slope,) = torch.autograd.grad(before.sum(), leaf)
    assert float((objective({"1": leaf + 5.0 * slope}) - before).sum().detach()) > 0.01
    assert objective({"1": leaf[:1]}).tolist() == [0.0]
