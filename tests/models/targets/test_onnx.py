import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.options import InvalidOption
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.targets.onnx import OnnxTarget
from actmax.models.targets.testing import check_target
from actmax.models.zoo.architectures.cnn import ResidualCNN
from actmax.models.zoo.architectures.series import SeriesCNN
from actmax.models.zoo.architectures.vit import SmallViT
from jobs import job

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

NETWORKS = {
    "CNN": (lambda: ResidualCNN((4, 8)), (3, 32, 32), "torch"),
    "ViT": (lambda: SmallViT(16, 1, 2), (3, 32, 32), "torch"),
    "older exporter": (lambda: ResidualCNN((4, 8)), (3, 32, 32), "script"),
    "series": (SeriesCNN, (1, 128), "torch"),
    "fixed batch": (SeriesCNN, (1, 128), "fixed"),
    "double": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 9), nn.ReLU(), nn.Linear(9, 3)).double(), (1, 128), "torch"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Networks with their files, by name."""
    made = {}

    def export(name):
        if name not in made:
            make, shape, how = NETWORKS[name]
            with torch.random.fork_rng():
                torch.manual_seed(0)
                network = make().eval()
                for key, buffer in network.named_buffers():  # as if it had been trained
                    if "running" in key:
                        nn.init.uniform_(buffer, 0.5, 2)
            path = tmp_path_factory.mktemp("onnx") / f"{name}.onnx"
            example = torch.rand(2 if how != "fixed" else 3, *shape, dtype=next(network.parameters()).dtype)
            if how == "script":
                torch.onnx.export(
                    network,
                    (example,),
                    str(path),
                    dynamo=False,
                    input_names=["image"],
                    output_names=["logits"],
                    dynamic_axes={"image": {0: "n"}, "logits": {0: "n"}},
                )
            else:
                dynamic = ({0: torch.export.Dim("n", min=1)},) if how == "torch" else None
                torch.onnx.export(network, (example,), str(path), dynamo=True, dynamic_shapes=dynamic, external_data=False, verbose=False)
            made[name] = network, path, StimulusSpec(shape, -1.0, 1.0, "series") if len(shape) == 2 else StimulusSpec(shape)
        return made[name]

    return export


def made(path, **options):
    return OnnxTarget.from_options(OnnxTarget.Options(file=str(path), **options))


def output_of(target):
    return target.layers()[-1].name


@pytest.mark.parametrize("name", NETWORKS)
def test_it_answers_as_the_network_that_it_was_exported_from(exported, name):
    network, path, spec = exported(name)
    before = path.read_bytes()
    target = made(path, low=spec.low, high=spec.high)
    assert target.stimulus == spec
    check_target(target)
    stimuli = torch.rand(7, *spec.shape) * (spec.high - spec.low) + spec.low
    layer = output_of(target)
    reference = ModuleTarget(network, spec)
    expected = reference.respond(stimuli, {"output"})["output"].float()
    assert torch.allclose(target.respond(stimuli, {layer})[layer], expected, atol=1e-4)

    # in between, too: whatever a rectifier or a block of the network answers is one of the file's tensors
    inner = [each.name for each in reference.layers() if each.kind in ("ReLU", "BasicBlock", "Block")]
    assert inner
    wanted = reference.respond(stimuli, inner)
    names = [each.name for each in target.layers()]
    found = target.respond(stimuli, names)
    for each in inner:
        near = [
            one for one in names if found[one].shape == wanted[each].shape and torch.allclose(found[one], wanted[each].float(), atol=1e-3)
        ]
        assert near, f"{each} is nowhere in the file"
        assert torch.allclose(target.respond(stimuli, near[:1])[near[0]], wanted[each].float(), atol=1e-3)
    assert path.read_bytes() == before


def test_only_what_a_layer_needs_is_computed(exported):
    _, path, _ = exported("CNN")
    target = made(path)
    first = target.layers()[0].name
    target.respond(torch.rand(1, 3, 32, 32), {first})
    (session,) = target._sessions.values()
    assert [output.name for output in session.get_outputs()] == [first]


def test_a_search_on_a_file_is_the_search_on_its_network(exported):
    network, path, spec = exported("series")

    class Latents(nn.Module):
        def forward(self, x):
            return torch.tanh(nn.functional.interpolate(x.view(-1, 1, 16), size=128, mode="linear"))

    def found(target, unit, **options):
        generator = DecoderGenerator(Latents(), Box((16,), -2, 2), spec)
        return maximize(generator, target, unit, target_options=options, optimizer="cma", evaluations=120, prior="none", seed=3).searches[0]

    layer = output_of(made(path))
    here = found("onnx", f"{layer}[2]", file=str(path), low=-1, high=1, names=[f"class {number}" for number in range(6)])
    there = found(ModuleTarget(network, spec), "output[2]")
    assert np.allclose(here.scores, there.scores, atol=1e-4)
    assert here.unit_name == "class 2"
    with pytest.raises(InvalidJob, match="gives none"):
        maximize(
            DecoderGenerator(Latents(), Box((16,), -2, 2), spec),
            "onnx",
            f"{layer}[2]",
            target_options={"file": str(path), "low": -1},
            optimizer="adam",
            prior="none",
            evaluations=9,
        )


def graph(inputs, nodes, outputs, weights=()):
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 17)], ir_version=10
    )


def takes(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


RELU = helper.make_node("Relu", ["x"], ["a b"])
NEGATED = helper.make_node("Neg", ["a b"], ["y"])


def test_open_dimensions_need_a_shape(tmp_path):
    path = tmp_path / "open.onnx"
    onnx.save(graph([takes("x", ["n", 2, "h", 4])], [RELU, NEGATED], [takes("y", ["n", 2, "h", 4])]), path)
    target = made(path, shape=[2, 3, 4], mean=[0.5, 0.25], std=[1.0, 2.0])
    assert [layer.name for layer in target.layers()] == ["y"]  # an address can't hold "a b"
    stimuli = torch.rand(3, 2, 3, 4)
    expected = -((stimuli - torch.tensor([0.5, 0.25]).view(2, 1, 1)) / torch.tensor([1.0, 2.0]).view(2, 1, 1)).relu()
    assert torch.allclose(target.respond(stimuli, {"y"})["y"], expected)
    for shape in (None, [2, 3, 5], [1, 3, 4], [2, 12]):
        with pytest.raises(InvalidOption, match=r"\? × 4"):
            made(path, shape=shape)


def test_threads_are_bounded(exported):
    _, path, _ = exported("series")
    target = made(path, threads=1)
    session = target._session([output_of(target)])
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_session_options().inter_op_num_threads == 1
    before = torch.get_num_threads()
    assert made(path)._session([output_of(target)]).get_session_options().intra_op_num_threads == before


def bad_files(folder):
    good = graph([takes("x", ["n", 2, 4])], [RELU, NEGATED], [takes("y", ["n", 2, 4])])
    data = good.SerializeToString()
    unknown = helper.make_node("Dream", ["x"], ["y"], domain="nobody.knows")
    foreign = graph([takes("x", ["n", 2, 4])], [unknown], [takes("y", ["n", 2, 4])])
    foreign.opset_import.append(helper.make_opsetid("nobody.knows", 1))
    outside = graph(
        [takes("x", ["n", 2, 4])],
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [takes("y", ["n", 2, 4])],
        [numpy_helper.from_array(np.zeros((2, 4), np.float32), "w")],
    )
    outside.graph.initializer[0].ClearField("raw_data")
    outside.graph.initializer[0].data_location = TensorProto.EXTERNAL
    outside.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")
    whole = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    cases = {
        "empty": (b"", "file", "no ONNX model"),
        "cut": (data[: len(data) // 2], "file", "no ONNX model"),
        "noise": (bytes(range(256)) * 3, "file", "no ONNX model"),
        "pickled": (b"\x80\x04\x95", "file", "no ONNX model"),
        "unknown operator": (foreign.SerializeToString(), "file", "nobody.knows|Dream"),
        "weights outside": (outside.SerializeToString(), "file", "in another file"),
        "no rows": (graph([takes("x", ["n", 2, 4])], [whole], [takes("y", [])]).SerializeToString(), "file", "no float tensor"),
        "integers": (
            graph(
                [takes("x", ["n", 2, 4], TensorProto.INT64)], [RELU, NEGATED], [takes("y", ["n", 2, 4], TensorProto.INT64)]
            ).SerializeToString(),
            "input",
            "takes int64|type",
        ),
        "two inputs": (
            graph(
                [takes("x", ["n", 2, 4]), takes("z", ["n", 2, 4])],
                [helper.make_node("Add", ["x", "z"], ["y"])],
                [takes("y", ["n", 2, "h", 4])],
            ).SerializeToString(),
            "input",
            "inputs are x, z",
        ),
        "four dimensions": (
            graph([takes("x", ["n", 2, 4, 1, 1])], [RELU, NEGATED], [takes("y", ["n", 2, 4, 1, 1])]).SerializeToString(),
            "shape",
            "channels, height, width",
        ),
    }
    return cases


@pytest.mark.parametrize("name", sorted(bad_files(None)))
def test_a_bad_file_is_refused_by_option(tmp_path, name):
    data, option, says = bad_files(tmp_path)[name]
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidOption, match=says) as caught:
        made(path)
    assert caught.value.option in (option, "file")


def test_a_file_that_is_not_there_or_not_allowed(tmp_path, exported):
    with pytest.raises(InvalidOption, match="there is no file"):
        made(tmp_path / "none.onnx")
    _, path, _ = exported("CNN")
    target = {"name": "onnx", "options": {"file": str(path)}}

    def violations(allow_files):
        with pytest.raises(InvalidJob) as caught:
            check(job(target=target), allow_files=allow_files, allow_imports=("toy_lab",))
        return {violation.field for violation in caught.value.violations}

    assert "target.options.file" in violations(False)
    assert "target.options.file" in violations((str(tmp_path),))
    assert "target.options.file" not in violations(True)
    assert "target.options.file" not in violations((str(path.parent),))
    link = tmp_path / "link.onnx"
    link.symlink_to(path)
    target["options"]["file"] = str(link)
    assert "target.options.file" in violations((str(tmp_path),)), "a link leads out of the folder"


def test_without_onnx_runtime_it_says_what_to_install(monkeypatch, exported):
    _, path, _ = exported("CNN")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InvalidOption, match=r"pip install 'actmax\[onnx\]'"):
        made(path)
