"""Write the lock files: ``peers.txt`` for the benchmarks' peers, ``mlserver.txt`` for the tests' MLServer, ``main.txt`` for all else.

Each holds for Linux, macOS and Windows, and every Python from 3.11 on: one version of a package, or several under conditions. Packages with
fixed versions are in ``torch.in``, ``peers.in`` and ``mlserver.in``.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from install import read_uv_environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HEADER = "# Made by `make lock`: don't edit. Installed with `--constraint`, so what no system here needs does no harm.\n"


def compile_lock(source: str, extras: list[str], fixed: list[str], lock: str) -> None:
    """Write a lock file with the newest versions of all requirements.

    Parameters
    ----------
    source : str
        File of requirements, relative to the repository's root.
    extras : list of str
        Extras to include.
    fixed : list of str
        Files in ``locks`` with version constraints.
    lock : str
        Name of the lock file in ``locks``.
    """
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    command = [uv, "pip", "compile", source, "--universal", "--python-version", "3.11", "--upgrade"]
    command += ["--no-config", "--no-header", "--no-annotate", "--quiet", "--output-file", f"locks/{lock}"]
    command += [part for extra in extras for part in ("--extra", extra)]
    command += [part for name in fixed for part in ("--constraint", f"locks/{name}")]
    # builds of torch are for some systems only: the lock names the plain version, which all builds satisfy
    environment = {name: value for name, value in read_uv_environment().items() if name != "UV_FIND_LINKS"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    written = HERE / lock
    written.write_text(HEADER + written.read_text())


def main() -> None:
    """Write the three lock files."""
    extras = list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    compile_lock("pyproject.toml", [extra for extra in extras if extra != "bench"], ["torch.in"], "main.txt")
    compile_lock("pyproject.toml", ["bench"], ["torch.in", "peers.in"], "peers.txt")
    compile_lock("locks/mlserver.in", [], [], "mlserver.txt")


if __name__ == "__main__":
    sys.exit(main())
