"""What the default chooses."""

import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.auto import Auto
from actmax.optimizers.optimizer import Evaluations, Listener, Problem
from actmax.optimizers.testing import Landscape, check_resume

CODES, SMALL, LARGE = Categorical((4, 4), 6), Box((8,), -1, 1), Box((600,), -1, 1)


def banked(space, **known) -> Problem:
    return Problem(space, 0, 400, space.sample(30, torch.Generator().manual_seed(1)), **known)


@pytest.mark.parametrize(
    ("problem", "chosen"),
    [
        (banked(CODES, differentiable=True), "adam: gradients"),
        (banked(SMALL, differentiable=True, noisy=True), "thompson: gradients are noisy"),
        (banked(CODES), "tt-evolution: no gradients, 16 codes out of 6, natural"),
        (Problem(CODES, 0, 400), "patch-evolution: no gradients, 16 codes out of 6, blind"),
        (Problem(CODES, 0, 400, code_vectors=torch.randn(6, 4)), "thompson: no gradients, 16 codes out of 6, 64 coordinates"),
        (Problem(CODES, 0, 400, code_vectors=torch.randn(6, 5)), "patch-evolution: no gradients, 16 codes out of 6, blind"),
        (Problem(CODES, 0, 400, code_vectors=torch.ones(6, 4)), "patch-evolution: no gradients, 16 codes out of 6, blind"),
        (banked(CODES, code_vectors=torch.randn(6, 4)), "thompson: no gradients, 16 codes out of 6, 64 coordinates"),
        (banked(CODES, code_vectors=torch.randn(6, 5)), "tt-evolution: no gradients, 16 codes out of 6, natural"),
        (banked(SMALL), "cma: no gradients, 8 coordinates, no noise"),
        (banked(Box((17,), -1, 1)), "thompson: no gradients, 17 coordinates"),
        (banked(SMALL, noisy=True), "thompson: no gradients, 8 coordinates"),
        (banked(Box((1,), 0, 1), noisy=True), "thompson: no gradients, 1 coordinates"),
        (banked(Box((128,), -3, 3)), "sphere-cma: no gradients, 128 coordinates, natural"),
        (Problem(Box((64,), -3, 3), 0, 400), "thompson: no gradients, 64 coordinates"),
        (Problem(Box((128,), -3, 3), 0, 400), "cma: no gradients, 128 coordinates, blind"),
        (banked(LARGE), "sphere-cma: no gradients, 600 coordinates"),
        (Problem(LARGE, 0, 400), "cma: no gradients, 600 coordinates, blind"),
        (banked(Box((3, 8, 8), -6, 6), step=0.2, pixels=True), "square: no gradients, 192 coordinates, one a value"),
        (banked(Box((3, 8, 8), -6, 6), step=0.2, pixels=True, noisy=True), "sphere-cma: no gradients, 192 coordinates"),
        (banked(Box((3, 8, 8), -6, 6), step=0.2), "sphere-cma: no gradients, 192 coordinates"),
        (
            banked(LARGE, lacks="the graph ends at 'trunk', before fc"),
            "sphere-cma: no gradients (the graph ends at 'trunk', before fc), 600",
        ),
    ],
)
def test_it_says_what_it_chose(problem, chosen):
    auto = Auto(problem, Auto.Options())
    assert auto.note.startswith(chosen)
    latents = auto.ask()
    problem.latent.check(latents)
    auto.tell(Evaluations(latents, Landscape(problem.latent).score(latents), gradients=torch.zeros_like(latents.float())))
    assert auto.needs_gradient == chosen.startswith("adam")


def test_gradients_can_be_declined():
    auto = Auto(banked(CODES, differentiable=True), Auto.Options(gradient=False))
    assert auto.note.startswith("tt-evolution: no gradients")
    assert Auto.needs_gradient is not True  # so that a target without gradients isn't refused


@pytest.mark.parametrize("problem", [banked(SMALL, noisy=True), banked(LARGE), banked(CODES), banked(SMALL)])
def test_it_goes_on_bit_for_bit(problem):
    check_resume(Auto, Auto.Options(), problem)


def test_it_listens_where_its_search_does():
    assert isinstance(Auto(banked(CODES), Auto.Options()), Listener)
    assert isinstance(Auto(banked(SMALL, noisy=True), Auto.Options()), Listener)
    assert not isinstance(Auto(banked(CODES, differentiable=True), Auto.Options()), Listener)
