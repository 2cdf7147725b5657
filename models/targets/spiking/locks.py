"""One lock for each network, so that targets of the same network, and threads, ask it one after the other."""

from __future__ import annotations

import threading
import weakref

from torch import nn

_LOCKS: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()
_MAKING = threading.Lock()


def lock_of(network: nn.Module) -> threading.RLock:
    """Return the lock of a network, the same at every call."""
    with _MAKING:
        if network not in _LOCKS:
            _LOCKS[network] = threading.RLock()
        return _LOCKS[network]
