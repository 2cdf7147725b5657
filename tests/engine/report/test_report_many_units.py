"""Reports of hundreds of units, and what they show beside the found stimuli."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from actmax.engine.report.comparison import Comparison
from actmax.engine.report.html import report_html
from actmax.engine.report.montage import MOST_CELLS, montage, sheets
from actmax.engine.report.pictures import opacity
from actmax.engine.report.results import Written
from actmax.models.spaces import StimulusSpec
from analysed import analysed


def pictures(text: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r'src="data:image/\w+;base64,([^"]+)"', text)]


def faded_too(result, shape):
    random = np.random.RandomState(0)
    maps = [random.rand(*shape).astype(np.float32) for _ in result.searches]
    return replace(result, searches=[replace(one, recorded={"importance": map_}) for one, map_ in zip(result.searches, maps, strict=True)])


def test_large_pictures_of_many_units_are_small_in_the_report(make_job):
    spec = StimulusSpec((3, 192, 192))
    result = faded_too(make_job(60, 1, spec, evaluations=5), (192, 192))
    text = report_html(Written.of(analysed(result, spec), spec, 200))
    found = pictures(text)
    assert len(found) == 40 + 2 * 60
    assert max(max(picture.size) for picture in found) <= 160
    assert len(text) < 60 * 100_000  # noise, which compresses worst; whole, it would be 40 MB
    assert "stimuli has them whole" in text


def test_few_are_shown_whole_each_with_where_it_looked(make_job):
    spec = StimulusSpec((3, 8, 8))
    result = faded_too(make_job(2, 1, spec), (8, 8))
    text = report_html(Written.of(analysed(result, spec), spec, 200))
    found = [np.asarray(picture) for picture in pictures(text)]
    faded = [picture for picture in found if picture.shape == (8, 8, 4)]
    assert len(found) == 2 + 2 * 2
    for picture, search in zip(faded, result.searches, strict=True):
        assert search.importance is not None
        assert np.abs(picture[..., 3] - 255 * opacity(search.importance)).max() <= 0.5
        assert (picture[..., 3] == 255).sum() >= 12  # a fifth of the places is opaque
    assert "where it looked" in text
    plain = make_job(2, 1, spec)
    assert "where it looked" not in report_html(Written.of(analysed(plain, spec), spec, 200))


def test_the_montage_goes_on_over_further_sheets(make_job):
    result = make_job(256, 1, evaluations=2)
    comparison = Comparison(result.searches)
    pages, left_out = sheets(comparison)
    assert left_out == 0
    assert [unit for page in pages for unit in page.units] == comparison.units
    assert len(pages) == 3
    assert all(80 <= len(page.units) <= MOST_CELLS for page in pages)
    assert max(montage(pages[0], StimulusSpec((3, 8, 8))).size) < 2400
    few = Comparison(make_job(3, 4).searches)
    assert [page.units for page in sheets(few)[0]] == [few.units]
