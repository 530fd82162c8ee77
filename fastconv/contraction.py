"""Triple products and tensor contractions. Next hop: _face/contraction.py, which cuts up operands for the drivers."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ._face import args as _args
from ._face import contraction as _contraction

__all__ = [
    "mode_dot",
    "mode_dot_vjp",
    "mttkrp",
    "third_moment",
    "triple_product",
    "triple_product_vjp",
    "unpack_symmetric",
]


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
        By default `a`. An array that is the same as another one (the same object, the same memory or the same numbers:
        arrays of one shape are compared up to the first difference) is seen to be: two that are the same save half of
        the work, three save five sixths, and the result is symmetric to the bit.
    c : array_like, shape (K, M), optional
        By default `b`.
    weights : array_like, shape (M,), optional
        By default all ones.
    packed : bool, default False
        Return only the entries that are not mirror images; `unpack_symmetric` expands them. It needs `b` and `c` to be
        the same object or the same memory.
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
        For masked arrays that hide values.
        For shapes that do not fit, and for ``packed=True`` without the symmetry that it needs.

    Notes
    -----
    No array of I * J * M elements is formed: products of `a` and `b` exist for one block in the first-level cache. Sums
    run in short chains, and what many of those add up to is kept in twice the precision, so the error does not grow
    with M: it is at most 120 u times the sum of the absolute values of the products, u being the unit roundoff of the
    dtype (of float32 for float16, which is rounded once more), and seldom more than 4 u. The same bits come out for any
    number of threads and any memory layout of the same values. The inputs are read once if the result has at most 1.3
    million entries that are not mirror images (float64: 650,000), else once for each such part.

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
    a, b, c = _contraction.operands(a, b, c)
    arrays = {"a": a, "b": b, "c": c}
    if weights is not None:
        weights = arrays["weights"] = _args.array("weights", weights)
    dtype = _contraction.float_dtype(**arrays)
    for name, x in (("b", b), ("c", c)):
        if x.shape[1] != a.shape[1]:
            raise ValueError(f"{name} must have as many columns as a, {a.shape[1]}, got shape {x.shape}")
    if weights is not None and weights.shape != a.shape[1:]:
        raise ValueError(f"weights must have shape {a.shape[1:]}, one for each column of a, got shape {weights.shape}")
    packed = _args.flag("packed", packed)
    if packed and not _contraction.one_array(b, c):
        raise ValueError("packed=True needs b and c to be the same array: without mirror images nothing is packed")
    return _contraction.triple_product(a, b, c, dtype, weights, None, 1.0, packed, out, workers)


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
        For masked arrays that hide values.
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
    if p.ndim == 1 and p.size == pairs * (n + 2) // 3:
        return _contraction.unpack_triples(p, n)
    if p.ndim == 0 or p.shape[-1] != pairs:
        raise ValueError(
            f"packed must have shape ({pairs * (n + 2) // 3},) or (..., {pairs}) for n={n}, got shape {p.shape}"
        )
    result = np.empty((*p.shape[:-1], n, n), p.dtype)
    for j in range(n):
        row = p[..., j * (j + 1) // 2 :][..., : j + 1]
        result[..., j, : j + 1] = row
        result[..., : j + 1, j] = row
    return result


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
        For masked arrays that hide values.
        If `x` does not have 2 axes or `axis` is not one of them.

    Notes
    -----
    The mean is formed in float64 and subtracted while blocks are packed, with one rounding to the dtype; see
    `triple_product`, whose bound holds for what is left, for the rest.

    References
    ----------
    K. Domino, P. Gawron and Ł. Pawela, "Efficient computation of higher-order cumulant tensors", arXiv:1701.05420.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.third_moment(np.array([[0.0, 0.0, 3.0]]))
    array([[[2.]]])
    """
    a = _contraction.matrix("x", x)
    axis = _contraction.axis_of("axis", axis, 2)
    center, packed = _args.flag("center", center), _args.flag("packed", packed)
    a = a.T if axis == 0 else a
    dtype = _contraction.float_dtype(x=a)
    n, m = a.shape
    if m == 0:
        return np.full(n * (n + 1) * (n + 2) // 6 if packed else (n, n, n), np.nan, dtype)
    mean = _contraction.row_means(a) if center else None
    return _contraction.triple_product(a, a, a, dtype, None, mean, 1 / m, packed, None, None)


def triple_product_vjp(
    grad: ArrayLike, a: ArrayLike, b: ArrayLike | None = None, c: ArrayLike | None = None
) -> tuple[np.ndarray, ...]:
    """Gradients of a scalar by the arguments of `triple_product`, given its gradient by the result.

    ::

        grad_a[i, m] = sum_{j,k} grad[i, j, k] * b[j, m] * c[k, m]        and likewise for b and c

    Parameters
    ----------
    grad : array_like, shape (I, J, K)
        Of float16, float32 or float64, not necessarily symmetric.
    a : array_like, shape (I, M)
        As given to `triple_product`.
    b : array_like, shape (J, M), optional
        By default `a`.
    c : array_like, shape (K, M), optional
        By default `b`.

    Returns
    -------
    tuple of ndarray
        One gradient for each of `a`, `b` and `c` that is given, of its shape and of the dtype that NumPy gives the
        arguments together. Those of arguments left out are added to that of the argument they stand for.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit.

    Notes
    -----
    Each gradient is `mttkrp` of `grad`.

    References
    ----------
    T. G. Kolda and B. W. Bader, "Tensor decompositions and applications", SIAM Review 51 (2009), section 2.6.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.triple_product_vjp(np.ones((1, 1, 1)), np.array([[2.0, 3.0]]))[0]
    array([[12., 27.]])
    """
    g = _args.array("grad", grad)
    given = [value is not None for value in (a, b, c)]
    a, b, c = _contraction.operands(a, b, c)
    if g.shape != (len(a), len(b), len(c)):
        raise ValueError(f"grad must have the shape of the result, {(len(a), len(b), len(c))}, got shape {g.shape}")
    dtype = _contraction.float_dtype(grad=g, a=a, b=b, c=c)
    for name, x in (("b", b), ("c", c)):
        if x.shape[1] != a.shape[1]:
            raise ValueError(f"{name} must have as many columns as a, {a.shape[1]}, got shape {x.shape}")
    return _contraction.triple_product_vjp(g, (a, b, c), given, dtype)


def mttkrp(tensor: ArrayLike, factors: Sequence[ArrayLike | None], mode: int) -> np.ndarray:
    """Multiply an unfolded tensor with the Khatri-Rao product of matrices, which is never formed.

    For a tensor of three axes and mode 0::

        result[i, r] = sum_{j,k} tensor[i, j, k] * factors[1][j, r] * factors[2][k, r]

    Parameters
    ----------
    tensor : array_like, 2 axes or more
        Of float16, float32 or float64. Any strides, any byte order; it is read where it is.
    factors : sequence of array_like, shapes (tensor.shape[n], R)
        One matrix for each axis of the tensor. That of `mode` is not used and may be None.
    mode : int
        The axis that is not summed over.

    Returns
    -------
    ndarray, shape (tensor.shape[mode], R)
        Of the dtype that NumPy gives the arguments together, float16 being computed in float32.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit and for a mode that the tensor does not have.

    Notes
    -----
    tensorly has it as ``unfolding_dot_khatri_rao(tensor, (None, factors), mode)``. The last axis other than `mode` is
    contracted first, in registers; the other factors scale what comes out. The error does not grow with the number of
    terms: it is at most 260 + N unit roundoffs of the dtype, for N axes, times the sum of the absolute values of the
    products, and seldom more than 4 (of float32 for float16, which is rounded once more). The same bits come out for
    any number of threads and any memory layout of the same values.

    References
    ----------
    T. G. Kolda and B. W. Bader, "Tensor decompositions and applications", SIAM Review 51 (2009), section 2.6.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.mttkrp(np.ones((2, 3, 4)), [None, np.ones((3, 1)), np.ones((4, 1))], 0)
    array([[12.],
           [12.]])
    """
    t = _args.array("tensor", tensor)
    if t.ndim < 2:
        raise ValueError(f"tensor must have at least 2 axes, got shape {t.shape}")
    if hasattr(factors, "__array__") or not isinstance(factors, Sequence):
        raise TypeError(f"factors must be a list of matrices, one for each axis of tensor, not {type(factors)}")
    axis = _contraction.axis_of("mode", mode, t.ndim)
    if len(factors) != t.ndim:
        raise ValueError(f"factors must be {t.ndim} matrices, one for each axis of tensor, got {len(factors)}")
    names = {n: f"factors[{n}]" for n in range(t.ndim) if n != axis}
    matrices = {n: _contraction.matrix(name, factors[n]) for n, name in names.items()}
    dtype = _contraction.float_dtype(tensor=t, **{names[n]: m for n, m in matrices.items()})
    columns = next(iter(matrices.values())).shape[1]
    for n, m in matrices.items():
        if m.shape != (t.shape[n], columns):
            raise ValueError(f"{names[n]} must have shape {(t.shape[n], columns)}, got shape {m.shape}")
    return _contraction.mttkrp(t, matrices, axis, dtype)


def mode_dot(
    tensor: ArrayLike,
    vector_or_matrix: ArrayLike,
    mode: int = 0,
    *,
    out: np.ndarray | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Multiply a tensor with a vector, or with each row of a matrix, along one axis.

    For a tensor of three axes and mode 0::

        result[j, k] = sum_i vector[i] * tensor[i, j, k]
        result[r, j, k] = sum_i matrix[r, i] * tensor[i, j, k]

    Parameters
    ----------
    tensor : array_like, 1 axis or more
        Of any integer dtype, bool, float16, float32, float64, complex64 or complex128. Any strides, any byte order; it
        is read once, where it is, whatever the mode.
    vector_or_matrix : array_like, shape (n,) or (r, n), n = tensor.shape[mode]
        Of any of the same dtypes.
    mode : int, default 0
        The axis that is summed over.
    out : ndarray, optional
        Where the result goes: its shape and dtype, any strides. It may overlap the inputs.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.

    Returns
    -------
    ndarray
        The shape of the tensor without axis `mode`, or with r entries there. Floating point and complex: the dtype that
        NumPy gives the arguments together, float16 being computed in float32. Integers and bool: uint64 if both are
        unsigned, else int64, exact modulo 2^64.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit and for a mode that the tensor does not have.

    Notes
    -----
    The same bits come out for any number of threads and any memory layout of the same values. The error of floating
    point sums does not grow with n: it is at most 200 u times the sum of the absolute values of the terms, u being the
    unit roundoff of the dtype (of float32 for float16, which is rounded once more), and seldom more than 4 u; real and
    imaginary parts are sums of their own.

    References
    ----------
    C. S. Başsoy, "Design of a high-performance tensor-vector multiplication with BLAS", ICCS 2019.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.mode_dot(np.arange(8.0).reshape(2, 2, 2), [1.0, 10.0])
    array([[40., 51.],
           [62., 73.]])
    """
    t = _args.array("tensor", tensor)
    m = _args.array("vector_or_matrix", vector_or_matrix)
    dtype = _contraction.product_dtype(t, m)
    axis = _contraction.mode_axis(t, m, mode)
    workers = _args.workers(workers)
    shape = (*t.shape[:axis], *m.shape[:-1], *t.shape[axis + 1 :])
    target, answer = _args.result(out, shape, dtype, t, m)
    if t.shape[axis] == 0:
        target[...] = 0
    elif target.size:
        view = target[..., None] if m.ndim == 1 else np.moveaxis(target, axis, -1)
        alone = m.ndim == 1 or len(m) == 1
        _contraction.mode_dot(np.moveaxis(t, axis, -1), np.atleast_2d(m), view, axis == t.ndim - 1, alone, workers)
    if target is not answer:
        answer[...] = target
    return answer


def mode_dot_vjp(
    grad: ArrayLike, tensor: ArrayLike, vector_or_matrix: ArrayLike, mode: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of a scalar by the arguments of `mode_dot`, given its gradient by the result.

    For a tensor of three axes and mode 0::

        grad_tensor[i, j, k] = sum_r grad[r, j, k] * matrix[r, i]        (without r for a vector)
        grad_matrix[r, i] = sum_{j,k} grad[r, j, k] * tensor[i, j, k]

    Parameters
    ----------
    grad : array_like, shape of the result
        Of float16, float32 or float64.
    tensor : array_like
        As given to `mode_dot`, of float16, float32 or float64.
    vector_or_matrix : array_like, shape (n,) or (r, n), n = tensor.shape[mode]
        As given to `mode_dot`, of float16, float32 or float64.
    mode : int, default 0
        The axis that was summed over.

    Returns
    -------
    grad_tensor, grad_vector_or_matrix : ndarray
        Of the shapes of the arguments and the dtype that NumPy gives all three together.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For masked arrays that hide values.
        For shapes that do not fit and for a mode that the tensor does not have.

    References
    ----------
    T. G. Kolda and B. W. Bader, "Tensor decompositions and applications", SIAM Review 51 (2009), section 2.5.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.mode_dot_vjp(np.ones(2), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0]))
    (array([[5., 5.],
           [6., 6.]]), array([3., 7.]))
    """
    g = _args.array("grad", grad)
    t = _args.array("tensor", tensor)
    m = _args.array("vector_or_matrix", vector_or_matrix)
    dtype = _contraction.float_dtype(grad=g, tensor=t, vector_or_matrix=m)
    axis = _contraction.mode_axis(t, m, mode)
    shape = (*t.shape[:axis], *m.shape[:-1], *t.shape[axis + 1 :])
    if g.shape != shape:
        raise ValueError(f"grad must have the shape of the result, {shape}, got shape {g.shape}")
    rows = np.atleast_2d(m)
    g = g if m.ndim == 2 else np.expand_dims(g, axis)
    first, _ = _args.result(None, t.shape, dtype)
    if first.size and len(rows):
        view, alone = np.moveaxis(first, axis, -1), t.shape[axis] == 1
        _contraction.mode_dot(np.moveaxis(g, axis, -1), rows.T, view, axis == t.ndim - 1, alone, None)
    else:
        first[...] = 0
    g, t = np.moveaxis(g, axis, 0), np.moveaxis(t, axis, 0)
    ones = np.broadcast_to(dtype.type(1), (1, *t.shape[1:]))
    second = _contraction.triple_product(ones, g, t, dtype, None, None, 1.0, False, None, None, compare=False)
    return first, second.reshape(m.shape)


