"""Distances: every metric against SciPy and against the formula in long double, and what the interface promises."""

import time
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance as scipy_distance

import fastconv
import reference
from support import FLOATS, LANE_SIZES, LAYOUTS, ROUNDOFF, assert_same_bits, run_script

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


# --- Against SciPy and the formula


@every_metric
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 3), (7, 33, 5), (50, 70, 17), (13, 100, 64)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_formula(isa, rng, metric, shape, dtype):
    m, n, d = shape
    xa, xb = rng.random((m, d)).astype(dtype), rng.random((n, d)).astype(dtype)
    if metric in BOOLEAN:
        xa[xa < 0.5], xb[xb < 0.5] = 0, 0
    kwargs = arguments(metric, xa, rng)
    expected = reference.cdist(xa[:10], xb[:40], metric, **kwargs)
    result = fastconv.cdist(xa, xb, metric, **kwargs)
    assert result.dtype == dtype
    units = {"mahalanobis": 40, "jensenshannon": 16, "dice": 8}.get(metric, 4)
    if d == 1 and metric in ABSOLUTE:
        expected = scipy_cdist(xa, xb, metric)[:10, :40].astype(np.longdouble)
    assert_units(result[:10, :40], expected, units, metric in (*ABSOLUTE, "dice", "jensenshannon"))


@pytest.mark.parametrize("metric", WEIGHTED)
@pytest.mark.parametrize("dtype", FLOATS)
def test_weights(isa, rng, metric, dtype):
    xa, xb, w = rng.random((9, 40)).astype(dtype), rng.random((35, 40)).astype(dtype), rng.random(40)
    w[3] = 0
    w = w.astype(np.float32)
    if metric in BOOLEAN:
        xa, xb = np.round(xa), np.round(xb)
    assert_units(
        fastconv.cdist(xa, xb, metric, w=w), reference.cdist(xa, xb, metric, w=w), 8 if metric == "yule" else 6,
        metric in ABSOLUTE,
    )
    ones = fastconv.cdist(xa, xb, metric, w=np.ones(40))
    assert_units(ones, fastconv.cdist(xa, xb, metric).astype(np.longdouble), 4, metric in ABSOLUTE)


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_powers(isa, rng, p, weighted, dtype):
    xa, xb = rng.standard_normal((9, 33)).astype(dtype), rng.standard_normal((35, 33)).astype(dtype)
    kwargs = {"w": rng.random(33).astype(np.float32)} if weighted else {}
    xb[:9, :5] = xa[:, :5]  # differences of 0
    if p == np.inf:
        expected = reference.cdist(xa, xb, "chebyshev", **kwargs)
    else:
        expected = reference.cdist(xa, xb, "minkowski", p=p, **kwargs)
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


# --- Where SciPy is not accurate


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "chebyshev", "sqeuclidean", "mahalanobis", "minkowski"])
def test_translation_costs_no_accuracy(isa, rng, metric, dtype):
    shift = {np.float32: 2.0**20, np.float64: 2.0**27}[dtype]
    xa, xb = rng.integers(-8, 9, (9, 30)).astype(dtype), rng.integers(-8, 9, (35, 30)).astype(dtype)
    kwargs = arguments(metric, xa, rng) | ({"p": 3} if metric == "minkowski" else {})
    there = fastconv.cdist(xa + dtype(shift), xb + dtype(shift), metric, **kwargs)
    here = fastconv.cdist(xa, xb, metric, **kwargs)
    if metric == "mahalanobis":
        assert_units(there, here.astype(np.longdouble), 4)
    else:
        assert_same_bits(there, here)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", (2, 2.5, 3, 3.7, 4, 20))
def test_over_and_underflow(isa, rng, p, dtype):
    x = rng.integers(1, 9, (40, 20)).astype(dtype)
    expected = fastconv.cdist(x[:7], x, "minkowski", p=p)
    exponent = 100 if dtype == np.float32 else 800
    for scale in (dtype(2) ** -exponent, dtype(2) ** exponent):
        result = fastconv.cdist(x[:7] * scale, x * scale, "minkowski", p=p)
        assert_units(result / scale, expected.astype(np.longdouble), 8)


@pytest.mark.parametrize("p", (1, 2, 2.5, 3, 3.7, 4, 7.5, 50, np.inf))
@pytest.mark.parametrize("dtype", FLOATS)
def test_weights_of_zero_leave_numbers_out_whatever_their_size(isa, rng, p, dtype):
    xa, xb = rng.random((7, 12)).astype(dtype), rng.random((35, 12)).astype(dtype)
    w = np.r_[np.ones(9), np.zeros(3)]
    xa[:, 9:] *= dtype(1e30 if dtype == np.float32 else 1e200)
    xb[3, :9] = xa[2, :9]
    kept = fastconv.cdist(xa[:, :9], xb[:, :9], "minkowski", p=p)
    assert kept[2, 3] == 0
    result = fastconv.cdist(xa, xb, "minkowski", p=p, w=w)
    assert_units(result, kept.astype(np.longdouble), 4)
    if p != np.inf:
        grad = rng.standard_normal(kept.shape)
        a, b = fastconv.cdist_vjp(grad, xa, xb, "minkowski", p=p, w=w)
        c, d = fastconv.cdist_vjp(grad, xa[:, :9], xb[:, :9], "minkowski", p=p)
        np.testing.assert_allclose(a, np.pad(c, ((0, 0), (0, 3))), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(b, np.pad(d, ((0, 0), (0, 3))), rtol=1e-4, atol=1e-5)
    xa[0, 11] = np.inf
    if p != np.inf:
        assert np.isnan(fastconv.cdist(xa, xb, "minkowski", p=p, w=w)[0]).all()


def test_matrices_that_leave_numbers_out(isa):
    u, v = np.array([[1.0, 2]]), np.array([[1.0, 5]])
    assert fastconv.cdist(u, v, "seuclidean", V=[1, np.inf]) == 0
    assert fastconv.cdist(u, v, "mahalanobis", VI=[[1, 0], [0, 0]]) == 0
    assert fastconv.knn(u, [[3.0, 2], [1, 5]], 1, w=[1, 0])[1] == 1


@pytest.fixture(params=["factored", "as it is"])
def matrix_taken(request):
    with fastconv.runtime.use_seams({"distance._FACTOR_BYTES": 1} if request.param == "as it is" else {}):
        yield


@pytest.mark.parametrize("dtype, near", [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_mahalanobis_of_near_points(isa, matrix_taken, rng, dtype, near):
    """Points nearer to each other than to all others, far from the origin and from the first of XB."""
    xa = (rng.standard_normal((9, 6)) + 3).astype(dtype)
    xb = np.concatenate([-30 * xa[:1], xa + near * rng.standard_normal((9, 6))]).astype(dtype)
    kwargs = arguments("mahalanobis", xa, rng)
    result = fastconv.cdist(xa, xb, "mahalanobis", **kwargs)
    assert_units(result, reference.cdist(xa, xb, "mahalanobis", **kwargs), 500)
    assert_same_bits(fastconv.cdist(xa, xb[1:], "mahalanobis", **kwargs), result[:, 1:])
    grad = np.eye(9, 10, k=1)
    difference = (xa.astype(np.longdouble) - xb[1:]) @ kwargs["VI"]
    expected = difference / np.diagonal(reference.cdist(xa, xb[1:], "mahalanobis", **kwargs))[:, None]
    slope = fastconv.cdist_vjp(grad, xa, xb, "mahalanobis", **kwargs)[0]
    np.testing.assert_allclose(slope, expected.astype(float), rtol=0, atol=3000 * ROUNDOFF[np.dtype(dtype)])


def test_mahalanobis_of_points_that_share_a_large_number(isa, matrix_taken, rng):
    x, y, root = rng.standard_normal((6, 5)), rng.standard_normal((7, 5)), rng.standard_normal((5, 5))
    vi = root @ root.T + np.eye(5)
    x[:, 2] = y[:, 2] = 0
    expected = fastconv.cdist(x, y, "mahalanobis", VI=vi)
    for size in (1e10, 1e15, 1e20, 1e25, 1e200):
        x[:, 2] = y[:, 2] = size
        np.testing.assert_allclose(fastconv.cdist(x, y, "mahalanobis", VI=vi), expected, rtol=1e-14)
    x[:, 2] = y[:, 2] = 0
    x, y = x.astype("f4"), y.astype("f4")
    for size in (1e5, 1e10, 1e30):
        x[:, 2] = y[:, 2] = size
        np.testing.assert_allclose(fastconv.cdist(x, y, "mahalanobis", VI=vi), expected, rtol=1e-5)
        both = np.concatenate([x, y, x[:1]])
        square = fastconv.cdist(both, both, "mahalanobis", VI=vi)
        assert_same_bits(square, square.T.copy())
        assert not np.diagonal(square).any() and square[0, -1] == 0
        assert_same_bits(fastconv.cdist(both[2:], both[:9], "mahalanobis", VI=vi), square[2:, :9])
        assert_same_bits(fastconv.pdist(both, "mahalanobis", VI=vi), square[np.triu_indices(len(both), 1)])


@pytest.mark.parametrize("metric", WEIGHTED)
@pytest.mark.parametrize("dtype", FLOATS)
def test_weights_of_any_size(isa, rng, metric, dtype):
    xa, xb, w = rng.random((7, 12)).astype(dtype), rng.random((35, 12)).astype(dtype), rng.random(12)
    if metric in BOOLEAN:
        xa, xb = np.round(xa), np.round(xb)
    power = {"cityblock": 1, "sqeuclidean": 1, "canberra": 1, "euclidean": 0.5, "minkowski": 0.5}.get(metric, 0)
    expected = fastconv.cdist(xa, xb, metric, w=w).astype(np.longdouble)
    for exponent in (-120, -60, 60, 120) if dtype == np.float32 else (-1000, 1000):
        result = fastconv.cdist(xa, xb, metric, w=np.ldexp(w, exponent)).astype(np.longdouble)
        assert_units((result * 2.0 ** (-exponent * power)).astype(dtype), expected, 8, metric in ABSOLUTE)


def test_matrices_of_any_size(isa, matrix_taken, rng):
    x, v = rng.random((9, 6)), rng.random(6)
    vi = arguments("mahalanobis", x, rng)["VI"]
    for exponent in (-1020, -300, 300):
        result = fastconv.cdist(x, x[::-1], "seuclidean", V=np.ldexp(v, exponent))
        expected = fastconv.cdist(x, x[::-1], "seuclidean", V=v) * 2.0 ** (-exponent // 2)
        assert_units(result, expected.astype(np.longdouble), 4)
    small = (x * 1e-20).astype(np.float32)
    result = fastconv.cdist(small, small[::-1], "seuclidean", V=v * 1e-40)
    np.testing.assert_allclose(result, fastconv.cdist(x, x[::-1], "seuclidean", V=v), rtol=1e-6)
    result = fastconv.cdist(small, small[::-1], "mahalanobis", VI=vi * 1e40)
    np.testing.assert_allclose(result, fastconv.cdist(x, x[::-1], "mahalanobis", VI=vi), rtol=1e-5)
    for metric in ("euclidean", "seuclidean", "mahalanobis", "cityblock"):
        kwargs = {"seuclidean": {"V": v}, "mahalanobis": {"VI": vi}}.get(metric, {"w": v})
        large = {name: np.ldexp(a, 200) for name, a in kwargs.items()}
        factor = {"seuclidean": 2.0**-100, "cityblock": 2.0**200}.get(metric, 2.0**100)
        a = fastconv.cdist_vjp([[1.0]], x[:1], x[1:2], metric, **large)[0]
        b = fastconv.cdist_vjp([[1.0]], x[:1], x[1:2], metric, **kwargs)[0]
        np.testing.assert_allclose(a, b * factor, rtol=1e-13)


def test_yule_of_light_numbers_does_not_cancel(isa):
    u, v = np.array([[True, True, False]]), np.array([[True, False, True]])
    assert fastconv.cdist(u, v, "yule", w=[1, 1e-9, 1e-9]) == 2
    assert fastconv.cdist(u, u, "russellrao", w=[1, 1, 1e-9]) == pytest.approx(5e-10, rel=1e-9)


@pytest.mark.parametrize("p", (129, 1040, 1e4, 1e6, 1e12, 1e18, 1e300))
@pytest.mark.parametrize("dtype", FLOATS)
def test_large_powers(isa, rng, p, dtype):
    xa, xb = rng.standard_normal((7, 20)).astype(dtype), rng.standard_normal((35, 20)).astype(dtype)
    difference = np.abs(xa[:, None].astype(np.longdouble) - xb)
    largest = difference.max(-1)
    expected = largest * ((difference / largest[..., None]) ** np.longdouble(p)).sum(-1) ** (1 / np.longdouble(p))
    for scale in (dtype(1), dtype(1e-30), dtype(1e30)):
        result = fastconv.cdist(xa * scale, xb * scale, "minkowski", p=p)
        assert_units(result / scale, expected, 8)
    assert fastconv.cdist(np.zeros((1, 1), dtype), np.full((1, 1), dtype(1.75)), "minkowski", p=p) == dtype(1.75)


def test_jensenshannon_of_negative_zeros(isa, rng):
    x = rng.random((7, 9))
    x[:, ::2] = 0
    negative = np.where(x == 0, -0.0, x)
    assert_same_bits(fastconv.cdist(negative, x[::-1], "jensenshannon"), fastconv.cdist(x, x[::-1], "jensenshannon"))


def test_cosine_of_nearly_parallel_vectors(isa):
    u = np.array([[1.0, 1.0, 1.0]])
    for delta in (1e-3, 1e-6, 1e-9):
        v = np.array([[1.0, 1.0, 1.0 + delta]])
        expected = reference.cdist(u, v, "cosine")[0, 0] if delta > 1e-4 else delta**2 / 9
        allowed = 1e-6 + 3 * delta + 1e-15 / delta
        assert fastconv.cdist(u, v, "cosine")[0, 0] == pytest.approx(float(expected), rel=allowed)
    assert fastconv.cdist(u * 1e200, u * 1e-200, "cosine")[0, 0] < 1e-15


@every_metric
def test_nan_reaches_its_own_row_and_column_only(isa, rng, metric):
    xa, xb = rng.random((20, 70)), rng.random((40, 70))
    kwargs = arguments(metric, xa, rng)
    clean = fastconv.cdist(xa, xb, metric, **kwargs)
    xa[4, 69], xb[7, 0] = np.nan, np.nan
    result = fastconv.cdist(xa, xb, metric, **kwargs)
    touched = np.zeros(result.shape, bool)
    touched[4], touched[:, 7] = True, True
    if metric not in ("jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule"):
        assert np.isnan(result[touched]).all()
    assert_same_bits(result[~touched], clean[~touched])


def test_infinities(isa):
    x = np.array([[np.inf, 1.0], [-np.inf, 1], [0, 0], [np.inf, np.inf]])
    for metric in ("euclidean", "sqeuclidean", "cityblock", "chebyshev", "canberra", "braycurtis"):
        with np.errstate(all="ignore"):
            expected = reference.cdist(x, x, metric, np.float64)
        np.testing.assert_array_equal(fastconv.cdist(x, x, metric), expected, metric)
    for p in (0.5, 1.5, 2.5, 3, 3.7, 4, 7.5):
        with np.errstate(all="ignore"):
            expected = reference.cdist(x, x, "minkowski", np.float64, p=p)
        np.testing.assert_array_equal(fastconv.cdist(x, x, "minkowski", p=p), expected)
        long = np.pad(x, ((0, 0), (0, 4999)))  # through ranges
        np.testing.assert_array_equal(fastconv.cdist(long, long, "minkowski", p=p), expected)


@pytest.mark.parametrize("d", [4095, 4097, 9000])
@pytest.mark.parametrize("metric", ["euclidean", "chebyshev", "canberra", "jensenshannon", "hamming", "braycurtis"])
def test_long_points_go_through_ranges(rng, metric, d):
    xa, xb = rng.random((7, d)).astype(np.float32), rng.random((9, d)).astype(np.float32)
    result, expected = fastconv.cdist(xa, xb, metric), reference.cdist(xa, xb, metric)
    assert_units(result, expected, 24)


@pytest.mark.parametrize("metric", ["cosine", "correlation", "jensenshannon", "jaccard", "dice", "hamming", "yule", "euclidean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_ranges_of_prepared_points(rng, metric, weighted):
    if weighted and metric in UNWEIGHTED:
        pytest.skip("takes no weights")
    xa, xb = rng.random((7, 9001)), rng.random((20, 9001))
    if metric in BOOLEAN:
        xa, xb = xa < 0.5, xb < 0.5
    else:  # not read in place
        xa, xb = xa.astype(np.float16), xb.astype(np.float16)
    kwargs = {"w": rng.random(9001)} if weighted else {}
    result = fastconv.cdist(xa, xb, metric, dtype="float32", **kwargs)
    expected = reference.cdist(xa, xb, metric, **kwargs)
    assert_units(result, expected, 40 if metric == "yule" else 24, metric in ABSOLUTE)


@pytest.mark.parametrize("metric, dtype", [("cosine", np.float32), ("jaccard", bool), ("euclidean", np.float16)])
def test_time_is_linear_in_the_length_of_points(rng, metric, dtype):
    def seconds(d):
        x = (rng.random((6, d)) * 2).astype(dtype)
        times = []
        for _ in range(5):
            start = time.thread_time()  # of this thread alone, whatever else runs
            fastconv.cdist(x, x[:5], metric, workers=1)
            times.append(time.thread_time() - start)
        return min(times)

    assert seconds(1 << 20) < 64 * seconds(1 << 16)  # 16 times the numbers


# --- Batches, layouts, threads


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


# --- pdist and squareform


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


# --- knn and pairwise_argmin


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


def test_sizes_that_do_not_fit():
    many = np.broadcast_to(np.ones(3), (2**31, 3))
    for call in (lambda: fastconv.cdist(many, many), lambda: fastconv.knn(many, many, 2**31 - 1)):
        with pytest.raises(ValueError, match="more bytes"):
            call()


@pytest.mark.parametrize("metric", [*REAL, *BOOLEAN, scipy_distance.cityblock])
def test_pairwise_argmin(rng, metric):
    xa, xb = rng.random((20, 5)), rng.random((30, 5))
    kwargs = arguments(metric, xa, rng)
    indices, distances = fastconv.pairwise_argmin(xa, xb, metric, **kwargs)
    matrix = fastconv.cdist(xa, xb, metric, **kwargs)
    np.testing.assert_array_equal(indices, matrix.argmin(1))
    assert_same_bits(distances, matrix.min(1))


# --- Callables, empty collections, bad input


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


def test_pdist_of_a_callable_calls_it_once_for_each_pair(rng):
    x, pairs = rng.random((2, 7, 3)), []

    def metric(u, v):
        pairs.append((u, v))
        return u[0] - v[1]

    result = fastconv.pdist(x, metric)
    assert len(pairs) == 2 * 21
    rows, columns = np.triu_indices(7, 1)
    np.testing.assert_array_equal(result, x[:, rows, 0] - x[:, columns, 1])


def test_dtype_argument(rng):
    x = rng.random((6, 4))
    assert_same_bits(fastconv.cdist(x, x, dtype="float32"), fastconv.cdist(x, x).astype(np.float32))
    assert fastconv.pdist(x.astype(np.float32), dtype=float).dtype == np.float64


# --- Running


@pytest.mark.parametrize(
    "shapes, call",
    [
        ([(20_000, 64), (20_000, 64)], "cdist(a, b, out=np.empty((20_000, 20_000), np.float32), dtype='float32', "),
        ([(96, 200_000), (96, 200_000)], "cdist(a, b, "),  # one block, in ranges
        ([(384, 16), (400_000, 16)], "knn(a, b, 3, "),  # one block of rows
        ([(90, 32), (400_000, 32)], "cdist_vjp(np.broadcast_to(1.0, (90, 400_000)), a, b, "),
    ],
    ids=["matrix", "long points", "knn", "gradient"],
)
def test_an_interrupt_stops_a_long_call(tmp_path, shapes, call):
    script = f"""
    import fastconv
    a, b = (np.random.default_rng(0).random(shape) for shape in {shapes})
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    try:
        fastconv.{call}metric="minkowski", p=2.7, workers=1)
    except KeyboardInterrupt:
        print("stopped" if time.perf_counter() - start < 1.5 else "late")
    """
    assert run_script(script, cwd=tmp_path) == ["stopped"]


# --- What arrays of real sizes found


def test_few_pairs_are_computed_once_where_sums_leave_the_safe_range(isa, rng):
    far = 1e200 * np.sqrt(3)
    for shape in ((200, 3), (5, 200, 3), (97, 1)):
        x, zero = np.full(shape, 1e200), np.zeros((*shape[:-2], 1, shape[-1]))
        expected = far if shape[-1] == 3 else 1e200
        for workers in (1, 2, 5):
            np.testing.assert_allclose(fastconv.cdist(x, zero, workers=workers), expected, rtol=1e-15)
            np.testing.assert_allclose(fastconv.cdist(zero, x, workers=workers), expected, rtol=1e-15)
    xa, xb = rng.random((7000, 1, 3)), rng.random((7000, 600, 3))
    xa[::7] *= 1e200
    out = np.zeros((7000, 1, 600))  # larger than 32 MiB: its blocks are slabs of 512 columns
    fastconv.cdist(xa, xb, out=out)
    np.testing.assert_allclose(out[::500], np.hypot.reduce(xa[::500, :, None] - xb[::500, None], axis=-1), rtol=1e-13)


def test_mahalanobis_of_sums_that_pass_through_infinity(isa):
    x, zero = np.array([[1e20, 1e20, 0]], "f4"), np.zeros((1, 3), "f4")
    for d in (3, 40):
        vi = np.eye(d)
        vi[:3, :3] = np.diag([2.0, -1, 1])
        point, origin = (np.pad(a, ((0, 0), (0, d - 3))) for a in (x, zero))
        assert fastconv.cdist(point, origin, "mahalanobis", VI=vi) == pytest.approx(1e20, rel=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
def test_numbers_without_weight_do_not_set_the_scale(isa, rng, metric):
    w = np.r_[np.ones(5), 0, 2, 0]
    for size, odd in ((1e-130, 1e200), (1e-200, 1e200), (1e200, 1e-200), (1, 1e300)):
        xa, xb = rng.random((3, 8)) * size, rng.random((4, 8))
        expected = fastconv.cdist(xa[:, w > 0], xb[:, w > 0], metric, w=w[w > 0])
        gradient = fastconv.cdist_vjp(np.ones((3, 4)), xa[:, w > 0], xb[:, w > 0], metric, w=w[w > 0])
        xa[:, w == 0] = odd
        np.testing.assert_allclose(fastconv.cdist(xa, xb, metric, w=w), expected, rtol=1e-12, atol=1e-15)
        for a, b in zip(fastconv.cdist_vjp(np.ones((3, 4)), xa, xb, metric, w=w), gradient, strict=True):
            np.testing.assert_allclose(a[:, w > 0], b, rtol=1e-9, atol=1e-12 / min(size, 1))
    np.testing.assert_allclose(
        fastconv.cdist([[1e-130, 2e-130, 1e200]], [[2.0, 1, 0]], "cosine", w=[1, 1, 0]), 0.2, rtol=1e-14
    )


@pytest.mark.parametrize("metric, kwargs", [
    ("minkowski", {"p": 100}), ("minkowski", {"p": 3.7}), ("euclidean", {}), ("canberra", {}), ("cosine", {}), ("braycurtis", {}),
])  # fmt: skip
@pytest.mark.parametrize("dtype", FLOATS)
def test_long_points_of_any_size(isa, rng, metric, kwargs, dtype):
    """Sums outside the safe range, sizes beyond it, both signs and near-parallel points, in several ranges."""
    xa, xb = rng.standard_normal((4, 5000)).astype(dtype) * 3, rng.standard_normal((5, 5000)).astype(dtype) * 3
    large = dtype(2) ** (100 if dtype == np.float32 or kwargs.get("p") == 100 else 800)  # long double has to hold the powers
    xa[1], xb[2], xa[2], xb[3] = xa[1] * large, xb[2] * large, xa[2] / large, xb[3] / large
    xa[3] = xb[4] + dtype(1e-3) * xa[3]
    if metric == "braycurtis":
        xa[0] = abs(xa[0])
    expected = reference.cdist(xa, xb, metric, **kwargs)
    assert_units(fastconv.cdist(xa, xb, metric, **kwargs), expected, 24, metric == "cosine")


def test_more_bits_than_float32_counts():
    x = np.ones((2, (1 << 23) + 9), np.float32)
    x[1, :4] = 0
    assert fastconv.cdist(x[:1], x[1:], "jaccard")[0, 0] == pytest.approx(4 / x.shape[1], rel=1e-6)
    assert fastconv.cdist(x[:1], x[:1].copy(), "russellrao")[0, 0] == 0
    distances, indices = fastconv.knn(x[:1], x, 2, "jaccard")
    assert distances.dtype == np.float32
    assert indices.tolist() == [[0, 1]]


def test_constant_rows_have_no_correlation(isa, rng):
    w = rng.random(37)
    for d in (2, 3, 37, 1500):
        for value in (0.1, 1 / 3, 1e-300, 1e300, 7.7e22):
            xa, xb = np.full((3, d), value), rng.random((9, d))
            for kwargs in ({}, {"w": np.resize(w, d)}):
                assert np.isnan(fastconv.cdist(xa, xb, "correlation", **kwargs)).all()


def test_power_0_counts_what_differs(isa):
    x = np.array([[1.0, 2], [1, 3], [2, 3], [np.nan, 0]])
    for dtype in FLOATS:
        result = fastconv.cdist(x.astype(dtype), x.astype(dtype), "minkowski", p=0)
        np.testing.assert_array_equal(result[:3, :3], [[0, 1, np.inf], [1, 0, 1], [np.inf, 1, 0]])
        assert np.isnan(result[3]).all()
        assert fastconv.cdist(x[:1].astype(dtype), x[2:3].astype(dtype), "minkowski", p=0, w=[0.25, 0.5]) == 0


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


@pytest.mark.parametrize("call", [
    lambda x, y: fastconv.pairwise_argmin(x, y),
    lambda x, y: fastconv.cdist(x, y),
])  # fmt: skip
def test_errors_name_the_callers_arguments(call):
    for x, y in ((np.ones((2, 3)), np.ones((2, 4))), (np.ones(3), np.ones((2, 3))), (np.ones((2, 3)) + 1j, np.ones((2, 3)))):
        with pytest.raises((TypeError, ValueError), match="XA"):
            call(x, y)


PEAK = """
import resource, gc
import fastconv
rng = np.random.default_rng(0)
{setup}
{warm}
gc.collect()
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
open("/proc/self/clear_refs", "w").write("5")
before = peak()
result = {call}
print((peak() - before) // 1024 - sum(a.nbytes for a in (result if isinstance(result, tuple) else (result,))) // 2**20)
"""


@pytest.mark.parametrize("setup, call", [
    ("x = rng.random((20_000, 8)).astype('f2')", "fastconv.knn(x, x[:2000], 300)"),
    ("x = rng.random((20_000, 8))", "fastconv.knn(x, x[:2000], 300, dtype='f4')"),
    ("x = rng.random((3_000_000, 1)).astype('f2')", "fastconv.pairwise_argmin(x, x[:3])"),
    ("x, g = rng.random((40, 50_000)), rng.random((40, 40))", "fastconv.cdist_vjp(g, x, x[::-1])"),
    ("x, g = rng.random((10, 200_000)), rng.random((10, 10))", "fastconv.cdist_vjp(g, x, x[::-1])"),
    ("x = rng.random((4, 2_000_000))", "fastconv.cdist(x, x[::-1], 'cosine')"),
    ("x, w = rng.random((4, 2_000_000)), rng.random(2_000_000)", "fastconv.cdist(x, x[::-1], 'correlation', w=w)"),
    ("x, w = rng.random((4, 2_000_000)), rng.random(2_000_000)", "fastconv.cdist(x, x[::-1], w=w)"),
    ("x = rng.random((4, 2_000_000))", "fastconv.cdist(x, x[::-1], 'seuclidean')"),
    ("x, r = rng.random((4, 1500)), rng.random((1500, 1500)); r = r @ r.T + np.eye(1500)",
     "fastconv.cdist(x, x[::-1], 'mahalanobis', VI=r)"),
    ("x, r = rng.random((40, 2500)), rng.standard_normal((2500, 2500))", "fastconv.cdist(x, x[::-1], 'mahalanobis', VI=r)"),
    ("x, r = rng.random((40, 1000)), rng.standard_normal((1000, 1000))", "fastconv.cdist(x, x[::-1], 'mahalanobis', VI=r)"),
])  # fmt: skip
def test_memory_is_bounded(tmp_path, setup, call):
    """16 MiB and 4 for each of 2 threads, beyond the arguments and the result."""
    small = "fastconv.knn(np.ones((9, 2)), np.ones((9, 2)), 2)"
    lines = run_script(PEAK.format(setup=setup, warm=small, call=call), cwd=tmp_path, env={"FASTCONV_NUM_THREADS": "2"})
    assert int(lines[-1]) <= 24


@pytest.mark.parametrize("setup, call", [
    ("v = rng.random((1000, 1000)); x, vi = rng.random((2000, 1000)), v @ v.T", "fastconv.cdist(x, x, 'mahalanobis', VI=vi)"),
    ("v = rng.random((1000, 1000)); x, vi = rng.random((2000, 1000)), v @ v.T",
     "fastconv.cdist_vjp(np.ones((2000, 2000)), x, x, 'mahalanobis', VI=vi)"),
    ("v = rng.random((2500, 2500)); x, vi = rng.random((3, 2500)), v + v.T", "fastconv.cdist(x, x, 'mahalanobis', VI=vi)"),
    ("x = rng.random((3, 2_000_000, 1))", "fastconv.knn(x[:, :9], x, 2_000_000)"),
    ("x = rng.random((3_000_000, 30))", "fastconv.cdist_vjp(np.ones((1, 3_000_000)), x[:1], x, 'cosine')"),
    ("x = rng.random((20_000_000, 1, 3))", "fastconv.cdist(x, x[::-1])"),
    ("x = np.zeros((20_000, 20_000), 'f4')", "fastconv.squareform(x)"),
])  # fmt: skip
def test_interrupts_stop_what_is_no_sum(tmp_path, setup, call):
    script = f"""
    import fastconv
    rng = np.random.default_rng(0)
    {setup}
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    try:
        {call}
        print("over")
    except KeyboardInterrupt:
        print("stopped" if time.perf_counter() - start < 1.3 else time.perf_counter() - start)
    """
    assert run_script(script, cwd=tmp_path)[-1] in ("stopped", "over")


# --- Gradients


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


def test_gradients_of_broadcast_batches_take_little_memory(rng, monkeypatch):
    xa, xb, grad = rng.random((40, 1, 300, 50)), rng.random((5, 2, 50)), rng.random((40, 5, 300, 2))
    for points, upstream in ((xa, grad), (xa[0], grad[0])):
        expected = fastconv.cdist_vjp(upstream, points, xb)
        monkeypatch.setattr(fastconv.distance, "_PULL_BYTES", 1 << 18)
        tracemalloc.start()
        result = fastconv.cdist_vjp(upstream, points, xb)
        assert tracemalloc.get_traced_memory()[1] < 2 * points.nbytes + (6 << 20)
        tracemalloc.stop()
        monkeypatch.undo()
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
