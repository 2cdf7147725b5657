"""Rooms and sizes: what lies in one folder imports in no circle, and nothing is too long to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("actmax", "charts", "wire", "models", "optimizers", "engine", "server", "client")
ROOMS = (".", *sorted({path.parent.relative_to(ROOT).as_posix() for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}))
LONGEST_FILE, LONGEST_FUNCTION = 400, 60


def files() -> list[Path]:
    found = (path for folder in FLOORS for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "_pb2" not in path.name and "__pycache__" not in path.parts)


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


@cache
def modules() -> frozenset[tuple[str, ...]]:
    return frozenset(map(module_of, files()))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, ...]]:
    """The project's modules that a statement imports."""
    if isinstance(node, ast.Import):
        names = [tuple(alias.name.split(".")) for alias in node.names]
    else:
        here = module_of(path) if path.name == "__init__.py" else module_of(path)[:-1]
        base = here[: len(here) - node.level + 1] if node.level else ()
        base += tuple(node.module.split(".")) if node.module else ()
        names = [(*base, alias.name) for alias in node.names]
    for name in names:
        name = name[1:] if name[:1] == ("actmax",) else name
        if any(part.endswith(("_pb2", "_pb2_grpc")) for part in name):
            continue
        while name and name not in modules():
            name = name[:-1]
        if name:
            yield name


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Every module that a file imports, within functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(path, node)


def file_of(name: tuple[str, ...]) -> Path:
    folder = ROOT.joinpath(*name)
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def sibling_in(room: Path, path: Path) -> str:
    """The file or folder directly within ``room`` that ``path`` is or lies in; empty for one outside and for its own ``__init__``."""
    if not path.is_relative_to(room) or path == room / "__init__.py":
        return ""
    return path.relative_to(room).with_suffix("").parts[0]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other."""
    graph = {**{other: set() for near in graph.values() for other in near}, **graph}
    reach = {node: {node} for node in graph}
    changed = True
    while changed:
        changed = False
        for node, near in graph.items():
            wider = reach[node].union(*(reach[other] for other in near))
            changed |= len(wider) > len(reach[node])
            reach[node] = wider
    groups = {frozenset(other for other in reach[node] if node in reach[other]) for node in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def test_circles_are_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


@pytest.mark.parametrize("room", ROOMS)
def test_what_lies_in_one_room_imports_in_no_circle(room: str) -> None:
    """Of the files and folders within one folder, none reaches itself through others; a folder imports what any file in it does."""
    inside = ROOT / room
    graph: dict[str, set[str]] = {}
    for path in files():
        here = sibling_in(inside, path)
        if here:
            others = {sibling_in(inside, file_of(name)) for name in imports(path)} - {here, ""}
            graph.setdefault(here, set()).update(others)
    assert circles(graph) == []


def test_no_file_is_too_long() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": lines_of_body(node)
        for path in files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in long.items() if length > LONGEST_FUNCTION} == {}


def lines_of_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines behind the signature and the docstring: options of a command are many, and each is documented."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    begins = (first.end_lineno or first.lineno) + 1 if documented else first.lineno
    return (node.end_lineno or node.lineno) - begins + 1
