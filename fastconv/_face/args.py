"""The only validator: every check of shapes, dtypes, paddings, ``out`` and overlap that the faces make.

Each function takes the argument's name, so that messages say which argument, what it was and what it may be.
"""
import math
import operator
import sys

import numpy as np

from .._drivers import runtime as _runtime

LINE_BYTES = 64
ALIGNED_BYTES = 64 << 10
MOST_THREADS = 1 << 15
MOST_PIXELS = 1 << 48  # of a padded axis: index arithmetic on them stays within 64 bits
NATIVE = {np.dtype(t) for t in (np.float16, np.float32, np.float64)}
SHORT = {np.dtype(t) for t in (np.int8, np.uint8, np.int16, np.uint16)}  # integers whose products are summed in 32 bits
NUMBERS = NATIVE | SHORT | {np.dtype(t) for t in ("?", "i4", "u4", "i8", "u8", "c8", "c16")}
_ARRAYS = ("__array__", "__array_interface__", "__array_struct__", "__buffer__")
PADDINGS = ("VALID", "SAME", "SAME_LOWER", "FULL")
_runtime.face_seams("runtime", globals(), "ALIGNED_BYTES")


def _is_masked_array(value):
    """Whether `value` is an array of numpy.ma, which is loaded if there is one."""
    return isinstance(value, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ()))


def unmasked(value):
    """(`value`, or the array below a masked one; which values that hides, None for none of them)."""
    if type(value) is np.ndarray or not _is_masked_array(value):
        return value, None
    mask = np.ma.getmask(value)
    return value.view(np.ndarray), mask if mask is not np.ma.nomask and (mask.dtype.names or mask.any()) else None


def _none_hidden(name, value):
    """`value`, or the array below a masked one, which must not hide any value: drivers see all."""
    value, hidden = unmasked(value)
    if hidden is not None:
        raise ValueError(f"{name} is a masked array that hides values, which would count here; give {name}.filled(value)")
    return value


def array(name, value):
    """`value` as an ndarray, without a copy where NumPy can do without."""
    if type(value) is np.ndarray:
        return value
    value = _none_hidden(name, value)
    if hasattr(value, "__dask_graph__"):
        raise TypeError(f"{name} is a lazy array ({type(value).__name__}): use fastconv.dask, or compute it first")
    if hasattr(value, "__dlpack__") and not any(hasattr(value, name) for name in _ARRAYS):
        return np.from_dlpack(value)
    try:
        return np.asarray(value)
    except ValueError as error:
        if isinstance(value, (list, tuple)):
            raise ValueError(f"{name} must be an array or nested lists of one shape: {error}") from None
        raise


def ndarray(name, value):
    """`value`, which must be an ndarray itself."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(value).__name__}")
    return value


def real_dtype(first, first_name, second, second_name):
    """The real dtype that NumPy gives two arrays together."""
    if first.dtype is second.dtype and first.dtype in NATIVE:
        return first.dtype
    for name, a in ((first_name, first), (second_name, second)):
        if a.dtype.newbyteorder("=") not in NATIVE:
            raise TypeError(f"{name} has dtype {a.dtype}; it may be float16, float32 or float64")
    return np.result_type(first.dtype.newbyteorder("="), second.dtype.newbyteorder("="))


def sum_dtype(first, first_name, second, second_name):
    """The dtype of sums of products of two arrays: the one that NumPy gives them together, but int32 or int64 for integers."""
    if first.dtype is second.dtype and first.dtype in NATIVE:
        return first.dtype
    types = []
    for name, a in ((first_name, first), (second_name, second)):
        types.append(a.dtype.newbyteorder("="))
        if types[-1] not in NUMBERS:
            raise TypeError(
                f"{name} has dtype {a.dtype}; it may be boolean, an integer, float16, float32, float64, complex64 or complex128"
            )
    if all(one.kind in "biu" for one in types):
        return np.dtype(np.int32 if SHORT.issuperset(types) else np.int64)
    return np.result_type(*types)


def element(name, value, dtype):
    """`value` as a Python number like those of an input of `dtype`: an int that it holds, a float, a complex number."""
    if dtype.kind not in "biu":
        if dtype.kind == "c" and isinstance(value, (complex, np.complexfloating)):
            return complex(value)
        return real(name, value)
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    number = value if isinstance(value, (int, np.integer)) else real(name, value)
    if not least <= number <= most or number != int(number):
        raise ValueError(f"{name} must be an integer from {least} to {most} for an input of {dtype}, got {value!r}")
    return int(number)


def integer(name, value, least, what, most=sys.maxsize):
    """`value` as an int from `least` to `most`."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {what}, got {value!r}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return number


def real(name, value):
    """`value` as a float."""
    if type(value) is float:
        return value
    value = _none_hidden(name, value)
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float can hold, got one beyond {sys.float_info.max:.3g}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None


def flag(name, value):
    """`value`, which must be a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def _is_row(value):
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def pair(name, value):
    """A positive integer, or one for each of the two spatial axes."""
    what = "a positive integer or a pair of them"
    if type(value) is int and value > 0:
        return value, value
    if _is_row(value):
        if len(value) != 2:
            raise ValueError(f"{name} must be {what}, got {value!r}")
        return integer(name, value[0], 1, what), integer(name, value[1], 1, what)
    number = integer(name, value, 1, what)
    return number, number


def choice(name, value, allowed):
    """The entry of the dict `allowed` that `value` names."""
    try:
        return allowed[value]
    except (KeyError, TypeError):
        kind = ValueError if value is None or isinstance(value, str) else TypeError
        raise kind(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}") from None


def padding(value, sizes, extents, strides):
    """((top, bottom), (left, right)) for a padding word, an int, a pair or two pairs.

    `extents` are the dilated filter sizes. "SAME" follows TensorFlow: ceil(size / stride) outputs, the odd pixel after;
    "SAME_LOWER" puts it before.
    """
    what = f"one of {', '.join(PADDINGS)}, an integer, (h, w) or ((top, bottom), (left, right)) of integers >= 0"
    if isinstance(value, str):
        word = value.upper()
        if word == "VALID":
            return (0, 0), (0, 0)
        if word == "FULL":
            return tuple((max(extent - 1, 0),) * 2 for extent in extents)
        if word not in PADDINGS:
            raise ValueError(f"padding must be {what}, got {value!r}")
        pads = []
        for size, extent, stride in zip(sizes, extents, strides, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
            pads.append((total // 2, total - total // 2) if word == "SAME" else (total - total // 2, total // 2))
        return tuple(pads)
    if not isinstance(value, (tuple, list)) and np.ndim(value) == 0:
        number = integer("padding", value, 0, what)
        return (number, number), (number, number)
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise ValueError(f"padding must be {what}, got {value!r}")
    pads = []
    for side in value:
        both = side if _is_row(side) else (side, side)
        if len(both) != 2:
            raise ValueError(f"padding must be {what}, got {value!r}")
        if any(_is_row(number) for number in both):
            raise TypeError(f"padding must be {what}, got {value!r}")
        pads.append(tuple(integer("padding", number, 0, what) for number in both))
    return tuple(pads)


def workers(value):
    """None, or a positive number of threads."""
    what = f"None or a positive integer up to {MOST_THREADS}"
    return None if value is None else integer("workers", value, 1, what, MOST_THREADS)


def empty(shape, dtype):
    """A new array; a large one begins on a cache line, so that no vector stored to it crosses two (up to 15 % of a call)."""
    size = math.prod(shape)
    if size * dtype.itemsize < ALIGNED_BYTES:
        return np.empty(shape, dtype)
    memory = np.empty(size + LINE_BYTES // dtype.itemsize, dtype)
    start = -_runtime.address(memory) % LINE_BYTES // dtype.itemsize
    return memory[start : start + size].reshape(shape)


def result(out, shape, dtype, *inputs):
    """(array to compute into, array to return): new, or `out` itself, or a temporary where `out` overlaps an input."""
    if math.prod(shape) * dtype.itemsize > sys.maxsize:
        raise ValueError(f"the result would have shape {shape}, more bytes than an array can have; make input smaller")
    if out is None:
        new = empty(shape, dtype)
        return new, new
    target = out if type(out) is np.ndarray else _none_hidden("out", ndarray("out", out))
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; it must have the shape of the result, {shape}")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}; it must have the dtype of the result, {dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; it must be writeable")
    for one in inputs:
        if one is not None and np.may_share_memory(out, one):
            return np.empty(shape, dtype), out
    return target, out
