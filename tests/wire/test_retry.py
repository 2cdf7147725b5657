"""How long a call is tried again, and after which pauses."""

import pytest

from actmax.wire.retry import Backoff, RetryPolicy


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success():
    backoff = Backoff(RetryPolicy(first=0.1, most=0.5, jitter=0))
    assert [backoff.next() for _ in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])
    backoff.reset()
    assert backoff.next() == pytest.approx(0.1)


def test_a_part_of_each_pause_is_left_to_chance():
    pauses = [Backoff(RetryPolicy(first=1.0)).next() for _ in range(50)]
    assert all(pause is not None and 0.7 <= pause <= 1.0 for pause in pauses)
    assert len(set(pauses)) > 1


def test_so_many_tries_are_allowed():
    backoff = Backoff(RetryPolicy(tries=2, jitter=0))
    assert [backoff.next() is None for _ in range(3)] == [False, False, True]
    assert backoff.tries == 2


def test_a_server_is_waited_for_as_long_as_it_asks_but_not_beyond_the_limit():
    backoff = Backoff(RetryPolicy(seconds=10.0, jitter=0))
    assert backoff.next(3.0) == 3.0
    assert backoff.next(11.0) is None
    assert Backoff(RetryPolicy(seconds=0.0)).next() is None
