"""conv2d: the error bound that its docstring guarantees, attacked by data whose rounding errors all have one sign."""

import functools

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import fastconv
import reference
from support import FLOATS, ROUNDOFF, Problem, assert_same_bits, assert_within

both = pytest.mark.parametrize("dtype", FLOATS)

# Each way of the drivers on some instruction set, with sums of one chain, of a few, of many levels.
WAYS = {
    problem.name: problem
    for problem in (
        Problem("a chain", (4, 6, 3), (3, 3, 3, 40)),
        Problem("pointwise", (3, 7, 64), (1, 1, 64, 40)),
        Problem("tile", (7, 9, 64), (3, 3, 64, 64)),
        Problem("packed tile", (13, 17, 33), (3, 3, 33, 33), {"dilations": (1, 2), "strides": 2}),
        Problem("one vector", (5, 8, 96), (3, 3, 96, 16)),
        Problem("deep", (5, 6, 512), (3, 3, 512, 40)),
        Problem("deeper", (2, 3, 16384), (1, 1, 16384, 17)),
        Problem("few filters", (5, 9, 72), (3, 3, 72, 4)),
        Problem("few filters of odd depth", (5, 9, 7), (5, 5, 7, 3)),
        Problem("few filters, deep", (2, 5, 517), (1, 1, 517, 3)),
        Problem("two filters", (5, 40, 60), (3, 3, 60, 2)),
        Problem("plane 25x25", (30, 60, 1), (25, 25, 1, 1)),
        Problem("plane 41x41", (47, 80, 1), (41, 41, 1, 1)),
        Problem("plane 17x9", (30, 40, 1), (17, 9, 1, 1)),
        Problem("moving average", (1, 16450, 1), (1, 16384, 1, 1)),
        Problem("depthwise 3x3", (5, 6, 40), (3, 3, 1, 40), {"groups": 40}),
        Problem("depthwise 15x15", (17, 20, 17), (15, 15, 1, 17), {"groups": 17}),
    )
}
ways = pytest.mark.parametrize("way", WAYS)


def guaranteed(terms):
    """Return the bound of the docstring in u |x| * |w|."""
    levels = 0
    while 64 * 3**levels < terms:
        levels += 1
    return min(terms, 64) + 2 * levels


def window_sums(x, problem):
    """Return the sums of integers under the windows, (Ho, Wo) or for groups (Ho, Wo, C)."""
    fh, fw = problem.filters[:2]
    (sh, sw), (dh, dw) = (reference.pair(problem.options.get(name, 1)) for name in ("strides", "dilations"))
    windows = sliding_window_view(x, ((fh - 1) * dh + 1, (fw - 1) * dw + 1), axis=(0, 1))[::sh, ::sw, ..., ::dh, ::dw]
    return windows.sum((-1, -2) if "groups" in problem.options else (-1, -2, -3))


def terms_of(problem):
    return int(np.prod(problem.filters[:3]))


def specks(rng, problem, dtype, density):
    """Return one 1 amid numbers that vanish beside it one by one, its result by filters of ones, and that of sizes."""
    small = np.nextafter(dtype(ROUNDOFF[np.dtype(dtype)]), dtype(0))
    one = np.zeros(problem.input, int)
    third = np.array(problem.input[:2]) // 3
    one[tuple(rng.integers(third, 1 + 2 * third))] = 1
    if "groups" not in problem.options:
        one[..., rng.permutation(problem.input[2])[1:]] = 0
    mask = (rng.random(problem.input) < density) & (one == 0)
    return one, mask, small


@both
@ways
@pytest.mark.parametrize("density", [1, 0.5, 1 / 32])
def test_the_bound_holds_where_each_addition_loses_its_term(isa, rng, way, density, dtype):
    problem = WAYS[way]
    one, mask, small = specks(rng, problem, dtype, density)
    x = (one + mask * small).astype(dtype)
    result = fastconv.conv2d(x, np.ones(problem.filters, dtype), **problem.options).astype(np.float64)
    ones, count = window_sums(one, problem), window_sums(mask.astype(int), problem)
    if "groups" not in problem.options:
        ones, count = ones[..., None], count[..., None]
    # What is left of the result beside the 1 is exact, and so is the sum of the others.
    error = (result - ones) - float(small) * count
    bound = guaranteed(terms_of(problem)) * ROUNDOFF[np.dtype(dtype)] * (ones + float(small) * count)
    assert_within(error, np.zeros_like(error), bound)


@functools.cache
def flat_numbers(dtype):
    rng = np.random.default_rng(3)
    return [(dtype(a), dtype(b)) for a, b in [(0.1, 1), (1 / 3, 1), (1.1, 0.7), *rng.uniform(0.5, 1, (9, 2))]]


@both
@ways
def test_flat_images_under_flat_filters(isa, way, dtype):
    """All sums of chains are alike: what one loses, each loses, up to u/4 a term of it. Few filters, often blurs, keep to 8u."""
    problem = WAYS[way]
    terms, few = terms_of(problem), problem.filters[-1] <= 16 or "groups" in problem.options
    for a, b in flat_numbers(dtype):
        result = fastconv.conv2d(np.full(problem.input, a), np.full(problem.filters, b), **problem.options)
        exact = np.full(result.shape, terms * np.longdouble(a) * np.longdouble(b))
        assert_within(result, exact, (8 if few else 16) * ROUNDOFF[np.dtype(dtype)] * exact)


@both
@ways
def test_positive_numbers(isa, way, dtype):
    problem = WAYS[way]
    rng = np.random.default_rng(len(way))
    x = rng.random(problem.input).astype(dtype)
    result = fastconv.conv2d(x, np.ones(problem.filters, dtype), **problem.options)
    exact = window_sums(x.astype(np.float64 if dtype == np.float32 else np.longdouble), problem)
    exact = exact if "groups" in problem.options else exact[..., None]
    exact = np.broadcast_to(exact, result.shape)
    assert_within(result, exact, 8 * ROUNDOFF[np.dtype(dtype)] * exact)


@functools.cache
def integers_case(way):
    x, w = WAYS[way].integers(np.random.default_rng(len(way)))
    return x, w, reference.conv2d(x, w, **WAYS[way].options)


@both
@pytest.mark.parametrize("chain", [1, 2, 3, 5, 31, 64, 1000])
@pytest.mark.parametrize(
    "way", ["tile", "packed tile", "one vector", "few filters", "few filters of odd depth", "few filters, deep"]
)
def test_chains_of_any_length_hold_each_term_once(isa, way, chain, dtype):
    x, w, expected = integers_case(way)
    with fastconv.runtime.use_seams({"conv.CHAIN": chain, "conv.FEW_CHAIN": chain}):
        result = fastconv.conv2d(x.astype(dtype), w.astype(dtype), **WAYS[way].options)
    np.testing.assert_array_equal(result, expected)


@both
@pytest.mark.parametrize("seam", ["conv.CHUNK_BYTES", "conv.SLAB_BYTES", "conv.PIECE"])
@pytest.mark.parametrize("way", ["tile", "packed tile", "deep", "few filters", "deeper"])
def test_chunks_ranges_and_pieces_do_not_change_the_bits(isa, rng, way, seam, dtype):
    problem = WAYS[way]
    x, w = problem.normal(rng, dtype)
    expected = fastconv.conv2d(x, w, **problem.options)
    for value in (1, 5000):
        with fastconv.runtime.use_seams({seam: value}):
            assert_same_bits(fastconv.conv2d(x, w, **problem.options), expected)
