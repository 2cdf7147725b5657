"""What the owner of a server allows beside packages: folders of models, and addresses of servers."""

from onnx import TensorProto, helper, save

from actmax.engine.errors import InvalidJob
from actmax.models.permissions import Permissions
from actmax.server.execution.engine import ActmaxEngine


def described(target, allowed):
    return [layer["name"] for layer in ActmaxEngine().describe(target, Permissions.of(allowed))["layers"]]


def refused(target, allowed) -> dict[str, str]:
    try:
        described(target, allowed)
    except InvalidJob as error:
        return {violation.field: violation.description for violation in error.violations}
    return {}


def test_a_model_is_read_only_from_an_allowed_folder(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, 4]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 17)], ir_version=10
    )
    inside, outside = tmp_path / "models", tmp_path / "elsewhere"
    for folder in (inside, outside):
        folder.mkdir()
        save(model, folder / "a.onnx")

    def target(path):
        return {"name": "onnx", "options": {"file": str(path)}}

    assert described(target(inside / "a.onnx"), ("mylab", str(inside))) == ["y"]
    for path, allowed in (
        (inside / "a.onnx", ("mylab",)),
        (outside / "a.onnx", (str(inside),)),
        (inside / ".." / "elsewhere" / "a.onnx", (str(inside),)),
        (inside / "a.onnx", (f"grpc://host:1{inside}",)),
    ):
        assert "--allow-import" in refused(target(path), allowed)["target.options.file"]


def test_a_server_is_asked_only_where_its_address_is_allowed():
    target = {"name": "oip", "options": {"url": "grpc://127.0.0.1:9", "model": "net", "retries": 0}}
    assert "--allow-import" in refused(target, ("mylab", "/models"))["target.options.url"]
    assert "UNAVAILABLE" in refused(target, ("grpc://127.0.0.1:9",))["target.options.url"]
