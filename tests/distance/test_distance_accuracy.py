"""Distances where SciPy's are not accurate: near points, far points, sums that leave the range, long points."""

import numpy as np
import pytest
from distances import ABSOLUTE, BOOLEAN, UNWEIGHTED, WEIGHTED, arguments, assert_units, every_metric

import fastconv
import reference
from support import FLOATS, ROUNDOFF, assert_same_bits


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
