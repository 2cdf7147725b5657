"""The pictures of a folder that drive each unit the most."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import toy_lab
from actmax.client.jobs import jobfile
from actmax.engine.analyses.analysis import AnalysisContext
from actmax.engine.analyses.most_activating import MostActivating
from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.maximize import maximize
from actmax.engine.run import run_job
from actmax.engine.spec import JobSpec, ReportSpec
from actmax.models.image_source import folder_stimuli
from actmax.models.permissions import Permissions
from actmax.models.units import resolve
from actmax.server.messages.specs import plain
from jobs import ALLOWED, PERMITTED, job


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures"
    (root / "below").mkdir(parents=True)
    random = np.random.RandomState(0)
    for number in range(23):
        picture = Image.fromarray((random.rand(9 + number % 3, 8, 3) * 255).astype(np.uint8))
        picture.save(root / ("below" if number % 2 else ".") / f"{number:02}.png")
    Image.new("L", (6, 6), 99).save(root / "grey.jpg")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    (root / "notes.txt").write_text("no picture either")
    return root


@pytest.mark.parametrize(("batch", "top"), [(4, 5), (100, 3), (1, 50)])
def test_they_are_those_with_the_highest_responses(folder, batch, top):
    target = toy_lab.network()
    units = [*resolve("4[*]", target.layers()), *resolve("0[2]", target.layers())]
    found = MostActivating(str(folder), top).found(AnalysisContext(target, toy_lab.decoder(), units, [], batch=batch))
    assert found.unread == ["broken.png"]
    assert found.shown == 24
    (folder / "broken.png").unlink()
    stimuli = folder_stimuli(str(folder), target.stimulus, "images")
    names = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))
    with torch.inference_mode():
        responses = target.respond(stimuli, {"4", "0"})
    every = [*responses["4"].T, responses["0"][:, 2].flatten(1).mean(1)]
    for unit, expected in zip(units, every, strict=True):
        order = expected.argsort(descending=True)[:top]
        images = found.of[str(unit)]
        assert [image.name for image in images] == [names[number].relative_to(folder).as_posix() for number in order]
        np.testing.assert_allclose([image.response for image in images], expected[order], rtol=1e-5, atol=1e-6)
        assert np.array_equal(images[0].stimulus, stimuli[order[0]])


def test_reading_ends_early_where_it_is_asked_to(folder):
    target = toy_lab.network()
    units = resolve("4[0]", target.layers())
    found = MostActivating(str(folder)).found(AnalysisContext(target, toy_lab.decoder(), units, [], batch=3, should_stop=lambda: "suspend"))
    assert found.shown == 3


@pytest.mark.parametrize("batch", [3, 5])
def test_an_interrupted_reading_goes_on_and_shows_no_picture_twice(folder, monkeypatch, batch):
    target = toy_lab.network()
    units = resolve("4[*]", target.layers())
    whole = MostActivating(str(folder)).found(AnalysisContext(target, toy_lab.decoder(), units, [], batch=3))
    state, shown, respond = {}, [], target.respond
    monkeypatch.setattr(target, "respond", lambda stimuli, layers: shown.append(len(stimuli)) or respond(stimuli, layers))
    first = AnalysisContext(target, toy_lab.decoder(), units, [], batch=3, state=state, should_stop=lambda: "suspend")
    MostActivating(str(folder)).found(first)
    found = MostActivating(str(folder)).found(AnalysisContext(target, toy_lab.decoder(), units, [], batch=batch, state=state))
    assert sum(shown) == found.shown == whole.shown == 24
    for unit, images in whole.of.items():
        assert [image.name for image in found.of[unit]] == [image.name for image in images]
        np.testing.assert_allclose([image.response for image in found.of[unit]], [image.response for image in images], rtol=1e-6)


def test_the_report_and_its_files_have_them(folder, tmp_path):
    result = run_job(job(report={"images": str(folder), "top": 4}), tmp_path / "job", permissions=Permissions.of(ALLOWED, allow_files=True))
    assert result.images is not None
    written = json.loads((tmp_path / "job/artifacts/result.json").read_text())
    assert written["images"]["shown"] == 24
    assert written["images"]["unread"] == ["broken.png"]
    assert [image["name"] for image in written["images"]["units"]["4[0]"]] == [image.name for image in result.images.of["4[0]"]]
    assert written["sheets"] == {"montage": ["montage.png"], "images": ["images.png"]}
    with Image.open(tmp_path / "job/artifacts/images.png") as sheet:
        assert sheet.height > 2 * 128
        assert sheet.width > 5 * 128
    report = (tmp_path / "job/artifacts/report.html").read_text()
    assert report.count('alt="Picture ') == 8
    assert result.images.of["4[2]"][3].name in report
    assert "24 pictures" in report


def test_nothing_changes_without_a_folder(tmp_path):
    result = run_job(job(), tmp_path, permissions=PERMITTED)
    assert result.images is None
    written = json.loads((tmp_path / "artifacts/result.json").read_text())
    assert written["images"] is None
    assert written["sheets"]["images"] == []
    assert not (tmp_path / "artifacts/images.png").exists()


def test_a_call_takes_a_folder(folder):
    result = maximize("toy_lab:decoder", "toy_lab:network", "4[1]", optimizer="random", evaluations=5, images=folder, film="gif")
    assert result.images is not None
    assert len(result.images.of["4[1]"]) == 5
    assert result.searches[0].film


def test_over_the_wire_a_folder_is_read_only_where_it_is_allowed(folder):
    spec = job(report={"images": str(folder)})
    for allowed in (True, (str(folder.parent),)):
        check(spec, allow_imports=ALLOWED, allow_files=allowed)
    for allowed in (False, (str(folder / "below"),), (f"grpc://host{folder}",)):
        with pytest.raises(InvalidJob, match=r"report\.images: .*--allow-import"):
            check(spec, allow_imports=ALLOWED, allow_files=allowed)


def test_what_is_no_folder_of_pictures_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (folder / "00.png", tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(InvalidJob, match=r"report\.images: there is no folder"):
            check(job(report={"images": str(path)}), allow_imports=ALLOWED, allow_files=True)
    series = job(generator={"name": "series"}, target={"name": "series-classifier"}, units=["fc[0]"], report={"images": str(folder)})
    with pytest.raises(InvalidJob, match=r"report\.images: the target takes series"):
        check(series, allow_files=True)


def test_a_job_file_the_command_line_and_the_wire_carry_it():
    text = "generator: cifar10-vqvae\ntarget: cifar10-snn\nunits: lif_out[3]\nbudget: {evaluations: 9}\n"
    spec = jobfile.loads(text + "report: {images: photos, top: 3, film: gif}").spec
    for data in (jobfile.to_plain(spec), plain(spec)):
        assert JobSpec.parse(data).report == ReportSpec(images="photos", top=3, film="gif")
    assert JobSpec.parse(plain(jobfile.loads(text).spec)).report == ReportSpec()
    assert jobfile.loads(text, ["report.film=mp4"]).spec.report.film == "mp4"
