"""The kernels of sums and of large boxes alone, against their contracts in kernels/neighborhood/table.h, flush against pages that
must not be touched."""

import ctypes

import numpy as np
import pytest
from kernel_calls import ORDER, drawn, elements, line, pointers, vector_bytes

import kernels
from guarded import place
from support import assert_same_bits

pytestmark = kernels.needs_headers
every_dtype = pytest.mark.parametrize("dtype", ORDER)


def wide_dtype(dtype, squares):
    dtype = np.dtype(dtype)
    return np.dtype("f8" if dtype.kind == "f" or squares else "u4" if dtype.itemsize <= 2 else "u8")


def boxes(x, height, width, every):
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width))[::every]
    return windows.reshape(*windows.shape[:2], -1)


def sums_of(k, x, height, width, every, wide, squares=False, narrow=None, phase=0):
    """The wide lines of boxes, columns first, as bytes (count, parts, room) and how many numbers a line has."""
    rows, m = x.shape
    count, item = (rows - height) // every + 1, wide.itemsize
    strip = kernels.constant("FC_SUM_STRIP")
    small = m * item < max(4 * vector_bytes(), strip)
    room = m * item + (strip if small else 0)
    parts = 3 if squares else 1
    lines = [line(row, strip // item if small else 0) for row in x]
    outs = [place(np.zeros(parts * room, np.uint8), at_end=True) for _ in range(count)]
    space = kernels.constant("FC_SUM_AREAS") * strip * ((count - 1) * every + height + 1)
    at, to, space = pointers(lines), pointers(outs), place(np.zeros(space // 8), at_end=True)
    k.sum_columns(kernels.arguments(
        "fc_sums", rows=ctypes.addressof(at), out=ctypes.addressof(to), step=1, window=height, every=every, count=count, n=m,
        half=room, cells=1, raw=True, squares=squares, space=space, phase=phase,
    ))
    if width == 1:
        return outs, room, m
    results, n = [], m - width + 1
    beyond = vector_bytes() * (2 if narrow else 1)
    for out in outs:
        # From one half to the next there is room for what is read beyond.
        half = room + beyond
        one = place(np.zeros(parts * half, np.uint8), at_end=True)
        for part in range(parts):
            one[part * half : part * half + m * item] = out[part * room : part * room + m * item]
        result = place(np.zeros((2 if squares else 1) * half * (2 if narrow else 1), np.uint8), at_end=True)
        at, to = pointers([one]), pointers([result])
        k.sum_row(kernels.arguments(
            "fc_sums", rows=ctypes.addressof(at), out=ctypes.addressof(to), window=width, n=n, half=half, cells=height,
            squares=squares,
        ))
        results.append(result)
    return results, half, n


def finished(k, wide, n, dtype, **fields):
    out = place(np.zeros(n, dtype), at_end=True)
    k.finish_sums(kernels.arguments("fc_finish_sums", wide=wide, out=out, n=n, **fields))
    return out


@every_dtype
@pytest.mark.parametrize("every", [1, 2])
def test_sums_of_boxes(isa, rng, dtype, every):
    wide, k = wide_dtype(dtype, False), elements(dtype)
    lanes = vector_bytes() // wide.itemsize
    doubles = wide.kind == "f"
    kind = kernels.constant("FC_F64") if doubles else kernels.constant("FC_I32" if wide.itemsize == 4 else "FC_I64")
    for n in (1, lanes + 1, 4 * lanes, 4 * lanes + 3):
        for height, width in ((1, 1), (2, 3), (3, 1), (8, 7)):
            x = drawn(rng, dtype, (height + 4, n + width - 1))
            results, half, count = sums_of(k, x, height, width, every, wide)
            cells = boxes(x, height, width, every)
            call = {"half": half, "cells": height * width, "doubles": doubles}
            for result, expected in zip(results, cells, strict=True):
                total = expected.astype("f8" if doubles else "i8").sum(axis=-1)
                out = finished(k, result, count, np.float64 if doubles else f"i{wide.itemsize}", kind=kind,
                               reduction=kernels.constant("FC_REDUCE_SUM"), **call)
                np.testing.assert_array_equal(out, total)
                out = finished(k, result, count, np.float64, kind=kernels.constant("FC_F64"),
                               reduction=kernels.constant("FC_REDUCE_MEAN"), **call)
                np.testing.assert_array_equal(out, total / (height * width))
                if doubles:
                    out = finished(k, result, count, np.float32, kind=kernels.constant("FC_F32"),
                                   reduction=kernels.constant("FC_REDUCE_SUM"), **call)
                    np.testing.assert_array_equal(out, total.astype(np.float32))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_of_tall_and_of_wide_boxes(isa, rng, dtype):
    """Columns in blocks of rows, which may begin before the first; the first bits of rows at once."""
    wide, k = np.dtype("f8"), elements(dtype)
    strip = 8 * vector_bytes() // 8  # numbers of FC_WIDE_STRIP vectors
    tall = kernels.constant("FC_TALL_WINDOW")
    calls = [(height, 1, n) for height in (tall - 1, tall, 13) for n in (1, strip // 2 + 1, strip - 1, strip, strip + 3)]
    calls += [(1, width, n) for width in (4, 5, 6, 7, 8, 11, 15, 16, 17, 21, 31, 32, 47, 77) for n in (1, 7, 8, 9, 33, 70)]
    for height, width, n in calls:
        for every, phase in ((1, 0), (1, 1), (2, height - 1), (3, 5 * height + 2)):
            x = drawn(rng, dtype, (height + 2 * height + every, n + width - 1))
            results, _, count = sums_of(k, x, height, width, every, wide, phase=phase)
            for result, cells in zip(results, boxes(x, height, width, every), strict=True):
                np.testing.assert_array_equal(result[: 8 * count].view(wide), cells.sum(axis=-1, dtype=wide))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", "f8"])
def test_variances_of_boxes(isa, rng, dtype):
    k, f8 = elements(dtype), np.dtype(np.float64)
    lanes = vector_bytes() // 8
    for n in (1, 16, 4 * lanes + 3):
        for height, width in ((1, 3), (2, 1), (3, 4), (7, 5)):
            x = drawn(rng, dtype, (height + 3, n + width - 1))
            x = x + np.dtype(dtype).type(1e6) if dtype == "f8" else x
            results, half, count = sums_of(k, x, height, width, 1, f8, squares=True)
            for result, cells in zip(results, boxes(x, height, width, 1), strict=True):
                for name, function in (("VAR", np.var), ("STD", np.std)):
                    for kind, to in (("FC_F64", "f8"), ("FC_F32", "f4")):
                        out = finished(k, result, count, to, kind=kernels.constant(kind), half=half, cells=height * width,
                                       doubles=True, ddof=1.0, reduction=kernels.constant(f"FC_REDUCE_{name}"))
                        expected = function(cells.astype("f8"), axis=-1, ddof=1)
                        np.testing.assert_allclose(out, expected, rtol=1e-12 if to == "f8" else 2e-7, atol=1e-12)


def test_sums_of_bytes_in_16_bits(isa, rng):
    """Bytes of 255 in as many cells as 16 bits hold, in a column or in all."""
    table, u2 = kernels.table().neighborhood, np.dtype(np.uint16)
    most = kernels.constant("FC_NARROW_CELLS")
    lanes = vector_bytes() // 2
    for n in (1, lanes, 2 * lanes + 1, 150):
        for height, width in ((most, 1), (2, 128), (1, most), (16, 16)):
            x = np.where(rng.random((height + 2, n + width - 1)) < 0.1, rng.integers(0, 255), 255).astype(np.uint8)
            results, half, count = sums_of(table.narrow, x, height, width, 1, u2)
            for result, cells in zip(results, boxes(x, height, width, 1), strict=True):
                call = {"half": half, "cells": height * width, "reduction": kernels.constant("FC_REDUCE_SUM")}
                out = finished(table.narrow, result, count, np.int32, kind=kernels.constant("FC_I32"), **call)
                np.testing.assert_array_equal(out, cells.sum(axis=-1, dtype=int))
        height, width = most // 2, 40
        x = np.where(rng.random((height + 2, n + width - 1)) < 0.1, rng.integers(0, 255), 255).astype(np.uint8)
        results, half, count = sums_of(table.widening, x, height, width, 1, u2, narrow=np.dtype(np.uint32))
        for result, cells in zip(results, boxes(x, height, width, 1), strict=True):
            call = {"half": half, "cells": height * width, "reduction": kernels.constant("FC_REDUCE_SUM")}
            out = finished(table.widening, result, count, np.int32, kind=kernels.constant("FC_I32"), **call)
            np.testing.assert_array_equal(out, cells.sum(axis=-1, dtype=int))


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("dtype", ["u2", "i8", "f4", "f8"])
def test_long_rows_around_units_and_blocks(isa, rng, dtype, at_end):
    """Sums and, in lines of doubles, squares: windows, outputs and first numbers around the ends of units and of blocks."""
    names = ("FC_LONG_ROW", "FC_ROW_UNIT", "FC_ROW_UNITS", "FC_ROW_PHASE")
    least, unit, units, phases = (kernels.constant(name) for name in names)
    for squares in (False, True):
        wide = wide_dtype(dtype, squares)
        item = wide.itemsize
        block = unit * units // item
        for n, phase, more in (
            (1, 0, 0), (1, phases - 1, 1), (unit // item + 1, 1, unit // item - 1), (block, 0, block - 1), (block + 1, 0, block),
            (block - 1, 2, 5 * block + 1), (2 * block + 3, phases - 1, 17 * block),
        ):  # fmt: skip
            window = least // item + more
            m, behind, before = n + window - 1, 2 * units * unit, phase * item
            local = squares and dtype == "f8"
            half = before + m * item + behind
            numbers = rng.integers(0, 20, m)
            one = np.zeros(2 * half + m * item + (behind if local else unit), np.uint8)
            place_of = 2 * half if local else 0
            one[place_of : place_of + m * item] = (numbers + local * 10**9).astype(wide).view(np.uint8)
            if not squares:
                one = one[: m * item + unit]
            one = place(one, at_end)
            out = place(np.full((1 + squares) * half, 255, np.uint8), at_end)
            space = place(np.full(6 * unit * ((n + window) // phases + 4), 255, np.uint8), at_end)
            at, to = pointers([one]), pointers([out[before:]])
            elements(dtype).sum_row(kernels.arguments(
                "fc_sums", rows=ctypes.addressof(at), out=ctypes.addressof(to), window=window, n=n, half=half, cells=1,
                squares=squares, phase=phase, space=space,
            ))
            totals, of_squares = (np.pad((numbers**e).cumsum(), (1, 0)) for e in (1, 2))
            sums, second = (t[window:] - t[:-window] for t in (totals, of_squares))
            found = out[before : before + n * item].view(wide)
            np.testing.assert_array_equal(found, sums - window * numbers[:n] if local else sums)
            if squares:
                exact = [(window * int(b) - int(a) ** 2) / window for a, b in zip(sums, second, strict=True)]
                found = out[half + before : half + before + n * item].view(wide)
                np.testing.assert_allclose(found, exact, rtol=1e-13, atol=0)


def test_means_of_bytes_as_bytes(isa, rng):
    """The nearest, of halves the even one, for every sum of a few cells and random sums of many."""
    for cells in (1, 2, 3, 4, 6, 255, 256, kernels.constant("FC_MEAN_CELLS")):
        wide = np.arange(255 * cells + 1, dtype=np.uint32) if cells < 10 else rng.integers(0, 255 * cells + 1, 3000, np.uint32)
        out = finished(elements("u1"), place(wide, at_end=True), wide.size, np.uint8, cells=cells, kind=kernels.constant("FC_U8"),
                       reduction=kernels.constant("FC_REDUCE_MEAN"))
        whole, rest = np.divmod(wide.astype(int), cells)
        np.testing.assert_array_equal(out, whole + (2 * rest > cells) + ((2 * rest == cells) & (whole & 1)))


def test_means_that_are_cut_off(isa):
    """Of 16-bit sums all that windows of bytes have; of wider ones those about the largest and the smallest multiples."""

    def check(k, sums, window, wide, dtype):
        expected = (np.sign(sums) * (abs(sums) // window)).astype(np.int64)
        numbers = place(sums.astype(wide), at_end=True)
        out = place(np.zeros(sums.size, dtype), at_end=True)
        k.cut_means(kernels.arguments("fc_cut_means", wide=numbers, out=out, n=sums.size, window=window))
        np.testing.assert_array_equal(out, expected.astype(dtype))
        k.cut_means(kernels.arguments("fc_cut_means", wide=numbers, out=None, n=sums.size, window=window))
        np.testing.assert_array_equal(numbers, expected.astype(wide))

    for window in range(2, kernels.constant("FC_NARROW_CELLS") + 1):
        check(kernels.table().neighborhood.narrow, np.arange(255 * window + 1), window, np.uint16, np.uint8)
    for dtype in ORDER[:6]:
        info = np.iinfo(dtype)
        for window in (2, 3, 7, 31, 1000, kernels.constant("FC_CUT_WINDOW")):
            means = np.array([info.min, info.min // 3, -1, 0, 1, info.max // 3, info.max], np.int64)
            sums = (means[:, None] * window + np.arange(-3, 4)).ravel()
            sums = sums[(sums >= info.min * window) & (sums <= info.max * window)]
            check(elements(dtype), sums, window, wide_dtype(dtype, False), dtype)


# --- Parts of large boxes

PARTS = ("SUM", "WHOLE", "HIGH", "NONZERO", "PRESENT", "MOMENTS", "LEAST", "GREATEST")


def part_dtype(part, dtype):
    return np.dtype(dtype) if part in ("LEAST", "GREATEST") else np.dtype("f8" if part in ("SUM", "MOMENTS") else "u8")


def planes_of(part, dtype):
    dtype = np.dtype(dtype)
    return 1 if part != "MOMENTS" else 5 if dtype.kind != "f" and dtype.itemsize == 8 else 4


def joined(k, part, dtype, x, present, n):
    """The parts of x (cells, n), joined cell by cell from the second on; and (planes, room) of them."""
    planes, kind, item = planes_of(part, dtype), part_dtype(part, dtype), part_dtype(part, dtype).itemsize
    plane = n + vector_bytes() // item  # what joins read beyond
    code = kernels.constant(f"FC_PART_{part}")
    total = None
    for row, which in zip(x, present, strict=True):
        to = place(np.zeros(planes * plane, kind), at_end=True)
        exact = place(np.zeros(n if planes == 1 else planes * plane, kind), at_end=True)
        for target, apart in ((to, plane), (exact, plane)):
            k.lift_parts(kernels.arguments(
                "fc_lift_parts", to=target, line=place(row, at_end=True), present=place(which, at_end=True), plane=apart, n=n,
                part=code,
            ))
        assert_same_bits(exact[:n], to[:n])
        if total is None:
            total = to
            continue
        k.join_parts(kernels.arguments("fc_join_parts", to=total, a=total, b=to, plane=plane, n=n, part=code))
    return total, plane


@every_dtype
@pytest.mark.parametrize("masked", [False, True])
def test_parts_of_large_boxes(isa, rng, dtype, masked):
    k, dtype = elements(dtype), np.dtype(dtype)
    lanes = vector_bytes() // dtype.itemsize
    for n in (1, lanes - 1, 2 * lanes + 1):
        x = drawn(rng, dtype, (6, n))
        present = (rng.random(x.shape) < 0.5 if masked else np.ones(x.shape)).astype(np.uint8)
        present[:, : n // 3] &= not masked
        counts = present.sum(axis=0)
        kept = [part for part in PARTS if dtype.kind != "f" or part not in ("WHOLE", "HIGH")]
        held = {part: joined(k, part, dtype, x, present, n) for part in kept}
        for part in ("NONZERO", "PRESENT"):
            np.testing.assert_array_equal(held[part][0][:n], (present if part == "PRESENT" else present & (x != 0)).sum(axis=0))
        wide = np.where(present, x.astype("f8"), 0)
        total = wide.sum(axis=0)
        with np.errstate(all="ignore"):
            mean = total / counts
            variance = np.where(present, (wide - mean) ** 2, 0).sum(axis=0) / counts
        least = np.where(present, x.astype("f8"), np.inf).min(axis=0)
        greatest = np.where(present, x.astype("f8"), -np.inf).max(axis=0)
        nothing = counts == 0
        whole = dtype.kind != "f"
        for name, parts, to, expected, where_nothing in (
            ("MIN", ("LEAST",), dtype, least, 5), ("MAX", ("GREATEST",), dtype, greatest, 5),
            ("RANGE", ("LEAST", "GREATEST"), f"u{dtype.itemsize}" if whole else dtype, greatest - least, 5),
            ("SUM", ("WHOLE",) if whole else ("SUM",), "i8" if whole else "f8", total, 0),
            ("MEAN", ("WHOLE", "HIGH") if whole and dtype.itemsize == 8 else ("WHOLE",) if whole else ("SUM",), "f8", mean, 5),
            ("VAR", ("MOMENTS",), "f8", variance, 5), ("STD", ("MOMENTS",), "f8", np.sqrt(variance), 5),
            ("COUNT", ("NONZERO",), "i8", (present & (x != 0)).sum(axis=0), 0),
            ("ANY", ("NONZERO",), "u1", (present & (x != 0)).any(axis=0), 0),
            ("ALL", ("NONZERO",), "u1", ((present == 0) | (x != 0)).all(axis=0), 1),
        ):  # fmt: skip
            names = (*parts, *(("PRESENT",) if masked else ()))
            places = (ctypes.c_void_p * len(PARTS))()
            for part in names:
                places[kernels.constant(f"FC_PART_{part}")] = kernels.at(held[part][0])
            out = place(np.zeros(n, to), at_end=True)
            k.finish_parts(kernels.arguments(
                "fc_finish_parts", parts=places, out=out, plane=held[parts[0]][1], n=n, cells=6, nothing=5.0,
                reduction=kernels.constant(f"FC_REDUCE_{name}"),
            ))
            expected = np.where(nothing, where_nothing, expected).astype(out.dtype)
            np.testing.assert_allclose(out, expected, rtol=1e-13 if name in ("VAR", "STD") else 0, atol=0, err_msg=name)


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_sums_of_64_bits_do_not_wrap(isa, rng, dtype):
    """Wide means and sums: of the upper halves and of the whole modulo 2^64."""
    k, info, n = elements(dtype), np.iinfo(dtype), 9
    x = rng.integers(info.min, info.max, (7, n), dtype, endpoint=True)
    present = np.ones(x.shape, np.uint8)
    places = (ctypes.c_void_p * len(PARTS))()
    held = [joined(k, part, dtype, x, present, n)[0] for part in ("WHOLE", "HIGH")]
    for part, array in zip(("WHOLE", "HIGH"), held, strict=True):
        places[kernels.constant(f"FC_PART_{part}")] = kernels.at(array)
    totals = x.astype(object).sum(axis=0)
    nearest = np.array([t // 7 + (2 * (t % 7) > 7) for t in totals], dtype)  # of an odd number of cells there are no halves
    for name, to, expected in (("SUM", "f8", totals.astype("f8")), ("MEAN", dtype, nearest)):
        out = place(np.zeros(n, to), at_end=True)
        k.finish_parts(kernels.arguments(
            "fc_finish_parts", parts=places, out=out, n=n, cells=7, wide=True, reduction=kernels.constant(f"FC_REDUCE_{name}"),
        ))
        np.testing.assert_array_equal(out, expected)


def test_lines_may_be_joined_in_place(isa, rng):
    """`to` is a, and b a part of it further on."""
    for dtype in ("u1", "f8"):
        x = drawn(rng, dtype, 300)
        held = line(x, vector_bytes())
        elements(dtype).join_parts(kernels.arguments(
            "fc_join_parts", to=held, a=held, b=held[100:], plane=0, n=200, part=kernels.constant("FC_PART_GREATEST"),
        ))
        np.testing.assert_array_equal(held[:200], np.maximum(x[:200], x[100:]))
