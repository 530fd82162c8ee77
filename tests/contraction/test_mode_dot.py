"""mode_dot: values, bits, accuracy and memory."""

import functools
import itertools

import numpy as np
import pytest
from contraction_calls import assert_same_complex_bits
from contraction_data import ATTACKS, attacked, extra_memory, finer, small, summed

import fastconv
import reference
from support import FLOATS, LAYOUTS, ROUNDOFF, assert_same_bits, assert_within, embedded

TENSORS = [(5,), (7, 9), (6, 33, 70), (3, 200, 2), (130, 5, 3), (2, 3, 4, 5, 40)]


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
    lengths = {v * lanes + k for v in (4, 8, 16) for lanes in (2, 4, 8, 16) for k in (-1, 0, 1)} | {4096, 4097}
    for length in sorted(lengths):
        tensor, vector = small(rng, (n, length), dtype), small(rng, n, dtype)
        expected = summed(tensor.astype(float), vector, 0)
        np.testing.assert_array_equal(fastconv.mode_dot(tensor, vector), expected)
        apart = np.hstack([tensor, np.full((n, 2 * length), np.nan, dtype)])[:, :length]
        np.testing.assert_array_equal(fastconv.mode_dot(apart, vector), expected)


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
