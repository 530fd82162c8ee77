"""Compiled functions whose parts named reductions compute: against NumPy, which is called, and what explain says of them."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastconv import explain, neighborhood_reduce
from fastconv.runtime import use_seams

# Which test crosses each constant at which programs change their way.
CROSSED = {
    "neighborhood._NAMED_CELLS": "test_footprints",
    "neighborhood._NAMED_SUMS": "test_dtypes_and_sizes",
    "neighborhood._NAMED_VARIANCES": "test_dtypes_and_sizes",
}
NAMED = {"neighborhood._NAMED_SUMS": 1, "neighborhood._NAMED_VARIANCES": 1}  # as many as there can be


@pytest.fixture(autouse=True)
def named(request):
    with use_seams(getattr(request, "param", NAMED)):
        yield

FUNCTIONS = {
    "contrast": lambda w, axis: (w[..., w.shape[-1] // 2] - w.min(axis)) / (w.max(axis) - w.min(axis) + 1.0),
    "variation": lambda w, axis: w.std(axis) / (1.0 + w.mean(axis)),
    "variance": lambda w, axis: w.var(axis, ddof=1) + w[..., 0],
    "sum": lambda w, axis: w.sum(axis) * 2.0 - w[..., 0],
    "median": lambda w, axis: w[..., 0] - np.median(w, axis),
    "between": lambda w, axis: np.percentile(w, 80, axis) - np.percentile(w, 20, axis),
    "deviation": lambda w, axis: np.abs(w - np.median(w, axis)[..., None]).mean(axis),
    "extremes alone": lambda w, axis: w.max(axis) - np.median(w, axis),
}
EVERY = ("?", "u1", "i1", "u2", "i4", "u8", "i8", "f4", "f8")


def image(rng, dtype, shape, nan=0.0):
    x = rng.integers(0, 2 if dtype == "?" else 60, shape).astype(dtype)
    for value in (np.nan, np.inf, -np.inf) if nan else ():
        x[rng.random(shape) < nan] = value
    return x


def check(x, name, size=None, **options):
    function = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        called = neighborhood_reduce(x, function, size, engine="python", **options)
    compiled = neighborhood_reduce(x, function, size, engine="compiled", **options)
    rounding = 2e-6 if compiled.dtype == np.float32 else 1e-12
    assert_allclose(compiled, called, rtol=rounding, atol=rounding * 100, strict=True)


@pytest.mark.parametrize("named", [NAMED, dict.fromkeys(NAMED, 10), dict.fromkeys(NAMED, 10000)], indirect=True)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes_and_sizes(name, isa):
    rng = np.random.default_rng(51)
    for dtype, size in itertools.product(EVERY, (3, (2, 5), (1, 9), (6, 1), 11)):
        if dtype == "?" and name in ("contrast", "extremes alone", "median", "between", "deviation"):
            continue  # NumPy subtracts no booleans
        if dtype[0] == "u" and name in ("deviation", "median"):
            continue  # which wrap around, so that rounding of the median decides
        if dtype[1:] == "8" and dtype[0] != "f" and name == "variation":
            continue  # rounding decides what 1 and the mean of the largest numbers are
        check(image(rng, dtype, (37, 83)), name, size)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name, isa):
    rng = np.random.default_rng(52)
    for dtype, size in itertools.product(("f4", "f8"), (3, (4, 7), 11)):
        check(image(rng, dtype, (37, 83), nan=0.01), name, size)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_modes_steps_and_dimensions(name):
    rng = np.random.default_rng(53)
    x = image(rng, "f8", (31, 77))
    for mode in ("nearest", "mirror", "wrap", "constant", "valid", "reflect", "ignore"):
        check(x, name, (5, 3), mode=mode, cval=7.0)
    check(x, name, 5, step=(1, 2))
    check(x, name, 5, step=(3, 1), origin=(1, -2))
    check(x.T, name, 5, axes=0)
    check(image(rng, "f4", (7, 9, 70)), name, (3, 2, 5))
    check(image(rng, "f8", (3, 5, 9, 20)), name, (2, 3, 1, 3), axes=(0, 1, 2, 3))
    check(image(rng, "f8", 300), name, 9)
    check(x, name, 3, mask=rng.random(x.shape) < 0.95)
    check(np.where(rng.random(x.shape) < 0.02, np.nan, x), name, 3, nan_policy="omit")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_footprints(name):
    rng = np.random.default_rng(54)
    x = image(rng, "f8", (31, 77))
    disk = np.hypot(*np.ogrid[-3:4, -3:4]) < 3.3
    for cells in (1, 1000):
        with use_seams({"neighborhood._NAMED_CELLS": cells}):
            check(x, name, footprint=disk)
            check(x, name, footprint=np.array([[1, 0, 1], [0, 1, 0]], bool))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_for_any_threads_blocks_and_strips(name):
    rng = np.random.default_rng(55)
    x = rng.random((67, 301))
    whole = neighborhood_reduce(x, FUNCTIONS[name], (4, 5), engine="compiled", workers=1)
    for workers, (rows, strip) in itertools.product((1, 2, 3), ((1, 64), (5, 1 << 20), (16, 256))):
        with use_seams({"neighborhood.ROWS": rows, "neighborhood.STRIP_BYTES": strip, "neighborhood.REGION_BYTES": 1 << 14}):
            part = neighborhood_reduce(x, FUNCTIONS[name], (4, 5), engine="compiled", workers=workers)
            if name in ("variation", "variance", "sum", "deviation"):
                assert_allclose(part, whole, rtol=1e-13)  # blocks decide how sums are cut
            else:
                assert_array_equal(part, whole)
    for workers in (2, 3):
        assert_array_equal(neighborhood_reduce(x, FUNCTIONS[name], (4, 5), engine="compiled", workers=workers), whole)


def test_beside_names_and_other_functions():
    rng = np.random.default_rng(56)
    x = image(rng, "f8", (40, 90))
    names = ["max", FUNCTIONS["contrast"], ("percentile", 20), "mean", FUNCTIONS["between"], FUNCTIONS["sum"], "min", "median"]
    for result, one in zip(neighborhood_reduce(x, names, 5), names, strict=True):
        assert_allclose(result, neighborhood_reduce(x, one, 5), rtol=1e-13)


def test_large_boxes_have_no_names_beside_programs():
    """Named reductions of large boxes go another way."""
    x = np.random.default_rng(57).random((150, 170))
    assert "by name" in explain(FUNCTIONS["variance"], 60)
    assert "by name" not in explain(FUNCTIONS["variance"], 120)
    check(x, "contrast", (120, 121))
    check(x, "variance", (120, 121))


def test_what_is_named():
    assert explain(FUNCTIONS["contrast"], 3).count("by name") == 2
    assert "var of all cells, by name" in explain(FUNCTIONS["variation"], 3)
    assert "rank 4 of all cells, by name" in explain(FUNCTIONS["median"], 3)
    assert "sum of all cells, by name" in explain(FUNCTIONS["sum"], 3, dtype="u1")
    assert "by name" not in explain(lambda w, axis: w[..., 1:].max(axis), 3)
    assert "by name" not in explain(lambda w, axis: (w * w).sum(axis), 3)
    assert "by name" not in explain(lambda w, axis: np.sort(w, axis)[..., 2] + 1, 3)  # a NaN stays behind there
    assert "var" not in explain(lambda w, axis: ((w - w.sum(axis, keepdims=True) / 8) ** 2).sum(axis), 3)
    assert "by name" not in explain(lambda w, axis: w.sum(axis, dtype="f4"), 3, dtype="i8")
