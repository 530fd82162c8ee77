"""The constants at which fastconv.ndimage changes its way: results are SciPy's on both sides."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastconv.ndimage as ndi
from fastconv.ndimage import _weights

scipy_ndimage = pytest.importorskip("scipy.ndimage")

# Which test crosses each.
CROSSED = {"ndimage/_weights.py:_TOGETHER": "test_two_axes_in_one_pass_or_in_two"}


@pytest.mark.parametrize("together", [1, 1 << 10])
@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "f4", "f8"])
def test_two_axes_in_one_pass_or_in_two(dtype, together, monkeypatch):
    monkeypatch.setattr(_weights, "_TOGETHER", together)
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
        if len(shape) == 2:
            modes = ["wrap", "reflect"]
            assert_array_equal(
                ndi.gaussian_filter(x, (2, 0.7), mode=modes), scipy_ndimage.gaussian_filter(x, (2, 0.7), mode=modes)
            )
            assert_array_equal(ndi.gaussian_filter(x, 1, order=(1, 2)), scipy_ndimage.gaussian_filter(x, 1, order=(1, 2)))
            out = x.astype("f4")
            ndi.gaussian_filter(out, 1, output=out)
            expected = x.astype("f4")
            scipy_ndimage.gaussian_filter(expected, 1, output=expected)
            assert_array_equal(out, expected)
