"""Order statistics, mode and entropy of neighbourhoods: values, dtypes, missing elements, layouts, threads, errors."""

import fractions
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings

import fastconv
import reference
from support import (
    DTYPES,
    INTEGERS,
    LANE_SIZES,
    LAYOUTS,
    NEIGHBORHOODS,
    REALS,
    assert_any_layout_agrees,
    assert_same_bits,
    neighborhood_case,
)

reduce_ = fastconv.neighborhood_reduce
REDUCTIONS = ("median", ("percentile", 0), ("percentile", 90), ("percentile", 100), ("rank", 0), ("rank", -1), ("rank", 2),
              "mode", "entropy")
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)


def apply(reduction, values):
    """The result for the counting values, one or more, of a window, as an exact number where there is one."""
    name, parameter = reduction if isinstance(reduction, tuple) else (reduction, 50)
    order = sorted(v.item() for v in values)
    n = len(order)
    if name in ("median", "percentile"):
        position = (n - 1) * (parameter / 100)
        below, share = int(position), position % 1
        return order[below] if share == 0 else order[below] + (order[below + 1] - order[below]) * share
    if name == "rank":
        return order[min(max(parameter + n if parameter < 0 else parameter, 0), n - 1)]
    counts = {}
    for v in order:
        counts[v] = counts.get(v, 0) + 1
    if name == "mode":
        return min(v for v in counts if counts[v] == max(counts.values()))
    return math.fsum(c / n * math.log2(n / c) for c in counts.values())


def expected_dtype(reduction, dtype, cells, some_missing):
    name, parameter = reduction if isinstance(reduction, tuple) else (reduction, 50)
    between = name in ("median", "percentile") and (some_missing or (cells - 1) * (parameter / 100) % 1)
    return np.dtype(np.float64) if dtype.kind != "f" and (between or name == "entropy") else dtype


def assert_reduces(x, reduction, footprint, result, **options):
    """Assert that a result is that of the definition."""
    some_missing = "mask" in options or options.get("mode") == "ignore" or options.get("omit", False)
    dtype = expected_dtype(reduction, x.dtype, int(footprint.sum()), some_missing)
    assert result.dtype == dtype
    empty = np.nan if dtype.kind == "f" else 0
    expected = reference.neighborhood(x, functools.partial(apply, reduction), footprint, object, empty, **options)
    assert result.shape == expected.shape
    if reduction == "entropy" or dtype.kind == "f":
        limit = {2: 1e-3, 4: 1e-6, 8: 1e-14}[dtype.itemsize]
        np.testing.assert_allclose(result, expected.astype(float), rtol=limit, atol=limit)
    else:
        np.testing.assert_array_equal(result, expected.astype(dtype))


# --- The definition


@every_reduction
@settings(max_examples=60)
@given(**NEIGHBORHOODS)
def test_results_are_those_of_the_definition(reduction, **case):
    x, footprint, arguments, options = neighborhood_case(**case, most=5)
    if reduction == ("rank", 2) and footprint.sum() < 3:
        return
    assert_reduces(x, reduction, footprint, reduce_(x, reduction, **arguments), **options)


def windows(x, size, mode="edge"):
    """Return the windows of a box, sorted along the last axis, of a padded copy."""
    sizes = np.broadcast_to(size, x.ndim)
    padded = np.pad(x, [(int(s) // 2, int(s) - 1 - int(s) // 2) for s in sizes], mode)
    view = np.lib.stride_tricks.sliding_window_view(padded, tuple(sizes))
    return np.sort(view.reshape(*x.shape, -1), axis=-1)


def numbers(rng, shape, dtype):
    """Return numbers over the whole range of a dtype."""
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, (3, 5), (1, 9), (9, 1)], ids=str)
def test_lines_around_the_lanes(isa, rng, dtype, size):
    cells = math.prod(np.broadcast_to(size, 2))
    for n in LANE_SIZES[1::3]:
        for shape in ((5, n), (n, 4)):
            x = numbers(rng, shape, dtype)
            order = windows(x, size)
            for reduction, rank in ((("rank", cells // 3), cells // 3), ("median", cells // 2), (("rank", -1), cells - 1)):
                assert_same_bits(reduce_(x, reduction, size, mode="nearest"), order[..., rank])


@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("u1", "i2", "i4", "f4", "f8", "u8")], ids=str)
@pytest.mark.parametrize("size", [2, 4, 11, 13, 15, 21, 31, (2, 31), (15, 3)], ids=str)
def test_boxes_of_all_sizes(rng, dtype, size):
    x = numbers(rng, (41, 100), dtype)
    order = windows(x, size)
    cells = order.shape[-1]
    for rank in (0, 1, cells // 5, cells // 2, cells - 2):
        assert_same_bits(reduce_(x, ("rank", rank), size, mode="nearest"), order[..., rank])
    for name, percent in (("median", 50), ("percentile", 90)):
        result = reduce_(x, name if name == "median" else (name, percent), size, mode="nearest")
        wide = order if dtype.kind == "f" else order.astype(np.float64)
        limit = 1e-6 if dtype.itemsize == 4 else 1e-14
        atol = limit * float(np.abs(wide).max())
        np.testing.assert_allclose(result, np.percentile(wide, percent, axis=-1), rtol=limit, atol=atol)


@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("u1", "i2", "i8", "f4", "f8")], ids=str)
@pytest.mark.parametrize("size", [7, 9, 15])
def test_boxes_with_networks(isa, rng, dtype, size):
    cells = size * size
    x = numbers(rng, (21, 70), dtype)
    order = windows(x, size)
    for rank in (0, 1, size - 2, size - 1, size, cells // 2, cells - size - 1, cells - size, cells - size + 1, cells - 1):
        assert_same_bits(reduce_(x, ("rank", rank), size, mode="nearest"), order[..., rank])
    wide = order if dtype.kind == "f" else order.astype(np.float64)
    for rank in (0, size - 2, size - 1, cells - size - 1, cells - size, cells - 2):
        percent = (rank + 0.5) / (cells - 1) * 100
        result = reduce_(x, ("percentile", percent), size, mode="nearest")
        limit = 1e-5 if dtype.itemsize == 4 else 1e-13
        atol = limit * float(np.abs(wide).max())
        np.testing.assert_allclose(result, wide[..., rank] / 2 + wide[..., rank + 1] / 2, rtol=limit, atol=atol)
    for rows in range(1, 21):
        order = windows(x[:rows], size)
        for rank in (size - 1, cells // 2, cells - size):
            assert_same_bits(reduce_(x[:rows], ("rank", rank), size, mode="nearest"), order[..., rank])


@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("u1", "u2", "i1", "f4", "i8")], ids=str)
def test_footprints(isa, rng, dtype):
    disk = np.hypot(*np.indices((11, 11)) - 5) <= 5
    ragged = rng.random((4, 9)) < 0.5
    line = np.eye(7, dtype=bool)
    x = numbers(rng, (30, 70), dtype)
    for footprint in (disk, ragged, line, np.tri(6, dtype=bool)):
        cells = int(footprint.sum())
        pads = [(n // 2, n - 1 - n // 2) for n in footprint.shape]
        view = np.lib.stride_tricks.sliding_window_view(np.pad(x, pads, "edge"), footprint.shape)
        order = np.sort(view[..., footprint], axis=-1)
        for rank in (0, cells // 2, cells - 2):
            result = reduce_(x, ("rank", rank), footprint=footprint, mode="nearest")
            assert_same_bits(result, order[..., rank])


@pytest.mark.parametrize("depth", [1, 3])
def test_cells_shared_by_rows(isa, rng, depth):
    ball = sum((g - n // 2) ** 2 for g, n in zip(np.indices((depth, 9, 9)), (depth, 9, 9), strict=True)) <= 16
    for rows in range(1, 11):
        x = rng.integers(0, 1000, (4, rows, 70)).astype(np.float32)
        pads = [(n // 2, n // 2) for n in ball.shape]
        order = np.sort(np.lib.stride_tricks.sliding_window_view(np.pad(x, pads, "edge"), ball.shape)[..., ball], axis=-1)
        for rank in (0, int(ball.sum()) // 2):
            assert_same_bits(reduce_(x, ("rank", rank), footprint=ball, mode="nearest"), order[..., rank])
            every = reduce_(x, ("rank", rank), footprint=ball, mode="nearest", step=(1, 2, 1))
            assert_same_bits(every, order[:, ::2, :, rank])


@every_reduction
@pytest.mark.parametrize("size", [3, (4, 70), (100, 1), (9, 9)], ids=str)
def test_windows_larger_than_the_image(rng, reduction, size):
    x = rng.integers(0, 9, (5, 4)).astype(np.float32)
    footprint = np.ones(np.broadcast_to(size, 2), bool)
    for mode in ("reflect", "ignore"):
        assert_reduces(x, reduction, footprint, reduce_(x, reduction, size, mode=mode), mode=mode)


@pytest.mark.parametrize("size", [3, (3, 1, 5), (5, 3, 1)], ids=str)
def test_three_axes(rng, size):
    x = rng.integers(0, 1000, (9, 20, 70)).astype(np.uint16)
    order = windows(x, size)
    assert_same_bits(reduce_(x, "median", size, mode="nearest"), order[..., order.shape[-1] // 2])


@every_reduction
def test_empty_arrays_and_points(reduction):
    for shape in ((0,), (4, 0), (0, 3, 2)):
        result = reduce_(np.zeros(shape, np.uint8), reduction, 3)
        assert result.shape == shape
    if reduction != ("rank", 2):
        assert reduce_(np.float64(3), reduction, ()) == (0 if reduction == "entropy" else 3)


# --- Numbers


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_are_exact_to_their_ends(isa, rng, dtype):
    info = np.iinfo(dtype)
    x = rng.choice(np.array([info.min, info.min + 1, info.max - 1, info.max], dtype), (20, 70))
    for size in (3, 5, 6):
        order = windows(x, size)
        for rank in (0, 3, size * size // 2, -1):
            assert_same_bits(reduce_(x, ("rank", rank), size, mode="nearest"), order[..., rank])
    middle = order[..., 17].astype(object) + order[..., 18].astype(object)
    np.testing.assert_array_equal(reduce_(x, "median", 6, mode="nearest"), (middle / 2).astype(float))


def test_dtypes_of_results():
    x = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert reduce_(x, "median", 3).dtype == np.int16
    assert reduce_(x, "median", 2).dtype == np.float64
    assert reduce_(x, "median", 2, dtype=np.int16).dtype == np.int16
    assert reduce_(x, "median", 3, mask=x > 3).dtype == np.float64
    assert reduce_(x, ("percentile", 25), 3).dtype == np.int16
    assert reduce_(x, ("percentile", 30), 3).dtype == np.float64
    assert reduce_(x, "mode", 2, mode="ignore").dtype == np.int16
    assert reduce_(x.astype(np.float16), "entropy", 2).dtype == np.float16


def test_a_median_between_two_is_their_mean(rng):
    x = np.array([3.0, np.inf, -np.inf, 1.7e308, -1.7e308, 1.0])
    with np.errstate(all="ignore"):
        expected = np.median(np.lib.stride_tricks.sliding_window_view(x, 2), axis=-1)
    np.testing.assert_array_equal(reduce_(x, "median", 2, mode="valid"), expected)


def test_between_integers_of_64_bits(isa, rng):
    top = np.array([2**63 - 1, 2**63 - 3], np.uint64)
    assert (reduce_(top, "median", 2, mode="wrap", dtype=np.uint64) == 2**63 - 2).all()
    assert (reduce_(top.astype(np.int64), "median", 2, mode="wrap", dtype=np.int64) == 2**63 - 2).all()
    assert (reduce_(top + np.uint64(2**62), "median", 2, mode="wrap", dtype=np.int64) == 2**63 - 1).all()
    x = rng.integers(-(2**63), 2**63 - 1, (6, 40), np.int64, endpoint=True)
    for mask in (None, rng.random(x.shape) < 0.7):
        for q, share in ((50, (1, 2)), (25, (1, 4))):
            def exact(values, share=share):
                place, rest = divmod((values.size - 1) * share[0], share[1])
                low, high = (int(v) for v in np.sort(values)[[place, min(place + 1, values.size - 1)]])
                return round(low + fractions.Fraction(rest, share[1]) * (high - low))

            expected = reference.neighborhood(x, exact, np.ones((2, 3), bool), dtype=object, empty=0, mask=mask)
            assert_same_bits(reduce_(x, ("percentile", q), (2, 3), mask=mask, dtype=np.int64), expected.astype(np.int64))


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("size", [3, 5, 7, 9, (3, 4)], ids=str)
def test_zeros_and_infinities(isa, rng, dtype, size):
    x = rng.choice(np.array([0.0, -0.0, np.inf, -np.inf, 1, -1], dtype), (12, 80))
    order = windows(x, size)
    for rank in (0, 3, order.shape[-1] // 2, -2):
        np.testing.assert_array_equal(reduce_(x, ("rank", rank), size, mode="nearest"), order[..., rank])


def test_a_cval_that_no_window_sees_may_be_nan():
    for window in ({"size": 1}, {"size": (1, 2), "step": (1, 6), "origin": (0, -1)}):
        result = reduce_(IMAGE, "median", mode="constant", cval=np.nan, nan_policy="raise", **window)
        assert not np.isnan(result).any()


def test_products_of_float16_overflow_at_their_end_alone(isa):
    x = np.array([6e4] * 70 + [1e-5] * 70 + [0.5] * 3, np.float16)
    for order in (x, x[::-1], np.concatenate([x[::2], x[1::2]])):
        exact = np.prod(order.astype(np.longdouble))
        for mask in (None, np.ones(x.shape, bool)):
            result = reduce_(order, "prod", x.size, mode="valid", dtype=np.float64, mask=mask)
            np.testing.assert_allclose(result, float(exact), rtol=1e-13)
    for one, other in ((np.inf, np.inf), (0, 0), (np.nan, np.nan)):
        x[100] = one
        np.testing.assert_array_equal(reduce_(x, "prod", x.size, mode="valid"), [other])


def test_mode_of_zeros_of_both_signs():
    x = np.array([-0.0, 0.0, 3.0, 3.0, -0.0])
    result = reduce_(x, "mode", 5, mode="ignore")
    np.testing.assert_array_equal(result, [0, 0, 0, 0, 3])


@pytest.mark.parametrize("name", ["mode", "entropy"])
@pytest.mark.parametrize("mode", ["reflect", "ignore"])
@pytest.mark.parametrize("high", [2, 20, 256])
def test_histograms_agree_with_sorted_windows(isa, rng, name, mode, high):
    x = rng.integers(0, high, (12, 200)).astype(np.int16)
    x[4:7, 50:80] = 1
    disk = np.hypot(*np.indices((9, 9)) - 4) <= 4
    for mask in (None, rng.random(x.shape) < 0.3):
        expected = reduce_(x.astype(np.int64), name, footprint=disk, mode=mode, mask=mask)
        for dtype, shift in ((np.uint8, 0), (np.int8, -128), (np.uint16, 1000), (np.int16, -1000)):
            result = reduce_((x + shift).astype(dtype), name, footprint=disk, mode=mode, mask=mask)
            if name == "entropy":
                assert_same_bits(result, expected)
            else:
                found = expected != 0 if mask is not None else np.ones(x.shape, bool)
                np.testing.assert_array_equal(result[found], expected[found] + shift)


def test_entropy_of_known_windows():
    x = np.array([[7, 7, 7, 7], [1, 2, 3, 4]], np.uint8)
    np.testing.assert_array_equal(reduce_(x, "entropy", (1, 4), mode="valid"), [[0.0], [2.0]])


# --- What does not count

NAN_WINDOWS = {"box": np.ones((3, 3), bool), "line": np.ones((1, 9), bool), "cross": (np.eye(4) + np.eye(4)[::-1]) != 0}


@every_reduction
@pytest.mark.parametrize("window", NAN_WINDOWS)
@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_nan(isa, rng, reduction, window, dtype):
    x = rng.integers(-3, 4, (7, 40)).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[3, 10:20] = np.nan
    x[0, 0] = -x[3, 12]
    footprint = NAN_WINDOWS[window]
    missing = reference.neighborhood(x, lambda v: np.isnan(v).any(), footprint) == 1
    result = reduce_(x, reduction, footprint=footprint)
    np.testing.assert_array_equal(np.isnan(result), missing)
    again = reduce_(np.nan_to_num(x), reduction, footprint=footprint)
    np.testing.assert_array_equal(result[~missing], again[~missing])
    if isa == fastconv.available_isas()[0]:
        omitted = reduce_(x, reduction, footprint=footprint, nan_policy="omit")
        assert_reduces(x, reduction, footprint, omitted, omit=True)


@every_reduction
def test_a_mask_of_everything_changes_nothing(rng, reduction):
    x = rng.integers(0, 5, (20, 30), np.uint8)
    result = reduce_(x, reduction, 5, mask=np.ones(x.shape, bool))
    np.testing.assert_array_equal(result, reduce_(x, reduction, 5))
    nothing = reduce_(x, reduction, 5, mask=np.zeros(x.shape, bool))
    assert np.isnan(nothing).all() if nothing.dtype.kind == "f" else (nothing == 0).all()


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "min", "max", "range", "mean", "std"], ids=str)
@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("?", "u1", "i2", "i4", "u8", "f2", "f4", "f8")], ids=str)
def test_nothing_counts(isa, rng, reduction, dtype):
    """NaN where the result has one, else 0; what counts stays what it is."""
    x = rng.integers(1, 2 if dtype.kind == "b" else 100, (9, 70)).astype(dtype)
    mask = rng.random(x.shape) < 0.2
    counts = reduce_(np.ones(x.shape), "sum", 3, mask=mask)
    empty = counts == 0
    assert empty.any() and not empty.all()
    natural = reduce_(x, reduction, 3, mask=mask)
    for wanted in (np.float32, np.float64, np.complex128, np.float16, np.int64, np.uint8, np.bool_):
        for companions in ([], ["mode"], ["max"]):
            result = reduce_(x, [reduction, *companions], 3, mask=mask, dtype=wanted)[0]
            has_nan = np.dtype(wanted).kind in "fc"
            np.testing.assert_array_equal(result[empty], np.nan if has_nan else 0)
            if has_nan:
                np.testing.assert_allclose(result[~empty], natural[~empty].astype(np.float64), rtol=1e-3)
            elif wanted is np.bool_:
                np.testing.assert_array_equal(result[~empty], natural[~empty] != 0)


def test_percentiles_of_integers_with_a_mask_are_floats(rng):
    x = rng.integers(0, 99, (20, 30))
    for q, name in ((0, "min"), (100, "max")):
        assert reduce_(x, ("percentile", q), 3).dtype == x.dtype
        for options in ({"mask": rng.random(x.shape) < 0.1}, {"mode": "ignore"}):
            result = reduce_(x, ("percentile", q), 3, **options)
            assert result.dtype == np.float64
            np.testing.assert_array_equal(result, reduce_(x.astype(float), name, 3, **options))


@pytest.mark.parametrize("dtype", [np.float16, np.float32], ids=lambda d: d.__name__)
@pytest.mark.parametrize(
    "window", [{"size": 2}, {"size": (3, 2), "mask": True}, {"footprint": np.eye(4)}, {"size": (5, 40)}], ids=str
)
def test_float64_results_between_two_narrower_cells(isa, rng, dtype, window):
    x = rng.standard_normal((40, 50)).astype(dtype)
    window = {**window, "mask": rng.random(x.shape) < 0.9} if "mask" in window else window
    for reduction in ("median", ("percentile", 30)):
        result = reduce_(x, reduction, dtype=np.float64, **window)
        np.testing.assert_allclose(result, reduce_(x.astype(np.float64), reduction, **window), rtol=1e-15, atol=1e-18)


# --- Layouts, threads, lists, out


@every_reduction
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("dtype", [np.uint8, np.float64], ids=lambda d: d.__name__)
def test_layouts(rng, reduction, layout, dtype):
    x = rng.integers(0, 100, (4, 30, 33)).astype(dtype)
    assert_any_layout_agrees(x, layout, functools.partial(reduce_, reduction=reduction, size=(1, 4, 3)))


@every_reduction
@pytest.mark.parametrize("window", [{"size": 5}, {"footprint": np.tri(7)}], ids=["box", "triangle"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32], ids=lambda d: d.__name__)
def test_threads_do_not_change_the_bits(rng, reduction, window, dtype):
    x = (10 * rng.standard_normal((130, 150))).astype(dtype)
    if dtype == np.float32:
        x[70, 70:90] = np.nan
    one = reduce_(x, reduction, workers=1, **window)
    for workers in (2, 7):
        assert_same_bits(reduce_(x, reduction, workers=workers, **window), one)


WINDOWS = [{"size": 7}, {"footprint": np.tri(7)}, {"size": 7, "mask": np.eye(40, 50) == 0}]


@pytest.mark.parametrize("window", WINDOWS, ids=["box", "triangle", "mask"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64], ids=lambda d: d.__name__)
def test_lists_are_the_calls_one_by_one(rng, dtype, window):
    x = numbers(rng, (40, 50), np.dtype(dtype))
    names = ["mean", *REDUCTIONS, "max", "sum"]
    for result, name in zip(reduce_(x, names, **window), names, strict=True):
        assert_same_bits(result, reduce_(x, name, **window))


@every_reduction
@pytest.mark.parametrize("window", WINDOWS, ids=["box", "triangle", "mask"])
@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("i1", "i2", "i4", "i8")], ids=str)
def test_signed_integers_are_unsigned_ones_moved(isa, rng, reduction, window, dtype):
    """A constant outside and small numbers: the results differ by what the numbers do."""
    half = 100
    x = rng.integers(-20, 20, (40, 50)).astype(dtype)
    moved = (x + half).astype(f"u{dtype.itemsize}")
    for mode, step in (("constant", 1), ("reflect", 2)):
        result = reduce_(x, reduction, mode=mode, cval=-3, step=step, **window)
        expected = reduce_(moved, reduction, mode=mode, cval=half - 3, step=step, **window)
        np.testing.assert_allclose(result, expected.astype(float) - half * (reduction != "entropy"), rtol=0, atol=1e-12)


# --- Bad input

IMAGE = np.zeros((4, 5), np.float32)


@pytest.mark.parametrize(
    "error, text, call",
    [
        (ValueError, "'median'", lambda: reduce_(IMAGE, ("median", 1), 3)),
        (ValueError, "'percentile'", lambda: reduce_(IMAGE, "percentile", 3)),
        (ValueError, "from 0 to 100", lambda: reduce_(IMAGE, ("percentile", 101), 3)),
        (ValueError, "from 0 to 100", lambda: reduce_(IMAGE, ("percentile", np.nan), 3)),
        (TypeError, "percentile", lambda: reduce_(IMAGE, ("percentile", "a"), 3)),
        (ValueError, "'rank'", lambda: reduce_(IMAGE, "rank", 3)),
        (ValueError, "from -9 to 8", lambda: reduce_(IMAGE, ("rank", 9), 3)),
        (ValueError, "from -9 to 8", lambda: reduce_(IMAGE, ("rank", -10), 3, dtype=np.float64)),
        (TypeError, "rank", lambda: reduce_(IMAGE, ("rank", 1.5), 3)),
        (TypeError, "rank", lambda: reduce_(IMAGE, ("rank", True), 3)),
        (TypeError, "rank", lambda: reduce_(IMAGE, ("rank", np.True_), 3)),
        (TypeError, "percentile", lambda: reduce_(IMAGE, ("percentile", "50"), 3)),
        (TypeError, "percentile", lambda: reduce_(IMAGE, ("percentile", b"50"), 3)),
        (TypeError, "ddof", lambda: reduce_(IMAGE, ("var", "1"), 3)),
        (TypeError, "ddof", lambda: reduce_(IMAGE, ("std", b"1"), 3)),
        (ValueError, "cval is NaN", lambda: reduce_(IMAGE, "median", 3, mode="constant", cval=np.nan, nan_policy="raise")),
        (ValueError, "cval is NaN", lambda: reduce_(IMAGE, np.ptp, 3, mode="constant", cval=np.nan, nan_policy="raise")),
        (TypeError, "input", lambda: reduce_(IMAGE.astype(complex), "median", 3)),
    ],
)
def test_bad_input(error, text, call):
    with pytest.raises(error, match=text):
        call()
