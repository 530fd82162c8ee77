"""pdist and squareform: the distances of one collection, each once."""

import numpy as np
import pytest
from distances import ABSOLUTE, BOOLEAN, arguments, assert_units, every_metric
from scipy.spatial import distance as scipy_distance

import fastconv
from support import assert_same_bits


@every_metric
def test_pdist_as_scipy(rng, metric):
    x = rng.integers(0, 2, (45, 10)) if metric in BOOLEAN else rng.random((45, 10))
    x = x.astype(bool) if metric in BOOLEAN else x
    kwargs = arguments(metric, x, rng)
    expected = scipy_distance.pdist(x, metric, **kwargs)
    assert_units(
        fastconv.pdist(x, metric, **kwargs), expected.astype(np.longdouble), 40, metric in (*ABSOLUTE, "jensenshannon")
    )
    batch = np.stack([x, x[::-1]])
    assert_same_bits(fastconv.pdist(batch, metric, **kwargs)[1], fastconv.pdist(x[::-1], metric, **kwargs))
    out = np.zeros(990 * 2)[::2]
    assert_same_bits(fastconv.pdist(x, metric, out=out, **kwargs), fastconv.pdist(x, metric, **kwargs))


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("n, d", [(12, 3), (7, 4100), (131, 700), (203, 4100), (500, 2)])
def test_pdist_is_what_cdist_has_above_the_diagonal(rng, n, d, workers):
    """Several slabs of columns, bands of rows and ranges of numbers; results that tiles do not reach by themselves."""
    x = rng.random((2, n, d))
    x[1, 5] = x[1, 3] * (1 + 1e-300)
    above = np.triu_indices(n, 1)
    expected = fastconv.cdist(x, x.copy())[(..., *above)]
    assert_same_bits(fastconv.pdist(x, workers=workers), expected)
    assert_same_bits(fastconv.pdist(x[1], workers=workers), expected[1])
    surroundings = np.full((2, expected.shape[1] + 3), 7.0)
    assert_same_bits(fastconv.pdist(x, out=surroundings[:, 1:-2], workers=workers), expected)
    assert (surroundings[:, :1] == 7).all() and (surroundings[:, -2:] == 7).all()
    half = fastconv.pdist(x, dtype=np.float16, workers=workers)
    np.testing.assert_array_equal(half, fastconv.cdist(x, x.copy(), dtype=np.float16)[(..., *above)])
    assert_same_bits(fastconv.pdist(x, out=np.empty((*expected.shape, 2))[..., 0], workers=workers), expected)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 20])
def test_squareform_as_scipy_and_back(rng, n):
    x = rng.random((n, 3))
    vector = fastconv.pdist(x)
    assert vector.shape == (n * (n - 1) // 2,)
    matrix = fastconv.squareform(vector)
    if n > 1:
        assert_same_bits(matrix, scipy_distance.squareform(vector))
        assert_same_bits(matrix, fastconv.cdist(x, x))
    assert_same_bits(fastconv.squareform(matrix), vector)
    assert_same_bits(fastconv.squareform(np.stack([vector] * 2), "tomatrix"), np.stack([matrix] * 2))
    assert_same_bits(fastconv.squareform(np.stack([matrix] * 2)), np.stack([vector] * 2))


def test_squareform_refuses():
    for x, text in (
        (np.ones(4), "n \\* \\(n - 1\\)"), (np.ones((2, 3)), "square"), (np.arange(4.0).reshape(2, 2), "symmetric"),
        (np.eye(3), "diagonal"), (np.float64(3), "axes"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            fastconv.squareform(x)
    assert fastconv.squareform(np.arange(4.0).reshape(2, 2), checks=False).tolist() == [1]


def test_pdist_of_a_callable_calls_it_once_for_each_pair(rng):
    x, pairs = rng.random((2, 7, 3)), []

    def metric(u, v):
        pairs.append((u, v))
        return u[0] - v[1]

    result = fastconv.pdist(x, metric)
    assert len(pairs) == 2 * 21
    rows, columns = np.triu_indices(7, 1)
    np.testing.assert_array_equal(result, x[:, rows, 0] - x[:, columns, 1])
