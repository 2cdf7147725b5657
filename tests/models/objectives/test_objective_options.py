"""Objectives of priors, spikes, sums and files, and what is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from actmax.engine.components.registry import find
from actmax.models.components import Named
from actmax.models.generators.prior import Prior
from actmax.models.objectives.code_prior import CodePrior
from actmax.models.objectives.objective import LATENT, STIMULUS
from actmax.models.objectives.setting import Setting, built
from actmax.models.objectives.testing import check_objective
from actmax.models.options import InvalidOption
from actmax.models.spaces import Box, Categorical, StimulusSpec
from actmax.models.targets.target import LayerInfo
from actmax.models.units import UnitAddress
from objective_lab import CLASS, MAP, SHAPES, make, picture


class SpikingLayers:
    differentiable = True
    stimulus = StimulusSpec((3, 6, 7))

    def layers(self):
        return [
            LayerInfo("conv", (4, 2, 2), "Conv2d mean current"),
            LayerInfo("lif1", (4, 2, 2), "spike count"),
            LayerInfo("out", (3,), "spike count"),
        ]

    def respond(self, stimuli, layers):
        raise AssertionError("regularisers need no reference")

    def to(self, device):
        return self


def test_spikes_count_all_neurons_or_those_of_some_layers():
    setting = Setting(SpikingLayers())
    shapes = {"lif1": (4, 2, 2), "out": (3,)}
    rng = np.random.default_rng(0)
    responses = {layer: rng.integers(0, 9, (3, *shape)).astype(np.float32) for layer, shape in shapes.items()}
    tensors = {layer: torch.from_numpy(values) for layer, values in responses.items()}
    every = np.concatenate([values.reshape(3, -1) for values in responses.values()], 1)
    objective = make("spikes", CLASS, {}, setting)
    check_objective(objective, shapes)
    assert objective(tensors).tolist() == pytest.approx(every.mean(1).tolist())
    assert make("spikes", CLASS, {"per": "network"}, setting)(tensors).tolist() == pytest.approx(every.sum(1).tolist())
    assert make("spikes", CLASS, {"layers": ["out[1]"]}, setting)(tensors).tolist() == pytest.approx(responses["out"][:, 1].tolist())
    with pytest.raises(InvalidOption, match="not with spikes") as caught:
        make("spikes", CLASS, {"layers": ["lif1", "conv"]}, setting)
    assert caught.value.option == "layers[1]"


def test_the_code_prior_is_the_priors_density(setting):
    assert setting.prior is not None
    latents = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    found = make("code-prior", CLASS, {}, setting)({LATENT: latents})
    bank = setting.prior.bank.double().numpy()
    density = setting.prior.density
    assert found.tolist() == pytest.approx((-density.log_density(latents.double()) / 4).tolist(), rel=1e-4)
    near = make("code-prior", CLASS, {"measure": "distance"}, setting)({LATENT: torch.from_numpy(bank).float()})
    assert float(near.mean()) == pytest.approx(1.0, abs=0.1)
    assert float(make("code-prior", CLASS, {"measure": "distance"}, setting)({LATENT: torch.full((1, 4), 3.0)})) > 2.5


def test_the_code_prior_of_codes_knows_weights_too(setting):
    space = Categorical((3, 2), 5)
    rng = torch.Generator().manual_seed(4)
    bank = torch.randint(5, (60, 3, 2), generator=rng)
    prior = Prior(bank, space)
    objective = CodePrior.from_setting(CodePrior.Options(), CLASS, Setting(setting.target, space, prior))
    codes = space.sample(6, rng)
    hard = objective({LATENT: codes})
    assert hard.tolist() == pytest.approx((-prior.density.log_density(codes) / 6).tolist(), rel=1e-5)
    weights = torch.nn.functional.one_hot(codes, 5).float().requires_grad_()
    soft = objective({LATENT: weights})
    assert soft.tolist() == pytest.approx(hard.tolist(), rel=1e-4)
    (slope,) = torch.autograd.grad(soft.sum(), weights)
    # a code's slope says how much likelier it would make the latent: exact for one position, since it is linear in each
    changed = codes.clone()
    changed[0, 1, 1] = (codes[0, 1, 1] + 1) % 5
    likelihoods = (-6 * objective({LATENT: torch.stack([codes[0], changed[0]])})).exp()
    step = -6 * float(slope[0, 1, 1, changed[0, 1, 1]] - slope[0, 1, 1, codes[0, 1, 1]])
    assert step == pytest.approx(float(likelihoods[1] / likelihoods[0]) - 1, rel=1e-3, abs=1e-3)


def test_a_sum_is_its_terms_and_their_units(setting):
    def nested(component: Named, unit: UnitAddress, option: str):
        assert option in ("terms[0].objective", "terms[1].objective", "terms[2].objective")
        found = find("objective", component.name, option)
        return built(found, found.Options(**component.options), unit, setting)

    inside = Setting(setting.target, setting.latent, setting.prior, nested)
    terms = [
        {"objective": "unit"},
        {"objective": {"name": "layer", "options": {"unit": "1"}}, "weight": 2.0},
        {"objective": "total-variation", "weight": -0.5},
    ]
    objective = make("sum", CLASS, {"terms": terms}, inside)
    check_objective(objective, SHAPES)
    assert objective.layers == {"5", "1", STIMULUS}
    responses = {layer: torch.rand(3, *shape, generator=torch.Generator().manual_seed(1)) for layer, shape in SHAPES.items()}
    parts = [make("unit", CLASS, {}, setting), make("layer", MAP, {}, setting), make("total-variation", CLASS, {}, setting)]
    expected = parts[0](responses) + 2 * parts[1](responses) - 0.5 * parts[2](responses)
    torch.testing.assert_close(objective(responses), expected)
    assert not objective.compares
    assert make("sum", MAP, {"terms": [{"objective": "diversity"}]}, inside).compares


def test_vectors_come_from_files(tmp_path, setting):
    vector = torch.tensor([1.0, -2, 0.5, 0, 0, 3])
    np.save(tmp_path / "v.npy", vector.numpy())
    save_file({"v": vector, "w": -vector}, tmp_path / "v.safetensors")
    save_file({"v": vector}, tmp_path / "one.safetensors")
    expected = make("direction", MAP, {"vector": vector.tolist()}, setting).vector
    for options in ({"file": "v.npy"}, {"file": "one.safetensors"}, {"file": "v.safetensors", "tensor": "v"}):
        options = {**options, "file": str(tmp_path / options["file"])}
        assert torch.equal(make("direction", MAP, options, setting).vector, expected)


@pytest.mark.parametrize(
    ("case", "unit", "options", "option", "says"),
    [
        ("unit", CLASS, {"unit": "6[0]"}, "unit", "no layer '6'"),
        ("unit", CLASS, {"unit": "5[*]"}, "unit", "names 5 units"),
        ("direction", MAP, {"vector": [1, 2]}, "vector", "has 6 channels and answers with 6 × 4 × 5"),
        ("direction", MAP, {"vector": [0] * 6}, "vector", "not all zero"),
        ("direction", CLASS, {"vector": [1]}, "unit", "name a layer"),
        ("cosine", MAP, {"file": "nowhere.npy"}, "file", "no file"),
        ("cosine", MAP, {"file": __file__}, "file", "neither"),
        ("logit", MAP, {}, "unit", "is no class"),
        ("logit", UnitAddress("5"), {}, "unit", "is no class"),
        ("log-probability", UnitAddress("3", (1, 2)), {}, "unit", "is no class"),
        ("margin", UnitAddress("5", (slice(0, 2),)), {}, "unit", "is no class"),
        ("boundary", CLASS, {"other": "5[9]"}, "other", "0 … 4"),
        ("joint", CLASS, {"terms": [{"unit": "5[1]"}, {"unit": "fc[1]"}]}, "terms[1].unit", "no layer 'fc'"),
        ("content", CLASS, {"image": picture(), "layers": ["1", "nope"]}, "layers[1].layer", "no layer"),
        ("style", CLASS, {"image": picture(), "layers": ["5[0]"]}, "layers[0].layer", "no Gram matrix"),
        ("activations", MAP, {"image": "nowhere.png"}, "image", "no such file"),
        ("activations", MAP, {"image": "data:image/png;base64,AAAA"}, "image", "zeros alone"),
        ("spikes", CLASS, {}, "layers", "no layer whose response is a spike count"),
    ],
)
def test_what_does_not_suit_the_target_is_refused_by_option(case, unit, options, option, says, setting):
    with pytest.raises(InvalidOption, match=says) as caught:
        make(case, unit, options, setting)
    assert caught.value.option == option


def test_what_does_not_suit_the_generator_is_refused_by_option(setting):
    codes = Setting(setting.target, Categorical((3,), 4), Prior(torch.zeros(3, 3, dtype=torch.long), Categorical((3,), 4)))
    for options, name, option in (({"of": "latent"}, "l1", "of"), ({"measure": "distance"}, "code-prior", "measure")):
        with pytest.raises(InvalidOption) as caught:
            make(name, CLASS, options, codes)
        assert caught.value.option == option
    with pytest.raises(InvalidOption, match="no natural latents"):
        make("code-prior", CLASS, {}, Setting(setting.target, Box((4,), -1, 1)))
