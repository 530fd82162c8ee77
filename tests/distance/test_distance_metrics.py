"""Distances: every metric against SciPy and against the formula in long double."""

import functools

import numpy as np
import pytest
from distances import ABSOLUTE, BOOLEAN, POWERS, WEIGHTED, arguments, assert_units, every_metric, scipy_cdist
from scipy.spatial import distance as scipy_distance

import fastconv
import reference
from support import FLOATS, LANE_SIZES, ROUNDOFF, assert_same_bits

# Cases are the same for all instruction sets: the formula in long double takes longer than our results.


@functools.cache
def formula_case(metric, shape, dtype):
    (m, n, d), rng = shape, np.random.default_rng([*shape, *metric.encode(), dtype(1).itemsize])
    xa, xb = rng.random((m, d)).astype(dtype), rng.random((n, d)).astype(dtype)
    if metric in BOOLEAN:
        xa[xa < 0.5], xb[xb < 0.5] = 0, 0
    kwargs = arguments(metric, xa, rng)
    expected = reference.cdist(xa[:10], xb[:40], metric, **kwargs)
    if d == 1 and metric in ABSOLUTE:
        expected = scipy_cdist(xa, xb, metric)[:10, :40].astype(np.longdouble)
    return xa, xb, kwargs, expected


@every_metric
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 3), (7, 33, 5), (50, 70, 17), (13, 100, 64)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_formula(isa, metric, shape, dtype):
    xa, xb, kwargs, expected = formula_case(metric, shape, dtype)
    result = fastconv.cdist(xa, xb, metric, **kwargs)
    assert result.dtype == dtype
    units = {"mahalanobis": 40, "jensenshannon": 16, "dice": 8}.get(metric, 4)
    assert_units(result[:10, :40], expected, units, metric in (*ABSOLUTE, "dice", "jensenshannon"))


@functools.cache
def weights_case(metric, dtype):
    rng = np.random.default_rng([*metric.encode(), dtype(1).itemsize])
    xa, xb, w = rng.random((9, 40)).astype(dtype), rng.random((35, 40)).astype(dtype), rng.random(40)
    w[3] = 0
    w = w.astype(np.float32)
    if metric in BOOLEAN:
        xa, xb = np.round(xa), np.round(xb)
    return xa, xb, w, reference.cdist(xa, xb, metric, w=w)


@pytest.mark.parametrize("metric", WEIGHTED)
@pytest.mark.parametrize("dtype", FLOATS)
def test_weights(isa, metric, dtype):
    xa, xb, w, expected = weights_case(metric, dtype)
    assert_units(fastconv.cdist(xa, xb, metric, w=w), expected, 8 if metric == "yule" else 6, metric in ABSOLUTE)
    ones = fastconv.cdist(xa, xb, metric, w=np.ones(40))
    assert_units(ones, fastconv.cdist(xa, xb, metric).astype(np.longdouble), 4, metric in ABSOLUTE)


@functools.cache
def powers_case(p, weighted, dtype):
    rng = np.random.default_rng([POWERS.index(p), weighted, dtype(1).itemsize])
    xa, xb = rng.standard_normal((9, 33)).astype(dtype), rng.standard_normal((35, 33)).astype(dtype)
    kwargs = {"w": rng.random(33).astype(np.float32)} if weighted else {}
    xb[:9, :5] = xa[:, :5]  # differences of 0
    if p == np.inf:
        expected = reference.cdist(xa, xb, "chebyshev", **kwargs)
    else:
        expected = reference.cdist(xa, xb, "minkowski", p=p, **kwargs)
    return xa, xb, kwargs, expected


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_powers(isa, p, weighted, dtype):
    xa, xb, kwargs, expected = powers_case(p, weighted, dtype)
    assert_units(fastconv.cdist(xa, xb, "minkowski", p=p, **kwargs), expected, max(8, 8 / p))


def test_small_powers_of_denormals(isa):
    x, zero = np.full((1, 100), 1e-39, np.float32), np.zeros((1, 100), np.float32)
    assert_units(fastconv.cdist(x, zero, "minkowski", p=0.2), reference.cdist(x, zero, "minkowski", p=0.2), 100)
    x, zero = np.full((1, 2), 5e-324), np.zeros((1, 2))
    np.testing.assert_allclose(fastconv.cdist(x, zero, "minkowski", p=0.01), 5e-324 * 2.0**100, rtol=1e-12)


def test_square_roots_far_from_1_with_weights(isa):
    for size, weight in ((1e36, 2.0**-32), (3e-38, 2.0**31)):
        x, zero, w = np.full((1, 100), size, np.float32), np.zeros((1, 100), np.float32), np.full(100, weight, np.float32)
        expected = [[(100 * weight * np.sqrt(float(np.float32(size)))) ** 2]]
        np.testing.assert_allclose(fastconv.cdist(x, zero, "minkowski", p=0.5, w=w), expected, rtol=1e-5)


def test_roots_have_both_halves_of_their_exponent(isa):
    x = np.array([[2.0**-60 * 1.37]])
    for p in (0.35, 1.5):
        np.testing.assert_allclose(fastconv.cdist(x, x * 0, "minkowski", p=p), x, rtol=2e-15)


@every_metric
@pytest.mark.parametrize("kinds", ["bb", "bf", "fb", "ii", "if"])
def test_dtypes_and_zeros_as_scipy(isa, rng, metric, kinds):
    base = rng.integers(0, 2, (30, 12))
    base[0], base[1] = 0, 1
    types = {"b": bool, "f": np.float64, "i": np.int16}
    xa, xb = base[:12].astype(types[kinds[0]]), base[10:].astype(types[kinds[1]])
    xb[0] = 0
    kwargs = arguments(metric, xa, rng)
    expected = scipy_cdist(xa, xb, metric, **kwargs)
    result = fastconv.cdist(xa, xb, metric, **kwargs)
    assert result.dtype == np.float64
    assert_units(result, expected.astype(np.longdouble), 40, metric in (*ABSOLUTE, "mahalanobis", "jensenshannon"))


@pytest.mark.parametrize("metric", ["canberra", "braycurtis", "cosine"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_pairs_of_a_tile_take_their_own_way(isa, rng, metric, weighted, dtype):
    """Zeros in common, sizes beyond the safe range, both signs and near-parallel points among ordinary ones."""
    xa, xb = rng.random((13, 37)).astype(dtype), rng.random((39, 37)).astype(dtype)
    xa[:, ::3] = xb[:, ::3] = 0
    xa[3], xb[7] = xa[3] * dtype(1e-25), xb[7] * dtype(1e-25)
    xa[4], xb[9] = xa[4] * dtype(1e18), -xb[9]
    xa[5, 1], xb[11, 2] = -0.25, -0.5
    xa[6] = xb[12] + dtype(1e-3) * xa[6]
    kwargs = {"w": rng.random(37)} if weighted else {}
    expected = reference.cdist(xa, xb, metric, **kwargs)
    assert_units(fastconv.cdist(xa, xb, metric, **kwargs), expected, 6, metric in ABSOLUTE)
    if metric == "cosine":
        assert np.all(np.diagonal(fastconv.cdist(xa, xa.copy(), metric, **kwargs)) == 0)


@pytest.mark.parametrize("shape", [(7, 31, 3), (100, 200, 5), (13, 64, 40)])
@pytest.mark.parametrize("metric", ["euclidean", "chebyshev", "hamming"])
def test_out_between_other_numbers(isa, rng, shape, metric):
    m, n, d = shape
    xa, xb = rng.random((m, d)), rng.random((n, d))
    frame = np.full((m + 2, n + 2), -1.0)
    fastconv.cdist(xa, xb, metric, out=frame[1:-1, 1:-1])
    np.testing.assert_array_equal(frame[1:-1, 1:-1], fastconv.cdist(xa, xb, metric))
    frame[1:-1, 1:-1] = -1
    assert np.all(frame == -1)


def test_booleans_of_any_byte(isa, rng):
    bytes_ = rng.choice(np.array([0, 1, 2, 127, 128, 255], np.uint8), (20, 131))
    expected = scipy_cdist(bytes_ != 0, bytes_[::-1] != 0, "jaccard")
    assert_units(fastconv.cdist(bytes_, bytes_[::-1], "jaccard"), expected.astype(np.longdouble), 1)


@pytest.mark.parametrize("metric", BOOLEAN)
@pytest.mark.parametrize("d", (*LANE_SIZES, 127, 128, 129, 300))
def test_booleans_are_exact(isa, rng, metric, d):
    xa, xb = rng.random((13, d)) < 0.4, rng.random((37, d)) < 0.6
    result = fastconv.cdist(xa, xb, metric)
    assert_units(result, scipy_cdist(xa, xb, metric).astype(np.longdouble), 1)


@pytest.mark.parametrize("metric", ["seuclidean", "mahalanobis"])
def test_defaults_as_scipy(rng, metric):
    xa, xb = rng.standard_normal((40, 6)) + 5, rng.standard_normal((50, 6)) * 3
    np.testing.assert_allclose(fastconv.cdist(xa, xb, metric), scipy_cdist(xa, xb, metric), rtol=1e-12)
    np.testing.assert_allclose(fastconv.pdist(xa, metric), scipy_distance.pdist(xa, metric), rtol=1e-12)
    batch = np.stack([xa, xa[::-1] * 2])
    each = [fastconv.cdist(a, xb, metric) for a in batch]
    assert_same_bits(fastconv.cdist(batch, xb, metric), np.stack(each))
    np.testing.assert_allclose(fastconv.pdist(batch, metric)[1], scipy_distance.pdist(batch[1], metric))


def test_mahalanobis_with_a_matrix_that_is_not_positive_definite(rng):
    xa, xb = rng.standard_normal((9, 4)), rng.standard_normal((8, 4))
    for vi in (np.diag([1.0, 2, 0, 3]), np.diag([1.0, -2, 1, 1]), rng.standard_normal((4, 4))):
        expected = scipy_cdist(xa, xb, "mahalanobis", VI=vi)
        np.testing.assert_allclose(fastconv.cdist(xa, xb, "mahalanobis", VI=vi), expected, rtol=1e-9, atol=1e-7)
    with np.errstate(all="ignore"):
        assert np.isnan(fastconv.cdist(xa, xb, "mahalanobis", VI=np.full((4, 4), np.nan))).all()
    infinite = np.eye(4)
    infinite[1, 1] = np.inf
    expected = scipy_cdist(xa, xb, "mahalanobis", VI=infinite)
    assert np.isinf(expected).all()
    np.testing.assert_array_equal(fastconv.cdist(xa, xb, "mahalanobis", VI=infinite), expected)
    with pytest.raises(ValueError, match="VI must be finite"):
        fastconv.cdist_vjp(np.ones((9, 8)), xa, xb, "mahalanobis", VI=infinite)


@pytest.mark.parametrize("dtype", FLOATS)
def test_mahalanobis_with_a_matrix_that_has_no_factor(isa, rng, dtype):
    """Neither symmetric nor definite, in any layout: the form and its gradient, of which only the symmetric part is seen."""
    xa, xb = rng.integers(-4, 5, (9, 50)).astype(dtype), rng.integers(-4, 5, (70, 50)).astype(dtype)
    vi = rng.integers(-3, 4, (50, 50)) + 20.0 * np.eye(50)
    vi[7, 7] = -30
    xb[3], xb[4] = xa[2], xa[2] + 3 * np.eye(50)[7]
    t = xa[:, None].astype(float) - xb
    square = np.einsum("ijk,kl,ijl->ij", t, vi, t)
    assert (square < 0).any() and (square > 0).any()
    with np.errstate(invalid="ignore"):
        expected = np.sqrt(square)
    strided = np.repeat(vi, 2, axis=1)[:, ::2]
    for matrix in (vi, np.asfortranarray(vi), vi.T, vi.astype(">f8"), strided, vi.astype("f4"), vi.astype(int)):
        result = fastconv.cdist(xa, xb, "mahalanobis", VI=matrix)
        assert_units(result, expected.astype(np.longdouble), 1)
        assert_same_bits(fastconv.cdist(xb, xa, "mahalanobis", VI=matrix), result.T.copy())
        grad = np.where(square >= 0, rng.integers(-2, 3, square.shape), 0)
        pulled, mapped = fastconv.cdist_vjp(grad[:, :3], xa, xb[:3], "mahalanobis", VI=matrix)[0], t @ (vi + vi.T) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = grad[..., None] * mapped / expected[..., None]
        known = ~np.isnan(expected[:, :3]).any(1)
        np.testing.assert_allclose(pulled[known], slopes[known, :3].sum(1), rtol=0, atol=6000 * ROUNDOFF[np.dtype(dtype)])


def test_results_may_lie_in_the_matrix():
    x, vi = np.arange(12.0).reshape(4, 3) ** 2, np.zeros((4, 4))
    vi[:3, :3] = np.diag([1.0, -1, 3])
    own = vi[:3, :3]
    assert np.shares_memory(own, vi)
    expected = fastconv.cdist(x, x, "mahalanobis", VI=own.copy())
    assert_same_bits(fastconv.cdist(x, x, "mahalanobis", VI=own, out=vi), expected)
    vi = np.diag([1.0, -1, 3])
    assert_same_bits(fastconv.pdist(x[:3], "mahalanobis", VI=vi, out=vi[1]), expected[[0, 0, 1], [1, 2, 2]])


def test_short_names_are_those_of_scipy(rng):
    x = rng.random((5, 4))
    for info in scipy_distance._METRIC_INFOS:
        for alias in info.aka:
            kwargs = arguments(info.canonical_name, x, np.random.default_rng(1))
            expected = fastconv.cdist(x, x, info.canonical_name, **kwargs)
            assert_same_bits(fastconv.cdist(x, x, alias.upper(), **kwargs), expected)
