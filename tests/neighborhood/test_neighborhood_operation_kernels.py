"""The kernel of operations alone, against its contract in kernels/neighborhood/table.h, flush against pages that must not be
touched. What each operation gives is compared with NumPy in test_functions_compiled.py, too, through programs."""

import ctypes
import functools

import numpy as np
import pytest
from kernel_calls import ORDER, drawn, elements, filled, kind_of, pointers, vector_bytes

import kernels
from fastconv._face.wiring import wiring
from guarded import place
from support import assert_same_bits

pytestmark = kernels.needs_headers
every_dtype = pytest.mark.parametrize("dtype", ORDER)

BINARY = {"ADD": np.add, "SUBTRACT": np.subtract, "MULTIPLY": np.multiply, "MINIMUM": np.minimum, "MAXIMUM": np.maximum,
          "FLOOR_DIVIDE": np.floor_divide, "REMAINDER": np.remainder}  # fmt: skip
REALS = {"DIVIDE": np.divide, "FMIN": np.fmin, "FMAX": np.fmax, "FMOD": np.fmod, "COPYSIGN": np.copysign}
WHOLE = {"AND": np.bitwise_and, "OR": np.bitwise_or, "XOR": np.bitwise_xor, "LEFT_SHIFT": np.left_shift,
         "RIGHT_SHIFT": np.right_shift}  # fmt: skip
COMPARE = {"LESS": np.less, "LESS_EQUAL": np.less_equal, "EQUAL": np.equal, "NOT_EQUAL": np.not_equal}


def lengths(dtype):
    """Numbers of outputs around a vector and around four."""
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    return sorted({1, lanes - 1, lanes, lanes + 1, 4 * lanes - 1, 4 * lanes, 4 * lanes + 1} - {0})


def call(dtype, code, dst, n, **fields):
    elements(dtype).operation(kernels.arguments("fc_operation", code=kernels.constant(f"FC_DO_{code}"), dst=dst, n=n, **fields))
    return dst


@every_dtype
def test_operations_of_two(dtype, isa, rng):
    binary = BINARY | (REALS if dtype[0] == "f" else WHOLE) | COMPARE
    for n in lengths(dtype):
        whole = drawn(rng, dtype, (2, n))
        whole[1] += whole[1] == 0
        for scalars in (0, 1, 2):
            a, b = (place(x[: 1 if scalars & bit else n], at_end=True) for x, bit in zip(whole, (1, 2), strict=True))
            for code, function in binary.items():
                with np.errstate(all="ignore"):
                    expected = np.broadcast_to(function(a, b), n)
                dst = place(np.zeros(n, np.uint8 if code in COMPARE else dtype), at_end=True)
                assert_same_bits(call(dtype, code, dst, n, a=a, b=b, scalars=scalars), expected.astype(dst.dtype))
                if code not in COMPARE and not scalars:  # where an operand is
                    same = place(a, at_end=True)
                    assert_same_bits(call(dtype, code, same, n, a=same, b=b), expected.astype(dtype))


@every_dtype
def test_choices_and_products(dtype, isa, rng):
    for n in lengths(dtype):
        a, b, c = (place(x, at_end=True) for x in drawn(rng, dtype, (3, n)))
        truth = place(rng.integers(0, 2, n).astype(np.uint8), at_end=True)
        for scalars in range(4):
            x, y = (place(v[: 1 if scalars & bit else n], at_end=True) for v, bit in ((a, 1), (b, 2)))
            dst = place(np.zeros(n, dtype), at_end=True)
            assert_same_bits(call(dtype, "SELECT", dst, n, a=x, b=y, c=truth, scalars=scalars), np.where(truth, x, y))
        dst = place(np.zeros(n, dtype), at_end=True)
        assert_same_bits(call(dtype, "ADD_PRODUCT", dst, n, a=a, b=b, c=c), a * b + c)
        assert_same_bits(call(dtype, "ADD_PRODUCT", dst, n, a=a, b=b[-1:].copy(), c=c, scalars=2), a * b[-1] + c)


@functools.cache
def table_of(count, outputs):
    return wiring(count, list(outputs))


@pytest.mark.parametrize("count", [1, 2, 9, 15, 16, 17, 33, 49, 81, 128])
@every_dtype
def test_networks(dtype, isa, count, rng):
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    sums = [(0, count - 1), (count // 5, count - 1 - count // 5)]
    ranks = [(rank, rank) for rank in range(count)]
    for n in (1, 3 * lanes + 1):
        values = drawn(rng, dtype, (count, n))
        values[:, n // 2 :] = values[0, n // 2]  # equal ones
        special = [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, np.nan] if dtype[0] == "f" else [0, 1]
        for x, kind in ((values, 1), (values, 0), (rng.choice(np.array(special, dtype), (count, n)), 0)):
            for asked in ([sums[1]], sums[:1], [ranks[count // 2]], [ranks[0], ranks[-1]], ranks, [*sums, *ranks[:3]]):
                terms = [filled(row, lanes, 1) for row in x]
                found = [filled(np.zeros(n, dtype), lanes, 0) for _ in asked]
                at, table = pointers(terms + found), place(table_of(count, tuple(asked)), at_end=True)
                common = {"terms": ctypes.addressof(at), "count": count, "weights": table}
                call(dtype, "NETWORK", found[0], n, kind=kind, **common)
                ordered = np.sort(x, axis=0)
                for (low, high), result in zip(asked, found, strict=True):
                    with np.errstate(all="ignore"):
                        expected = ordered[low : high + 1].sum(0, dtype=dtype)
                    np.testing.assert_array_equal(result[:n], expected)


@every_dtype
def test_networks_into_their_operands(dtype, isa, rng):
    count, n = 9, 64
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    x = drawn(rng, dtype, (count, n))
    terms = [filled(row, lanes, 1) for row in x]
    at = pointers(terms + terms)
    table = wiring(count, [(rank, rank) for rank in range(count)])
    call(dtype, "NETWORK", terms[0], n, terms=ctypes.addressof(at), count=count, weights=table)
    np.testing.assert_array_equal([term[:n] for term in terms], np.sort(x, axis=0))


def test_comparators_that_nothing_needs_are_left_out():
    ranks = [(rank, rank) for rank in range(32)]
    assert wiring(32, ranks)[0] == 65
    assert wiring(32, [(0, 31)])[0] == wiring(25, [(12, 12)])[0] == wiring(32, [(0, 31)] * 2 + [(0, 31)])[0] - 65 == 0
    assert wiring(64, ranks[:1] * 3)[0] < wiring(64, ranks[:3])[0] < wiring(64, ranks)[0]


@every_dtype
def test_casts(dtype, isa, rng):
    for n in lengths(dtype):
        for source in ORDER:
            a = place(drawn(rng, source, n) if np.dtype(dtype).kind == "i" else rng.integers(0, 9, n).astype(source), at_end=True)
            dst = place(np.zeros(n, dtype), at_end=True)
            assert_same_bits(call(dtype, "CAST", dst, n, a=a, kind=kind_of(source)), a.astype(dtype))


@every_dtype
def test_operations_of_many(dtype, isa, rng):
    for n in lengths(dtype):
        for count in (1, 2, 5, 9):
            values = drawn(rng, dtype, (count, n), most=2)
            lanes = vector_bytes() // np.dtype(dtype).itemsize
            terms = [filled(row, lanes, 1) for row in values]
            at = pointers(terms)
            common = {"terms": ctypes.addressof(at), "count": count}
            expected = {"SUM": values.sum(0, dtype=dtype), "PROD": values.prod(0, dtype=dtype), "LEAST": values.min(0),
                        "GREATEST": values.max(0)}  # fmt: skip
            more = {}
            if dtype[0] == "f":
                centre = filled(drawn(rng, dtype, n), lanes, 1)
                weights = place(drawn(rng, dtype, count), at_end=True)
                d = values - centre[:n]
                expected |= {"DOT": weights @ values, "SQUARES": (d * d).sum(0), "DISTANCES": np.abs(d).sum(0)}
                more = {"DOT": {"weights": weights}, "SQUARES": {"a": centre}, "DISTANCES": {"a": centre}}
            for code, result in expected.items():
                for kind in (0, 1):
                    dst = filled(np.zeros(n, dtype), lanes, 0)
                    call(dtype, code, dst, n, kind=kind, **common, **more.get(code, {}))
                    assert_same_bits(dst[:n] + dst.dtype.type(0), (result + dst.dtype.type(0)).astype(dtype))
            if dtype[0] == "f":
                terms[0][:n][rng.random(n) < 0.3] = np.nan
                whole = np.stack([term[:n] for term in terms])
                for code, result in (("LEAST", np.min(whole, 0)), ("GREATEST", np.max(whole, 0))):
                    dst = filled(np.zeros(n, dtype), lanes, 0)
                    np.testing.assert_array_equal(call(dtype, code, dst, n, **common)[:n], result)
