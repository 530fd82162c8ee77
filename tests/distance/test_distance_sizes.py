"""Distances at the sizes that users have: sampled outputs with all borders and edges of blocks, against long double."""

import numpy as np
import pytest

import fastconv
import reference

METRICS = (
    "braycurtis", "canberra", "chebyshev", "cityblock", "correlation", "cosine", "dice", "euclidean", "hamming", "jaccard",
    "jensenshannon", "mahalanobis", "minkowski", "rogerstanimoto", "russellrao", "seuclidean", "sokalsneath", "sqeuclidean",
    "yule",
)  # fmt: skip
BOOLEAN = ("dice", "hamming", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule")
EDGES = (6, 32, 48, 64, 96, 192, 384, 512, 4096)
PAIRS = 6e7  # times d: what a call may cost
MOST = 60e6  # numbers of an array


def near_edges(rng, most):
    """Draw a size up to `most`: around a block, or any, small ones as often as large ones."""
    if rng.random() < 0.4:
        return int(min(max(rng.choice(EDGES) * rng.integers(1, 4) + rng.integers(-1, 2), 1), most))
    return int(np.exp(rng.uniform(0, np.log(most))))


def draw_sizes(rng):
    d = near_edges(rng, 20 if rng.random() < 0.4 else 5000 if rng.random() < 0.9 else 1_000_000)
    m = near_edges(rng, min(20_000, MOST / d))
    n = near_edges(rng, min(20_000, MOST / d, max(PAIRS * 20 / (m * d), 1)))
    return (m, n, d) if rng.random() < 0.5 else (n, m, d)


def draw_points(rng, shape, metric, kind):
    if metric in BOOLEAN and kind in "?f":
        return (rng.random(shape) < 0.4).astype(bool if kind == "?" else rng.choice(["f2", "f4", "f8"]))
    if kind != "f":
        return rng.integers(0, 100, shape).astype(rng.choice(["u1", "i2", "i4", "u8"]))
    dtype = rng.choice(["f2", "f4", "f8"], p=[0.2, 0.4, 0.4])
    x = rng.random(shape, "f4").astype(dtype)
    return x if metric in ("jensenshannon", "braycurtis") or rng.random() < 0.5 else (x - x.dtype.type(0.5))


def spoil(rng, x, y):
    """Put special rows among ordinary ones: of any size, duplicates, and numbers that are none."""
    if x.dtype.kind != "f" or x.dtype.itemsize == 2:
        return
    range_ = 1e30 if x.dtype.itemsize == 4 else 1e200
    for what in rng.choice(["huge", "tiny", "denormal", "inf", "nan", "twin", "zero"], 2):
        a = x if rng.random() < 0.5 or y.dtype != x.dtype else y
        row = a[..., rng.integers(a.shape[-2]), :]
        if what == "huge":
            row *= range_
        elif what == "tiny":
            row /= range_
        elif what == "denormal":
            row *= np.finfo(a.dtype).smallest_subnormal * 100
        elif what in ("inf", "nan"):
            row[..., rng.integers(a.shape[-1])] = float(what)
        elif what == "twin":
            row[...] = x.reshape(-1, x.shape[-1])[rng.integers(x.shape[-2])].astype(a.dtype)
        else:
            row[...] = 0


def arguments(rng, metric, d):
    if metric == "seuclidean":
        return {"V": rng.uniform(0.5, 2, d)}
    if metric == "mahalanobis":
        root = rng.standard_normal((d, d)) / np.sqrt(d) + np.eye(d)
        return {"VI": root @ root.T}
    kwargs = {"p": float(rng.choice([0.5, 1.5, 2.5, 3, 3.7, 4, 10]))} if metric == "minkowski" else {}
    if metric != "jensenshannon" and rng.random() < 0.3:
        w = rng.random(d)
        w[rng.integers(d)] = 0
        kwargs["w"] = w
    return kwargs


def samples(rng, size, most=6):
    """Return indices of a few rows: the first, the last, around edges and any."""
    edges = [edge + by for edge in (*EDGES, size) for by in (-1, 0) if 0 <= edge + by < size]
    picked = {0, size - 1, *rng.integers(0, size, 2).tolist(), *rng.choice([0, *edges], 4).tolist()}
    return np.array(sorted(picked))[-most:] if size > most else np.arange(size)


def units_of(metric, kwargs, numbers):
    if metric == "minkowski":
        return max(12, 12 / kwargs["p"])
    if metric == "dice" and numbers:
        return 1000  # its denominator cancels
    return {"mahalanobis": 500, "jensenshannon": 30, "yule": 60, "dice": 16}.get(metric, 16)


def assert_near(result, expected, metric, kwargs, numbers):
    info = np.finfo(result.dtype)
    result, expected = np.asarray(result, np.longdouble), np.asarray(expected, np.longdouble)
    nans = np.isnan(result) != np.isnan(expected)
    assert not nans.any(), f"NaN where {expected[nans][:3]} belongs, or the other way round: {result[nans][:3]}"
    size = np.maximum(abs(expected), 1 if metric in ("cosine", "correlation", "dice", "jensenshannon") else 0)
    with np.errstate(all="ignore"):
        allowed = units_of(metric, kwargs, numbers) * info.eps * size + 16 * info.smallest_subnormal
        wrong = (abs(result - expected) > allowed) & (result != expected)
        wrong &= ~(np.isinf(result) & (abs(expected) > float(info.max) / 16))
    assert not wrong.any(), f"{result[wrong][:3]} where {expected[wrong][:3]} belongs, {wrong.sum()} of {wrong.size} sampled"


def draw_call(rng):
    metric = str(rng.choice(METRICS))
    m, n, d = draw_sizes(rng)
    if metric == "mahalanobis":
        d = min(d, 150)
    elif metric in ("jensenshannon", "minkowski"):
        m, n = min(m, 2000), min(n, 2000)
    kind = "?" if metric in BOOLEAN and rng.random() < 0.5 else "f" if rng.random() < 0.8 else "i"
    lead = (int(rng.integers(2, 5)),) if rng.random() < 0.15 and m * n < 1e6 and (m + n) * d < 1e7 else ()
    x, y = draw_points(rng, (*lead, m, d), metric, kind), draw_points(rng, (n, d), metric, kind)
    if x.dtype.itemsize == y.dtype.itemsize > 2 and metric not in BOOLEAN and rng.random() < 0.4:
        spoil(rng, x, y)
    if rng.random() < 0.2:
        x = np.asfortranarray(x)
    kwargs = arguments(rng, metric, d)
    workers = int(rng.choice([1, 2, 3, 5]))
    text = f"{metric} {x.dtype}{x.shape} {y.dtype}{y.shape} workers={workers} {sorted(kwargs)} p={kwargs.get('p')}"
    return metric, x, y, kwargs, workers, text


def check(rng):
    metric, x, y, kwargs, workers, text = draw_call(rng)
    m, n = x.shape[-2], y.shape[-2]
    what = rng.choice(["cdist", "out", "pdist", "knn", "argmin"])
    numbers = "b" not in (x.dtype.kind, y.dtype.kind)
    i, j = samples(rng, m), samples(rng, n)
    try:
        if what == "pdist" and x.ndim == 2 and 1 < m <= 8000:
            result = fastconv.pdist(x, metric, workers=workers, **kwargs)
            rows, cols = np.meshgrid(i, i, indexing="ij")
            rows, cols = rows[rows < cols], cols[rows < cols]
            matrix = reference.cdist(x[i], x[i], metric, **kwargs)
            where = rows * (2 * m - rows - 1) // 2 + cols - rows - 1
            at = {int(v): k for k, v in enumerate(i)}
            expected = np.array([matrix[at[r], at[c]] for r, c in zip(rows.tolist(), cols.tolist(), strict=True)])
            assert_near(result[where], expected, metric, kwargs, numbers)
            return
        if what in ("knn", "argmin") and x.ndim == 2 and m * n < 3e7:
            matrix = fastconv.cdist(x[i], y, metric, workers=1, **kwargs)
            assert_near(matrix[:, j], reference.cdist(x[i], y[j], metric, **kwargs), metric, kwargs, numbers)
            k = int(min(n, np.exp(rng.uniform(0, 6)))) if what == "knn" else 1
            if what == "knn":
                distances, indices = fastconv.knn(x, y, k, metric, workers=workers, **kwargs)
            else:
                indices, distances = (a[:, None] for a in fastconv.pairwise_argmin(x, y, metric, workers=workers, **kwargs))
            np.testing.assert_array_equal(distances[i], np.sort(matrix, axis=1)[:, :k])
            if distances.itemsize > 2:
                np.testing.assert_array_equal(indices[i], np.argsort(matrix, axis=1, kind="stable")[:, :k])
            return
        lead = x.shape[:-2]
        out = None
        if what == "out":
            dtype = fastconv.cdist(x[..., :1, :], y[:1], metric, **kwargs).dtype
            out = np.full((*lead, m + 1, n + int(rng.integers(3))), 7, dtype)[..., :m, :n]
        result = fastconv.cdist(x, y, metric, out=out, workers=workers, **kwargs)
        xs = x[..., i, :]
        assert_near(result[..., i, :][..., j], reference.cdist(xs, y[j], metric, **kwargs), metric, kwargs, numbers)
    except AssertionError as error:
        raise AssertionError(f"{what} {text}: {error}") from error


@pytest.mark.slow
def test_distances_at_real_sizes(real_sizes):
    real_sizes(check, share=0.8)


SLOPES = ("euclidean", "sqeuclidean", "cityblock", "seuclidean", "cosine")


def check_gradient(rng):
    metric = str(rng.choice(SLOPES))
    m, n, d = near_edges(rng, 2000), near_edges(rng, 2000), near_edges(rng, 300 if rng.random() < 0.8 else 20_000)
    m, n = (size if size * d < 3e6 else max(int(3e6 / d), 1) for size in (m, n))
    n = min(n, max(int(1e8 / (m * d)), 1))
    dtype = rng.choice(["f4", "f8"])
    x, y = rng.standard_normal((m, d)).astype(dtype), rng.standard_normal((n, d)).astype(dtype)
    grad = rng.standard_normal((m, n)).astype(dtype)
    kwargs = {"V": rng.uniform(0.5, 2, d)} if metric == "seuclidean" else {}
    a, b = fastconv.cdist_vjp(grad, x, y, metric, workers=int(rng.choice([1, 2, 5])), **kwargs)
    wide = [v.astype(np.float64) for v in (x, y, grad)]
    for pulled, u, v, g in ((a, wide[0], wide[1], wide[2]), (b, wide[1], wide[0], wide[2].T)):
        for row in samples(rng, len(u), 4):
            t = u[row] - v
            w = 1 / kwargs["V"] if kwargs else np.ones(d)
            if metric == "cosine":
                norm, norms = np.sqrt((u[row] ** 2).sum()), np.sqrt((v * v).sum(1, keepdims=True))
                along, across = (v @ u[row])[:, None] * u[row] / (norms * norm**3), v / (norms * norm)
                slope, terms = along - across, abs(along) + abs(across)  # which cancel where points are parallel
            else:
                slope = {"sqeuclidean": 2 * t, "cityblock": np.sign(t)}.get(metric, w * t)
                if metric in ("euclidean", "seuclidean"):
                    slope /= np.sqrt((w * t * t).sum(1, keepdims=True))
                terms = abs(slope)
            scale = abs(g[row])[:, None] * terms
            error, allowed = abs(pulled[row] - g[row] @ slope), 200 * np.finfo(dtype).eps * (scale.sum(0) + scale.max())
            assert (error <= allowed).all(), f"vjp {metric} {dtype} {m} x {n} x {d}, row {row}: {(error / allowed).max()}"


@pytest.mark.slow
def test_gradients_at_real_sizes(real_sizes):
    real_sizes(check_gradient, share=0.2)
