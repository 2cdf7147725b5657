"""Makes ``tests/fixtures`` importable: the parts of a small lab, and jobs over them."""

import signal
import sys
import time
import urllib.request
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

# a shell starts what runs in the background with SIGINT ignored, which every process that a test interrupts would inherit
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def pauses_of(monkeypatch):
    """Gives a function of a module: the list to which the seconds of each ``time.sleep`` in it will be added."""

    def record(module: ModuleType) -> list[float]:
        recorded: list[float] = []

        def sleep(seconds: float) -> None:
            recorded.append(seconds)
            time.sleep(seconds)

        monkeypatch.setattr(module, "time", SimpleNamespace(**{**vars(time), "sleep": sleep}))
        return recorded

    return record


@pytest.fixture(autouse=True)
def own_proxies():
    """Have urllib read the environment's proxies anew after each test: it keeps those of its first call, which a test may have set."""
    yield
    urllib.request.install_opener(None)  # pyright: ignore[reportArgumentType]
