"""Compiled functions that put the cells of their windows in order, against NumPy, which is called."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastconv import explain, neighborhood_reduce
from fastconv.runtime import use_seams

# Which test crosses each constant at which programs change their way.
CROSSED = {"neighborhood._FEW_RANKS": "test_ranks_and_sums_of_ranks"}

EVERY = ("?", "u1", "i2", "u4", "i8", "f4", "f8")


def image(rng, dtype, shape, nan=0.0):
    x = rng.integers(0, 60, shape).astype(dtype)
    if np.dtype(dtype).kind == "f" and nan:
        x[rng.random(shape) < nan] = np.nan
        x[rng.random(shape) < nan] = np.inf
        x[rng.random(shape) < nan] = -np.inf
    return x


def both(x, function, size, **options):
    with np.errstate(all="ignore"):
        called = neighborhood_reduce(x, function, size, engine="python", **options)
    return neighborhood_reduce(x, function, size, engine="compiled", **options), called


@pytest.mark.parametrize("few", [1, 2, 1000])
@pytest.mark.parametrize("nan", [0.0, 0.02])
@pytest.mark.parametrize("size", [(1, 2), 3, (4, 4), (1, 17), 5, (4, 8), (3, 11), 7, (8, 8), 9, (8, 16)])
def test_ranks_and_sums_of_ranks(isa, size, nan, few):
    rng = np.random.default_rng(41)
    x = image(rng, "f8", (23, 70), nan)
    cells = np.prod(size) if isinstance(size, tuple) else size**2
    cut, some = cells // 5, [0, cells // 3, cells // 2, cells - 1]
    functions = (
        lambda w, axis: np.sort(w, axis)[..., cut : cells - cut].mean(axis),
        lambda w, axis: np.sort(w, axis)[..., cut:].sum(axis) - np.sort(w, axis)[..., 0],
        lambda w, axis: np.sort(w, axis)[..., cells // 2],
        lambda w, axis: np.sort(w, axis)[..., some] @ np.array([1.0, 2.0, 4.0, 8.0]),
        lambda w, axis: np.median(w, axis),
        lambda w, axis: np.percentile(w, 30, axis) - w.min(axis),
        lambda w, axis: np.sort(w, axis).sum(axis),
    )
    with use_seams({"neighborhood._FEW_RANKS": few}):
        for function in functions:
            compiled, called = both(x, function, size)
            assert_allclose(compiled, called, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("dtype", EVERY)
def test_ranks_of_all_dtypes(isa, dtype):
    rng = np.random.default_rng(42)
    x = image(rng, dtype, (21, 150))
    for size, rank in ((3, 0), (3, 4), (5, 12), (5, 24), (7, 3)):
        compiled, called = both(x, lambda w, axis, rank=rank: np.sort(w, axis)[..., rank], size)
        assert_array_equal(compiled, called, strict=True)
        compiled, called = both(x, lambda w, axis, rank=rank: w[..., 0] ^ np.sort(w, axis)[..., rank] if w.dtype.kind != "f" else
                                w[..., 0] - np.sort(w, axis)[..., rank], size)  # fmt: skip
        assert_array_equal(compiled, called)


def test_order_of_values_of_cells():
    rng = np.random.default_rng(43)
    x = image(rng, "f4", (30, 90))

    def deviation(w, axis):
        """The median of distances from the median."""
        return np.median(np.abs(w - np.median(w, axis)[..., None]), axis)

    def rows(w, axis):
        """The mean of medians of rows."""
        return np.sort(w.reshape(-1, 3, 3), -1)[..., 1].mean(-1)

    for function in (deviation, rows):
        compiled, called = both(x, function, 3)
        assert_allclose(compiled, called, rtol=1e-6)
    assert "network of 9 cells of pixel" in explain(lambda w, axis: np.sort(w, axis)[..., 3], 3)


def test_windows_that_are_too_large_for_a_network_are_called():
    x = np.random.default_rng(44).random((20, 30))
    with pytest.raises(ValueError, match="so many operations"):
        neighborhood_reduce(x, lambda w, axis: np.sort(w, axis)[..., 3], (1, 129), engine="compiled")
