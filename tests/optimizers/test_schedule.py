import pytest

from actmax.optimizers.adam import step_factor


def test_cosine_falls_over_the_run() -> None:
    assert [step_factor("cosine", 7, left, 1) for left in (1.0, 0.5, 0.0)] == pytest.approx([1.0, 0.5, 0.0])


def test_warm_restarts_fall_over_each_cycle() -> None:
    assert [step_factor("warm-restarts", step, 1.0, 4) for step in (0, 2, 4, 6, 8)] == pytest.approx([1.0, 0.5, 1.0, 0.5, 1.0])
    assert step_factor("warm-restarts", 3, 1.0, 4) < 0.2


def test_constant_is_constant() -> None:
    assert step_factor("constant", 5, 0.0, 1) == 1.0
