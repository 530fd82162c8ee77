"""The kernels of weighted sums alone, against their contracts in kernels/neighborhood/table.h, flush against pages that must not
be touched."""

import ctypes
import itertools

import numpy as np
import pytest
from kernel_calls import ORDER, elements, filled, pointers, vector_bytes

import kernels
from guarded import place
from support import assert_same_bits

pytestmark = kernels.needs_headers
SLACK = 576
ORDERS = {"UNORDERED": 0, "SYMMETRIC": 1, "ANTISYMMETRIC": -1}


def in_order(cells, weights, sign):
    """SciPy's sum: the middle and then pairs around it, or the last tap and then from the first on; each product rounded."""
    last = len(weights) - 1
    first = last // 2 if sign else last
    total = cells[first] * weights[first]
    for t in range(first):
        total = total + (cells[t] + sign * cells[last - t] if sign else cells[t]) * weights[t]
    return total


def with_sign(rng, taps, sign, dtype=np.float64):
    """Weights of that symmetry, of an odd number of taps where there is one."""
    weights = rng.standard_normal(taps).astype(dtype)
    return weights + sign * weights[::-1] if sign else weights


def cases(dtype):
    """(taps, outputs of a line, lines, symmetry) around vectors, groups of lines and what is transposed at once."""
    signs = itertools.cycle((1, 0, -1, 0, 1, -1, 1))
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    for taps in (1, 2, 3, 4, 5, 6, 7, 9, 21):
        for n in (1, lanes - 1, lanes + 1, 4 * lanes + 1):
            for count in (1, lanes // 2 + 1, 9):
                if n:
                    yield taps, n, count, next(signs) if taps % 2 else 0
    for n in (255, 256, 257, 513):
        yield 11, n, lanes, next(signs)
    yield 301, 256 + lanes, lanes + 1, 1


def weigh(lines, weights, sign, n, count, along, wide, singles=None, fused=False, doubt=0.0):
    """The results, from lines with as much behind them as may be read."""
    source = lines.dtype
    rows = [filled(line, SLACK // source.itemsize, np.nan) for line in lines]
    out = [place(np.zeros(n, np.float64 if wide else source), at_end=True) for _ in range(count)]
    space = np.full((len(weights) + 256 + 32) * 64 + 64, 255, np.uint8)
    start = -space.ctypes.data % 64
    order = kernels.constant("FC_" + next(name for name, one in ORDERS.items() if one == sign))
    at, to = pointers(rows), pointers(out)
    fields = {"weights": weights, "singles": singles, "taps": len(weights), "n": n, "count": count, "order": order,
              "along": along, "fused": fused, "wide": wide, "doubt": doubt, "space": space[start:]}  # fmt: skip
    elements(source).weigh(kernels.arguments("fc_weighted", rows=ctypes.addressof(at), out=ctypes.addressof(to), **fields))
    return np.array(out)


def cells_of(lines, taps, n, count, along):
    """The cells of each tap, for all results."""
    if along:
        return [lines[:count, t : t + n] for t in range(taps)]
    return [lines[t : t + count, :n] for t in range(taps)]


@pytest.mark.parametrize("along", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_in_doubles_are_scipys(dtype, along, isa, rng):
    for taps, n, count, sign in cases(np.float64):
        shape = (count, n + taps - 1) if along else (count + taps - 1, n)
        lines, weights = rng.standard_normal(shape).astype(dtype), with_sign(rng, taps, sign)
        expected = in_order([one.astype(float) for one in cells_of(lines, taps, n, count, along)], weights, sign)
        for wide in (True, False):
            found = weigh(lines, weights, sign, n, count, along, wide)
            assert_same_bits(found, expected.astype(np.float64 if wide else dtype))
        if dtype == "f4":
            found = weigh(lines, weights, sign, n, count, along, False, fused=True)
            np.testing.assert_allclose(found, expected, rtol=2.0**-23, atol=1e-14 * np.abs(weights).sum())


@pytest.mark.parametrize("along", [False, True])
def test_sums_in_floats_are_cut_off_as_those_in_doubles(along, isa, rng):
    for taps, n, count, sign in cases(np.float32):
        shape = (count, n + taps - 1) if along else (count + taps - 1, n)
        lines = rng.integers(0, 256, shape).astype(np.float32)
        lines[:, n // 2 :] = 255  # whose sums lie beside integers
        cells = [one.astype(float) for one in cells_of(lines, taps, n, count, along)]
        weights = with_sign(rng, taps, sign)
        weights /= np.abs(weights).sum() or 1
        bound = (2 * taps + 4) * 2.0**-24 * 255
        found = weigh(lines, weights, sign, n, count, along, False, weights.astype(np.float32), doubt=bound)
        expected = np.trunc(in_order(cells, weights, sign)).astype(np.float32)
        assert_same_bits(found + np.float32(0), expected + np.float32(0))
        whole = np.round(weights * 90)
        found = weigh(lines, whole, sign, n, count, along, False, whole.astype(np.float32), doubt=-1.0)
        assert_same_bits(found + np.float32(0), in_order(cells, whole, sign).astype(np.float32) + np.float32(0))


@pytest.mark.parametrize("planes, height, width", [(1, 1, 1), (1, 3, 3), (1, 2, 5), (1, 5, 4), (3, 3, 3), (2, 1, 9), (1, 9, 1)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_of_cells(dtype, planes, height, width, isa, rng):
    lanes = vector_bytes() // 8
    for n in (1, lanes - 1 or 1, lanes, lanes + 1, 4 * lanes + 3):
        for count in (1, 3, 4, 5, 32):
            lines = -(-count // 4) * 4 + height - 1
            x = rng.standard_normal((planes, lines, n + width - 1)).astype(dtype)
            rows = [filled(line, SLACK // x.itemsize, np.nan) for plane in x for line in plane]
            weights = rng.standard_normal((planes, height, width))
            for present in (None, rng.integers(0, 2, weights.shape).astype(np.uint8)):
                expected = np.zeros((count, n))
                for p, k, s in np.ndindex(weights.shape):
                    if present is None or present[p, k, s]:
                        expected = expected + weights[p, k, s] * x[p, k : k + count, s : s + n].astype(float)
                for wide in (True, False):
                    out = [place(np.zeros(n, np.float64 if wide else dtype), at_end=True) for _ in range(count)]
                    at, to = pointers(rows), pointers(out)
                    fields = {"rows": ctypes.addressof(at), "out": ctypes.addressof(to), "weights": weights, "present": present,
                              "planes": planes, "height": height, "width": width, "n": n, "count": count,
                              "wide": wide}  # fmt: skip
                    elements(dtype).correlate(kernels.arguments("fc_correlated", **fields))
                    assert_same_bits(np.array(out), expected.astype(np.float64 if wide else dtype))


@pytest.mark.parametrize("dtype, singles", [("f4", False), ("f4", True), ("f8", False)])
def test_both_sums_of_a_cross(dtype, singles, isa, rng):
    lanes = vector_bytes() // (4 if singles else 8)
    down, along = (np.array([outer, middle, outer]) for outer, middle in ((1.0, -2.0), (3.0, 0.5 if not singles else 5.0)))
    weights = np.concatenate([down, along])
    for n in (1, lanes - 1 or 1, lanes, lanes + 1, 4 * lanes + 3):
        for count in (1, 2, 9):
            x = rng.standard_normal((count + 2, n + 2))
            x = (np.round(x * 50) if singles else x).astype(dtype)
            cells = x.astype(float)
            first = in_order([cells[t : t + count, 1 : n + 1] for t in range(3)], down, 1).astype(dtype)
            second = in_order([cells[1 : count + 1, t : t + n] for t in range(3)], along, 1).astype(dtype)
            rows = [filled(line, SLACK // x.itemsize, np.nan) for line in x]
            out = [place(np.zeros(n, dtype), at_end=True) for _ in range(count)]
            at, to = pointers(rows), pointers(out)
            elements(dtype).weigh(kernels.arguments(
                "fc_weighted", rows=ctypes.addressof(at), out=ctypes.addressof(to), weights=weights,
                singles=weights.astype(np.float32) if singles else None, n=n, count=count, along=kernels.constant("FC_CROSS"),
            ))  # fmt: skip
            assert_same_bits(np.array(out), first + second)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_parts_are_joined_as_numpy_does(dtype, isa, rng):
    for n in (1, 2, 3, 7, 8, 9, 31, 32, 33):
        a, b = (np.abs(rng.standard_normal(n)).astype(dtype) for _ in range(2))
        float_of = a.astype(np.float32).astype(dtype)
        for how, expected in (("SUM", a + b), ("SQUARE", a * a), ("ROOT", np.sqrt(a)), ("ROUND", float_of)):
            to, other = place(a, at_end=True), place(b, at_end=True)
            elements(dtype).join(to.ctypes.data, other.ctypes.data, n, kernels.constant(f"FC_JOIN_{how}"))
            assert_same_bits(to, expected)


@pytest.mark.parametrize("dtype", ORDER[:8])
def test_integers_as_reals_and_back(dtype, isa, rng):
    info = np.iinfo(dtype)
    small = info.bits <= 16
    for n in (1, 15, 16, 17, 33):
        x = place(rng.integers(info.min, info.max, n, dtype, endpoint=True), at_end=True)
        for real in ("f4", "f8") if small else ("f8",):
            doubles = real == "f8"
            line = place(np.zeros(n, real), at_end=True)
            elements(dtype).to_reals(line.ctypes.data, x.ctypes.data, n, doubles)
            assert_same_bits(line, x.astype(real))
            beyond = rng.uniform(-1e6, 1e6, n) if small else rng.uniform(0, 2**31 - 1, n)
            line[...] = beyond
            whole = np.trunc(line).astype(np.int64).astype(dtype)
            back = place(np.zeros(n, dtype), at_end=True)
            elements(dtype).from_reals(back.ctypes.data, line.ctypes.data, n, doubles)
            assert_same_bits(back, whole)
            elements(dtype).keep_whole(line.ctypes.data, n, doubles)
            assert_same_bits(line, whole.astype(real))
