"""Constants at which fastconv.ndimage changes its way."""

import numpy as np

import fastconv.ndimage as ndi
from fastconv import runtime

CROSSED = {
    "ndimage._LINES_BYTES": "test_lines_in_blocks",
    "ndimage._MOST_LINES": "test_iterations_in_several_structures",
    "neighborhood/table.h:FC_CUT_WINDOW": "test_means_of_long_windows",
}


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


def test_iterations_in_several_structures(rng):
    for shape in [(40, 30), (11, 9, 10), (30,), (5, 4, 6, 3)]:
        x = rng.random(shape) < 0.9
        for connectivity in range(1, len(shape) + 1):
            structure = ndi.generate_binary_structure(len(shape), connectivity)
            for border in (0, 1):
                eroded, dilated = x, ~x
                for iterations in range(1, 6):
                    eroded = ndi.binary_erosion(eroded, structure, border_value=border)
                    dilated = ndi.binary_dilation(dilated, structure, border_value=border)
                    for lines in (1, 5, 9, 30, 128):
                        with runtime.use_seams({"ndimage._MOST_LINES": lines}):
                            found = ndi.binary_erosion(x, structure, iterations, border_value=border)
                            np.testing.assert_array_equal(found, eroded)
                            found = ndi.binary_dilation(~x, structure, iterations, border_value=border)
                            np.testing.assert_array_equal(found, dilated)
