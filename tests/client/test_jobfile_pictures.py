"""Pictures that a job file names travel in its job."""

import base64
import io

import pytest
from PIL import Image

from actmax.client import jobfile

JOB = """
generator:
  name: perturbation
  options: {{image: "file:{name}", nested: [{{also: "file:{name}"}}]}}
target: cifar10-cnn
units: fc[3]
budget: {{evaluations: 10}}
"""


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "media"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_a_picture_beside_the_job_file_is_put_in_anywhere_in_options(tmp_path, monkeypatch, kind, media):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "cat.x").write_bytes(picture(kind))
    (tmp_path / "sub" / "job.yaml").write_text(JOB.format(name="cat.x"))
    monkeypatch.chdir(tmp_path)
    options = jobfile.to_plain(jobfile.load(tmp_path / "sub" / "job.yaml").spec)["generator"]["options"]
    expected = f"data:{media};base64,{base64.b64encode(picture(kind)).decode()}"
    assert options == {"image": expected, "nested": [{"also": expected}]}


def test_an_override_may_name_another_and_texts_elsewhere_are_left_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    (tmp_path / "b.png").write_bytes(picture("PNG")[::1] + b"more")
    path = tmp_path / "job.yaml"
    path.write_text("title: file:a.png\n" + JOB.format(name="a.png"))
    job = jobfile.load(path, ["generator.options.image=file:b.png"]).spec
    options = jobfile.to_plain(job)["generator"]["options"]
    assert job.title == "file:a.png"
    assert options["image"] != options["nested"][0]["also"]
    assert base64.b64decode(options["image"].partition(",")[2]).endswith(b"more")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"GIF89a", "neither a PNG nor a JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(jobfile.MAX_PICTURE_BYTES), "larger than 4 MiB"),
    ],
)
def test_a_picture_that_cannot_go_along_is_named_with_its_line(tmp_path, content, says):
    if content is not None:
        (tmp_path / "cat.png").write_bytes(content)
    (tmp_path / "job.yaml").write_text(JOB.format(name="cat.png"))
    with pytest.raises(jobfile.InvalidJobFile) as caught:
        jobfile.load(tmp_path / "job.yaml")
    fields = {violation.field: violation.description for violation in caught.value.violations}
    assert set(fields) == {"generator.options.image", "generator.options.nested[0].also"}
    assert all(says in text and "(line 4)" in text for text in fields.values()), fields
