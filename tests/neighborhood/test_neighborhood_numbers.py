"""Named reductions of neighbourhoods: exact integers, roundings, numbers at the ends of their types, large boxes."""

import fractions
import math
import os
import time
import tracemalloc

import numpy as np
import pytest
from definitions import DISK, NAMED, PAD_MODES, boxes, result_dtype, variance

import fastconv
import reference
from support import (
    DTYPES,
    INTEGERS,
    REALS,
    assert_same_bits,
    run_script,
)

reduce_ = fastconv.neighborhood_reduce


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
