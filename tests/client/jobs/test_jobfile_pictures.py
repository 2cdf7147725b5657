"""Pictures that a job file names travel in its job."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from actmax.client.jobs import jobfile

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
        (None, "no such file"),
        (b"GIF89a", "no whole GIF picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(jobfile.MAX_PICTURE_BYTES), "no whole PNG picture"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC isn't read; save it as PNG or JPEG"),
        (b"no picture", "its content is no picture"),
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


def travelled(tmp_path) -> tuple[str, Image.Image]:
    """The media type and the picture that a job file's ``cat.png`` became, at most 4 MiB."""
    (tmp_path / "job.yaml").write_text(JOB.format(name="cat.png"))
    uri = jobfile.to_plain(jobfile.load(tmp_path / "job.yaml").spec)["generator"]["options"]["image"]
    head, _, data = uri.partition(",")
    content = base64.b64decode(data)
    assert len(content) <= jobfile.MAX_PICTURE_BYTES
    return head, Image.open(io.BytesIO(content))


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {"lossless": True}), ("TIFF", {}), ("BMP", {}), ("GIF", {})])
def test_other_formats_travel_as_png(tmp_path, kind, options):
    picture = Image.fromarray(np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3))
    picture.save(tmp_path / "cat.png", kind, **options)
    head, found = travelled(tmp_path)
    assert head == "data:image/png;base64"
    with Image.open(tmp_path / "cat.png") as stored:
        assert np.array_equal(np.asarray(found.convert("RGB")), np.asarray(stored.convert("RGB")))


def test_grey_of_16_bits_keeps_them_on_its_way(tmp_path):
    values = np.arange(35, dtype=np.uint16).reshape(5, 7) * 1800
    Image.fromarray(values).save(tmp_path / "cat.png", "TIFF")
    assert np.array_equal(np.asarray(travelled(tmp_path)[1]), values)


def test_a_large_photo_travels_upright_and_smaller(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (400, 700, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((3500, 2000)).save(tmp_path / "cat.png", "JPEG", quality=100, exif=exif)
    assert (tmp_path / "cat.png").stat().st_size > jobfile.MAX_PICTURE_BYTES
    head, found = travelled(tmp_path)
    assert head == "data:image/jpeg;base64"
    assert found.width / found.height == pytest.approx(2000 / 3500, rel=0.01)
    assert found.getexif().get(0x0112, 1) == 1


def test_which_frame_travels_is_said(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "cat.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "job.yaml").write_text(JOB.format(name="cat.gif"))
    remarks = jobfile.load(tmp_path / "job.yaml").remarks
    assert remarks[0] == f"generator.options.image: {tmp_path / 'cat.gif'} (animated: its first frame)"
    assert len(remarks) == 2


def test_reading_pictures_needs_pillow_and_numpy_alone(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "cat.png", "BMP")
    (tmp_path / "job.yaml").write_text(JOB.format(name="cat.png"))
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'pydantic', 'scipy')))\n"
        "from pathlib import Path\nfrom actmax.client.jobs import jobfile\n"
        f"print('image/png' in str(jobfile.load(Path({str(tmp_path / 'job.yaml')!r})).spec))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
