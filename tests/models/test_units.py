import pytest
from hypothesis import given
from hypothesis import strategies as st

from actmax.models.targets.target import LayerInfo
from actmax.models.units import BadAddress, resolve

LAYERS = [LayerInfo("conv2", (16, 8, 8), "Conv2d"), LayerInfo("blocks.5", (64, 160), "Block"), LayerInfo("fc", (10,), "Linear")]


@given(st.integers(0, 15), st.integers(0, 7), st.integers(0, 7))
def test_an_address_reads_back_as_itself(c, y, x):
    for text in (f"conv2[{c}]", f"conv2[{c}, {y}]", f"conv2[{c}, {y}, {x}]", f"conv2[{c}, :, {x}]", f"blocks.5[{c}:{c + 3}, {y}]", "fc"):
        (unit,) = resolve(text, LAYERS)
        assert str(unit) == text
        assert resolve(str(unit), LAYERS) == [unit]


def test_a_star_is_every_index():
    assert [str(unit) for unit in resolve("fc[*]", LAYERS)] == [f"fc[{i}]" for i in range(10)]
    assert len(resolve("conv2[*, 3, 3]", LAYERS)) == 16


def test_integers_are_told_from_groups():
    assert resolve("conv2[3,1,2]", LAYERS)[0].integers == (3, 1, 2)
    assert resolve("conv2[:, 1]", LAYERS)[0].integers is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cov2[3]", "did you mean conv2"),
        ("zzz[3]", "it has conv2, blocks.5, fc"),
        ("fc[10]", "out of range, fc has shape 10, so 0 … 9"),
        ("fc[-1]", "neither a number"),
        ("fc[1, 2]", "has 2 indices, fc has 1 dimensions"),
        ("fc[5:5]", "empty"),
        ("fc[5:11]", "beyond"),
        ("fc[", "is no unit address"),
        ("", "is no unit address"),
        ("fc[x]", "neither a number"),
    ],
)
def test_bad_addresses_say_what_would_work(text, says):
    with pytest.raises(BadAddress, match=says.replace("[", r"\[")):
        resolve(text, LAYERS)
