import pytest
from hypothesis import given
from hypothesis import strategies as st

from actmax.server.errors import ServiceError
from actmax.server.messages import tokens
from actmax.server.storage.records import Filter


@given(st.text(max_size=60))
def test_nonsense_is_refused_as_a_token(text):
    for read in (lambda: tokens.page_before(text, Filter()), lambda: tokens.resume_after(text, "a", 9)):
        try:
            assert read() in (None, 0)
            assert text == ""
        except ServiceError as error:
            assert error.violations  # noqa: PT017 - which of both happens depends on the text


def test_tokens_come_back():
    assert tokens.page_before(tokens.page_token(12, Filter(frozenset({1, 2}))), Filter(frozenset({2, 1}))) == 12
    assert tokens.resume_after(tokens.resume_token("ab", 7), "ab", 7) == 7


def test_tokens_stay_with_what_they_were_made_for():
    for read in (
        lambda: tokens.page_before(tokens.page_token(12, Filter(frozenset({1}))), Filter()),
        lambda: tokens.page_before(tokens.resume_token("a", 1), Filter()),
        lambda: tokens.resume_after(tokens.page_token(1, Filter()), "a", 9),
        lambda: tokens.resume_after(tokens.resume_token("b", 1), "a", 9),
        lambda: tokens.resume_after(tokens.resume_token("a", 10), "a", 9),
    ):
        with pytest.raises(ServiceError):
            read()
