"""Triple products, moments, mttkrp, mode_dot and their gradients: values, symmetry, layouts, bits and errors."""

import functools
import itertools
import math
import os
import tracemalloc

import numpy as np
import pytest
from contraction_calls import assert_same_complex_bits
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from support import (
    FLOATS,
    LAYOUTS,
    ROUNDOFF,
    assert_same_bits,
    assert_within,
    byte_swapped,
    embedded,
    misaligned,
    read_only,
    run_script,
)

SIZES = [(1, 1, 1, 1), (2, 3, 4, 5), (17, 9, 33, 300), (33, 2, 7, 129), (5, 70, 40, 257), (4, 4, 4, 20_000)]
SIZES += [(16, 5, 7, 515), (3, 16, 1, 16_384 + 257), (17, 1, 1, 100)]
EQUALITIES = ("none", "b is c", "a is b", "a is c", "all")
TENSORS = [(5,), (7, 9), (6, 33, 70), (3, 200, 2), (130, 5, 3), (2, 3, 4, 5, 40)]
LAYOUTS_2D = {
    "fortran": np.asfortranarray,
    "sliced": lambda a: embedded(a, 3),
    "reversed": lambda a: embedded(a, -1),
    "misaligned": misaligned,
    "byte-swapped": byte_swapped,
    "read-only": read_only,
}


def small(rng, shape, dtype=np.float64, high=4):
    """Return small integers, whose sums of products are exact in any order."""
    values = rng.integers(-high, high + 1, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.integers(-high, high + 1, shape)
    return values.astype(dtype)


def operands(rng, sizes, equality, make):
    """Return a, b and c of the sizes (I, J, K, M), some of which are the same array."""
    i, j, k, m = sizes
    a = make(rng, (i, m))
    b = a if equality in ("a is b", "all") else make(rng, (j, m))
    c = b if equality in ("b is c", "all") else a if equality == "a is c" else make(rng, (k, m))
    return a, b, c


def summed(tensor, m, mode):
    """Return `mode_dot` in the tensor's dtype and without BLAS, whose idle threads would slow ours down."""
    rows = np.einsum("...n,rn->...r", np.moveaxis(tensor, mode, -1), np.atleast_2d(m).astype(tensor.dtype))
    return rows[..., 0] if m.ndim == 1 else np.moveaxis(rows, -1, mode)


def finer(dtype):
    return np.float64 if dtype == np.float32 else np.longdouble


# --- Triple product: values


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("equality", EQUALITIES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_triple_product_is_the_formula(isa, rng, sizes, equality, dtype):
    a, b, c = operands(rng, sizes, equality, lambda rng, shape: small(rng, shape, dtype))
    weights = small(rng, sizes[3], dtype)
    products = (a[:, None] * b).astype(float)
    result = fastconv.triple_product(a, b, c)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, summed(products, c, 2))
    weighted = fastconv.triple_product(a, b, c, weights=weights, workers=2)
    np.testing.assert_array_equal(weighted, summed(products * weights, c, 2))


@given(st.data())
def test_triple_product_of_any_sizes(data):
    sizes = data.draw(st.tuples(*[st.integers(0, 20)] * 3, st.integers(0, 300)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    equality = data.draw(st.sampled_from(EQUALITIES))
    dtype = data.draw(st.sampled_from(FLOATS))
    a, b, c = operands(rng, sizes, equality, lambda rng, shape: small(rng, shape, dtype))
    np.testing.assert_array_equal(
        fastconv.triple_product(a, b, c, workers=data.draw(st.integers(1, 3))),
        reference.triple_product(a, b, c),
    )


def test_arguments_left_out_are_the_ones_before(rng):
    a, b = small(rng, (5, 40)), small(rng, (6, 40))
    assert_same_bits(fastconv.triple_product(a), fastconv.triple_product(a, a, a))
    assert_same_bits(fastconv.triple_product(a, b), fastconv.triple_product(a, b, b))
    assert_same_bits(fastconv.triple_product(a, c=b), fastconv.triple_product(a, a, b))


@pytest.mark.parametrize("equality", EQUALITIES)
def test_equal_memory_is_seen_as_the_same_array(rng, equality):
    a, b, c = operands(rng, (9, 9, 9, 200), equality, lambda rng, shape: rng.standard_normal(shape))
    assert_same_bits(fastconv.triple_product(a[:], b[:], c[:]), fastconv.triple_product(a, b, c))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [3, 33, 70])
def test_symmetric_to_the_bit(isa, rng, n, dtype):
    a, x = (rng.standard_normal((n, 500)).astype(dtype) for _ in range(2))
    whole = fastconv.triple_product(a, weights=x[0])
    for axes in itertools.permutations(range(3)):
        assert_same_bits(np.ascontiguousarray(whole.transpose(axes)), whole)
    for result, axes in [
        (fastconv.triple_product(x, a, a), (0, 2, 1)),
        (fastconv.triple_product(a, a, x), (1, 0, 2)),
        (fastconv.triple_product(a, x, a), (2, 1, 0)),
    ]:
        assert_same_bits(np.ascontiguousarray(result.transpose(axes)), result)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 40])
def test_packed(rng, n):
    a, b = rng.standard_normal((n, 300)), rng.standard_normal((3, 300))
    whole, packed = fastconv.triple_product(a), fastconv.triple_product(a, packed=True)
    assert packed.shape == (n * (n + 1) * (n + 2) // 6,)
    assert_same_bits(
        packed, np.array([whole[i, j, k] for i in range(n) for j in range(i + 1) for k in range(j + 1)])
    )
    assert_same_bits(fastconv.unpack_symmetric(packed, n), whole)
    packed = fastconv.triple_product(b, a, packed=True)
    assert packed.shape == (3, n * (n + 1) // 2)
    assert_same_bits(fastconv.unpack_symmetric(packed, n), fastconv.triple_product(b, a))


@pytest.mark.parametrize("dtype", FLOATS)
def test_many_outputs_take_several_passes(rng, dtype):
    a, b, c = (small(rng, (n, 1500), dtype) for n in (110, 120, 110))
    expected = np.tensordot((a[:, None] * b).astype(float), c.astype(float), (2, 1))
    np.testing.assert_array_equal(fastconv.triple_product(a, b, c), expected)
    np.testing.assert_array_equal(fastconv.triple_product(a, b, c, workers=3), expected)


def test_long_rows_alone(rng):
    one, many = small(rng, (1, 60)), small(rng, (3000, 60))
    np.testing.assert_array_equal(fastconv.triple_product(one, one, many)[0, 0], (one[0] ** 2 * many).sum(-1))
    np.testing.assert_array_equal(
        fastconv.triple_product(one, many[:700])[0], (one * many[:700]) @ many[:700].T
    )


@pytest.mark.parametrize("equality", EQUALITIES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_values_reach_their_entries_only(rng, equality, bad):
    a, b, c = (x.copy() for x in operands(rng, (20, 20, 20, 70), "none", lambda rng, s: rng.uniform(1, 2, s)))
    if equality != "none":
        a, b, c = operands(rng, (20, 20, 20, 70), equality, lambda rng, s: rng.uniform(1, 2, s))
    c[7, 33] = bad
    result = fastconv.triple_product(a, b, c)
    expected = np.zeros((20, 20, 20), bool)
    for axis, x in enumerate((a, b, c)):
        expected[(slice(None),) * axis + (np.flatnonzero(~np.isfinite(x).all(1)),)] = True
    np.testing.assert_array_equal(np.isfinite(result), ~expected)


# --- Triple product: accuracy


@functools.cache
def sums_of_mean_zero(dtype, m):
    """Return three matrices, their triple product and that of their absolute values, in a finer type."""
    rng = np.random.default_rng(m)
    arrays = [rng.standard_normal((n, m)).astype(dtype) for n in (5, 6, 7)]
    exact = (reference.triple_product(*map(f, arrays), dtype=finer(dtype)) for f in (np.asarray, np.abs))
    return arrays, *exact


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("m", [100, 5000, 100_000])
def test_errors_on_data_of_mean_zero(isa, dtype, m):
    arrays, expected, scale = sums_of_mean_zero(dtype, m)
    assert_within(fastconv.triple_product(*arrays), expected, 8 * ROUNDOFF[np.dtype(dtype)] * scale)


def test_long_sums_of_positive_float32_keep_their_accuracy(isa, rng):
    a, b, c = (rng.exponential(size=(n, 300_000)).astype(np.float32) for n in (5, 6, 7))
    expected = reference.triple_product(a, b, c)
    assert_within(fastconv.triple_product(a, b, c), expected, 1e-7 * expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "m"), [(8, 100), (8, 2000), (30, 100), (30, 2000)])
def test_errors_on_positive_data(isa, rng, n, m, dtype):
    a, b, c = (rng.exponential(size=(n, m)).astype(dtype) for _ in range(3))
    wide = [x.astype(finer(dtype)) for x in (a, b, c)]
    expected = np.einsum("im,jm,km->ijk", wide[0][:3], wide[1], wide[2], optimize=True)
    assert_within(fastconv.triple_product(a, b, c)[:3], expected, 8 * ROUNDOFF[np.dtype(dtype)] * expected)


ATTACKS = ("equal numbers", "one among small ones")


def attacked(attack, dtype, n):
    """Return numbers of one sign whose sums lose the most, and their sum in long double."""
    if attack == "equal numbers":
        return np.broadcast_to(np.asarray(0.1, dtype), n), np.longdouble(dtype(0.1)) * n
    values = np.full(n, 0.999 * ROUNDOFF[np.dtype(dtype)], dtype)
    total = 1 + np.longdouble(values[0]) * (n - 1)
    values[0] = 1
    return values, total


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("rows", [1, 2, 20])
def test_errors_do_not_grow_with_the_samples(rows, attack, dtype):
    values, expected = attacked(attack, dtype, 4_000_000)
    a, ones = np.broadcast_to(values, (rows, 4_000_000)), np.broadcast_to(dtype(1), (2, 4_000_000))
    result = fastconv.triple_product(a, ones, ones)
    assert_within(result, np.full_like(result, expected, np.longdouble), 120 * ROUNDOFF[np.dtype(dtype)] * expected)


def test_the_same_list_is_the_same_array():
    rows = [[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]]
    expected = fastconv.triple_product(rows, packed=True)
    np.testing.assert_array_equal(fastconv.triple_product(rows, rows, rows, packed=True), expected)


# --- Triple product: bits, layouts, out, memory


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "sizes", [(40, 30, 50, 700), (4, 4, 4, 100_000), (1, 1, 200, 9000), (50, 50, 50, 4000)], ids=str
)
@pytest.mark.parametrize("equality", ["none", "b is c", "all"])
def test_triple_product_bits_do_not_depend_on_threads(isa, rng, sizes, equality, dtype):
    a, b, c = operands(rng, sizes, equality, lambda rng, shape: rng.standard_normal(shape).astype(dtype))
    expected = fastconv.triple_product(a, b, c, workers=1)
    for workers in (2, 7):
        assert_same_bits(fastconv.triple_product(a, b, c, workers=workers), expected)


@pytest.mark.parametrize("layout", LAYOUTS_2D)
@pytest.mark.parametrize("rows", [(9, 40, 5), (3, 4, 5)])
def test_triple_product_bits_do_not_depend_on_layout(rng, rows, layout):
    arrays = [rng.standard_normal((n, 600)).astype(np.float32) for n in rows]
    moved = [LAYOUTS_2D[layout](x) for x in arrays]
    assert_same_bits(fastconv.triple_product(*moved), fastconv.triple_product(*arrays))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [4, 23])
def test_bits_of_equal_numbers_do_not_depend_on_where_they_lie(rng, n, dtype):
    a, c, weights = (rng.standard_normal(shape).astype(dtype) for shape in ((n, 700), (n, 700), 700))
    for arrays in [(a, a, c), (a, c, c), (a, c, a), (a, a, a)]:
        expected = fastconv.triple_product(*arrays, weights=weights)
        for which in itertools.product((False, True), repeat=3):
            copies = [np.asfortranarray(x.copy()) if copied else x for x, copied in zip(arrays, which, strict=True)]
            assert_same_bits(fastconv.triple_product(*copies, weights=weights), expected)
    whole = fastconv.triple_product(a)
    assert_same_bits(fastconv.unpack_symmetric(fastconv.triple_product(a.copy(), a, packed=True), n), whole)


def test_arrays_that_differ_at_the_end_are_not_the_same(rng):
    a = small(rng, (3, 300_000))
    b = a.copy()
    b[-1, -1] += 1
    np.testing.assert_array_equal(fastconv.triple_product(a, b, a), reference.triple_product(a, b, a))
    with pytest.raises(ValueError, match="packed"):
        fastconv.triple_product(a, a, a.copy(), packed=True)


def test_inputs_are_left_alone(rng):
    arrays = [rng.standard_normal((n, 100)) for n in (3, 4, 5)]
    before = [x.copy() for x in arrays]
    fastconv.triple_product(*arrays)
    for x, y in zip(arrays, before, strict=True):
        assert_same_bits(x, y)


@pytest.mark.parametrize("step", [1, -2, 3])
@pytest.mark.parametrize("equality", EQUALITIES)
def test_triple_product_into_out(rng, equality, step):
    a, b, c = operands(rng, (20, 20, 20, 50), equality, lambda rng, shape: small(rng, shape, np.float32))
    out = embedded(np.zeros((20, 20, 20), np.float32), step)
    assert fastconv.triple_product(a, b, c, out=out) is out
    np.testing.assert_array_equal(out, reference.triple_product(a, b, c))


def test_out_may_overlap_the_inputs(rng):
    memory = small(rng, 4 * 4 * 4)
    a = memory.reshape(4, 16)
    expected = reference.triple_product(a)
    fastconv.triple_product(a, out=memory.reshape(4, 4, 4))
    np.testing.assert_array_equal(memory.reshape(4, 4, 4), expected)


def test_float16_and_mixed_dtypes(rng):
    a, b, c = (small(rng, (n, 20), np.float16, 2) for n in (3, 4, 5))
    expected = reference.triple_product(a, b, c)
    for dtypes, result in [("eee", "e"), ("efe", "f"), ("fde", "d"), ("ddd", "d")]:
        given_arrays = [x.astype(d) for x, d in zip((a, b, c), dtypes, strict=True)]
        product = fastconv.triple_product(*given_arrays)
        assert product.dtype == result
        np.testing.assert_array_equal(product, expected)


def test_memmap(tmp_path, rng):
    values = small(rng, (6, 5000))
    values.tofile(tmp_path / "a")
    a = np.memmap(tmp_path / "a", np.float64, "r", shape=values.shape)
    np.testing.assert_array_equal(fastconv.triple_product(a), fastconv.triple_product(values))


def extra_memory(call):
    """Return how much a call allocates beyond its result, in MiB; the workspace of the drivers is seen too."""
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (peak - result.nbytes) / 2**20


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize(
    "sizes",
    [(100, 100, 100, 2000), (4, 4, 4, 10**6), (1, 2, 5000, 1000), (257, 10, 257, 600), (1, 1, 200_000, 16), (2, 30_000, 3, 500)],
    ids=str,
)
def test_extra_memory_is_bounded(rng, sizes, workers):
    a, b, c = (np.broadcast_to(rng.standard_normal((n, 1)), (n, sizes[3])) for n in sizes[:3])
    assert extra_memory(lambda: fastconv.triple_product(a, b, c, workers=workers)) <= 16 + 4 * workers
    tensor = np.broadcast_to(rng.standard_normal((300, 1, 1)), (300, 400, 500))
    for mode, n in enumerate(tensor.shape):
        assert (
            extra_memory(lambda n=n, mode=mode: fastconv.mode_dot(tensor, np.ones(n), mode, workers=workers))
            <= 20
        )


def test_threads_without_work_cost_no_memory():
    assert extra_memory(lambda: fastconv.triple_product(np.ones((3, 10)), workers=64)) < 1
    assert extra_memory(lambda: fastconv.triple_product(np.ones((30, 10)), workers=500)) < 20


def test_unpacking_takes_little_memory(rng):
    packed = fastconv.triple_product(small(rng, (150, 2), np.float32), packed=True)
    with fastconv.runtime.use_seams({"contraction._BLOCK_ITEMS": 1000}):
        assert extra_memory(lambda: fastconv.unpack_symmetric(packed, 150)) < 0.2


def test_memory_of_casts_and_copies_is_bounded(rng):
    tensor = np.broadcast_to(np.int8(1), (40, 40, 131_072))
    assert extra_memory(lambda: fastconv.mode_dot(tensor, np.ones(131_072), 2, workers=1)) <= 20
    matrix = np.ones((4000, 3000), np.complex128)
    assert extra_memory(lambda: fastconv.mode_dot(np.ones((3000, 2), np.complex128), matrix, 0, workers=1)) <= 20
    factors = [np.ones((n, 32)) for n in (200, 3, 100_000)]
    factors[1][0] = np.inf
    tensor = np.broadcast_to(1.0, (200, 3, 100_000))
    with fastconv.num_threads(1):
        assert extra_memory(lambda: fastconv.mttkrp(tensor, factors, 0)) <= 20
        assert extra_memory(lambda: fastconv.mttkrp(tensor, factors, 2)) <= 20


@pytest.mark.parametrize(
    "sizes", [(0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0), (0, 0, 0, 0)], ids=str
)
def test_nothing_to_sum(sizes):
    a, b, c = (np.ones((n, sizes[3]), np.float32) for n in sizes[:3])
    result = fastconv.triple_product(a, b, c)
    assert result.shape == sizes[:3]
    assert not result.any()


# --- Third moment


@functools.cache
def moments(dtype, center):
    """Return samples, their third moments and those of the absolute values, in a finer type."""
    x = np.random.default_rng(12).exponential(size=(12, 3000)).astype(dtype)
    y = x.astype(np.longdouble) - (x.mean(axis=1, keepdims=True, dtype=np.longdouble) if center else 0)
    return x, *(reference.triple_product(z, dtype=np.longdouble) / 3000 for z in (y, abs(y)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("center", [True, False])
def test_third_moment(isa, center, dtype):
    x, expected, scale = moments(dtype, center)
    result = fastconv.third_moment(x, center=center)
    assert result.dtype == dtype
    assert_within(result, expected, 8 * ROUNDOFF[np.dtype(dtype)] * scale)
    assert_same_bits(fastconv.third_moment(x.T, axis=0, center=center), result)
    assert_same_bits(
        fastconv.unpack_symmetric(fastconv.third_moment(x, center=center, packed=True), 12), result
    )


def test_third_moment_of_a_large_mean(rng):
    x = rng.exponential(size=(4, 2000))
    np.testing.assert_allclose(fastconv.third_moment(x + 2.0**20), fastconv.third_moment(x), atol=1e-8)


@pytest.mark.parametrize("dtype", FLOATS)
def test_third_moment_bits_do_not_depend_on_layout(rng, dtype):
    x = rng.normal(1, 1, (3, 70_000)).astype(dtype)
    expected = fastconv.third_moment(x)
    assert_same_bits(fastconv.third_moment(np.asfortranarray(x)), expected)
    assert_same_bits(fastconv.third_moment(x.T.copy(), axis=0), expected)


def test_third_moment_of_no_samples():
    assert np.isnan(fastconv.third_moment(np.ones((2, 0)))).all()


# --- mode_dot


DTYPES = [
    ("f4", "f4"),
    ("f8", "f8"),
    ("f2", "f2"),
    ("c8", "c8"),
    ("c16", "f8"),
    ("f4", "c8"),
    ("i4", "f4"),
    (">f4", "f4"),
]
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">i4"]


@pytest.mark.parametrize("dtypes", DTYPES, ids=str)
@pytest.mark.parametrize("shape", TENSORS, ids=str)
def test_mode_dot_is_the_formula(isa, rng, shape, dtypes):
    tensor = small(rng, shape, dtypes[0])
    for mode, rows in itertools.product(range(-1, len(shape)), (None, 1, 3, 70)):
        n = shape[mode]
        m = small(rng, n if rows is None else (rows, n), dtypes[1])
        result = fastconv.mode_dot(tensor, m, mode)
        assert result.dtype == np.result_type(*dtypes)
        wide = complex if result.dtype.kind == "c" else float
        np.testing.assert_array_equal(result, summed(tensor.astype(wide), m, mode))
        assert_same_complex_bits(fastconv.mode_dot(np.asfortranarray(tensor), m, mode, workers=2), result)


@pytest.mark.parametrize("second", INTEGERS)
@pytest.mark.parametrize("first", INTEGERS)
def test_mode_dot_of_integers_is_exact(rng, first, second):
    def full_range(shape, dtype):
        if dtype == "?":
            return rng.integers(0, 2, shape).astype(bool)
        info = np.iinfo(dtype)
        return rng.integers(
            info.min, info.max, shape, np.dtype(dtype).newbyteorder("="), endpoint=True
        ).astype(dtype)

    tensor = full_range((4, 5, 17), first)
    for mode in range(3):
        vector = full_range(tensor.shape[mode], second)
        unsigned = tensor.dtype.kind == vector.dtype.kind == "u"
        result = fastconv.mode_dot(tensor, vector, mode)
        assert result.dtype == (np.uint64 if unsigned else np.int64)
        whole = np.tensordot(tensor.astype(object) * 1, vector.astype(object) * 1, (mode, 0))
        expected = np.array([int(x) % 2**64 for x in whole.ravel()], np.uint64).reshape(whole.shape)
        np.testing.assert_array_equal(result.view(np.uint64), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
def test_mode_dot_bits_do_not_depend_on_layout_and_threads(rng, layout, dtype):
    tensor = (rng.standard_normal((2, 5, 150, 40)) * np.array(1 + 1j if dtype == "c16" else 1)).astype(dtype)
    moved = LAYOUTS[layout](tensor)
    for mode in range(4):
        for rows in (1, 5):
            m = rng.standard_normal((rows, tensor.shape[mode])).astype(dtype)
            expected = fastconv.mode_dot(tensor, m, mode, workers=1)
            for workers in (1, 3):
                assert_same_complex_bits(fastconv.mode_dot(moved, m, mode, workers=workers), expected)


@pytest.mark.parametrize("order", "CF")
def test_bits_of_a_matrix_in_several_slabs_do_not_depend_on_its_layout(rng, order):
    tensor, matrix = rng.standard_normal((3, 100_000)), rng.standard_normal((6, 100_000))
    expected = np.stack([fastconv.mode_dot(tensor, rows, 1) for rows in (matrix[:2], matrix[2:4], matrix[4:])], axis=1)
    result = fastconv.mode_dot(tensor, np.array(matrix, order=order), 1)
    assert_same_bits(result, expected.reshape(3, 6))
    tensor, grad = rng.standard_normal((3, 6)), rng.standard_normal((3, 100_000))
    of_tensor, of_matrix = fastconv.mode_dot_vjp(grad, tensor, np.array(matrix.T, order=order), 1)
    expected = fastconv.mode_dot_vjp(grad, tensor, embedded(np.ascontiguousarray(matrix.T), 1), 1)
    assert_same_bits(of_tensor, expected[0])
    assert_same_bits(of_matrix, expected[1])


PIECES = [128 * lanes for lanes in (1, 2, 4, 8, 16)]


@pytest.mark.parametrize("dtype", FLOATS)
def test_mode_dot_around_a_piece(isa, rng, dtype):
    for n in sorted({n + k for n in (*PIECES, 4096, 100, 50) for k in (-1, 0, 1)}):  # and rows of 16 KiB and of 400 bytes
        tensor, vector = small(rng, (6, n), dtype), small(rng, n, dtype)
        np.testing.assert_array_equal(fastconv.mode_dot(tensor, vector, 1), summed(tensor.astype(float), vector, 1))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [3, 5, 9, 17, 31, 37, 100])
def test_mode_dot_takes_each_end_of_a_row_once(isa, n, dtype):
    """An infinity anywhere in a row makes its sum infinite, not a NaN; what lies around the rows does not count."""
    rows = np.full((n, n + 2), np.nan, dtype)
    rows[:, 1:-1] = np.diag(np.full(n, np.inf))
    np.testing.assert_array_equal(fastconv.mode_dot(rows[:, 1:-1], np.ones(n, dtype), 1), np.inf)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 33])
def test_mode_dot_around_rows_and_vectors_of_an_axpy(isa, rng, n, dtype):
    for length in sorted({4 * lanes + k for lanes in (2, 4, 8, 16) for k in (-1, 0, 1)} | {4096, 4097}):
        tensor, vector = small(rng, (n, length), dtype), small(rng, n, dtype)
        np.testing.assert_array_equal(fastconv.mode_dot(tensor, vector), summed(tensor.astype(float), vector, 0))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_mode_dot_errors_do_not_grow_with_the_length(isa, attack, dtype):
    n = 300_000
    values, expected = attacked(attack, dtype, n)
    for rows in (None, 3):
        ones = np.broadcast_to(dtype(1), n if rows is None else (rows, n))
        for shape, mode in (((3, n), 1), ((n, 1 if rows else 40), 0)):
            tensor = np.broadcast_to(values if mode else values[:, None], shape)
            result = fastconv.mode_dot(tensor, ones, mode)
            assert_within(result, np.full_like(result, expected, np.longdouble), 200 * ROUNDOFF[np.dtype(dtype)] * expected)


def test_long_sums_of_float16_are_rounded_once():
    tensor, vector = np.ones((2, 3_000_001), np.float16), np.full(3_000_001, 0.01, np.float16)
    expected = np.float16(3_000_001 * float(vector[0]))
    np.testing.assert_array_equal(fastconv.mode_dot(tensor, vector, 1), [expected] * 2)


@functools.cache
def sums_along(mode, n, rows, positive, dtype):
    """Return a tensor, a matrix, their `mode_dot` and that of their absolute values, in a finer type."""
    rng = np.random.default_rng([mode, n, rows, positive])
    draw = rng.exponential if positive else lambda size: rng.standard_normal(size)
    shape = [12, 40]
    shape.insert(mode, n)
    tensor, m = draw(size=shape).astype(dtype), draw(size=(rows, n)).astype(dtype)
    return tensor, m, *(summed(f(tensor).astype(finer(dtype)), f(m), mode) for f in (np.asarray, np.abs))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize(("n", "rows"), [(20, 1), (64, 1), (64, 5), (150, 70), (300, 1), (3000, 1), (1000, 5)])
def test_mode_dot_errors(isa, mode, n, rows, dtype):
    for positive in (False, True):
        tensor, m, expected, scale = sums_along(mode, n, rows, positive, dtype)
        bound = 8 * ROUNDOFF[np.dtype(dtype)] * scale
        assert_within(fastconv.mode_dot(tensor, m, mode), expected, bound)
        assert_within(fastconv.mode_dot(np.asfortranarray(tensor), m, mode), expected, bound)


def test_mode_dot_into_out_that_overlaps(rng):
    tensor = small(rng, (4, 4, 4))
    expected = reference.mode_dot(tensor, np.arange(4.0), 1)
    assert fastconv.mode_dot(tensor, np.arange(4.0), 1, out=tensor[0]) is not None
    np.testing.assert_array_equal(tensor[0], expected)
    out = embedded(np.zeros((4, 3, 4), complex), -2)
    t, m = small(rng, (4, 5, 4), complex), small(rng, (3, 5), complex)
    fastconv.mode_dot(t, m, 1, out=out)
    np.testing.assert_array_equal(out, reference.mode_dot(t, m, 1, np.complex128))


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_mode_dot_with_complex_matrices_of_any_step(rng, dtype):
    """NumPy, up to 2.4 at least, negates wrongly from some steps to others."""
    for step in (1, 2, 3, 4, 5, 8, -1, -2, -4):
        tensor, vector = small(rng, (3, 17), dtype), small(rng, 17, dtype)
        result = fastconv.mode_dot(tensor, embedded(vector, step), 1)
        np.testing.assert_array_equal(result, (tensor * vector).sum(axis=1))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 4)], ids=str)
def test_mode_dot_of_nothing(shape):
    for mode, n in enumerate(shape):
        for m in (np.ones(n), np.ones((2, n)), np.ones((0, n))):
            expected = reference.mode_dot(np.ones(shape), m, mode) if len(m) and n else 0
            result = fastconv.mode_dot(np.ones(shape), m, mode)
            assert result.shape == (*shape[:mode], *m.shape[:-1], *shape[mode + 1 :])
            np.testing.assert_array_equal(result, expected)


def test_mode_dot_bad_values_stay_where_they_are(rng):
    for mode in range(3):
        tensor = rng.standard_normal((30, 40, 50))
        tensor[3, 4, 5] = np.inf
        result = fastconv.mode_dot(tensor, np.ones(tensor.shape[mode]), mode)
        place = tuple(np.delete([3, 4, 5], mode))
        assert np.isinf(result[place])
        assert np.isfinite(result).sum() == result.size - 1


@pytest.mark.parametrize("dtypes", [("i1", "f8"), ("i1", "i1"), ("f4", "f4"), ("f8", "c16")], ids=str)
def test_mode_dot_of_long_sums_is_exact_and_copies_little(rng, dtypes):
    n = 1_200_000
    tensor, vector = small(rng, (2, n), dtypes[0], 1), small(rng, 2 * n, dtypes[1], 1)
    expected = [np.sum(row * vector[:n], dtype=complex if dtypes[1] == "c16" else np.int64) for row in tensor]
    np.testing.assert_array_equal(fastconv.mode_dot(tensor, vector[:n], 1), expected)
    backwards = vector[::-1][:n]
    copied = fastconv.mode_dot(tensor, backwards, 1)
    assert_same_complex_bits(copied, fastconv.mode_dot(tensor, backwards.copy(), 1))
    assert extra_memory(lambda: fastconv.mode_dot(tensor, backwards, 1, workers=1)) <= 20


def test_mode_dot_of_many_rows(rng):
    tensor, matrix = small(rng, (3, 5)), small(rng, (9000, 5))
    np.testing.assert_array_equal(fastconv.mode_dot(tensor, matrix, 1), tensor @ matrix.T)
    np.testing.assert_array_equal(fastconv.mode_dot(tensor.T, np.asfortranarray(matrix), 0), matrix @ tensor.T)


def test_tensors_of_as_many_axes_as_numpy_has(rng):
    tensor = small(rng, (2,) * 8 + (1,) * 50 + (3,) * 6)[::-1]
    flat = tensor.reshape(2**8, 3**6)
    for mode, n in ((0, 2), (63, 3), (30, 1)):
        matrix = small(rng, (2, n))
        expected = np.tensordot(matrix, tensor, (1, mode))
        np.testing.assert_array_equal(fastconv.mode_dot(tensor, matrix, mode), np.moveaxis(expected, 0, mode))
        np.testing.assert_array_equal(fastconv.mode_dot(tensor, matrix[0], mode), expected[0])
        grad = small(rng, np.delete(tensor.shape, mode))
        of_vector = fastconv.mode_dot_vjp(grad, tensor, matrix[0], mode)[1]
        np.testing.assert_array_equal(of_vector, np.moveaxis(tensor, mode, 0).reshape(n, -1) @ grad.ravel())
    factors = [small(rng, (n, 5), high=1) for n in tensor.shape]
    scale = np.prod([f[0] for f, n in zip(factors, tensor.shape, strict=True) if n == 1], axis=0)
    ones = [np.ones_like(f) if n > 1 else f for f, n in zip(factors, tensor.shape, strict=True)]
    np.testing.assert_array_equal(fastconv.mttkrp(tensor, ones, 63), flat.reshape(-1, 3).sum(0)[:, None] * scale)


# --- Ctrl-C


LONG_CALLS = {
    "rows of a matrix": "fastconv.mode_dot(wide(10**6, 100000), np.ones((100, 100000), 'f4'), 1)",
    "lanes along an axis": "fastconv.mode_dot(wide(99, 100000, 4096), np.ones((100, 100000), 'f4'), 1)",
    "integers": "fastconv.mode_dot(wide(4096, 100000, dtype='i4'), np.ones((100, 100000), 'i4'), 1)",
    "triple product": "fastconv.triple_product(wide(500, 10**6, dtype='f8'))",
    "triple product of unlike rows": "fastconv.triple_product(wide(99, 10**6), wide(200, 10**6), wide(300, 10**6))",
    "triple product of few rows": "fastconv.triple_product(wide(9, 10**9), workers=1)",
    "mttkrp of short products": "fastconv.mttkrp(wide(1, 9999, 99999, 1), [np.ones((n, 1)) for n in (1, 9999, 99999, 1)], 0)",
    "mttkrp": "fastconv.mttkrp(wide(16, 30000, 30000), [np.ones((n, 64), 'f4') for n in (16, 30000, 30000)], 0)",
    "mttkrp of the last axis": "fastconv.mttkrp(wide(999, 3000, 3000), [np.ones((n, 64), 'f4') for n in (999, 3000, 3000)], 2)",
    "means": "fastconv.third_moment(wide(100, 2 * 10**8))",
    "plane": "fastconv.conv2d(wide(1, 2304, 2304, 1), np.ones((1025, 1025, 1, 1), 'f4'))",
    "channels": "fastconv.conv2d(wide(9, 512, 512, 256), np.ones((99, 99, 1, 256), 'f4'), groups=256)",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
@pytest.mark.parametrize("call", LONG_CALLS)
def test_ctrl_c_stops_calls_whose_tasks_are_long(tmp_path, call):
    script = f"""
        import fastconv
        def wide(*shape, dtype="f4"):
            return np.broadcast_to(np.ones((1,) * len(shape), dtype), shape)
        sent = []
        def interrupt():
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.3, interrupt).start()
        try:
            {LONG_CALLS[call]}
            print("finished")
        except KeyboardInterrupt:
            print(time.perf_counter() - sent[0])
    """
    assert float(run_script(script, cwd=tmp_path)[0]) < 0.5


# --- mttkrp


@pytest.mark.parametrize("dtype", [*FLOATS, np.float16])
@pytest.mark.parametrize("rank", [1, 3, 40, 300])
@pytest.mark.parametrize("shape", [(7, 9), (30, 33, 70), (3, 200, 2), (60, 5, 3), (2, 3, 4, 5, 40)], ids=str)
def test_mttkrp_is_the_formula(isa, rng, shape, rank, dtype):
    high = 1 if dtype == np.float16 else 4
    tensor = small(rng, shape, dtype, high) * (
        rng.random(shape) < 50 / math.prod(shape) if high == 1 else True
    )
    factors = [small(rng, (n, rank), dtype, high) for n in shape]
    for mode in range(-1, len(shape)):
        axes = "abcde"[: len(shape)]
        others = [n for n in range(len(shape)) if n != mode % len(shape)]
        terms = ",".join([axes, *(axes[n] + "z" for n in others)])
        wide = [x.astype(np.float64) for x in (tensor, *(factors[n] for n in others))]
        expected = np.einsum(f"{terms}->{axes[mode]}z", *wide, optimize=True)
        result = fastconv.mttkrp(tensor, factors, mode)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)
        with fastconv.num_threads(3):
            assert_same_bits(fastconv.mttkrp(np.asfortranarray(tensor), factors, mode), result)


def test_mttkrp_is_the_reference(rng):
    shape = (4, 5, 6)
    tensor, factors = small(rng, shape), [small(rng, (n, 3)) for n in shape]
    for mode in range(3):
        given_factors = [None if n == mode else f for n, f in enumerate(factors)]
        np.testing.assert_array_equal(
            fastconv.mttkrp(tensor, given_factors, mode), reference.mttkrp(tensor, factors, mode)
        )


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_mttkrp_bad_values_reach_their_entries_only(rng, bad):
    shape = (3, 4, 5, 20)
    tensor, factors = small(rng, shape, high=1), [small(rng, (n, 6), high=1) for n in shape]
    for n in range(4):
        for mode in range(4):
            broken = [f.copy() for f in factors]
            broken[n][1, 2] = bad
            with np.errstate(invalid="ignore"):
                expected = reference.mttkrp(tensor, broken, mode)
            np.testing.assert_array_equal(fastconv.mttkrp(tensor, broken, mode), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rank", [1, 5, 6, 7, 13])
def test_mttkrp_of_the_last_axis_around_a_tile(isa, rng, rank, dtype):
    for last in sorted({k * lanes + i for k in (1, 2, 4) for lanes in (4, 8, 16) for i in (-1, 0, 1)}):
        tensor, factors = small(rng, (3, 7, last), dtype), [small(rng, (n, rank), dtype) for n in (3, 7, last)]
        expected = np.einsum("ijk,ir,jr->kr", *(x.astype(float) for x in (tensor, *factors[:2])))
        np.testing.assert_array_equal(fastconv.mttkrp(tensor, factors, 2), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_mttkrp_errors_do_not_grow_with_the_terms(attack, dtype):
    values, expected = attacked(attack, dtype, 600_000)
    for shape, axes in itertools.product([(300, 2, 2000), (300_000, 2, 2)], itertools.permutations(range(3))):
        tensor = np.broadcast_to(values.reshape(shape[0], 1, shape[2]), shape).transpose(axes)
        mode = axes.index(1)
        factors = [np.ones((n, 3), dtype) for n in tensor.shape]
        result = fastconv.mttkrp(tensor, factors, mode)
        assert_within(result, np.full_like(result, expected, np.longdouble), 263 * ROUNDOFF[np.dtype(dtype)] * expected)


def test_mttkrp_of_many_columns_with_infinities(rng):
    tensor, factors = small(rng, (300, 4, 6), high=1), [small(rng, (n, 150), high=1) for n in (300, 4, 6)]
    factors[1][2, ::3] = np.inf
    with np.errstate(invalid="ignore"):
        for mode in (0, 2):
            np.testing.assert_array_equal(fastconv.mttkrp(tensor, factors, mode), reference.mttkrp(tensor, factors, mode))


def test_mttkrp_bits_do_not_depend_on_threads(rng):
    shape = (50, 60, 1500)
    tensor, factors = rng.standard_normal(shape), [rng.standard_normal((n, 150)) for n in shape]
    for mode in range(3):
        with fastconv.num_threads(1):
            expected = fastconv.mttkrp(tensor, factors, mode)
        for threads in (2, 3, 5):
            with fastconv.num_threads(threads):
                assert_same_bits(fastconv.mttkrp(tensor, factors, mode), expected)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0)], ids=str)
def test_mttkrp_of_nothing(shape):
    for mode in range(3):
        result = fastconv.mttkrp(np.ones(shape), [np.ones((n, 2)) for n in shape], mode)
        assert result.shape == (shape[mode], 2)
        assert not result.any()


# --- Gradients


def numeric_gradient(function, x):
    """Return the central differences of a scalar function that is at most cubic in each element."""
    step, gradient = 2.0**-10, np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


@pytest.mark.parametrize("count", [1, 2, 3])
def test_triple_product_vjp_is_the_finite_difference(rng, count):
    arrays = [rng.standard_normal((n, 5)) for n in (2, 3, 4)[:count]]
    grad = rng.standard_normal(fastconv.triple_product(*arrays).shape)
    gradients = fastconv.triple_product_vjp(grad, *arrays)
    assert len(gradients) == count
    for k in range(count):
        expected = numeric_gradient(
            lambda x, k=k: (grad * fastconv.triple_product(*arrays[:k], x, *arrays[k + 1 :])).sum(), arrays[k]
        )
        np.testing.assert_allclose(gradients[k], expected, atol=1e-4)


def test_triple_product_vjp_without_b(rng):
    a, c = rng.standard_normal((3, 6)), rng.standard_normal((4, 6))
    grad = rng.standard_normal((3, 3, 4))
    first, second, third = fastconv.triple_product_vjp(grad, a, a, c)
    both, alone = fastconv.triple_product_vjp(grad, a, c=c)
    assert_same_bits(both, first + second)
    assert_same_bits(alone, third)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("rows", [None, 3])
def test_mode_dot_vjp_is_the_finite_difference(rng, mode, rows):
    tensor = rng.standard_normal((3, 4, 5))
    m = rng.standard_normal(tensor.shape[mode] if rows is None else (rows, tensor.shape[mode]))
    grad = rng.standard_normal(fastconv.mode_dot(tensor, m, mode).shape)
    of_tensor, of_m = fastconv.mode_dot_vjp(grad, tensor, m, mode)
    expected = numeric_gradient(lambda x: (grad * fastconv.mode_dot(x, m, mode)).sum(), tensor)
    np.testing.assert_allclose(of_tensor, expected, atol=1e-9)
    expected = numeric_gradient(lambda x: (grad * fastconv.mode_dot(tensor, x, mode)).sum(), m)
    np.testing.assert_allclose(of_m, expected, atol=1e-9)


@pytest.mark.parametrize("dtype", FLOATS)
def test_mode_dot_vjp_of_one_axis(dtype):
    tensor = np.arange(5, dtype=dtype)
    of_tensor, of_vector = fastconv.mode_dot_vjp(np.asarray(2, dtype), tensor, np.ones(5, dtype))
    np.testing.assert_array_equal(of_tensor, [2] * 5)
    np.testing.assert_array_equal(of_vector, 2 * tensor)
    grad, matrix = np.arange(3, dtype=dtype), np.ones((3, 5), dtype)
    of_tensor, of_matrix = fastconv.mode_dot_vjp(grad, tensor, matrix, -1)
    np.testing.assert_array_equal(of_tensor, [3] * 5)
    np.testing.assert_array_equal(of_matrix, np.outer(grad, tensor))


def test_gradients_are_those_of_torch(rng):
    torch = pytest.importorskip("torch")
    arrays = [rng.standard_normal((n, 300)) for n in (10, 20, 30)]
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    result = torch.einsum("im,jm,km->ijk", *tensors)
    grad = rng.standard_normal(result.shape)
    expected = torch.autograd.grad(result, tensors, torch.tensor(grad))
    for ours, theirs in zip(fastconv.triple_product_vjp(grad, *arrays), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-11)
    tensor, vector = rng.standard_normal((10, 20, 30)), rng.standard_normal(20)
    tensors = [torch.tensor(x, requires_grad=True) for x in (tensor, vector)]
    result = torch.einsum("ijk,j->ik", *tensors)
    grad = rng.standard_normal(result.shape)
    expected = torch.autograd.grad(result, tensors, torch.tensor(grad))
    for ours, theirs in zip(fastconv.mode_dot_vjp(grad, tensor, vector, 1), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-11)


# --- Bad input


class Lazy:
    __dask_graph__ = None


ONES = np.ones((3, 4))
TENSOR = np.ones((2, 3, 4))
FACTORS = [np.ones((n, 5)) for n in (2, 3, 4)]
BAD = {
    "a of 1 axis": (lambda: fastconv.triple_product(np.ones(3)), ValueError, r"\ba\b.*\(3,\)"),
    "other m in b": (
        lambda: fastconv.triple_product(ONES, np.ones((2, 5))),
        ValueError,
        r"\bb\b.*4.*\(2, 5\)",
    ),
    "other m in c": (
        lambda: fastconv.triple_product(ONES, ONES, np.ones((2, 5))),
        ValueError,
        r"\bc\b.*4.*\(2, 5\)",
    ),
    "weights": (
        lambda: fastconv.triple_product(ONES, weights=np.ones(3)),
        ValueError,
        r"weights.*\(4,\).*\(3,\)",
    ),
    "integers": (
        lambda: fastconv.triple_product(ONES.astype(int)),
        TypeError,
        r"\ba\b.*int64.*float16.*float64",
    ),
    "complex weights": (
        lambda: fastconv.triple_product(ONES, weights=np.ones(4, complex)),
        TypeError,
        "weights.*complex",
    ),
    "lazy": (lambda: fastconv.triple_product(ONES, Lazy()), TypeError, r"\bb\b.*fastconv\.dask"),
    "packed": (
        lambda: fastconv.triple_product(ONES, ONES + 1, ONES, packed=True),
        ValueError,
        "packed.*b and c",
    ),
    "out shape": (
        lambda: fastconv.triple_product(ONES, out=np.ones((3, 3))),
        ValueError,
        r"out.*\(3, 3\).*\(3, 3, 3\)",
    ),
    "out dtype": (
        lambda: fastconv.triple_product(ONES, out=np.ones((3, 3, 3), "f4")),
        TypeError,
        "out.*float32.*float64",
    ),
    "workers": (lambda: fastconv.triple_product(ONES, workers=0), ValueError, "workers.*0"),
    "unpack": (lambda: fastconv.unpack_symmetric(np.ones(5), 3), ValueError, r"packed.*\(10,\).*6.*\(5,\)"),
    "unpack n": (lambda: fastconv.unpack_symmetric(np.ones(1), 1.0), TypeError, "n must"),
    "moment axis": (lambda: fastconv.third_moment(ONES, axis=2), ValueError, "axis.*2"),
    "moment axes": (lambda: fastconv.third_moment(TENSOR), ValueError, r"x.*\(2, 3, 4\)"),
    "vector": (
        lambda: fastconv.mode_dot(TENSOR, np.ones(3)),
        ValueError,
        r"vector_or_matrix.*\(3,\).*\(2, 3, 4\).*2",
    ),
    "mode": (lambda: fastconv.mode_dot(TENSOR, np.ones(3), 3), ValueError, "mode.*3"),
    "mode -4": (lambda: fastconv.mode_dot(TENSOR, np.ones(3), -4), ValueError, "mode.*-4"),
    "mode 1.0": (lambda: fastconv.mode_dot(TENSOR, np.ones(3), 1.0), TypeError, "mode.*1.0"),
    "scalar tensor": (lambda: fastconv.mode_dot(1.0, np.ones(3)), ValueError, "tensor"),
    "3 axes": (lambda: fastconv.mode_dot(TENSOR, TENSOR), ValueError, r"vector_or_matrix.*\(2, 3, 4\)"),
    "longdouble": (
        lambda: fastconv.mode_dot(TENSOR.astype("longdouble"), np.ones(2)),
        TypeError,
        "tensor.*float128|longdouble",
    ),
    "objects": (
        lambda: fastconv.mode_dot(TENSOR, np.ones(2, object)),
        TypeError,
        "vector_or_matrix.*object.*complex128",
    ),
    "mttkrp mode": (lambda: fastconv.mttkrp(TENSOR, FACTORS, 3), ValueError, "mode.*3"),
    "two factors": (lambda: fastconv.mttkrp(TENSOR, FACTORS[:2], 0), ValueError, "factors.*3.*2"),
    "factor shape": (
        lambda: fastconv.mttkrp(TENSOR, FACTORS[::-1], 0),
        ValueError,
        r"factors\[2\].*\(4, 5\).*\(2, 5\)",
    ),
    "factors an array": (lambda: fastconv.mttkrp(TENSOR, ONES, 0), TypeError, "factors.*ndarray"),
    "factor dtype": (
        lambda: fastconv.mttkrp(TENSOR, [f.astype(int) for f in FACTORS], 0),
        TypeError,
        r"factors\[1\].*int64",
    ),
    "grad": (
        lambda: fastconv.triple_product_vjp(np.ones((3, 3, 2)), ONES),
        ValueError,
        r"grad.*\(3, 3, 3\).*\(3, 3, 2\)",
    ),
    "grad b": (
        lambda: fastconv.triple_product_vjp(np.ones((3, 2, 2)), ONES, np.ones((2, 5))),
        ValueError,
        r"\bb\b.*4.*\(2, 5\)",
    ),
    "mode grad": (
        lambda: fastconv.mode_dot_vjp(np.ones(2), TENSOR, np.ones(2)),
        ValueError,
        r"grad.*\(3, 4\).*\(2,\)",
    ),
    "integer grad": (
        lambda: fastconv.mode_dot_vjp(np.ones((3, 4), int), TENSOR, np.ones(2)),
        TypeError,
        "grad.*int64",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_argument_is_named(name):
    call, error_type, pattern = BAD[name]
    with pytest.raises(error_type, match=f"(?s){pattern}"):
        call()
