"""Sheets of charts in the report: across the page, the first ones in it, further ones as links."""

import json

from PIL import Image

from actmax.charts.pictures import png
from actmax.engine.report.figures import MOST_WIDE
from actmax.engine.results.section import Figure, Section
from actmax.engine.run import run_job
from jobs import PERMITTED, job

SHEETS = MOST_WIDE + 3


class Sheets:
    needs = ()

    def run(self, context):
        sheet = png(Image.new("RGB", (40, 30), "white"))
        figures = [Figure(f"Sheet {number}", f"Charts number {number}", sheet, wide=True) for number in range(SHEETS)]
        below = Figure("Below", "Charts of a unit", sheet, unit="4[0]", place="unit", wide=True)
        return [Section("Many sheets", rows=[{"value": 1}], figures=[*figures, Figure("Small", "A small one", sheet), below])]


def test_wide_figures_span_the_page_and_most_are_links(tmp_path):
    spec = job(analyses=[{"name": "sheets"}], units=["4[0]"], budget={"evaluations": 4})
    result = run_job(spec, tmp_path, permissions=PERMITTED, given={"sheets": Sheets()})
    assert result.notices == ()
    page = (tmp_path / "artifacts/report.html").read_text()
    assert page.count('<figure class="sheet"><img') + page.count('<figure class="sheet">\n<img') == MOST_WIDE
    assert page.count('<li class="sheet">') == 1
    written = next(one for one in json.loads((tmp_path / "artifacts/result.json").read_text())["sections"] if one["analysis"] == "sheets")
    for number in range(SHEETS):
        path = written["figures"][number]["file"]
        assert (tmp_path / "artifacts" / path).exists()
        assert (f'href="{path}"' in page) == (number >= MOST_WIDE)
