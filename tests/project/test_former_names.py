"""No class, function or file has a name that was given up for a plainer one."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("actmax", "charts", "wire", "models", "optimizers", "engine", "server", "client", "benchmarks")
CLASSES = {
    *("Steward", "PluginDoor", "Shelf", "Live", "InMemory", "Asking", "Standby", "Order", "Ticket", "KeptSession", "CheckedJob"),
    *("Told", "Finals", "Diverse", "Exchange", "Conversation", "Patience", "Pauses", "Door"),
}
FUNCTIONS = {"doubts", "undisturbed", "rescued", "overhear", "calling"}
FILES = {
    "earlier.py",
    "apart.py",
    "taken.py",
    "plain.py",
    "steward.py",
    "door.py",
    "shelf.py",
    "live.py",
    "inmemory.py",
    "standby.py",
    "pace.py",
}


def test_no_former_name_is_left():
    found = []
    for room in CODE:
        for path in sorted((ROOT / room).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            if path.name in FILES:
                found.append(where)
            if path.stem.endswith(("_pb2", "_pb2_grpc")) or path.name == "spec.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                former = CLASSES if isinstance(node, ast.ClassDef) else FUNCTIONS
                if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in former:
                    found.append(f"{where}: {node.name}")
    assert found == []
