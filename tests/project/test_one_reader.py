"""Pictures are opened in one place, so that every option reads every picture the same way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READER = "models/pictures/decoding.py"
OPENERS = {"imread", "read_image", "decode_image", "open_image", "ImageFolder", "pil_loader"}
LIBRARIES = {"cv2", "imageio", "skimage", "tifffile"}


def opened(path: Path):
    """What in a module's code opens pictures: calls of ``Image.open`` and the like, other libraries, Pillow's plugins."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if node.func.attr == "open" and isinstance(owner, ast.Name) and owner.id in ("Image", "PILImage"):
                yield "Image.open"
            elif node.func.attr in OPENERS:
                yield node.func.attr
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in LIBRARIES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in LIBRARIES:
                yield node.module
            if node.module == "PIL":
                yield from (alias.name for alias in node.names if alias.name.endswith("ImagePlugin"))


@pytest.mark.parametrize("room", ["models", "optimizers", "engine", "client", "server", "benchmarks"])
def test_no_module_but_the_reader_opens_pictures(room):
    found = {path.relative_to(ROOT).as_posix(): sorted(set(opened(path))) for path in (ROOT / room).rglob("*.py")}
    assert {name: how for name, how in found.items() if how and name != READER} == {}
    assert found
    assert room != "models" or found[READER]
