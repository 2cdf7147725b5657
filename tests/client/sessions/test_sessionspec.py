import pytest

from actmax.client.sessions.spec import from_plain
from actmax.wire.errors import InvalidInput


@pytest.mark.parametrize(
    ("data", "field", "said"),
    [
        ({"generator": "cifar10-sngan", "desing": {}}, "desing", "did you mean design?"),
        ({"design": {"references": {"rat": 0.1}}}, "design.references.rat", "did you mean rate?"),
        ({"units": ["a", {"name": "b", "knd": "rate"}]}, "units[1].knd", "did you mean kind?"),
        ({"threads": [{"name": "a", "colour": 1}]}, "threads[0].colour", "there are name, "),
    ],
)
def test_a_field_that_is_none_is_named_with_what_is_near(data, field, said):
    with pytest.raises(InvalidInput) as refused:
        from_plain(data)
    (violation,) = refused.value.violations
    assert violation.field == field
    assert said in violation.description


def test_options_have_names_of_their_own():
    spec = from_plain({"optimizer": {"name": "cma", "options": {"sigma0": 0.2}}, "expireSeconds": 5, "stop": {"evaluations": 3}})
    assert spec.optimizer.options["sigma0"] == 0.2
    assert spec.expire_seconds == 5
