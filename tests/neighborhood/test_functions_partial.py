"""Functions that are compiled, where some cells do not count: what they are called for, and what stays of the program."""

import itertools
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_functions_compiled import DTYPES, numbers

from fastconv import neighborhood_reduce
from fastconv.runtime import use_seams

FUNCTIONS = {
    "spread": lambda v, axis: v.max(axis) - v.min(axis),
    "mean": lambda v, axis: v.mean(axis) - v[..., 0],
    "first above": lambda v, axis: (v > v[..., :1]).sum(axis),
    "one window": lambda window: window.max() * len(window),
}
WINDOWS = [
    {"size": 3}, {"size": (1, 5)}, {"size": (4, 2), "origin": (1, 0)}, {"size": 7}, {"size": 3, "step": (2, 3)},
    {"footprint": np.hypot(*np.mgrid[-2:3, -2:3]) < 2.3}, {"size": 5, "mode": "valid"}, {"size": 3, "axes": 1},
]  # fmt: skip


def agree(x, function, units=16, **options):
    """Checks a compiled function against the function called; returns the former."""
    with np.errstate(all="ignore"):
        called = neighborhood_reduce(x, function, engine="python", **options)
        got = neighborhood_reduce(x, function, engine="compiled", **options)
    assert got.dtype == called.dtype
    if got.dtype.kind in "fc":
        eps = np.finfo(got.dtype).eps
        assert_allclose(got, called, rtol=units * eps, atol=units * eps * np.abs(called[np.isfinite(called)]).max(initial=1))
    else:
        assert_array_equal(got, called)
    return got


def kinds_of_missing(rng, x):
    """Options that let cells not count: few, most, and whole regions of them."""
    regions = np.ones(x.shape, bool)
    regions[2:9, ..., : x.shape[-1] // 2] = False
    yield {"mode": "ignore"}
    for mask in (rng.random(x.shape) > 0.02, rng.random(x.shape) > 0.9, regions, np.zeros(x.shape, "i2") + regions):
        yield {"mask": mask}
    yield {"mask": regions, "mode": "ignore"}
    yield {"mask": regions, "mode": "constant", "cval": 1.0}
    if x.dtype.kind == "f":
        yield {"nan_policy": "omit"}
        yield {"nan_policy": "omit", "mode": "ignore", "mask": regions}
        yield {"nan_policy": "omit", "mode": "constant", "cval": np.nan}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_windows_with_cells_that_do_not_count(name, dtype):
    rng, function = np.random.default_rng(1), FUNCTIONS[name]
    if dtype == "?":
        function = {"spread": lambda v, axis: v.any(axis), "mean": lambda v, axis: v.mean(axis)}.get(name, function)
    x = numbers(rng, (14, 90), dtype, special=False)
    if x.dtype.kind == "f":
        x[rng.random(x.shape) < 0.01] = np.nan
        x[10:, 40:60] = np.nan
    for missing, window in itertools.product(kinds_of_missing(rng, x), WINDOWS):
        if window.get("mode") != "valid" or "mode" not in missing:
            agree(x, function, **{**window, **missing})


@pytest.mark.parametrize("shape", [(60,), (6, 7, 40), (40, 6, 7), (2, 3, 4, 25)])
def test_dimensions_and_layouts(shape):
    rng = np.random.default_rng(2)
    x = numbers(rng, shape, "f8", special=False)
    mask = rng.random(shape) > 0.05
    functions = FUNCTIONS["mean"], FUNCTIONS["one window"]
    for function, options in itertools.product(functions, ({"mode": "ignore"}, {"mask": mask})):
        agree(x, function, size=3, **options)
        agree(x, function, size=2, step=2, axes=(x.ndim - 1,), **options)
        agree(x.astype(">f8"), function, size=3, **options)
        options = {key: value.T if key == "mask" else value for key, value in options.items()}
        agree(x.T, function, size=4, **options)


def test_windows_larger_than_the_input():
    x = numbers(np.random.default_rng(3), (5, 8), "f8", special=False)
    for size in (9, (5, 1), (1, 8), (10, 16), 12):
        agree(x, FUNCTIONS["spread"], size=size, mode="ignore")
        agree(x, FUNCTIONS["spread"], size=size, mode="ignore", mask=x > 0)


def test_only_windows_with_cells_that_do_not_count_are_called():
    x, seen = np.random.default_rng(4).random((400, 400)), []

    def noted(v, axis):
        if type(v) is np.ndarray:
            seen.append(v.shape)
        return v.max(axis) - v.min(axis)

    mask = np.ones(x.shape, bool)
    mask[200, 100] = False
    for options, called in (({"mode": "ignore"}, 4 * 399), ({"mask": mask}, 9)):
        for workers in (None, 2):
            seen.clear()
            neighborhood_reduce(x, noted, 3, engine="compiled", workers=workers, **options)
            assert sum(windows for windows, cells in seen if cells < 9) == called
            assert sum(windows for windows, cells in seen if cells == 9) < 200  # checks


def test_batches_and_threads_give_the_same_bits():
    rng = np.random.default_rng(5)
    x = rng.random((60, 300))
    options = {"mask": rng.random(x.shape) > 0.1, "mode": "ignore", "engine": "compiled"}
    for function in (FUNCTIONS["mean"], lambda window: window.mean()):
        whole = neighborhood_reduce(x, function, 5, **options)
        for workers in (1, 2, 5):
            assert_array_equal(neighborhood_reduce(x, function, 5, workers=workers, **options), whole)
        for seam in ("_BLOCK_BYTES", "_WINDOW_BYTES"):
            with use_seams({f"neighborhood.{seam}": 1000}):
                assert_array_equal(neighborhood_reduce(x, function, 5, **options), whole)


def test_dtypes_and_outs():
    rng = np.random.default_rng(6)
    x = numbers(rng, (20, 60), "f8", special=False)
    options = {"size": 3, "mask": rng.random(x.shape) > 0.3, "mode": "ignore"}
    for dtype in ("f4", "i1", "u8", "?", "c16", "f2"):
        agree(x, FUNCTIONS["mean"], dtype=dtype, **options)
    out = np.empty((60, 20), "f4").T
    assert neighborhood_reduce(x, FUNCTIONS["mean"], out=out, engine="compiled", **options) is out
    assert_array_equal(out, agree(x, FUNCTIONS["mean"], dtype="f4", **options))
    expected = neighborhood_reduce(x, FUNCTIONS["spread"], **options)
    got = neighborhood_reduce(x, ["sum", FUNCTIONS["spread"], "max", FUNCTIONS["mean"]], **options)
    assert_array_equal(got[0], neighborhood_reduce(x, "sum", **options))
    assert_array_equal(got[1], expected)
    assert_array_equal(got[2], neighborhood_reduce(x, "max", **options))
    alias = x.copy()
    neighborhood_reduce(alias, FUNCTIONS["spread"], out=alias, engine="compiled", **options)
    assert_array_equal(alias, expected)


def test_dtypes_that_depend_on_how_many_cells_count():
    rng = np.random.default_rng(7)
    x = rng.integers(0, 99, (20, 60)).astype("i4")
    mask = rng.random(x.shape) > 0.05

    def changing(v, axis):
        return v.max(axis) if v.shape[-1] == 9 else v.mean(axis)

    assert agree(x, changing, size=3, mask=mask).dtype == np.float64
    assert agree(x, FUNCTIONS["spread"], size=3, mask=np.zeros(x.shape, bool)).dtype == np.float64
    assert agree(x, FUNCTIONS["spread"], size=3, mask=mask).dtype == np.int32


def test_errors_of_windows_with_fewer_cells_come_out():
    x = np.random.default_rng(8).random((20, 60))
    for function, error in ((lambda v, axis: v[..., 8], IndexError), (lambda v, axis: v @ np.arange(9), ValueError)):
        neighborhood_reduce(x, function, 3, engine="compiled")
        for engine in ("python", "auto"):
            with pytest.raises(error):
                neighborhood_reduce(x, function, 3, mode="ignore", engine=engine)


@pytest.mark.slow
def test_memory_is_bounded():
    rng = np.random.default_rng(9)
    x, out = rng.random((300, 4000)), np.empty((300, 4000))
    for size, options in itertools.product((3, (1, 255)), ({"mode": "ignore"}, {"mask": rng.random(x.shape) > 0.01})):
        options = {"engine": "compiled", "workers": 2, **options}
        neighborhood_reduce(x, FUNCTIONS["mean"], size, out=out, **options)
        tracemalloc.start()
        neighborhood_reduce(x, FUNCTIONS["mean"], size, out=out, **options)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= (16 + 2 * 4) << 20
