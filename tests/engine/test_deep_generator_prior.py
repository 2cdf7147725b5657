"""DGN-AM in jobs: steps through a decoder that decay to the codes' mean and are clipped around it."""

import numpy as np
import pytest
import torch

from actmax.engine.build import check
from actmax.engine.run import execute, searches_of
from jobs import ALLOWED, job


@pytest.mark.parametrize(
    ("generator", "target", "units"), [("toy_lab:decoder", "toy_lab:network", ["4[0]"]), ("cifar10-sngan", "cifar10-cnn", ["fc[7]"])]
)
def test_codes_stay_within_their_priors_deviations(generator, target, units):
    spec = job(
        generator={"name": generator},
        target={"name": target},
        units=units,
        optimizer={"name": "normalised-ascent", "options": {"clip": 0.8, "decay": 0.95}},
        budget={"evaluations": 30},
    )
    checked = check(spec, allow_imports=ALLOWED)
    asked = []
    searches = searches_of(checked)
    ask = searches[0].ask

    def kept():
        asked.append(ask().clone())
        return asked[-1]

    searches[0].ask = kept
    found = execute(checked, searches).searches[0]
    assert checked.generator.prior is not None
    bank = checked.generator.prior.bank.flatten(1)
    after = torch.cat(asked[1:]).flatten(1)
    # the density's deviations have a floor of a thousandth of the box
    assert bool(((after - bank.mean(0)).abs() <= 0.8 * bank.std(0) + 0.01).all())
    assert found.response > found.scores[0]
    assert np.isfinite(found.stimulus).all()
