"""The locks agree with pyproject.toml, hold for every system and Python, and are installed from where pip would install."""

import importlib.util
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

spec = importlib.util.spec_from_file_location("install", LOCKS / "install.py")
assert spec is not None
assert spec.loader is not None
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)


def read(name: str) -> list[Requirement]:
    return [Requirement(line) for line in (LOCKS / name).read_text().splitlines() if line and not line.startswith("#")]


def direct(extras: list[str]) -> list[Requirement]:
    """What pyproject.toml names for ``extras``, without the project itself."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return [asked for asked in map(Requirement, lines) if canonicalize_name(asked.name) != "actmax"]


def version(requirement: Requirement) -> str:
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return pin.version


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    ("lock", "extras"), [("main.txt", [extra for extra in EXTRAS if extra != "bench"]), ("peers.txt", ["bench", "server"])]
)
def test_a_lock_names_one_version_in_range_of_every_direct_dependency(lock, extras, system, python):
    environment = {**SYSTEMS[system], "python_version": python, "python_full_version": f"{python}.1", "extra": ""}
    locked: dict[str, list[str]] = {}
    for requirement in read(lock):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            locked.setdefault(canonicalize_name(requirement.name), []).append(version(requirement))
    for asked in direct(extras):
        versions = locked.get(canonicalize_name(asked.name), [])
        assert len(versions) == 1, f"{lock} has {versions} of {asked.name}: run `make lock`"
        assert asked.specifier.contains(versions[0], prereleases=True), f"{lock} has {versions[0]}, {asked} is asked: run `make lock`"


def test_the_main_lock_names_everything_that_an_installed_package_of_its_version_needs():
    # from the direct dependencies on, through the packages that are installed here in the locked version
    here = {**default_environment(), "extra": ""}
    locked = {}
    for requirement in read("main.txt"):
        if requirement.marker is None or requirement.marker.evaluate(here):
            locked[canonicalize_name(requirement.name)] = version(requirement)
    waiting = [(asked.name, asked.extras) for asked in direct([extra for extra in EXTRAS if extra != "bench"])]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        key = (canonicalize_name(name), frozenset(extras))
        if key in seen:
            continue
        seen.add(key)
        assert key[0] in locked, f"the lock lacks {name}: run `make lock`"
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if installed.version.split("+")[0] != locked[key[0]]:
            continue
        for asked in map(Requirement, installed.requires or []):
            if asked.marker is None or any(asked.marker.evaluate({**here, "extra": extra}) for extra in ["", *extras]):
                waiting.append((asked.name, asked.extras))
    assert len(seen) > 50


HELD = {"main.txt": ["torch.in"], "peers.txt": ["torch.in", "peers.in"], "mlserver.txt": ["mlserver.in"]}


@pytest.mark.parametrize("lock", HELD)
def test_a_lock_keeps_what_is_held_fixed_and_names_no_machine(lock):
    held = [requirement for name in HELD[lock] for requirement in read(name)]
    pins = {(canonicalize_name(requirement.name), version(requirement)) for requirement in read(lock)}
    named = {name for name, _ in pins}
    for requirement in held:
        name = canonicalize_name(requirement.name)
        assert (name, version(requirement)) in pins or name not in named, f"{lock} lacks {requirement}"
    lines = [line for line in (LOCKS / lock).read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", line), line
        assert "/" not in line


@pytest.mark.parametrize(
    ("listing", "environment", "expected"),
    [
        ("", {}, {}),
        ("global.find-links='/a /b'\nglobal.timeout='60'\n", {}, {"UV_FIND_LINKS": "/a,/b"}),
        ("global.find-links='/a\\n/b'\n:env:.find-links='/c'\n", {}, {"UV_FIND_LINKS": "/c"}),
        (":env:.find-links='/c'\nglobal.find-links='/a'\n", {}, {"UV_FIND_LINKS": "/c"}),
        ("install.find-links='/d'\nglobal.find-links='/a'\n", {}, {"UV_FIND_LINKS": "/d"}),
        ("download.find-links='/d'\n", {}, {}),
        ("global.find-links='/a'\n", {"UV_FIND_LINKS": "/mine"}, {"UV_FIND_LINKS": "/mine"}),
        ("global.index-url='file:///simple'\n", {"PATH": "/bin"}, {"UV_DEFAULT_INDEX": "file:///simple", "PATH": "/bin"}),
        (
            "global.extra-index-url='file:///one file:///two'\n",
            {},
            {"UV_INDEX": "file:///one file:///two", "UV_INDEX_STRATEGY": "unsafe-best-match"},
        ),
        ("global.cert='/ca.crt'\n", {}, {"SSL_CERT_FILE": "/ca.crt"}),
    ],
)
def test_uv_looks_for_packages_where_pip_does(listing, environment, expected):
    assert install.uv_environment(listing, environment) == expected


def test_the_locked_uv_is_the_one_that_is_fetched():
    assert install.locked_uv() in (LOCKS / "main.txt").read_text().splitlines()
