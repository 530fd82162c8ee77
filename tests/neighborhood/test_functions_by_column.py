"""Compiled functions that make something of the columns of their windows, which is done once for all windows: against NumPy."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastconv import explain, neighborhood_reduce
from fastconv.runtime import use_seams

DOWN, ALONG = np.array([1.0, 4.0, -2.0]), np.array([0.5, 3.0, 0.0, -1.0, 2.0])
WEIGHTS = np.outer(DOWN, ALONG).ravel()


def grid(w):
    return w.reshape(-1, 3, 5)


def uneven(w, axis):
    """Columns of three kinds, each of its own sum."""
    rows = grid(w)
    return rows[:, :, 0].sum(1) + rows[:, 1:, 1:3].sum(1).max(-1) * rows[:, 0, 4]


FUNCTIONS = {
    "product": lambda w, axis: w @ WEIGHTS.astype(w.dtype),
    "nearly a product": lambda w, axis: w @ (WEIGHTS + 1e-3 * (np.arange(15) == 7)).astype(w.dtype),
    "sums of sums": lambda w, axis: (grid(w) * DOWN[:, None].astype(w.dtype)).sum(1) @ ALONG.astype(w.dtype),
    "cut between": lambda w, axis: (
        np.floor((grid(w) * DOWN[:, None].astype(w.dtype)).sum(1) / w.dtype.type(7)) @ ALONG.astype(w.dtype)
    ),
    "extremes of extremes": lambda w, axis: grid(w).min(1).max(-1) - grid(w).max(1).min(-1),
    "spread of columns": lambda w, axis: np.ptp(grid(w).mean(1), -1),
    "neighbouring columns": lambda w, axis: np.abs(np.diff(grid(w).sum(1), axis=-1)).sum(-1),
    "one column": lambda w, axis: grid(w)[:, :, 3].sum(1),
    "two columns": lambda w, axis: grid(w)[:, :, [1, 3]].sum(1).max(-1),
    "columns beside cells": lambda w, axis: (grid(w).sum(1) * grid(w)[:, 1]).sum(-1),
    "columns and the window": lambda w, axis: (grid(w).sum(1) - w.sum(axis)[:, None] / w.dtype.type(5)).max(-1),
    "medians of columns": lambda w, axis: np.median(grid(w), 1).mean(-1),
    "rows": lambda w, axis: grid(w).sum(-1).max(-1),
    "where": lambda w, axis: np.where(grid(w).max(1) > 20, grid(w).min(1), grid(w).sum(1)).sum(-1),
    "uneven": uneven,
}


def image(rng, dtype, shape, nan=0.0):
    x = rng.integers(0, 30, shape).astype(dtype)
    for value in (np.nan, np.inf, -np.inf) if nan else ():
        x[rng.random(shape) < nan] = value
    return x


def check(x, name, size=(3, 5), **options):
    with np.errstate(all="ignore"):
        called = neighborhood_reduce(x, FUNCTIONS[name], size, engine="python", **options)
    compiled = neighborhood_reduce(x, FUNCTIONS[name], size, engine="compiled", **options)
    rounding = 2e-6 if compiled.dtype == np.float32 else 1e-13
    assert_allclose(compiled, called, rtol=rounding, atol=rounding * 1000, strict=True)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_columns(name, dtype, isa):
    rng = np.random.default_rng(61)
    for nan, shape in itertools.product((0, 0.01), ((1, 1), (2, 3), (40, 33), (9, 300))):
        check(image(rng, dtype, shape, nan), name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_orders_steps_and_modes(name):
    rng = np.random.default_rng(62)
    x = image(rng, "f8", (41, 73))
    for order in (x, x.T, x[::-1, ::-1], np.asfortranarray(x), x[:, ::2], x.T[::3]):
        check(order, name)
    check(image(rng, "f4", (50, 3)), name)
    for mode in ("nearest", "mirror", "wrap", "constant", "valid"):
        check(x, name, mode=mode, cval=7.0)
    for step in ((1, 2), (2, 1), (3, 3)):
        check(x, name, step=step, origin=(1, -1))
    for axes in ((0, 2), (2, 1), (1, 0)):
        check(image(rng, "f8", (11, 9, 40)), name, axes=axes)
    check(image(rng, "f8", (11, 9, 40)), name, size=(3, 1, 5))
    check(image(rng, "f8", (11, 9, 40)), name, size=(1, 5, 3))
    check(image(rng, "f8", (40, 70)), name, size=(5, 3))
    check(image(rng, "f8", (20, 70)), name, size=(1, 15))
    check(image(rng, "f8", (70, 20)), name, size=(15, 1))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_for_any_number_of_threads_and_strip(name):
    rng = np.random.default_rng(63)
    x = rng.random((30, 700))
    whole = neighborhood_reduce(x, FUNCTIONS[name], (3, 5), engine="compiled", workers=1)
    for workers, strip in itertools.product((1, 2, 3), (1, 64, 1 << 20)):
        seams = {"neighborhood.PROGRAM_LEAST_STRIP": strip, "neighborhood.REGISTER_BYTES": strip, "neighborhood.ROWS": 3}
        with use_seams(seams):
            part = neighborhood_reduce(x, FUNCTIONS[name], (3, 5), engine="compiled", workers=workers)
        if name == "columns and the window":
            assert_allclose(part, whole, rtol=1e-13)
        else:
            assert_array_equal(part, whole)


@pytest.mark.parametrize("size", [(3, 3), (9, 9), (3, 4, 5), (2, 31), (31, 2)])
def test_weights_that_are_products(size, isa):
    rng = np.random.default_rng(64)
    factors = [rng.standard_normal(n) for n in size]
    weights = np.einsum(",".join("abc"[: len(size)]) + "->" + "abc"[: len(size)], *factors).ravel()
    for dtype in ("f4", "f8"):
        x = rng.standard_normal((7, 9, 60)[-len(size) :]).astype(dtype)
        x[..., 20] *= 1e6
        used = weights.astype(dtype)
        found = neighborhood_reduce(x, lambda w, axis, used=used: w @ used, size, engine="compiled")
        exact = neighborhood_reduce(x.astype("f8"), lambda w, axis, used=used: w @ used.astype("f8"), size, engine="python")
        bound = neighborhood_reduce(np.abs(x.astype("f8")), lambda w, axis, used=used: w @ np.abs(used.astype("f8")), size,
                                    engine="python")  # fmt: skip
        assert (np.abs(found - exact) <= (sum(size) + 8) * np.finfo(dtype).eps * bound).all()


def test_what_is_done_by_column():
    def text(name):
        return explain(FUNCTIONS[name], (3, 5))

    assert text("product").count(" = ") == text("sums of sums").count(" = ") == 2
    assert "dot of 15 cells" in text("nearly a product")
    assert text("cut between").count(" = ") == 4
    assert text("extremes of extremes").count(" = ") == 5
    assert "subtract(v0 shifted by 1, v0)" in text("neighbouring columns")
    assert "dot of 15 cells" in explain(FUNCTIONS["product"], (3, 5), step=2)
