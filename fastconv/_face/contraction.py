"""What the face of the contractions does around its drivers: it finds out which operands are the same, and cuts up what has to
be copied, cast or computed apart, so that drivers get real arrays and memory is bounded.

The arithmetic that is left here is not that of the operations: means are summed in longdouble, which no kernel has, over copies
of blocks; complex numbers become pairs of real ones; halves of sums too long to be copied whole are added, and gradients of one
argument; columns of factors with infinities are found. Next hops: _drivers/contraction/triple.pyx, mode_dot.pyx and mttkrp.pyx.
"""

import math

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.contraction import mode_dot as _mode_dot
from .._drivers.contraction import mttkrp as _mttkrp
from .._drivers.contraction import triple as _triple
from . import args as _args

_SLAB_ROWS = 4096
_BLOCK_ITEMS = 1 << 17  # of arrays that are copied, cast or compared block by block
_COPY_BYTES = 4 << 20  # of a matrix whose rows the drivers cannot read as they are, and of results that are formed apart
_CAREFUL_COLUMNS = 64  # of factors with infinities, together

_runtime.face_seams("contraction", globals(), "_SLAB_ROWS", "_BLOCK_ITEMS", "_COPY_BYTES", "_CAREFUL_COLUMNS")


def one_array(a, b):
    """Whether two arrays are one: the same object, or the same memory read in the same way."""
    return a is b or (
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.strides == b.strides
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


def equal_arrays(a, b, dtype):
    """Whether two arrays hold the same numbers in `dtype`; they are compared up to the first difference."""
    if a.shape != b.shape or one_array(a, b) or a.size == 0:
        return a.shape == b.shape
    x, y = a.item(0), b.item(0)
    if x != y and x == x:
        return False
    words = f"u{dtype.itemsize}"
    blocks = np.nditer((a, b), ["external_loop", "buffered"], op_dtypes=[dtype, dtype], buffersize=_BLOCK_ITEMS)
    return all((x.view(words) == y.view(words)).all() for x, y in blocks)


def float_dtype(**arrays):
    """The real dtype that NumPy gives several named arrays together."""
    (first_name, first), *rest = arrays.items()
    dtype = _args.real_dtype(first, first_name, first, first_name)
    for name, a in rest:
        dtype = np.result_type(dtype, _args.real_dtype(a, name, a, name))
    return dtype


def matrix(name, value):
    a = _args.array(name, value)
    if a.ndim != 2:
        raise ValueError(f"{name} must have 2 axes, one row of samples for each index, got shape {a.shape}")
    return a


def axis_of(name, value, ndim):
    """`value` as the index of one of `ndim` axes, counted from the first."""
    what = f"an axis of {ndim}, {-ndim} to {ndim - 1}"
    axis = _args.integer(name, value, -ndim, what)
    if axis >= ndim:
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return axis % ndim


def operands(a, b, c):
    """The three matrices, those left out being the ones before; an object given twice is one array."""
    first = matrix("a", a)
    second = first if b is None or b is a else matrix("b", b)
    if c is None or c is b:
        return first, second, second
    return first, second, first if c is a else matrix("c", c)


def triple_product(a, b, c, dtype, weights, mean, scale, packed, out, workers, compare=True):
    """`triple_product` of checked arrays, whose axes beyond the first are all summed over.

    Without `compare` arrays that are the same are not looked for.
    """
    workers = _args.workers(workers)
    ab, bc = (compare and equal_arrays(x, y, dtype) for x, y in ((a, b), (b, c)))
    ac = ab if bc else compare and not ab and equal_arrays(a, c, dtype)
    shape = len(a), len(b), len(c)
    if packed:
        pairs = len(b) * (len(b) + 1) // 2
        shape = (pairs * (len(b) + 2) // 3,) if one_array(a, b) else (len(a), pairs)
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
                _triple.triple_product(x[first], y, z[last], same, part, packed, weights, mean, scale, workers)
    if target is not answer:
        answer[...] = target
    return answer


def _slabs(rows, cut):
    """Slices of at most _SLAB_ROWS rows, or one."""
    step = _SLAB_ROWS if cut else rows
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def unpack_triples(p, n):
    """The entries with i >= j >= k of a symmetric array and their mirror images, a block of rows of a plane after the other."""
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


def row_means(a):
    """Means in float64, from copies of blocks of columns: their sums are the same for any strides."""
    n, m = a.shape
    step = max(_BLOCK_ITEMS // max(n, 1), 1)
    total = np.zeros(n, np.longdouble)
    for start in range(0, m, step):
        total += np.array(a[:, start : start + step], np.float64, order="C").sum(axis=1)
    return (total / m).astype(np.float64)


def mttkrp(t, factors, axis, dtype):
    """`mttkrp` of checked arrays."""
    others = [n for n in range(t.ndim) if n != axis]
    columns = factors[others[0]].shape[1]
    result, _ = _args.result(None, (t.shape[axis], columns), dtype)
    if t.size and columns:
        turned, matrices = t.transpose(axis, *others), [factors[n] for n in others]
        _mttkrp.mttkrp(turned, matrices, result, axis == t.ndim - 1, False, None)
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
                _mttkrp.mttkrp(turned[rows], columns, part, False, True, None)
                result[rows, near] = part[:, near - first]
    else:
        result[...] = 0
    return result


def triple_product_vjp(g, operands, given, dtype):
    """`mttkrp` of g for each of three checked operands, by blocks; that of one not given is added to that of the one before."""
    grads = [_args.result(None, x.shape, dtype)[0] for x, own in zip(operands, given, strict=True) if own]
    step = max(_BLOCK_ITEMS // max(*map(len, operands), 1), 1)
    for start in range(0, operands[0].shape[1], step):
        part = [x[:, start : start + step] for x in operands]
        for axis in range(3):
            target = grads[sum(given[: axis + 1]) - 1][:, start : start + step]
            one = mttkrp(g, part, axis, dtype)
            if given[axis]:
                target[...] = one
            else:
                target += one
    return tuple(grads)


def mode_axis(t, m, mode):
    """The axis that `mode` names, once the shapes of `mode_dot` are checked."""
    if t.ndim == 0:
        raise ValueError("tensor must have at least 1 axis, got a scalar")
    if m.ndim not in (1, 2):
        raise ValueError(f"vector_or_matrix must have 1 or 2 axes, (n,) or (r, n), got shape {m.shape}")
    axis = axis_of("mode", mode, t.ndim)
    if m.shape[-1] != t.shape[axis]:
        raise ValueError(
            f"vector_or_matrix of shape {m.shape} must have as many columns as tensor of shape {t.shape} has entries "
            f"along mode {mode}, {t.shape[axis]}"
        )
    return axis


def product_dtype(t, m):
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


def mode_dot(t, m, out, last, alone, workers):
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
            mode_dot(t, m[slab], out[..., slab], last, alone, workers)
    elif n > 1 and ((row_bytes > _COPY_BYTES and (copied or kind not in "iu")) or (cast and n > _BLOCK_ITEMS)):
        middle = n // 2 // 64 * 64 or n // 2
        sums = np.empty((2, *out.shape), np.result_type(real, out.dtype))
        for half, part in zip(sums, (slice(middle), slice(middle, n)), strict=True):
            mode_dot(t[..., part], m[:, part], half, last, alone, workers)
        np.add(*sums, out=out, casting="same_kind")
    elif cast and t.size > max(_BLOCK_ITEMS, n):
        axis = max((k for k in range(t.ndim - 1) if t.shape[k] > 1), key=lambda k: abs(t.strides[k]))
        middle = t.shape[axis] // 2 // 64 * 64 or t.shape[axis] // 2
        for part in (slice(middle), slice(middle, None)):
            block = (slice(None),) * axis + (part,)
            mode_dot(t[block], m, out[block], last, alone, workers)
    else:
        _mode_dot_block(t.astype(real) if cast else t, m, out, real, last, alone, workers)


def _mode_dot_block(t, m, out, real, last, alone, workers):
    """`mode_dot` of what the driver takes, complex numbers as pairs of real ones."""
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
    _mode_dot.mode_dot(t, summed, np.ascontiguousarray(m, real), out, results, last, alone, workers)


def _parts(a):
    """A view of a complex array whose last, additional axis holds the real and the imaginary part."""
    real = a.real
    return np.lib.stride_tricks.as_strided(real, (*a.shape, 2), (*a.strides, real.itemsize))
