"""Random calls of the contractions, small or as large as users have them, and their results beside plain NumPy in a wider type.

Most data are small integers, whose sums are exact in any order; the others are held to the stated bounds. Half of the calls
are made again with another layout and number of threads, for the same bits. `items` is the most that an operand may hold,
`work` about the number of multiply-adds.
"""

import contextlib

import numpy as np

import fastconv
from support import ROUNDOFF, assert_same_bits, byte_swapped, embedded, misaligned, with_memory_order


@contextlib.contextmanager
def told(**call):
    """Raise errors with the call, on one line."""
    line = " ".join(f"{name}={value}" for name, value in call.items())
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{line}: {error}") from error


def draw_size(rng, most, least=1):
    """Return a size from `least` to `most`: any magnitude, often next to a multiple of a power of two."""
    most = max(most, least)
    size = int(np.exp(rng.uniform(np.log(least), np.log(most + 1))))
    if rng.random() < 0.5:
        step = 2 ** int(rng.integers(3, 9))
        size = -(-size // step) * step + int(rng.integers(-1, 2))
    return min(max(size, least), int(most))


def draw_shape(rng, ndim, items):
    shape = []
    for left in range(ndim, 0, -1):
        long = rng.random() < 0.5
        size = draw_size(rng, items if left == 1 else max(items ** (0.9 if long else 1 / left), 1))
        shape.append(size)
        items = max(items // size, 1)
    return tuple(int(size) for size in rng.permutation(shape))


def draw_values(rng, shape, dtype, real):
    """Return normal numbers if `real`, else integers from -2 to 2, often positive ones, and rarely one bad entry."""
    dtype = np.dtype(dtype)

    def one():
        if real:
            return rng.exponential(size=shape) if rng.random() < 0.5 else rng.standard_normal(shape, np.float32)
        return rng.integers(-2, 3, shape, np.int8)

    if dtype.kind in "iu" and dtype.itemsize > 1 and not real:
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    if dtype.kind == "u":
        return rng.integers(0, 3, shape, dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    values = one().astype(dtype)
    if dtype.kind == "c":
        values += dtype.type(1j) * one().astype(values.real.dtype)
    return values


def spoil(rng, *arrays):
    """Put an infinity or a NaN into one entry of one array, now and then."""
    if rng.random() < 0.2:
        a = arrays[rng.integers(len(arrays))]
        if a.size and a.dtype.kind == "f":
            a.flat[rng.integers(a.size)] = rng.choice([np.inf, -np.inf, np.nan])
            return True
    return False


def moved(rng, a):
    """Return the same numbers in another layout."""
    ways = [lambda a: with_memory_order(a, rng.permutation(a.ndim)), misaligned, byte_swapped, lambda a: a]
    if a.dtype.kind in "fc":
        ways += [lambda a: embedded(a, -1), *([lambda a: embedded(a, 2)] if a.size < 10**5 else [])]
    return ways[rng.integers(len(ways))](a)


def assert_same_complex_bits(actual, expected):
    assert actual.dtype == expected.dtype
    assert_same_bits(np.ascontiguousarray(actual.real), np.ascontiguousarray(expected.real))
    assert_same_bits(np.ascontiguousarray(actual.imag), np.ascontiguousarray(expected.imag))


def assert_result(actual, expected, scale=None, bound=0):
    """Assert equality, or |error| <= bound * unit roundoff * scale."""
    if scale is None:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(actual, expected.astype(actual.dtype))
        return
    error = np.abs(actual - expected)
    worst = np.max(error / np.maximum(bound * ROUNDOFF[actual.dtype] * scale, np.finfo(actual.dtype).tiny), initial=0)
    assert worst <= 1, f"error is {float(worst):.3g} times the bound"


# ---- triple products


SAME = {"none": (0, 1, 2), "b is c": (0, 1, 1), "a is b": (0, 0, 1), "a is c": (0, 1, 0), "all": (0, 0, 0)}  # which is a, b, c


def draw_rows(rng, counts, most, entries):
    """Return the rows of each array, which stands `counts` times in a product of at most so many entries."""
    rows = []
    for count in counts:
        rows.append(draw_size(rng, min(most, entries ** (1 / count))))
        entries /= rows[-1] ** int(count)
    return rows


def draw_operands(rng, counts, items, work):
    """Return the rows of each array and their samples: few or many of these against few or many of those."""
    entries = min(3 * items, work)
    if rng.random() < 0.5:
        rows = draw_rows(rng, counts, 300, entries)
        return rows, draw_size(rng, min(work / np.prod(np.power(rows, counts)), items / max(rows), 2_000_000))
    m = draw_size(rng, min(items, 2_000_000))
    return draw_rows(rng, counts, min(items / m, 300 if m > 4 else 5000), min(entries, work / m)), m


def summed_triple(a, b, c, weights, dtype=np.float64):
    """Return the triple product in `dtype`, plane by plane."""
    b, c = b.astype(dtype), c.astype(dtype)
    with np.errstate(invalid="ignore"):
        if weights is not None:
            c = c * weights.astype(dtype)
        return np.array([(row * b) @ c.T for row in a.astype(dtype)]).reshape(len(a), len(b), len(c))


def check_triple_product(rng, items, work):
    kind = str(rng.choice(list(SAME)))
    rows, m = draw_operands(rng, np.bincount(SAME[kind]), items, work)
    dtype, real = rng.choice(["f4", "f8"]), bool(rng.random() < 0.2)
    workers, isa = int(rng.choice([1, 2, 5])), str(rng.choice(fastconv.available_isas()))
    weighted = bool(rng.random() < 0.3)
    with told(rows=rows, m=m, dtype=dtype, real=real, same=kind, workers=workers, isa=isa, weighted=weighted):
        arrays = [draw_values(rng, (n, m), dtype, real) for n in rows]
        a, b, c = (arrays[n] for n in SAME[kind])
        weights = draw_values(rng, m, dtype, real) if weighted else None
        spoiled = not real and spoil(rng, a, b, c)
        with fastconv.use_isa(isa):
            result = fastconv.triple_product(a, b, c, weights=weights, workers=workers)
        if real and dtype == "f8":  # a corner, in a finer type
            ends = [x[[0, -1]] for x in (a, b, c)]
            expected = summed_triple(*ends, weights, np.longdouble)
            scale = summed_triple(*map(np.abs, ends), weights if weights is None else np.abs(weights), np.longdouble)
            assert_result(result[np.ix_([0, -1], [0, -1], [0, -1])], expected, scale, 120)
        elif real:
            scale = summed_triple(*map(np.abs, (a, b, c)), weights if weights is None else np.abs(weights))
            assert_result(result, summed_triple(a, b, c, weights), scale, 120)
        else:
            assert_result(result, summed_triple(a, b, c, weights))
        if rng.random() < 0.5 and not spoiled:
            views = [moved(rng, x) for x in (a, b, c)]
            with fastconv.use_isa(isa):
                again = fastconv.triple_product(*views, weights=weights, workers=3 - min(workers, 2))
            assert_same_bits(again, result)
        if b is c and rng.random() < 0.5:
            with fastconv.use_isa(isa):
                packed = fastconv.triple_product(a, b, c, weights=weights, workers=workers, packed=True)
            assert_same_bits(fastconv.unpack_symmetric(packed, len(b)), result)


def check_third_moment(rng, items, work):
    (n,) = draw_rows(rng, [3], 200, min(3 * items, work))
    m = draw_size(rng, min(work / n**3, items / n, 2_000_000))
    dtype, center = rng.choice(["f4", "f8"]), bool(rng.random() < 0.7)
    with told(n=n, m=m, dtype=dtype, center=center):
        x = rng.exponential(size=(n, m)).astype(dtype)
        result = fastconv.third_moment(x, center=center)
        fine = np.float64 if dtype == "f4" else np.longdouble
        rows = x[np.unique([0, n // 2, n - 1])].astype(fine)
        mean = rows.mean(axis=1, keepdims=True) * center
        y = rows - mean
        index = np.unique([0, n // 2, n - 1])
        # What is left of each number after centring has one rounding of its own, and the mean, a double, a few of its size.
        off = abs(y) + 4 * ROUNDOFF[np.dtype(np.float64)] * abs(mean)
        scale, shift = summed_triple(*[abs(y)] * 3, None, fine) / m, summed_triple(*[off] * 3, None, fine) / m
        scale = shift + (shift - scale) / (126 * ROUNDOFF[x.dtype])
        assert_result(result[np.ix_(index, index, index)], summed_triple(y, y, y, None, fine) / m, scale, 126)
        view = moved(rng, x)
        assert_same_bits(fastconv.third_moment(view, center=center), result)


# ---- one axis


PAIRS = [("f4", "f4"), ("f8", "f8"), ("c8", "c8"), ("c16", "c16"), ("c8", "f4"), ("f8", "c16"), ("f2", "f2")]
PAIRS += [("i1", "f4"), ("u1", "c8"), ("i2", "i4"), ("u1", "u8"), ("?", "f8"), ("i8", "i1"), ("f4", "f8")]


def summed(t, m, mode, dtype, strict=False):
    """Return `mode_dot` in `dtype`, by NumPy; if `strict` not by BLAS, which may take 0 times infinity to be 0."""
    t, m = t.astype(dtype), m.astype(dtype)
    with np.errstate(invalid="ignore"):
        if strict:
            whole = np.einsum("rn,n...->r..." if m.ndim == 2 else "n,n...->...", m, np.moveaxis(t, mode, 0))
        else:
            whole = np.tensordot(m, t, (-1, mode))
    return np.moveaxis(whole, 0, mode) if m.ndim == 2 else whole


def check_mode_dot(rng, items, work):
    first, second = PAIRS[rng.integers(len(PAIRS))]
    exact = first[0] in "iu?" and second[0] in "iu?"
    ndim = int(rng.integers(1, 6))
    shape = draw_shape(rng, ndim, draw_size(rng, items // (8 if exact else 3 if "c16" in (first, second) else 1)))
    mode, size = int(rng.integers(ndim)), np.prod(shape)
    rows = None if rng.random() < 0.5 else draw_size(rng, min(work / (20 if exact else 4) / size, items / shape[mode], 9000))
    if rows is not None and rows * (size / shape[mode]) > items:
        rows = 1
    real = not exact and first == second and first in ("f4", "f8") and rng.random() < 0.2
    workers, isa = int(rng.choice([1, 2, 5])), str(rng.choice(fastconv.available_isas()))
    with told(shape=shape, mode=mode, rows=rows, dtypes=(first, second), real=real, workers=workers, isa=isa):
        t = draw_values(rng, shape, first, real)
        m = draw_values(rng, shape[mode] if rows is None else (rows, shape[mode]), second, real)
        spoiled = not real and "c" not in first + second and spoil(rng, t, m)
        with fastconv.use_isa(isa):
            result = fastconv.mode_dot(t, m, mode, workers=workers)
        wide = np.uint64 if exact else np.complex128 if result.dtype.kind == "c" else np.float64
        wide = np.longdouble if real and first == "f8" else wide
        if exact:
            numbers = (x.astype(np.int64) for x in (t, m))
            np.testing.assert_array_equal(result.view(np.uint64), summed(*numbers, mode, wide))
        elif real:
            assert_result(result, summed(t, m, mode, wide), summed(np.abs(t), np.abs(m), mode, wide), 200)
        else:
            assert_result(result, summed(t, m, mode, wide, strict=spoiled))
        if rng.random() < 0.5 and not spoiled:
            with fastconv.use_isa(isa):
                again = fastconv.mode_dot(moved(rng, t), moved(rng, m), mode, workers=3 - min(workers, 2))
            assert_same_complex_bits(again, result)
        if first == second and first in ("f4", "f8") and not real and not spoiled and rng.random() < 0.5:
            grad = draw_values(rng, result.shape, first, False)
            of_t, of_m = fastconv.mode_dot_vjp(grad, t, m, mode)
            fine = [x.astype(np.float64) for x in (grad, t, m)]
            if m.ndim == 1:
                expected = np.moveaxis(np.multiply.outer(fine[0], fine[2]), -1, mode)
            else:
                expected = np.moveaxis(np.tensordot(fine[0], fine[2], (mode, 0)), -1, mode)
            assert_result(of_t, expected)
            others = [n for n in range(ndim) if n != mode]
            expected = (
                np.tensordot(fine[0], fine[1], (range(ndim - 1), others))
                if m.ndim == 1
                else np.tensordot(fine[0], fine[1], (others, others))
            )
            assert_result(of_m, expected)


# ---- matricised tensor times Khatri-Rao product


def summed_columns(t, factors, mode, columns):
    """Return columns of `mttkrp`, every product formed from the left before it is summed."""
    result = []
    for r in columns:
        products = t
        for n in range(t.ndim):
            if n != mode:
                column = factors[n][:, r].astype(t.dtype)
                products = products * column.reshape([-1 if k == n else 1 for k in range(t.ndim)])
        result.append(products.sum(axis=tuple(n for n in range(t.ndim) if n != mode)))
    return np.stack(result, axis=-1)


def check_mttkrp(rng, items, work):
    ndim = int(rng.integers(2, 6))
    shape = draw_shape(rng, ndim, draw_size(rng, items // 3))
    rank = draw_size(rng, min(work / 4 / np.prod(shape), items / max(shape), 600))
    mode, dtype, real = int(rng.integers(ndim)), rng.choice(["f4", "f8"]), bool(rng.random() < 0.3)
    threads, isa = int(rng.choice([1, 2, 5])), str(rng.choice(fastconv.available_isas()))
    with told(shape=shape, mode=mode, rank=rank, dtype=dtype, real=real, threads=threads, isa=isa):
        t = draw_values(rng, shape, dtype, real)
        factors = [draw_values(rng, (n, rank), dtype, real) for n in shape]
        if not real:
            factors = [np.sign(f) for f in factors]
        spoiled = not real and spoil(rng, t, *(f for n, f in enumerate(factors) if n != mode))
        with fastconv.use_isa(isa), fastconv.num_threads(threads):
            result = fastconv.mttkrp(t, factors, mode)
        columns = np.unique([0, rank - 1, *rng.integers(0, rank, 4)])
        if spoiled:  # the columns that it reached too
            columns = np.union1d(columns, np.flatnonzero(~np.isfinite(result).all(axis=0))[:3])
        fine = np.longdouble if real and dtype == "f8" else np.float64
        columns = columns[:2] if fine == np.longdouble else columns
        wide = t.astype(fine)
        with np.errstate(invalid="ignore"):
            expected = summed_columns(wide, factors, mode, columns)
        if real:
            scale = summed_columns(abs(wide), [np.abs(f) for f in factors], mode, columns)
            assert_result(result[:, columns], expected, scale, 260 + ndim)
        else:
            assert_result(result[:, columns], expected)
        if rng.random() < 0.5 and not spoiled:
            views = [moved(rng, x) for x in (t, *factors)]
            with fastconv.use_isa(isa), fastconv.num_threads(3 - min(threads, 2)):
                assert_same_bits(fastconv.mttkrp(views[0], views[1:], mode), result)


def check_triple_product_vjp(rng, items, work):
    sizes = [draw_size(rng, min(120, (8 * items) ** (1 / 3))) for _ in range(3)]
    m = draw_size(rng, min(work / 6 / np.prod(sizes), 300_000))
    dtype, count = rng.choice(["f4", "f8"]), int(rng.integers(1, 4))
    sizes[count:] = [sizes[count - 1]] * (3 - count)
    m = min(m, int(work / 6 / np.prod(sizes)) + 1)
    with told(sizes=sizes, m=m, dtype=dtype, count=count):
        arrays = [draw_values(rng, (n, m), dtype, False) for n in sizes[:count]]
        grad = draw_values(rng, sizes, dtype, False)
        gradients = fastconv.triple_product_vjp(moved(rng, grad), *arrays)
        a, b, c = (arrays[min(n, count - 1)].astype(np.float64) for n in range(3))
        wide = grad.astype(np.float64)
        columns = np.unique([0, m - 1, *rng.integers(0, m, 40)])
        a, b, c = (x[:, columns] for x in (a, b, c))
        each = [
            np.einsum("ijk,jm,km->im", wide, b, c, optimize=True),
            np.einsum("ijk,im,km->jm", wide, a, c, optimize=True),
            np.einsum("ijk,im,jm->km", wide, a, b, optimize=True),
        ]
        expected = [*each[: count - 1], sum(each[count - 1 :])]
        for one, other in zip(gradients, expected, strict=True):
            assert_result(one[:, columns], other)
