"""Distances between all pairs of points, in batches. Next hops: _face/metrics.py, which knows the
metrics, and _drivers/distance/pairs.pyx, nearest.pyx and gradients.pyx, which cut the pairs into blocks."""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._drivers import runtime as _runtime
from ._drivers.distance import nearest as _neighbors
from ._drivers.distance import pairs as _pairs
from ._face import args as _args
from ._face import distances as _distances
from ._face import metrics as _metrics
from .runtime import get_num_threads

__all__ = ["cdist", "cdist_vjp", "knn", "pairwise_argmin", "pdist", "squareform"]

_PART_BYTES = 1 << 20  # results of parts of the data where the queries of knn are few; rows that squareform compares at once
_FEW_QUERIES = 6  # fewer for each thread: the data are split
_PART_POINTS = 4096  # of the data, at least, for each thread
_MOST_AXES = 34
_runtime.face_seams("distance", globals(), "_PART_BYTES", "_FEW_QUERIES", "_PART_POINTS")


def cdist(
    XA: ArrayLike,
    XB: ArrayLike,
    metric: str | Callable = "euclidean",
    *,
    out: np.ndarray | None = None,
    dtype: DTypeLike | None = None,
    workers: int | None = None,
    **kwargs: object,
) -> np.ndarray:
    """Compute the distance between each pair of two collections of points.

    ``out[..., i, j] = d(XA[..., i, :], XB[..., j, :])``, with sums over the numbers of u and v, and w = 1 by default:

    ================  ==========================================================================================
    euclidean         sqrt(sum w (u - v)^2); sqeuclidean: without the root
    cityblock         sum w abs(u - v)
    chebyshev         max abs(u - v) where w > 0
    minkowski         (sum w abs(u - v)^p)^(1/p), p = 2 by default
    seuclidean        sqrt(sum (u - v)^2 / V), V by default the variance (ddof 1) of all points
    mahalanobis       sqrt((u - v) VI (u - v)'), VI by default the inverse covariance of all points
    canberra          sum w abs(u - v) / (abs(u) + abs(v)), 0 / 0 counting as 0
    braycurtis        sum w abs(u - v) / sum w abs(u + v)
    cosine            1 - u.v / (norm(u) norm(v)), weighted by w; correlation: after subtracting each point's mean
    jensenshannon     sqrt((KL(p, m) + KL(q, m)) / 2), p and q the points over their sums, m their mean
    hamming           share of w where u != v (also called matching)
    jaccard           n(u != v) / n(u or v), 0 for 0 / 0: of booleans, as those below; other numbers count as != 0
    rogerstanimoto    2 n(u != v) / (n + n(u != v))
    russellrao        (n - n(u and v)) / n
    sokalsneath       2 n(u != v) / (n(u and v) + 2 n(u != v))
    yule              2 tf ft / (tt ff + tf ft), 0 where tf ft = 0
    dice              n(u != v) / (2 n(u and v) + n(u != v)); of numbers: sum u (1 - v) + v (1 - u) and sum u v
    ================  ==========================================================================================

    Parameters
    ----------
    XA : array_like, shape (..., m, d)
        Points of float16, float32, float64, integers or booleans. Any strides, any byte order; never copied as a whole.
    XB : array_like, shape (..., n, d)
        Points. The leading axes of both are batch and broadcast.
    metric : str or callable, default "euclidean"
        One of the above, in any case, SciPy's short names included, or a function of two points (SciPy's own too, with
        the arguments given: ``scipy.spatial.distance.seuclidean`` and ``mahalanobis`` then need V and VI).
    out : ndarray, shape (..., m, n), optional
        Where the result goes: its shape and dtype, any strides. It may overlap the inputs.
    dtype : dtype, optional
        float16, float32 or float64 for the result.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.
    kwargs : optional
        What the metric takes: ``w``, weights >= 0 of shape (d,), for all but seuclidean, mahalanobis and jensenshannon;
        ``p`` >= 0 (of 0 the limit: 0, 1 or infinity where the weight of what differs is below, at or above 1); ``V`` of
        shape (d,); ``VI`` of shape (d, d). A callable gets them all.

    Returns
    -------
    ndarray, shape (..., m, n)
        float32 for float32 points, float16 (computed in float32) for float16, else float64.

    Raises
    ------
    TypeError
        For complex, object and lazy arrays, and for arguments that the metric does not take.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit, unknown metrics, and values that an argument cannot take.

    Notes
    -----
    Differences are formed before they are squared or summed, so points far from the origin lose no accuracy, and sums
    in chains of 32, whose groups of 512 are added in two words, so that errors do not grow with d. ``cdist(X, X)``
    does half the work and is symmetric to the bit.
    The same bits come out for any number of threads, any batch split and any memory layout.
    Memory beyond arguments and result is at most 16 MiB and 4 MiB a thread, which w and V of up to two million numbers
    fit in; a VI that is not contiguous or not of float64 is copied.

    Where SciPy is not accurate, the results differ: cosine and correlation of nearly parallel points do not cancel;
    euclidean and minkowski do not over- or underflow where the distance itself does not; and
    chebyshev, hamming and jensenshannon of a NaN are NaN; weighted dice of numbers is the formula above.
    mahalanobis of a point with an infinite number is NaN or infinite; points are multiplied by a factor of VI in two
    words, and where they are nearer to each other than 2^-40 (float32: 2^-22) of their sizes their difference is, which
    takes d^2 steps for each such pair. A VI of more than 8 MiB or that is not positive definite has no factor: the form
    is added up in double precision, the error of its square is at most a few eps of abs(u - v) abs(VI) abs(u - v)', as
    SciPy's is, and a negative sum is NaN.
    General powers (minkowski with other p than 1, 2, inf, 3, 4 and halves up to 7.5) have an error of up to
    max(8, 8 / p) units in the last place; from p = 1e18 on the distance is the largest difference.

    References
    ----------
    SciPy, ``scipy.spatial.distance``, whose definitions these are.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.cdist([[0.0, 0.0]], [[3.0, 4.0], [6.0, 8.0]])
    array([[ 5., 10.]])
    """
    if out is None and dtype is None and workers is None and not kwargs and type(metric) is str:
        quick = _pairs.small(XA, XB, metric)
        if quick is not None:
            return quick
    xa, xb = _args.array("XA", XA), _args.array("XB", XB)
    lead = _shapes("XA", xa, "XB", xb)
    compute, target_dtype = _metrics.dtypes("XA", xa, "XB", xb, dtype)
    workers = _args.workers(workers)
    plan = _metrics.plan(metric, kwargs, xa, xb, compute)
    target, answer = _args.result(out, (*lead, xa.shape[-2], xb.shape[-2]), target_dtype, xa, xb, plan.matrix)
    if target.size:
        if plan.items is not None:
            for a, b, t in plan.items(xa, xb, target):
                cdist(a, b, metric, out=t, dtype=target_dtype, workers=workers, **kwargs)
        elif plan.fill is not None:
            plan.fill(xa, xb, target)
        else:
            _pairs.matrix(xa, xb, target, plan.single, _same(xa, xb), target is out, plan.kernel, workers)
    if target is not answer:
        answer[...] = target
    return answer


def pdist(
    X: ArrayLike,
    metric: str | Callable = "euclidean",
    *,
    out: np.ndarray | None = None,
    dtype: DTypeLike | None = None,
    workers: int | None = None,
    **kwargs: object,
) -> np.ndarray:
    """Compute the distance between each pair of points of one collection, each pair once.

    ``out[..., n * i + j - (i + 2) * (i + 1) // 2] = d(X[..., i, :], X[..., j, :])`` for i < j, d as in `cdist`.

    Parameters
    ----------
    X : array_like, shape (..., n, d)
        Points of float16, float32, float64, integers or booleans; leading axes are batch.
    metric : str or callable, default "euclidean"
        As in `cdist`.
    out : ndarray, shape (..., n * (n - 1) // 2), optional
        Where the result goes: its shape and dtype, any strides.
    dtype : dtype, optional
        float16, float32 or float64 for the result.
    workers : int, optional
        Threads for this call.
    kwargs : optional
        What the metric takes, as in `cdist`.

    Returns
    -------
    ndarray, shape (..., n * (n - 1) // 2)
        In SciPy's order; `squareform` makes a matrix of it. The bits are those of ``cdist(X, X)``.

    Raises
    ------
    TypeError
        For complex, object and lazy arrays, and for arguments that the metric does not take.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit, unknown metrics, and values that an argument cannot take.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.pdist([[0.0], [1.0], [5.0]])
    array([1., 5., 4.])
    """
    x = _args.array("X", X)
    lead = _shapes("X", x, "X", x)
    compute, target_dtype = _metrics.dtypes("X", x, "X", x, dtype)
    workers = _args.workers(workers)
    n = x.shape[-2]
    plan = _metrics.plan(metric, kwargs, x, None, compute)
    target, answer = _args.result(out, (*lead, n * (n - 1) // 2), target_dtype, x, plan.matrix)
    if target.size:
        if plan.items is not None:
            for index in np.ndindex(*lead):
                pdist(x[index], metric, out=target[index], dtype=target_dtype, workers=workers, **kwargs)
        elif plan.fill is not None:
            for index in np.ndindex(*lead):
                points = x[index]
                for i, row in _rows_of_condensed(n):
                    plan.fill(points[i : i + 1], points[i + 1 :], target[index][None, row])
        else:
            _pairs.condensed(x, target, plan.single, plan.kernel, workers)
    if target is not answer:
        answer[...] = target
    return answer


def squareform(X: ArrayLike, force: str = "no", checks: bool = True) -> np.ndarray:
    """Convert a vector of distances, as `pdist` returns it, to a matrix, or back.

    Parameters
    ----------
    X : array_like, shape (n * (n - 1) // 2,) or (..., n, n)
        Distances. With ``force="tomatrix"`` vectors may have leading axes too.
    force : {"no", "tomatrix", "tovector"}, default "no"
        Which way; by default from the number of axes.
    checks : bool, default True
        Check that matrices are symmetric with a zero diagonal.

    Returns
    -------
    ndarray, shape (..., n, n) or (..., n * (n - 1) // 2)
        Of the dtype of `X`.

    Raises
    ------
    ValueError
        For masked arrays that hide values.
        For lengths that are no n * (n - 1) // 2 and matrices that are not square or fail the checks.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.squareform([1, 5, 4])
    array([[0, 1, 5],
           [1, 0, 4],
           [5, 4, 0]])
    """
    x = _args.array("X", X)
    word = force.lower() if isinstance(force, str) else force
    way = _args.choice("force", word, {"no": 0, "tomatrix": 1, "tovector": 2})
    if x.ndim == 0 or (way == 2 and x.ndim < 2):
        raise ValueError(f"X must have at least {1 + (way == 2)} axes, got shape {x.shape}")
    if way == 1 or (way == 0 and x.ndim == 1):
        length = x.shape[-1]
        n = (1 + math.isqrt(1 + 8 * length)) // 2
        if n * (n - 1) // 2 != length:
            raise ValueError(f"X must hold n * (n - 1) // 2 distances for some n, got {length}")
        matrix = np.zeros((*x.shape[:-1], n, n), x.dtype)
        for i, row in _rows_of_condensed(n):
            matrix[..., i, i + 1 :] = x[..., row]
            matrix[..., i + 1 :, i] = x[..., row]
        return matrix
    n = x.shape[-1]
    if x.shape[-2] != n:
        raise ValueError(f"X must be a square matrix, got shape {x.shape}")
    rows = max(_PART_BYTES // max(x[..., :1, :].nbytes, 1), 1)
    parts = [slice(i, i + rows) for i in range(0, n, rows)]
    if checks and not all(np.array_equal(x[..., p, :], np.swapaxes(x[..., p], -1, -2)) for p in parts):
        raise ValueError("X must be symmetric, which it is not; checks=False takes its upper triangle")
    if checks and np.any(np.diagonal(x, axis1=-2, axis2=-1)):
        raise ValueError("X must have zeros on its diagonal, which it has not; checks=False ignores them")
    vector = np.empty((*x.shape[:-2], n * (n - 1) // 2), x.dtype)
    for i, row in _rows_of_condensed(n):
        vector[..., row] = x[..., i, i + 1 :]
    return vector


def knn(
    queries: ArrayLike,
    data: ArrayLike,
    k: int,
    metric: str | Callable = "euclidean",
    *,
    dtype: DTypeLike | None = None,
    workers: int | None = None,
    **kwargs: object,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest points of a collection for each query, exactly, without the matrix of distances.

    Parameters
    ----------
    queries : array_like, shape (..., m, d)
        Points, as `cdist` takes them.
    data : array_like, shape (..., n, d)
        Points to choose from. The leading axes of both are batch and broadcast.
    k : int
        How many, 1 to n.
    metric : str or callable, default "euclidean"
        As in `cdist`.
    dtype : dtype, optional
        float16, float32 or float64 for the distances.
    workers : int, optional
        Threads for this call.
    kwargs : optional
        What the metric takes, as in `cdist`.

    Returns
    -------
    distances : ndarray, shape (..., m, k)
        Ascending, the bits those of `cdist`; NaN last.
    indices : ndarray of intp, shape (..., m, k)
        Rows of `data`; of equal distances the lowest index comes first. Which points are nearest is decided before
        distances are rounded to float16 or `dtype`, in which more of them may be equal.

    Raises
    ------
    TypeError
        For complex, object and lazy arrays, and for arguments that the metric does not take.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit, k out of range, unknown metrics, and values that an argument cannot take.

    Examples
    --------
    >>> import fastconv
    >>> distances, indices = fastconv.knn([[0.0], [5.0]], [[1.0], [4.0], [7.0]], 2)
    >>> indices
    array([[0, 1],
           [1, 2]])
    """
    return _nearest("queries", queries, "data", data, k, metric, dtype, workers, kwargs)


def _nearest(q_name, queries, x_name, data, k, metric, dtype, workers, kwargs):
    """knn, which names its arrays as the caller does."""
    q, x = _args.array(q_name, queries), _args.array(x_name, data)
    lead = _shapes(q_name, q, x_name, x)
    compute, target_dtype = _metrics.dtypes(q_name, q, x_name, x, dtype)
    workers = _args.workers(workers)
    m, n = q.shape[-2], x.shape[-2]
    k = _args.integer("k", k, 1, f"an integer from 1 to the number of points, {n}")
    if k > n:
        raise ValueError(f"k must be an integer from 1 to the number of points, {n}, got {k}")
    plan = _metrics.plan(metric, kwargs, q, x, compute)
    parts = 1
    threads = workers or get_num_threads()
    if plan.kernel is not None and m * math.prod(lead) < _FEW_QUERIES * threads and n >= _PART_POINTS * threads:
        parts = max(min(threads, _PART_BYTES // max(m * math.prod(lead) * k * 16, 1)), 1)
    # Parts are merged before their distances are rounded.
    shape, kind = (parts, *lead, m, k), target_dtype if parts == 1 else plan.compute
    distances, indices = (_args.result(None, shape, np.dtype(t))[0] for t in (kind, np.intp))
    if distances.size:
        if plan.items is not None:
            for a, b, d, i in plan.items(q, x, distances[0], indices[0]):
                d[...], i[...] = knn(a, b, k, metric, dtype=target_dtype, workers=workers, **kwargs)
        elif plan.fill is not None:
            row = np.empty((1, n), plan.compute)
            for a, b, d, i in _metrics.items(q, x, distances[0], indices[0]):
                for j in range(m):
                    plan.fill(a[j : j + 1], b, row)
                    i[j] = np.argsort(row[0], kind="stable")[:k]
                    d[j], i[j] = _distances.rounded(row[0, i[j]], i[j], target_dtype)
        else:
            if parts > 1:
                distances.fill(np.nan)
                indices.fill(n)
            _neighbors.nearest(q, x, distances, indices, plan.single, plan.kernel, workers)
    if parts == 1:
        return distances[0], indices[0]
    return _distances.rounded(*_distances.merged(distances, indices, k), target_dtype)


def pairwise_argmin(
    XA: ArrayLike,
    XB: ArrayLike,
    metric: str | Callable = "euclidean",
    *,
    dtype: DTypeLike | None = None,
    workers: int | None = None,
    **kwargs: object,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest point of one collection for each point of another, without the matrix of distances.

    Parameters
    ----------
    XA : array_like, shape (..., m, d)
        Points, as `cdist` takes them.
    XB : array_like, shape (..., n, d)
        Points to choose from, at least one.
    metric : str or callable, default "euclidean"
        As in `cdist`.
    dtype : dtype, optional
        float16, float32 or float64 for the distances.
    workers : int, optional
        Threads for this call.
    kwargs : optional
        What the metric takes, as in `cdist`.

    Returns
    -------
    indices : ndarray of intp, shape (..., m)
        Rows of `XB`; the lowest of equally near ones, before distances are rounded to float16 or `dtype`.
    distances : ndarray, shape (..., m)
        The bits are those of `cdist`; NaN only where all are.

    Raises
    ------
    TypeError
        For complex, object and lazy arrays, and for arguments that the metric does not take.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit, an empty `XB`, unknown metrics, and values that an argument cannot take.

    Examples
    --------
    >>> import fastconv
    >>> indices, distances = fastconv.pairwise_argmin([[0.0], [6.0]], [[1.0], [4.0]])
    >>> indices, distances
    (array([0, 1]), array([1., 2.]))
    """
    b = _args.array("XB", XB)
    if b.ndim >= 2 and not b.shape[-2]:
        raise ValueError(f"XB must have at least one point, got shape {b.shape}")
    distances, indices = _nearest("XA", XA, "XB", b, 1, metric, dtype, workers, kwargs)
    return indices[..., 0], distances[..., 0]


def cdist_vjp(
    grad: ArrayLike,
    XA: ArrayLike,
    XB: ArrayLike,
    metric: str = "euclidean",
    *,
    workers: int | None = None,
    **kwargs: object,
) -> tuple[np.ndarray, np.ndarray]:
    """Pull a gradient back through `cdist`: its product with the Jacobian.

    ``grad_XA[..., i, :] = sum_j grad[..., i, j] * d cdist(XA, XB)[..., i, j] / d XA[..., i, :]``, and likewise for XB.

    Parameters
    ----------
    grad : array_like, shape (..., m, n)
        The gradient of something with respect to the distances, of the shape that `cdist` returns.
    XA : array_like, shape (..., m, d)
        Points, as `cdist` takes them.
    XB : array_like, shape (..., n, d)
        Points.
    metric : str, default "euclidean"
        One of braycurtis, canberra, chebyshev, cityblock, correlation, cosine, euclidean, jensenshannon, mahalanobis,
        minkowski (p >= 1), seuclidean and sqeuclidean.
    workers : int, optional
        Threads for this call.
    kwargs : optional
        What the metric takes, as in `cdist`; ``V`` and ``VI``, which are constants here, must be given.

    Returns
    -------
    grad_XA : ndarray, of the shape of `XA`
        float32 for float32 points, float16 (computed in float32) for float16, else float64.
    grad_XB : ndarray, of the shape of `XB`
        Summed over the axes along which `XB` was broadcast.

    Raises
    ------
    TypeError
        For complex, object and lazy arrays, and for arguments that the metric does not take.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit and metrics without a gradient.

    Notes
    -----
    Points that coincide (distance 0) contribute 0. Where cityblock, chebyshev, canberra and braycurtis have a corner,
    the contribution is that of 0 for the absolute value, and of the first of several largest differences. Nothing of
    size (m, n, d) is formed.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.cdist_vjp([[1.0]], [[0.0, 0.0]], [[3.0, 4.0]])
    (array([[-0.6, -0.8]]), array([[0.6, 0.8]]))
    """
    g, xa, xb = _args.array("grad", grad), _args.array("XA", XA), _args.array("XB", XB)
    lead = _shapes("XA", xa, "XB", xb)
    compute, target_dtype = _metrics.dtypes("XA", xa, "XB", xb, None)
    _metrics.dtypes("grad", g, "grad", g, None)
    workers = _args.workers(workers)
    shape = (*lead, xa.shape[-2], xb.shape[-2])
    if g.shape != shape:
        raise ValueError(f"grad must have the shape of the distances, {shape}, got shape {g.shape}")
    name = metric.lower() if isinstance(metric, str) else metric
    for argument, metrics in (("V", ("seuclidean", "se", "s")), ("VI", ("mahalanobis", "mahal", "mah"))):
        if name in metrics and kwargs.get(argument) is None:
            raise ValueError(f"{argument} must be given for the gradient of {metric}")
    plan = _metrics.plan(metric, kwargs, xa, xb, compute)
    if plan.fill is not None and "VI" in kwargs and isinstance(metric, str):
        raise ValueError(f"VI must be finite for the gradient of {metric}")
    kind = _metrics.gradient(metric, plan)
    results = []
    for upstream, a, b in ((g, xa, xb), (np.swapaxes(g, -1, -2), xb, xa)):
        results.append(_distances.pull_back(upstream, a, b, lead, kind, plan, workers))
    return tuple(_distances.cast(result, target_dtype) for result in results)


def _rows_of_condensed(n):
    """(i, the slice of a condensed vector that holds the distances of i to all later points)."""
    first = 0
    for i in range(n - 1):
        yield i, slice(first, first + n - 1 - i)
        first += n - 1 - i


def _same(a, b):
    """Whether two arrays are the same values in the same memory."""
    return a is b or (
        a.shape == b.shape
        and a.dtype == b.dtype
        and a.strides == b.strides
        and a.__array_interface__["data"] == b.__array_interface__["data"]
    )


def _shapes(a_name, a, b_name, b):
    """The broadcast leading axes of two collections of points of the same number of dimensions."""
    for name, x in ((a_name, a), (b_name, b)):
        if x.ndim < 2:
            raise ValueError(f"{name} must have at least 2 axes, (..., points, d), got shape {x.shape}")
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"{a_name} has points of {a.shape[-1]} numbers (shape {a.shape}) and {b_name} of {b.shape[-1]} "
            f"(shape {b.shape}); they must have the same d"
        )
    if a.ndim == 2 and b.ndim == 2:
        return ()
    for name, x in ((a_name, a), (b_name, b)):
        if x.ndim > _MOST_AXES:
            raise ValueError(f"{name} may have at most {_MOST_AXES} axes, which NumPy can broadcast, got {x.ndim}")
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(
            f"the leading axes of {a_name}, {a.shape[:-2]}, and of {b_name}, {b.shape[:-2]}, do not broadcast"
        ) from None
