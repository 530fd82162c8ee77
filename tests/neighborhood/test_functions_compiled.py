"""Functions of windows that are compiled: against NumPy called on the same windows."""

import itertools
import re
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fastconv import explain, neighborhood_reduce, num_threads
from fastconv.runtime import use_seams

# Which test crosses each constant at which programs change their way.
CROSSED = {
    "neighborhood.REGISTER_BYTES": "test_same_bits_for_any_number_of_threads_and_strip",
    "neighborhood.PROGRAM_LEAST_STRIP": "test_same_bits_for_any_number_of_threads_and_strip",
    "neighborhood.PROGRAM_MOST_STRIP": "test_same_bits_for_any_number_of_threads_and_strip",
    "neighborhood.PROGRAM_DOUBLED": "test_extremes_of_boxes_by_doubling",
    "neighborhood.PROGRAM_STACKED": "test_extremes_of_boxes_by_doubling",
    "neighborhood._KEPT_CELLS": "test_values_that_are_kept_or_computed_again",
    "neighborhood._LARGE_WINDOW": "test_few_outputs_of_large_windows_are_called",
    "neighborhood._SAMPLES": "test_functions_that_change_are_called",
    "neighborhood._PROBED": "test_windows_with_nan_are_compared",
    "neighborhood._MOST_PLACES": "test_compared_windows_are_those_of_the_image",
    "compile.py:_MOST_KNOWN": "test_programs_are_forgotten",
    "compile.py:_NANS": "test_windows_with_nan_are_compared",
    "trace.py:_MOST_INDICES": "test_indices_are_remembered_and_forgotten",
    "trace.py:_MOST_ELEMENTS": "test_indices_are_remembered_and_forgotten",
}
DTYPES = ("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
REALS = ("f4", "f8")
EPS = {"f4": 2.0**-23, "f8": 2.0**-52}


def both(x, function, size, **options):
    """What the compiled function gives, and the function called."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        called = neighborhood_reduce(x, function, size, engine="python", **options)
        warnings.simplefilter("error", RuntimeWarning)
        compiled = neighborhood_reduce(x, function, size, engine="compiled", **options)
    assert compiled.dtype == called.dtype and compiled.shape == called.shape
    return compiled, called


def same(x, function, size, units=0, **options):
    """Checks that they are the same, floats to so many units of the largest of their kind in the sums."""
    compiled, called = both(x, function, size, **options)
    if compiled.dtype.kind != "f" or units == 0:
        assert_array_equal(compiled, called)
        return
    scale = np.abs(called[np.isfinite(called)]).max(initial=1)
    assert_allclose(compiled, called, rtol=units * EPS[compiled.dtype.str[1:]], atol=units * EPS[compiled.dtype.str[1:]] * scale)


def numbers(rng, shape, dtype, special=True):
    """Numbers of a dtype with its extremes, or with NaN, infinities, zeros and denormals, among them."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        x = (rng.integers(-8, 9, shape) / 4).astype(dtype)
        few = [0.0, -0.0, np.nan, np.inf, -np.inf, np.finfo(dtype).tiny / 4]
    elif dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    else:
        info = np.iinfo(dtype)
        x = rng.integers(max(-9, info.min), 10, shape).astype(dtype)
        few = [info.min, info.max, 0]
    if special:
        at = rng.random(shape) < 0.05
        x[at] = rng.choice(np.array(few, dtype), at.sum())
    return x


UNARY = {
    "negative": np.negative, "absolute": np.abs, "fabs": np.fabs, "sqrt": np.sqrt, "square": np.square, "sign": np.sign,
    "floor": np.floor, "ceil": np.ceil, "rint": np.rint, "trunc": np.trunc, "exp": np.exp, "log": np.log, "log2": np.log2,
    "log10": np.log10, "expm1": np.expm1, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
    "arctan": np.arctan, "reciprocal": np.reciprocal, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "invert": np.invert, "logical_not": np.logical_not, "positive": np.positive, "cbrt": np.cbrt, "exp2": np.exp2,
    "deg2rad": np.deg2rad, "rad2deg": np.rad2deg, "degrees": np.degrees, "radians": np.radians, "signbit": np.signbit,
    "arcsin": np.arcsin, "arccos": np.arccos, "sinh": np.sinh, "cosh": np.cosh,
}  # fmt: skip
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "minimum": np.minimum,
    "maximum": np.maximum, "fmin": np.fmin, "fmax": np.fmax, "power": np.power, "hypot": np.hypot, "arctan2": np.arctan2,
    "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor, "left_shift": np.left_shift,
    "right_shift": np.right_shift, "floor_divide": np.floor_divide, "remainder": np.remainder, "less": np.less,
    "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal, "equal": np.equal,
    "not_equal": np.not_equal, "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
    "fmod": np.fmod, "copysign": np.copysign, "heaviside": np.heaviside, "logaddexp": np.logaddexp,
    "float_power": np.float_power,
}  # fmt: skip
UNITS = {"exp": 3, "tanh": 3, "cbrt": 1}  # of ours and NumPy's, half each
ROUNDED = {"exp", "log", "log2", "log10", "expm1", "log1p", "sin", "cos", "tan", "tanh", "arctan", "arctan2", "hypot", "power",
           "cbrt", "exp2", "logaddexp", "float_power", "sinh", "cosh", "arcsin", "arccos"}  # fmt: skip


def units_of(name):
    return 2 * UNITS.get(name, 4) if name in ROUNDED else 0


def taken(ufunc, dtype, *more):
    """Whether the library understands a ufunc of a dtype: NumPy has it, without float16, and it is no power of integers."""
    try:
        loop = ufunc.resolve_dtypes((np.dtype(dtype),) * ufunc.nin + (None,) * ufunc.nout)
    except TypeError:
        return False
    kind = loop[0].kind
    if any(one.char not in "?bBhHiIlLqQfd" for one in loop):
        return False
    if ufunc is np.power and kind != "f":
        return False
    return not (ufunc is np.reciprocal and kind != "f") and not (kind == "b" and loop[-1].kind == "b" and ufunc in (np.sign,))


@pytest.mark.parametrize("name", UNARY)
def test_unary_operations(name, isa):
    rng = np.random.default_rng(1)
    tried = 0
    for dtype in DTYPES:
        if not taken(UNARY[name], dtype):
            continue
        tried += 1
        for width in (1, 7, 8, 16, 17, 63, 64, 65, 130):
            x = numbers(rng, (2, width), dtype)
            # The last cell alone is an operation for each output, all of them one for each pixel.
            for function in (lambda v, axis: UNARY[name](v[..., -1]), lambda v, axis: UNARY[name](v).max(axis)):
                same(x, function, (1, 2), units=units_of(name))
    assert tried


@pytest.mark.parametrize("name", BINARY)
def test_binary_operations(name, isa):
    rng = np.random.default_rng(2)
    tried = 0
    for dtype in DTYPES:
        if not taken(BINARY[name], dtype):
            continue
        tried += 1
        ufunc, constant = BINARY[name], numbers(rng, (1,), dtype, special=False)[0] or np.dtype(dtype).type(1)
        forms = (
            lambda v, axis, u=ufunc: u(v[..., 0], v[..., 1]),
            lambda v, axis, u=ufunc, c=constant: u(v[..., 0], c),
            lambda v, axis, u=ufunc, c=constant: u(c, v[..., 1]),
            lambda v, axis, u=ufunc, c=constant: u(v, c).min(axis),
        )
        for width in (1, 15, 64, 66):
            for function in forms:
                same(numbers(rng, (2, width), dtype), function, (1, 2), units=units_of(name))
    assert tried


def test_errors_of_hypot(isa):
    rng = np.random.default_rng(3)
    for dtype, most in (("f4", 103), ("f8", 744)):
        x = np.concatenate([rng.uniform(-most, most * 0.86, 20000), rng.uniform(-1, 1, 20000), [0, 1e-30, -1e-30, 88.7, -87.4]])
        x = x.astype(dtype).reshape(1, -1)
        y = (x[:, ::-1] * rng.choice([1e-3, 1, 1e3, 1e18], x.shape)).astype(dtype)
        wide = x.astype(np.longdouble)
        pairs = np.stack([x[0], y[0]])
        got = neighborhood_reduce(pairs, lambda v, axis: np.hypot(v[..., 0], v[..., 1]), (2, 1), mode="valid", engine="compiled")
        reference = np.hypot(wide[0], y[0].astype(np.longdouble))
        assert (np.abs(got[0] - reference) / np.spacing(reference.astype(dtype))).max() <= 2


REDUCTIONS = {
    "sum": lambda v, axis: v.sum(axis),
    "mean": lambda v, axis: v.mean(axis),
    "prod": lambda v, axis: np.prod(v, axis),
    "min": lambda v, axis: v.min(axis),
    "max": lambda v, axis: np.max(v, axis=axis),
    "ptp": lambda v, axis: np.ptp(v, axis),
    "var": lambda v, axis: v.var(axis, ddof=1),
    "std": lambda v, axis: np.std(v, axis),
    "any": lambda v, axis: v.any(axis),
    "all": lambda v, axis: np.all(v > 0, axis),
    "count_nonzero": lambda v, axis: np.count_nonzero(v, axis),
    "median": lambda v, axis: np.median(v, axis),
    "percentile": lambda v, axis: np.percentile(v, 37, axis=axis),
    "quantile": lambda v, axis: np.quantile(v, 0.8, axis=axis),
    "sort": lambda v, axis: np.sort(v, axis)[..., 1:-1].max(axis),
    "argmin": lambda v, axis: np.argmin(v, axis),
    "argmax": lambda v, axis: v.argmax(axis),
    "average": lambda v, axis: np.average(v, axis, weights=np.arange(1.0, v.shape[-1] + 1)),
    "dot": lambda v, axis: v @ np.arange(1, v.shape[-1] + 1),
    "norm": lambda v, axis: np.linalg.norm(v, axis=axis),
    "nansum": lambda v, axis: np.nansum(v, axis),
    "nanmean": lambda v, axis: np.nanmean(v, axis),
    "nanmin": lambda v, axis: np.nanmin(v, axis),
    "nanmax": lambda v, axis: np.nanmax(v, axis),
    "distances": lambda v, axis: np.abs(v - v[..., :1]).sum(axis),
    "logsumexp": lambda v, axis: np.log(np.exp(v / 8).sum(axis)),
    "rows": lambda v, axis: rows(v, axis),
    "select": lambda v, axis: np.select([v > 1, v < -1], [v * 2, v - 1], 0).sum(axis),
    "clip": lambda v, axis: np.clip(v, 0, 1).sum(axis),
    "where": lambda v, axis: np.where(v > v[..., :1], v, 1).sum(axis),
    "diff": lambda v, axis: np.abs(np.diff(v, axis=axis)).max(axis) if v.shape[-1] > 1 else v[..., 0],
    "deviations": lambda v, axis: ((v - v.mean(axis, keepdims=True)) ** 3).mean(axis),
}
WINDOWS = [
    {"size": 3}, {"size": (1, 5)}, {"size": (4, 2), "origin": (1, 0)}, {"size": 1},
    {"footprint": np.hypot(*np.mgrid[-2:3, -2:3]) < 2.3}, {"footprint": np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], bool)},
]  # fmt: skip


# What NumPy has not for booleans, or not in one dtype.
NO_BOOLEANS = {"percentile", "quantile", "distances", "ptp", "diff", "clip", "select", "where", "dot", "median"}


def cells_of(window):
    return np.count_nonzero(window["footprint"]) if "footprint" in window else int(np.prod(np.broadcast_to(window["size"], 2)))


def rows(v, axis):
    """The largest sum of a row of a third of the cells."""
    if v.shape[-1] % 3:
        return v[..., 0]
    return np.reshape(v, (*v.shape[:-1], -1, v.shape[-1] // 3)).sum(-1).max(-1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dtype, isa):
    rng = np.random.default_rng(4)
    if dtype == "?" and name in NO_BOOLEANS:
        dtype = "u1"
    if dtype[0] in "ui?" and name in ("logsumexp", "select"):
        return
    x = numbers(rng, (13, 75), dtype, special=dtype[0] != "f")
    for window in WINDOWS:
        function = REDUCTIONS[name]
        cells = cells_of(window)
        if cells < 3 and name in ("var", "sort"):
            continue
        options = {key: value for key, value in window.items() if key != "size"}
        same(x, function, window.get("size"), units=8 * cells, **options)


@pytest.mark.parametrize("name", ["min", "max", "median", "percentile", "sort", "argmin", "argmax", "nansum", "nanmean", "nanmin",
                                  "any", "count_nonzero", "sum", "mean", "where"])  # fmt: skip
@pytest.mark.parametrize("dtype", REALS)
def test_nan_and_infinity(name, dtype, isa):
    x = numbers(np.random.default_rng(5), (11, 70), dtype)
    for window in WINDOWS[:3]:
        same(x, REDUCTIONS[name], window["size"], units=64)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant", "valid"])
@pytest.mark.parametrize("step", [1, 2, (3, 1), (1, 5)])
def test_modes_and_steps(mode, step):
    rng = np.random.default_rng(6)
    options = {"mode": mode, "step": step, **({"cval": 3.0} if mode == "constant" else {})}
    for dtype, shape in itertools.product(("u1", "f4", "f8"), ((9, 40), (40, 9), (70, 131))):
        x = numbers(rng, shape, dtype, special=False)
        for function in (REDUCTIONS["deviations"], REDUCTIONS["max"], lambda v, axis: (v * np.arange(1, 26)).sum(axis)):
            same(x, function, 5, units=200, **options)


@pytest.mark.parametrize("shape", [(50,), (7, 9, 30), (30, 9, 7), (2, 3, 4, 25)])
def test_dimensions_axes_and_layouts(shape):
    rng = np.random.default_rng(7)
    x = numbers(rng, shape, "f8", special=False)
    weighted = lambda v, axis: (v * np.arange(1, v.shape[-1] + 1)).sum(axis) - v.min(axis)  # noqa: E731
    for axes in ((0,), (len(shape) - 1,), tuple(range(len(shape)))[::-1], tuple(range(len(shape)))):
        same(x, weighted, 3, axes=axes)
    same(x.astype(">f8"), weighted, 3)
    same(x.T, weighted, 3)
    same(x[::-1, ..., ::2] if x.ndim > 1 else x[::-2], weighted, 3)


@pytest.mark.parametrize(
    "function",
    [
        lambda window: window.max() - window.min(),
        lambda window: window[4] - np.median(window),
        lambda window: np.mean(np.logical_and(window, np.array([0, 1, 0, 1, 1, 1, 0, 1, 0]))) > 0,
        lambda window: np.dot(window, np.arange(9)),
        lambda window: window.reshape(3, 3).sum(axis=0).max(),
        lambda window: (window[1:] > window[0]).sum(),
        lambda window: np.sort(window)[2],
        lambda window: len(window) * window[0] / window.size,
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "f8"])
def test_functions_of_one_window(function, dtype):
    same(numbers(np.random.default_rng(8), (17, 80), dtype, special=False), function, 3, units=32)


# ---- random expressions ----

LEAVES = st.sampled_from(["v", "v[..., :1]", "v.max(-1, keepdims=True)", "v.mean(-1, keepdims=True)", "k", "2", "0.5"])
PAIRS = ("+", "-", "*", "//", "%", "<", ">=", "==")
CALLS = ("np.minimum", "np.maximum", "np.fmax", "np.hypot", "np.fmod", "np.copysign", "np.heaviside")
ONES = ("np.abs", "np.sqrt", "np.exp", "np.isnan", "np.sign", "np.floor", "-1 *", "np.square")


def extended(inner):
    return st.one_of(
        st.tuples(inner, st.sampled_from(PAIRS), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(CALLS), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(st.sampled_from(ONES), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"np.where({t[0]}, {t[1]}, {t[2]})"),
    )


EXPRESSIONS = st.recursive(LEAVES, extended, max_leaves=6)


@settings(max_examples=150, deadline=None)
@given(
    text=EXPRESSIONS,
    last=st.sampled_from(["sum", "max", "min", "any"]),
    dtype=st.sampled_from(["u1", "i2", "i8", "f4", "f8"]),
    size=st.sampled_from([2, 3, (1, 4)]),
    seed=st.integers(0, 99),
)
def test_random_expressions(text, last, dtype, size, seed):
    cells = int(np.prod(np.broadcast_to(size, 2)))
    space = {"np": np, "k": np.arange(cells) - 1.0}
    function = eval(f"lambda v, axis: ({text} + 0 * v[..., :1]).{last}(axis)", space)
    x = numbers(np.random.default_rng(seed), (5, 70), dtype, special=False)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            called = neighborhood_reduce(x, function, size, engine="python")
        except (TypeError, OverflowError):
            return
        try:
            compiled = neighborhood_reduce(x, function, size, engine="compiled")
        except ValueError as refused:
            assert re.search("float16|gives other results", str(refused)), refused
            return
    assert compiled.dtype == called.dtype
    if compiled.dtype.kind != "f":
        assert (compiled != called).mean() < 0.2  # a comparison may fall otherwise where both sides are rounded
        return
    near = np.isclose(compiled, called, rtol=1e-4 if compiled.dtype == np.float32 else 1e-11,
                      atol=(1e-4 if compiled.dtype == np.float32 else 1e-11) * 100, equal_nan=True)  # fmt: skip
    assert near.mean() > 0.8
    if "np.exp" not in text and "mean" not in text and not set("<>=") & set(text):
        assert near.all()


def test_values_that_are_kept_or_computed_again():
    x = np.random.default_rng(18).integers(0, 9, (15, 90)).astype(float)

    def third_moment(v, axis):
        d = np.abs(v - v.mean(axis, keepdims=True)) * v
        return (d * d.max(axis, keepdims=True)).sum(axis)

    whole = neighborhood_reduce(x, third_moment, 5, engine="python")
    for kept in (1, 24, 25, 1000):
        with use_seams({"neighborhood._KEPT_CELLS": kept}):
            assert_allclose(neighborhood_reduce(x, third_moment, 5, engine="compiled"), whole, rtol=1e-13)


def test_arguments_and_results():
    x = np.random.default_rng(13).random((20, 40))
    function = REDUCTIONS["max"]
    with pytest.raises(ValueError, match="engine must be"):
        neighborhood_reduce(x, function, 3, engine="numba")
    out = np.empty((20, 40), np.float32)
    assert neighborhood_reduce(x, function, 3, out=out, engine="compiled") is out
    assert_array_equal(out, neighborhood_reduce(x, "max", 3).astype(np.float32))
    assert_array_equal(neighborhood_reduce(x * 9, function, 3, dtype="i4"), np.rint(neighborhood_reduce(x * 9, "max", 3)))
    assert neighborhood_reduce(x, function, 3, dtype="c16").dtype == np.complex128
    largest, least, own = neighborhood_reduce(x, ["max", function, lambda v, axis: v.min(axis)], 3)
    assert_array_equal(largest, least)
    assert_array_equal(own, neighborhood_reduce(x, "min", 3))
    alias = x.copy()
    neighborhood_reduce(alias, lambda v, axis: v.sum(axis), 3, out=alias)
    assert_allclose(alias, neighborhood_reduce(x, "sum", 3), rtol=1e-14)
    for function in ("mean", 3, None):
        with pytest.raises(TypeError, match="function must be a Python function"):
            explain(function, 3)
    with pytest.raises(ValueError, match="returned shape"):
        neighborhood_reduce(x, lambda v, axis: v, 3)


def test_explain_tells_operations():
    text = explain(lambda v, axis: np.abs(v).sum(axis) / v.max(axis), 5)
    assert text.startswith("compiled: 1 operations for each pixel")
    assert "absolute(pixel)" in text and "sum of all cells of p1, by rows and columns" in text


def test_same_bits_for_any_number_of_threads_and_strip():
    x = np.random.default_rng(14).random((150, 1300))
    function = lambda v, axis: np.exp(-((v - v.mean(axis, keepdims=True)) ** 2)).sum(axis)  # noqa: E731
    whole = neighborhood_reduce(x, function, 5, engine="compiled")
    for threads in (1, 2, 5):
        with num_threads(threads):
            assert_array_equal(neighborhood_reduce(x, function, 5, engine="compiled"), whole)
    for name, sizes in (("REGISTER_BYTES", (64, 4096)), ("PROGRAM_LEAST_STRIP", (1, 3, 64)), ("PROGRAM_MOST_STRIP", (1, 7, 65))):
        for size in sizes:
            with use_seams({f"neighborhood.{name}": size}):
                assert_array_equal(neighborhood_reduce(x[:20], function, 5, engine="compiled", mode="valid"), whole[2:18, 2:-2])


@pytest.mark.parametrize("size", [3, 9, 31, 101, (1, 255), (255, 1)])
def test_memory_is_bounded(size):
    x = np.random.default_rng(22).random((600, 4000))
    functions = [
        lambda v, axis: (v[..., 0] - v.min(axis)) / (v.max(axis) - v.min(axis) + 1),
        lambda v, axis: np.abs(v).sum(axis) + np.sqrt(np.abs(v)).max(axis),
        lambda v, axis: (v * np.arange(v.shape[-1])).sum(axis),
    ]
    for function in functions:
        out = np.empty_like(x)
        neighborhood_reduce(x[:2], function, size, engine="compiled", workers=2)
        tracemalloc.start()
        neighborhood_reduce(x, function, size, engine="compiled", workers=2, out=out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= (16 + 2 * 4) << 20


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8"])
def test_extremes_of_boxes_by_doubling(dtype):
    x = numbers(np.random.default_rng(21), (40, 200), dtype)
    sizes = (1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 31, 33)
    for shape, doubled in itertools.product([*((w, 3) for w in sizes), *((2, w) for w in sizes), (12, 12)], (1, 2, 5, 1000)):
        height, width = shape
        with use_seams({"neighborhood.PROGRAM_DOUBLED": doubled, "neighborhood.PROGRAM_STACKED": doubled}):
            got = neighborhood_reduce(x, lambda v, axis: v.max(axis) - v.min(axis), (height, width), engine="compiled")
        low, high = neighborhood_reduce(x, ["min", "max"], (height, width))
        with np.errstate(invalid="ignore"):
            assert_array_equal(got, high - low)


def test_large_windows():
    x = np.random.default_rng(15).integers(0, 50, (90, 140)).astype(float)
    contrast = lambda v, axis: (v[..., 480] - v.min(axis)) / (v.max(axis) - v.min(axis) + 1)  # noqa: E731
    same(x, contrast, 31, units=4)
    same(x, lambda v, axis: v.sum(axis), 41, units=0)
    same(x, lambda v, axis: np.abs(v - v[..., :1]).sum(axis), (21, 15), units=0)
