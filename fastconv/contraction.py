"""Triple products and tensor contractions. Next hop: _drivers/contraction/triple.pyx and modes.pyx, the latter for one axis."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ._drivers import runtime as _runtime
from ._drivers.contraction import modes as _contraction_modes
from ._drivers.contraction import triple as _contraction
from ._face import args as _args

__all__ = [
    "mode_dot",
    "mode_dot_vjp",
    "mttkrp",
    "third_moment",
    "triple_product",
    "triple_product_vjp",
    "unpack_symmetric",
]


_SLAB_ROWS = 4096
_BLOCK_ITEMS = 1 << 17  # of arrays that are copied, cast or compared block by block
_COPY_BYTES = 4 << 20  # of a matrix whose rows the drivers cannot read as they are, and of results that are formed apart
_CAREFUL_COLUMNS = 64  # of factors with infinities, together

_runtime.face_seams("contraction", globals(), "_SLAB_ROWS", "_BLOCK_ITEMS", "_COPY_BYTES", "_CAREFUL_COLUMNS")


def _same(a, b):
    """Whether two arrays are one: the same object, or the same memory read in the same way."""
    return a is b or (
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.strides == b.strides
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


def _equal(a, b, dtype):
    """Whether two arrays hold the same numbers in `dtype`; they are compared up to the first difference."""
    if a.shape != b.shape or _same(a, b) or a.size == 0:
        return a.shape == b.shape
    x, y = a.item(0), b.item(0)
    if x != y and x == x:
        return False
    words = f"u{dtype.itemsize}"
    blocks = np.nditer((a, b), ["external_loop", "buffered"], op_dtypes=[dtype, dtype], buffersize=_BLOCK_ITEMS)
    return all((x.view(words) == y.view(words)).all() for x, y in blocks)


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


def _operands(a, b, c):
    """The three matrices, those left out being the ones before; an object given twice is one array."""
    first = _matrix("a", a)
    second = first if b is None or b is a else _matrix("b", b)
    if c is None or c is b:
        return first, second, second
    return first, second, first if c is a else _matrix("c", c)


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
    a, b, c = _operands(a, b, c)
    arrays = {"a": a, "b": b, "c": c}
    if weights is not None:
        weights = arrays["weights"] = _args.array("weights", weights)
    dtype = _float_dtype(**arrays)
    for name, x in (("b", b), ("c", c)):
        if x.shape[1] != a.shape[1]:
            raise ValueError(f"{name} must have as many columns as a, {a.shape[1]}, got shape {x.shape}")
    if weights is not None and weights.shape != a.shape[1:]:
        raise ValueError(f"weights must have shape {a.shape[1:]}, one for each column of a, got shape {weights.shape}")
    packed = _args.flag("packed", packed)
    if packed and not _same(b, c):
        raise ValueError("packed=True needs b and c to be the same array: without mirror images nothing is packed")
    return _triple(a, b, c, dtype, weights, None, 1.0, packed, out, workers)


def _triple(a, b, c, dtype, weights, mean, scale, packed, out, workers, compare=True):
    """`triple_product` of checked arrays, whose axes beyond the first are all summed over.

    Without `compare` arrays that are the same are not looked for.
    """
    workers = _args.workers(workers)
    ab, bc = (compare and _equal(x, y, dtype) for x, y in ((a, b), (b, c)))
    ac = ab if bc else compare and not ab and _equal(a, c, dtype)
    shape = len(a), len(b), len(c)
    if packed:
        pairs = len(b) * (len(b) + 1) // 2
        shape = (pairs * (len(b) + 2) // 3,) if _same(a, b) else (len(a), pairs)
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
        # Slabs of operands that need not be whole bound the memory for packing.
        for first in _slabs(len(x), same < 2):
            for last in _slabs(len(z), same == 0):
                part = view if same == 2 else view[first] if same else view[first, :, last]
                _contraction.triple_product(x[first], y, z[last], same, part, packed, weights, mean, scale, workers)
    if target is not answer:
        answer[...] = target
    return answer


def _slabs(rows, cut):
    """Slices of at most _SLAB_ROWS rows, or one."""
    step = _SLAB_ROWS if cut else rows
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


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
        i = np.arange(n)
        result = np.empty((n, n, n), p.dtype)
        step = max(_BLOCK_ITEMS // max(n, 1), 1)
        for first in range(0, n, step):
            j = i[first : first + step, None]
            high = np.maximum(i, j)
            index = high * (high + 1) // 2 + np.minimum(i, j)
            for k in range(first, n):
                plane = p[k * (k + 1) * (k + 2) // 6 :][index[: k + 1 - first, : k + 1]]
                rows = slice(first, first + len(plane))
                result[k, rows, : k + 1] = plane
                result[rows, k, : k + 1] = plane
                result[rows, : k + 1, k] = plane
        return result
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
    a = _matrix("x", x)
    axis = _axis("axis", axis, 2)
    center, packed = _args.flag("center", center), _args.flag("packed", packed)
    a = a.T if axis == 0 else a
    dtype = _float_dtype(x=a)
    n, m = a.shape
    if m == 0:
        return np.full(n * (n + 1) * (n + 2) // 6 if packed else (n, n, n), np.nan, dtype)
    mean = _row_means(a) if center else None
    return _triple(a, a, a, dtype, None, mean, 1 / m, packed, None, None)


def _row_means(a):
    """Means in float64, from copies of blocks of columns: their sums are the same for any strides."""
    n, m = a.shape
    step = max(_BLOCK_ITEMS // max(n, 1), 1)
    total = np.zeros(n, np.longdouble)
    for start in range(0, m, step):
        total += np.array(a[:, start : start + step], np.float64, order="C").sum(axis=1)
    return (total / m).astype(np.float64)


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
    a, b, c = _operands(a, b, c)
    if g.shape != (len(a), len(b), len(c)):
        raise ValueError(f"grad must have the shape of the result, {(len(a), len(b), len(c))}, got shape {g.shape}")
    dtype = _float_dtype(grad=g, a=a, b=b, c=c)
    for name, x in (("b", b), ("c", c)):
        if x.shape[1] != a.shape[1]:
            raise ValueError(f"{name} must have as many columns as a, {a.shape[1]}, got shape {x.shape}")
    grads = [_args.result(None, x.shape, dtype)[0] for x, own in zip((a, b, c), given, strict=True) if own]
    step = max(_BLOCK_ITEMS // max(len(a), len(b), len(c), 1), 1)
    for start in range(0, a.shape[1], step):
        part = [x[:, start : start + step] for x in (a, b, c)]
        for axis in range(3):
            target = grads[sum(given[: axis + 1]) - 1][:, start : start + step]
            one = _mttkrp(g, part, axis, dtype)
            if given[axis]:
                target[...] = one
            else:
                target += one
    return tuple(grads)


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
    axis = _axis("mode", mode, t.ndim)
    if len(factors) != t.ndim:
        raise ValueError(f"factors must be {t.ndim} matrices, one for each axis of tensor, got {len(factors)}")
    names = {n: f"factors[{n}]" for n in range(t.ndim) if n != axis}
    matrices = {n: _matrix(name, factors[n]) for n, name in names.items()}
    dtype = _float_dtype(tensor=t, **{names[n]: m for n, m in matrices.items()})
    columns = next(iter(matrices.values())).shape[1]
    for n, m in matrices.items():
        if m.shape != (t.shape[n], columns):
            raise ValueError(f"{names[n]} must have shape {(t.shape[n], columns)}, got shape {m.shape}")
    return _mttkrp(t, matrices, axis, dtype)


def _mttkrp(t, factors, axis, dtype):
    """`mttkrp` of checked arrays."""
    others = [n for n in range(t.ndim) if n != axis]
    columns = factors[others[0]].shape[1]
    result, _ = _args.result(None, (t.shape[axis], columns), dtype)
    if t.size and columns:
        turned, matrices = t.transpose(axis, *others), [factors[n] for n in others]
        _contraction_modes.mttkrp(turned, matrices, result, axis == t.ndim - 1, False, None)
        with np.errstate(all="ignore"):
            sums = sum(f.sum(axis=0, dtype=np.float64) for f in matrices[:-1]) + np.zeros(columns)
        careful = np.flatnonzero(~np.isfinite(sums))
        while len(careful):
            # The last factor meets the others' infinities before its products are summed, for a few columns and rows at a time.
            first = careful[0]
            near, careful = np.split(careful, [np.searchsorted(careful, first + _CAREFUL_COLUMNS)])
            columns = [f[:, first : near[-1] + 1] for f in matrices]
            step = max(_COPY_BYTES // (columns[0].shape[1] * dtype.itemsize), 1)
            for start in range(0, len(result), step):
                rows = slice(start, start + step)
                part = np.empty((len(result[rows]), columns[0].shape[1]), dtype)
                _contraction_modes.mttkrp(turned[rows], columns, part, False, True, None)
                result[rows, near] = part[:, near - first]
    else:
        result[...] = 0
    return result


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
    dtype = _product_dtype(t, m)
    axis = _mode_axis(t, m, mode)
    workers = _args.workers(workers)
    shape = (*t.shape[:axis], *m.shape[:-1], *t.shape[axis + 1 :])
    target, answer = _args.result(out, shape, dtype, t, m)
    if t.shape[axis] == 0:
        target[...] = 0
    elif target.size:
        view = target[..., None] if m.ndim == 1 else np.moveaxis(target, axis, -1)
        _contract(np.moveaxis(t, axis, -1), np.atleast_2d(m), view, axis == t.ndim - 1, m.ndim == 1 or len(m) == 1, workers)
    if target is not answer:
        answer[...] = target
    return answer


def _mode_axis(t, m, mode):
    """The axis that `mode` names, once the shapes of `mode_dot` are checked."""
    if t.ndim == 0:
        raise ValueError("tensor must have at least 1 axis, got a scalar")
    if m.ndim not in (1, 2):
        raise ValueError(f"vector_or_matrix must have 1 or 2 axes, (n,) or (r, n), got shape {m.shape}")
    axis = _axis("mode", mode, t.ndim)
    if m.shape[-1] != t.shape[axis]:
        raise ValueError(
            f"vector_or_matrix of shape {m.shape} must have as many columns as tensor of shape {t.shape} has entries "
            f"along mode {mode}, {t.shape[axis]}"
        )
    return axis


def _product_dtype(t, m):
    """The dtype of `mode_dot`."""
    for name, a in (("tensor", t), ("vector_or_matrix", m)):
        if a.dtype.kind not in "biufc" or a.dtype.itemsize > (16 if a.dtype.kind == "c" else 8):
            raise TypeError(
                f"{name} has dtype {a.dtype}; it may be bool, an integer, float16, float32, float64, complex64 or "
                "complex128"
            )
    if t.dtype.kind in "biu" and m.dtype.kind in "biu":
        return np.dtype(np.uint64 if t.dtype.kind == m.dtype.kind == "u" else np.int64)
    return np.result_type(t.dtype.newbyteorder("="), m.dtype.newbyteorder("="))


def _contract(t, m, out, last, alone, workers):
    """out[..., r] = sum_n m[r, n] * t[..., n], in real and integer arrays, of which no more is copied at a time than is allowed.

    `last`: n is the user's last axis; `alone`: the whole matrix has one row. How a sum is cut depends on
    shapes and dtypes alone, not on what is copied: so the bits do not.
    """
    kind, size, n = out.dtype.kind, out.dtype.itemsize, m.shape[1]
    real = out.dtype if kind != "c" and size >= 4 else np.dtype(f"f{max(size // (2 if kind == 'c' else 1), 4)}")
    cast = kind not in "iu" and t.dtype.kind in "biu"
    row_bytes = n * real.itemsize
    if m.dtype.kind == "c":
        row_bytes *= 4 if t.dtype.kind == "c" else 2
    copied = not (m.dtype == real and m.flags.c_contiguous)
    rows = min(max(_COPY_BYTES // row_bytes, 1), _SLAB_ROWS) if copied else _SLAB_ROWS
    if rows < len(m):
        for start in range(0, len(m), rows):
            slab = slice(start, start + rows)
            _contract(t, m[slab], out[..., slab], last, alone, workers)
    elif n > 1 and ((row_bytes > _COPY_BYTES and (copied or kind not in "iu")) or (cast and n > _BLOCK_ITEMS)):
        middle = n // 2 // 64 * 64 or n // 2
        sums = np.empty((2, *out.shape), np.result_type(real, out.dtype))
        for half, part in zip(sums, (slice(middle), slice(middle, n)), strict=True):
            _contract(t[..., part], m[:, part], half, last, alone, workers)
        np.add(*sums, out=out, casting="same_kind")
    elif cast and t.size > max(_BLOCK_ITEMS, n):
        axis = max((k for k in range(t.ndim - 1) if t.shape[k] > 1), key=lambda k: abs(t.strides[k]))
        middle = t.shape[axis] // 2 // 64 * 64 or t.shape[axis] // 2
        for part in (slice(middle), slice(middle, None)):
            block = (slice(None),) * axis + (part,)
            _contract(t[block], m, out[block], last, alone, workers)
    else:
        _contract_block(t.astype(real) if cast else t, m, out, real, last, alone, workers)


def _contract_block(t, m, out, real, last, alone, workers):
    """`_contract` of what the driver takes, complex numbers as pairs of real ones."""
    summed = results = 1
    if t.dtype.kind == "b":
        t = t.view(np.uint8)
    if out.dtype.kind == "c":
        out = _parts(out)  # (..., r, 2)
        if m.dtype.kind != "c":
            t, out = (np.moveaxis(x, -1, -2) for x in (_parts(t), out))
        elif t.dtype.kind == "c":
            whole = np.empty((len(m), 2, m.shape[1], 2), real)
            whole[:, 0, :, 0] = whole[:, 1, :, 1] = m.real
            whole[:, 1, :, 0] = m.imag
            np.multiply(m.imag, -1, out=whole[:, 0, :, 1])  # np.negative errs with some steps in NumPy 2.4
            t, m, summed, results = _parts(t), whole.reshape(2 * len(m), -1), 2, 2
        else:
            m, results = np.stack([m.real, m.imag], axis=1).reshape(2 * len(m), -1), 2
    alone = alone and len(m) == 1  # of real numbers
    _contraction_modes.mode_dot(t, summed, np.ascontiguousarray(m, real), out, results, last, alone, workers)


def _parts(a):
    """A view of a complex array whose last, additional axis holds the real and the imaginary part."""
    real = a.real
    return np.lib.stride_tricks.as_strided(real, (*a.shape, 2), (*a.strides, real.itemsize))


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
    dtype = _float_dtype(grad=g, tensor=t, vector_or_matrix=m)
    axis = _mode_axis(t, m, mode)
    shape = (*t.shape[:axis], *m.shape[:-1], *t.shape[axis + 1 :])
    if g.shape != shape:
        raise ValueError(f"grad must have the shape of the result, {shape}, got shape {g.shape}")
    rows = np.atleast_2d(m)
    g = g if m.ndim == 2 else np.expand_dims(g, axis)
    first, _ = _args.result(None, t.shape, dtype)
    if first.size and len(rows):
        _contract(np.moveaxis(g, axis, -1), rows.T, np.moveaxis(first, axis, -1), axis == t.ndim - 1, t.shape[axis] == 1, None)
    else:
        first[...] = 0
    g, t = np.moveaxis(g, axis, 0), np.moveaxis(t, axis, 0)
    ones = np.broadcast_to(dtype.type(1), (1, *t.shape[1:]))
    second = _triple(ones, g, t, dtype, None, None, 1.0, False, None, None, compare=False)
    return first, second.reshape(m.shape)


def _axis(name, value, ndim):
    """`value` as the index of one of `ndim` axes, counted from the first."""
    what = f"an axis of {ndim}, {-ndim} to {ndim - 1}"
    axis = _args.integer(name, value, -ndim, what)
    if axis >= ndim:
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return axis % ndim
