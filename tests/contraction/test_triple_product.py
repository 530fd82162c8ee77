"""Triple products and third moments: values, symmetry, accuracy, bits, layouts and memory."""

import functools
import itertools

import numpy as np
import pytest
from contraction_data import ATTACKS, attacked, extra_memory, finer, small, summed
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from support import FLOATS, ROUNDOFF, assert_same_bits, assert_within, byte_swapped, embedded, misaligned, read_only

SIZES = [(1, 1, 1, 1), (2, 3, 4, 5), (17, 9, 33, 300), (33, 2, 7, 129), (5, 70, 40, 257), (4, 4, 4, 20_000)]
SIZES += [(16, 5, 7, 515), (3, 16, 1, 16_384 + 257), (17, 1, 1, 100)]
EQUALITIES = ("none", "b is c", "a is b", "a is c", "all")
LAYOUTS_2D = {
    "fortran": np.asfortranarray,
    "sliced": lambda a: embedded(a, 3),
    "reversed": lambda a: embedded(a, -1),
    "misaligned": misaligned,
    "byte-swapped": byte_swapped,
    "read-only": read_only,
}


def operands(rng, sizes, equality, make):
    """Return a, b and c of the sizes (I, J, K, M), some of which are the same array."""
    i, j, k, m = sizes
    a = make(rng, (i, m))
    b = a if equality in ("a is b", "all") else make(rng, (j, m))
    c = b if equality in ("b is c", "all") else a if equality == "a is c" else make(rng, (k, m))
    return a, b, c


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
