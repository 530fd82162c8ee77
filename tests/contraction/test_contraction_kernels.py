"""The kernels of contractions alone, against their contracts in kernels/contraction/table.h, flush against pages that must not
be touched."""

import ctypes
import itertools
import math

import numpy as np
import pytest

import kernels
from guarded import place
from kernels import small
from support import FLOATS

pytestmark = kernels.needs_headers

ENDS = pytest.mark.parametrize("at_end", [True, False])


def flush(rng, rows, columns, step, dtype, at_end=True):
    """Rows `step` apart of which the last one, without a gap, ends at the page, or the first one begins there."""
    flat = place(small(rng, (rows - 1) * step + columns, dtype=dtype), at_end)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (step * flat.itemsize, flat.itemsize))


def around(lanes):
    """Sizes around a vector and around the four that loops take at once."""
    return sorted({1, 2, lanes - 1, lanes, lanes + 1, 3 * lanes, 4 * lanes - 1, 4 * lanes, 4 * lanes + 1, 9 * lanes - 1} - {0})


# --- Triple products


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_khatri_rao_panels(isa, dtype, at_end, rng):
    """Runs of one pair, of some and of whole vectors, which may read and write up to a vector beyond the last pair."""
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    cases = [1], [lanes], [4 * lanes], [4 * lanes, 1], [3, 1, lanes + 1], [1] * lanes, [2 * lanes, lanes, lanes - 1 or 1]
    for lengths in cases:
        for samples in (1, 2, 5):
            runs = (kernels.TYPES["fc_pair_run"] * len(lengths))()
            for j, (run, length) in enumerate(zip(runs, lengths, strict=True)):
                run.x, run.y, run.length = int(rng.integers(0, 3)), len(lengths) - 1 - j, length
            read = max(run.x + -(-run.length // lanes) * lanes for run in runs)
            x = flush(rng, samples, read, read + 3, dtype, at_end)
            y = flush(rng, samples, len(lengths), len(lengths) + 1, dtype, at_end)
            width = sum(lengths) + 1
            last = sum(lengths[:-1]) + -(-lengths[-1] // lanes) * lanes
            dst = flush(rng, samples, max(last, sum(lengths)), width, dtype, at_end)
            k.khatri_rao(kernels.arguments(
                "fc_khatri_rao", dst=dst, x=x, y=y, x_step=read + 3, y_step=len(lengths) + 1, m=samples, width=width,
                runs=ctypes.addressof(runs), count=len(lengths),
            ))
            expected = np.concatenate([x[:, r.x : r.x + r.length] * y[:, r.y : r.y + 1] for r in runs], axis=1)
            assert np.array_equal(dst[:, : sum(lengths)], expected), (lengths, samples)


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_operands_of_few_rows(isa, dtype, at_end, rng):
    """Every number of rows around a tile's, the most there may be; samples around a vector; with and without a prefetch."""
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    most = kernels.constant("FC_FEW_ROWS")
    counts = [*itertools.product((1, 2), range(1, 6), range(1, 6)), (3, 8, 9), (most, 1, 1), (1, most, 2), (2, 1, most)]
    for number, rows in enumerate(counts):
        n = around(lanes)[number % len(around(lanes))]
        x, y, z = (flush(rng, count, n, n + gap, dtype, at_end) for gap, count in enumerate(rows))
        sums = flush(rng, 1, math.prod(rows) * lanes, 0, dtype, at_end)
        before = sums.copy().reshape(*rows, lanes)
        ahead = (7, 0, 1 << 20) if number % 2 else (0, 0, 0)
        at = (ctypes.c_void_p * 3)(*(kernels.at(a) for a in (x, y, z)))
        steps = (ctypes.c_ssize_t * 3)(n, n + 1, n + 2)
        k.few_rows(kernels.arguments(
            "fc_few_rows", at=at, rows=(ctypes.c_ssize_t * 3)(*rows), row=steps, ahead=(ctypes.c_ssize_t * 3)(*ahead), n=n,
            sums=sums,
        ))
        products = np.zeros((*rows, -(-n // lanes) * lanes), dtype)
        products[..., :n] = np.einsum("im,jm,km->ijkm", x, y, z)
        expected = before + products.reshape(*rows, -1, lanes).sum(axis=3)
        assert np.array_equal(sums.reshape(expected.shape), expected), (rows, n)


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_less_their_means_and_times_weights(isa, dtype, at_end, rng):
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    for count, rows in itertools.product(around(lanes), (1, 3)):
        source = flush(rng, rows, count, count + 2, dtype, at_end)
        mean = place(rng.standard_normal(rows), at_end)
        expected = (source.astype(np.float64) - mean[:, None]).astype(dtype)
        k.center(kernels.at(source), rows, count, count + 2, kernels.at(mean))
        assert np.array_equal(source, expected)
        source, into = (flush(rng, rows, count, count + 2, dtype, at_end) for _ in range(2))
        weights = place(rng.standard_normal(count).astype(dtype), at_end)
        expected = source * weights
        k.weigh(kernels.at(into), kernels.at(source), rows, count, count + 2, kernels.at(weights))
        assert np.array_equal(into, expected)
        k.weigh(kernels.at(source), kernels.at(source), rows, count, count + 2, kernels.at(weights))
        assert np.array_equal(source, expected)


# --- Sums in twice the precision


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_wide_sums_lose_nothing_that_the_result_would_show(isa, dtype, at_end, rng):
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    for count in around(lanes):
        large = (rng.integers(1, 9, count) * (2.0**60 if dtype == np.float64 else 2.0**30)).astype(dtype)
        parts = [large, small(rng, count, dtype=dtype), -large, (rng.standard_normal(count) / 8).astype(dtype)]
        total = place(np.full(count * (2 if dtype == np.float64 else 1), np.nan), at_end)
        for i, part in enumerate(parts):
            part = place(part, at_end)
            k.widen(kernels.at(total), kernels.at(part), count, i > 0)
        into = place(np.full(count, np.nan, dtype), at_end)
        k.narrow(kernels.at(into), kernels.at(total), count, 0.25)
        exact = np.array([math.fsum(values) / 4 for values in np.stack(parts).astype(np.float64).T])
        np.testing.assert_allclose(into, exact, rtol=2 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_wide_sums_of_infinities(isa, dtype):
    """An infinite sum stays infinite, and its opposite makes it NaN."""
    k = kernels.real("contraction", dtype)
    for values, expected in (([np.inf, 1], np.inf), ([1, -np.inf], -np.inf), ([np.inf, -np.inf], np.nan), ([np.nan, 1], np.nan)):
        total, into = np.zeros(2), np.zeros(1, dtype)
        for i, value in enumerate(values):
            k.widen(kernels.at(total), kernels.at(np.array([value], dtype)), 1, i > 0)
        k.narrow(kernels.at(into), kernels.at(total), 1, 1.0)
        np.testing.assert_array_equal(into, [expected])


# --- mttkrp


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_height_of_the_strided_tile(isa, dtype, at_end, rng):
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    width = k.strided_vectors * lanes
    for rows, length, gap in itertools.product(range(1, k.strided_rows + 1), (1, 2, 17), (0, 5)):
        a = flush(rng, rows, length, length + gap, dtype, at_end)
        b = flush(rng, length, width, width + gap, dtype, at_end)
        c = place(small(rng, rows, width, dtype=dtype), at_end)
        expected = c + a @ b
        k.strided_tile(kernels.arguments(
            "fc_strided_tile", a=a, b=b, a_step=length + gap, b_step=width + gap, length=length, rows=rows, c=c,
            **({"ahead": kernels.at(b, 1 << 20), "ahead_step": 64} if gap else {}),
        ))
        assert np.array_equal(c, expected), (rows, length, gap)


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_times_a_row_of_factors_are_added(isa, dtype, at_end, rng):
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    for width, rows, gap in itertools.product((lanes, 3 * lanes), (1, 4), (0, 3)):
        into, source = flush(rng, rows, width, width + gap, dtype, at_end), place(small(rng, rows, width, dtype=dtype), at_end)
        weights = place(small(rng, width, dtype=dtype), at_end)
        expected = into + source * weights
        k.add_scaled(kernels.at(into), width + gap, kernels.at(source), kernels.at(weights), rows, width)
        assert np.array_equal(into, expected), (width, rows, gap)


# --- One vector along an axis


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_axpy_of_any_rows(isa, dtype, at_end, rng):
    """Lengths around vectors, around those that registers hold, and more; rows close to each other and apart, in any order."""
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    lengths = [*around(lanes), *(v * lanes + e for v in range(7, 18) for e in (0, 1)), 33 * lanes - 1]
    for n, rows, step in itertools.product(lengths, (1, 17), (1, 1.2, 3, -1)):
        step = int(n * step)
        flat = flush(rng, 1, (rows - 1) * abs(step) + n, (rows - 1) * abs(step) + n, dtype, at_end)[0]
        start = (rows - 1) * -step if step < 0 else 0
        source = np.lib.stride_tricks.as_strided(flat[start:], (rows, n), (step * flat.itemsize, flat.itemsize))
        w, c, spare = (place(small(rng, size, dtype=dtype), at_end) for size in (rows, n, n))
        chain, before = w @ source, c.copy()
        arguments = kernels.at(c), kernels.at(flat[start:]), step, kernels.at(w), rows, n
        k.axpy(*arguments, True, kernels.at(spare))
        assert np.array_equal(c, before + chain), (n, rows, step)
        k.axpy(*arguments, False, kernels.at(spare))
        assert np.array_equal(c, chain), (n, rows, step)


@ENDS
@pytest.mark.parametrize("dtype", FLOATS)
def test_dot_products_of_any_length(isa, dtype, at_end, rng):
    """Rows around those that are taken together; lengths around vectors, short rows, a piece and long rows."""
    k, lanes = kernels.real("contraction", dtype), kernels.real("base", dtype).lanes
    piece, item = kernels.constant("FC_DOT_VECTORS") * lanes, np.dtype(dtype).itemsize
    lengths = [*around(lanes), 400 // item, 400 // item + 1, piece - 1, piece, piece + 1, 2 * piece + lanes + 1]
    lengths += [(16 << 10) // item, (16 << 10) // item + 1]
    for n, rows in itertools.product(lengths, (1, 2, 3, 4, 5, 9)):
        source, w = flush(rng, rows, n, n + 1, dtype, at_end), place(small(rng, n, dtype=dtype), at_end)
        c = place(small(rng, rows, dtype=dtype), at_end)
        before = c.copy()
        k.dot(kernels.at(c), kernels.at(source), n + 1, kernels.at(w), rows, n, True)
        assert np.array_equal(c, before + source @ w), (n, rows)
        k.dot(kernels.at(c), kernels.at(source), n + 1, kernels.at(w), rows, n, False)
        assert np.array_equal(c, source @ w), (n, rows)


@ENDS
@pytest.mark.parametrize("source", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_integers_of_any_kind_modulo_two_to_the_64(isa, source, at_end, rng):
    own = kernels.constant(f"FC_{source[0].upper()}{8 * int(source[1])}")
    limits = np.iinfo(source)
    for n, gap, swapped in itertools.product((1, 7, 33), (1, 3), (False, True)):
        values = rng.integers(limits.min, limits.max, n * gap - gap + 1, source, endpoint=True)
        values = place(values.astype(np.dtype(source).newbyteorder()) if swapped else values, at_end)
        weight = int(rng.integers(0, 2**64, dtype=np.uint64))
        c = place(rng.integers(0, 2**64, n, np.uint64), at_end)
        expected = [(int(before) + weight * int(value)) % 2**64 for before, value in zip(c, values[::gap], strict=True)]
        kind = own | kernels.constant("FC_SWAPPED") if swapped else own
        kernels.table().contraction.integer_axpy(kernels.at(c), kernels.at(values), gap * values.itemsize, n, weight, kind)
        assert c.tolist() == expected, (n, gap, swapped)
