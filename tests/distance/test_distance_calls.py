"""What the interface of distances promises: batches, layouts, threads, callables, empty collections, bad input."""

import warnings

import numpy as np
import pytest
from distances import arguments, assert_units, every_metric, every_sum, scipy_cdist
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance as scipy_distance

import fastconv
from support import FLOATS, LANE_SIZES, LAYOUTS, assert_same_bits


@every_metric
def test_batches_broadcast_and_do_not_change_the_bits(isa, rng, metric):
    xa, xb = rng.random((5, 1, 10, 8)), rng.random((1, 7, 9, 8))
    kwargs = arguments(metric, xa, rng)
    result = fastconv.cdist(xa, xb, metric, **kwargs)
    assert result.shape == (5, 7, 10, 9)
    for i in range(5):
        for j in range(7):
            assert_same_bits(result[i, j], fastconv.cdist(xa[i, 0], xb[0, j], metric, **kwargs))


@every_sum
@pytest.mark.parametrize("dtype", FLOATS)
def test_symmetric_to_the_bit_and_equal_to_its_parts(isa, rng, metric, p, dtype):
    x = rng.random((203, 9)).astype(dtype)
    kwargs = arguments(metric, x, rng, p)
    whole = fastconv.cdist(x, x, metric, **kwargs)
    assert_same_bits(whole, whole.T.copy())
    assert_same_bits(whole, fastconv.cdist(x, x.copy(), metric, **kwargs))
    assert_same_bits(fastconv.pdist(x, metric, **kwargs), whole[np.triu_indices(203, 1)])
    if metric not in ("russellrao", "dice"):
        assert not np.diagonal(whole).any()
    assert_same_bits(fastconv.cdist(x[50:57], x[101:], metric, **kwargs), whole[50:57, 101:])


@every_sum
@pytest.mark.parametrize("dtype", FLOATS)
def test_rests_of_tiles_have_the_bits_of_whole_ones(isa, rng, metric, p, dtype):
    """Fewer rows than a tile has, and every number of vectors of columns."""
    xa, xb = rng.random((12, 70)).astype(dtype), rng.random((128, 70)).astype(dtype)
    kwargs = arguments(metric, xa, rng, p)
    whole = fastconv.cdist(xa, xb, metric, **kwargs)
    for m, n in zip((1, 7, 8, 9, 10, 11, 2, 3), (8, 16, 24, 32, 40, 48, 57, 127), strict=True):
        assert_same_bits(fastconv.cdist(xa[:m], xb[:n], metric, **kwargs), whole[:m, :n])


@pytest.mark.parametrize("d", [1, 3, 32])
@pytest.mark.parametrize("n", LANE_SIZES[1:12])
@pytest.mark.parametrize("dtype", FLOATS)
def test_small_batch_items_have_the_bits_of_packed_ones(isa, rng, n, d, dtype):
    xa, xb = (rng.standard_normal((5, m, d)).astype(dtype) for m in (4, n))
    xa[1, 2] = xb[1, 0]
    xa[2], xb[3], xa[3, 1, 0] = xa[2] * dtype(1e-30), xb[3] * dtype(1e30), np.nan
    packed = np.repeat(xa, 2, axis=-1)[..., ::2]
    surroundings = np.full((5, 5, n + 3), 7, dtype)
    for metric in ("euclidean", "sqeuclidean", "cityblock"):
        expected = fastconv.cdist(packed, xb, metric)
        assert_same_bits(fastconv.cdist(xa, xb, metric), expected)
        for out in (np.empty_like(expected), surroundings[:, :4, :n]):
            assert_same_bits(fastconv.cdist(xa, xb, metric, out=out), expected)
    assert (surroundings[:, 4:] == 7).all() and (surroundings[:, :, n:] == 7).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("metric", ["euclidean", "chebyshev", "cosine", "jaccard", "jensenshannon"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint64])
def test_layouts(rng, layout, metric, dtype):
    if np.issubdtype(dtype, np.integer) and layout in ("reversed", "sliced", "negative step"):
        pytest.skip("hosts of these views hold NaN")
    xa, xb = (rng.random((2, n, 6)) * 9 for n in (11, 35))
    xa, xb = xa.astype(dtype), xb.astype(dtype)
    expected = fastconv.cdist(xa, xb, metric)
    assert expected.dtype == (dtype if np.issubdtype(dtype, np.floating) else np.float64)
    assert_same_bits(fastconv.cdist(LAYOUTS[layout](xa), xb, metric), expected)
    assert_same_bits(fastconv.cdist(xa, LAYOUTS[layout](xb), metric), expected)
    out = LAYOUTS[layout](np.zeros_like(expected))
    if layout not in ("read-only", "byte-swapped"):
        assert fastconv.cdist(xa, xb, metric, out=out) is out
        assert_same_bits(np.ascontiguousarray(out), expected)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@every_sum
def test_threads_do_not_change_the_bits(rng, workers, metric, p):
    xa, xb = rng.random((150, 20)), rng.random((600, 20))
    kwargs = arguments(metric, xa, rng, p)
    expected = fastconv.cdist(xa, xb, metric, workers=1, **kwargs)
    assert_same_bits(fastconv.cdist(xa, xb, metric, workers=workers, **kwargs), expected)
    distances, indices = fastconv.knn(xa, xb, 5, metric, workers=workers, **kwargs)
    order = np.argsort(expected, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(indices, order)
    assert_same_bits(distances, np.take_along_axis(expected, order, 1))


def test_out_may_overlap_and_be_large(rng):
    x = rng.random((30, 30))
    expected = fastconv.cdist(x, x[::-1])
    assert fastconv.cdist(x, x[::-1], out=x) is x
    assert_same_bits(x, expected)
    xa, xb = rng.random((1100, 2)), rng.random((1001, 2))
    large = np.zeros(1100 * 1001 + 1)[1:].reshape(1100, 1001)
    fastconv.cdist(xa, xb, out=large)
    assert_same_bits(large[::50].copy(), fastconv.cdist(xa[::50], xb))


@given(
    m=st.integers(0, 30), n=st.integers(0, 70), d=st.integers(0, 40), seed=st.integers(0, 999),
    metric=st.sampled_from(("euclidean", "cityblock", "chebyshev", "canberra", "hamming", "russellrao")),
)  # fmt: skip
def test_any_size_as_scipy(m, n, d, seed, metric):
    rng = np.random.default_rng(seed)
    xa, xb = rng.integers(0, 3, (m, d)).astype(float), rng.integers(0, 3, (n, d)).astype(float)
    result = fastconv.cdist(xa, xb, metric)
    assert_units(result, scipy_cdist(xa, xb, metric).astype(np.longdouble), 4)


def test_sizes_that_do_not_fit():
    many = np.broadcast_to(np.ones(3), (2**31, 3))
    for call in (lambda: fastconv.cdist(many, many), lambda: fastconv.knn(many, many, 2**31 - 1)):
        with pytest.raises(ValueError, match="more bytes"):
            call()


def test_callables(rng):
    xa, xb = rng.random((2, 4, 3)), rng.random((5, 3))
    result = fastconv.cdist(xa, xb, lambda u, v, scale=1: scale * abs(u - v).max(), scale=2)
    np.testing.assert_array_equal(result, 2 * fastconv.cdist(xa, xb, "chebyshev"))
    np.testing.assert_array_equal(
        fastconv.pdist(xb, lambda u, v: abs(u - v).max()), fastconv.pdist(xb, "chebyshev")
    )


@every_metric
def test_empty_collections(metric):
    kwargs = arguments(metric, np.ones((1, 3)), np.random.default_rng(0))
    assert fastconv.cdist(np.ones((0, 3)), np.ones((4, 3)), metric, **kwargs).shape == (0, 4)
    assert fastconv.cdist(np.ones((0, 2, 3)), np.ones((4, 3)), metric, **kwargs).shape == (0, 2, 4)
    assert fastconv.pdist(np.ones((1, 3)), metric, **kwargs).shape == (0,)
    assert fastconv.knn(np.ones((0, 3)), np.ones((4, 3)), 2, metric, **kwargs)[1].shape == (0, 2)
    if metric not in ("jensenshannon", "mahalanobis", "seuclidean"):
        nothing = np.ones((2, 0))
        assert_units(fastconv.cdist(nothing, nothing, metric), scipy_cdist(nothing, nothing, metric), 0)


@pytest.mark.parametrize(
    "error, text, call",
    [
        (ValueError, "same d", lambda x: fastconv.cdist(x, x[:, :2])),
        (ValueError, "at least 2 axes", lambda x: fastconv.cdist(x[0], x)),
        (ValueError, "XB may have at most 34 axes", lambda x: fastconv.cdist(x, np.ones((1,) * 34 + (3,)))),
        (ValueError, "do not broadcast", lambda x: fastconv.cdist(np.ones((2, 4, 3)), np.ones((3, 4, 3)))),
        (ValueError, "braycurtis, canberra", lambda x: fastconv.cdist(x, x, "foo")),
        (TypeError, "name or a function", lambda x: fastconv.cdist(x, x, 3)),
        (TypeError, "'cityblock' takes w, got 'p'", lambda x: fastconv.cdist(x, x, "cityblock", p=3)),
        (TypeError, "no arguments", lambda x: fastconv.cdist(x, x, "jensenshannon", w=np.ones(3))),
        (TypeError, "takes V", lambda x: fastconv.pdist(x, "seuclidean", VI=np.eye(3))),
        (ValueError, "w must have shape", lambda x: fastconv.cdist(x, x, w=np.ones(2))),
        (ValueError, "non-negative", lambda x: fastconv.cdist(x, x, w=[1, -1, 1])),
        (TypeError, "w must be", lambda x: fastconv.cdist(x, x, w="abc")),
        (TypeError, "w must be", lambda x: fastconv.cdist(x, x, w=np.ones(3) + 0j)),
        (TypeError, "w must be", lambda x: fastconv.cdist(x, x, w=np.ones(3, object))),
        (TypeError, "V must be", lambda x: fastconv.cdist(x, x, "seuclidean", V=["1", "1", "1"])),
        (TypeError, "VI must be", lambda x: fastconv.cdist(x, x, "mahalanobis", VI=np.eye(3) + 0j)),
        (TypeError, "p must be", lambda x: fastconv.cdist(x, x, "minkowski", p=np.complex128(3))),
        (TypeError, "p must be", lambda x: fastconv.cdist(x, x, "minkowski", p="3")),
        (ValueError, "V must have shape", lambda x: fastconv.cdist(x, x, "seuclidean", V=np.ones(4))),
        (ValueError, "VI must have shape", lambda x: fastconv.cdist(x, x, "mahalanobis", VI=np.eye(2))),
        (ValueError, "more points", lambda x: fastconv.pdist(x[:2], "mahalanobis")),
        (ValueError, "p must be", lambda x: fastconv.cdist(x, x, "minkowski", p=-1)),
        (ValueError, "p must be", lambda x: fastconv.cdist(x, x, "minkowski", p=np.nan)),
        (TypeError, "p must be", lambda x: fastconv.cdist(x, x, "minkowski", p="two")),
        (ValueError, "k must be", lambda x: fastconv.knn(x, x, 0)),
        (ValueError, "k must be", lambda x: fastconv.knn(x, x, 6)),
        (TypeError, "k must be", lambda x: fastconv.knn(x, x, 1.5)),
        (ValueError, "at least one point", lambda x: fastconv.pairwise_argmin(x, x[:0])),
        (TypeError, "complex128", lambda x: fastconv.cdist(x + 1j, x)),
        (TypeError, "object", lambda x: fastconv.pdist(x.astype(object))),
        (TypeError, "dtype must be", lambda x: fastconv.cdist(x, x, dtype=int)),
        (ValueError, "out has shape", lambda x: fastconv.cdist(x, x, out=np.ones((3, 3)))),
        (TypeError, "out has dtype", lambda x: fastconv.cdist(x, x, out=np.ones((5, 5), np.float32))),
        (ValueError, "workers", lambda x: fastconv.cdist(x, x, workers=0)),
    ],
)
def test_bad_input(error, text, call):
    with pytest.raises(error, match=text):
        call(np.arange(15.0).reshape(5, 3))


@pytest.mark.parametrize("metric", ["cosine", "correlation", "braycurtis", "euclidean"])
def test_out_may_overlap_weights(rng, metric):
    x, memory = rng.random((6, 36)), rng.random(36)
    expected = fastconv.cdist(x, x[::-1], metric, w=memory.copy())
    assert_same_bits(fastconv.cdist(x, x[::-1], metric, w=memory, out=memory.reshape(6, 6)), expected)


def test_no_warnings(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half = np.array([[60_000.0], [-60_000]], np.float16)
        assert fastconv.knn(half, half, 2)[0][0, 1] == np.inf
        large = np.array([[1e160, 1], [2e160, 3], [1e155, 5]])
        fastconv.cdist(large, large, "seuclidean")
        single = np.ones((2, 2), np.float32)
        fastconv.cdist(single, single, w=[1e-60, 1])
        fastconv.cdist(single, single, "seuclidean", V=[1e60, 1])


def test_dtype_argument(rng):
    x = rng.random((6, 4))
    assert_same_bits(fastconv.cdist(x, x, dtype="float32"), fastconv.cdist(x, x).astype(np.float32))
    assert fastconv.pdist(x.astype(np.float32), dtype=float).dtype == np.float64


def test_functions_of_scipy_see_no_integers_that_wrap():
    x, y = np.array([[3], [250]], np.uint8), np.array([[12], [3]], np.uint8)
    for metric in (scipy_distance.cityblock, scipy_distance.sqeuclidean, scipy_distance.dice, scipy_distance.hamming):
        expected = scipy_cdist(x, y, metric.__name__) if metric is not scipy_distance.dice else [[0, 0], [0, 0]]
        np.testing.assert_array_equal(fastconv.cdist(x, y, metric), expected)


@pytest.mark.parametrize("metric", ["seuclidean", "mahalanobis"])
def test_defaults_do_not_depend_on_the_layout(rng, metric):
    for m, n, d in ((2000, 900, 8), (50, 40, 3), (300, 7, 40)):
        xa, xb = rng.standard_normal((m, d)), rng.standard_normal((n, d))
        expected = fastconv.cdist(xa, xb, metric)
        assert_same_bits(fastconv.cdist(np.asfortranarray(xa), np.asfortranarray(xb), metric), expected)
        assert_same_bits(fastconv.pdist(np.asfortranarray(xb[:, :3]), metric), fastconv.pdist(xb[:, :3].copy(), metric))
        for a, b in zip(fastconv.knn(np.asfortranarray(xa), xb, 3, metric), fastconv.knn(xa, xb, 3, metric), strict=True):
            assert_same_bits(a, b)


@pytest.mark.parametrize("call", [
    lambda x, y: fastconv.pairwise_argmin(x, y),
    lambda x, y: fastconv.cdist(x, y),
])  # fmt: skip
def test_errors_name_the_callers_arguments(call):
    for x, y in ((np.ones((2, 3)), np.ones((2, 4))), (np.ones(3), np.ones((2, 3))), (np.ones((2, 3)) + 1j, np.ones((2, 3)))):
        with pytest.raises((TypeError, ValueError), match="XA"):
            call(x, y)
