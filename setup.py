"""Computes the package list: every top-level folder below is a subpackage of ``actmax``, whose own folder is the front door."""

from pathlib import Path

from setuptools import setup

ROOTS = {
    "actmax": "actmax",
    "actmax.v1": "protos/actmax/v1",
    "buf.validate": "protos/buf/validate",  # what the stubs of constraints import; `buf` itself stays open for others
    "actmax.charts": "charts",
    "actmax.wire": "wire",
    "actmax.models": "models",
    "actmax.optimizers": "optimizers",
    "actmax.engine": "engine",
    "actmax.server": "server",
    "actmax.client": "client",
}


def packages() -> dict[str, str]:
    """Map every package's import name to its folder, relative to this file."""
    here = Path(__file__).parent
    found: dict[str, str] = {}
    for name, folder in ROOTS.items():
        for init in sorted((here / folder).rglob("__init__.py")):
            inner = init.parent.relative_to(here / folder).parts
            found[".".join((name, *inner))] = init.parent.relative_to(here).as_posix()
    return found


if __name__ == "__main__":
    mapping = packages()
    setup(packages=list(mapping), package_dir=mapping)
