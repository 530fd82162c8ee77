"""Compiled functions that write out sums of products with constants: their bits are those of NumPy, which is called."""

import ctypes
import itertools

import numpy as np
import pytest
from kernel_calls import elements, filled, pointers, vector_bytes
from numpy.testing import assert_array_equal

import kernels
from fastconv import explain, neighborhood_reduce
from fastconv.runtime import use_seams
from guarded import place

# Which test crosses each constant at which programs change their way.
CROSSED = {"neighborhood._LEAST_CHAIN": "test_same_bits_as_numpy"}


def pairs(w, sign):
    last = w.shape[-1] - 1
    total = w[..., last // 2] * w.dtype.type(0.3)
    for i in range(last // 2):
        pair = w[..., i] + w[..., last - i] if sign > 0 else w[..., i] - w[..., last - i]
        total = total + pair * w.dtype.type(0.1 * i - 0.77)
    return total


def products(w, axis):
    total = w[..., 0] * w.dtype.type(1.7)
    for i in range(1, w.shape[-1]):
        total = w.dtype.type(0.9 / i) * w[..., i] + total
    return total


def columns(w, axis):
    """Down, cut, along, in a box of 5 rows and 5 columns."""
    rows, (a, b, c) = w.reshape(-1, 5, 5), w.dtype.type([0.4, 0.2, 0.1])
    down = rows[:, 2] * a + (rows[:, 0] + rows[:, 4]) * c + (rows[:, 1] + rows[:, 3]) * b
    down = np.floor(down * w.dtype.type(64))
    return down[:, 2] * a + (down[:, 0] - down[:, 4]) * c + (down[:, 1] - down[:, 3]) * b


def mixed(w, axis):
    """Sums and differences, values that are none of cells, and a constant that broadcasts."""
    low = w.min(axis)
    total = low * w.dtype.type(0.2) + (w[..., 0] + w[..., 1]) * w.dtype.type(0.7) + (w[..., 2] - low) * w.dtype.type(1.3)
    spread = (
        w * w.dtype.type(0.5)
        + np.abs(w) * w.dtype.type(0.25)
        + (w - low[..., None]) * np.linspace(0, 1, w.shape[-1]).astype(w.dtype)
    )
    return total + spread.max(axis) * w.dtype.type(2)


FUNCTIONS = {
    "sums": lambda w, axis: pairs(w, 1),
    "differences": lambda w, axis: pairs(w, -1),
    "products": products,
    "columns": columns,
    "mixed": mixed,
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_as_numpy(name, dtype, isa):
    rng = np.random.default_rng(71)
    for size, (rows, width), chain in itertools.product(((3, 3), (5, 5), (3, 1)), ((1, 1), (30, 171)), (1, 3, 1000)):
        x = rng.standard_normal((rows, width)).astype(dtype)
        x[rng.random(x.shape) < 0.01] = np.nan
        x[rng.random(x.shape) < 0.01] = np.inf
        if size != (5, 5) and name == "columns":
            continue
        with use_seams({"neighborhood._LEAST_CHAIN": chain}), np.errstate(all="ignore"):
            compiled = neighborhood_reduce(x, FUNCTIONS[name], size, engine="compiled")
            called = neighborhood_reduce(x, FUNCTIONS[name], size, engine="python")
        assert_array_equal(compiled, called, strict=True)


def test_what_is_one_operation():
    assert "pair_sums of 9 cells" in explain(FUNCTIONS["sums"], 3)
    assert "pair_differences of 9 cells" in explain(FUNCTIONS["differences"], 3)
    assert "products of 9 cells" in explain(FUNCTIONS["products"], 3)
    assert explain(FUNCTIONS["columns"], 5).count(" = ") == 4
    assert "products" not in explain(lambda w, axis: w[..., 0] * 2.0 + w[..., 1], 3)
    assert "products" not in explain(lambda w, axis: w[..., 0] * 2 + w[..., 1] * 3 + w[..., 2] * 4, 3, dtype="i8")


@kernels.needs_headers
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_kernels(dtype, isa, rng):
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    for n, count in itertools.product((1, lanes, 4 * lanes + 1), (1, 3, 5, 9)):
        values = rng.standard_normal((count, n)).astype(dtype)
        weights = place(rng.standard_normal(count).astype(dtype), at_end=True)
        terms = [filled(row, lanes, 1) for row in values]
        at = pointers(terms)
        for code, sign in (("PRODUCTS", 0), ("PAIR_SUMS", 1), ("PAIR_DIFFERENCES", -1)):
            expected, k = values[0] * weights[0], 1
            for t in range(1, count, 2 if sign else 1):
                expected = expected + (values[t] + sign * values[t + 1] if sign else values[t]) * weights[k]
                k += 1
            dst = filled(np.zeros(n, dtype), lanes, 0)
            used = place(weights[:k].copy(), at_end=True)
            elements(dtype).operation(kernels.arguments(
                "fc_operation", code=kernels.constant(f"FC_DO_{code}"), dst=dst, n=n, count=count,
                terms=ctypes.addressof(at), weights=used))  # fmt: skip
            assert_array_equal(dst[:n], expected)
