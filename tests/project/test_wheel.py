"""The built wheel holds what the tree holds, and stays small."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "actmax": "",
    "charts": "charts",
    "wire": "wire",
    "models": "models",
    "optimizers": "optimizers",
    "engine": "engine",
    "server": "server",
    "client": "client",
    "protos/actmax/v1": "v1",
}
SHIPPED = {".py", ".pyi", ".proto", ".safetensors", ".json", ".png", ".html", ".j2", ".css", ".yaml", ".ttf", ".txt"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the tracked and untracked files, so that building leaves nothing in the tree."""
    copy = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)], check=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_tree(wheel):
    expected = {
        (Path("actmax") / name / path.relative_to(ROOT / folder)).as_posix()
        for folder, name in ROOMS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in SHIPPED and "__pycache__" not in path.parts
    }
    buf = ROOT / "protos" / "buf"
    expected |= {f"buf/{path.relative_to(buf).as_posix()}" for path in buf.rglob("*") if path.is_file() and path.suffix in SHIPPED}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {*expected, "actmax/py.typed"}


def test_the_wheel_stays_under_40_megabytes_and_the_weights_under_25(wheel):
    assert wheel.stat().st_size < 40 * 2**20
    weights = sum(path.stat().st_size for path in (ROOT / "models/zoo/weights").glob("*.safetensors"))
    assert 0 < weights < 25 * 2**20


def test_a_users_script_is_type_checked_against_the_wheel(wheel, tmp_path):
    """What a script gets from ``import actmax`` has types, also where the checker is strict."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    (tmp_path / "script.py").write_text(SCRIPT)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(tmp_path / "installed")], "include": ["script.py"]}
    settings |= {"venvPath": str(Path(sys.prefix).parent), "venv": Path(sys.prefix).name}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run([Path(sys.executable).with_name("basedpyright"), "--outputjson"], cwd=tmp_path, capture_output=True, text=True)
    told = [f"{found['range']['start']['line']}: {found['message']}" for found in json.loads(done.stdout)["generalDiagnostics"]]
    assert [line.partition(":")[0] for line in told] == [str(WRONG_LINE)], told


SCRIPT = """\
import actmax

result: actmax.Result = actmax.maximize("pixel", "cifar10-cnn", ["fc[3]"], evaluations=10)
best: float = result.best("fc[3]").response
with actmax.Client("127.0.0.1:50051") as client:
    name: str = client.create({"generator": "pixel"}).name
unit: str = actmax.Unit("fc", (3,)).layer
wrong: int = actmax.__version__
"""
WRONG_LINE = 7
