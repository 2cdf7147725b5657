"""Arrays travel whole, and what was damaged on its way is refused."""

import numpy as np
import pytest

from actmax.wire.arrays import DamagedTensor, to_array, to_tensor
from actmax.wire.errors import InvalidInput


def test_arrays_travel_whole():
    for array in (np.arange(6, dtype=np.int64).reshape(2, 3), np.float32(3.5), np.empty((0, 4), np.uint8)):
        back = to_array(to_tensor(array))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)
    damaged = to_tensor(np.zeros(3, np.float32))
    damaged.data = damaged.data[:-1]
    with pytest.raises(DamagedTensor, match="takes 12 bytes, 11 came"):
        to_array(damaged)
    with pytest.raises(InvalidInput, match="complex128"):
        to_tensor(np.zeros(2, complex))


def test_an_array_in_any_order_of_bytes_and_axes_travels_as_little_endian_rows():
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    message = to_tensor(array)
    assert (message.dtype, list(message.shape)) == ("int32", [3, 2])
    assert message.data == np.array([0, 3, 1, 4, 2, 5], "<i4").tobytes()
    back = to_array(message)
    back[0, 0] = 7  # its own
    np.testing.assert_array_equal(to_array(message), array)
