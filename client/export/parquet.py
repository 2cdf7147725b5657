"""All trials of a session as one Parquet table."""

from __future__ import annotations

import json
from pathlib import Path

from ..jobs.plain import to_plain
from ..sessions.trials import Trials
from .extras import needing


def write_parquet(trials: Trials, path: Path) -> None:
    """Write a row for each trial: its columns, a column ``response_<unit>`` for each unit, and its latent as a list.

    The session, its spec and what it recommends are in the file's metadata, as JSON under ``actmax.session``.

    Parameters
    ----------
    trials : Trials
        Of a session.
    path : Path
        Appears whole or not at all.

    Raises
    ------
    NotInstalled
        pyarrow is missing.
    """
    with needing("parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    columns = {
        name: pa.array(getattr(trials, name))
        for name in ("trial", "generation", "stimulus", "replicate", "onset", "offset", "told_time", "score", "gain")
    }
    columns |= {name: pa.array(getattr(trials, name)).dictionary_encode() for name in ("kind", "status", "thread")}
    columns |= {f"response_{unit}": pa.array(trials.responses[:, at]) for at, unit in enumerate(trials.units)}
    flat = trials.latents.reshape(len(trials), -1)
    columns["latent"] = (
        pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), max(flat.shape[1], 1)) if len(trials) else pa.array([])
    )
    about = {"actmax.session": json.dumps(to_plain(trials.session)), "actmax.latent_shape": json.dumps(trials.latents.shape[1:])}
    table = pa.table(columns).replace_schema_metadata(about)
    writing = path.with_name(path.name + ".writing")
    pq.write_table(table, writing, compression="zstd")
    writing.replace(path)
