"""What the tests of distances share: metrics, their arguments, comparisons in units of the last place."""

import warnings

import numpy as np
import pytest
from scipy.spatial import distance as scipy_distance

from support import ROUNDOFF

REAL = (
    "braycurtis", "canberra", "chebyshev", "cityblock", "correlation", "cosine", "euclidean", "jensenshannon",
    "mahalanobis", "minkowski", "seuclidean", "sqeuclidean",
)  # fmt: skip
BOOLEAN = ("dice", "hamming", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule")
UNWEIGHTED = ("jensenshannon", "mahalanobis", "seuclidean")
WEIGHTED = [name for name in REAL + BOOLEAN if name not in UNWEIGHTED]
POWERS = (0.3, 0.5, 1, 1.5, 2, 2.5, 3, 3.7, 4, 4.5, 5.5, 7.5, 10, 100, np.inf)
# Cancellation is part of these formulas: their errors are measured against 1, not against the result.
ABSOLUTE = ("correlation", "cosine")
every_metric = pytest.mark.parametrize("metric", REAL + BOOLEAN)
# Each of the kernels' sums: those of minkowski depend on p.
every_sum = pytest.mark.parametrize(
    "metric, p", [(metric, None) for metric in REAL + BOOLEAN] + [("minkowski", p) for p in (1.5, 3, 3.5, 3.7, 4, 7.5)]
)


def scipy_cdist(xa, xb, metric, **kwargs):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return scipy_distance.cdist(xa, xb, metric, **kwargs)


def arguments(metric, points, rng, p=None):
    """Return what the metric needs besides points, so that all parts of a collection are treated alike."""
    d = points.shape[-1]
    if metric == "seuclidean":
        return {"V": rng.uniform(0.5, 2, d)}
    if metric == "mahalanobis":
        root = rng.standard_normal((d, d)) + 2 * np.eye(d)
        return {"VI": root @ root.T}
    return {} if p is None else {"p": p}


def assert_units(actual, expected, units, absolute=False):
    """Assert that errors are at most `units` in the last place of the expected value (or of 1)."""
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    finite = np.isfinite(expected)
    others = ~finite & ~np.isnan(expected)
    np.testing.assert_array_equal(actual[others], expected[others].astype(actual.dtype))
    size = np.ones_like(expected[finite]) if absolute else np.abs(expected[finite])
    allowed = units * 2 * ROUNDOFF[actual.dtype] * size + np.finfo(actual.dtype).smallest_subnormal
    error = np.abs(actual[finite] - expected[finite])
    assert np.all(error <= allowed), f"{float(np.max(error / allowed)) * units:.3g} units"
