"""Joins what benchmarks/gpu.sh has measured into one JSON file and the table of docs/gpu.md.

    python -m benchmarks.gpu --parts FOLDER --out benchmarks/gpu.json
    python -m benchmarks.gpu --table

Figures of a CPU, or of small sizes, are never written into the docs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("gpu.json")
PAGE = Path(__file__).parents[1] / "docs/gpu.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
NOT_MEASURED = "not measured"

Results = Mapping[str, Any]


def joined(parts: Path, *, small: bool) -> dict[str, Any]:
    """Return every part's figures, its seconds and exit code; parts that have not ended well have no figures."""
    found: dict[str, Any] = {"small": small, "parts": {}}
    for line in (parts / "ended").read_text().splitlines():
        name, code, seconds = line.split()
        path = parts / f"{name}.json"
        figures = json.loads(path.read_text()) if code == "0" and path.is_file() else None
        found["parts"][name] = {"exit_code": int(code), "seconds": int(seconds), "figures": figures}
    return found


def table(results: Results | None) -> str:
    """Return the figures as a Markdown table; without results each is "not measured"."""
    rows = [
        ("Spiking, forward: plain snntorch ÷ actmax, median over networks and batches", _spiking(results, "inference")),
        ("Spiking, gradient: plain snntorch ÷ actmax", _spiking(results, "gradient")),
        ("Step of a search ÷ forward and backward pass, ResNet-18, 224 px", _step(results, "step")),
        ("The same, EfficientNet-lite0, 224 px", _step(results, "step-trained")),
        ("64 units in one job ÷ 64 jobs, 32 px", _units(results, "units")),
        ("64 units in one job ÷ 64 jobs, EfficientNet-lite0, 224 px", _units(results, "units-224")),
        ("Seconds for the 64 units at 224 px, 16 steps", _figure(results, "units-224", lambda part: f"{part['seconds_together']:.2f}")),
        ("Peak memory of that job", _figure(results, "units-224", lambda part: f"{part['peak_bytes'] / 1e9:.2f} GB")),
        ("Session's round beyond a gRPC echo, p50 and p99 (on the CPU)", _figure(results, "latency", _latency)),
    ]
    lines = [f"On: {_device(results)}", "", "| figure | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines)


def page(text: str, results: Results | None) -> str:
    """Return the docs page ``text`` with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def _figures(results: Results | None, name: str) -> dict[str, Any] | str:
    if results is None or name not in results["parts"]:
        return NOT_MEASURED
    part = results["parts"][name]
    return part["figures"] or f"failed (exit code {part['exit_code']} after {part['seconds']} s)"


def _figure(results: Results | None, name: str, shown: Any) -> str:
    figures = _figures(results, name)
    return figures if isinstance(figures, str) else shown(figures)


def _median(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.2f} ({ordered[0]:.2f}–{ordered[-1]:.2f})" if ordered else NOT_MEASURED


def _spiking(results: Results | None, mode: str) -> str:
    return _figure(results, "spiking", lambda part: _median([row["ratio"] for row in part["rows"] if row["mode"] == mode]))


def _step(results: Results | None, name: str) -> str:
    return _figure(results, name, lambda part: _median([row["engine"] for row in part["rows"]]))


def _units(results: Results | None, name: str) -> str:
    return _figure(results, name, lambda part: f"{part['median_ratio']:.3f}")


def _latency(part: Mapping[str, Any]) -> str:
    return f"{part['added_ms']['p50']:.2f} and {part['added_ms']['p99']:.2f} ms"


def _device(results: Results | None) -> str:
    told = [part["figures"] for part in (results or {"parts": {}})["parts"].values() if part["figures"] and "device" in part["figures"]]
    return f"{told[0]['device']}, torch {told[0]['torch']}" if told else NOT_MEASURED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=Path, help="Folder of what gpu.sh has measured.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--small", action="store_true", help="The sizes were small: the docs stay as they are.")
    parser.add_argument("--table", action="store_true", help="Print the table of the stored figures.")
    asked = parser.parse_args()
    if asked.table:
        print(table(json.loads(RESULTS.read_text()) if RESULTS.is_file() else None))
        return
    if asked.parts is None:
        parser.error("--parts or --table")
    results = joined(asked.parts, small=asked.small)
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    on_cpu = _device(results).startswith(("CPU", NOT_MEASURED))
    if not asked.small and not on_cpu:
        PAGE.write_text(page(PAGE.read_text("utf-8"), results), "utf-8")
    failed = [name for name, part in results["parts"].items() if part["figures"] is None]
    if failed:
        sys.exit(f"without figures: {', '.join(failed)}")


if __name__ == "__main__":
    main()
