"""A trained ImageNet network from a package: its layers, its classes, a search at 224 px."""

import numpy as np
import pytest
import torch

from actmax.engine.components.adapt import adapt
from actmax.engine.maximize import maximize
from actmax.models.objectives.expressions import Unit

OPTIONS = {"shape": [3, 224, 224], "mean": [127 / 255], "std": [128 / 255]}
DAISY = 985


@pytest.fixture(scope="module")
def target(efficientnet):
    return adapt("target", efficientnet, OPTIONS, "target")


def bare(network, stimuli):
    return network((stimuli * 255 - 127) / 128)


def test_every_module_that_answers_is_a_layer(efficientnet, target, photographs):
    answers, handles = {}, []
    for name, part in efficientnet.named_modules():
        handles.append(
            part.register_forward_hook(lambda _p, _i, out, name=name: answers.__setitem__(name or "output", tuple(out.shape[1:])))
        )
    with torch.no_grad():
        bare(efficientnet, photographs["flower.jpg"][0])
    for handle in handles:
        handle.remove()
    listed = {layer.name: layer.shape for layer in target.layers()}
    assert listed.keys() <= answers.keys()
    assert {name: answers[name] for name in listed} == listed
    weighted = {name for name, part in efficientnet.named_modules() if name and next(part.parameters(recurse=False), None) is not None}
    assert weighted <= listed.keys()
    assert listed["_conv_stem"] == (32, 112, 112)
    assert listed["output"] == (1000,)
    padding = {name for name, part in efficientnet.named_modules() if type(part).__name__ in ("ZeroPad2d", "Identity")}
    assert answers.keys() - listed.keys() <= padding  # helpers of other layers may be left out


def test_photographs_drive_the_classes_that_they_show(efficientnet, target, photographs):
    for stimuli, classes in photographs.values():
        with torch.no_grad():
            answered = target.respond(stimuli, {"output"})["output"]
            assert torch.allclose(answered, bare(efficientnet, stimuli), atol=1e-4)
        assert int(answered.argmax()) in classes


def test_a_small_search_at_224_pixels_raises_its_class_and_changes_nothing(efficientnet):
    before = {name: tensor.clone() for name, tensor in efficientnet.state_dict().items()}
    seen = []
    result = maximize(
        "fourier",
        efficientnet,
        f"output[{DAISY}]",
        target_options=OPTIONS,
        optimizer="adam",
        optimizer_options={"batch": 2, "screen": 0},
        evaluations=12,
        on_progress=seen.append,
    )
    found = result.searches[0]
    with torch.no_grad():
        checked = float(bare(efficientnet, torch.from_numpy(found.stimulus)[None])[0, DAISY])
    assert found.response == pytest.approx(checked, abs=1e-3)
    assert found.response > np.nanmax(found.scores[:2]) + 1
    assert next(progress.evaluations for progress in seen) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in efficientnet.state_dict().items())
    assert not any(part.training or part._forward_hooks for part in efficientnet.modules())


@pytest.mark.nightly
def test_a_longer_search_makes_its_class_certain(efficientnet, tmp_path):
    result = maximize(
        "fourier",
        efficientnet,
        objective=Unit(f"output[{DAISY}]"),
        target_options=OPTIONS,
        transformations="lucid",
        evaluations=128,
        folder=tmp_path,
    )
    with torch.no_grad():
        odds = bare(efficientnet, torch.from_numpy(result.searches[0].stimulus)[None]).softmax(1)[0]
    assert int(odds.argmax()) == DAISY
    assert float(odds[DAISY]) > 0.9
    assert (tmp_path / "artifacts/report.html").is_file()


@pytest.mark.nightly
@pytest.mark.parametrize("unit", ["_conv_stem[3]", "_blocks.7._project_conv[5]", "_conv_head[100]"])
def test_units_of_early_middle_and_late_layers_rise_without_gradients_too(efficientnet, unit):
    result = maximize("fourier", efficientnet, unit, target_options=OPTIONS, optimizer="sphere-cma", evaluations=60, prior="none")
    scores = result.searches[0].scores
    assert result.searches[0].response > np.median(scores[:10])
