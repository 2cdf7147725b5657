"""Jobs under every ambient setting of torch: results to the bit as without it, and the setting is the caller's again afterwards."""

import copy
import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from actmax.engine.build import check
from actmax.engine.maximize import maximize
from actmax.engine.run import RunSettings, execute, run_job, searches_of
from actmax.engine.spec import JobSpec
from actmax.models.ambient import under_default_settings
from jobs import PERMITTED, job

GRADIENT = ["adam", "normalised-ascent", "langevin"]
BOX = [*GRADIENT, "random", "cma", "sphere-cma", "thompson", "xdream", "tt-grid"]
CODES = [*GRADIENT, "random", "tt-evolution", "patch-evolution", "protes", "tt-cross"]
FAMILIES = {
    "decoder": BOX,
    "pixel": [*BOX[:4], "square"],
    "fourier": BOX[:4],
    "cppn": BOX[:4],
    "cifar10-vqvae": CODES,
    "cifar10-sngan": BOX[:6],
}

torch.manual_seed(0)
DECODER = nn.Sequential(nn.Linear(8, 192), nn.Sigmoid(), nn.Unflatten(1, (3, 8, 8)))
SMALL = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4))
USUAL = nn.Sequential(nn.Conv2d(3, 6, 3, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(600, 4))


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def everything():
    with ExitStack() as stack:
        for name in ("inference mode", "cpu autocast", "float64", "default device", "anomaly mode"):
            stack.enter_context(AMBIENTS[name]())
        yield


AMBIENTS = {
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "grad off": lambda: torch.set_grad_enabled(False),
    "cpu autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "default device": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "all of them": everything,
}


def settings():
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.is_autocast_cache_enabled()),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "random": torch.random.get_rng_state().sum().item() if torch.get_default_device().type == "cpu" else None,
    }


@under_default_settings  # as run_job and maximize are; they would draw a report, too
def found(family, network=None):
    """What each optimizer finds with a generator of ``family``."""
    small = family == "decoder"
    optimizers = [{"name": name} for name in FAMILIES[family]]
    spec = JobSpec.parse(
        {
            "generator": {"name": family, "options": {"latent": [8]} if small else {}},
            "target": {"name": "network", "options": {"shape": [3, 8, 8] if small else [3, 32, 32]}},
            "units": ["output[1]"],
            "optimizer": optimizers[0],
            "baselines": optimizers[1:],
            "budget": {"evaluations": 16},
            "prior": "natural" if family.startswith("cifar") else "none",
            "seed": 1,
            "device": "cpu",
        }
    )
    job = check(spec, given={"decoder": DECODER, "network": network or (SMALL if small else USUAL)})
    result = execute(job, searches_of(job))
    return [(search.optimizer, search.scores, search.stimulus, search.response, search.importance) for search in result.searches]


@pytest.fixture(scope="module", name="plain")
def plain_results():
    return {family: found(family) for family in FAMILIES}


def check_same(results, expected):
    assert len(results) == len(expected)
    for one, other in zip(results, expected, strict=True):
        assert one[0] == other[0]
        for got, wanted in zip(one[1:], other[1:], strict=True):
            same = wanted is None if got is None else wanted is not None and np.array_equal(got, wanted, equal_nan=True)
            assert same, one[0]


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("ambient", AMBIENTS)
def test_results_are_those_without_the_setting_and_the_setting_stays(ambient, plain):
    # each family of generators meets all optimizers under some, and the small decoder under every setting
    families = ["decoder", *[family for at, family in enumerate(FAMILIES) if family != "decoder" and (at + len(ambient)) % 3 == 0]]
    with AMBIENTS[ambient]():
        before = settings()
        results = {family: found(family) for family in families}
        assert settings() == before
    for family in families:
        check_same(results[family], plain[family])


@pytest.mark.parametrize("raised", [RuntimeError("mine"), KeyboardInterrupt()])
def test_settings_are_the_callers_again_after_an_exception(raised):
    def fail(_):
        assert settings()["dtype"] == torch.float32
        raise raised

    with everything():
        before = settings()
        with pytest.raises(type(raised)):
            maximize(
                DECODER,
                SMALL,
                "output[1]",
                generator_options={"latent": [8]},
                target_options={"shape": [3, 8, 8]},
                evaluations=40,
                prior="none",
                on_progress=fail,
            )
        assert settings() == before


def test_two_jobs_at_once_under_another_default_dtype(plain):
    results, failures = {}, []

    def work(number):
        try:
            results[number] = found("decoder", copy.deepcopy(SMALL))
        except Exception as error:
            failures.append(error)

    with default_dtype(torch.float64):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert torch.get_default_dtype() == torch.float64
    assert not failures
    for number in range(2):
        check_same(results[number], plain["decoder"])


def test_a_network_made_under_inference_mode_works_as_one_made_outside(plain):
    with torch.inference_mode():
        made = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4))
        made.load_state_dict(SMALL.state_dict())
        check_same(found("decoder", made), plain["decoder"])
    assert all(parameter.is_inference() for parameter in made.parameters())
    check_same(found("decoder", made), plain["decoder"])


def test_a_network_of_double_precision_made_under_float64(plain):
    with default_dtype(torch.float64):
        made = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4))
        made.load_state_dict(SMALL.state_dict())
        results = found("decoder", made)
    for one, other in zip(results, plain["decoder"], strict=True):
        assert one[3] == pytest.approx(other[3], rel=0.5)
        assert one[1][0] == pytest.approx(other[1][0], rel=1e-4)  # the first candidates are the same


def test_threads_given_to_a_job_are_its_own(tmp_path):
    before = torch.get_num_threads()
    run_job(job(budget={"evaluations": 5}), tmp_path, permissions=PERMITTED, settings=RunSettings(threads=before + 1))
    assert torch.get_num_threads() == before
