"""Named reductions of neighbourhoods: results, windows, what does not count, errors."""

import functools

import numpy as np
import pytest
from definitions import DISK, NAMED, assert_reduces, boxes, every_mode, every_name, result_dtype
from hypothesis import given

import fastconv
import reference
from support import (
    DTYPES,
    LANE_SIZES,
    NEIGHBORHOODS,
    REALS,
    assert_same_bits,
    neighborhood_case,
)

reduce_ = fastconv.neighborhood_reduce


# --- The definition


@every_name
@given(**NEIGHBORHOODS)
def test_results_are_those_of_the_definition(name, **case):
    x, footprint, arguments, options = neighborhood_case(**case)
    result = reduce_(x, name, **arguments)
    assert_reduces(x, name, footprint, result, **options)


@functools.cache
def lines_around_the_lanes(name, dtype, size):
    """Return (input, expected) of each shape, the same for all instruction sets."""
    rng, cases = np.random.default_rng([size, *name.encode(), *dtype.str.encode()]), []
    for n in LANE_SIZES[1:]:
        for shape in ((n,), (3, n), (n, 2)):
            x = rng.integers(0, 2, shape).astype(dtype)
            windows = boxes(x, size, "mirror")
            wide = windows.astype(np.float64) if dtype.kind == "f" else windows.astype(np.int64)
            cases.append((x, np.ptp(wide, axis=-1) if name == "range" else getattr(np, name)(wide, axis=-1)))
    return cases


@pytest.mark.parametrize("name", ["min", "max", "range", "sum", "mean"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 33])
def test_lines_around_the_lanes(isa, name, dtype, size):
    for x, expected in lines_around_the_lanes(name, dtype, size):
        result = reduce_(x, name, size, mode="mirror")
        expected = expected.astype(result.dtype)
        if not np.array_equal(result, expected):
            # 64-bit integers are averaged about a pivot, which rounds twice.
            np.testing.assert_allclose(result, expected, rtol=1e-15 if dtype.itemsize == 8 else 0)


WINDOWS = {
    "disk": DISK,
    "half a disk": DISK[:, :7],
    "full": np.ones((4, 9), bool),
    "a line and a point": np.pad(np.ones((1, 17), bool), ((0, 3), (0, 1))) | (np.arange(72).reshape(4, 18) == 71),
    "every other cell": np.indices((5, 6)).sum(axis=0) % 2 == 0,
    "a column": np.ones((20, 1), bool),
}


@functools.cache
def extremes_of_runs(window, dtype):
    """Return (input, least, greatest, any, all) of each size, the same for all instruction sets."""
    rng, footprint, cases = np.random.default_rng([*window.encode(), *dtype.encode()]), WINDOWS[window], []
    # More rows than a block has, so that tables are carried from one to the next.
    for n in (3, *LANE_SIZES[-3:]):
        x = rng.integers(0, 2 if dtype == "bool" else 100, (150, n)).astype(dtype)
        cells = boxes(x, footprint.shape)[..., footprint.ravel()]
        cases.append((x, cells.min(axis=-1), cells.max(axis=-1), cells.any(axis=-1), cells.all(axis=-1)))
    return cases


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float16", "float32", "int64"])
def test_extremes_of_runs(isa, window, dtype):
    footprint = WINDOWS[window]
    for x, low, high, some, every in extremes_of_runs(window, dtype):
        for result, expected in zip(reduce_(x, ["min", "max"], footprint=footprint), (low, high), strict=True):
            assert_same_bits(result, expected)
        np.testing.assert_array_equal(reduce_(x, "range", footprint=footprint), high ^ low if dtype == "bool" else high - low)
        np.testing.assert_array_equal(reduce_(x, "any", footprint=footprint), some)
        np.testing.assert_array_equal(reduce_(x, "all", footprint=footprint), every)


BOOLEAN_WINDOWS = WINDOWS | {"box": np.ones((5, 3), bool), "long box": np.ones((1, 150), bool)}


@functools.cache
def booleans_case(mode, cval, window, n):
    """Return (input, where all, where any cells of a window are true), the same for all instruction sets."""
    footprint, x = BOOLEAN_WINDOWS[window], np.random.default_rng([n, *mode.encode(), *window.encode()]).random((90, n)) < 0.5
    cells = boxes(x, footprint.shape, mode, cval)[..., footprint.ravel()]
    return x, cells.all(axis=-1), cells.any(axis=-1)


@every_mode
@pytest.mark.parametrize("window", BOOLEAN_WINDOWS)
@pytest.mark.parametrize("n", [1, 7, 64, 129, 1030])
def test_booleans_as_bits(isa, mode, window, n):
    footprint = BOOLEAN_WINDOWS[window]
    for cval in (0, 1) if mode == "constant" else (0,):
        x, low, high = booleans_case(mode, cval, window, n)
        expected = {"min": low, "max": high, "range": low ^ high, "any": high, "all": low}
        options = {"footprint": footprint, "mode": mode, "cval": cval}
        for name, result in zip(expected, reduce_(x, list(expected), **options), strict=True):
            assert_same_bits(result, expected[name])
        assert_same_bits(reduce_(x, "all", step=(2, 3), **options), low[::2, ::3])
        out = np.ones((90, 2 * n), bool)[:, ::2]
        assert_same_bits(reduce_(x, "max", out=out, **options), high)
        for dtype in ("float32", ">i2", "uint64"):
            assert_same_bits(reduce_(x.astype(dtype) * 256, "any", **options), high)


def test_booleans_of_three_axes(isa, rng):
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


def test_booleans_of_bytes_that_are_no_booleans(rng):
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


def test_booleans_follow_each_other_with_and_without_masked_cells(rng):
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
def test_blocks_with_and_without_masked_cells(rng, window):
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
