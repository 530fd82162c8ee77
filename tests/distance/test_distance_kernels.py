"""The kernels of distances alone, against their contracts in kernels/distance/table.h, flush against forbidden pages."""

import ctypes

import numpy as np
import pytest

import kernels
from guarded import place
from kernels import arguments, constant
from support import FLOATS, ROUNDOFF, assert_same_bits

pytestmark = kernels.needs_headers
each_dtype = pytest.mark.parametrize("dtype", FLOATS)


def small(rng, *shape, dtype, low=-4, high=5):
    """Small integers, whose sums are exact in any order."""
    return place(rng.integers(low, high, shape).astype(dtype), at_end=True)


def own_kind(dtype):
    return constant("FC_F32" if dtype == np.float32 else "FC_F64")


def empty(*shape, dtype, fill=7):
    """An array that ends at a page without any access, aligned to a vector if it has whole ones."""
    return place(np.full(shape, fill, dtype), at_end=True)


def of_points(x, prepare, dtype, *, each=1, measured=False, **more):
    """The arguments that describe rows of points, with scratch of the sizes that the contract names; and measures."""
    rows, d = x.shape
    kind = {"u1": "FC_U8", "i2": "FC_I16", "f2": "FC_F16", "f4": "FC_F32", "f8": "FC_F64"}[x.dtype.str[1:]]
    scratch = max(min(d, constant("FC_POINT_PIECE")), each * d)
    return {
        "src": x, "row_step": x.strides[0], "col_step": x.strides[1], "d": d, "kind": constant(kind), "rows": rows,
        "prepare": constant(prepare), "weight": float(d), "row": empty(scratch, dtype=dtype), "measured": measured,
        "wide": empty(scratch, dtype=np.float64), "measures": empty(rows, constant("FC_MEASURES"), dtype=np.float64), **more,
    }  # fmt: skip


def prepared(k, x, prepare, dtype, width, *, each=1, ranges=None, **more):
    """(dst[count][width], stats[width]) of rows of points, packed range by range."""
    described = of_points(x, prepare, dtype, each=each, **more)
    stats, panels, first = empty(width, dtype=dtype), [], 0
    for count in ranges or [each * x.shape[1]]:
        panels.append(empty(count, width, dtype=dtype))
        k.points(arguments("fc_points", dst=panels[-1], stats=stats, first=first, count=count, width=width, **described))
        first += count
    return np.concatenate(panels), stats


# --- Preparation


@each_dtype
@pytest.mark.parametrize("source", ["u1", "i2", "f2", "f4", "f8"])
def test_rows_of_any_kind_are_packed_as_they_are(isa, dtype, source, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    for width in (constant("FC_POINT_ROWS"), lanes, 2 * lanes):
        for rows in {1, width - 1, width}:
            for ranges in ([1], [lanes - 1], [lanes + 1], [3, 2 * lanes], [33]):
                for planar in (False, True):
                    host = small(rng, *((sum(ranges), rows) if planar else (rows, sum(ranges))), dtype=source, low=0)
                    x = host.T if planar else host
                    dst, stats = prepared(k, x, "FC_PLAIN", dtype, width, ranges=ranges)
                    assert np.array_equal(dst[:, :rows], x.T), (width, rows, ranges, planar)
                    assert np.isnan(dst[:, rows:]).all()
                    assert_same_bits(stats[:rows], np.zeros(rows, dtype))


@each_dtype
def test_statistics_without_packing(isa, dtype, rng):
    k = kernels.real("distance", dtype)
    odd = {"FC_FINITE": np.inf, "FC_KNOWN": np.nan, "FC_POSITIVE": -1}
    for prepare, number in odd.items():
        x = small(rng, 6, 9, dtype=dtype, low=0)
        x[2, 8] = number
        stats = empty(6, dtype=dtype)
        k.points(arguments("fc_points", dst=None, stats=stats, first=0, count=9, width=6, **of_points(x, prepare, dtype)))
        expected = x.sum(1) if prepare == "FC_POSITIVE" else np.zeros(6)
        expected[2] = np.nan
        np.testing.assert_array_equal(stats, expected)


@each_dtype
@pytest.mark.parametrize("d", [1, 7, 8, 9, 33, 5000])
def test_rows_are_scaled_and_centred(isa, dtype, d, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    x = place(rng.random((lanes - 1, d)).astype(dtype) + dtype(0.5), at_end=True)
    exact = x.astype(np.longdouble)
    centred = exact - exact.mean(1, keepdims=True)
    shares = exact / exact.sum(1, keepdims=True)
    formulas = {
        "FC_UNIT": exact / np.sqrt((exact**2).sum(1, keepdims=True)),
        "FC_CENTRED": centred / np.sqrt((centred**2).sum(1, keepdims=True)) if d > 1 else exact * np.nan,
    }
    for prepare, expected in formulas.items():
        dst, stats = prepared(k, x, prepare, dtype, lanes, ranges=[d // 2, d - d // 2] if d > 1 else [1])
        assert np.isnan(stats[:-1]).all() == (d == 1 and prepare == "FC_CENTRED")
        if not np.isnan(stats[0]):
            np.testing.assert_allclose(dst[:, :-1].T, expected.astype(float), rtol=4 * ROUNDOFF[np.dtype(dtype)], atol=1e-15)
    dst, stats = prepared(k, x, "FC_SHARES", dtype, lanes, each=2)
    np.testing.assert_allclose(dst[::2, :-1].T, shares.astype(float), rtol=4 * ROUNDOFF[np.dtype(dtype)])
    np.testing.assert_allclose(
        dst[1::2, :-1].T, (shares * (np.log2(shares) + 1)).astype(float), rtol=0, atol=16 * ROUNDOFF[np.dtype(dtype)]
    )
    assert (stats[:-1] == 0).all()


@each_dtype
def test_rows_of_booleans_become_bits(isa, dtype, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    bits = 8 * np.dtype(dtype).itemsize
    for d in (1, 7, bits - 1, bits, bits + 1, 3 * bits):
        for source in ("u1", "f4"):
            x = small(rng, lanes, d, dtype=source, low=0, high=2)
            words = -(-d // bits)
            dst, stats = prepared(k, x, "FC_PACKED_BITS", dtype, lanes, ranges=[words])
            np.testing.assert_array_equal(stats, x.sum(1))
            held = np.ascontiguousarray(dst.T).view(np.uint8)
            np.testing.assert_array_equal(np.unpackbits(held, axis=1, bitorder="little")[:, :d], x)


@each_dtype
def test_rows_times_a_matrix(isa, dtype, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    for d in (1, 3, 8, 17):
        x, matrix = small(rng, lanes, d, dtype=dtype), small(rng, d, d, dtype=np.float64)
        w = place(np.sqrt((matrix**2).sum(1)), at_end=True)
        for prepare, each in (("FC_MAPPED", 2), ("FC_BESIDE", 3)):
            dst, _ = prepared(k, x, prepare, dtype, lanes, each=each, matrix=matrix, w=w)
            np.testing.assert_array_equal((dst[each - 2 :: each] + dst[each - 1 :: each]).T, x @ matrix)
            assert each == 2 or np.array_equal(dst[::each].T, x)


# --- Pairs

# Of small integers: exact sums. What a metric adds up, and the ending with which it is the distance.
EXACT = {
    ("FC_SQUARE", "FC_AS_IS"): lambda u, v, w: (w * (u - v) ** 2).sum(-1),
    ("FC_SQUARE", "FC_ROOT"): lambda u, v, w: np.sqrt((w * (u - v) ** 2).sum(-1)),
    ("FC_CITYBLOCK", "FC_AS_IS"): lambda u, v, w: (w * abs(u - v)).sum(-1),
    ("FC_CHEBYSHEV", "FC_AS_IS"): lambda u, v, w: np.where(w > 0, abs(u - v), 0).max(-1),
    ("FC_HAMMING", "FC_AS_IS"): lambda u, v, w: (w * (u != v)).sum(-1),
    ("FC_CUBE", "FC_AS_IS"): lambda u, v, w: (w * abs(u - v) ** 3).sum(-1),
    ("FC_QUARTIC", "FC_AS_IS"): lambda u, v, w: (w * (u - v) ** 4).sum(-1),
    ("FC_DICE", "FC_DICE_RATIO"): lambda u, v, w: (w * (u + v - 2 * u * v)).sum(-1) / (w * (u + v)).sum(-1),
}


def run_pairs(k, x, y, lanes, metric, ending, *, rows, vectors, w=None, in_place=False, ranges=None, fall=0, **more):
    """dst[rows][vectors * lanes], whose steps fall, from a single call, or one for each range of the points."""
    d, dtype, width = x.shape[1], x.dtype.type, vectors * lanes
    m = constant("FC_POINT_ROWS")
    size = m * width
    sums = place(np.full(8 * size, 7, dtype), at_end=True)
    step, first = width + m, 0
    starts = [i * step - i * (i - 1) // 2 * fall for i in range(rows)]
    dst = empty(starts[-1] + width, dtype=dtype)
    zeros = np.zeros(max(m, width) + lanes, dtype)
    stats = place(zeros[:m], at_end=True), place(zeros[:width], at_end=True)
    for count in ranges or [d]:
        numbers = slice(first, first + count)
        a = x if in_place else place(np.ascontiguousarray(x[:, numbers].T), at_end=True)
        steps = {"a_row": d, "a_col": 1} if in_place else {"a_row": 1, "a_col": m}
        fields = {} if w is None else {"w": place(w[numbers], at_end=True)}
        k.pairs(arguments(
            "fc_pairs", a=a, b=place(np.ascontiguousarray(y[:, numbers].T), at_end=True), a_stats=stats[0], b_stats=stats[1],
            count=count, metric=constant(metric), ending=constant(ending), rows=rows, vectors=vectors, first=first == 0,
            last=first + count == d, factor=1.0, n=float(d), sums=sums, second_sums=kernels.at(sums, size),
            largest=kernels.at(sums, 2 * size), careful=kernels.at(sums, 3 * size), lost=4 * size, dst=dst, dst_step=step,
            dst_fall=fall, **steps, **{"pass": constant("FC_PASS_SUMS")}, **fields, **more,
        ))  # fmt: skip
        first += count
    return np.stack([dst[s : s + width] for s in starts])


@each_dtype
@pytest.mark.parametrize("metric, ending", EXACT)
def test_tiles_of_every_shape(isa, dtype, metric, ending, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    low, high = (0, 2) if metric == "FC_DICE" else (-3, 4)
    for vectors in range(1, k.vectors + 1):
        for rows in (5, 6):
            for d, ranges in ((1, None), (31, None), (33, [32, 1]), (65, [32, 32, 1])):
                x = small(rng, 6, d, dtype=dtype, low=low, high=high)
                y = small(rng, vectors * lanes, d, dtype=dtype, low=low, high=high)
                weights = rng.integers(0, 3, d).astype(dtype)
                for w in (None, weights):
                    u, v = x[:rows, None].astype(float), y[None].astype(float)
                    with np.errstate(invalid="ignore", divide="ignore"):
                        expected = EXACT[metric, ending](u, v, np.ones(d) if w is None else w).astype(dtype)
                    for in_place, fall in ((False, 0), (True, 1)) if ranges is None else ((False, 1),):
                        result = run_pairs(
                            k, x, y, lanes, metric, ending, rows=rows, vectors=vectors, w=w, in_place=in_place, ranges=ranges,
                            fall=fall,
                        )  # fmt: skip
                        units = 2 if ending != "FC_AS_IS" else 0
                        np.testing.assert_allclose(result, expected, rtol=units * np.finfo(dtype).eps)


@each_dtype
def test_products_and_canberra(isa, dtype, rng):
    """Metrics whose rows are prepared: vectors of norm 1, and numbers with their sizes."""
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    for vectors in range(1, k.vectors + 1):
        for d in (1, 8, 9, 33):
            x, y = rng.standard_normal((6, d)), rng.standard_normal((vectors * lanes, d))
            x, y = ((a / np.sqrt((a * a).sum(1, keepdims=True))).astype(dtype) for a in (x, y))
            result = run_pairs(k, x, y, lanes, "FC_PRODUCT", "FC_COSINE", rows=6, vectors=vectors)
            np.testing.assert_allclose(result, ((x[:, None].astype(float) - y) ** 2).sum(-1) / 2, rtol=0, atol=2e-6)
            x, y = small(rng, 6, d, dtype=dtype, low=0), small(rng, vectors * lanes, d, dtype=dtype, low=0)
            pairs = [np.stack([a, a + dtype(2.0**-60)], -1).reshape(len(a), -1) for a in (x, y)]
            result = run_pairs(k, *pairs, lanes, "FC_CANBERRA", "FC_AS_IS", rows=6, vectors=vectors)
            both = x[:, None] + y
            expected = (abs(x[:, None].astype(float) - y) / np.where(both == 0, 1, both)).sum(-1)
            np.testing.assert_allclose(result, expected, rtol=20 * np.finfo(dtype).eps, atol=1e-15)


@each_dtype
def test_sums_outside_the_safe_range_are_formed_again(isa, dtype, rng):
    """Of those pairs alone; in one call, or as the passes that a last range asks for."""
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    x, y = small(rng, 6, 5, dtype=dtype), small(rng, lanes, 5, dtype=dtype)
    ordinary = run_pairs(k, x, y, lanes, "FC_SQUARE", "FC_ROOT", rows=6, vectors=1)
    large = dtype(2.0**100 if dtype == np.float32 else 2.0**800)
    x[2] = large * np.array([3, 4, 0, 0, 0], dtype)
    result = run_pairs(k, x, y, lanes, "FC_SQUARE", "FC_ROOT", rows=6, vectors=1)
    np.testing.assert_allclose(result[2], 5 * large, rtol=4 * np.finfo(dtype).eps)
    assert_same_bits(np.delete(result, 2, 0), np.delete(ordinary, 2, 0))


@each_dtype
def test_bits_of_booleans(isa, dtype, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    d = 100
    x, y = (small(rng, n, d, dtype="u1", low=0, high=2) for n in (6, lanes))
    words = -(-d // (8 * np.dtype(dtype).itemsize))
    (a, sa), (b, sb) = (prepared(k, p, "FC_PACKED_BITS", dtype, len(p), ranges=[words]) for p in (x, y))
    sums, dst = place(np.zeros(8 * 6 * lanes, dtype), at_end=True), empty(6, lanes, dtype=dtype)
    k.pairs(arguments(
        "fc_pairs", a=place(a, True), b=place(b, True), a_stats=sa, b_stats=sb, a_row=1, a_col=6, count=words, rows=6, vectors=1,
        metric=constant("FC_BITS"), ending=constant("FC_JACCARD"), first=True, last=True, factor=1.0, n=float(d), sums=sums,
        second_sums=kernels.at(sums, 6 * lanes), largest=kernels.at(sums, 12 * lanes), careful=kernels.at(sums, 18 * lanes),
        lost=24 * lanes, dst=dst, dst_step=lanes,
    ))  # fmt: skip
    u, v = x[:, None] != 0, y[None] != 0
    np.testing.assert_allclose(dst, (u ^ v).sum(-1) / (u | v).sum(-1), rtol=np.finfo(dtype).eps)


@each_dtype
def test_mapped_points_that_cancel(isa, dtype, rng):
    """All pairs near for their sizes are computed again, one with each call; no others."""
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    d, matrix = 3, place(np.array([[1.0, 2, 0], [0, 1, 3], [0, 0, 1]]), at_end=True)
    w = place(np.sqrt((matrix**2).sum(1)), at_end=True)
    x, y = small(rng, 6, d, dtype=dtype), small(rng, lanes, d, dtype=dtype)
    x[:4, 1] = y[: lanes - 1, 1] = huge = dtype(2.0**60)
    (a, sa), (b, sb) = (prepared(k, p, "FC_MAPPED", dtype, len(p), each=2, matrix=matrix, w=w) for p in (x, y))
    sums, dst = place(np.zeros(8 * 6 * lanes, dtype), at_end=True), empty(6, lanes, dtype=dtype)
    tile = arguments(
        "fc_pairs", a=place(a, True), b=place(b, True), a_stats=sa, b_stats=sb, a_row=1, a_col=6, count=2 * d, rows=6, vectors=1,
        metric=constant("FC_WORDS"), ending=constant("FC_ROOT"), first=True, last=True, factor=1.0, n=float(d), sums=sums,
        second_sums=kernels.at(sums, 6 * lanes), largest=kernels.at(sums, 12 * lanes), careful=kernels.at(sums, 18 * lanes),
        lost=24 * lanes, dst=dst, dst_step=lanes,
    )  # fmt: skip
    k.pairs(tile)
    described = [arguments("fc_points", **of_points(p, "FC_MAPPED", dtype, each=2, matrix=matrix, w=w)) for p in (x, y)]
    calls = kernels.TYPES["fc_cancelled"](
        *(ctypes.addressof(a._obj) for a in (tile, *described)), lanes, 0, d,
        kernels.at(empty_2d := empty(2 * d, dtype=dtype)), kernels.at(mapped := empty(d, dtype=np.float64)),
    )  # fmt: skip
    count = 0
    while k.cancelled(ctypes.byref(calls)):
        count += 1
    near = (x[:, None, 1] == huge) & (y[None, :, 1] == huge)
    assert count == near.sum() and len(empty_2d) and len(mapped)
    expected = np.sqrt((((x[:, None].astype(float) - y) @ matrix) ** 2).sum(-1))
    np.testing.assert_allclose(dst, expected, rtol=2 * np.finfo(dtype).eps)


@each_dtype
def test_small_sets_in_place(isa, dtype, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    for m in (1, 2, 7):
        for n in (1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes + 1):
            for d in (1, 3, 32):
                x, y = small(rng, m, d, dtype=dtype), small(rng, n, d, dtype=dtype)
                for metric, ending in (("FC_SQUARE", "FC_AS_IS"), ("FC_SQUARE", "FC_ROOT"), ("FC_CITYBLOCK", "FC_AS_IS")):
                    for step in (n, n + 2):
                        out = place(np.full(m * step - (step - n), 7, dtype), at_end=True)
                        fields = {
                            "a": x, "b": y, "out": out, "a_step": d, "b_step": d, "out_step": step, "m": m, "n": n, "d": d,
                            "metric": constant(metric), "ending": constant(ending),
                        }  # fmt: skip
                        assert k.unpacked(arguments("fc_unpacked", **fields)) == 0
                        seen = np.lib.stride_tricks.as_strided(out, (m, n), (step * out.itemsize, out.itemsize))
                        expected = EXACT[metric, ending](x[:, None].astype(float), y[None].astype(float), 1).astype(dtype)
                        np.testing.assert_allclose(seen, expected, rtol=np.finfo(dtype).eps)
                        assert step == n or (np.delete(np.r_[out, 7, 7].reshape(m, step), range(n), 1) == 7).all()
    far = place(np.full((1, 3), 1e30 if dtype == np.float32 else 1e200, dtype), at_end=True)
    fields |= {"a": far, "b": far * 0, "a_step": 3, "b_step": 3, "out": empty(1, dtype=dtype), "m": 1, "n": 1, "d": 3}
    fields |= {"metric": constant("FC_SQUARE"), "ending": constant("FC_ROOT"), "out_step": 1}
    assert k.unpacked(arguments("fc_unpacked", **fields)) == 1


# --- Results


@each_dtype
@pytest.mark.parametrize("result", ["f2", "f4", "f8", ">f8"])
def test_results_of_any_kind_and_order(isa, dtype, result, rng):
    k = kernels.real("distance", dtype)
    kind = constant({"2": "FC_F16", "4": "FC_F32", "8": "FC_F64"}[result[-1]]) + (8 if result[0] == ">" else 0)
    for rows, columns in ((1, 1), (2, 7), (31, 33), (33, 31), (3, 70)):
        src = small(rng, rows, columns, dtype=dtype)
        for order in "CF":
            for stream in (False, True):
                out = place(np.zeros((rows, columns) if order == "C" else (columns, rows), result), at_end=True)
                seen = out if order == "C" else out.T
                k.emit(arguments(
                    "fc_emit", src=src, src_step=columns, rows=rows, columns=columns, out=out, out_row=seen.strides[0],
                    out_col=seen.strides[1], kind=kind, stream=stream,
                ))  # fmt: skip
                np.testing.assert_array_equal(seen, src.astype(result))


@each_dtype
def test_heaps_keep_the_nearest_in_order(isa, dtype, rng):
    k = kernels.real("distance", dtype)
    for n, nearest in ((1, 1), (7, 3), (64, 64), (65, 1), (300, 5), (300, 299)):
        for result in (dtype, np.float16):
            x = rng.integers(0, 20, n).astype(dtype) + dtype(2048) * (result == np.float16)
            x[rng.integers(n)] = np.nan
            distances, indices = empty(nearest, dtype=dtype), place(np.zeros(nearest, np.intp), at_end=True)
            kind = constant("FC_F16") if result == np.float16 else own_kind(dtype)
            heap = kernels.TYPES["fc_heap"](kernels.at(distances), kernels.at(indices), 0, nearest, 0, kind)
            for first, last in ((0, n // 3), (n // 3, n)):
                part = place(x[first:last], at_end=True) if last > first else x
                k.heap_add(ctypes.byref(heap), kernels.at(part), last - first, first)
            assert heap.held == nearest
            rounds = result == np.float16
            heap.todo = nearest + nearest // 2 + nearest * rounds
            while heap.todo:
                k.heap_sort(ctypes.byref(heap), 7)
            # The nearest are chosen before they are rounded, and sorted after it.
            chosen = np.argsort(x, kind="stable")[:nearest]
            order = chosen[np.lexsort((chosen, x[chosen].astype(result)))]
            np.testing.assert_array_equal(indices, order)
            np.testing.assert_array_equal(distances, x[order].astype(result))


# --- Gradients


@each_dtype
@pytest.mark.parametrize("kind", ["SQUARE", "ROOT", "CITYBLOCK", "CHEBYSHEV", "BRAYCURTIS"])
def test_what_pairs_pull(isa, dtype, kind, rng):
    k, lanes = kernels.real("distance", dtype), kernels.real("base", dtype).lanes
    low = 1 if kind == "BRAYCURTIS" else -4
    for d in {1, lanes - 1, lanes, lanes + 1, 33}:
        length = -(-d // lanes) * lanes
        a, b = np.zeros(length, dtype), np.zeros((5, length), dtype)
        a[:d], b[:, :d] = small(rng, d, dtype=dtype, low=low), small(rng, 5, d, dtype=dtype, low=low)
        b[3] = a
        t = a.astype(float) - b
        square = (t * t).sum(1)
        with np.errstate(all="ignore"):
            both = abs(a + b).astype(float).sum(1)
            distances, slopes = {
                "SQUARE": (square, 2 * t),
                "ROOT": (np.sqrt(square), t / np.sqrt(square)[:, None]),
                "CITYBLOCK": (abs(t).sum(1), np.sign(t)),
                "CHEBYSHEV": (abs(t).max(1), np.sign(t) * (np.arange(length) == abs(t).argmax(1)[:, None])),
                "BRAYCURTIS": (
                    abs(t).sum(1) / both, (np.sign(t) - (abs(t).sum(1) / both)[:, None] * np.sign(a + b)) / both[:, None],
                ),
            }[kind]  # fmt: skip
        distances, slopes[distances == 0] = distances.astype(dtype), 0
        g, sizes, total = small(rng, 5, dtype=dtype), empty(5, dtype=dtype, fill=0), empty(length, dtype=dtype)
        fields = {
            "a": place(a, True), "b": place(b, True), "distances": place(distances, True), "g": place(g, True), "sizes": sizes,
            "b_step": length, "n": 5, "length": length, "sum": total, "p": 2.0,
        }  # fmt: skip
        if kind == "BRAYCURTIS":
            k.pull(arguments("fc_pull", kind=constant("FC_PULL_SIZES"), **fields))
            np.testing.assert_allclose(sizes, both, rtol=1e-6)
        k.pull(arguments("fc_pull", kind=constant(f"FC_PULL_{kind}"), **fields))
        np.testing.assert_allclose(total[:d], (g[:, None] * slopes).sum(0)[:d], rtol=0, atol=40 * np.finfo(dtype).eps)


@each_dtype
def test_totals_are_added_in_double_precision(isa, dtype, rng):
    k = kernels.real("distance", dtype)
    for n in (0, 1, 7, 33):
        into, more = place(rng.random(max(n, 1)), at_end=True), small(rng, max(n, 1), dtype=dtype)
        expected = into[:n] + more[:n]
        k.add_wide(kernels.at(into), kernels.at(more), n)
        np.testing.assert_array_equal(into[:n], expected)


@each_dtype
def test_gradients_through_preparations(isa, dtype, rng):
    """Against the Jacobians of the preparations themselves; that of the norm is part of what pairs pull."""
    k = kernels.real("distance", dtype)
    for d in (2, 7, 33):
        x, total = place(rng.random(d).astype(dtype) + 1, at_end=True), rng.standard_normal(d)
        exact, matrix = x.astype(float), place(rng.standard_normal((d, d)), at_end=True)
        centre = np.eye(d) - 1 / d
        share = exact / exact.sum()
        jacobians = {
            "FC_PLAIN": np.eye(d),
            "FC_UNIT": np.eye(d) / np.sqrt((exact**2).sum()),
            "FC_CENTRED": centre / np.sqrt(((centre @ exact) ** 2).sum()),
            "FC_SHARES": (np.eye(d) - share[:, None]) / exact.sum(),
            "FC_MAPPED": matrix.T,
            "FC_BESIDE": (matrix + matrix.T) / 2,
        }
        for prepare, jacobian in jacobians.items():
            out = empty(d, dtype=dtype)
            k.unprepare(arguments(
                "fc_unprepare", total=place(total, at_end=True), x=x, x_step=x.itemsize, d=d, kind=own_kind(dtype),
                prepare=constant(prepare), matrix=matrix, factor=2.0, wide=empty(d, dtype=np.float64), out=out,
            ))  # fmt: skip
            np.testing.assert_allclose(out, 2 * total @ jacobian, rtol=0, atol=300 * np.finfo(dtype).eps)
