"""No test asserts how long something takes: that depends on what else the machine does."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
CLOCKS = {"monotonic", "perf_counter", "process_time", "monotonic_ns", "perf_counter_ns"}


def test_no_test_compares_a_clock_in_an_assertion():
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assert):
                named = {part.attr for part in ast.walk(node.test) if isinstance(part, ast.Attribute)}
                if named & CLOCKS:
                    found.append(f"{path.relative_to(TESTS)}:{node.lineno}")
    assert not found
