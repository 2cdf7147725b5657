"""Analyses of units from job files, over the wire, on a CNN, a vision transformer and a spiking network."""

import io
import json

import numpy as np
import pytest

from actmax.client.jobs import jobfile
from actmax.server.execution.engine import ActmaxEngine
from actmax.v1 import job_pb2

NETWORKS = {"cifar10-cnn": "layer1[2]", "cifar10-vit": "blocks.1[:, 7]", "cifar10-snn": "lif2[4]"}
JOB = """
generator: cifar10-sngan
target: {target}
units: ["{unit}"]
optimizer: random
budget: {{evaluations: 4}}
analyses:
  - {analysis}
"""
ANALYSES = {
    "tuning": "{name: tuning, options: {points: 1, latent_axes: 1, transformations: [shift-x]}}",
    "sensitivity": "{name: sensitivity, options: {samples: 16, methods: [sobol], grid: 1, second_order: false}}",
    "superposition": "{name: superposition, options: {stimuli: 24, clusters: 3, atoms: 4}}",
}


@pytest.mark.parametrize("name", ANALYSES)
async def test_it_runs_on_every_kind_of_network(serving, name):
    async with serving(engine=ActmaxEngine()) as (_, calls):
        made = [
            await calls.create(jobfile.loads(JOB.format(target=target, unit=unit, analysis=ANALYSES[name])).spec)
            for target, unit in NETWORKS.items()
        ]
        for job in made:
            done = await calls.ended(job.name)
            assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
            result = json.loads(b"".join((await calls.download(job.name, "result.json"))[1]))
            assert result["warnings"] == [], job.spec.target.name
            sections = [section for section in result["sections"] if section["analysis"] == name]
            assert sections[0]["figures"]
            found = await calls.artifacts(job.name)
            with np.load(io.BytesIO(b"".join((await calls.download(job.name, "arrays.npz"))[1]))) as arrays:
                for section in sections:
                    assert section["rows"]
                    assert set(section["arrays"].values()) <= set(arrays)
                    assert {figure["file"] for figure in section["figures"]} <= set(found)
