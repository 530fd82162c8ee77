"""Constants at which fastconv.ndimage changes its way."""

import numpy as np

import fastconv.ndimage as ndi
from fastconv import runtime

CROSSED = {"ndimage._LINES_BYTES": "test_lines_in_blocks"}


def test_lines_in_blocks(rng):
    def fill(line, result):
        result[:] = line[:-2] - 2 * line[1:-1] + line[2:]

    for shape in [(7, 5, 6), (30,), (1, 4)]:
        x = rng.integers(-9, 9, shape)
        for axis in range(x.ndim):
            expected = ndi.correlate1d(x, [1, -2, 1], axis)
            for size in (1, 100, 200, 1 << 20):
                with runtime.use_seams({"ndimage._LINES_BYTES": size}):
                    np.testing.assert_array_equal(ndi.generic_filter1d(x, fill, 3, axis), expected)
