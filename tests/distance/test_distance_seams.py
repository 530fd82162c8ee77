"""Distances with small blocks, ranges and rounds, so that small arrays cross every edge; against NumPy's own formulas."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from fastconv.runtime import use_seams
from support import FLOATS, assert_same_bits, has_openmp, run_script

# Where each constant is crossed, a function of any test file.
CROSSED = {
    "distance.RANGE": "test_matrices_cross_every_seam",
    "distance.A_BYTES": "test_matrices_cross_every_seam",
    "distance.B_BYTES": "test_matrices_cross_every_seam",
    "distance.BLOCK_ROWS": "test_matrices_cross_every_seam",
    "distance.BLOCK_COLUMNS": "test_matrices_cross_every_seam",
    "distance.DIRECT_COLUMNS": "test_matrices_cross_every_seam",
    "distance.SQUARE": "test_pairs_of_one_collection_cross_every_seam",
    "distance.STREAM_BYTES": "test_matrices_cross_every_seam",
    "distance.SMALL_WORK": "test_matrices_cross_every_seam",
    "distance.UNPACKED_WORK": "test_batches_of_few_pairs",
    "distance.NEAREST_ROWS": "test_nearest_cross_every_seam",
    "distance.ROW_BYTES": "test_nearest_cross_every_seam",
    "distance._PART_BYTES": "test_nearest_cross_every_seam",
    "distance._FEW_QUERIES": "test_nearest_cross_every_seam",
    "distance._PART_POINTS": "test_nearest_cross_every_seam",
    "distance._PULL_BYTES": "test_gradients_cross_every_seam",
    "distance._CHUNK_BYTES": "test_default_scales_in_chunks",
    "distance._FACTOR_ROWS": "test_factors_in_blocks",
    "distance._FACTOR_BYTES": "test_points_far_from_the_origin_cross_every_seam",
    "distance/table.h:FC_POINT_CHAIN": "test_long_sums_hold_their_bound",
    "distance/table.h:FC_POINT_ROWS": "test_matrices_cross_every_seam",
    "distance/table.h:FC_POINT_PIECE": "test_long_sums_hold_their_bound",
    "distance/distance.h:FC_POINT_VECTORS": "test_matrices_cross_every_seam",
    "distance/distance.h:FC_POINT_CHAINS": "test_long_sums_hold_their_bound",
    "distance/distance.h:FC_FORM_CHAIN": "test_long_forms",
    "distance/distance.h:FC_PREFETCH_TERMS": "test_matrices_cross_every_seam",
    "distance/distance.h:FC_RATIO_GROUP": "test_matrices_cross_every_seam",
    "distance/emit.h:BLOCK": "test_matrices_cross_every_seam",
    "distance/sums.h:M": "test_rests_of_tiles_have_the_bits_of_whole_ones",
    "distance/sums.h:V": "test_rests_of_tiles_have_the_bits_of_whole_ones",
    "distance/sums.h:TWO": "test_rests_of_tiles_have_the_bits_of_whole_ones",
    "distance/sums.h:THREE": "test_rests_of_tiles_have_the_bits_of_whole_ones",
    "distance/prepare_rows.h:B": "test_rests_of_tiles_have_the_bits_of_whole_ones",
    "distance/prepare_rows.h:WIDTH": "test_booleans_are_exact",
    "distance/prepare_rows.h:LANES": "test_long_sums_hold_their_bound",
    "metrics.py:_COUNTS": "test_more_bits_than_float32_counts",
    "metrics.py:_FARTHEST": "test_large_powers",
    "distance/nearest.pyx:SORT_STEPS": "test_many_neighbours",
}
BLOCKS = {
    "distance.RANGE": (1, 64, 128),
    "distance.A_BYTES": (1, 5000),
    "distance.B_BYTES": (1, 20_000),
    "distance.BLOCK_ROWS": (1, 6, 7, 13),
    "distance.BLOCK_COLUMNS": (1, 40, 70),
    "distance.DIRECT_COLUMNS": (1, 40, 70),
    "distance.SQUARE": (1, 40, 70),
    "distance.STREAM_BYTES": (1,),
    "distance.SMALL_WORK": (1,),
    "distance.UNPACKED_WORK": (1, 1 << 30),
    "distance.NEAREST_ROWS": (1, 7, 13),
    "distance.ROW_BYTES": (1, 300),
    "distance._PART_BYTES": (1, 2000),
    "distance._FEW_QUERIES": (1, 1000),
    "distance._PART_POINTS": (1, 9),
    "distance._PULL_BYTES": (1, 3000),
    "distance._FACTOR_BYTES": (1, 5000),
}
# Some of them, and ranges more often than others: only long points cross these.
seams = st.tuples(
    st.lists(st.sampled_from([(name, value) for name, values in BLOCKS.items() for value in values]), max_size=5),
    st.sampled_from([{"distance.RANGE": size} for size in (1, 64, 128)] + [{}]),
).map(lambda both: dict(both[0]) | both[1])
RUNNING = {
    "values": seams,
    "seed": st.integers(0, 2**32 - 1),
    "workers": st.sampled_from((1, 2, 5)),
    "isa": st.sampled_from(fastconv.available_isas()),
    "dtype": st.sampled_from((np.float32, np.float64)),
    "d": st.sampled_from((1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 129, 200)),
}


def in_one(u, v, w):
    return w * (u != 0) * (v != 0)


# Of small integers: exact sums, and at most one rounding after them.
EXACT = {
    "sqeuclidean": lambda u, v, w: (w * (u - v) ** 2).sum(-1),
    "euclidean": lambda u, v, w: np.sqrt((w * (u - v) ** 2).sum(-1)),
    "cityblock": lambda u, v, w: (w * abs(u - v)).sum(-1),
    "chebyshev": lambda u, v, w: np.where(w > 0, abs(u - v), 0).max(-1),
    "hamming": lambda u, v, w: (w * (u != v)).sum(-1) / w.sum(),
    "braycurtis": lambda u, v, w: (w * abs(u - v)).sum(-1) / (w * abs(u + v)).sum(-1),
    "canberra": lambda u, v, w: (w * abs(u - v) / np.where((u == 0) & (v == 0), 1, abs(u) + abs(v))).sum(-1),
    "russellrao": lambda u, v, w: (w.sum() - in_one(u, v, w).sum(-1)) / w.sum(),
    "jaccard": lambda u, v, w: (w * ((u != 0) ^ (v != 0))).sum(-1) / np.maximum((w * ((u != 0) | (v != 0))).sum(-1), 1),
    "cosine": lambda u, v, w: 1
    - (w * u * v).sum(-1) / np.sqrt((w * u * u).sum(-1)) / np.sqrt((w * v * v).sum(-1)),
    "minkowski": lambda u, v, w: np.cbrt((w * abs(u - v) ** 3).sum(-1)),
}
UNITS = {"canberra": 40, "minkowski": 8, "cosine": 40}


def expected_of(metric, xa, xb, w, finer=np.longdouble):
    with np.errstate(all="ignore"):
        return EXACT[metric](xa[..., :, None, :].astype(finer), xb[..., None, :, :].astype(finer), w)


def assert_near(actual, expected, metric):
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    tiny = np.finfo(actual.dtype).eps
    tolerance = {"rtol": UNITS.get(metric, 2) * tiny, "atol": UNITS["cosine"] * tiny if metric == "cosine" else 0}
    np.testing.assert_allclose(actual, expected.astype(np.float64), **tolerance)


def points(rng, count, d, dtype, metric):
    low = -3 if metric in ("sqeuclidean", "euclidean", "cityblock", "chebyshev", "minkowski") else 0
    x = rng.integers(low, 4, (count, d)).astype(dtype)
    if rng.random() < 0.5:  # a point beyond the others' range
        x[rng.integers(count)] *= dtype(2.0 ** (70 if dtype == np.float32 else 520))
    if rng.random() < 0.5:  # two that coincide
        x[rng.integers(count)] = x[rng.integers(count)]
    return x


@given(m=st.integers(1, 40), n=st.integers(1, 140), metric=st.sampled_from(sorted(EXACT)), weighted=st.booleans(), **RUNNING)
def test_matrices_cross_every_seam(m, n, metric, weighted, values, seed, workers, isa, dtype, d):
    rng = np.random.default_rng(seed)
    xa, xb = points(rng, m, d, dtype, metric), points(rng, n, d, dtype, metric)
    w = rng.integers(0, 3, d) + (np.arange(d) == 0)
    frame = np.full((m + 2, 2 * n + 3), 7, dtype)
    out = frame[1:-1, 1 : n + 1] if rng.random() < 0.7 else frame[1:-1, 1 : 2 * n + 1 : 2]
    kwargs = {"w": w} if weighted else {}
    kwargs |= {"p": 3} if metric == "minkowski" else {}
    with fastconv.use_isa(isa), use_seams(values):
        fastconv.cdist(xa, xb, metric, out=out, workers=workers, **kwargs)
    result = out.copy()
    out[...] = 7
    assert (frame == 7).all()
    expected = expected_of(metric, xa, xb, w if weighted else np.ones(d))
    if metric != "sqeuclidean":
        assert_near(result, expected, metric)
    else:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(result, expected.astype(dtype))


@given(n=st.integers(2, 150), metric=st.sampled_from(("euclidean", "cityblock", "hamming", "canberra")), **RUNNING)
def test_pairs_of_one_collection_cross_every_seam(n, metric, values, seed, workers, isa, dtype, d):
    rng = np.random.default_rng(seed)
    x = points(rng, n, d, dtype, metric)
    above = np.triu_indices(n, 1)
    frame = np.full(len(above[0]) + 2, 7, dtype)
    with fastconv.use_isa(isa), use_seams(values):
        square = fastconv.cdist(x, x, metric, workers=workers)
        fastconv.pdist(x, metric, out=frame[1:-1], workers=workers)
    assert frame[0] == frame[-1] == 7
    assert_same_bits(square, square.T.copy())
    assert_same_bits(frame[1:-1].copy(), square[above])
    assert_near(square, expected_of(metric, x, x, np.ones(d)), metric)


@given(items=st.integers(1, 30), m=st.integers(1, 9), n=st.integers(1, 40), same=st.booleans(), **RUNNING)
def test_batches_of_few_pairs(items, m, n, same, values, seed, workers, isa, dtype, d):
    rng = np.random.default_rng(seed)
    xa, xb = rng.integers(-3, 4, (items, m, d)).astype(dtype), rng.integers(-3, 4, (items, n, d)).astype(dtype)
    xb = xa if same else xb
    for item in np.unique(rng.integers(0, items, 3)):
        xa[item, rng.integers(m)] *= dtype(2.0 ** (70 if dtype == np.float32 else 520))
    for metric in ("euclidean", "cityblock"):
        with fastconv.use_isa(isa), use_seams({"distance.UNPACKED_WORK": 1 << 30, **values}):
            result = fastconv.cdist(xa, xb, metric, workers=workers)
        assert_near(result, expected_of(metric, xa, xb, np.ones(d)), metric)


@given(m=st.integers(1, 20), n=st.integers(1, 150), k=st.integers(1, 150), result=st.sampled_from(("f2", "f4", "f8")), **RUNNING)
def test_nearest_cross_every_seam(m, n, k, result, values, seed, workers, isa, dtype, d):
    rng = np.random.default_rng(seed)
    q, x, k = rng.integers(0, 3, (m, d)).astype(dtype), rng.integers(0, 3, (n, d)).astype(dtype), min(k, n)
    x[rng.integers(n)] = np.nan
    with fastconv.use_isa(isa), use_seams(values):
        distances, indices = fastconv.knn(q, x, k, "cityblock", dtype=result, workers=workers)
    matrix = abs(q[:, None].astype(int) - np.where(np.isnan(x), 0, x).astype(int)).sum(-1).astype(result)
    matrix[:, np.isnan(x[:, 0])] = np.nan
    order = np.argsort(matrix, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(distances, np.take_along_axis(matrix, order, 1))


@given(m=st.integers(1, 20), n=st.integers(1, 60), signs=st.booleans(), **RUNNING)
@pytest.mark.slow
def test_points_far_from_the_origin_cross_every_seam(m, n, signs, values, seed, workers, isa, dtype, d):
    """Mapped points cancel where they share a huge number, and are compared as they are given."""
    rng = np.random.default_rng(seed)
    xa, xb = rng.integers(-3, 4, (m, d)).astype(dtype), rng.integers(-3, 4, (n, d)).astype(dtype)
    huge, w = rng.integers(d), rng.integers(1, 4, d) ** 2.0
    xa[:, huge] = xb[:, huge] = 2.0 ** (60 if dtype == np.float32 else 400)
    if signs:
        w[rng.integers(d)] *= -1
    with fastconv.use_isa(isa), use_seams(values):
        result = fastconv.cdist(xa, xb, "mahalanobis", VI=np.diag(w), workers=workers)
        distances, indices = fastconv.knn(xa, xb, n, "mahalanobis", VI=np.diag(w), workers=workers)
        condensed = fastconv.pdist(xb, "mahalanobis", VI=np.diag(w), workers=workers)
    # Differences and their sums are integers, exact in double.
    assert_near(result, expected_of("euclidean", xa, xb, w, float), "mahalanobis")
    assert_near(condensed, expected_of("euclidean", xb, xb, w, float)[np.triu_indices(n, 1)], "mahalanobis")
    np.testing.assert_array_equal(distances, np.sort(result, axis=1))
    assert_same_bits(np.take_along_axis(result, indices, 1), distances)


@pytest.mark.parametrize("d", [1, 11, 12, 13, 191, 192, 193, 204, 205, 1343, 1344, 1345, 1400])
def test_long_forms(isa, rng, d):
    """One number more and less than chains, groups of them and ranges hold; sums are exact."""
    x, y = rng.integers(-4, 5, (7, d)), rng.integers(-4, 5, (35, d))
    w = rng.integers(1, 4, d) * np.where(np.arange(d) % 7, 1, -1)
    form = np.diag(w) + np.diag(np.ones(d - 1, int), 1)
    t = x[:, None] - y
    with np.errstate(invalid="ignore"):
        expected = np.sqrt((w * t * t).sum(-1) + (t[..., :-1] * t[..., 1:]).sum(-1))
    assert_near(fastconv.cdist(x, y, "mahalanobis", VI=form), expected, "mahalanobis")


@pytest.mark.parametrize("rows", [1, 3, 7, 13, 14])
def test_factors_in_blocks(rng, rows):
    root = rng.integers(-3, 4, (14, 14)) + 20 * np.eye(14)
    xa, xb = rng.integers(-4, 5, (5, 14)), rng.integers(-4, 5, (6, 14))
    t = xa[:, None] - xb
    with use_seams({"distance._FACTOR_ROWS": rows}):
        for vi in (root @ root.T, np.diag(np.r_[np.ones(13), -1.0]) @ np.diag(np.arange(1, 15))):
            with np.errstate(invalid="ignore"):
                expected = np.sqrt(np.einsum("ijk,kl,ijl->ij", t, vi, t))
            np.testing.assert_allclose(fastconv.cdist(xa, xb, "mahalanobis", VI=vi), expected, rtol=1e-12)


@pytest.mark.skipif(not has_openmp() or not os.path.isdir("/proc/self/task"), reason="needs OpenMP and the /proc of Linux")
def test_few_pairs_are_one_task(tmp_path):
    """However many blocks they would be, if they were packed."""
    script = """
        import fastconv, fastconv.runtime
        x = np.arange(60.).reshape(20, 3)
        x[-1] = 1e200
        with fastconv.runtime.use_seams({"runtime.SERIAL_WORK": 1, "distance.BLOCK_ROWS": 6, "distance.SMALL_WORK": 1}):
            for few, workers in ((1 << 30, 3), (1, 3)):
                with fastconv.runtime.use_seams({"distance.UNPACKED_WORK": few}):
                    y = fastconv.cdist(x, x[:1], workers=workers)
                    print(count_tasks(), np.allclose(y[:, 0], np.hypot.reduce(x - x[0], axis=1)))
    """
    assert run_script(script, cwd=tmp_path) == ["1 True", "3 True"]


def test_many_neighbours(isa):
    x = np.random.default_rng(0).permutation(70_000).astype(np.float32)[:, None]
    distances, indices = fastconv.knn([[np.float32(0)]], x, 70_000)
    np.testing.assert_array_equal(distances[0], np.arange(70_000))
    np.testing.assert_array_equal(x[indices[0], 0], np.arange(70_000))


SLOPES = {
    "sqeuclidean": lambda t, u, v: 2 * t,
    "euclidean": lambda t, u, v: t / np.sqrt((t * t).sum(-1, keepdims=True)),
    "cityblock": lambda t, u, v: np.sign(t),
    "chebyshev": lambda t, u, v: np.sign(t) * (np.arange(t.shape[-1]) == abs(t).argmax(-1)[..., None]),
    "braycurtis": lambda t, u, v: np.sign(t) / (u + v).sum(-1, keepdims=True)
    - abs(t).sum(-1, keepdims=True) / (u + v).sum(-1, keepdims=True) ** 2,
    "mahalanobis": lambda t, u, v: t * 2 / np.sqrt((2 * t * t).sum(-1, keepdims=True)),
}


@given(m=st.integers(1, 20), n=st.integers(1, 60), metric=st.sampled_from(sorted(SLOPES)), batch=st.integers(1, 3), **RUNNING)
def test_gradients_cross_every_seam(m, n, metric, batch, values, seed, workers, isa, dtype, d):
    rng = np.random.default_rng(seed)
    low = 1 if metric == "braycurtis" else -3
    xa, xb = rng.integers(low, 4, (batch, m, d)).astype(dtype), rng.integers(low, 4, (n, d)).astype(dtype)
    grad = rng.integers(-2, 3, (batch, m, n)).astype(dtype)
    kwargs = {"VI": 2 * np.eye(d)} if metric == "mahalanobis" else {}
    with fastconv.use_isa(isa), use_seams(values):
        a, b = fastconv.cdist_vjp(grad, xa, xb, metric, workers=workers, **kwargs)
    u, v = xa[:, :, None].astype(float), xb[None, None].astype(float)
    for pulled, axes, s, t in ((a, 2, u, v), (b, (0, 1), v, u)):
        with np.errstate(all="ignore"):
            slope = SLOPES[metric](s - t, s, t)
        slope[(xa[:, :, None] == xb).all(-1)] = 0
        expected = (grad[..., None] * slope).sum(axes)
        np.testing.assert_allclose(pulled, expected, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-11)


def test_many_leading_axes():
    x = np.arange(12.0).reshape(2, *(1,) * 29, 2, 3)
    result = fastconv.cdist(x, np.moveaxis(x, 0, 3))
    assert result.shape == (2, 1, 1, 2, *(1,) * 26, 2, 2)
    np.testing.assert_array_equal(result.reshape(2, 2, 2, 2)[1, 0], fastconv.cdist(x[1].reshape(2, 3), x[0].reshape(2, 3)))


@pytest.mark.parametrize("chunk", [1, 100, 5000])
def test_default_scales_in_chunks(rng, chunk):
    xa, xb = rng.integers(-4, 5, (30, 7)).astype(float), rng.integers(-4, 5, (40, 7)).astype(float)
    both = np.concatenate([xa, xb])
    vi = np.linalg.inv(np.cov(both.T))
    t = xa[:, None] - xb
    with use_seams({"distance._CHUNK_BYTES": chunk}):
        np.testing.assert_allclose(
            fastconv.cdist(xa, xb, "seuclidean"), np.sqrt((t * t / both.var(0, ddof=1)).sum(-1)), rtol=1e-13
        )
        np.testing.assert_allclose(
            fastconv.cdist(xa, xb, "mahalanobis"), np.sqrt(np.einsum("ijk,kl,ijl->ij", t, vi, t)), rtol=1e-12
        )
        np.testing.assert_allclose(
            fastconv.cdist(xa, xb, "mahalanobis", VI=vi.astype(np.float32)),
            np.sqrt(np.einsum("ijk,kl,ijl->ij", t, vi.astype(np.float32).astype(float), t)), rtol=1e-12,
        )


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "canberra", "hamming", "braycurtis", "minkowski", "jensenshannon",
                                    "cosine", "correlation", "dice", "rogerstanimoto"])  # fmt: skip
@pytest.mark.parametrize("d", [511, 513, 1023, 1025, 4097, 100_000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_long_sums_hold_their_bound(rng, metric, d, dtype):
    """Errors do not grow with d: of numbers of one sign, weighted where the metric knows weights."""
    xa, xb = rng.random((2, d)).astype(dtype), rng.random((3, d)).astype(dtype)
    w = rng.random(d).astype(np.float32) if metric not in ("jensenshannon", "minkowski") else np.ones(d)
    kwargs = {} if metric in ("jensenshannon", "minkowski") else {"w": w}
    if metric in ("dice", "rogerstanimoto"):
        xa, xb = np.round(xa), np.round(xb)
    if metric == "minkowski":
        kwargs["p"] = 3.7
    result = fastconv.cdist(xa, xb, metric, **kwargs)
    expected = reference.cdist(xa, xb, metric, **kwargs)
    absolute = metric in ("cosine", "correlation")
    error = abs(result - expected) / (1 if absolute else expected) / np.finfo(dtype).eps
    assert error.max() <= 16, f"{float(error.max()):.3g} units"
