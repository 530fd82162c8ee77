"""Boxes and the engine of lines with small constants, so that small arrays cross what large ones cross."""

import re
from pathlib import Path

import numpy as np
import pytest
from windows import gathered, reduced

import fastconv
from guarded import place
from support import DTYPES, assert_same_bits

reduce_ = fastconv.neighborhood_reduce
use_seams = fastconv.runtime.use_seams

NAMES = ("min", "max", "range", "sum", "mean", "var", "std", "count", "any", "all")
MODES = ("reflect", "mirror", "nearest", "wrap", "constant", "ignore", "valid")
LARGE = ("LARGE_WINDOW", "LARGE_COLUMN", "WHOLE_CELLS", "LARGE_MASKED", "LONG_ROW", "LONG_SUMS")
ALL_LARGE = {f"neighborhood.{name}": 1 for name in LARGE}

# Each constant at which a way changes, and the test that crosses it.
CROSSED = {
    "neighborhood.LARGE_WINDOW": "test_large_boxes_are_small_ones",
    "neighborhood.LARGE_COLUMN": "test_large_boxes_are_small_ones",
    "neighborhood.WHOLE_CELLS": "test_large_boxes_are_small_ones",
    "neighborhood.LARGE_MASKED": "test_large_boxes_are_small_ones",
    "neighborhood.LONG_ROW": "test_long_rows",
    "neighborhood.LONG_SUMS": "test_long_rows",
    "neighborhood.MOST_LINES": "test_long_rows",
    "neighborhood.LEAST_BLOCK": "test_large_boxes_with_small_seams",
    "neighborhood.LINE_BLOCK": "test_long_rows",
    "neighborhood.SHARED_BYTES": "test_large_boxes_with_small_seams",
    "neighborhood.OWN_BYTES": "test_large_boxes_with_small_seams",
    "neighborhood.BOX_STRIP": "test_large_boxes_with_small_seams",
    "neighborhood.LEAST_IN_BLOCKS": "test_windows_along_an_axis_between",
    "neighborhood.STRIP_BYTES": "test_blocks_with_small_seams",
    "neighborhood.LEAST_STRIP": "test_blocks_with_small_seams",
    "neighborhood.WIDE_BYTES": "test_blocks_with_small_seams",
    "neighborhood.ROWS": "test_blocks_with_small_seams",
    "neighborhood.MOST_ROWS": "test_blocks_with_small_seams",
    "neighborhood.REGION_BYTES": "test_blocks_with_small_seams",
    "neighborhood.MOST_BYTES": "test_blocks_with_small_seams",
    "neighborhood.MOST_RUNS": "test_windows_of_too_many_runs",
    "neighborhood.PIECE_CELLS": "test_blocks_with_small_seams",
    "neighborhood.LEAST_PIECE": "test_blocks_with_small_seams",
    "neighborhood/extremes.h:FC_PAIRS": "test_lines_around_the_lanes",
    "neighborhood/extremes.h:FC_SEGMENT": "test_columns_around_a_segment",
    "neighborhood/table.h:FC_MEAN_CELLS": "test_means_of_bytes_around_the_fold",
    "neighborhood/table.h:FC_SUM_STRIP": "test_lines_around_the_lanes",
    "neighborhood/table.h:FC_TALL_WINDOW": "test_sums_of_tall_and_of_wide_boxes",
    "neighborhood/box_sums.h:FC_WIDE_STRIP": "test_sums_of_tall_and_of_wide_boxes",
    "neighborhood/table.h:FC_LONG_ROW": "test_long_rows_around_units_and_blocks",
    "neighborhood/table.h:FC_ROW_UNIT": "test_long_rows_around_units_and_blocks",
    "neighborhood/table.h:FC_ROW_UNITS": "test_long_rows_around_units_and_blocks",
    "neighborhood/table.h:FC_ROW_PHASE": "test_long_rows_around_units_and_blocks",
    "neighborhood/table.h:FC_NARROW_CELLS": "test_sums_of_bytes_around_narrow_cells",
    "neighborhood/plain.h:FC_REDUCE_CHUNK": "test_lines_around_the_lanes",
    "neighborhood/sums.pyx:MOST_AHEAD": "test_lists_share_their_work",
    "neighborhood/bits.pyx:RADIX": "test_booleans_as_bits",
}


def test_each_seam_is_crossed_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for name in set(CROSSED.values()):
        assert re.search(rf"def {name}\(", tests), name


def assert_is_right(x, names, size, results, **options):
    cells, counts = gathered(x, size, **options)
    for name, result in zip(names, results, strict=True):
        with np.errstate(all="ignore"):
            expected = reduced(name, cells, counts).astype(np.float64 if name in ("mean", "var", "std") else object)
        found = result.astype(expected.dtype)
        if name in ("mean", "var", "std"):
            eps = np.finfo(result.dtype).eps
            np.testing.assert_allclose(found, expected, rtol=max(2 * eps, 1e-13), atol=1e-12, err_msg=name)
        elif result.dtype.kind == "f":
            np.testing.assert_array_equal(result, expected.astype(np.float64).astype(result.dtype), err_msg=name)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=name)


def drawn_call(rng, ndim, most, cells=3e5):
    """Return an array, a window and options."""
    shape = tuple(int(n) for n in rng.integers(1, most, ndim))
    dtype = DTYPES[rng.integers(len(DTYPES))]
    low = 0 if dtype.kind in "bu" else -9
    x = rng.integers(low, 2 if dtype.kind == "b" else 10, shape).astype(dtype)
    mode = MODES[rng.integers(len(MODES))]
    beyond = rng.random() < 0.3 and mode != "valid"
    size = tuple(int(rng.integers(1, (8 * n + 3 if beyond else n) + 1)) for n in shape)
    while np.prod(size, dtype=float) * x.size > cells:
        size = tuple(max(s // 2, 1) for s in size)
    options = {"mode": mode, "step": tuple(int(s) for s in rng.integers(1, 4, ndim))}
    if mode == "constant":
        options["cval"] = int(rng.integers(0, 2))
    if mode != "valid":
        options["origin"] = tuple(int(rng.integers(-(s // 2), (s - 1) // 2 + 1)) for s in size)
    if rng.random() < 0.4:
        options["mask"] = rng.random(shape) < rng.choice([0.02, 0.5, 0.95])
    elif dtype.kind == "f" and rng.random() < 0.5:
        x[rng.random(shape) < 0.3] = np.nan
        options["nan_policy"] = "omit"
    return x, size, options


def check(rng, seams, ndim, most, names=NAMES, cells=3e5):
    x, size, options = drawn_call(rng, ndim, most, cells)
    call = f"shape={x.shape} dtype={x.dtype} size={size} {({k: v for k, v in options.items() if k != 'mask'})} {seams}"
    workers = int(rng.choice([1, 2, 5]))
    given = {k: v for k, v in options.items() if k != "nan_policy"} | {"omit": options.get("nan_policy") == "omit"}
    picked = [str(name) for name in rng.permutation(names)[: rng.integers(1, len(names) + 1)]]
    try:
        with use_seams(seams):
            results = reduce_(x, picked, size, workers=workers, **options)
            alone = reduce_(x, picked[0], size, workers=1, **options)
        assert_is_right(x, picked, size, results, **given)
        assert_same_bits(results[0], alone)
    except AssertionError as error:
        raise AssertionError(f"{call} {picked}\n{error}") from error


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_large_boxes_with_small_seams(rng, ndim):
    for _ in range(60):
        seams = ALL_LARGE | {
            f"neighborhood.{name}": int(rng.choice(values))
            for name, values in {
                "LEAST_BLOCK": [1, 2, 3, 16], "LINE_BLOCK": [1, 2, 5, 64], "SHARED_BYTES": [1, 20_000, 14 << 20],
                "OWN_BYTES": [1, 30_000], "BOX_STRIP": [1, 3, 64],
            }.items()
        }  # fmt: skip
        check(rng, seams, ndim, (60, 24, 9, 6)[ndim - 1])


@pytest.mark.parametrize("most", [(4, 24, 27), (3, 3, 17, 18), (3, 17, 3, 18)], ids=str)
def test_windows_along_an_axis_between(rng, most):
    for _ in range(40):
        seams = ALL_LARGE | {
            "neighborhood.LEAST_IN_BLOCKS": int(rng.choice([1, 1, 12])),
            "neighborhood.LEAST_BLOCK": int(rng.choice([1, 2, 3, 8])),
            "neighborhood.SHARED_BYTES": int(rng.choice([1, 30_000, 14 << 20])), "neighborhood.OWN_BYTES": 1,
        }  # fmt: skip
        check(rng, seams, len(most), most, cells=2e6)


def test_long_rows(rng):
    for _ in range(60):
        seams = {f"neighborhood.{name}": int(rng.integers(1, 9)) for name in ("LONG_ROW", "LINE_BLOCK")}
        seams |= rng.choice([{"neighborhood.LONG_SUMS": 1}, {"neighborhood.LONG_SUMS": 1 << 20, "neighborhood.MOST_LINES": 2}])
        check(rng, ALL_LARGE | seams, 1, 90)


SUMS = ("sum", "mean", "var", "std")


def drawn_row(rng, x):
    """A window along the lines in blocks of its own, a mode, an origin and a step."""
    width = int(rng.choice([512, 513, 519, 640, 769, 1024, 1160, 2501]))
    mode = str(rng.choice([mode for mode in MODES if mode != "valid" or width <= x.shape[1]]))
    options = {"mode": mode, "step": (1, int(rng.choice([1, 1, 2, 7])))}
    if mode != "valid":
        options["origin"] = (0, int(rng.integers(-(width // 2), (width - 1) // 2 + 1)))
    return (int(rng.integers(1, 3)), width), options


def strips(rng):
    return {f"neighborhood.{name}": int(rng.choice([1, 700, 3000])) for name in ("STRIP_BYTES", "WIDE_BYTES", "REGION_BYTES")}


@pytest.mark.slow
def test_rows_in_blocks_of_units(rng):
    """Exact sums of small integers, whatever the strips."""
    for i in range(24):
        dtype = ("u2", "i4", "i8", "u8", "f2", "f4", "f8")[i % 7]
        x = rng.integers(0, 9, (3, int(rng.choice([1, 40, 300, 700, 1500])))).astype(dtype)
        size, options = drawn_row(rng, x)
        with use_seams(strips(rng)):
            results = reduce_(x, list(SUMS), size, workers=int(rng.choice([1, 2, 5])), **options)
        assert_is_right(x, SUMS, size, results, **options)


def test_bits_of_rows_in_blocks_do_not_depend_on_strips(isa, rng):
    for dtype in ("f4", "f8", "f8", "f8"):
        x = rng.standard_normal((3, int(rng.choice([300, 1500, 4000])))).astype(dtype)
        size, options = drawn_row(rng, x)
        for name in ("mean", "var"):
            expected = reduce_(x, name, size, workers=1, **options)
            with use_seams(strips(rng)):
                found = reduce_(x, ["max", "std", "var", "mean"], size, workers=3, **options)[2 if name == "var" else 3]
            assert_same_bits(found, expected)


def test_rows_in_blocks_are_accurate_and_local(isa, rng):
    """The additions that a number goes through times the unit roundoff; one infinity or NaN shows where it is seen alone."""
    x = rng.standard_normal((1, 4000))
    for width in (512, 1023, 3001):
        windows = np.lib.stride_tricks.sliding_window_view(x[0], width)[::37]
        additions = 27 + 2 * np.log2(width / 128)
        exact = windows.astype(np.longdouble).sum(axis=1)
        error = np.abs(reduce_(x, "sum", (1, width), mode="valid")[0, ::37] - exact)
        assert np.all(error <= additions * 2.0**-53 * np.abs(windows).sum(axis=1))
        far = x + 1e9
        windows = np.lib.stride_tricks.sliding_window_view(far[0], width)[::37].astype(np.longdouble)
        variance = windows.var(axis=1).astype(float)
        np.testing.assert_allclose(reduce_(far, "var", (1, width), mode="valid")[0, ::37], variance, rtol=1e-13)
        for value in (np.inf, np.nan):
            for at in (0, 1000, 2047, 2048, 3999):
                y = rng.integers(0, 9, x.shape).astype(float)
                expected = np.array(reduce_(y, ["sum", "var"], (1, width), mode="constant"))
                y[0, at] = value
                found = np.array(reduce_(y, ["sum", "var"], (1, width), mode="constant"))
                o = np.arange(x.size) - width // 2
                seen = (o <= at) & (at < o + width)
                assert not np.isfinite(found[..., seen]).any()
                np.testing.assert_array_equal(found[..., ~seen], expected[..., ~seen])


@pytest.mark.parametrize("name", NAMES)
def test_large_boxes_are_small_ones(isa, rng, name):
    """Both ways, on each instruction set, with columns, rows and boxes."""
    for dtype in ("uint8", "int64", "float32", "float64"):
        x = rng.integers(0, 9, (40, 75)).astype(dtype)
        for size in ((31, 1), (1, 31), (9, 70), 40):
            with use_seams(dict.fromkeys(ALL_LARGE, 1 << 40)):
                small = reduce_(x, name, size)
            with use_seams(ALL_LARGE):
                large = reduce_(x, name, size)
            if name in ("mean", "var", "std"):
                np.testing.assert_allclose(large, small, rtol=1e-6 if dtype == "float32" else 1e-13)
            else:
                assert_same_bits(large, small)


ENGINE = {
    "STRIP_BYTES": [1, 64, 700], "LEAST_STRIP": [1, 5, 64], "WIDE_BYTES": [1, 300], "ROWS": [1, 2, 5], "MOST_ROWS": [1, 3, 8],
    "REGION_BYTES": [1, 4000], "MOST_BYTES": [1, 9000], "PIECE_CELLS": [1, 50], "LEAST_PIECE": [1, 3],
}  # fmt: skip


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_blocks_with_small_seams(rng, ndim):
    for i in range(60):
        one = list(ENGINE)[i % len(ENGINE)]
        chosen = [one] if i < 2 * len(ENGINE) else [name for name in ENGINE if rng.random() < 0.6]
        check(rng, {f"neighborhood.{name}": int(rng.choice(ENGINE[name])) for name in chosen}, ndim, (150, 30, 12)[ndim - 1])


def test_windows_of_too_many_runs():
    x, footprint = np.arange(20.0), np.array([1, 0, 1, 0, 1], bool)
    with use_seams({"neighborhood.MOST_RUNS": 3}):
        np.testing.assert_array_equal(reduce_(x, "max", footprint=footprint)[:3], [2, 3, 4])
    with use_seams({"neighborhood.MOST_RUNS": 2}), pytest.raises(ValueError, match="3 runs"):
        reduce_(x, "max", footprint=footprint)


@pytest.mark.parametrize("size", [(4, 5), (5, 4), (9, 31), (31, 9), (3, 6, 7)], ids=str)
def test_order_of_sums_is_that_of_the_whole_array(isa, rng, size):
    """Numbers of all magnitudes, so that each order has bits of its own: the work's cuts show in none, and no sum is far off."""
    shape = (70, 150) if len(size) == 2 else (9, 30, 100)
    x = (rng.standard_normal(shape) * 10.0 ** rng.uniform(-15, 15, shape)).astype(np.float32)
    found = reduce_(x, "sum", size, dtype=np.float64, mode="valid")
    windows = np.lib.stride_tricks.sliding_window_view(x, size).reshape(*found.shape, -1).astype(np.longdouble)
    steps = sum(size) + len(size)
    error = np.abs(found - windows.sum(-1)) / np.abs(windows).sum(-1)
    assert error.max() < steps * 2.0**-53
    for values in ({"ROWS": 1, "MOST_ROWS": 1}, {"ROWS": 7, "MOST_ROWS": 7}, {"STRIP_BYTES": 64, "WIDE_BYTES": 64}):
        with use_seams({f"neighborhood.{name}": value for name, value in values.items()}):
            for workers in (1, 2):
                assert_same_bits(reduce_(x, "sum", size, dtype=np.float64, mode="valid", workers=workers), found)
    batch = np.stack([x[::-1], x], -1)
    axes = tuple(range(len(size)))
    assert_same_bits(reduce_(batch, "sum", size, dtype=np.float64, mode="valid", axes=axes)[..., 1], found)


@pytest.mark.parametrize("size", [5, 9, 31])
def test_what_is_not_finite_stays_in_its_windows(isa, rng, size):
    x = rng.standard_normal((90, 130)).astype(np.float32)
    x[40, 60], x[47, 90], x[3, 3], x[80, 20] = np.nan, np.inf, -np.inf, -np.nan
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, size // 2, "symmetric"), (size, size)).reshape(*x.shape, -1)
    with np.errstate(invalid="ignore"):
        expected = windows.mean(-1, dtype=np.float64)
    found = reduce_(x, "mean", size)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    zeros = np.full((50, 130), -0.0, np.float32)
    assert_same_bits(reduce_(zeros, "mean", size), zeros)


@pytest.mark.parametrize("w", [6, 7, 63, 64, 65, 130])
def test_columns_around_a_segment(isa, rng, w):
    x = rng.integers(-99, 99, (150, 67)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, w, axis=0)
    for name in ("min", "max"):
        assert_same_bits(reduce_(x, name, (w, 1), mode="valid"), getattr(windows, name)(axis=-1))


@pytest.mark.parametrize("size", [(16, 16), (257, 1), (129, 1), (2, 64), (2, 65), (1, 257)], ids=str)
def test_sums_of_bytes_around_narrow_cells(isa, rng, size):
    x = np.full((300, 300), 255, np.uint8)
    x[rng.random(x.shape) < 0.01] = 0
    table = np.pad(x.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    h, w = size
    expected = table[h:, w:] - table[:-h, w:] - table[h:, :-w] + table[:-h, :-w]
    np.testing.assert_array_equal(reduce_(x, "sum", size, mode="valid"), expected)


@pytest.mark.parametrize("size", [(64, 128), (3, 2731), (90, 91), (91, 91)], ids=str)
def test_means_of_bytes_around_the_fold(rng, size):
    x = rng.integers(0, 256, (100, 2800), np.uint8)
    table = np.pad(x.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    h, w = size
    sums = table[h:, w:] - table[:-h, w:] - table[h:, :-w] + table[:-h, :-w]
    whole, rest = np.divmod(sums, h * w)
    nearest = whole + (2 * rest > h * w) + ((2 * rest == h * w) & (whole & 1))
    np.testing.assert_array_equal(reduce_(x, "mean", size, mode="valid", dtype=np.uint8), nearest)


# --- Lines in place, and tables that a block leaves to the next


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("at_end", [True, False])
def test_lines_in_place_are_not_left(isa, rng, dtype, at_end):
    """An array between pages that must not be touched, narrower than what kernels take at once, and not."""
    for width in (*range(2, 12), 15, 16, 17, 31, 33, 63, 64, 65, 66, 67, 130):
        x = place(rng.integers(0, 9, (5, width)).astype(dtype), at_end)
        for size in ((3, 1), (3, 3), (2, 4)):
            pads = [(n // 2, n - 1 - n // 2) for n in size]
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, pads, "symmetric"), size)
            np.testing.assert_array_equal(reduce_(x, "max", size), windows.max(axis=(-2, -1)))
            np.testing.assert_array_equal(reduce_(x, "sum", size, dtype="f8"), windows.sum(axis=(-2, -1), dtype="f8"))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("value", [np.nan, -0.0])
def test_special_values_of_lines_in_place(isa, rng, dtype, value):
    """Nobody has looked at these lines when their columns are combined: one NaN, or one -0 among zeros, is found there."""
    for window, place_of in (((3, 1), (7, 100)), ((3, 3), (0, 0)), ((9, 5), (39, 299)), ((8, 1), (20, 150))):
        x = np.zeros((40, 300), dtype) if value == 0 else rng.integers(1, 9, (40, 300)).astype(dtype)
        x[place_of] = value
        seen = boxes_of(np.isnan(x) | np.signbit(x), window).any(axis=(-2, -1))
        least, greatest, span = reduce_(x, ["min", "max", "range"], window, mode="nearest")
        if value == 0:
            np.testing.assert_array_equal(np.signbit(least), seen)
            assert not np.signbit(greatest).any()
        else:
            for result in (least, greatest, span):
                np.testing.assert_array_equal(np.isnan(result), seen)
            np.testing.assert_array_equal(least[~seen], boxes_of(x, window).min(axis=(-2, -1))[~seen])
        for name, result in (("min", least), ("max", greatest)):
            assert_same_bits(reduce_(x, name, window, mode="nearest"), result)


def boxes_of(x, size):
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, [(n // 2, n - 1 - n // 2) for n in size], "edge"), size)


@pytest.mark.parametrize("name", ["min", "max", "range"])
def test_tables_of_a_block_with_masked_cells_are_not_kept(isa, rng, name):
    """A block whose cells do not all count leaves no tables of spans; the memory has those of another image then."""
    disk = np.hypot(*np.ogrid[-4:5, -4:5]) <= 4
    for dtype in ("u1", "f4"):
        x = rng.integers(0, 200, (90, 50)).astype(dtype)
        windows = boxes_of(x, disk.shape)[..., disk]
        expected = {"min": windows.min(axis=-1), "max": windows.max(axis=-1), "range": np.ptp(windows, axis=-1)}[name]
        for row in (0, 20, 40):
            mask = np.ones(x.shape, bool)
            mask[row, 25] = False
            other, every = rng.integers(0, 200, x.shape).astype(dtype), np.ones(x.shape, bool)
            reduce_(other, name, footprint=disk, mode="nearest", mask=every, workers=1)
            result = reduce_(x, name, footprint=disk, mode="nearest", mask=mask, workers=1)
            far = np.ones(x.shape, bool)
            far[max(row - 4, 0) : row + 5, 21:30] = False
            np.testing.assert_array_equal(result[far], expected[far])


def test_reductions_of_a_list_keep_memory_of_their_own(rng):
    """Tables of spans and of bits that go from block to block, in one pass."""
    disk = np.hypot(*np.ogrid[-4:5, -4:5]) <= 4
    x = (rng.integers(1, 4, (150, 70)) * (rng.random((150, 70)) < 0.02)).astype(np.float32)
    names = ["any", "max", "median", "min"]
    for workers in (1, 2):
        for name, result in zip(names, reduce_(x, names, footprint=disk, workers=workers), strict=True):
            assert_same_bits(result, reduce_(x, name, footprint=disk, workers=1))
    windows = boxes_of(x, disk.shape)[..., disk]
    results = reduce_(x, ["any", "max"], footprint=disk, mode="nearest")
    np.testing.assert_array_equal(results[0], windows.any(axis=-1))
    np.testing.assert_array_equal(results[1], windows.max(axis=-1))
