"""All methods of attribution in one job file each for a CNN, a ViT and a spiking network, over gRPC."""

import io
import json

import numpy as np

from actmax.client.jobs import jobfile
from actmax.server.execution.engine import ActmaxEngine
from actmax.v1 import job_pb2

EVERYWHERE = (
    "gradient",
    "integrated-gradients: {steps: 3}",
    "smoothgrad: {samples: 2}",
    "grad-cam",
    "grad-cam-plus-plus",
    "occlusion: {window: 16}",
)
JOBS = {
    "cifar10-cnn": ("fc[3]", (*EVERYWHERE, "lrp", "guided-backpropagation")),
    "cifar10-vit": ("blocks.1[5, 7]", (*EVERYWHERE, "lrp", "attention-rollout")),
    "cifar10-snn": ("lif2[5]", (*EVERYWHERE, "rise: {samples: 4}")),
}


def written(target: str) -> str:
    unit, methods = JOBS[target]
    lines = [f"{{name: {name}, options: {{scores: []}}}}" for name, _, _ in (one.partition(": ") for one in methods)]
    for number, (_, found, options) in enumerate(one.partition(": {") for one in methods):
        if found:
            lines[number] = lines[number].replace("scores: []", f"scores: [], {options.removesuffix('}')}")
    listed = "".join(f"\n  - {line}" for line in lines)
    job = f'generator: pixel\ntarget: {target}\nunits: ["{unit}"]\noptimizer: random\nbudget: {{evaluations: 2}}\nprior: none\n'
    return f"{job}analyses:{listed}\n"


async def test_every_method_runs_on_every_kind_of_network(serving, tmp_path):
    async with serving(engine=ActmaxEngine()) as (_, calls):
        jobs = {}
        for target in JOBS:
            path = tmp_path / f"{target}.yaml"
            path.write_text(written(target))
            jobs[target] = (await calls.create(jobfile.load(path).spec)).name
        for target, name in jobs.items():
            done = await calls.ended(name)
            assert done.state == job_pb2.JOB_STATE_SUCCEEDED, done.error
            assert not done.progress.warnings
            result = json.loads(b"".join((await calls.download(name, "result.json"))[1]))
            methods = [one.partition(":")[0] for one in JOBS[target][1]]
            assert [section["analysis"] for section in result["sections"]] == methods
            with np.load(io.BytesIO(b"".join((await calls.download(name, "arrays.npz"))[1]))) as arrays:
                for section in result["sections"]:
                    maps = arrays[section["arrays"]["maps"]]
                    assert maps.shape == (1, 32, 32)
                    assert np.isfinite(maps).all()
                    assert np.ptp(maps) > 0, section["title"]
