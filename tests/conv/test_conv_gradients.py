"""Gradients of conv2d and its transpose: formulas, adjoint identities, finite differences, borders, layouts, threads, errors."""

import itertools
import os
import tracemalloc

import numpy as np
import pytest
from conv_gradients import MODES, PROBLEMS, assert_exact, assert_right, gradient_of, gradients
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from fastconv import runtime
from support import FLOATS, LAYOUTS, ROUNDOFF, Problem, assert_same_bits, assert_within, run_script


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_gradients_of_integers_are_exact(isa, problem, dtype):
    assert_right(problem, dtype)


def draw_problem(seed):
    """Return a problem of random sizes and options."""
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 1, 2, 3, 20]))
    c, k = (int(rng.choice(sizes)) for sizes in ([1, 1, 2, 3, 5, 17], [1, 1, 2, 4, 6, 19]))
    padding = rng.choice(["VALID", "SAME", "SAME_LOWER", "FULL", "pixels"])
    if padding == "pixels":
        padding = tuple(map(tuple, rng.integers(0, 9, (2, 2)).tolist()))
    options = {
        "strides": tuple(rng.integers(1, 5, 2).tolist()), "dilations": tuple(rng.integers(1, 4, 2).tolist()), "groups": groups,
        "padding": padding if isinstance(padding, tuple) else str(padding), "padding_mode": str(rng.choice(MODES)),
        "flip_filters": bool(rng.integers(2)),
    }  # fmt: skip
    lead = [(), (2,), (2, 3)][rng.integers(3)]
    fh, fw, h, w = *rng.integers(1, 6, 2).tolist(), *rng.integers(1, 14, 2).tolist()
    problem = Problem(f"{seed}", (*lead, h, w, c * groups), (fh, fw, c, k * groups), options)
    plan = reference.geometry((h, w), (fh, fw), options["strides"], options["padding"], options["dilations"])
    return problem if min(plan.output) > 0 else draw_problem(seed + 10**6)


@given(seed=st.integers(0, 10**6), dtype=st.sampled_from(FLOATS), first=st.booleans(), cval=st.integers(-2, 2))
def test_any_options_together(seed, dtype, first, cval):
    problem = draw_problem(seed)
    assert_exact(*gradient_of(problem, np.random.default_rng(seed), dtype), first, cval=cval, **problem.options)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_adjoint_identities(rng, problem):
    """<conv(x, w), g> = <x, gradient of the input> = <w, gradient of the filters>."""
    x, w, g = gradient_of(problem, rng)
    product = (fastconv.conv2d(x, w, method="direct", **problem.options) * g).sum()
    of_input, of_filters = gradients(x, w, g, **problem.options)
    assert product == (x * of_input).sum() == (w * of_filters).sum()


@pytest.mark.parametrize("problem", PROBLEMS[4:12], ids=str)
def test_finite_differences(rng, problem):
    """Along a few directions of a function that is not linear: the sum of squares of the outputs."""
    x, w, _ = gradient_of(problem, rng, draw=rng.standard_normal)
    output = fastconv.conv2d(x, w, **problem.options)
    of_input, of_filters = gradients(x, w, 2 * output, **problem.options)
    step = 1e-4
    for _ in range(3):
        u, v = rng.standard_normal(x.shape), rng.standard_normal(w.shape)
        ends = [(fastconv.conv2d(x + s * u, w + s * v, **problem.options) ** 2).sum() for s in (step, -step)]
        slope = (u * of_input).sum() + (v * of_filters).sum()
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-7 * ends[0])


# --- Rounding


def bound_of(terms, chain=75):
    """The bound of conv2d_filter_grad's docstring, for so many pixels."""
    chains = 3 * np.ceil(terms / chain)  # blocks are cut into three, of which some are short
    return chain + 2 * np.ceil(np.log(max(chains, 1)) / np.log(3))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(2, 40, 41, 6), (1, 3, 700, 2), (30, 5, 5, 20), (1, 100, 90, 1)])
def test_errors_stay_below_the_bound(isa, rng, shape, dtype):
    problem = Problem("", shape, (3, 3, shape[-1], 18), {"padding": "SAME"})
    for draw in (rng.standard_normal, lambda shape: np.full(shape, 0.1)):
        x, w, g = gradient_of(problem, rng, dtype, draw)
        actual = fastconv.conv2d_filter_grad(x, w.shape, g, padding="SAME")
        expected = reference.conv2d_filter_grad(x, w.shape, g, padding="SAME", dtype=np.longdouble)
        sizes = reference.conv2d_filter_grad(abs(x), w.shape, abs(g), padding="SAME")
        assert_within(actual, expected, bound_of(g.size // g.shape[-1]) * ROUNDOFF[np.dtype(dtype)] * sizes)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("padding", ["VALID", "SAME", "FULL", 1])
def test_large_layers(rng, dtype, padding):
    """Which "auto" computes by Winograd's method, but for a rim that this would refuse."""
    problem = Problem("", (2, 34, 31, 32), (3, 3, 32, 40), {"padding": padding})
    x, w, g = gradient_of(problem, rng, dtype, rng.standard_normal)
    actual = fastconv.conv2d_input_grad(x.shape, w, g, padding=padding)
    expected = reference.conv2d_input_grad(x.shape, w, g, padding=padding)
    largest = np.broadcast_to(abs(w).max(axis=(0, 1)), w.shape)
    sizes = reference.conv2d_input_grad(x.shape, largest, abs(g), padding=padding)
    assert_within(actual, expected, 32 * ROUNDOFF[np.dtype(dtype)] * sizes)
    direct = fastconv.conv2d_input_grad(x.shape, w, g, padding=padding, method="direct")
    assert not np.array_equal(actual, direct)  # so it was Winograd's method


@pytest.mark.parametrize("problem", [PROBLEMS[i] for i in (0, 4, 8, 10, 13, 16)], ids=str)
def test_halves_are_computed_as_floats_and_rounded_once(rng, problem):
    x, w, g = gradient_of(problem, rng, np.float16, rng.standard_normal)
    halves = gradients(x, w, g, **problem.options)
    wide = gradients(*(a.astype(np.float32) for a in (x, w, g)), **problem.options)
    for half, single in zip(halves, wide, strict=True):
        assert_same_bits(half, single.astype(np.float16))


def test_dtypes_are_those_of_numpy(rng):
    x, w, g = gradient_of(PROBLEMS[0], rng)
    for dtypes in itertools.product((np.float16, np.float32, np.float64), repeat=2):
        of_input = fastconv.conv2d_input_grad(x.shape, w.astype(dtypes[0]), g.astype(dtypes[1]), method="direct")
        of_filters = fastconv.conv2d_filter_grad(x.astype(dtypes[0]), w.shape, g.astype(dtypes[1]))
        assert of_input.dtype == of_filters.dtype == np.result_type(*dtypes)


# --- NaN and infinity


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "options",
    [{"padding": "VALID"}, {"padding": "SAME", "strides": 2}, {"padding": 2, "padding_mode": "mirror"}, {"dilations": 2}],
    ids=str,
)
def test_nan_and_infinity_land_where_the_formula_puts_them(rng, value, options):
    problem = Problem("", (2, 9, 8, 3), (3, 3, 3, 4), options)
    x, w, g = gradient_of(problem, rng)
    for which, index in itertools.product(range(3), ((0, 0, 1, 2), (1, 2, 0, 1), (-1, -1, -1, -1))):
        arrays = [x.copy(), w.copy(), g.copy()]
        arrays[which][index] = value
        assert_exact(*arrays, **options)


@pytest.mark.parametrize("padding", ["VALID", ((0, 2), (2, 1))])
def test_infinite_filters_of_images_with_a_rim(rng, padding):
    """Where zeros stand for outputs beyond the border, an infinite filter would make NaN of them."""
    problem = Problem("", (1, 18, 17, 16), (3, 3, 16, 16), {"padding": padding})
    x, w, g = gradient_of(problem, rng)
    with runtime.use_seams({"conv.WINOGRAD_WORK": 1}):
        finite = [fastconv.conv2d_input_grad(x.shape, w, g + 0.1, padding=padding, method=m) for m in ("auto", "direct")]
        assert not np.array_equal(*finite)  # "auto" takes Winograd's method
        for a, b in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1)):
            infinite = w.copy()
            infinite[a, b, 3, 5] = -np.inf
            expected = reference.conv2d_input_grad(x.shape, infinite, g, padding=padding)
            assert np.isinf(expected).any()
            direct = fastconv.conv2d_input_grad(x.shape, infinite, g, padding=padding, method="direct")
            np.testing.assert_array_equal(direct, expected)
            for activation in (None, "relu", "tanh"):
                result = fastconv.conv2d_transpose(g, infinite, x.shape, padding=padding, activation=activation)
                assert np.array_equal(np.isnan(result), np.isnan(expected)), activation


# --- Arrays of any kind


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_do_not_touch_the_bits(rng, layout):
    for problem in PROBLEMS:
        x, w, g = gradient_of(problem, rng, np.float32, rng.standard_normal)
        expected = gradients(x, w, g, **problem.options)
        actual = gradients(LAYOUTS[layout](x), LAYOUTS[layout](w), LAYOUTS[layout](g), **problem.options)
        for one, other in zip(actual, expected, strict=True):
            assert_same_bits(one, other)
        for one, other in zip(gradients(x, w, g, first=True, **problem.options), expected, strict=True):
            assert_same_bits(np.ascontiguousarray(one), other)


def test_out_of_any_strides_and_overlapping(rng):
    for problem in PROBLEMS:
        x, w, g = gradient_of(problem, rng, np.float32)
        expected = gradients(x, w, g, **problem.options)
        outs = [np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, np.float32)[..., ::-2] for a in expected]
        for result, out, wanted in zip(gradients(x, w, g, out=outs, **problem.options), outs, expected, strict=True):
            assert result is out
            np.testing.assert_array_equal(out, wanted)
            assert np.isnan(out.base[..., ::2]).all()
    w = rng.integers(-4, 5, (3, 3, 4, 4)).astype(np.float32)
    memory = rng.integers(-4, 5, (9, 9, 4)).astype(np.float32)
    expected = fastconv.conv2d_input_grad((9, 9, 4), w, memory.copy(), padding="SAME")
    np.testing.assert_array_equal(fastconv.conv2d_input_grad((9, 9, 4), w, memory, padding="SAME", out=memory), expected)
    wanted = fastconv.conv2d_filter_grad(memory, w.shape, memory.copy(), padding="SAME")
    part = memory.reshape(-1)[: w.size].reshape(w.shape)
    np.testing.assert_array_equal(fastconv.conv2d_filter_grad(memory, w.shape, memory, padding="SAME", out=part), wanted)


def test_inputs_are_left_alone(rng):
    for problem in PROBLEMS:
        arrays = gradient_of(problem, rng, np.float32)
        for array in arrays:
            array.flags.writeable = False
        gradients(*arrays, **problem.options)


@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.slow), 7])
def test_threads_do_not_touch_the_bits(rng, workers):
    large = (
        Problem("", (3, 60, 61, 24), (3, 3, 24, 40), {"padding": "SAME"}),
        Problem("", (1, 90, 300, 3), (5, 5, 3, 8)),
        Problem("", (1, 64, 64, 40), (3, 3, 1, 40), {"groups": 40, "strides": 2}),
        Problem("", (1, 200, 200, 1), (3, 3, 1, 1), {"padding": 1, "padding_mode": "edge"}),
        Problem("", (1, 7, 7, 96), (1, 1, 96, 200)),
    )
    for problem in (*PROBLEMS, *large):
        x, w, g = gradient_of(problem, rng, np.float32, rng.standard_normal)
        alone = gradients(x, w, g, workers=1, method="auto", **problem.options)
        for one, other in zip(gradients(x, w, g, workers=workers, method="auto", **problem.options), alone, strict=True):
            assert_same_bits(one, other)


def test_the_batch_does_not_touch_the_bits_of_images(rng):
    for problem in (*PROBLEMS, Problem("", (3, 24, 24, 16), (3, 3, 16, 16), {"padding": 2, "padding_mode": "edge"})):
        if len(problem.input) != 4:
            continue
        x, w, g = gradient_of(problem, rng, np.float32, rng.standard_normal)
        whole = fastconv.conv2d_input_grad(x.shape, w, g, **problem.options)
        for one, part in zip(whole, g, strict=True):
            assert_same_bits(fastconv.conv2d_input_grad(x.shape[1:], w, part, **problem.options), one)


# --- At work

LARGE = (
    ((1, 200, 220, 64), (3, 3, 64, 64), {"padding": "SAME", "padding_mode": "mirror"}),
    ((1, 20_000, 2), (1, 2900, 2, 70), {}),
    ((30, 20, 512), (3, 3, 16, 512), {"groups": 32, "strides": 2, "padding": 1, "padding_mode": "wrap"}),
    ((6, 6, 1024), (3, 3, 1024, 1024), {"padding": "SAME"}),
    ((300, 300, 600), (3, 3, 1, 600), {"groups": 600}),
    ((2000, 2000, 1), (3, 3, 1, 1), {"padding": 30, "padding_mode": "edge"}),
)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_memory_beyond_inputs_and_output(case, dtype, workers):
    shape, filters, options = case
    *_, g = gradient_of(Problem("", shape, filters, options), np.random.default_rng(0), draw=np.zeros)
    x, w, g = np.zeros(shape, dtype), np.zeros(filters, dtype), g.astype(dtype)
    of_input, of_filters = np.empty_like(x), np.empty_like(w)
    for call in (
        lambda: fastconv.conv2d_input_grad(shape, w, g, out=of_input, workers=workers, **options),
        lambda: fastconv.conv2d_filter_grad(x, filters, g, out=of_filters, workers=workers, **options),
    ):
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        assert peak <= 16 + 4 * workers


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs setitimer")
@pytest.mark.parametrize("filters", [(15, 15, 256, 64), (15, 15, 1, 256)])
def test_errors_of_signal_handlers_come_out_of_the_call(tmp_path, filters):
    script = """
        import fastconv
        class Stop(Exception):
            pass
        def handler(number, frame):
            raise Stop
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        filters = tuple(map(int, sys.argv[1:]))
        x = np.broadcast_to(np.float32(1), (100_000, 278, 256))
        g = np.broadcast_to(np.float32(1), (100_000 - 14, 278 - 14, filters[3]))
        begin = time.perf_counter()
        try:
            fastconv.conv2d_filter_grad(x, filters, g, groups=256 // filters[2])
        except Stop:
            print(time.perf_counter() - begin)
    """
    assert float(run_script(script, *filters, cwd=tmp_path)[0]) < 1.5


# --- Nothing to compute


@pytest.mark.parametrize(
    ("x", "w", "g"),
    [
        ((0, 5, 5, 3), (3, 3, 3, 4), (0, 3, 3, 4)),
        ((2, 5, 5, 0), (3, 3, 0, 4), (2, 3, 3, 4)),
        ((2, 5, 5, 3), (3, 3, 3, 0), (2, 3, 3, 0)),
        ((2, 5, 5, 3), (0, 3, 3, 4), (2, 6, 3, 4)),
        ((2, 0, 5, 3), (3, 3, 3, 4), (2, 0, 3, 4)),
    ],
)
def test_zero_sizes(x, w, g):
    of_input = fastconv.conv2d_input_grad(x, np.ones(w), np.ones(g))
    np.testing.assert_array_equal(of_input, np.zeros(x))
    np.testing.assert_array_equal(fastconv.conv2d_filter_grad(np.ones(x), w, np.ones(g)), np.zeros(w))


def test_strides_and_dilations_as_large_as_an_index():
    huge = 2**62
    x, w, g = np.arange(48.0).reshape(3, 4, 4), np.ones((1, 1, 4, 2)), np.ones((1, 1, 2))
    options = {"strides": huge, "dilations": huge}
    expected = np.zeros((3, 4, 4))
    expected[0, 0] = 2
    np.testing.assert_array_equal(fastconv.conv2d_input_grad(x.shape, w, g, **options), expected)
    np.testing.assert_array_equal(fastconv.conv2d_filter_grad(x, w.shape, g, **options)[0, 0], np.stack([x[0, 0]] * 2, axis=1))


# --- Transposed convolutions

SIZES = [  # of an axis of 5 outputs: padding, stride, taps, dilation, default size, sizes that give 5 outputs
    ("SAME", 1, 3, 1, 5, (5,)),
    ("SAME", 2, 4, 1, 10, (9, 10)),
    ("SAME", 3, 2, 2, 15, (13, 14, 15)),
    ("SAME_LOWER", 2, 3, 1, 10, (9, 10)),
    ("VALID", 1, 3, 1, 7, (7,)),
    ("VALID", 2, 3, 2, 13, (13, 14)),
    ("VALID", 3, 2, 1, 15, (14, 15, 16)),
    ("FULL", 1, 3, 1, 3, (3,)),
    ("FULL", 2, 3, 1, 7, (7, 8)),
    (1, 2, 4, 1, 10, (10, 11)),
]


@pytest.mark.parametrize(("padding", "stride", "taps", "dilation", "size", "sizes"), SIZES, ids=str)
def test_transposed_shapes(rng, padding, stride, taps, dilation, size, sizes):
    options = {"strides": stride, "padding": padding, "dilations": dilation}
    x, w = rng.integers(-4, 5, (2, 5, 5, 4)).astype(float), rng.integers(-4, 5, (taps, taps, 3, 4)).astype(float)
    assert fastconv.conv2d_transpose(x, w, **options).shape == (2, size, size, 3)
    for wanted in range(1, 24):
        if wanted not in sizes:
            with pytest.raises(ValueError, match=r"output_shape=.*5 x 5|span"):
                fastconv.conv2d_transpose(x, w, (wanted, wanted), **options)
            continue
        result = fastconv.conv2d_transpose(x, w, (2, wanted, wanted, 3), **options)
        np.testing.assert_array_equal(result, reference.conv2d_input_grad((2, wanted, wanted, 3), w, x, **options))
        assert_same_bits(fastconv.conv2d_transpose(x, w, (wanted, wanted), **options), result)
        first = fastconv.conv2d_transpose(np.moveaxis(x, -1, 1), w, (2, 3, wanted, wanted), data_format="NCHW", **options)
        np.testing.assert_array_equal(first, np.moveaxis(result, -1, 1))


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize(
    "options", [{"strides": 2}, {"strides": 3, "groups": 2}, {"dilations": 2, "flip_filters": True}], ids=str
)
def test_transposed_with_bias_and_activation(rng, dtype, activation, options):
    """Also on pixels that no tap reaches."""
    x, w = rng.standard_normal((2, 6, 5, 8)), rng.standard_normal((2, 2, 6 // options.get("groups", 1), 8))
    x, w, bias = x.astype(dtype), w.astype(dtype), rng.standard_normal(6).astype(dtype)
    result = fastconv.conv2d_transpose(x, w, bias=bias, activation=activation, **options)
    plain = reference.conv2d_input_grad(result.shape, w, x, padding="SAME", **options)
    expected = reference.ACTIVATIONS[activation](plain + bias)
    tolerance = {np.float16: 2e-3, np.float32: 1e-5, np.float64: 1e-12}[dtype]
    np.testing.assert_allclose(result.astype(float), expected, rtol=tolerance, atol=tolerance)


def test_transposed_no_images(rng):
    assert fastconv.conv2d_transpose(np.ones((2, 0, 5, 4)), np.ones((3, 3, 2, 4)), strides=2).shape == (2, 0, 10, 2)
    assert fastconv.conv2d_transpose(np.ones((0, 5, 5, 4)), np.ones((3, 3, 2, 4)), strides=2).shape == (0, 10, 10, 2)
    bias = np.array([1.0, 2.0])
    result = fastconv.conv2d_transpose(np.ones((1, 2, 2, 0)), np.ones((3, 3, 2, 0)), bias=bias)
    np.testing.assert_array_equal(result, np.broadcast_to(bias, (1, 2, 2, 2)))


# --- Bad input

X, W, G = np.ones((1, 8, 8, 4), np.float32), np.ones((3, 3, 4, 6), np.float32), np.ones((1, 6, 6, 6), np.float32)
OF_INPUT = {"input_shape": X.shape, "filters": W, "grad_output": G}
OF_FILTERS = {"input": X, "filter_shape": W.shape, "grad_output": G}
TRANSPOSED = {"input": G, "filters": W}


@pytest.mark.parametrize(
    ("function", "arguments", "error", "words"),
    [
        ("input_grad", {"filters": np.ones((3, 3, 600, 600)), "grad_output": np.ones((6, 6, 600)), "input_shape": (8, 8, 600),
                        "method": "winograd"}, ValueError, "method='winograd' would need too much memory"),
        ("input_grad", {"input_shape": 5}, TypeError, "input_shape must be a sequence of integers"),
        ("input_grad", {"input_shape": (1, 8, -8, 4)}, ValueError, "input_shape must be .*-8"),
        ("input_grad", {"input_shape": (1, 8.0, 8, 4)}, TypeError, "input_shape must be .*8.0"),
        ("input_grad", {"input_shape": (8, 8)}, ValueError, r"input_shape must have at least 3 axes.*\(8, 8\)"),
        ("input_grad", {"input_shape": (1, 8, 8, 5)}, ValueError, r"take 4 channels.*input_shape of shape \(1, 8, 8, 5\) has 5"),
        ("input_grad", {"input_shape": (2, 8, 8, 4)}, ValueError, r"grad_output has shape \(1, 6, 6, 6\).*\(2, 6, 6, 6\)"),
        ("input_grad", {"input_shape": (1, 2, 8, 4)}, ValueError, "span a height of 3 pixels.*input has: 2"),
        ("input_grad", {"strides": 2}, ValueError, r"grad_output has shape \(1, 6, 6, 6\).*\(1, 3, 3, 6\)"),
        ("input_grad", {"filters": W[0]}, ValueError, "filters must have 4 axes"),
        ("input_grad", {"filters": W.astype(int)}, TypeError, "filters has dtype int64"),
        ("input_grad", {"grad_output": G.astype(complex)}, TypeError, "grad_output has dtype complex128"),
        ("input_grad", {"groups": 3}, ValueError, "groups=3"),
        ("input_grad", {"method": "fast"}, ValueError, "method must be one of .*'fast'"),
        ("input_grad", {"method": "winograd", "strides": 2}, ValueError, "method='winograd' takes 3x3"),
        ("input_grad", {"padding_mode": "zeros"}, ValueError, "padding_mode must be one of"),
        ("input_grad", {"padding": "same-ish"}, ValueError, "padding must be"),
        ("input_grad", {"data_format": "NCHW"}, ValueError, "channels"),
        ("input_grad", {"out": np.ones((1, 8, 8, 5), np.float32)}, ValueError, "out has shape"),
        ("input_grad", {"out": np.ones((1, 8, 8, 4))}, TypeError, "out has dtype float64"),
        ("input_grad", {"workers": 0}, ValueError, "workers must be"),
        ("input_grad", {"padding": 2**60}, ValueError, "pixels; it may be at most"),
        ("filter_grad", {"filter_shape": (3, 3, 4)}, ValueError, "filter_shape must have 4 numbers"),
        ("filter_grad", {"filter_shape": "3346"}, TypeError, "filter_shape must be a sequence"),
        ("filter_grad", {"filter_shape": (3, 3, 5, 6)}, ValueError, "take 5 channels.*has 4 channels"),
        ("filter_grad", {"filter_shape": (3, 3, 4, 7)}, ValueError, r"grad_output has shape .*\(1, 6, 6, 7\)"),
        ("filter_grad", {"filter_shape": (3, 9, 4, 6)}, ValueError, "span a width of 9 pixels.*input has: 8"),
        ("filter_grad", {"input": X.astype(bool)}, TypeError, "input has dtype bool"),
        ("filter_grad", {"input": X[0, 0]}, ValueError, "input must have at least 3 axes"),
        ("filter_grad", {"cval": "0"}, TypeError, "cval must be a real number"),
        ("filter_grad", {"flip_filters": 1}, TypeError, "flip_filters must be True or False"),
        ("filter_grad", {"grad_output": np.ma.masked_equal(G, 1)}, ValueError, "grad_output is a masked"),
        ("transpose", {"filters": W[..., :5]}, ValueError, "take 5 channels, but input .* has 6"),
        ("transpose", {"groups": 4}, ValueError, "groups=4 must divide the channels of input, 6"),
        ("transpose", {"output_shape": (7, 6)}, ValueError, r"no input gives output_shape=\(7, 6\).*7 x 6 pixels.*6 x 6"),
        ("transpose", {"output_shape": (2, 6, 6, 4)}, ValueError, r"output_shape must be .*\(1, 'Ho', 'Wo', 4\).*\(2, 6, 6, 4\)"),
        ("transpose", {"output_shape": (1, 6, 6, 5)}, ValueError, "output_shape must be"),
        ("transpose", {"output_shape": 6}, TypeError, "output_shape must be a sequence"),
        ("transpose", {"bias": np.ones(5, np.float32)}, ValueError, r"bias must have shape \(4,\)"),
        ("transpose", {"activation": "gelu"}, ValueError, "activation must be one of"),
        ("transpose", {"padding": 9}, ValueError, "padding=9 cuts off more than the whole result"),
    ],
)  # fmt: skip
def test_errors_name_the_argument(function, arguments, error, words):
    own = {"input_grad": OF_INPUT, "filter_grad": OF_FILTERS, "transpose": TRANSPOSED}[function]
    with pytest.raises(error, match=words):
        getattr(fastconv, f"conv2d_{function}")(**own | arguments)


def test_repeating_borders_need_pixels():
    for mode in MODES[1:]:
        with pytest.raises(ValueError, match=f"padding_mode='{mode}' needs pixels"):
            fastconv.conv2d_input_grad((2, 0, 5, 3), np.ones((3, 3, 3, 4)), np.ones((2, 0, 5, 4)), padding=1, padding_mode=mode)


@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"padding": "SAME", "padding_mode": "wrap"}], ids=str)
def test_gradients_of_images_by_fourier_transforms(rng, options):
    x, w = rng.standard_normal((2, 60, 41, 3)), rng.standard_normal((13, 12, 3, 4))
    grad = rng.standard_normal(fastconv.conv2d(x, w, **options).shape)
    expected = fastconv.conv2d_input_grad(x.shape, w, grad, method="direct", **options)
    found = fastconv.conv2d_input_grad(x.shape, w, grad, method="fft", **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    assert not np.array_equal(found, expected)  # it was by another method
