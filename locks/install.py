"""Install actmax with some of its extras into a virtual environment, by uv, or by pip where uv can't be had.

    python3 locks/install.py ENVIRONMENT EXTRA[,EXTRA…] CONSTRAINTS [option of uv pip install …]

uv reads neither pip's configuration nor its environment variables: ``uv_environment`` hands on what they say of where packages lie.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = Path(__file__).with_name("main.txt")
HANDED_ON = {
    "find-links": ("UV_FIND_LINKS", ","),
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "cert": ("SSL_CERT_FILE", " "),
}
"""The environment variable of uv for each setting of pip, and the separator of several values in it."""


def uv_environment(listing: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which uv finds packages where pip finds them.

    Parameters
    ----------
    listing : str
        Output of ``pip config list``: one ``section.name='value'`` per line. Later sections override earlier ones, environment
        variables override all of them.
    environment : mapping of str to str
        The environment to start from. Variables of uv that are set in it are kept.

    Returns
    -------
    dict
        ``environment`` with the variables of ``HANDED_ON`` added.
    """
    settings: dict[str, str] = {}
    strength: dict[str, int] = {}
    order = ["global", "install", ":env:"]
    for section, name, value in re.findall(r"^([^\s.=]+)\.([a-z-]+)=(.*)$", listing, re.MULTILINE):
        if name in HANDED_ON and section in order and order.index(section) >= strength.get(name, 0):
            settings[name], strength[name] = ast.literal_eval(value), order.index(section)
    handed = {variable: separator.join(settings[name].split()) for name, (variable, separator) in HANDED_ON.items() if name in settings}
    if "UV_INDEX" in handed:
        # pip looks for the best version on every index, uv on the first index with the package
        handed["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {**handed, **environment}


def locked_uv() -> str:
    """Return the requirement of the locked uv, such as ``uv==0.13.9``."""
    found = re.search(r"^uv==[\w.]+", LOCK.read_text(), re.MULTILINE)
    return found[0] if found else "uv"


def find_uv(python: Path) -> str | None:
    """Return the command of uv, installed by pip beside ``python`` if it is missing; None if it can't be installed."""
    command = shutil.which("uv") or shutil.which("uv", path=str(python.parent))
    if command is None:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", locked_uv()], check=False)
        command = shutil.which("uv", path=str(python.parent))
    return command


def make_environment(folder: Path, environment: Mapping[str, str]) -> Path:
    """Create the virtual environment ``folder`` with pip if it is missing, and return its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        uv = shutil.which("uv")
        by_uv = [uv, "venv", "--quiet", "--clear", "--seed", "--python", sys.executable, folder]
        # uv creates the environment in half a second, venv in six
        if uv is None or subprocess.run(by_uv, env=environment, check=False).returncode:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return python.absolute()


def read_uv_environment() -> dict[str, str]:
    """Return this process's environment, with pip's settings of package locations converted for uv."""
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    return uv_environment(listing, os.environ)


def install(folder: Path, extras: str, constraints: Path, options: list[str]) -> None:
    """Install actmax, editable, with ``extras`` into ``folder``, with the versions in ``constraints``.

    Parameters
    ----------
    folder : Path
        The virtual environment; created if missing.
    extras : str
        Names of extras, separated by commas.
    constraints : Path
        A file of version constraints.
    options : list of str
        Options of ``uv pip install``; with options and without uv, the process exits with a message.
    """
    environment = read_uv_environment()
    python = make_environment(folder, environment)
    uv = find_uv(python)
    what = ["--quiet", "--constraint", str(constraints), "--editable", f"{ROOT}[{extras}]"]
    if uv:
        command = [uv, "pip", "install", "--python", python]
        if "--resolution" in options:
            # first, since the lowest resolution would choose another build of the same version
            subprocess.run([*command, "--quiet", "--no-deps", "--requirement", constraints], check=True, env=environment)
        subprocess.run([*command, *what, *options], check=True, env=environment)
    elif options:
        sys.exit(f"{' '.join(options)} needs uv, which pip could not install: install uv, then run this again")
    else:
        subprocess.run([python, "-m", "pip", "install", "--disable-pip-version-check", *what], check=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    install(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
