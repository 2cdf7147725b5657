import numpy as np
import pytest
import torch

from actmax.engine.build import check
from actmax.engine.run import execute, searches_of
from actmax.models.densities import GaussianDensity
from jobs import ALLOWED, job


@pytest.mark.parametrize("generator", ["toy_lab:decoder", "toy_lab:codes"])
@pytest.mark.parametrize("optimizer", ["random", "adam", "nevergrad"])
def test_what_is_reported_keeps_the_constraints_whoever_searches(optimizer, generator):
    asked = {"luminance": 0.45, "contrast": 0.15, **({"max_latent_std": 0.8} if generator == "toy_lab:decoder" else {})}
    spec = job(generator={"name": generator}, optimizer={"name": optimizer}, budget={"evaluations": 80}, constraints=asked, prior="none")
    checked = check(spec, allow_imports=ALLOWED)
    free = check(spec.model_copy(update={"constraints": type(spec.constraints)()}), allow_imports=ALLOWED)
    for found in execute(checked, searches_of(checked)).searches:
        assert found.stimulus.mean() == pytest.approx(0.45, abs=1e-4)
        assert found.stimulus.std() == pytest.approx(0.15, abs=1e-4)
        assert 0 <= found.stimulus.min() <= found.stimulus.max() <= 1
        latent = torch.from_numpy(found.latent)[None]
        checked.generator.latent.check(latent)
        if "max_latent_std" in asked:
            density = free.generator.prior.density if free.generator.prior else None
            assert isinstance(density, GaussianDensity)
            assert float(density.whiten(latent).square().mean().sqrt()) <= 0.8
        again = checked.generator(latent).detach()
        assert np.allclose(again[0].numpy(), found.stimulus, atol=1e-5)
        response = checked.target.respond(again, {"4"})["4"][0, int(found.unit[2])].detach()
        assert found.response == pytest.approx(float(response), abs=1e-5)


@pytest.mark.parametrize("optimizer", ["random", "adam", "patch-evolution"])
def test_codes_keep_near_natural_maps_and_a_search_still_finds_what_drives(optimizer):
    spec = job(
        generator={"name": "toy_lab:codes"},
        optimizer={"name": optimizer},
        baselines=[{"name": "random", "options": {"batch": 50}}],
        budget={"evaluations": 100},
        constraints={"max_code_changes": 0.25},
    )
    checked = check(spec, allow_imports=ALLOWED)
    prior = checked.generator.prior
    assert prior is not None
    result = execute(checked, searches_of(checked))
    for found in result.searches:
        differ = (torch.from_numpy(found.latent)[None] != prior.bank).flatten(1).sum(1).min()
        assert int(differ) <= 2
        again = checked.generator(torch.from_numpy(found.latent)[None]).detach()
        assert np.allclose(again[0].numpy(), found.stimulus, atol=1e-6)
    if optimizer != "random":  # which sees nothing but natural maps
        own, drawn = (sum(each.response for each in result.searches if each.optimizer == label) for label in (optimizer, "random"))
        assert own > drawn


def test_a_gradient_climbs_under_constraints():
    spec = job(
        optimizer={"name": "adam"},
        baselines=[{"name": "random"}],
        budget={"evaluations": 100},
        constraints={"max_latent_std": 1.0, "luminance": 0.5, "contrast": 0.1},
    )
    checked = check(spec, allow_imports=ALLOWED)
    found = execute(checked, searches_of(checked)).searches
    climbed, drawn = (sum(each.response for each in found if each.optimizer == label) for label in ("adam", "random"))
    assert climbed > drawn
