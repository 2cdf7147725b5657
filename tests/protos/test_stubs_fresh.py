import importlib
import sys
from pathlib import Path

import pytest
from grpc_tools import protoc

PROTOS = Path(__file__).parents[2] / "protos"
FILES = sorted((PROTOS / "actmax" / "v1").glob("*.proto"))


def test_the_committed_stubs_are_what_the_protos_make(tmp_path):
    assert len(FILES) == 7
    # As in `make protos`; the tools bring the protos of google.protobuf with them.
    own = Path(sys.modules["grpc_tools"].__file__ or "").parent / "_proto"
    where = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    assert protoc.main(["protoc", f"-I{PROTOS}", f"-I{own}", *where, *map(str, FILES)]) == 0
    options = PROTOS / "buf" / "validate" / "validate.proto"
    assert protoc.main(["protoc", f"-I{PROTOS}", f"-I{own}", *where[:2], str(options)]) == 0
    made = {file.relative_to(tmp_path): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    committed = {file.relative_to(PROTOS): file.read_bytes() for file in PROTOS.rglob("*_pb2*") if file.suffix in {".py", ".pyi"}}
    assert sorted(made) == sorted(committed)
    stale = [str(path) for path in made if made[path] != committed[path]]
    if stale:
        pytest.fail(f"stale, run make protos: {', '.join(stale)}")


def test_the_committed_specs_are_what_the_protos_make():
    sys.path.insert(0, str(PROTOS.parent))
    made = importlib.import_module("protos.make_specs").sources()
    stale = [path for path, text in made.items() if (PROTOS.parent / path).read_text() != text]
    assert stale == [], "run make protos"
