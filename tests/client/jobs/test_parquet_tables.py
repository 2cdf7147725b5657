"""A job's tables as Parquet files."""

import json

import pyarrow.parquet as pq

from actmax.client.cli import execute
from actmax.client.export.parquet import write_tables
from actmax.engine.run import run_job
from jobs import PERMITTED, job


def test_searches_and_every_section_have_a_file(tmp_path, capsys):
    analyses = [{"name": "toy_lab:Tuning", "options": {"levels": levels}} for levels in (2, 3)]
    result = run_job(job(analyses=analyses), tmp_path, permissions=PERMITTED)
    folder = tmp_path / "artifacts"
    assert execute(["export", str(folder), "--out", str(tmp_path / "tables")]) == 0
    names = ["searches", "toy_lab-Tuning-1", "toy_lab-Tuning-2"]
    assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == names
    assert "3 tables" in capsys.readouterr().out
    searches = pq.read_table(tmp_path / "tables/searches.parquet")
    assert searches["response"].to_pylist() == [search.response for search in result.searches]
    for name, section in zip(names[1:], result.sections[-2:], strict=True):
        table = pq.read_table(tmp_path / f"tables/{name}.parquet")
        assert table.to_pylist() == [dict(row) for row in section.rows]
        assert json.loads(table.schema.metadata[b"actmax.section"])["title"] == section.title


def test_columns_of_mixed_kinds_are_written(tmp_path):
    rows = [{"a": 1, "b": True, "c": None}, {"a": 2.5, "b": "x"}, {"d": 3}]
    section = {"analysis": "searches", "name": "", "title": "T", "notes": [], "rows": rows}
    paths = write_tables({"searches": [], "sections": [section]}, tmp_path)
    assert [path.name for path in paths] == ["searches.parquet", "searches-2.parquet"]
    assert pq.read_table(paths[1]).to_pylist() == [
        {"a": 1.0, "b": "True", "c": None, "d": None},
        {"a": 2.5, "b": "x", "c": None, "d": None},
        {"a": None, "b": None, "c": None, "d": 3},
    ]
