"""The constants at which sums along axes change their way: results are SciPy's on both sides."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastconv.ndimage as ndi
from fastconv import runtime
from fastconv.ndimage import _passes

scipy_ndimage = pytest.importorskip("scipy.ndimage")

# Which test crosses each.
CROSSED = {
    "ndimage._SLAB_BYTES": "test_three_axes_in_slabs",
    "ndimage._SEPARABLE_CELLS": "test_weights_that_are_products",
    "neighborhood/weights.pyx:CROSSED_GROUP": "test_groups_of_lines_and_blocks_of_rows",
    "neighborhood/weights.pyx:GROUP": "test_groups_of_lines_and_blocks_of_rows",
    "neighborhood/weights.pyx:LEAST_ROWS": "test_groups_of_lines_and_blocks_of_rows",
    "neighborhood/engine.pxd:PAGE": "test_lines_whole_pages_apart",
    "neighborhood/table.h:FC_WEIGHED": "test_lines_that_are_transposed_in_pieces",
    "neighborhood/weights.h:FC_DIRECT_TAPS": "test_few_and_many_taps",
}


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "f4", "f8"])
def test_two_axes_in_one_pass_or_in_two(dtype):
    rng = np.random.default_rng(81)
    for shape in ((1, 1), (7, 90), (90, 7), (5, 33, 40), (3, 4, 5, 20)):
        x = (rng.random(shape) * 200).astype(dtype)
        for order in (x, x.T):
            for mode in ("reflect", "mirror", "nearest", "wrap", "constant"):
                assert_array_equal(
                    ndi.gaussian_filter(order, 1.3, mode=mode), scipy_ndimage.gaussian_filter(order, 1.3, mode=mode)
                )
            assert_array_equal(ndi.sobel(order, 0), scipy_ndimage.sobel(order, 0))
            assert_array_equal(ndi.prewitt(order, mode="wrap"), scipy_ndimage.prewitt(order, mode="wrap"))
            assert_array_equal(ndi.laplace(order), scipy_ndimage.laplace(order))
            assert_array_equal(ndi.gaussian_laplace(order, 0.66), scipy_ndimage.gaussian_laplace(order, 0.66))
        if len(shape) == 2:
            modes = ["wrap", "reflect"]
            assert_array_equal(
                ndi.gaussian_filter(x, (2, 0.7), mode=modes), scipy_ndimage.gaussian_filter(x, (2, 0.7), mode=modes)
            )
            assert_array_equal(
                ndi.gaussian_filter(x, 1, mode="constant", cval=1), scipy_ndimage.gaussian_filter(x, 1, mode="constant", cval=1)
            )
            assert_array_equal(ndi.gaussian_filter(x, 1, order=(1, 2)), scipy_ndimage.gaussian_filter(x, 1, order=(1, 2)))
            out = x.astype("f4")
            ndi.gaussian_filter(out, 1, output=out)
            expected = x.astype("f4")
            scipy_ndimage.gaussian_filter(expected, 1, output=expected)
            assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "f8"])
def test_three_axes_in_slabs(dtype):
    rng = np.random.default_rng(82)
    for shape in ((9, 12, 70), (70, 9, 12), (12, 70, 9)):
        x = (rng.random(shape) * 200).astype(dtype)
        for mode in ("reflect", "constant"):
            for image in (x, x.transpose(1, 0, 2), x[::-1]):
                expected = scipy_ndimage.gaussian_filter(image, (1.5, 0.8, 2), mode=mode)
                for size in (1, 3 * x[0].nbytes, 1 << 23):
                    with runtime.use_seams({"ndimage._SLAB_BYTES": size}):
                        assert_array_equal(ndi.gaussian_filter(image, (1.5, 0.8, 2), mode=mode), expected)
                        same = image.copy()
                        assert_array_equal(ndi.gaussian_filter(same, (1.5, 0.8, 2), output=same, mode=mode), expected)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_groups_of_lines_and_blocks_of_rows(dtype, isa):
    rng = np.random.default_rng(83)
    weights, cells = rng.standard_normal(5), rng.standard_normal((5, 3))
    for height in (31, 32, 33, 63, 64, 65, 97):
        x = (rng.random((height, 37)) * 200).astype(dtype)
        assert_array_equal(ndi.correlate1d(x, weights, 0), scipy_ndimage.correlate1d(x, weights, 0))
        assert_array_equal(ndi.correlate(x, cells), scipy_ndimage.correlate(x, cells))
        assert_array_equal(ndi.correlate(x, cells[1:4]), scipy_ndimage.correlate(x, cells[1:4]))
        for output in (dtype, "f4"):
            assert_array_equal(ndi.laplace(x, output, "wrap"), scipy_ndimage.laplace(x, output, "wrap"))


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_lines_that_are_transposed_in_pieces(dtype, isa):
    rng = np.random.default_rng(84)
    for width in (255, 256, 257, 300, 511, 512, 513):
        x = (rng.random((18, width)) * 200).astype(dtype)
        for sigma in (2, 60):
            assert_array_equal(ndi.gaussian_filter(x, sigma), scipy_ndimage.gaussian_filter(x, sigma))


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_lines_whole_pages_apart(dtype, beyond):
    rng = np.random.default_rng(86)
    width = 4096 // np.dtype(dtype).itemsize
    x = (rng.random((70, width + beyond)) * 200).astype(dtype)
    for image in (x, x[:, 5:300]):  # which lie whole pages apart, too
        for mode in ("nearest", "constant"):
            assert_array_equal(ndi.gaussian_filter(image, 1.2, mode=mode), scipy_ndimage.gaussian_filter(image, 1.2, mode=mode))
            assert_array_equal(ndi.laplace(image, mode=mode), scipy_ndimage.laplace(image, mode=mode))
            assert_array_equal(ndi.sobel(image, 0, mode=mode), scipy_ndimage.sobel(image, 0, mode=mode))
            out = np.zeros_like(x)[:, : image.shape[1]]
            ndi.correlate1d(image, [1, 2, 4], 0, out, mode)
            assert_array_equal(out, scipy_ndimage.correlate1d(image, [1, 2, 4], 0, mode=mode))


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_few_and_many_taps(dtype, isa):
    rng = np.random.default_rng(85)
    x = (rng.random((19, 45)) * 200).astype(dtype)
    for taps in (1, 2, 3, 4, 5, 6, 7, 9):
        weights = rng.random(taps)
        for one in (weights, weights + weights[::-1], weights - weights[::-1]):
            for axis in (0, 1):
                assert_array_equal(ndi.correlate1d(x, one, axis), scipy_ndimage.correlate1d(x, one, axis))


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "f8"])
def test_weights_that_are_products(dtype):
    """They are summed along one axis and then the other, in doubles: NaN and infinities reach the same pixels."""
    rng = np.random.default_rng(87)
    for shape in ((40, 70), (70, 9), (3, 30, 66), (30, 66, 3)):
        x = (rng.random(shape) * 200).astype(dtype)
        if x.dtype.kind == "f":
            x.flat[x.size // 3] = np.inf
            x.flat[x.size // 2] = -np.inf
            x.flat[x.size // 4] = np.nan
        for sizes in ((5, 5), (4, 7), (3, 9)):
            factors = [rng.standard_normal(size) for size in sizes]
            for axes in ((0, 1), (-2, -1), (0, -1)):
                for output in (np.float32, np.float64):
                    weights = np.multiply.outer(*factors)
                    options = {"mode": "mirror", "axes": axes, "origin": (0, 1)}
                    expected = scipy_ndimage.correlate(x, weights, output, **options)
                    for cells in (1, 25, 1 << 20):
                        with runtime.use_seams({"ndimage._SEPARABLE_CELLS": cells}):
                            found = ndi.correlate(x, weights, output, **options)
                        assert found.dtype == expected.dtype
                        size = np.abs(weights).sum() * 2**31 if dtype == "i4" else np.abs(weights).sum() * 200
                        bound = float(np.finfo(output).eps) * (size if output == np.float64 else 0)
                        np.testing.assert_allclose(found, expected, rtol=float(np.finfo(output).eps), atol=bound + 1e-13 * size)
                        if cells == 1 << 20:
                            assert_array_equal(found, expected)
    for weights in (np.ones((7, 7)), np.eye(7), np.outer(np.arange(7), np.ones(7)), np.ones((7, 7)) + 1e-9 * np.eye(7)):
        x = (rng.random((20, 30)) * 200).astype(dtype)
        expected = scipy_ndimage.correlate(x, weights, np.float64)
        np.testing.assert_allclose(ndi.correlate(x, weights, np.float64), expected, rtol=1e-13, atol=1e-10)
        whole = scipy_ndimage.correlate(x, weights / 49, np.uint8 if dtype == "u1" else np.int32)
        assert_array_equal(ndi.correlate(x, weights / 49, whole.dtype), whole)


def test_parts_and_steps_are_told_apart():
    """A sum of two parts is not remembered as one part of two steps with the same weights."""
    x, weights = np.arange(700.0).reshape(20, 35) % 13, np.array([1.0, -2, 1])
    first, second = (0, weights), (1, weights)
    out = np.empty_like(x)
    for _ in range(2):
        _passes.weigh(x, [[first], [second]], out, "reflect", 0.0, [0, 0], None)
        assert_array_equal(out, scipy_ndimage.laplace(x))
        _passes.weigh(x, [[first, second]], out, "reflect", 0.0, [0, 0], None)
        assert_array_equal(out, scipy_ndimage.correlate1d(scipy_ndimage.correlate1d(x, weights, 0), weights, 1))
