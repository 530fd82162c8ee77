"""Constants at which fastconv.ndimage changes its way."""

import numpy as np

import fastconv.ndimage as ndi
import reference
from fastconv import runtime

CROSSED = {
    "ndimage._LINES_BYTES": "test_lines_in_blocks",
    "ndimage._MOST_LINES": "test_iterations_in_several_structures",
    "neighborhood.FLOOD_WORDS": "test_threads_meet_at_seams",
    "neighborhood.FLOOD_PIXELS": "test_fills_in_pieces",
    "neighborhood.FLOOD_TERMS": "test_fills_in_pieces",
    "neighborhood._SMALL_STRUCTURE": "test_steps_are_remembered",
    "neighborhood._FLOOD_BYTES": "test_fills_of_too_many_words_go_step_by_step",
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


def test_fills_in_pieces(isa, rng):
    x = rng.random((9, 700)) < 0.6
    seed = rng.random(x.shape) < 0.01
    structure = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]], bool)
    for cells in (None, structure):
        holes, filled = ndi.binary_fill_holes(x, cells), ndi.binary_propagation(seed, cells, x)
        for pixels in (1, 64, 65, 192, 640, 4096):
            for terms in (1, 100):
                with runtime.use_seams({"neighborhood.FLOOD_PIXELS": pixels, "neighborhood.FLOOD_TERMS": terms}):
                    for one in (x, x.astype(">i2"), np.repeat(x, 2, axis=1)[:, ::2]):
                        output = np.zeros((700, 9), bool).T
                        ndi.binary_fill_holes(one, cells, output)
                        np.testing.assert_array_equal(output, holes)
                        np.testing.assert_array_equal(ndi.binary_propagation(seed, cells, one), filled)


def test_fills_of_too_many_words_go_step_by_step(rng):
    for shape in [(40, 30), (3, 4, 5, 6), (1, 700)]:
        x = rng.random(shape) < 0.7
        seed = rng.random(shape) < 0.02
        holes, filled = ndi.binary_fill_holes(x), ndi.binary_propagation(seed, None, x)
        eroded = ndi.binary_erosion(x, None, -1, ~seed, border_value=1)
        # Two bytes a pixel are always granted; a word of 64 pixels takes 32 bytes.
        with runtime.use_seams({"neighborhood._FLOOD_BYTES": 1}):
            np.testing.assert_array_equal(ndi.binary_fill_holes(x), holes)
            np.testing.assert_array_equal(ndi.binary_propagation(seed, None, x), filled)
            np.testing.assert_array_equal(ndi.binary_erosion(x, None, -1, ~seed, border_value=1), eroded)


def test_steps_are_remembered(rng):
    """Fills that differ from an earlier one in the shape, the structure, its middle or what lies outside alone."""
    structures = [np.ones((3, 2), bool), np.ones((2, 3), bool), np.array([[1, 1], [1, 0], [1, 1]], bool)]
    for size in (1, 6, 1024):
        with runtime.use_seams({"neighborhood._SMALL_STRUCTURE": size}):
            for shape in ((30, 70), (70, 30)):
                where, seed = rng.random(shape) < 0.4, rng.random(shape) < 0.01
                for structure in structures:
                    for origin in ((0, 0), (-1, -1), (0, -1)):
                        for border in (0, 1):
                            middle = tuple(n // 2 + o for n, o in zip(structure.shape, origin, strict=True))
                            if structure[middle]:
                                expected = reference.flood_fill(seed, structure, where, border, origin)
                                found = ndi.binary_propagation(seed, structure, where, None, border, origin)
                                np.testing.assert_array_equal(found, expected)
