"""Exports Parquet files: a session's trials, and a job's tables of searches and of analyses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...wire.writer import to_plain
from ..extras import needing
from ..sessions.trials import Trials
from ..whole_files import whole_file

SEARCHES = "searches"
_SCALAR = (str, int, float, bool)


def write_trials(trials: Trials, path: Path) -> None:
    """Write a row for each trial: its columns, a column ``response_<unit>`` for each unit, and its latent as a list.

    The session, its spec and its recommendation are in the file's metadata, as JSON under ``actmax.session``.

    Parameters
    ----------
    trials : Trials
        The trials.
    path : Path
        The file; it appears whole or not at all.

    Raises
    ------
    NotInstalled
        pyarrow is missing.
    """
    with needing("parquet"):
        import pyarrow as pa
    columns = {
        name: pa.array(getattr(trials, name))
        for name in ("trial", "generation", "stimulus", "replicate", "onset", "offset", "told_time", "score", "gain", "clock", "bad")
    }
    columns |= {name: pa.array(getattr(trials, name)).dictionary_encode() for name in ("kind", "status", "thread")}
    columns |= {f"response_{unit}": pa.array(trials.responses[:, at]) for at, unit in enumerate(trials.units)}
    flat = trials.latents.reshape(len(trials), -1)
    columns["latent"] = (
        pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), max(flat.shape[1], 1)) if len(trials) else pa.array([])
    )
    about = {"actmax.session": json.dumps(to_plain(trials.session)), "actmax.latent_shape": json.dumps(trials.latents.shape[1:])}
    table = pa.table(columns).replace_schema_metadata(about)
    _save(table, path)


def job_tables(results: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a ``result.json``, each a list of rows, by names that are safe in file names.

    ``searches`` has a row for each search; each other table has the rows of a section.
    """
    searches = [{name: value for name, value in search.items() if isinstance(value, _SCALAR)} for search in results.get("searches", [])]
    tables = {SEARCHES: searches}
    for section in results.get("sections", []):
        if section["rows"]:
            called = "-".join(part for part in (section["analysis"], section["name"]) if part)
            tables[_unused(re.sub(r"[^A-Za-z0-9._]+", "-", called).strip("-.") or "section", tables)] = section["rows"]
    return tables


def write_tables(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a Parquet file for each of :func:`job_tables` into ``folder``, and return their paths.

    Each file appears whole or not at all. Title and notes of a section are in its file's metadata, as JSON under ``actmax.section``.

    Raises
    ------
    NotInstalled
        pyarrow is missing.
    """
    with needing("parquet"):
        import pyarrow as pa
    about = [None, *(section for section in results.get("sections", []) if section["rows"])]
    paths: list[Path] = []
    for (name, rows), section in zip(job_tables(results).items(), about, strict=True):
        columns = list(dict.fromkeys(column for row in rows for column in row))
        table = pa.table({column: _column([row.get(column) for row in rows]) for column in columns})
        if section is not None:
            told = json.dumps({key: section[key] for key in ("analysis", "name", "title", "notes")}, ensure_ascii=False)
            table = table.replace_schema_metadata({"actmax.section": told})
        path = folder / f"{name}.parquet"
        _save(table, path)
        paths.append(path)
    return paths


def _save(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _column(values: Sequence[Any]) -> list[Any]:
    """Return values of one type: floats if some numbers have a fraction, text if types differ."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and len(kinds) == 2:
        return [None if value is None else float(value) for value in values]
    return list(values) if len(kinds) <= 1 else [None if value is None else str(value) for value in values]


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
