"""conv2d: the values. Exact on small integers, accurate on real data, special values, activations."""

import functools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fastconv
import reference
from support import (
    FLOATS,
    LANE_SIZES,
    PROBLEMS,
    Problem,
    assert_same_bits,
    assert_within,
    reference_bound,
)

MODES = ("constant", "edge", "symmetric", "mirror", "wrap")
NAMED_PADDINGS = ("VALID", "SAME", "SAME_LOWER", "FULL", "valid", "Same", "same_lower", "full")
both = pytest.mark.parametrize("dtype", FLOATS)


def assert_exact(x, w, dtype, **options):
    """Assert that the convolution of integers has no error at all."""
    result = fastconv.conv2d(x.astype(dtype), w.astype(dtype), **options)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, reference.conv2d(x, w, **options).astype(dtype))


# --- Geometry, exactly


def axis_sizes(draw, padding, axis, taps, stride, dilation, least):
    """Draw the size of a spatial axis on which the filter fits."""
    span = reference.extent(taps, dilation)
    if isinstance(padding, str) and padding.upper() != "VALID":
        return draw(st.integers(max(least, 1), 9))
    added = sum(reference.axis_padding(padding, axis, 1, span, stride))
    return max(least, span - added) + draw(st.integers(0, 9))


@st.composite
def convolutions(draw):
    """Draw a valid small Problem, over every option of conv2d whose result is an exact integer."""
    numbers = st.integers(0, 4)
    pair = st.tuples(numbers, numbers)
    padding = draw(st.one_of(st.sampled_from(NAMED_PADDINGS), numbers, pair, st.tuples(pair, pair)))
    mode = draw(st.sampled_from(MODES))
    groups = draw(st.sampled_from((1, 1, 2, 3, 17)))
    depth, multiplier = (
        draw(st.integers(1, 3 if groups > 3 else 9)),
        draw(st.integers(1, 3 if groups > 1 else 40)),
    )
    taps = draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    strides, dilations = (
        draw(st.one_of(st.integers(1, 3), st.tuples(*[st.integers(1, 3)] * 2))) for _ in "sd"
    )
    height, width = (
        axis_sizes(
            draw,
            padding,
            a,
            taps[a],
            reference.pair(strides)[a],
            reference.pair(dilations)[a],
            mode != "constant",
        )
        for a in (0, 1)
    )
    batch = draw(st.sampled_from(((), (1,), (2,), (2, 1, 2))))
    plan = reference.geometry((height, width), taps, strides, padding, dilations)
    assume(math.prod((*batch, *plan.output, groups, multiplier)) < 4000)
    options = {
        "strides": strides,
        "padding": padding,
        "dilations": dilations,
        "groups": groups,
        "padding_mode": mode,
        "cval": draw(st.sampled_from((0.0, 1.0, -3.0))),
        "flip_filters": draw(st.booleans()),
        "activation": draw(st.sampled_from((None, None, "relu", "relu6"))),
        "data_format": draw(st.sampled_from(("NHWC", "NCHW"))),
    }
    image = (height, width, groups * depth)
    image = image if options["data_format"] == "NHWC" else image[-1:] + image[:2]
    return Problem("drawn", (*batch, *image), (*taps, depth, groups * multiplier), options)


@given(
    problem=convolutions(), with_bias=st.booleans(), dtype=st.sampled_from(FLOATS), seed=st.integers(0, 999)
)
def test_any_geometry_is_exact_on_small_integers(isa, problem, with_bias, dtype, seed):
    rng = np.random.default_rng(seed)
    x, w = problem.integers(rng)
    bias = rng.integers(-9, 10, w.shape[-1]).astype(dtype) if with_bias else None
    assert_exact(x, w, dtype, bias=bias, **problem.options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "padding",
    [*NAMED_PADDINGS[:4], 0, 1, 7, (0, 2), (11, 0), ((1, 0), (0, 2)), ((0, 9), (4, 13)), [[2, 1], [1, 2]]],
    ids=str,
)
@pytest.mark.parametrize("strides", [1, 2, (3, 1)], ids=str)
@pytest.mark.parametrize("image", [(4, 3), (2, 6), (6, 1)], ids=str)
def test_paddings_modes_and_strides_even_beyond_the_image(rng, image, strides, padding, mode):
    x, w = rng.integers(-4, 5, (*image, 2)), rng.integers(-4, 5, (3, 2, 2, 3))
    pads = reference.geometry(image, (3, 2), strides, padding, 1).pads
    if any(image[a] + sum(pads[a]) < w.shape[a] for a in (0, 1)):
        with pytest.raises(ValueError, match="filters"):
            fastconv.conv2d(x.astype("f4"), w.astype("f4"), strides, padding)
        return
    assert_exact(x, w, np.float32, strides=strides, padding=padding, padding_mode=mode, cval=-2.0)


@pytest.mark.parametrize("padding", ["SAME", "SAME_LOWER", "FULL"])
@pytest.mark.parametrize("mode", MODES)
def test_filters_larger_than_the_image(isa, rng, padding, mode):
    x, w = rng.integers(-4, 5, (4, 3, 2)), rng.integers(-4, 5, (15, 20, 2, 9))
    assert_exact(x, w, np.float32, padding=padding, padding_mode=mode, cval=3.0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [(3, 2), ((0, 3), (5, 0)), ((60, 1), (0, 70))], ids=str)
@pytest.mark.parametrize("strides", [1, (2, 1), (3, 2)], ids=str)
@pytest.mark.parametrize("filters", [(3, 5), (4, 2), (1, 1), (50, 9)], ids=str)
@pytest.mark.parametrize("image, depth", [((53, 57, 33), 33), ((53, 537, 1), 1), ((53, 537, 1), 9)], ids=str)
def test_borders_have_the_bits_of_a_padded_image(rng, image, depth, filters, strides, padding, mode):
    x, w = rng.standard_normal(image), rng.standard_normal((*filters, 1, depth))
    options = {"groups": image[-1], "strides": strides, "dilations": (1, 2)}
    result = fastconv.conv2d(x, w, padding=padding, padding_mode=mode, **options)
    pads = [(side, side) if isinstance(side, int) else side for side in padding]
    padded = reference.pad_image(x[None], pads, mode, 0.0)[0]
    assert_same_bits(result, fastconv.conv2d(padded, w, **options))


SIZED = {
    "input channels": lambda n: Problem("", (2, 4, 6, n), (3, 3, n, 5)),
    "filters": lambda n: Problem("", (2, 4, 6, 3), (3, 3, 3, n)),
    "pointwise filters": lambda n: Problem("", (3, 5, 4), (1, 1, 4, n)),
    "width": lambda n: Problem("", (1, 4, max(n, 1) + 2, 3), (3, 3, 3, 5)),
    "height": lambda n: Problem("", (1, max(n, 1) + 2, 4, 3), (3, 3, 3, 5)),
    "row of pixels": lambda n: Problem("", (1, 1, n, 4), (1, 1, 4, 4)),
    "strided width": lambda n: Problem("", (3, 2 * max(n, 1) + 1, 3), (3, 3, 3, 5), {"strides": (1, 2)}),
    "same width": lambda n: Problem("", (1, 3, n, 3), (3, 3, 3, 5), {"padding": "SAME"}),
    "batch": lambda n: Problem("", (n, 4, 5, 3), (3, 3, 3, 4)),
    "filter width": lambda n: Problem("", (1, 4, n + 6, 2), (2, max(n, 1), 2, 3)),
    "depthwise channels": lambda n: Problem("", (1, 5, 7, n), (3, 3, min(n, 1), n), {"groups": max(n, 1)}),
    "strided depthwise": lambda n: Problem("", (5, 2 * n + 3, 9), (3, 3, 1, 9), {"groups": 9, "strides": 2}),
    "multiplier": lambda n: Problem("", (1, 4, 5, 3), (3, 3, 1, 3 * n), {"groups": 3}),
    "grouped channels": lambda n: Problem("", (4, 5, 2 * n), (3, 3, n, 4), {"groups": 2}),
    "plane width": lambda n: Problem("", (1, 6, max(n, 1) + 4, 1), (5, 5, 1, 1)),
    "same plane width": lambda n: Problem("", (5, n, 1), (3, 3, 1, 1), {"padding": "SAME"}),
}


@functools.cache
def sized_case(name, size):
    problem = SIZED[name](size)
    x, w = problem.integers(np.random.default_rng(size))
    return x, w, problem.options, reference.conv2d(x, w, **problem.options)


@both
@pytest.mark.parametrize("size", LANE_SIZES)
@pytest.mark.parametrize("name", SIZED)
def test_sizes_around_lanes_and_tiles(isa, name, size, dtype):
    x, w, options, expected = sized_case(name, size)
    result = fastconv.conv2d(x.astype(dtype), w.astype(dtype), **options)
    np.testing.assert_array_equal(result, expected.astype(dtype))


@both
def test_every_number_of_filters_on_whole_vectors_of_columns(isa, rng, dtype):
    """Such rows are computed along x even for many filters, which are dealt out to the registers."""
    x = rng.integers(-4, 5, (5, 36, 3))
    for filters in range(1, 40):
        w = rng.integers(-4, 5, (2, 5, 3, filters))
        np.testing.assert_array_equal(fastconv.conv2d(x.astype(dtype), w.astype(dtype)), dense_tensordot(x, w))


@pytest.mark.slow
@pytest.mark.parametrize("size", LANE_SIZES[1:])
@pytest.mark.parametrize("filters", LANE_SIZES[1:])
def test_pairs_of_sizes_around_lanes_and_tiles(isa, rng, size, filters):
    for width in (1, 3, 8, 17, 33):
        x, w = rng.integers(-4, 5, (2, width + 1, size)), rng.integers(-4, 5, (2, 2, size, filters))
        assert_exact(x, w, np.float32)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_channels_first_gives_the_bits_of_channels_last(isa, rng, problem):
    x, w = problem.normal(rng, np.float32)
    first = np.ascontiguousarray(np.moveaxis(x, -1, -3))
    result = fastconv.conv2d(first, w, data_format="NCHW", **problem.options)
    assert_same_bits(np.moveaxis(result, -3, -1), fastconv.conv2d(x, w, **problem.options))


def test_method_direct_is_one_that_auto_may_pick(rng):
    x, w = rng.integers(-4, 5, (1, 9, 9, 3)), rng.integers(-4, 5, (3, 3, 3, 4))
    assert_exact(x, w, np.float32, activation=None)
    direct = fastconv.conv2d(x.astype("f4"), w.astype("f4"), method="direct")
    np.testing.assert_array_equal(direct, reference.conv2d(x, w))


# --- Accuracy: |error| <= 8u(|x| * |w|)

DATA = {
    "normal": lambda rng, x, w: (rng.standard_normal(x), rng.standard_normal(w)),
    "positive": lambda rng, x, w: (rng.random(x), rng.random(w)),
    "offset": lambda rng, x, w: (1000 + rng.standard_normal(x), rng.standard_normal(w)),
    "offset positive": lambda rng, x, w: (1000 + rng.standard_normal(x), rng.random(w)),
    "cancelling": lambda rng, x, w: (1 + 1e-3 * rng.standard_normal(x), centred(rng.standard_normal(w))),
}


def centred(w):
    """Return filters whose taps add up to nothing."""
    return w - w.mean(axis=(0, 1, 2))


REDUCTIONS = [
    Problem("1", (6, 9, 1), (1, 1, 1, 17)),
    Problem("2", (6, 9, 2), (1, 1, 2, 17)),
    Problem("3", (6, 9, 3), (1, 1, 3, 17)),
    Problem("9 in a plane", (12, 20, 1), (3, 3, 1, 1)),
    Problem("27", (8, 9, 3), (3, 3, 3, 9)),
    Problem("64", (6, 9, 64), (1, 1, 64, 17)),
    Problem("75", (9, 9, 3), (5, 5, 3, 17)),
    Problem("147", (10, 9, 3), (7, 7, 3, 33)),
    Problem("225 in a plane", (24, 33, 1), (15, 15, 1, 1)),
    Problem("225 depthwise", (18, 20, 9), (15, 15, 1, 9), {"groups": 9}),
    Problem("255", (3, 6, 255), (1, 1, 255, 9)),
    Problem("576", (6, 7, 64), (3, 3, 64, 17)),
    Problem("961 in a plane", (38, 40, 1), (31, 31, 1, 1)),
    Problem("961 depthwise", (33, 36, 5), (31, 31, 1, 5), {"groups": 5}),
    Problem("1152", (5, 6, 128), (3, 3, 128, 17)),
    Problem("2304 same", (4, 4, 256), (3, 3, 256, 9), {"padding": "SAME", "padding_mode": "edge"}),
    Problem("4096 pointwise", (3, 3, 4096), (1, 1, 4096, 9)),
    Problem("4608", (5, 6, 512), (3, 3, 512, 17)),
    Problem("4608 few filters", (9, 8, 512), (3, 3, 512, 2)),
    Problem("4608 grouped", (4, 5, 1024), (3, 3, 512, 4), {"groups": 2}),
]


@functools.cache
def accuracy_case(name, kind, dtype):
    problem = next(problem for problem in REDUCTIONS if problem.name == name)
    arrays = DATA[kind](np.random.default_rng(len(name)), problem.input, problem.filters)
    x, w = (array.astype(dtype) for array in arrays)
    return x, w, problem.options, reference_bound(x, w, **problem.options)


@both
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", [problem.name for problem in REDUCTIONS])
def test_error_bound_at_every_output(isa, name, kind, dtype):
    x, w, options, (expected, bound) = accuracy_case(name, kind, dtype)
    assert_within(fastconv.conv2d(x, w, **options), expected, bound)


@both
@given(problem=convolutions(), kind=st.sampled_from(sorted(DATA)), seed=st.integers(0, 999))
def test_error_bound_in_any_geometry(dtype, problem, kind, seed):
    rng = np.random.default_rng(seed)
    x, w = (array.astype(dtype) for array in DATA[kind](rng, problem.input, problem.filters))
    options = problem.options | {"bias": rng.standard_normal(w.shape[-1]).astype(dtype), "activation": None}
    assert_within(fastconv.conv2d(x, w, **options), *reference_bound(x, w, **options))


LAYERS = [
    (1, 56, 56, 64, 1, 64), (1, 58, 58, 64, 3, 64), (1, 56, 56, 64, 1, 256), (1, 30, 30, 128, 3, 128),
    (1, 16, 16, 256, 3, 256), (1, 9, 9, 512, 3, 512), (1, 7, 7, 512, 1, 2048), (1, 226, 226, 64, 3, 64),
    (8, 58, 58, 64, 3, 64), (8, 30, 30, 128, 3, 128), (8, 16, 16, 256, 3, 256), (1, 224, 224, 3, 7, 64),
]  # fmt: skip


@pytest.mark.slow
@both
@pytest.mark.parametrize("kind", ["normal", "offset positive", "cancelling"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_error_bound_at_sampled_pixels_of_real_layers(isa, rng, layer, kind, dtype):
    n, h, w, c, f, k = layer
    images, filters = (array.astype(dtype) for array in DATA[kind](rng, (n, h, w, c), (f, f, c, k)))
    result = fastconv.conv2d(images, filters)
    for i, row, column in rng.integers((n, h - f + 1, w - f + 1), size=(5, 3)):
        window = images[i, row : row + f, column : column + f]
        assert_within(result[i, row, column][None, None], *reference_bound(window, filters))


# --- NaN, infinities, denormals: exactly where the formula has them

SPECIAL = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


@functools.cache
def special_case(problem_name, operand, value):
    """Return a convolution of integers, zero taps among them, with three special values in one operand."""
    problem = next(problem for problem in PROBLEMS if problem.name == problem_name)
    rng = np.random.default_rng(5)
    x, w = problem.integers(rng)
    w[rng.random(w.shape) < 0.3] = 0
    target = x if operand == "input" else w
    target.flat[rng.integers(target.size, size=3)] = SPECIAL[value]
    return x, w, problem.options, reference.conv2d(x, w, **problem.options)


@both
@pytest.mark.parametrize("value", SPECIAL)
@pytest.mark.parametrize("operand", ["input", "filters"])
@pytest.mark.parametrize("name", [problem.name for problem in PROBLEMS])
def test_special_values_land_where_the_formula_puts_them(isa, name, operand, value, dtype):
    x, w, options, expected = special_case(name, operand, value)
    result = fastconv.conv2d(x.astype(dtype), w.astype(dtype), **options)
    np.testing.assert_array_equal(result, expected.astype(dtype))


@pytest.mark.parametrize("value", SPECIAL)
@pytest.mark.parametrize("channels", [1, 3, 16, 17])
def test_zero_taps_turn_special_pixels_into_nan(isa, value, channels):
    x = np.zeros((9, 20, channels), np.float32)
    x[4, 7, channels // 2] = SPECIAL[value]
    result = fastconv.conv2d(x, np.zeros((3, 3, channels, 5), np.float32))
    expected = np.zeros((7, 18, 5), np.float32)
    expected[2:5, 5:8] = np.nan
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("padding", ["SAME", "FULL", 3])
@pytest.mark.parametrize("cval", [0.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("filters_with", [0.0, np.inf])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_padding_counts_as_pixels_of_the_formula(isa, rng, padding, cval, filters_with, channels):
    """A constant of zero times an infinite tap is NaN, as NumPy's padded copy has it."""
    x, w = (
        rng.integers(-4, 5, (7, 21, channels)).astype(float),
        rng.integers(-4, 5, (3, 3, channels, 5)).astype(float),
    )
    w[0, 1, 0, 2] = filters_with
    assert_exact(x, w, np.float32, padding=padding, cval=cval)


@pytest.mark.parametrize("mode", MODES)
def test_special_values_in_repeated_borders(isa, rng, mode):
    x, w = rng.integers(-4, 5, (7, 21, 3)).astype(float), rng.integers(-4, 5, (3, 3, 3, 5)).astype(float)
    x[0, 0, 1], x[-1, 9, 2] = np.nan, np.inf
    assert_exact(x, w, np.float32, padding=5, padding_mode=mode)


def test_pixels_that_strides_and_dilations_skip_do_not_matter(isa, rng):
    x, w = rng.integers(-4, 5, (12, 21, 17)).astype(float), rng.integers(-4, 5, (2, 2, 17, 19)).astype(float)
    x[1::2], x[:, 1::2] = np.nan, np.inf
    result = fastconv.conv2d(x.astype("f4"), w.astype("f4"), strides=2, dilations=2)
    assert np.all(np.isfinite(result))
    np.testing.assert_array_equal(result, reference.conv2d(x, w, strides=2, dilations=2))


@both
@pytest.mark.parametrize("workers", [1, 2])
def test_denormals_are_kept(isa, rng, dtype, workers):
    smallest = float(np.finfo(dtype).smallest_subnormal)
    x, w = rng.integers(-4, 5, (40, 50, 16)), rng.integers(-4, 5, (3, 3, 16, 40))
    result = fastconv.conv2d((x * smallest).astype(dtype), w.astype(dtype), workers=workers)
    np.testing.assert_array_equal(result, (dense_tensordot(x, w) * smallest).astype(dtype))


def dense_tensordot(x, w):
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[:2], axis=(0, 1))
    return np.tensordot(windows, w, axes=((-2, -1, -3), (0, 1, 2)))


@both
def test_products_that_underflow_become_denormals(isa, dtype):
    small = np.full((5, 6, 1), 2 * np.sqrt(np.finfo(dtype).smallest_subnormal), dtype)
    result = fastconv.conv2d(small, np.full((1, 1, 1, 9), small.flat[0], dtype))
    np.testing.assert_array_equal(result, np.broadcast_to(small * small, result.shape))
    assert 0 < result.min() < np.finfo(dtype).smallest_normal


# --- Bias and activations

CURVES = ["relu", "relu6", "silu", "sigmoid", "tanh"]


def curve_points(dtype):
    """Return arguments near zero, over the bends, in the tails and special, an odd number of them."""
    small = np.logspace(-30, 2, 97)
    special = [0.0, 100.0, -100.0, 6.0, 88.0, -88.0, 710.0, -710.0, 3e38, -3e38, np.inf, -np.inf, np.nan]
    tails = [np.linspace(-125, -85, 301), np.linspace(-760, -700, 301)]  # where exponentials leave the normal numbers
    return np.concatenate(
        [np.linspace(-100, 100, 401), np.linspace(-8, 8, 333), small, -small, *tails, special]
    ).astype(dtype)


def assert_few_ulps(result, points, activation):
    """Assert errors of at most 4 ulps, those of the numbers below the normal ones among them, and the signs of zeros."""
    with np.errstate(all="ignore"):
        expected = reference.ACTIVATIONS[activation](points.astype(np.longdouble))
    info = np.finfo(points.dtype)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(result[~finite], expected[~finite].astype(points.dtype))
    bound = 4 * np.maximum(info.eps * np.abs(expected[finite]), np.longdouble(info.smallest_subnormal))
    assert_within(result[finite], expected[finite], bound)
    np.testing.assert_array_equal(np.signbit(result[finite]), np.signbit(expected[finite]))


@both
@pytest.mark.parametrize("activation", CURVES)
@pytest.mark.parametrize("filters", [1, 17])
def test_activation_is_numpys_to_four_ulps(isa, activation, filters, dtype):
    points = curve_points(dtype)
    result = fastconv.conv2d(points[None, :, None], np.ones((1, 1, 1, filters), dtype), activation=activation)
    for k in range(filters):
        assert_few_ulps(result[0, :, k], points, activation)


@pytest.mark.parametrize("activation", CURVES)
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_bias_and_activation_come_after_the_sum(isa, rng, problem, activation):
    x, w = problem.integers(rng, np.float32)
    bias = rng.integers(-9, 10, w.shape[-1]).astype(np.float32)
    summed = fastconv.conv2d(x, w, bias=bias, **problem.options)
    np.testing.assert_array_equal(summed, fastconv.conv2d(x, w, **problem.options) + bias)
    curved = fastconv.conv2d(x, w, bias=bias, activation=activation, **problem.options)
    assert_few_ulps(curved.ravel(), summed.ravel(), activation)


def test_bias_carries_special_values_to_its_channel_only(isa, rng):
    x, w = rng.integers(-4, 5, (5, 20, 3)).astype(float), rng.integers(-4, 5, (3, 3, 3, 19)).astype(float)
    bias = np.zeros(19)
    bias[[3, 16, 18]] = np.nan, np.inf, -np.inf
    assert_exact(x, w, np.float32, bias=bias.astype("f4"))


def test_bias_beyond_float32_is_infinite_without_a_warning(recwarn):
    bias = np.array([1e300, -1e39, 1e-300])
    with np.errstate(all="raise"):
        result = fastconv.conv2d(np.ones((4, 4, 1), "f4"), np.ones((3, 3, 1, 3), "f4"), bias=bias)
    np.testing.assert_array_equal(result, np.broadcast_to([np.inf, -np.inf, 9], (2, 2, 3)))
    assert not recwarn


def test_bias_does_not_widen_the_result(rng):
    x, w = rng.integers(-4, 5, (5, 6, 3)), rng.integers(-4, 5, (3, 3, 3, 2))
    assert_exact(x, w, np.float32, bias=[0.5, -2.0])


# --- dtypes


@pytest.mark.parametrize("input_type", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("filter_type", [np.float16, np.float32, np.float64])
def test_mixed_dtypes_give_the_type_that_numpy_gives(rng, input_type, filter_type):
    x, w = rng.integers(-4, 5, (5, 6, 3)), rng.integers(-4, 5, (3, 3, 3, 2))
    result = fastconv.conv2d(x.astype(input_type), w.astype(filter_type))
    assert result.dtype == np.result_type(input_type, filter_type)
    np.testing.assert_array_equal(result, reference.conv2d(x, w))


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_float16_is_computed_in_float32(isa, rng, problem):
    x, w = problem.normal(rng, np.float16)
    result = fastconv.conv2d(x, w, **problem.options)
    assert result.dtype == np.float16
    expected, bound = reference_bound(x.astype(np.float32), w.astype(np.float32), **problem.options)
    rounding = 2.0**-11 * np.abs(expected) + 2.0**-25
    assert_within(result, expected, bound + rounding)


def test_float16_sums_may_pass_through_what_float16_cannot_hold():
    x = np.array([60000, 60000, -60000], np.float16).reshape(1, 3, 1)
    assert fastconv.conv2d(x, np.ones((1, 3, 1, 1), np.float16)).item() == 60000


def test_float16_rounds_once_to_the_nearest():
    x = np.array([2048, 1, 2.0**-10], np.float16).reshape(1, 3, 1)
    assert fastconv.conv2d(x, np.ones((1, 3, 1, 1), np.float16)).item() == 2050
    assert fastconv.conv2d(x[:, :2], np.ones((1, 2, 1, 1), np.float16)).item() == 2048


# --- Nothing to compute

EMPTY = [
    Problem("no images", (0, 5, 6, 3), (3, 3, 3, 4)),
    Problem("no images in a batch of batches", (2, 0, 5, 6, 3), (3, 3, 3, 4)),
    Problem("no channels", (2, 5, 6, 0), (3, 3, 0, 4)),
    Problem("no filters", (2, 5, 6, 3), (3, 3, 3, 0)),
    Problem("no channels, no filters", (5, 6, 0), (3, 3, 0, 0)),
    Problem("no taps", (2, 5, 6, 3), (0, 3, 3, 4)),
    Problem("empty image", (0, 6, 3), (1, 3, 3, 4)),
    Problem("empty image of padding", (0, 6, 3), (3, 3, 3, 4), {"padding": 2, "cval": 1.0}),
    Problem("empty image same", (0, 6, 3), (3, 3, 3, 4), {"padding": "SAME"}),
]


@both
@pytest.mark.parametrize("activation", [None, "sigmoid"])
@pytest.mark.parametrize("problem", EMPTY, ids=str)
def test_zero_size_arrays_give_what_the_formula_gives(isa, problem, activation, dtype):
    x, w = np.ones(problem.input, dtype), np.ones(problem.filters, dtype)
    bias = np.zeros(w.shape[-1], dtype)
    result = fastconv.conv2d(x, w, bias=bias, activation=activation, **problem.options)
    expected = reference.conv2d(x, w, bias=bias, activation=activation, **problem.options)
    assert (result.dtype, result.shape) == (dtype, expected.shape)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


TOO_LARGE = [
    Problem("one row too few", (2, 2, 6, 3), (3, 3, 3, 4)),
    Problem("one column too few", (2, 5, 2, 3), (3, 3, 3, 4)),
    Problem("one row too few with padding", (1, 5, 3), (5, 3, 3, 4), {"padding": ((1, 2), (0, 0))}),
    Problem("one row too few with dilation", (4, 5, 3), (3, 3, 3, 4), {"dilations": 2}),
    Problem("one row too few with strides", (2, 6, 3), (3, 3, 3, 4), {"strides": 3}),
    Problem("a stride too few", (5, 10, 3), (3, 12, 3, 4), {"strides": (1, 3)}),
    Problem("two strides too few", (5, 6, 3), (3, 12, 3, 4), {"strides": (1, 3)}),
]


@pytest.mark.parametrize("problem", TOO_LARGE, ids=str)
def test_filters_larger_than_the_padded_input_are_an_error(problem):
    with pytest.raises(ValueError, match=r"filters.*more than the padded input"):
        fastconv.conv2d(np.ones(problem.input), np.ones(problem.filters), **problem.options)


def test_no_channels_leave_the_bias():
    bias = np.array([1.0, -2.0])
    result = fastconv.conv2d(np.ones((5, 5, 0)), np.ones((3, 3, 0, 2)), bias=bias, activation="relu")
    np.testing.assert_array_equal(result, np.broadcast_to([1.0, 0.0], (3, 3, 2)))


@pytest.mark.parametrize("mode", MODES[1:])
def test_borders_of_an_empty_image_have_nothing_to_repeat(mode):
    with pytest.raises(ValueError, match="padding_mode"):
        fastconv.conv2d(np.ones((0, 5, 1)), np.ones((1, 1, 1, 1)), padding=1, padding_mode=mode)
