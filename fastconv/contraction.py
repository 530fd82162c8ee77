"""Triple products and tensor contractions. Next hop: _contraction.pyx, which packs blocks and runs the tiles."""
from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from . import _args, _contraction

__all__ = [
    "third_moment",
    "triple_product",
    "unpack_symmetric",
]


def _same(a, b):
    """Whether two arrays are one: the same object, or the same memory read in the same way."""
    return a is b or (
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.strides == b.strides
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


def _float_dtype(**arrays):
    """The real dtype that NumPy gives several named arrays together."""
    (first_name, first), *rest = arrays.items()
    dtype = _args.real_dtype(first, first_name, first, first_name)
    for name, a in rest:
        dtype = np.result_type(dtype, _args.real_dtype(a, name, a, name))
    return dtype


def _matrix(name, value):
    a = _args.array(name, value)
    if a.ndim != 2:
        raise ValueError(f"{name} must have 2 axes, one row of samples for each index, got shape {a.shape}")
    return a


def triple_product(
    a: ArrayLike,
    b: ArrayLike | None = None,
    c: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    packed: bool = False,
    out: np.ndarray | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Sum products of three matrices over their common axis, for every triple of rows.

    ::

        result[i, j, k] = sum_m weights[m] * a[i, m] * b[j, m] * c[k, m]

    Parameters
    ----------
    a : array_like, shape (I, M)
        Of float16, float32 or float64. Any strides, any byte order; it is read in blocks and never copied as a whole.
    b : array_like, shape (J, M), optional
        By default `a`. An array that is the same as another one (the same object or the same memory) is seen to be:
        two that are the same save half of the work, three save five sixths, and the result is symmetric to the bit.
    c : array_like, shape (K, M), optional
        By default `b`.
    weights : array_like, shape (M,), optional
        By default all ones.
    packed : bool, default False
        Return only the entries that are not mirror images; `unpack_symmetric` expands them. It needs `b` and `c` to be
        the same.
    out : ndarray, optional
        Where the result goes: its shape and dtype, any strides. It may overlap the inputs.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.

    Returns
    -------
    ndarray, shape (I, J, K)
        Of the dtype that NumPy gives the arguments together, float16 being computed in float32. With ``packed=True``
        and all three the same: shape (I * (I + 1) * (I + 2) // 6,), the entries with i >= j >= k, k running fastest;
        with only `b` and `c` the same: shape (I, J * (J + 1) // 2), those with j >= k.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For shapes that do not fit, and for ``packed=True`` without the symmetry that it needs.

    Notes
    -----
    No array of I * J * M elements is formed: products of `a` and `b` exist for one block in the first-level cache. Sums
    run in short chains, whose results are added in float64, so float32 results keep float32 accuracy for any M. The same
    bits come out for any number of threads and any memory layout of the same values. The inputs are read once if the
    result has at most 1.3 million entries that are not mirror images, else once for each such part.

    References
    ----------
    K. Domino, P. Gawron and Ł. Pawela, "Efficient computation of higher-order cumulant tensors", arXiv:1701.05420.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> x = np.array([[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]])
    >>> fastconv.triple_product(x)[0]
    array([[36., -8.],
           [-8.,  4.]])
    """
    a = _matrix("a", a)
    b = a if b is None else _matrix("b", b)
    c = b if c is None else _matrix("c", c)
    arrays = {"a": a, "b": b, "c": c}
    if weights is not None:
        weights = arrays["weights"] = _args.array("weights", weights)
    dtype = _float_dtype(**arrays)
    for name, x in (("b", b), ("c", c)):
        if x.shape[1] != a.shape[1]:
            raise ValueError(f"{name} must have as many columns as a, {a.shape[1]}, got shape {x.shape}")
    if weights is not None and weights.shape != a.shape[1:]:
        raise ValueError(f"weights must have shape {a.shape[1:]}, one for each column of a, got shape {weights.shape}")
    return _triple(a, b, c, dtype, weights, None, 1.0, packed, out, workers)


def _triple(a, b, c, dtype, weights, mean, scale, packed, out, workers):
    """`triple_product` of checked arrays, whose axes beyond the first are all summed over."""
    workers = _args.workers(workers)
    ab, bc, ac = _same(a, b), _same(b, c), _same(a, c)
    size_a, size_b, size_c = len(a), len(b), len(c)
    shape = size_a, size_b, size_c
    if packed:
        if not bc:
            raise ValueError("packed=True needs b and c to be the same array: without mirror images nothing is packed")
        pairs = size_b * (size_b + 1) // 2
        shape = (pairs * (size_b + 2) // 3,) if ab else (size_a, pairs)
    inputs = [a, b, c] if weights is None else [a, b, c, weights]
    target, answer = _args.result(out, shape, dtype, *inputs)
    if math.prod(a.shape[1:]) == 0:
        target[...] = 0
    elif target.size:
        # The axes of the result that the driver's lanes, pairs and rows run along.
        if bc:
            roles = (0, 1, 2)
        elif ab:
            roles = (2, 0, 1)
        elif ac:
            roles = (1, 0, 2)
        else:
            roles = sorted(range(3), key=shape.__getitem__)
            roles = roles[1], roles[0], roles[2]
        same = 2 if ab and bc else 1 if ab or bc or ac else 0
        x, y, z = ((a, b, c)[axis] for axis in roles)
        if weights is not None:
            weights = weights[None]
        view = target if packed else target.transpose(roles)
        _contraction.triple_product(x, y, z, same, view, packed, weights, mean, scale, workers)
    if target is not answer:
        answer[...] = target
    return answer


def unpack_symmetric(packed: ArrayLike, n: int) -> np.ndarray:
    """Expand what ``triple_product(..., packed=True)`` returns.

    Parameters
    ----------
    packed : array_like, shape (n * (n + 1) * (n + 2) // 6,) or (..., n * (n + 1) // 2)
        The entries with i >= j >= k, or those with j >= k, the last index running fastest. Of any dtype.
    n : int
        Size of each symmetric axis.

    Returns
    -------
    ndarray, shape (n, n, n) or (..., n, n)
        Of the dtype of `packed`.

    Raises
    ------
    TypeError
        If `n` is not an integer, or `packed` a lazy array.
    ValueError
        If the last axis of `packed` has neither length.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.unpack_symmetric([[1, 2, 3]], 2)
    array([[[1, 2],
            [2, 3]]])
    """
    p = _args.array("packed", packed)
    n = _args.integer("n", n, 0, "an integer >= 0")
    pairs = n * (n + 1) // 2
    i = np.arange(n)
    low, high = np.minimum(i[:, None], i), np.maximum(i[:, None], i)
    index = high * (high + 1) // 2 + low
    if p.ndim == 1 and p.size == pairs * (n + 2) // 3:
        result = np.empty((n, n, n), p.dtype)
        for i in range(n):
            start, size = i * (i + 1) * (i + 2) // 6, i + 1
            plane = p[start : start + (i + 1) * (i + 2) // 2][index[:size, :size]]
            result[i, :size, :size] = plane
            result[:size, i, :size] = plane
            result[:size, :size, i] = plane
        return result
    if p.ndim == 0 or p.shape[-1] != pairs:
        raise ValueError(
            f"packed must have shape ({pairs * (n + 2) // 3},) or (..., {pairs}) for n={n}, got shape {p.shape}"
        )
    return p[..., index]


def third_moment(x: ArrayLike, *, axis: int = -1, center: bool = True, packed: bool = False) -> np.ndarray:
    """Compute the tensor of third moments of several variables: their co-skewness, not normalised.

    ::

        result[i, j, k] = mean over m of (x[i, m] - mean[i]) * (x[j, m] - mean[j]) * (x[k, m] - mean[k])

    Parameters
    ----------
    x : array_like, shape (N, M), or (M, N) with ``axis=0``
        M samples of N variables, of float16, float32 or float64.
    axis : int, default -1
        The axis of the samples.
    center : bool, default True
        Subtract the mean of each variable. False gives the raw moments.
    packed : bool, default False
        Return only the entries with i >= j >= k, which `unpack_symmetric` expands.

    Returns
    -------
    ndarray, shape (N, N, N), or (N * (N + 1) * (N + 2) // 6,) if packed
        Of the dtype of `x`, symmetric to the bit. NaN if there are no samples.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        If `x` does not have 2 axes or `axis` is not one of them.

    Notes
    -----
    The mean is formed in float64 and subtracted while blocks are packed; see `triple_product` for the rest.

    References
    ----------
    K. Domino, P. Gawron and Ł. Pawela, "Efficient computation of higher-order cumulant tensors", arXiv:1701.05420.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.third_moment(np.array([[0.0, 0.0, 3.0]]))
    array([[[2.]]])
    """
    a = _matrix("x", x)
    axis = _axis("axis", axis, 2)
    a = a.T if axis == 0 else a
    dtype = _float_dtype(x=a)
    n, m = a.shape
    if m == 0:
        return np.full(n * (n + 1) * (n + 2) // 6 if packed else (n, n, n), np.nan, dtype)
    mean = a.mean(axis=1, dtype=np.float64) if center else None
    return _triple(a, a, a, dtype, None, mean, 1 / m, packed, None, None)


def _axis(name, value, ndim):
    """`value` as the index of one of `ndim` axes, counted from the first."""
    what = f"an axis of {ndim}, {-ndim} to {ndim - 1}"
    axis = _args.integer(name, value, -ndim, what)
    if axis >= ndim:
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return axis % ndim
