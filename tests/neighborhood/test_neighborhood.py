"""Named reductions of neighbourhoods: values, geometry, missing elements, layouts, threads, errors."""

import fractions
import functools
import math
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given

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
    run_script,
)

reduce_ = fastconv.neighborhood_reduce
PAD_MODES = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
every_mode = pytest.mark.parametrize("mode", PAD_MODES)


def exact_sum(values):
    return math.fsum(values) if values.dtype.kind == "f" else sum(int(v) for v in values)


def exact_mean(values):
    """The mean: of rationals, rounded once."""
    if values.dtype.kind == "f":
        return math.fsum(values) / values.size
    return float(exact_sum(values) / values.size)


def variance(values, ddof=0):
    """The variance of integers or floats, in long doubles about the mean of the differences from the first."""
    pivot = values[0].item()
    wide = np.array([v.item() - pivot for v in values], np.longdouble)
    wide -= wide.mean()
    return float(np.sum(wide * wide) / (values.size - ddof)) if values.size > ddof else np.nan


def spread(values):
    return values.max().item() - values.min().item()


# name: (function, what it gives where nothing counts, for floats and others; whether it is exact on small integers)
NAMED = {
    "min": (np.min, np.nan, 0, True),
    "max": (np.max, np.nan, 0, True),
    "range": (spread, np.nan, 0, True),
    "sum": (exact_sum, 0, 0, True),
    "prod": (lambda v: math.prod(n.item() for n in v), 1, 1, True),
    "count": (np.count_nonzero, 0, 0, True),
    "any": (np.any, False, False, True),
    "all": (np.all, True, True, True),
    "mean": (exact_mean, np.nan, np.nan, False),
    "var": (variance, np.nan, np.nan, False),
    "std": (lambda v: math.sqrt(variance(v)), np.nan, np.nan, False),
}
every_name = pytest.mark.parametrize("name", NAMED)


def result_dtype(name, dtype):
    if name in ("any", "all"):
        return np.dtype(bool)
    if name == "count":
        return np.dtype(np.int64)
    if name in ("min", "max") or dtype.kind == "f":
        return dtype
    if name == "range":
        return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype
    if name in ("sum", "prod"):
        return np.dtype(np.int64 if dtype.kind == "b" or dtype.itemsize > 2 else np.int32)
    return np.dtype(np.float64)


def assert_reduces(x, name, footprint, result, **options):
    """Assert that a result is that of the definition."""
    function, empty_real, empty_other, exact = NAMED[name]
    empty = empty_real if x.dtype.kind == "f" else empty_other
    expected = reference.neighborhood(x, function, footprint, empty=empty, **options)
    dtype = result_dtype(name, x.dtype)
    assert result.dtype == dtype
    if exact or dtype == np.float16:
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(result, expected.astype(dtype))
    else:
        limit = 3 * np.finfo(dtype).eps
        np.testing.assert_allclose(result, expected, rtol=limit, atol=1e-14)


def boxes(x, size, mode="reflect", cval=0):
    """Return a view (*x.shape, cells) of the windows of a box, of a padded copy."""
    sizes = np.broadcast_to(size, x.ndim)
    pads = [(int(s) // 2, int(s) - 1 - int(s) // 2) for s in sizes]
    extra = {"constant_values": cval} if mode == "constant" else {}
    padded = np.pad(x, pads, PAD_MODES[mode], **extra)
    windows = np.lib.stride_tricks.sliding_window_view(padded, tuple(sizes))
    return windows.reshape(*x.shape, -1)


# --- The definition


@every_name
@given(**NEIGHBORHOODS)
def test_results_are_those_of_the_definition(name, **case):
    x, footprint, arguments, options = neighborhood_case(**case)
    result = reduce_(x, name, **arguments)
    assert_reduces(x, name, footprint, result, **options)


@pytest.mark.parametrize("name", ["min", "max", "range", "sum", "mean"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 33])
def test_lines_around_the_lanes(isa, rng, name, dtype, size):
    for n in LANE_SIZES[1:]:
        for shape in ((n,), (3, n), (n, 2)):
            x = rng.integers(0, 2, shape).astype(dtype)
            windows = boxes(x, size, "mirror")
            result = reduce_(x, name, size, mode="mirror")
            wide = windows.astype(np.float64) if dtype.kind == "f" else windows.astype(np.int64)
            expected = np.ptp(wide, axis=-1) if name == "range" else getattr(np, name)(wide, axis=-1)
            # 64-bit integers are averaged about a pivot, which rounds twice.
            np.testing.assert_allclose(result, expected.astype(result.dtype), rtol=1e-15 if dtype.itemsize == 8 else 0)


DISK = np.hypot(*np.ogrid[-6:7, -6:7]) <= 6
WINDOWS = {
    "disk": DISK,
    "half a disk": DISK[:, :7],
    "full": np.ones((4, 9), bool),
    "a line and a point": np.pad(np.ones((1, 17), bool), ((0, 3), (0, 1))) | (np.arange(72).reshape(4, 18) == 71),
    "every other cell": np.indices((5, 6)).sum(axis=0) % 2 == 0,
    "a column": np.ones((20, 1), bool),
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float16", "float32", "int64"])
def test_extremes_of_runs(isa, rng, window, dtype):
    footprint = WINDOWS[window]
    # More rows than a block has, so that tables are carried from one to the next.
    for n in (3, *LANE_SIZES[-3:]):
        x = rng.integers(0, 2 if dtype == "bool" else 100, (150, n)).astype(dtype)
        cells = boxes(x, footprint.shape)[..., footprint.ravel()]
        low, high = cells.min(axis=-1), cells.max(axis=-1)
        for result, expected in zip(reduce_(x, ["min", "max"], footprint=footprint), (low, high), strict=True):
            assert_same_bits(result, expected)
        np.testing.assert_array_equal(reduce_(x, "range", footprint=footprint), high ^ low if dtype == "bool" else high - low)
        np.testing.assert_array_equal(reduce_(x, "any", footprint=footprint), cells.any(axis=-1))
        np.testing.assert_array_equal(reduce_(x, "all", footprint=footprint), cells.all(axis=-1))


BOOLEAN_WINDOWS = WINDOWS | {"box": np.ones((5, 3), bool), "long box": np.ones((1, 150), bool)}


@every_mode
@pytest.mark.parametrize("window", BOOLEAN_WINDOWS)
@pytest.mark.parametrize("n", [1, 7, 64, 129, 1030])
def test_truths_as_bits(isa, rng, mode, window, n):
    footprint = BOOLEAN_WINDOWS[window]
    x = rng.random((90, n)) < 0.5
    for cval in (0, 1) if mode == "constant" else (0,):
        cells = boxes(x, footprint.shape, mode, cval)[..., footprint.ravel()]
        low, high = cells.all(axis=-1), cells.any(axis=-1)
        expected = {"min": low, "max": high, "range": low ^ high, "any": high, "all": low}
        options = {"footprint": footprint, "mode": mode, "cval": cval}
        for name, result in zip(expected, reduce_(x, list(expected), **options), strict=True):
            assert_same_bits(result, expected[name])
        assert_same_bits(reduce_(x, "all", step=(2, 3), **options), low[::2, ::3])
        out = np.ones((90, 2 * n), bool)[:, ::2]
        assert_same_bits(reduce_(x, "max", out=out, **options), high)
        for dtype in ("float32", ">i2", "uint64"):
            assert_same_bits(reduce_(x.astype(dtype) * 256, "any", **options), high)


def test_truths_of_three_axes(isa, rng):
    x = rng.random((19, 40, 70)) < 0.4
    ball = np.hypot(np.hypot(*np.ogrid[-3:4, -3:4])[..., None], np.arange(-3, 4)) <= 3
    for footprint in (ball, np.ones((2, 9, 4), bool), np.ones((1, 3, 5), bool)):
        cells = boxes(x, footprint.shape)[..., footprint.ravel()]
        low, high = cells.all(axis=-1), cells.any(axis=-1)
        expected = {"all": low, "any": high, "range": low ^ high, "min": low, "max": high}
        for name, result in zip(expected, reduce_(x, list(expected), footprint=footprint), strict=True):
            assert_same_bits(result, expected[name])
        for name in expected:
            assert_same_bits(reduce_(x, name, footprint=footprint), expected[name])
            assert_same_bits(reduce_(x[::-1, :, ::2], name, footprint=footprint, step=(1, 2, 1), mode="valid"),
                             reduce_(x[::-1, :, ::2].copy(), name, footprint=footprint, mode="valid")[:, ::2])  # fmt: skip


def test_boxes_whose_regions_leave_the_cache(rng):
    """Blocks are as large as half the window, in strips."""
    x = rng.standard_normal((420, 1300)).astype(np.float32)
    columns = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), 301, axis=0)
    least = np.lib.stride_tricks.sliding_window_view(columns.min(axis=-1), 251, axis=1).min(axis=-1)
    mean = np.lib.stride_tricks.sliding_window_view(columns.mean(axis=-1), 251, axis=1).mean(axis=-1)
    results = reduce_(x, ["min", "mean"], (301, 251), mode="valid")
    np.testing.assert_array_equal(results[0], least)
    np.testing.assert_allclose(results[1], mean, atol=1e-6)
    assert_same_bits(reduce_(x, "min", (301, 251), mode="valid", workers=1), results[0])


def test_truths_of_bytes_that_are_no_booleans(rng):
    x = rng.integers(0, 3, (30, 90)).astype(np.uint8) * 64
    names = ["min", "max", "range", "any", "all", "count", "sum", "mean", "std", "prod", "median", "mode", "entropy"]
    mask = rng.random(x.shape) < 0.9
    for options in ({"size": 3}, {"footprint": DISK}, {"size": 3, "mask": mask}, {"footprint": DISK, "mask": mask}):
        for reductions in (names, *([name] for name in names)):
            results = reduce_(x.view(bool), reductions, **options)
            for result, expected in zip(results, reduce_(x != 0, reductions, **options), strict=True):
                assert_same_bits(result, expected)


@pytest.mark.parametrize("mode", ["wrap", "reflect", "mirror", "nearest", "constant", "valid"])
def test_lines_in_place_of_windows_beside_their_pixel(rng, mode):
    """What the end of a line repeats need not be in the part of it that windows see."""
    x = rng.integers(0, 100, (5, 240)).astype(np.uint8)
    left, far = np.ones((3, 7), bool), np.zeros((3, 101 if mode == "valid" else 301), bool)
    left[:, 3:] = False
    far[:, -1] = True
    cases = [(left, 1), (left[:, ::-1], 1), (np.tri(3, 7, dtype=bool), 1), (np.ones((3, 3), bool), 3)]
    for footprint, step in (*cases, (far, 1), (far[:, ::-1], 1)):
        options = {"mode": mode, "step": step}
        for name, function in (("max", np.max), ("sum", np.sum), ("all", np.all)):
            expected = reference.neighborhood(x, function, footprint, np.int64, **options)
            assert np.array_equal(reduce_(x, name, footprint=footprint, **options), expected)


def test_boxes_of_booleans_that_stay_bytes(rng):
    x = rng.integers(0, 3, (6, 30, 90)).astype(np.uint8) * 64
    for name in ("min", "max", "range", "any", "all"):
        assert_same_bits(reduce_(x.view(bool), name, 3), reduce_(x.astype(bool), name, 3))
    x = (rng.random((40, 40, 80)) < 1e-4).astype(np.uint8) * 64
    least, greatest, spread = reduce_(x.view(bool), ["min", "max", "range"], 25)
    assert_same_bits(greatest, reduce_(x, "any", 25))
    assert_same_bits(spread, greatest)
    assert_same_bits(least, np.zeros(x.shape, bool))


def test_truths_follow_each_other_with_and_without_holes(rng):
    """Blocks carry bits from the one before, unless that has holes."""
    x = rng.random((400, 70)) < 0.5
    mask = np.ones(x.shape, bool)
    mask[150:170, 10:12] = False
    for window in ({"size": 9}, {"footprint": DISK}):
        whole = reduce_(x, ["min", "max"], **window)
        for masked, name, expected in zip(reduce_(x, ["min", "max"], mask=mask, **window), ("min", "max"), whole, strict=True):
            np.testing.assert_array_equal(masked[180:], expected[180:])
            np.testing.assert_array_equal(masked, reduce_(x.view(np.uint8), name, mask=mask, **window))


@pytest.mark.parametrize("window", [{"size": 9}, {"footprint": DISK}], ids=["box", "disk"])
def test_blocks_with_and_without_holes(rng, window):
    x = rng.integers(0, 9, (400, 70)).astype(np.float32)
    x[150:170, 10:12] = np.nan
    footprint = window.get("footprint", np.ones((9, 9), bool))
    cells = boxes(x, footprint.shape)[..., footprint.ravel()]
    for name, function in (("min", np.nanmin), ("max", np.nanmax), ("mean", np.nanmean), ("std", np.nanstd)):
        expected = function(cells.astype(np.float64), axis=-1)
        np.testing.assert_allclose(reduce_(x, name, nan_policy="omit", **window), expected, rtol=1e-6)


@every_mode
@pytest.mark.parametrize("name", ["min", "max", "sum", "std", "any"])
@pytest.mark.parametrize("size", [2, 9, (4, 70), (100, 1)], ids=str)
@pytest.mark.parametrize("shape", [(7, 5), (70, 90), (1, 200)], ids=str)
def test_windows_larger_than_the_image(rng, name, size, shape, mode):
    x = rng.integers(-50, 50, shape).astype(np.float64)
    result = reduce_(x, name, size, mode=mode, cval=7)
    np.testing.assert_allclose(result, getattr(np, name)(boxes(x, size, mode, 7), axis=-1), rtol=1e-13)


@pytest.mark.parametrize("name", ["min", "sum", "var"])
def test_axes(rng, name):
    x = rng.standard_normal((3, 20, 4, 30))
    expected = np.stack([reduce_(x[i, :, j], name, (3, 5)) for i in range(3) for j in range(4)])
    expected = expected.reshape(3, 4, 20, 30).transpose(0, 2, 1, 3)
    assert_same_bits(reduce_(x, name, (3, 5), axes=(1, 3)), expected)
    assert_same_bits(reduce_(x, name, (5, 3), axes=(-1, 1)), expected)
    assert_same_bits(reduce_(x, name, footprint=np.ones((5, 3)), axes=(-1, 1)), expected)


@every_name
def test_empty_arrays_and_points(name):
    for shape in ((0,), (4, 0), (0, 3, 2)):
        result = reduce_(np.zeros(shape, np.uint8), name, 3)
        assert result.shape == shape
        assert result.dtype == result_dtype(name, np.dtype(np.uint8))
    point = reduce_(np.float64(3), name, ())
    assert point.shape == ()
    assert point == NAMED[name][0](np.array([3.0]))


# --- Numbers


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_are_exact_to_their_ends(isa, rng, dtype):
    info = np.iinfo(dtype)
    x = rng.choice(np.array([info.min, info.min + 1, info.max - 1, info.max], dtype), (6, 40))
    windows = boxes(x, 3).astype(object)
    assert_same_bits(reduce_(x, "min", 3), windows.min(axis=-1).astype(dtype))
    assert_same_bits(reduce_(x, "max", 3), windows.max(axis=-1).astype(dtype))
    spans = (windows.max(axis=-1) - windows.min(axis=-1)).astype(f"u{dtype.itemsize}")
    np.testing.assert_array_equal(reduce_(x, "range", 3), spans)
    for name, total in (("sum", windows.sum(axis=-1)), ("prod", np.multiply.reduce(windows, axis=-1))):
        wanted = result_dtype(name, dtype)
        modulo = (total % 2 ** (8 * wanted.itemsize)).astype(f"u{wanted.itemsize}").view(wanted)
        assert_same_bits(reduce_(x, name, 3), modulo)
    means = (windows.sum(axis=-1) / 9).astype(np.float64)
    np.testing.assert_allclose(reduce_(x, "mean", 3), means, rtol=1e-15, atol=2.0 ** (8 * dtype.itemsize - 54))


@pytest.mark.parametrize("dtype", REALS[1:], ids=str)
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("size", [3, 9, 31])
def test_moments_of_offset_data(isa, rng, dtype, offset, size):
    x = (rng.standard_normal((24, 50)) + offset).astype(dtype)
    windows = boxes(x, size).astype(np.longdouble)
    unit = np.finfo(dtype).eps / 2
    # float32 is summed in float64; float64 in itself.
    units, relative = (2, 8 * unit) if dtype.itemsize == 4 else (48, 1e-11)
    largest = np.abs(windows).max(axis=-1)
    assert (np.abs(reduce_(x, "mean", size) - windows.mean(axis=-1)) <= units * unit * largest).all()
    np.testing.assert_allclose(reduce_(x, "var", size), windows.var(axis=-1).astype(float), rtol=relative)
    np.testing.assert_allclose(reduce_(x, ("std", 1), size), windows.std(axis=-1, ddof=1).astype(float), rtol=relative)


@pytest.mark.parametrize("size", [3, 7, 31])
def test_sums_do_not_drift(isa, size):
    x = np.zeros((3, 5000), np.float32)
    x[:, ::1000] = 1e30
    x[:, 500::1000] = 1
    result = reduce_(x, "sum", (1, size), mode="constant")
    np.testing.assert_array_equal(result, boxes(x, (1, size), "constant").sum(axis=-1))


@pytest.mark.parametrize("size", [3, 16, (257, 2), (5, 70)])
def test_rounded_means_of_bytes(isa, rng, size):
    x = rng.integers(0, 256, (50, 75), np.uint8)
    x[40:, 60:] = 255
    windows = boxes(x, size)
    expected = np.rint(windows.mean(axis=-1, dtype=np.float64)).astype(np.uint8)
    assert_same_bits(reduce_(x, "mean", size, dtype=np.uint8), expected)
    np.testing.assert_array_equal(reduce_(x, "sum", size), windows.sum(axis=-1, dtype=np.int64))


@pytest.mark.parametrize("height", [128, 129, 257, 258])
def test_sums_of_bytes_in_high_windows(isa, height):
    # Columns of 0 and of 255: neighbours differ by all that a column can hold.
    x = np.broadcast_to(np.where(np.arange(300) // 7 % 2, 255, 0).astype(np.uint8), (height + 3, 300))
    windows = boxes(x[:1].astype(np.int64), (1, 5))[0].sum(axis=-1) * height
    np.testing.assert_array_equal(reduce_(x, "sum", (height, 5)), np.broadcast_to(windows, x.shape))


def test_means_of_windows_beyond_the_fast_ways():
    x = np.full((5, 6), 255, np.uint8)
    x[2, 3] = 0
    exact = boxes(x, 93).mean(axis=-1, dtype=np.float64)
    assert_same_bits(reduce_(x, "mean", 93, dtype=np.uint8), np.rint(exact).astype(np.uint8))
    wide = x.astype(np.uint16) * 257
    total = boxes(wide, 190).sum(axis=-1, dtype=np.int64)
    np.testing.assert_array_equal(reduce_(wide, "sum", 190, dtype=np.int64), total)
    np.testing.assert_array_equal(reduce_(wide, "sum", 190), total.astype(np.int32))
    np.testing.assert_allclose(reduce_(wide, "mean", 190), total / 190**2, rtol=1e-15)


@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_variances_on_a_slope(isa, dtype):
    x = np.eye(9) if dtype.itemsize == 2 else np.arange(3 * 900).reshape(3, 900) * 64 + np.arange(900) % 2
    x = x.astype(dtype)
    for size in (2, 5, 12):
        expected = boxes(x, size).astype(np.longdouble).var(axis=-1)
        rtol = 4 * np.finfo(dtype).eps if dtype.itemsize < 8 else 1e-14
        np.testing.assert_allclose(reduce_(x, "var", size), expected.astype(np.float64), rtol=rtol)


def test_complex_sums_and_means(rng):
    x = rng.integers(-9, 9, (6, 7)) + 1j * rng.integers(-9, 9, (6, 7))
    for dtype in (np.complex64, np.complex128):
        for name in ("sum", "mean"):
            parts = reduce_(x.real, name, 4) + 1j * reduce_(x.imag, name, 4)
            result = reduce_(x.astype(dtype), name, 4)
            assert result.dtype == dtype
            np.testing.assert_array_equal(result, parts.astype(dtype))


@pytest.mark.parametrize("mode", [*PAD_MODES, "ignore"])
@pytest.mark.parametrize("dtype", ["c8", "c16", ">c16"])
def test_complex_nan(rng, mode, dtype):
    x = (rng.integers(-9, 9, (30, 70)) + 1j * rng.integers(-9, 9, (30, 70))).astype(dtype)
    x.real[rng.random(x.shape) < 0.1] = np.nan
    x.imag[rng.random(x.shape) < 0.1] = np.nan
    known = ~np.isnan(x)
    for mask in (None, rng.random(x.shape) < 0.7):
        for name in ("sum", "mean"):
            result = reduce_(x, name, 3, mode=mode, nan_policy="omit", mask=mask)
            counted = reduce_(x, name, 3, mode=mode, mask=known if mask is None else known & mask)
            np.testing.assert_array_equal(result, counted)


def test_memory_of_complex_nan(rng):
    x = rng.standard_normal((4000, 1500)) + 0j
    out = np.empty_like(x)
    tracemalloc.start()
    reduce_(x, "mean", 3, nan_policy="omit", out=out, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 << 20


def test_complex_results_of_real_images(rng):
    x = rng.integers(0, 9, (6, 7)).astype(np.int16)
    for name in ("mean", "max", "median", ("percentile", 30), "mode"):
        for dtype in (np.complex64, np.complex128):
            result = reduce_(x, name, 3, dtype=dtype)
            assert result.dtype == dtype
            np.testing.assert_array_equal(result, reduce_(x, name, 3).astype(dtype))


@pytest.mark.parametrize("reduction", [*NAMED, "median", ("percentile", 30), ("rank", 0), "mode", "entropy"], ids=str)
def test_boolean_results_say_what_is_not_zero(rng, reduction):
    for dtype in DTYPES:
        # Multiples of 256 end in a zero byte.
        x = (rng.integers(0, 3, (6, 9)) * (64 if dtype.itemsize == 1 else 256)).astype(dtype)
        for options in ({"size": 1}, {"size": 3}, {"footprint": np.eye(3)}, {"size": 3, "mask": rng.random(x.shape) < 0.7}):
            values = reduce_(x, reduction, **options, dtype=np.float64 if reduction == "prod" else None)
            result = reduce_(x, reduction, dtype=bool, **options)
            truths = (values != 0) & ~np.isnan(values)  # of nothing: False
            np.testing.assert_array_equal(result.view(np.uint8), truths)
            out = np.ones((*x.shape, 2), bool)[..., 0]
            reduce_(x, reduction, out=out, dtype=bool, **options)
            np.testing.assert_array_equal(out.view(np.uint8), truths)


def test_sums_of_integers_as_floats_do_not_wrap(isa):
    full = np.full((3, 3), 255, np.uint8)
    np.testing.assert_allclose(reduce_(full, "prod", 3, dtype=float)[1, 1], 255.0**9, rtol=1e-15)
    assert reduce_(full, "prod", 3)[1, 1] == np.int64(pow(255, 9, 2**32)).astype(np.int32)
    high = np.full((3, 3), 2**63, np.uint64)
    for size in (1, 3):
        np.testing.assert_array_equal(reduce_(high, "sum", size, dtype=np.float64), size**2 * 2.0**63)
    low = np.full((4, 5), -(2**63), np.int64)
    np.testing.assert_array_equal(reduce_(low, "sum", 3, dtype=np.float32), np.float32(-9 * 2.0**63))


def test_means_of_64_bits_as_integers_are_the_nearest(isa, rng):
    assert (reduce_(np.full(3, 2**60 + 1), "mean", 3, dtype=np.int64) == 2**60 + 1).all()
    x = rng.integers(-(2**63), 2**63 - 1, (5, 40), np.int64, endpoint=True)
    for size in (2, 3):
        for image in (x, x.view(np.uint64)):
            exact = [round(fractions.Fraction(sum(map(int, w)), size**2)) for w in boxes(image, size).reshape(-1, size**2)]
            expected = np.array(exact, image.dtype).reshape(x.shape)
            assert_same_bits(reduce_(image, "mean", size, dtype=image.dtype), expected)
    clipped = np.array([max(int(v), 0) for v in x.flat], np.uint64).reshape(x.shape)
    assert_same_bits(reduce_(x, "mean", 1, dtype=np.uint64), clipped)


@pytest.mark.parametrize("options", [{}, {"mask": True}, {"nan_policy": "omit"}, {"mode": "ignore"}], ids=str)
def test_variances_of_other_windows_are_local(isa, rng, options):
    """The window's own pivot: distances from it are exact where those from 0 are not."""
    x = 1e8 + 1e-6 * rng.standard_normal((20, 70))
    if "mask" in options:
        options = {"mask": rng.random(x.shape) < 0.8}
    if "nan_policy" in options:
        x[rng.random(x.shape) < 0.2] = np.nan
    footprint = np.ones((5, 5), bool)
    footprint[2, 2] = False
    result = reduce_(x, "var", footprint=footprint, **options)
    omit = {"omit": True} if "nan_policy" in options else {}
    expected = reference.neighborhood(x, variance, footprint, **{k: v for k, v in options.items() if k != "nan_policy"}, **omit)
    np.testing.assert_allclose(result, expected, rtol=1e-9)
    for dtype in REALS:
        constant = reduce_(np.full((7, 9), 0.1, dtype), "std", footprint=footprint)
        np.testing.assert_array_equal(constant, 0)


# --- What does not count


NAN_WINDOWS = {"box": np.ones((3, 3), bool), "line": np.ones((1, 9), bool), "cross": (np.eye(4) + np.eye(4)[::-1]) != 0}


@functools.cache
def nan_case(name, policy, window, dtype):
    """Return (input, footprint, where a NaN counts, the counting values' result), the same for all instruction sets."""
    rng = np.random.default_rng(7)
    x = rng.integers(-3, 4, (7, 40)).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[3, 10:20] = np.nan
    footprint = NAN_WINDOWS[window]
    missing = reference.neighborhood(x, lambda v: np.isnan(v).any(), footprint) == 1
    function, empty = NAMED[name][:2]
    return x, footprint, missing, reference.neighborhood(x, function, footprint, empty=empty, omit=policy == "omit")


@every_name
@pytest.mark.parametrize("policy", ["propagate", "omit"])
@pytest.mark.parametrize("window", NAN_WINDOWS)
@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_nan(isa, name, policy, window, dtype):
    x, footprint, missing, expected = nan_case(name, policy, window, dtype)
    result = reduce_(x, name, nan_policy=policy, footprint=footprint)
    if policy == "omit" or name in ("count", "any", "all"):
        limit = 0 if NAMED[name][3] else 3 * np.finfo(dtype).eps
        np.testing.assert_allclose(result, expected.astype(result.dtype), rtol=limit)
        return
    np.testing.assert_array_equal(np.isnan(result), missing)
    again = reduce_(np.nan_to_num(x), name, footprint=footprint)
    np.testing.assert_array_equal(result[~missing], again[~missing])


def test_nan_raises_only_where_it_counts(rng):
    x = rng.standard_normal((5, 6))
    x[2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        reduce_(x, "max", 3, nan_policy="raise")
    mask = np.ones(x.shape, bool)
    mask[2, 3] = False
    assert np.isfinite(reduce_(x, "max", 3, nan_policy="raise", mask=mask)).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_stay_in_their_windows(isa, value):
    x = np.zeros((20, 300), np.float32)
    x[10, 150] = value
    for name in ("min", "max", "sum", "mean"):
        result = reduce_(x, name, 5)
        touched = np.zeros(x.shape, bool)
        touched[8:13, 148:153] = True
        assert (result[~touched] == 0).all()
        assert (result[touched] == getattr(np, name)([value, 0])).all()


# --- Layouts, threads, lists, out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64], ids=lambda d: d.__name__)
def test_layouts(rng, layout, dtype):
    x = rng.integers(0, 100, (4, 30, 33)).astype(dtype)
    for name in ("max", "mean", "std"):
        assert_any_layout_agrees(x, layout, functools.partial(reduce_, reduction=name, size=(1, 4, 3)))


@every_name
@pytest.mark.parametrize("window", [{"size": 5}, {"footprint": np.tri(7)}], ids=["box", "triangle"])
def test_threads_do_not_change_the_bits(rng, name, window):
    x = rng.standard_normal((130, 150)).astype(np.float32)
    x[70, 70:90] = np.nan
    one = reduce_(x, name, workers=1, **window)
    for workers in (2, 3, 7):
        assert_same_bits(reduce_(x, name, workers=workers, **window), one)


@pytest.mark.parametrize("name", ["sum", "mean", "std", "prod"])
@pytest.mark.parametrize("shape", [(100, 30, 20), (3, 70, 200), (20, 5, 300), (70, 80, 9)], ids=str)
@pytest.mark.parametrize("axes", [(1, 2), (1,), (2,)], ids=str)
def test_a_batch_does_not_change_the_bits(rng, name, shape, axes):
    x = rng.standard_normal(shape)
    x[0, 3, 4] = np.nan  # another image's
    for options in ({}, {"nan_policy": "omit"}, {"mask": ~np.isnan(x)}):
        batch = reduce_(x, name, 9, axes=axes, **options)
        for i in (1, shape[0] - 1):
            one = {**options, "mask": options["mask"][i]} if "mask" in options else options
            assert_same_bits(batch[i], reduce_(x[i], name, 9, axes=tuple(a - 1 for a in axes), **one))
        step = reduce_(np.asfortranarray(x), name, 9, axes=axes, step=(2,) * len(axes), **options)
        assert_same_bits(step, batch[tuple(slice(None, None, 2 if a in axes else None) for a in range(3))])


@pytest.mark.parametrize("options", [{}, {"mask": True}, {"nan_policy": "omit"}, {"mode": "ignore"}], ids=str)
@pytest.mark.parametrize("window", [{"size": 7}, {"footprint": np.tri(7)}], ids=["box", "triangle"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_holes_do_not_change_the_bits_of_others(rng, dtype, options, window):
    """An output depends on its window alone: not on what is missing in its line or block, nor on what else is computed."""
    x = rng.standard_normal((150, 900)).astype(dtype)
    holes = rng.random(x.shape) < 0.0002
    if "nan_policy" in options:
        x[holes] = np.nan
    options = {"mask": ~holes} if "mask" in options else options
    names = ["mean", ("std", 1), "sum", "prod", "var", "max", "any"]
    results = reduce_(x, names, **window, **options)
    part = (slice(30, 120), slice(200, 500))
    cut = {**options, "mask": options["mask"][part]} if "mask" in options else options
    for name, result, inner in zip(names, results, reduce_(x[part], names, **window, **cut), strict=True):
        assert_same_bits(result, reduce_(x, name, **window, **options))
        assert_same_bits(inner[3:-3, 3:-3], result[part][3:-3, 3:-3])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("window", [{"size": 7}, {"footprint": DISK}], ids=["box", "disk"])
def test_lists_share_their_work(rng, dtype, window):
    x = (rng.standard_normal((90, 80)) * 100).astype(dtype)
    names = ["var", "range", "any", "mean", "min", ("std", 1), "sum", "max", "count", "all", "prod", "min", "std"]
    for name, result in zip(names, reduce_(x, names, **window), strict=True):
        assert_same_bits(result, reduce_(x, name, **window))


def test_lists_are_the_calls_one_by_one(rng):
    x = rng.integers(0, 255, (40, 50), np.uint8)
    names = ["mean", ("std", 1), "max", "count", "min", "range", "sum"]
    outs = [reduce_(x, name, 7) for name in names]
    results = reduce_(x, names, 7)
    assert isinstance(results, list)
    for result, expected in zip(results, outs, strict=True):
        assert_same_bits(result, expected)
    given_ = [np.empty_like(out) for out in outs]
    for result, out, expected in zip(reduce_(x, names, 7, out=given_), given_, outs, strict=True):
        assert result is out
        assert_same_bits(out, expected)
    assert reduce_(x, [], 3) == []


@pytest.mark.parametrize("reduction", ["min", "median", ["max", "mean", "range"]], ids=str)
@pytest.mark.parametrize("window", [{"size": 3}, {"footprint": DISK}], ids=["box", "disk"])
def test_a_call_like_an_earlier_one_sees_its_own_arrays(rng, reduction, window):
    images = [rng.integers(0, 99, (70, 90), np.uint8) for _ in range(3)]
    images += [images[0].T.copy().T, np.repeat(images[1], 2, axis=1)[::-1, ::-2]]
    masks = [rng.random((70, 90)) < 0.9, np.asfortranarray(rng.random((70, 90)) < 0.5)]
    other = {"size": [3, 3]} if "size" in window else {"footprint": DISK.tolist()}  # which are planned at every call
    expected = [np.asarray(reduce_(x, reduction, mask=m, **other)) for x in images for m in (None, *masks)]
    for chosen in fastconv.available_isas():
        with fastconv.use_isa(chosen):
            found = [np.asarray(reduce_(x, reduction, mask=m, **window)) for x in images for m in (None, *masks)]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-15)


def test_calls_that_only_look_like_an_earlier_one():
    x = np.full((70, 80), 2.0)
    for _ in range(2):
        assert not np.signbit(reduce_(x, "min", 3, mode="constant", cval=0.0)[0, 0])
        assert np.signbit(reduce_(x, "min", 3, mode="constant", cval=-0.0)[0, 0])
        assert reduce_(x, "min", 3, dtype=np.int8).dtype == np.int8
        assert reduce_(x.astype(">f8"), "min", 3)[0, 0] == 2
        assert reduce_(x, ["min"], 3)[0].dtype == np.float64
        right = {"size": 3, "origin": 1, "step": 1, "axes": (0, 1)}
        assert reduce_(x, "min", **right)[0, 0] == reduce_(x, ("rank", 1), 3)[0, 0] == 2
        for wrong in ({"size": 3.0}, {"size": (3, 3.0)}, {"origin": True}, {"step": 1.0}, {"axes": (0, 1.0)}):
            with pytest.raises(TypeError):
                reduce_(x, "min", **right | wrong)
        with pytest.raises(TypeError):
            reduce_(x, ("rank", 1.0), 3)
        with pytest.raises(TypeError):
            reduce_(x, "min", 3, out=np.empty(x.shape, np.float32))
        with pytest.raises(ValueError, match="NaN"):
            reduce_(x * np.nan, "min", 3, nan_policy="raise")


def test_calls_whose_numbers_stand_in_another_order(rng):
    x = rng.integers(0, 99, (70, 80))
    for _ in range(2):
        for size, axes in (((3, 5), (0, 1)), ((5, 3), (0, 1)), ((3, 5), (1, 0)), (3, (0,)), (3, 1)):
            sizes = dict.fromkeys((0, 1), 1) | dict(zip(np.atleast_1d(axes), np.broadcast_to(size, np.size(axes)), strict=True))
            for parameter in (20, 80.0):
                result = reduce_(x, ("percentile", parameter), size, axes=axes)
                windows = boxes(x, (sizes[0], sizes[1]))
                np.testing.assert_allclose(result, np.percentile(windows, parameter, axis=-1), rtol=1e-14)


def test_calls_alike_at_once(rng):
    images = [rng.integers(0, 99, (300, 300)) for _ in range(8)]
    expected = [reduce_(x, "max", 5) for x in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for one, other in zip(pool.map(lambda x: reduce_(x, "max", 5, workers=1), images), expected, strict=True):
                assert_same_bits(one, other)


@pytest.mark.parametrize("name", ["max", "sum", "std"])
def test_out_may_overlap_the_input(rng, name):
    x = rng.standard_normal((40, 64))
    expected = reduce_(x, name, 5)
    assert_same_bits(reduce_(x.copy(), name, 5, out=(same := x.copy())), expected)
    inside = x.copy()
    reduce_(inside, name, 5, out=inside)
    assert_same_bits(inside, expected)
    assert_same_bits(same, expected)


def test_out_may_overlap_a_mask_that_is_no_array(rng):
    class Wrapped:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    x = rng.integers(0, 9, (30, 40), np.uint8)
    for wrap in (Wrapped, memoryview):
        mask = rng.integers(0, 2, x.shape, np.uint8)
        expected = reduce_(x, "sum", 3, mask=mask.copy(), dtype=np.uint8)
        assert_same_bits(reduce_(x, "sum", 3, mask=wrap(mask), out=mask, dtype=np.uint8), expected)


@pytest.mark.parametrize("dtype", ["int8", ">u2", "int32", ">i8", "uint64"])
def test_masks_of_integers(rng, dtype):
    x = rng.standard_normal((40, 70))
    mask = (rng.integers(0, 3, x.shape) * (64 if dtype == "int8" else 256)).astype(dtype)
    for mode in ("reflect", "wrap", "ignore", "constant"):
        assert_same_bits(reduce_(x, "max", 5, mode=mode, mask=mask), reduce_(x, "max", 5, mode=mode, mask=mask != 0))
    sparse = np.repeat(mask, 2, axis=1)[:, ::-2]
    assert_same_bits(reduce_(x, "max", 5, mask=sparse), reduce_(x, "max", 5, mask=sparse != 0))


def test_memory_is_bounded(rng):
    x = rng.standard_normal((1500, 1500))
    out = np.empty_like(x)
    for name, window in (("max", {"size": 31}), ("mean", {"size": 9}), ("min", {"footprint": np.eye(15)})):
        reduce_(x[:100], name, **window)
        tracemalloc.start()
        reduce_(x, name, out=out, workers=2, **window)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 24 << 20


@pytest.mark.parametrize("names", ["min", "sum", "any", "median", ["min", "std", "count"]], ids=str)
def test_memory_of_windows_much_larger_than_the_image(rng, names):
    x = rng.standard_normal((40, 50))
    size = 301 if names == "median" else 2001
    tracemalloc.start()
    reduce_(x, names, size, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize("mode", (*PAD_MODES, "ignore"))
def test_windows_that_see_each_line_many_times(rng, mode):
    x = rng.standard_normal((3, 2, 9))
    size = (25, 40, 6)
    masks = [None] if mode == "ignore" else [None, rng.random(x.shape) < 0.5]
    for mask in masks:
        names = ["min", "count", "std", "median", "mode"]
        for name, result in zip(names, reduce_(x, names, size, mode=mode, cval=2, mask=mask), strict=True):
            if mode == "ignore":
                fits = reduce_(x, name, (5, 3, 6), mode=mode)
            else:
                windows = boxes(x, size, mode, 2)
                counted = np.ones(windows.shape, bool) if mask is None else boxes(mask, size, mode, True)
                fits = windows[..., 0].copy()
                for i in np.ndindex(*x.shape):
                    values = windows[i][counted[i]]
                    unique, counts = np.unique(values, return_counts=True)
                    function = {"std": np.std, "count": np.count_nonzero, "min": np.min, "median": np.median}.get(name)
                    fits[i] = function(values) if function else unique[np.argmax(counts)]
            np.testing.assert_allclose(result, fits, rtol=1e-12)


def test_dilation_and_erosion_by_name(rng):
    image = rng.integers(0, 255, (30, 40), np.uint8)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    stack = np.stack([np.pad(image, 1, "symmetric")[1 + i : 31 + i, 1 + j : 41 + j]
                      for i, j in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))])  # fmt: skip
    np.testing.assert_array_equal(reduce_(image, "max", footprint=cross), stack.max(axis=0))
    np.testing.assert_array_equal(reduce_(image, "min", footprint=cross), stack.min(axis=0))


# --- Large boxes


def windows_of_sums(x, size):
    """Return the sums of all whole windows of integers, exactly."""
    for axis, w in enumerate(size):
        x = np.insert(x.astype(object).cumsum(axis), 0, 0, axis)
        x = np.take(x, range(w, x.shape[axis]), axis) - np.take(x, range(x.shape[axis] - w), axis)
    return x


@pytest.mark.parametrize("size", [(301, 1), (251, 260), (1, 290)], ids=str)
def test_large_boxes_of_integers_are_exact(rng, size):
    x = rng.integers(-(2**63), 2**63 - 1, (310, 300), np.int64, endpoint=True)
    total, cells = windows_of_sums(x, size), math.prod(size)
    with fastconv.runtime.use_seams({"neighborhood.LARGE_WINDOW": 1, "neighborhood.LONG_ROW": 1}):
        whole, mean, nearest, real = (
            reduce_(x, name, size, mode="valid", dtype=dtype)
            for name, dtype in (("sum", None), ("mean", None), ("mean", np.int64), ("sum", np.float64))
        )
    np.testing.assert_array_equal(whole, ((total + 2**63) % 2**64 - 2**63).astype(np.int64))
    np.testing.assert_allclose(mean, (total / cells).astype(np.float64), rtol=1e-15)
    np.testing.assert_array_equal(nearest, [[round(fractions.Fraction(t, cells)) for t in row] for row in total])
    np.testing.assert_allclose(real, total.astype(np.float64), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "float32"])
def test_variances_of_large_boxes_far_from_zero(rng, dtype):
    """Accurate at any distance, beside integers of any size about the mean."""
    near = rng.integers(0, 9, (40, 60))
    offset = {"float32": 2**20, "float64": 2**49}.get(dtype, 2**62)
    with fastconv.runtime.use_seams({"neighborhood.LARGE_WINDOW": 1}):
        for size in ((33, 1), (33, 20)):
            result = reduce_((near + offset).astype(dtype), "var", size)
            np.testing.assert_allclose(result, np.var(boxes(near, size), axis=-1), rtol=1e-6 if dtype == "float32" else 1e-12)


def test_large_boxes_with_infinities_and_nan(rng):
    x = rng.integers(0, 9, (50, 60)).astype(np.float64)
    x[10, 11], x[30, 40], x[45, 2] = np.inf, np.nan, -np.inf
    windows = boxes(x, (13, 11))
    with np.errstate(invalid="ignore"):
        expected = {name: getattr(np, name)(windows, axis=-1) for name in ("min", "max", "sum", "mean", "var")}
    with fastconv.runtime.use_seams({"neighborhood.LARGE_WINDOW": 1}):
        for name, result in zip(expected, reduce_(x, list(expected), (13, 11)), strict=True):
            np.testing.assert_allclose(result, expected[name], rtol=1e-13)


@pytest.mark.parametrize("name", ["mean", "var", "max"])
def test_the_cost_of_a_box_does_not_grow_with_it(rng, name):
    x = rng.standard_normal((700, 700))

    def seconds(size):
        times = []
        for _ in range(2):
            start = time.process_time()
            reduce_(x, name, size, workers=1)
            times.append(time.process_time() - start)
        return min(times)

    usual = seconds(61)
    for size in (151, 201, 301, 501, (101, 1), (151, 1), (201, 1), (301, 1), (501, 1)):
        assert seconds(size) < 12 * usual, size


def test_results_of_float16_are_rounded_once():
    """Through float32 they would be those of a tie."""
    half = np.array([1, 2.0**-11, 2.0**-24], np.float16)
    above = np.float16(1 + 2.0**-10)
    assert reduce_(half, "sum", 3, mode="valid")[0] == above
    for name in ("sum", "mean", "max", "median"):
        for size in (1, (1, 1)):
            x = np.full((1,) * np.size(size), 1 + 2.0**-11 + 2.0**-30)
            assert reduce_(x, name, size, dtype="f2") == above, name
    pair = np.array([1, 1 + 2.0**-10 + 2.0**-23], np.float32)
    assert reduce_(pair, "median", 2, mode="valid", dtype="f2")[0] == above


@pytest.mark.parametrize("call", [
    ((5, 5), "max", (3, 10**8)), ((5, 5), ["mean", "std"], (10**7, 10**5)), ((400, 900), "var", 399),
    ((3_000_000,), "mean", 10**6),
    ((90, 80, 70), "sum", 61),
], ids=str)  # fmt: skip
def test_memory_of_large_boxes(rng, call):
    shape, names, size = call
    x = rng.standard_normal(shape)
    outs = [np.empty_like(x) for _ in names] if isinstance(names, list) else np.empty_like(x)
    tracemalloc.start()
    reduce_(x, names, size, out=outs, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_windows_that_repeat_the_image_many_times(rng):
    """Whole periods are counted, not gone through."""
    x = rng.integers(0, 9, (4, 5)).astype(np.float64)
    period = 2 * 10**6 * 10
    wide = (3, period + 3)
    few = boxes(x, (3, 23), "wrap")  # 4 periods of 5 and 3 cells
    whole, rest = reduce_(x, "sum", (3, 5), mode="wrap"), reduce_(x, "sum", (3, 3), mode="wrap")
    np.testing.assert_array_equal(reduce_(x, "sum", (3, 23), mode="wrap"), few.sum(axis=-1))
    np.testing.assert_array_equal(reduce_(x, "sum", wide, mode="wrap"), whole * (period // 5) + rest)
    np.testing.assert_array_equal(reduce_(x, "max", wide, mode="wrap"), whole * 0 + boxes(x, (3, 5), "wrap").max(axis=-1))
    assert reduce_(np.ones(3), "count", 10**11 + 1)[1] == 10**11 + 1


INTERRUPT = """
    import fastconv
    shape, size, step, name = eval(sys.argv[1])
    x = np.broadcast_to(1.0, shape)
    sent = []
    def interrupt():
        time.sleep(0.7)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        fastconv.neighborhood_reduce(x, name, size, step=step, workers=int(sys.argv[2]))
        print("finished")
    except KeyboardInterrupt:
        print(time.perf_counter() - sent[0])
    assert fastconv.neighborhood_reduce(x[:9, :9] if x.ndim > 1 else x[:9], "sum", 3).ravel()[0] == 3**x.ndim
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("call", [
    ((60_000, 20_000), 801, 100, "var"), ((4 * 10**9,), 4 * 10**7, 10**6, "mean"), ((4 * 10**7,), 10**10, 10**3, "std"),
    ((2_000, 1_000, 900), 61, 30, "max"),
], ids=str)  # fmt: skip
def test_ctrl_c_stops_large_boxes_within_half_a_second(tmp_path, call, workers):
    assert float(run_script(INTERRUPT, call, workers, cwd=tmp_path)[0]) < 0.5


# --- Numbers at the ends


@pytest.mark.parametrize("scale", [2.0**83, 2.0**-83, 2.0**125, 2.0**-130])
def test_deviations_of_floats_whose_variances_are_beyond_them(isa, rng, scale):
    x = rng.integers(1, 4, (40, 70)).astype(np.float32)
    for options in ({"size": 5}, {"size": (35, 60)}, {"footprint": DISK}, {"size": 5, "mask": rng.random(x.shape) < 0.9}):
        result = reduce_((x * scale).astype(np.float32), "std", **options)
        np.testing.assert_allclose(result, reduce_(x.astype(np.float64), "std", **options) * scale, rtol=1e-6, atol=2.0**-149)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_have_signs_and_there_is_one_nan(isa, rng, dtype):
    """As IEEE 754-2019 has minimum and maximum, whatever finds them."""
    word = f"u{np.dtype(dtype).itemsize}"
    payloads = np.array([0, 1, 1 << (8 * np.dtype(dtype).itemsize - 1)], word)
    nans = np.full(3, np.nan, dtype).view(word) ^ payloads
    choices = np.concatenate([np.array([0.0, -0.0, 1, -1], dtype), nans.view(dtype)])
    for chances in ([0.1, 0.5, 0.2, 0, 0.06, 0.07, 0.07], [0.2, 0.1, 0.7, 0, 0, 0, 0]):
        x = rng.choice(choices, (3, 45, 70), p=chances)
        for window in ((3, 3), (9, 1), (1, 9), (1, 1), (20, 35)):
            cells = np.stack([boxes(plane, window) for plane in x])
            for name, function, other in (("min", np.min, True), ("max", np.max, False)):
                zeros = (cells == 0) & (np.signbit(cells) == other)
                expected = function(cells, axis=-1)
                zero = np.where(zeros.any(axis=-1), *((-0.0, 0.0) if other else (0.0, -0.0)))
                expected[expected == 0] = zero[expected == 0]
                expected[np.isnan(expected)] = np.nan
                size = (1, *window)
                assert_same_bits(reduce_(x, name, size), expected)
                assert_same_bits(reduce_(x, ["range", "median", name], size)[2], expected)
                assert_same_bits(reduce_(x[1], name, window), expected[1])
                assert_same_bits(reduce_(x, name, footprint=np.ones(size, bool), mask=np.ones(x.shape, bool)), expected)
                with fastconv.runtime.use_seams({"neighborhood.LARGE_WINDOW": 1}):
                    assert_same_bits(reduce_(x, name, size), expected)
            disk = boxes(x[0], DISK.shape)[..., DISK.ravel()]
            lowest = np.where(np.isnan(disk).any(-1), np.nan, np.where(disk == 0, np.copysign(1e-30, disk), disk).min(-1))
            found = reduce_(x[0], "min", footprint=DISK)
            np.testing.assert_array_equal(np.signbit(found), np.signbit(lowest))


# --- Bad input

IMAGE = np.zeros((4, 5))


@pytest.mark.parametrize(
    "error, text, call",
    [
        (ValueError, "size and footprint", lambda: reduce_(IMAGE, "max")),
        (ValueError, "size and footprint", lambda: reduce_(IMAGE, "max", 3, footprint=np.eye(3))),
        (ValueError, "size", lambda: reduce_(IMAGE, "max", 0)),
        (ValueError, "size", lambda: reduce_(IMAGE, "max", (3, -1))),
        (ValueError, "size", lambda: reduce_(IMAGE, "max", (3, 3, 3))),
        (TypeError, "size", lambda: reduce_(IMAGE, "max", 2.5)),
        (ValueError, "footprint", lambda: reduce_(IMAGE, "max", footprint=np.zeros((3, 3)))),
        (ValueError, "footprint", lambda: reduce_(IMAGE, "max", footprint=np.ones(3))),
        (TypeError, "footprint", lambda: reduce_(IMAGE, "max", footprint=np.ones((3, 3), complex))),
        (ValueError, "origin", lambda: reduce_(IMAGE, "max", 3, origin=2)),
        (ValueError, "origin", lambda: reduce_(IMAGE, "max", 3, origin=1, mode="valid")),
        (ValueError, "reduction", lambda: reduce_(IMAGE, "maximum", 3)),
        (TypeError, "reduction", lambda: reduce_(IMAGE, 3, 3)),
        (ValueError, "'max'", lambda: reduce_(IMAGE, ("max", 1), 3)),
        (TypeError, "ddof", lambda: reduce_(IMAGE, ("std", "one"), 3)),
        (ValueError, "mode", lambda: reduce_(IMAGE, "max", 3, mode="symmetric")),
        (ValueError, "cval", lambda: reduce_(np.zeros((3, 3), np.uint8), "max", 3, mode="constant", cval=256)),
        (TypeError, "cval", lambda: reduce_(IMAGE, "max", 3, mode="constant", cval="a")),
        (ValueError, "nan_policy", lambda: reduce_(IMAGE, "max", 3, nan_policy="ignore")),
        (ValueError, "step", lambda: reduce_(IMAGE, "max", 3, step=0)),
        (ValueError, "mask", lambda: reduce_(IMAGE, "max", 3, mask=np.ones((4, 4), bool))),
        (TypeError, "mask", lambda: reduce_(IMAGE, "max", 3, mask=np.ones((4, 5)))),
        (ValueError, "axes", lambda: reduce_(IMAGE, "max", 3, axes=2)),
        (ValueError, "axes", lambda: reduce_(IMAGE, "max", 3, axes=(0, -2))),
        (ValueError, "smaller than the window", lambda: reduce_(IMAGE, "max", 5, mode="valid")),
        (ValueError, "out", lambda: reduce_(IMAGE, "max", 3, out=np.zeros((5, 4)))),
        (TypeError, "out", lambda: reduce_(IMAGE, "max", 3, out=np.zeros((4, 5), np.float32))),
        (ValueError, "out", lambda: reduce_(IMAGE, ["max", "min"], 3, out=IMAGE.copy())),
        (TypeError, "dtype", lambda: reduce_(IMAGE, "max", 3, dtype="U3")),
        (TypeError, "input", lambda: reduce_(np.array([None, 1]), "max", 3)),
        (TypeError, "input", lambda: reduce_(IMAGE.astype(complex), "max", 3)),
        (ValueError, "workers", lambda: reduce_(IMAGE, "max", 3, workers=0)),
        (ValueError, "cval", lambda: reduce_(np.zeros(3, np.int64), "max", 3, mode="constant", cval=2.0**63)),
        (ValueError, "cval", lambda: reduce_(np.zeros(3, np.uint64), "max", 3, mode="constant", cval=2.0**64)),
        (ValueError, "cval", lambda: reduce_(np.zeros(3, np.int64), "max", 3, mode="constant", cval=2**70)),
        (ValueError, "cval", lambda: reduce_(IMAGE, "max", 3, mode="constant", cval=10**400)),
        (TypeError, "cval", lambda: reduce_(IMAGE, "max", 3, mode="constant", cval=1j)),
        (TypeError, "cval", lambda: reduce_(IMAGE.astype(complex), "sum", 3, mode="constant", cval="a")),
        (TypeError, "cval", lambda: reduce_(IMAGE.astype(complex), "sum", 3, mode="constant", cval=np.ones(3))),
        (TypeError, "reduction", lambda: reduce_(IMAGE, (), 3)),
        (TypeError, "dtype .*nonsense", lambda: reduce_(IMAGE, "max", 3, dtype="nonsense")),
        (TypeError, "got .*ptp", lambda: reduce_(IMAGE.astype(complex), np.ptp, 3)),
        (ValueError, "window", lambda: reduce_(np.zeros((1,) * 26), "max", 3)),
    ],
)
def test_bad_input(error, text, call):
    with pytest.raises(error, match=text):
        call()


def test_numbers_that_are_taken():
    assert reduce_(np.zeros(1), "max", 3, mode="constant", cval=2**70) == 2.0**70
    assert reduce_(np.zeros(1, np.uint64), "max", 3, mode="constant", cval=2**64 - 1) == 2**64 - 1
    assert reduce_(np.zeros(1, np.int64), "min", 3, mode="constant", cval=-(2.0**63)) == -(2**63)
    np.testing.assert_array_equal(reduce_(IMAGE, "sum", range(2, 4), mode="constant", cval=np.float32(1)).shape, IMAGE.shape)
