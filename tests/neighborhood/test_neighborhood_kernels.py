"""The kernels of named reductions alone, against their contracts in kernels/neighborhood/table.h, flush against pages that must
not be touched. What a kernel may read beyond the last element holds values that would show in results."""

import ctypes

import numpy as np
import pytest
from kernel_calls import ORDER, drawn, elements, filled, kind_of, line, pointers, vector_bytes, windows_of

import kernels
from guarded import place
from support import assert_same_bits

pytestmark = kernels.needs_headers
every_dtype = pytest.mark.parametrize("dtype", ORDER)
MODES = ("FC_CONSTANT", "FC_NEAREST", "FC_REFLECT", "FC_MIRROR", "FC_WRAP", "FC_IGNORE")
PADS = {"FC_NEAREST": "edge", "FC_REFLECT": "symmetric", "FC_MIRROR": "reflect", "FC_WRAP": "wrap"}


def neighborhood():
    return kernels.table().neighborhood


# --- Lines


def sources(n, start, length, mode):
    """The index at each position of a line, -1 outside."""
    if mode not in PADS:
        return np.array([i if 0 <= i < n else -1 for i in range(start, start + length)])
    pad = max(-start, start + length - n, 0)
    return np.pad(np.arange(n), pad, PADS[mode])[start + pad : start + pad + length]


@pytest.mark.parametrize("mode", MODES)
def test_boundaries(isa, mode):
    """Elements with a NaN in their other part do not count: one NaN at a time shows where each element is read."""
    for n in (1, 2, 3, 7):
        start, length = -3 * n, 7 * n
        at = sources(n, start, length, mode)
        for element in range(n):
            x = np.zeros((2, n))
            x[1, element] = np.nan
            present = place(np.zeros(length, np.uint8), at_end=True)
            neighborhood().fill_line(kernels.arguments(
                "fc_fill", dst=place(np.zeros(length), at_end=True), present=present, src=x, other=x.strides[0], omit=1,
                step=x.strides[1], start=start, length=length, n=n, kind=kind_of(x.dtype), mode=kernels.constant(mode),
                cval=np.array(0.0),
            ))
            np.testing.assert_array_equal(present, (at != element) & ((at >= 0) | (mode != "FC_IGNORE")))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["?", "u1", "<i2", ">i2", ">u4", "<f2", ">f2", "<f4", ">f8", "<i8"])
def test_lines_are_filled(isa, rng, dtype, mode):
    """Any kind, any steps, with masks, from before an array to behind it."""
    native = np.dtype(np.float32) if dtype[-2:] == "f2" else np.dtype(dtype).newbyteorder("=")
    cases = ((1, -2, 5, 1), (9, -4, 17, 1), (70, 3, 20, -2), (70, -40, 150, 3), (40, 45, 9, 1), (40, -9, 4, 1))
    for n, start, length, step in cases:
        x = place(rng.integers(0, 2 if dtype == "?" else 100, (n, abs(step))).astype(dtype), at_end=step > 0)
        x = x[:, -1] if step > 0 else x[::-1, 0]
        mask = place(rng.integers(0, 2, n, np.int16), at_end=True)
        cval, at = np.array(7, native), sources(n, start, length, mode)
        for masked in (False, True):
            dst = place(np.zeros(length, native), at_end=True)
            present = place(np.zeros(length, np.uint8), at_end=True)
            flags = neighborhood().fill_line(kernels.arguments(
                "fc_fill", dst=dst, present=present, src=x, mask=mask if masked else None, step=x.strides[0], mask_step=2,
                start=start, length=length, n=n, kind=kind_of(x.dtype), mask_kind=kind_of(mask.dtype),
                mode=kernels.constant(mode), cval=cval,
            ))
            counts = np.where(at < 0, mode != "FC_IGNORE", mask[at] if masked else 1)
            np.testing.assert_array_equal(dst, np.where(at < 0, cval, x[at].astype(native)))
            np.testing.assert_array_equal(present, counts)
            assert flags == (0 if counts.all() else kernels.constant("FC_LINE_MASKED"))
    dst = place(np.zeros(length, native), at_end=True)
    flags = neighborhood().fill_line(kernels.arguments(
        "fc_fill", dst=dst, length=length, n=n, kind=kind_of(x.dtype), mode=kernels.constant(mode), cval=cval,
    ))
    assert flags == 0 and np.all(dst == cval)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_lines_say_what_is_special(isa, dtype):
    for value, name in ((np.nan, "FC_LINE_NAN"), (-0.0, "FC_LINE_MINUS"), (np.inf, None)):
        x = place(np.array([1, value, 2], dtype), at_end=True)
        for omit in (0, 1):
            dst, present = place(np.zeros(3, dtype), at_end=True), place(np.zeros(3, np.uint8), at_end=True)
            flags = neighborhood().fill_line(kernels.arguments(
                "fc_fill", dst=dst, present=present, src=x, step=x.itemsize, length=3, n=3, kind=kind_of(x.dtype), omit=omit,
                cval=x,
            ))
            leaves_out = omit and np.isnan(value)
            expected = (kernels.constant(name) if name else 0) | (kernels.constant("FC_LINE_MASKED") if leaves_out else 0)
            assert flags == expected
            assert present.tolist() == [1, not leaves_out, 1]
            assert_same_bits(dst, x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_ends_of_lines_are_filled(isa, rng, dtype, mode):
    for n, start, length in ((30, -5, 50), (30, 2, 40), (30, -9, 20), (7, 0, 7), (12, -11, 24)):
        at = sources(n, start, length, mode)
        if np.any((at >= 0) & ((at < start) | (at >= start + length))):
            continue  # the line does not hold what is repeated
        x = drawn(rng, dtype, (3, n))
        cval = np.array(9, dtype)
        expected = np.where(at < 0, cval, x[:, at])
        inside = (np.arange(length) + start >= 0) & (np.arange(length) + start < n)
        lines = [place(np.where(inside, row, 0).astype(dtype), at_end=True) for row in expected]
        places = pointers(lines)
        neighborhood().fill_ends(kernels.arguments(
            "fc_fill", start=start, length=length, n=n, kind=kind_of(lines[0].dtype), mode=kernels.constant(mode), cval=cval,
        ), ctypes.addressof(places), 3)
        np.testing.assert_array_equal(lines, expected)


@pytest.mark.parametrize("source", ["u1", "i1", "u2", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "<u4", ">i8", "<u8", "<f2", ">f4", "<f8", "?"])
def test_results_are_put(isa, rng, source, dtype):
    for n in (1, 128, 129):
        src = place(drawn(rng, source, 2 * n - 1), at_end=True)
        out = place(np.zeros((n, 2), dtype), at_end=True)[:, 1]
        neighborhood().put_line(kernels.arguments(
            "fc_put", dst=out, src=src, dst_step=out.strides[0], src_step=2 * src.itemsize, n=n,
            kind=kind_of(out.dtype), source=kind_of(src.dtype),
        ))
        with np.errstate(invalid="ignore"):
            wide = src[::2] if "f" in dtype or dtype == "?" else src[::2].astype("i8")
            expected = wide.astype(dtype)
        if source[0] == "f" and "u" in dtype:
            expected = np.maximum(src[::2], 0).astype(dtype)  # the nearest that there is
        np.testing.assert_array_equal(out, expected)


def test_windows_are_gathered(isa, rng):
    size_of_chunk = kernels.constant("FC_GATHER")
    for size in (1, 31, 32, 33, 100):
        for n, step in ((1, 1), (5, 4), (9, 8)):
            rounded = -(-size // size_of_chunk) * size_of_chunk
            src = place(rng.integers(0, 256, (n - 1) * step + rounded, np.uint8), at_end=True)
            dst = place(np.zeros((n, rounded), np.uint8), at_end=True)
            neighborhood().gather(kernels.at(dst), rounded, kernels.at(src), step, n, size)
            for i in range(n):
                np.testing.assert_array_equal(dst[i, :size], src[i * step : i * step + size])


# --- Any window

RUNS = ((0, 1, 3), (1, 0, 5), (3, 2, 2))  # line, first tap, taps


def expected_of(name, cells, counts, nothing):
    """One output of the plain way, from its cells."""
    values = [v.item() for v, c in zip(cells, counts, strict=True) if c]
    wide = np.array(values, np.float64 if cells.dtype.kind == "f" else object)
    if name == "COUNT":
        return sum(v != 0 for v in values)
    if name in ("ANY", "ALL"):
        return int((any if name == "ANY" else all)(v != 0 for v in values))
    if name in ("SUM", "PROD"):
        return wide.sum() if name == "SUM" else np.prod(wide)
    if not values:
        return nothing
    if name in ("MIN", "MAX"):
        return wide.min() if name == "MIN" else wide.max()
    if name == "RANGE":
        return wide.max() - wide.min()
    mean = sum(values) / len(values)
    if name == "MEAN":
        return mean
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1) if len(values) > 1 else np.nan
    return np.sqrt(variance) if name == "STD" else variance


def result_dtype(name, dtype):
    dtype = np.dtype(dtype)
    if name in ("MIN", "MAX", "RANGE"):
        return np.dtype(f"u{dtype.itemsize}") if name == "RANGE" and dtype.kind == "i" else dtype
    if name in ("SUM", "PROD"):
        return np.dtype(np.float64 if dtype.kind == "f" else np.int64)
    return np.dtype({"COUNT": "i8", "ANY": "u1", "ALL": "u1"}.get(name, "f8"))


@every_dtype
@pytest.mark.parametrize("name", ["MIN", "MAX", "RANGE", "SUM", "PROD", "MEAN", "VAR", "STD", "COUNT", "ANY", "ALL"])
def test_any_window(isa, rng, dtype, name):
    run_line, run_start, run_length = (np.array(column, np.intp) for column in zip(*RUNS, strict=True))
    for n, first in ((64, 3), (130, 64)):
        x = drawn(rng, dtype, (4, n + 5))
        present = (rng.random(x.shape) < 0.7).astype(np.uint8)
        present[:, : n // 3] = 0
        rows, counts = [line(row, 63) for row in x], [line(row, 63) for row in present]
        lines = (kernels.TYPES["fc_line"] * 4)(*((kernels.at(a), kernels.at(b), 0) for a, b in zip(rows, counts, strict=True)))
        for masked in (False, True):
            out = place(np.zeros(n, result_dtype(name, dtype)), at_end=True)
            elements(dtype).reduce(kernels.arguments(
                "fc_reduce", lines=ctypes.addressof(lines), run_line=run_line, run_start=run_start, run_length=run_length, runs=3,
                cells=10, first=first, n=n, reduction=kernels.constant(f"FC_REDUCE_{name}"), ddof=1.0, nothing=5.0, out=out,
                masked=kernels.constant("FC_LINE_MASKED") if masked else 0,
            ))
            cells = np.concatenate([windows_of(x[i], s, k, n) for i, s, k in RUNS], axis=1)
            seen = np.concatenate([windows_of(present[i], s, k, n) for i, s, k in RUNS], axis=1)
            expected = [expected_of(name, c, s if masked else s | 1, 5.0) for c, s in zip(cells, seen, strict=True)]
            rtol = 1e-13 if name in ("MEAN", "VAR", "STD") else 0
            np.testing.assert_allclose(out[first:], np.array(expected[first:], out.dtype), rtol=rtol)
            assert not out[:first].any()


# --- Least and greatest


def extreme(op, array, axis):
    return array.max(axis=axis) if op & kernels.constant("FC_OP_MAX") else array.min(axis=axis)


def operations(dtype):
    return range(4 if np.dtype(dtype).kind == "f" else 2)


def sizes(dtype):
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    return sorted({1, lanes, lanes + 1, 4 * lanes, 5 * lanes + 3})


@every_dtype
def test_extremes_of_columns(isa, rng, dtype):
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    for n in sizes(dtype):
        for window, count in ((1, 3), (2, 1), (5, 4), (7, 9), *(((6, 3), (65, 70)) if n == lanes + 1 else ())):
            for step in (1, 2) if window == 5 else (1,):
                x = drawn(rng, dtype, (count + window - 1, n))
                beyond = max(lanes - n, 0)  # a line shorter than a vector is read to its end
                rows = [line(row, beyond) for row in np.repeat(x, step, axis=0)]
                for op in operations(dtype):
                    outs = [place(np.zeros(n + beyond, dtype), at_end=True) for _ in range(count * step)]
                    at, to = pointers(rows), pointers(outs)
                    special = elements(dtype).extreme_columns(kernels.arguments(
                        "fc_extreme_columns", rows=ctypes.addressof(at), out=ctypes.addressof(to), step=step, window=window,
                        count=count, n=n, op=op,
                    ))
                    expected = extreme(op, np.lib.stride_tricks.sliding_window_view(x, window, axis=0), -1)
                    np.testing.assert_array_equal([out[:n] for out in outs[::step]], expected)
                    assert beyond or not special or np.dtype(dtype).kind == "f"


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("value", [np.nan, -0.0])
def test_columns_say_what_is_special(isa, dtype, value):
    """One NaN or -0, wherever it stands, is found where `op` does not look, and is right in results where it does."""
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    for n in (lanes, 4 * lanes + 1):
        for window, count in ((1, 2), (3, 4), (9, 5)):
            for row, column in ((0, 0), (count + window - 2, n - 1), (window // 2, n // 2)):
                x = np.full((count + window - 1, n), 0.0 if value == 0 else 1, dtype)
                x[row, column] = value
                rows, outs = [line(r, 0) for r in x], [place(np.zeros(n, dtype), at_end=True) for _ in range(count)]
                at, to = pointers(rows), pointers(outs)
                for op in range(4):
                    special = elements(dtype).extreme_columns(kernels.arguments(
                        "fc_extreme_columns", rows=ctypes.addressof(at), out=ctypes.addressof(to), step=1, window=window,
                        count=count, n=n, op=op,
                    ))
                    assert op & 2 or special
                    for o in range(count if op & 2 else 0):
                        seen = o <= row < o + window
                        assert np.isnan(outs[o][column]) == (seen and np.isnan(value))
                        if value == 0:  # the least is -0, the greatest only where there is no other
                            assert np.signbit(outs[o][column]) == (seen and (op == 2 or window == 1))


@every_dtype
def test_extremes_of_rows(isa, rng, dtype):
    slack = kernels.constant("FC_LINE_SLACK") // np.dtype(dtype).itemsize
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    for n in sizes(dtype):
        for window in sorted({1, 3, 4, 8, 16, lanes, 2 * lanes, 2 * lanes + 1, 150}):
            x = drawn(rng, dtype, (2, n + window - 1))
            rows, outs = [line(row, slack) for row in x], [place(np.zeros(n, dtype), at_end=True) for _ in range(2)]
            spare = place(np.zeros(n + window - 1 + slack, dtype), at_end=True)
            at, to = pointers(rows), pointers(outs)
            for op in operations(dtype):
                elements(dtype).extreme_rows(kernels.arguments(
                    "fc_extreme_rows", src=ctypes.addressof(at), out=ctypes.addressof(to), spare=spare, window=window, n=n,
                    count=2, op=op,
                ))
                expected = extreme(op, np.lib.stride_tricks.sliding_window_view(x, window, axis=1), -1)
                np.testing.assert_array_equal(outs, expected)
            elements(dtype).extreme_rows(kernels.arguments(
                "fc_extreme_rows", src=ctypes.addressof(at), out=ctypes.addressof(to), spare=rows[0], window=window, n=n, count=1,
                op=1,
            ))
            np.testing.assert_array_equal(outs[0], extreme(1, np.lib.stride_tricks.sliding_window_view(x[0], window), -1))


@every_dtype
def test_extremes_of_stacks(isa, rng, dtype):
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    for n in sizes(dtype):
        for count, stacks in ((1, 2), (2, 1), (7, 3)):
            x = drawn(rng, dtype, (stacks * count, n))
            rows, outs = [line(row, lanes) for row in x], [place(np.zeros(n, dtype), at_end=True) for _ in range(stacks)]
            at, to = pointers(rows), pointers(outs)
            for op in operations(dtype):
                elements(dtype).extreme_stacks(kernels.arguments(
                    "fc_extreme_stacks", lines=ctypes.addressof(at), out=ctypes.addressof(to), count=count, stacks=stacks, n=n,
                    op=op,
                ))
                np.testing.assert_array_equal(outs, extreme(op, x.reshape(stacks, count, n), 1))


@every_dtype
def test_differences_and_what_is_not_zero(isa, rng, dtype):
    for n in (1, 7, 64, 129):
        a, b = (place(drawn(rng, dtype, n), at_end=True) for _ in range(2))
        out = place(np.zeros(n, dtype), at_end=True)
        elements(dtype).subtract(kernels.at(out), kernels.at(a), kernels.at(b), n)
        np.testing.assert_array_equal(out, a - b)
        which = place(np.zeros(n, np.uint8), at_end=True)
        elements(dtype).nonzero(kernels.at(which), kernels.at(a), n)
        np.testing.assert_array_equal(which, a != 0)
    if dtype == "u1":
        expected = a != 0
        elements(dtype).nonzero(kernels.at(a), kernels.at(a), n)
        np.testing.assert_array_equal(a, expected)


# --- Booleans as bits


@pytest.mark.parametrize("flip", [0, 255])
def test_bits(isa, rng, flip):
    vector = vector_bytes()
    for stripe in (1, 31, 64, 65, 129):
        for extra in (0, 40):
            bytes_ = stripe + extra
            x = rng.integers(0, 2, 7 * stripe + bytes_, np.uint8)
            held, bits = filled(x, vector, 1), filled(np.zeros(bytes_, np.uint8), vector, 0)
            neighborhood().pack_bits(kernels.arguments(
                "fc_stripes", elements=held, bits=bits, stripe=stripe, bytes=bytes_, flip=flip,
            ))
            expected = sum(x[k * stripe : k * stripe + bytes_].astype(int) << k for k in range(8)) ^ flip
            np.testing.assert_array_equal(bits[:bytes_], expected)
            for count in {1, stripe, 8 * stripe - 1, 8 * stripe} - {0}:
                out = place(np.zeros(count, np.uint8), at_end=True)
                neighborhood().unpack_bits(kernels.arguments(
                    "fc_stripes", elements=out, bits=bits, also=bits, stripe=stripe, count=count, flip=flip,
                ))
                np.testing.assert_array_equal(out, x[:count])


def test_bits_are_merged(isa, rng):
    vector = vector_bytes()
    for n in (1, vector - 1, vector, 4 * vector, 4 * vector + 1, 11 * vector + 5):
        for terms in ([0], [0, 3], [5, 0, 9, 2]):
            x = rng.integers(0, 256, n + max(terms), np.uint8) & rng.integers(0, 256, n + max(terms), np.uint8)
            src, out = filled(x, vector, 255), filled(np.zeros(n, np.uint8), vector, 0)
            offsets = np.array(terms, np.intp)
            call = {"terms": offsets, "count": len(terms), "bytes": n}
            neighborhood().merge_bits(kernels.arguments("fc_merge", src=src, out=out, **call))
            expected = np.bitwise_or.reduce([x[t : t + n] for t in terms])
            np.testing.assert_array_equal(out[:n], expected)
            neighborhood().merge_bits(kernels.arguments("fc_merge", src=src, out=src, **call))
            np.testing.assert_array_equal(src[:n], expected)
