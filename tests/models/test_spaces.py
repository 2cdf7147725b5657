import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actmax.models.spaces import Box, Categorical, StimulusSpec

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@given(shape=shapes, low=st.floats(-10, 10), width=st.floats(0.1, 10), n=st.integers(0, 7))
def test_box_samples_belong_to_it(shape, low, width, n):
    box = Box(shape, low, low + width)
    sample = box.sample(n, torch.Generator().manual_seed(1))
    assert sample.shape == (n, *shape)
    box.check(sample.clamp(box.low, box.high))
    assert box.size == sample[0].numel() if n else True


@given(shape=shapes, cardinality=st.integers(2, 600), n=st.integers(0, 7))
def test_categorical_samples_belong_to_it_and_harden_undoes_one_hot(shape, cardinality, n):
    space = Categorical(shape, cardinality)
    sample = space.sample(n, torch.Generator().manual_seed(1))
    space.check(sample)
    weights = torch.nn.functional.one_hot(sample, cardinality).float()
    space.check(weights)
    assert torch.equal(space.harden(weights), sample)
    assert torch.equal(space.harden(sample), sample)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Box((), 0, 1),
        lambda: Box((3, 0), 0, 1),
        lambda: Box((3,), 1, 1),
        lambda: Box((3,), 0, float("inf")),
        lambda: Categorical((3,), 1),
        lambda: Categorical((-1,), 4),
        lambda: StimulusSpec((3, 32)),
        lambda: StimulusSpec((3, 32, 32), modality="series"),
    ],
)
def test_impossible_spaces_are_refused(make):
    with pytest.raises(ValueError, match=r"needs|dimensions"):
        make()


def test_foreign_latents_are_refused():
    with pytest.raises(ValueError, match="shape"):
        Box((3,), 0, 1).check(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="floats"):
        Box((3,), 0, 1).check(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="lie in"):
        Box((3,), 0, 1).check(torch.full((2, 3), 1.5))
    with pytest.raises(ValueError, match="codes must lie in 0 … 4"):
        Categorical((3,), 5).check(torch.full((2, 3), 5))
    with pytest.raises(ValueError, match="relaxed"):
        Categorical((3,), 5).check(torch.zeros(2, 3, 4))
