"""Generators that take their shape from the target, in jobs."""

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.run import execute, run_job, searches_of
from actmax.engine.spec import JobSpec
from actmax.models.generators.fourier import FourierGenerator
from actmax.models.generators.maco import MacoGenerator
from actmax.models.permissions import Permissions
from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.server.execution.engine import ActmaxEngine
from jobs import ALLOWED, PERMITTED, job
from toy_lab import seeded


def network(*shape: int) -> nn.Module:
    size = math.prod(shape)
    return seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, 3)))


def target(*shape: int, low=0.0, high=1.0) -> ModuleTarget:
    return ModuleTarget(network(*shape), StimulusSpec(shape, low, high, "image" if len(shape) == 3 else "series"))


def picture(width=6, height=6, mode="RGB") -> str:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def refused(**changes) -> dict[str, str]:
    with pytest.raises(InvalidJob) as caught:
        check(job(**changes), allow_imports=ALLOWED)
    return {violation.field: violation.description for violation in caught.value.violations}


@pytest.mark.parametrize("shape", [(1, 5, 9), (3, 7, 4), (2, 6, 6)])
@pytest.mark.parametrize("name", ["pixel", "fourier", "maco", "laplacian", "cppn"])
def test_one_channel_and_unequal_sides(name, shape):
    result = maximize(name, target(*shape), "3[1]", optimizer="adam", evaluations=40, seed=1)
    found = result.searches[0]
    assert found.stimulus.shape == shape
    assert found.response > found.scores[0]
    assert found.importance is not None
    assert found.importance.shape == shape[1:]


@pytest.mark.parametrize("name", ["pixel", "laplacian", "series"])
def test_series(name):
    result = maximize(name, target(2, 30, low=-3, high=3), "3[1]", optimizer="adam", evaluations=40, seed=1)
    found = result.searches[0]
    assert found.stimulus.shape == (2, 30)
    assert found.response > found.scores[0]


@pytest.mark.parametrize(
    ("optimizer", "norm"), [("cma", "linf"), ("cma", "l1"), ("sphere-cma", "linf"), ("sphere-cma", "l2"), ("patch-evolution", "linf")]
)
def test_searches_without_gradients_attack_by_tiles(optimizer, norm):
    options = {"image": picture(), "norm": norm, "epsilon": 0.1, "size": 3}
    result = maximize("perturbation", target(3, 6, 6), "3[1]", generator_options=options, optimizer=optimizer, evaluations=150, seed=1)
    found = result.searches[0]
    # better than the median of what it tried at first
    assert found.response > np.median(found.scores[:20])
    start = maximize("perturbation", target(3, 6, 6), "3[1]", generator_options={**options, "epsilon": 1e-6}, evaluations=1).searches[0]
    apart = (found.stimulus - start.stimulus).ravel()
    assert np.linalg.norm(apart, {"linf": np.inf, "l2": 2, "l1": 1}[norm]) <= 0.1 + 1e-5
    assert found.response > start.response


def test_a_class_or_an_object_at_hand_is_taken_as_such():
    mine = FourierGenerator(StimulusSpec((1, 5, 9)), FourierGenerator.Options(decay=0.25))
    for generator, options in ((FourierGenerator, {"decay": 0.25}), (mine, None)):
        found = maximize(generator, target(1, 5, 9), "3[1]", generator_options=options, optimizer="adam", evaluations=5).searches[0]
        assert np.allclose(mine(torch.from_numpy(found.latent)[None])[0].numpy(), found.stimulus)


def test_a_constrained_one_keeps_its_step_and_its_constraint():
    found = maximize("fourier", target(3, 8, 8), "3[1]", optimizer="adam", evaluations=30, luminance=0.4, contrast=0.2).searches[0]
    assert found.stimulus.mean() == pytest.approx(0.4, abs=1e-3)
    assert found.stimulus.std() == pytest.approx(0.2, abs=1e-3)


def test_a_wrong_target_gives_its_own_violations_alone():
    assert set(refused(generator={"name": "fourier"}, target={"name": "cifar10-cn"})) == {"target.name"}
    found = refused(generator={"name": "fourier", "options": {"decay": -1}}, target={"name": "cifar10-cn"})
    assert set(found) == {"target.name", "generator.options.decay"}


def test_what_cannot_make_the_targets_stimuli_says_so():
    with pytest.raises(InvalidJob, match="generator: maco makes images, the target takes a series 2 × 30"):
        maximize("maco", target(2, 30), "3[1]", evaluations=5)
    with pytest.raises(InvalidJob, match="generator: series makes series, the target takes an image 3 × 6 × 6"):
        maximize("series", target(3, 6, 6), "3[1]", evaluations=5)
    with pytest.raises(InvalidJob, match=r"generator.options.image: a picture is no series"):
        maximize("image", target(2, 30), "3[1]", generator_options={"image": picture()}, evaluations=5)


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({}, "image", ""),
        ({"image": picture(5, 6)}, "image", "5 × 6 pixels (width × height), the target takes 6 × 6"),
        ({"image": picture()[:-60]}, "image", "no whole PNG picture"),
        ({"image": picture(mode="RGBA").replace("iVB", "AAA", 1)}, "image", "no picture"),
        ({"image": "/etc/passwd"}, "image", "may not read files here"),
        ({"image": "cat.png"}, "image", "file:picture.png"),
        ({"image": picture(), "epsilon": 0}, "epsilon", "0"),
        ({"image": picture(), "epsilon": -0.1}, "epsilon", "0"),
        ({"image": picture(), "norm": "l3"}, "norm", "'linf', 'l2' or 'l1'"),
        ({"image": picture(), "size": 7}, "size", "at most as many"),
    ],
)
def test_a_perturbation_that_cannot_be_is_refused_before_work_starts(options, field, says):
    found = refused(generator={"name": "perturbation", "options": options})
    assert set(found) == {f"generator.options.{field}"}
    assert says in found[f"generator.options.{field}"]


def test_a_server_never_reads_the_paths_of_a_job(tmp_path):
    Image.new("RGB", (6, 6)).save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    for name, options in (("image", {"image": path}), ("perturbation", {"image": path}), ("maco", {"images": str(tmp_path)})):
        spec = job(generator={"name": name, "options": options}).model_dump()
        with pytest.raises(InvalidJob, match="may not read files here"):
            ActmaxEngine().check(spec, Permissions.of(ALLOWED))
        with pytest.raises(InvalidJob, match="may not read files here"):
            run_job(JobSpec.parse(spec), tmp_path / "work", permissions=PERMITTED)  # as its workers call it
        assert not (tmp_path / "work").exists()
    spec = job(generator={"name": "image", "options": {"image": picture()}}).model_dump()
    assert ActmaxEngine().check(spec, Permissions.of(ALLOWED)).searches == 2


def test_the_library_reads_paths_and_folders(tmp_path):
    Image.new("RGB", (6, 6), (255, 0, 0)).save(tmp_path / "a.png")
    checked = check(
        job(generator={"name": "image", "options": {"image": str(tmp_path / "a.png")}}), allow_imports=ALLOWED, allow_files=True
    )
    assert checked.generator(torch.zeros(1, *checked.generator.latent.shape))[0, :, 0, 0].tolist() == [1, 0, 0]
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    spec = job(generator={"name": "maco", "options": {"images": str(tmp_path)}}, optimizer={"name": "adam"})
    checked = check(spec, allow_imports=ALLOWED, allow_files=True)
    assert isinstance(checked.generator, MacoGenerator)
    magnitude = checked.generator.magnitude[:, 1:4, 1:3]
    assert float(magnitude.max() / magnitude.min()) < 2.5  # of noise, flat, and not CIFAR's
    assert len(execute(checked, searches_of(checked)).searches) == 2


@pytest.mark.parametrize("name", ["pixel", "fourier", "maco", "laplacian", "cppn"])
def test_a_stranger_to_the_job_builds_the_same(name):
    spec = JobSpec.parse({**job().model_dump(), "generator": {"name": name}, "optimizer": {"name": "adam"}, "budget": {"evaluations": 8}})
    runs = [execute(checked, searches_of(checked)) for checked in (check(spec, allow_imports=ALLOWED) for _ in range(2))]
    assert np.array_equal(runs[0].searches[1].scores, runs[1].searches[1].scores)
