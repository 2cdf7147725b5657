"""Imports point down: protos, wire and charts lie below all, and models and optimizers don't know each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "charts": {"charts"},
    "wire": {"wire", "v1"},
    "models": {"models", "wire", "v1"},
    "optimizers": {"optimizers", "wire", "models.spaces", "models.densities", "models.options"},
    "engine": {"engine", "models", "optimizers", "wire", "charts", "v1"},
    "server": {"server", "engine", "models", "optimizers", "wire", "v1"},
    "client": {"client", "wire", "v1", "charts"},
}
LAZY = {"client": {"engine", "server", "models.permissions", "models.pictures"}}
"""May be imported inside a function, by the commands that need them. Pictures are read with Pillow and NumPy alone."""


def imports(path: Path):
    """(module, whether at the top level) of every import of the project in ``path``, as a name below ``actmax``."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                names = [node.module] if node.module else [alias.name for alias in node.names]
                yield from ((".".join([*base, name]), id(node) in top) for name in names)
            elif node.module and node.module.split(".")[0] == "actmax":
                inner = node.module.split(".")[1:]
                yield from ((".".join(inner or [alias.name]), id(node) in top) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name.removeprefix("actmax."), id(node) in top) for alias in node.names if alias.name.startswith("actmax."))


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_point_down(room):
    seen = 0
    for path in (ROOT / room).rglob("*.py"):
        for module, top in imports(path):
            seen += 1
            within = any(module == allowed or module.startswith(allowed + ".") for allowed in ALLOWED[room])
            lazy = not top and any(module == allowed or module.startswith(allowed + ".") for allowed in LAZY.get(room, set()))
            assert within or lazy, f"{path.relative_to(ROOT)} imports {module}"
    assert seen, f"no import found below {room}"
