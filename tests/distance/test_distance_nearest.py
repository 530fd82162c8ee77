"""knn and pairwise_argmin: the sorted rows of the matrix, ties by index."""

import numpy as np
import pytest
from distances import BOOLEAN, REAL, arguments
from scipy.spatial import distance as scipy_distance

import fastconv
from support import FLOATS, assert_same_bits


@pytest.mark.parametrize("k", [1, 2, 7, 300, 997])
@pytest.mark.parametrize("dtype", FLOATS)
def test_knn_is_the_sorted_row_with_ties_by_index(isa, rng, k, dtype):
    data = rng.integers(0, 3, (997, 4)).astype(dtype)
    queries = rng.integers(0, 3, (31, 4)).astype(dtype)
    data[500] = np.nan
    distances, indices = fastconv.knn(queries, data, k)
    matrix = fastconv.cdist(queries, data)
    order = np.argsort(matrix, axis=1, kind="stable")[:, :k]
    assert indices.dtype == np.intp
    np.testing.assert_array_equal(indices, order)
    assert_same_bits(distances, np.take_along_axis(matrix, order, 1))


def test_knn_of_few_queries_splits_the_data(rng):
    data = rng.integers(0, 40, (40_000, 2)).astype(np.float32)
    query = data[:2] + np.float32(0.5)
    order = np.argsort(fastconv.cdist(query, data), axis=1, kind="stable")[:, :50]
    for workers in (1, 2, 5):
        np.testing.assert_array_equal(fastconv.knn(query, data, 50, workers=workers)[1], order)


def test_knn_in_batches_and_half_precision(rng):
    queries, data = rng.random((3, 1, 5, 4)).astype(np.float16), rng.random((2, 40, 4)).astype(np.float16)
    distances, indices = fastconv.knn(queries, data, 3)
    assert distances.shape == indices.shape == (3, 2, 5, 3)
    assert distances.dtype == np.float16
    assert_same_bits(indices[2, 1], fastconv.knn(queries[2, 0], data[1], 3)[1])


@pytest.mark.parametrize("half", [False, True])
def test_knn_sorts_ties_that_rounding_makes(rng, half):
    queries, data = rng.random((5, 3)), rng.random((4000, 3))
    if half:
        queries, data = queries.astype(np.float16), data.astype(np.float16)
    distances, indices = fastconv.knn(queries, data, 500, dtype=None if half else "float16")
    assert distances.dtype == np.float16
    assert (np.lexsort((indices, distances), axis=-1) == np.arange(500)).all()


@pytest.mark.parametrize("metric", [*REAL, *BOOLEAN, scipy_distance.cityblock])
def test_pairwise_argmin(rng, metric):
    xa, xb = rng.random((20, 5)), rng.random((30, 5))
    kwargs = arguments(metric, xa, rng)
    indices, distances = fastconv.pairwise_argmin(xa, xb, metric, **kwargs)
    matrix = fastconv.cdist(xa, xb, metric, **kwargs)
    np.testing.assert_array_equal(indices, matrix.argmin(1))
    assert_same_bits(distances, matrix.min(1))


def test_half_precision_is_rounded_once(rng):
    x = np.array([[1 + 2.0**-11 + 2.0**-30], [1 + 2.0**-11], [1 + 3 * 2.0**-11 - 2.0**-40], [1 + 3 * 2.0**-11], [65519.999999],
                  [65520], [2.0**-25], [2.0**-25 * (1 + 2.0**-50)], [3e-8], [0], [np.inf], [np.nan]])  # fmt: skip
    x = np.concatenate([x, np.exp(rng.uniform(-20, 12, (1000, 1)))])
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(fastconv.cdist(x, [[0.0]], "cityblock", dtype="f2"), expected)
    distances, indices = fastconv.knn([[0.0]], x, len(x), "cityblock", dtype="f2")
    order = np.lexsort((np.arange(len(x)), expected[:, 0]))
    np.testing.assert_array_equal(indices[0], order)
    np.testing.assert_array_equal(distances[0], expected[order, 0])
