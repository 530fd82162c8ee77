"""conv2d of complex numbers: the formula in real and imaginary parts, whichever way computes it."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from fastconv import runtime
from support import LAYOUTS, PROBLEMS, ROUNDOFF, Problem, assert_same_bits, assert_within

COMPLEX = (np.complex64, np.complex128)
MIXED = (("c8", "f4"), ("f4", "c8"), ("c16", "c8"), ("c8", "i2"), ("u1", "c8"), ("f8", "c8"), ("c8", "f2"), ("?", "c16"))
both = pytest.mark.parametrize("dtype", COMPLEX)
problems = pytest.mark.parametrize("problem", PROBLEMS, ids=str)
LARGE = Problem("large", (2, 30, 33, 16), (3, 3, 16, 24), {"padding": "SAME"})  # which "auto" computes by Winograd's method


def small(rng, shape, dtype):
    """Small integers, as both parts of complex numbers: sums of their products are exact."""
    dtype = np.dtype(dtype)
    low, high = (0, 2) if dtype.kind == "b" else (0, 5) if dtype.kind == "u" else (-4, 5)
    values = rng.integers(low, high, shape)
    return (values + 1j * rng.integers(-4, 5, shape) if dtype.kind == "c" else values).astype(dtype)


def formula(x, w, **options):
    return reference.conv2d(x, w, dtype=np.complex128, sums=reference.shifted_images, **options)


def assert_exact(x, w, **options):
    result = fastconv.conv2d(x, w, method="direct", **options)
    assert result.dtype == np.result_type(x.dtype.newbyteorder("="), w.dtype.newbyteorder("="))
    np.testing.assert_array_equal(result, formula(x, w, **options))


@problems
def test_small_integers_are_exact(isa, rng, problem):
    dtype = COMPLEX[PROBLEMS.index(problem) % 2 ^ isa.endswith(("3", "e"))]
    x, w, bias = small(rng, problem.input, dtype), small(rng, problem.filters, dtype), small(rng, problem.filters[-1:], dtype)
    assert_exact(x, w, bias=bias, **problem.options)


@pytest.mark.parametrize("number", range(len(PROBLEMS)), ids=lambda number: str(PROBLEMS[number]))
def test_other_numbers_beside_complex_ones(rng, number):
    problem = PROBLEMS[number]
    for first, second in (MIXED + MIXED)[number % 8 :][:3]:
        x, w = small(rng, problem.input, first), small(rng, problem.filters, second)
        assert_exact(x, w, bias=small(rng, w.shape[-1:], rng.choice(["c8", "f4", "i4"])), **problem.options)


@pytest.mark.parametrize("kinds", ["cc", "fc", "cf"])
def test_any_number_of_filters_far_apart(isa, rng, kinds):
    """Filters are dealt out by real numbers: some begin with an imaginary part."""
    for filters, groups in itertools.product(range(1, 20), (1, 2)):
        x = small(rng, (2 * groups, 4, 37), {"c": "c8", "f": "f4"}[kinds[0]])
        w = small(rng, (2, 3, 2, filters * groups), {"c": "c8", "f": "f4"}[kinds[1]])
        assert_exact(x, w, groups=groups, data_format="NCHW", bias=small(rng, w.shape[-1:], "c8"))


@given(
    isa=st.sampled_from(fastconv.available_isas()),
    dtypes=st.sampled_from((*itertools.product(("c8", "c16"), repeat=2), *MIXED)),
    channels=st.integers(0, 5),
    groups=st.integers(1, 4),
    multiplier=st.integers(0, 20),
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 24)),
    taps=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    strides=st.tuples(*[st.integers(1, 3)] * 2),
    dilations=st.tuples(*[st.integers(1, 3)] * 2),
    mode=st.sampled_from(("constant", "edge", "symmetric", "wrap")),
    first=st.booleans(),
    flip=st.booleans(),
    layout=st.sampled_from((None, *LAYOUTS)),
    seed=st.integers(0, 999),
)
def test_every_option(isa, dtypes, channels, groups, multiplier, sizes, taps, mode, first, flip, layout, seed, **options):
    rng = np.random.default_rng(seed)
    x = small(rng, (2, *sizes, channels * groups), dtypes[0])
    w = small(rng, (*taps, channels, multiplier * groups), dtypes[1])
    options |= {"groups": groups, "padding_mode": mode, "flip_filters": flip, "padding": (8, 9)}
    if mode == "constant":
        options["cval"] = small(rng, (), dtypes[0] if dtypes[0][0] == "c" else "f8").item()
    if first:
        x, options["data_format"] = np.moveaxis(x, -1, -3).copy(), "NCHW"
    if layout and x.size and x.dtype.kind in "fc":
        x = LAYOUTS[layout](x)
    with fastconv.use_isa(isa):
        assert_exact(x, w, **options)


@functools.cache
def normal(number):
    """Return input, filters, bias and results of one of PROBLEMS."""
    problem, rng, dtype = PROBLEMS[number], np.random.default_rng(number), COMPLEX[number % 2]
    x, w, bias = (
        (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
        for shape in (problem.input, problem.filters, problem.filters[-1:])
    )
    mixed = fastconv.conv2d(x.real, w, **problem.options), fastconv.conv2d(x, w.real, **problem.options)
    return x, w, bias, fastconv.conv2d(x, w, bias=bias, **problem.options), *mixed


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_change_the_bits(layout):
    for number, problem in enumerate(PROBLEMS):
        x, w, bias, expected, real_input, real_filters = normal(number)
        assert_same_bits(fastconv.conv2d(LAYOUTS[layout](x), w, bias=bias, workers=3, **problem.options), expected)
        assert_same_bits(fastconv.conv2d(x, LAYOUTS[layout](w), bias=bias, **problem.options), expected)
        assert_same_bits(fastconv.conv2d(x.real.copy(), LAYOUTS[layout](w), **problem.options), real_input)
        assert_same_bits(fastconv.conv2d(LAYOUTS[layout](x), w.real, **problem.options), real_filters)
        if layout not in ("read-only", "byte-swapped"):
            out = LAYOUTS[layout](np.zeros_like(expected))
            assert fastconv.conv2d(x, w, bias=bias, out=out, **problem.options) is out
            assert_same_bits(out, expected)


@both
@pytest.mark.parametrize("method", ["auto", "winograd", "direct"])
def test_winograd_and_prepared_filters(rng, dtype, method):
    """Each part keeps the bound of real numbers, in which the products of parts count."""

    def numbers(shape, kind):
        return (rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if kind == "c" else 0)).astype(
            dtype if kind == "c" else dtype(0).real.dtype
        )

    for kinds in ("cc", "cr", "rc"):
        x, w = numbers(LARGE.input, kinds[0]), numbers(LARGE.filters, kinds[1])
        result = fastconv.conv2d(x, w, method=method, **LARGE.options)
        prepared = fastconv.prepare_filters(w, method=method)
        for workers in (1, 3):
            assert_same_bits(fastconv.conv2d(x, prepared, method=method, workers=workers, **LARGE.options), result)
        assert_same_bits(fastconv.conv2d(LAYOUTS["sliced"](x), prepared, method=method, **LARGE.options), result)
        sizes = [np.abs(a.real) + np.abs(a.imag) for a in (x, w)]
        largest = np.broadcast_to(sizes[1].max((0, 1), keepdims=True), w.shape) if method != "direct" else sizes[1]
        scale = reference.conv2d(sizes[0], largest, sums=reference.shifted_images, **LARGE.options)
        bound = (32 if method != "direct" else 8) * ROUNDOFF[dtype(0).real.dtype] * scale
        if dtype == np.complex64:  # in complex128 the reference rounds as much
            expected = formula(x, w, **LARGE.options)
            for part in ("real", "imag"):
                assert_within(getattr(result, part).astype(float), getattr(expected, part), bound)
        else:
            np.testing.assert_allclose(result, formula(x, w, **LARGE.options), rtol=0, atol=1e-11)


SPECIAL = (np.nan, np.inf, -np.inf, complex(np.inf, np.nan), complex(0, np.inf), complex(np.nan, 1))


@both
@pytest.mark.parametrize("value", SPECIAL, ids=str)
@pytest.mark.parametrize("shape", [(8, 9, 3), (14, 20, 16)], ids=str)
def test_special_values_land_where_the_parts_put_them(rng, dtype, value, shape):
    w = small(rng, (3, 3, shape[-1], 17), dtype)
    w[1, 2] = 0
    for method, (i, j) in itertools.product(("direct", "auto"), ((0, 0), (4, 5), (7, 8))):
        x = small(rng, shape, dtype)
        x[i, j, 1] = value
        result = fastconv.conv2d(x, w, padding="SAME", method=method)
        options = {"padding": "SAME", "sums": reference.shifted_images}
        with np.errstate(all="ignore"):
            operands = itertools.product((x.real, x.imag), (w.real, w.imag))
            rr, ri, ir, ii = (reference.conv2d(first, second, **options) for first, second in operands)
            for got, expected in ((result.real, rr - ii), (result.imag, ri + ir)):
                np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
                np.testing.assert_array_equal(got[np.isinf(expected)], expected[np.isinf(expected)])
                np.testing.assert_allclose(got[np.isfinite(expected)], expected[np.isfinite(expected)], rtol=0, atol=1e-3)


def test_real_operands_have_no_imaginary_part():
    """Not one of 0, which infinity would make NaN."""
    x, w = np.ones((3, 3, 1)), np.full((1, 1, 1, 2), complex(np.inf, 2))
    assert np.all(fastconv.conv2d(x, w) == complex(np.inf, 2))
    assert np.all(fastconv.conv2d(np.full((3, 3, 1), complex(np.inf, 2)), np.ones((1, 1, 1, 2))) == complex(np.inf, 2))


@pytest.mark.parametrize("shape", [(0, 5, 5, 3), (2, 0, 5, 3), (2, 5, 5, 0)], ids=str)
def test_zero_sizes(shape):
    x, w = np.zeros(shape, np.complex64), np.ones((3, 3, shape[-1], 4), np.complex64)
    result = fastconv.conv2d(x, w, padding="SAME")
    assert (result.shape, result.dtype) == ((*shape[:3], 4), np.complex64)
    assert not result.any()
    assert fastconv.conv2d(np.zeros((5, 5, 3), np.complex64), np.zeros((3, 3, 3, 0), np.complex64)).shape == (3, 3, 0)


@pytest.mark.parametrize("name", ["BLOCK_PIXELS", "WINDOW_BYTES", "TERMS_BYTES", "CHUNK_BYTES", "SLAB_BYTES", "LEAST_BYTES",
                                  "STREAM_PIXELS", "PLANES_BYTES", "FEW_FILTERS", "CHAIN", "RIM_COLUMNS"])  # fmt: skip
def test_small_blocks(rng, name):
    for value, problem in itertools.product((1, 3000), PROBLEMS):
        x, w = small(rng, problem.input, np.complex64), small(rng, problem.filters, np.complex64)
        with runtime.use_seams({f"conv.{name}": value}):
            result = fastconv.conv2d(x, w, method="direct", workers=1, **problem.options)
            np.testing.assert_array_equal(result, formula(x, w, **problem.options))
            planes = np.moveaxis(np.moveaxis(x, -1, 1).copy(), 1, -1)
            assert_same_bits(fastconv.conv2d(planes, w, method="direct", workers=1, **problem.options), result)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"activation": "relu"}, TypeError, "activation of complex numbers may be None, got 'relu'"),
        ({"cval": "1"}, TypeError, "cval must be a real number"),
        ({"bias": np.ones(4, np.clongdouble)}, TypeError, "bias has dtype complex256"),
        ({"out": np.zeros((3, 3, 4))}, TypeError, "out has dtype float64; it must have the dtype of the result, complex64"),
    ],
)
def test_what_complex_numbers_do_not_have(options, error, match):
    with pytest.raises(error, match=match):
        fastconv.conv2d(np.ones((5, 5, 4), np.complex64), np.ones((3, 3, 4, 4), np.complex64), **options)


def test_real_results_have_no_complex_bias_or_cval():
    x, w = np.ones((5, 5, 4)), np.ones((3, 3, 4, 4))
    with pytest.raises(TypeError, match="bias has dtype complex128; that of results of float64 may not"):
        fastconv.conv2d(x, w, bias=np.ones(4, complex))
    with pytest.raises(TypeError, match="cval must be a real number"):
        fastconv.conv2d(x, w, cval=1j)
    with pytest.raises(TypeError, match="cval must be a real number"):
        fastconv.conv2d(x, w * 1j, padding=1, cval=1j)


@pytest.mark.parametrize("dtype", ["O", "g", "G", "M8[s]", "U1"])
def test_other_dtypes_are_refused(dtype):
    one = np.zeros((3, 3, 4, 4), dtype)
    for operands, name in (((one, np.ones((3, 3, 4, 4))), "input"), ((np.ones((5, 5, 4)), one), "filters")):
        with pytest.raises(TypeError, match=f"{name} has dtype .*; it may be boolean, an integer, float16"):
            fastconv.conv2d(*operands)
