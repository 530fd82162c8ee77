"""mttkrp, and the gradients of all contractions."""

import itertools
import math

import numpy as np
import pytest
from contraction_data import ATTACKS, attacked, small

import fastconv
import reference
from support import FLOATS, ROUNDOFF, assert_same_bits, assert_within

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
