from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from actmax.charts.pictures import data_uri, pixels, png


@pytest.mark.parametrize("channels", [2, 4, 5, 9])
def test_other_numbers_of_channels_stand_side_by_side_all_of_them(channels):
    stimulus = np.random.RandomState(channels).rand(channels, 6, 4).astype(np.float32)
    table = pixels(stimulus, 0, 1)
    columns = (table.shape[1] + 1) // 5
    for channel in range(channels):
        top, left = channel // columns * 7, channel % columns * 5
        assert np.array_equal(table[top : top + 6, left : left + 4], np.rint(stimulus[channel].astype(np.float64) * 255))


def test_values_outside_are_clipped_and_what_is_no_number_is_black():
    values = np.array([[[-3, 7, np.nan, np.inf, -np.inf]]], np.float32)
    assert pixels(values, 0, 1).tolist() == [[0, 255, 0, 255, 0]]


def test_the_address_of_a_picture_holds_it():
    values = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8)
    kind, _, content = data_uri(png(Image.fromarray(values))).partition(";base64,")
    assert kind == "data:image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), values)
