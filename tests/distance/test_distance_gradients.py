"""cdist_vjp against finite differences and formulas."""

import tracemalloc

import numpy as np
import pytest
from distances import REAL, UNWEIGHTED, arguments

import fastconv
from fastconv.runtime import use_seams
from support import assert_same_bits


def finite_differences(grad, xa, xb, metric, **kwargs):
    """Return the gradient of sum(grad * cdist(xa, xb)) with respect to xa."""
    result, step = np.zeros_like(xa), 1e-6
    for index in np.ndindex(*xa.shape):
        values = []
        for sign in (1, -1):
            moved = xa.copy()
            moved[index] += sign * step
            values.append((grad * fastconv.cdist(moved, xb, metric, **kwargs)).sum())
        result[index] = (values[0] - values[1]) / (2 * step)
    return result


@pytest.mark.parametrize("p", [None, 1, 1.5, 2.7, 3, np.inf])
@pytest.mark.parametrize("metric", REAL)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_finite_differences(rng, metric, p, weighted):
    if (p is None) == (metric == "minkowski") or (weighted and metric in UNWEIGHTED):
        pytest.skip("no such argument")
    xa, xb, grad = rng.random((7, 5)) + 0.1, rng.random((9, 5)) + 0.1, rng.standard_normal((7, 9))
    kwargs = arguments(metric, xa, rng) | ({} if p is None else {"p": p}) | ({"w": rng.random(5)} if weighted else {})
    a, b = fastconv.cdist_vjp(grad, xa, xb, metric, **kwargs)
    np.testing.assert_allclose(a, finite_differences(grad, xa, xb, metric, **kwargs), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(b, finite_differences(grad.T, xb, xa, metric, **kwargs), rtol=2e-5, atol=2e-6)


def test_gradients_of_broadcast_batches_and_many_points(rng):
    xa, xb = rng.random((3, 1, 40, 6)), rng.random((2, 700, 6)).astype(np.float32)
    grad = rng.standard_normal((3, 2, 40, 700))
    a, b = fastconv.cdist_vjp(grad, xa, xb)
    assert (a.shape, b.shape) == (xa.shape, xb.shape)
    t = xa[:, :, :, None] - xb[None, :, None]
    full = grad[..., None] * t / np.sqrt((t * t).sum(-1))[..., None]
    np.testing.assert_allclose(a, full.sum((1, 3), keepdims=True)[:, :, :, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b, -full.sum((0, 2)), rtol=1e-9, atol=1e-12)
    single = fastconv.cdist_vjp(grad[0, 0].astype(np.float32), xa[0, 0].astype(np.float32), xb[0], workers=3)
    assert single[0].dtype == np.float32
    np.testing.assert_allclose(single[0], full[0, 0].sum(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("metric", REAL)
def test_gradients_of_coincident_points_are_zero(metric):
    x = np.random.default_rng(0).random((1, 20)) + 0.5
    for a in fastconv.cdist_vjp([[1.0]], x, x, metric, **arguments(metric, x, np.random.default_rng(1))):
        np.testing.assert_array_equal(a, 0)


def test_gradients_of_broadcast_batches_take_little_memory(rng):
    xa, xb, grad = rng.random((40, 1, 300, 50)), rng.random((5, 2, 50)), rng.random((40, 5, 300, 2))
    for points, upstream in ((xa, grad), (xa[0], grad[0])):
        expected = fastconv.cdist_vjp(upstream, points, xb)
        with use_seams({"distance._PULL_BYTES": 1 << 18}):
            tracemalloc.start()
            result = fastconv.cdist_vjp(upstream, points, xb)
            assert tracemalloc.get_traced_memory()[1] < 2 * points.nbytes + (6 << 20)
            tracemalloc.stop()
        for a, b in zip(result, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_gradients_of_half_precision(rng):
    x, grad = rng.random((4, 3)).astype(np.float16), rng.random((4, 4)).astype(np.float16)
    result = fastconv.cdist_vjp(grad, x, x[::-1])
    expected = fastconv.cdist_vjp(grad, x.astype(np.float32), x[::-1].astype(np.float32))
    for a, b in zip(result, expected, strict=True):
        assert_same_bits(a, b.astype(np.float16))


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
@pytest.mark.parametrize("scale", [2.0**-700, 2.0**700])
def test_gradients_of_points_of_any_size(rng, metric, scale):
    xa, xb, grad = rng.random((3, 5)), rng.random((4, 5)), rng.random((3, 4))
    expected = fastconv.cdist_vjp(grad, xa, xb, metric)
    result = fastconv.cdist_vjp(grad, xa * scale, xb, metric)
    np.testing.assert_allclose(result[0] * scale, expected[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(result[1], expected[1], rtol=1e-12, atol=1e-14)


def test_gradients_refuse(rng):
    x = rng.random((4, 3))
    for metric, kwargs in (("hamming", {}), ("minkowski", {"p": 0.5}), ("seuclidean", {}), ("yule", {}), (max, {})):
        with pytest.raises(ValueError):
            fastconv.cdist_vjp(np.ones((4, 4)), x, x, metric, **kwargs)
    with pytest.raises(ValueError, match="grad must"):
        fastconv.cdist_vjp(np.ones((4, 3)), x, x)
