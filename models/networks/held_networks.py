"""Mutual exclusion of calls on networks: calls that use the same modules or parameters take turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_turn = threading.Condition()
_held: dict[int, int] = {}
"""Owner of each held object, by the object's id."""
_waiting: dict[int, int] = {}
"""The owner that each waiting owner waits for."""
_acting = threading.local()


def current_owner() -> int:
    """Return the number of the thread that this code runs for: its own, unless it is :func:`acting_for` another."""
    return getattr(_acting, "owner", None) or threading.get_ident()


@contextmanager
def acting_for(owner: int) -> Iterator[None]:
    """Act as ``owner`` within the block: a hook that autograd runs in another thread acts for the waiting thread."""
    before = getattr(_acting, "owner", None)
    _acting.owner = owner
    try:
        yield
    finally:
        _acting.owner = before


def holds(thing: object) -> bool:
    """Return whether the current owner holds ``thing``."""
    return _held.get(id(thing)) == current_owner()


def hold(keys: frozenset[int]) -> frozenset[int]:
    """Wait until no other owner holds any of ``keys``, then hold all of them.

    Parameters
    ----------
    keys : frozenset of int
        Ids of modules and parameters, which have to be kept alive until :func:`release`.

    Returns
    -------
    frozenset of int
        The keys that the current owner did not hold before, to be released.

    Raises
    ------
    RuntimeError
        Their owner waits for an object that the current owner holds: a deadlock.
    """
    owner = current_owner()
    with _turn:
        while (other := _other_owner(keys, owner)) is not None:
            _waiting[owner] = other
            try:
                if _circular(owner):
                    raise RuntimeError("two threads ask the same two networks in opposite order; give each thread a copy of its own")
                _turn.wait()
            finally:
                del _waiting[owner]
        fresh = keys if _held.keys().isdisjoint(keys) else keys - _held.keys()
        _held.update(dict.fromkeys(fresh, owner))
    return fresh


def release(keys: frozenset[int]) -> None:
    """Let other owners hold ``keys``; keys that are free already are ignored."""
    with _turn:
        for key in keys:
            _held.pop(key, None)
        if _waiting:
            _turn.notify_all()


def _other_owner(keys: frozenset[int], owner: int) -> int | None:
    if _held.keys().isdisjoint(keys):
        return None
    return next((_held[key] for key in keys if _held.get(key, owner) != owner), None)


def _circular(owner: int) -> bool:
    at = _waiting.get(owner)
    while at is not None and at != owner:
        at = _waiting.get(at)
    return at == owner
