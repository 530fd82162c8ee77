"""Arguments as scipy.ndimage reads them: sequences with one value for each axis, outputs, footprints, what lies outside.

Wrong ones raise what SciPy raises for them. Next hop: reduce(), which hands everything to `fastconv.neighborhood_reduce`.
"""
from __future__ import annotations

import contextlib
import functools
import operator
import types
import warnings
from collections.abc import Iterable

import numpy as np

from .._face import args as _args
from ..neighborhood import neighborhood_reduce

REPEATING = {"reflect", "grid-mirror", "mirror", "nearest", "wrap", "grid-wrap"}  # modes in which outside is what is inside
_MODES = REPEATING | {"constant", "grid-constant"}
_SCALARS, _MEMBERS = {int, float, str, types.NoneType}, {int, str}  # types whose equal values mean the same
_NOTHING = contextlib.nullcontext()

# What parameters of one name have in common, for docstrings: {name} on a line of its own stands for these.
_PARAMETERS = {
    "input": """input : array_like
        Of bool, an integer, float16, float32 or float64.""",
    "input_complex": """input : array_like
        Of bool, an integer, float16, float32, float64 or complex.""",
    "size_footprint": """size : int or sequence of int, optional
        Lengths of a box, one for each of `axes`. Ignored if there is a footprint.
    footprint : array_like of bool, optional
        The cells of a window of any other shape.""",
    "structure": """structure : array_like, optional
        What is added to the cells (dilation) or taken from them (erosion); its shape is that of the window if there is no
        footprint.""",
    "binary_structure": """structure : array_like of bool, optional
        The structuring element; by default a pixel and its direct neighbours.""",
    "output": """output : ndarray or dtype, optional
        Where the result goes, which may overlap the input, or its dtype; by default that of the input.""",
    "output_binary": """output : ndarray, optional
        Where the result goes, which may overlap the input; by default a new array of bool.""",
    "mode": """mode : str, default "reflect"
        What lies outside, for 2 pixels on the left of ``a b c d``: "reflect" ``b a | a b c d``, "mirror" ``c b | a b c d``,
        "nearest" ``a a | a b c d``, "wrap" ``c d | a b c d``, "constant" `cval`.""",
    "modes": """mode : str or sequence of str, default "reflect"
        What lies outside, for 2 pixels on the left of ``a b c d``: "reflect" ``b a | a b c d``, "mirror" ``c b | a b c d``,
        "nearest" ``a a | a b c d``, "wrap" ``c d | a b c d``, "constant" `cval`. One for each of `axes`, or for all.""",
    "cval": """cval : float, default 0.0
        What lies outside with ``mode="constant"``.""",
    "axis": """axis : int, default -1
        The axis to work along.""",
    "origin": """origin : int, default 0
        Shifts the window: its pixel is cell ``size // 2 + origin``.""",
    "origins": """origin : int or sequence of int, default 0
        Shifts the window: its pixel is cell ``size // 2 + origin``, on each axis.""",
    "axes": """axes : int, tuple of int or None, default None
        The axes to work along; all by default.""",
    "iterations": """iterations : int, default 1
        How often; less than 1: until nothing changes.""",
    "mask": """mask : array_like, optional
        The pixels that may change; all by default.""",
    "border_value": """border_value : int, default 0
        What lies outside the image: 0 or 1.""",
    "brute_force": """brute_force : bool, default False
        Has no effect; SciPy's two ways have the same result.""",
    "extra": """extra_arguments : sequence, optional
        Further arguments of the function.
    extra_keywords : dict, optional
        Its keyword arguments.""",
    "nan_policy": """nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        As in `fastconv.neighborhood_reduce`.""",
    "workers": """workers : int, optional
        Threads for this call; by default as many as `fastconv.get_num_threads` says if the work is worth it, else one.""",
    "returns": """Returns
    -------
    ndarray
        Of the input's shape: `output`, if that is an array.""",
}  # fmt: skip


def documented(function):
    """The function with its docstring's ``{name}`` filled in."""
    if function.__doc__:
        for name, text in _PARAMETERS.items():
            function.__doc__ = function.__doc__.replace(f"{{{name}}}", text)
    return function


def remembered(function):
    """The function of arguments alone, whose answers for numbers, words, None and tuples of integers and words are remembered and
    must not be changed: an image may be so small that its filter takes less time than reading the arguments does."""
    known = functools.lru_cache(256, typed=True)(function)

    @functools.wraps(function)
    def answer(*args):
        for one in args:
            kind = type(one)
            if kind not in _SCALARS and not (kind is tuple and _MEMBERS.issuperset(map(type, one))):
                return function(*args)
        return known(*args)

    return answer


# ---- arrays ----


def array(name, value):
    """`value` as an ndarray; what a masked array hides counts, as for SciPy."""
    return _args.array(name, _args.unmasked(value)[0])


def real(name, value):
    """`value` as an array that is not complex."""
    x = value if type(value) is np.ndarray else array(name, value)
    if x.dtype.kind == "c":
        raise TypeError(f"{name} has dtype {x.dtype}: Complex type not supported")
    return x


def native(dtype):
    """A dtype in the machine's byte order."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def supported(name, x):
    """RuntimeError for an array of a dtype that there are no windows of."""
    if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
        raise RuntimeError(f"{name} has dtype {x.dtype}, which is not supported; it may be boolean, integer, float16, float32 or "
                           "float64")


def output_for(output, input, complex_output=False, stacklevel=3):
    """The array that `output` (an array, a dtype or None) asks for, of the shape of `input`."""
    if output is None:
        kind = native(input.dtype)
        return _args.empty(input.shape, np.promote_types(kind, np.complex64) if complex_output else kind)
    if isinstance(output, (type, np.dtype)):
        if complex_output and np.dtype(output).kind != "c":
            warnings.warn("promoting specified output dtype to complex", stacklevel=stacklevel)
            output = np.promote_types(output, np.complex64)
        return _args.empty(input.shape, np.dtype(output))
    if isinstance(output, str):
        kind = np.dtype(output)
        if complex_output and kind.kind != "c":
            raise RuntimeError(f"output must have complex dtype, got {output!r}")
        if not issubclass(kind.type, np.number):
            raise RuntimeError(f"output must have numeric dtype, got {output!r}")
        return _args.empty(input.shape, kind)
    output = np.asarray(output)
    if output.shape != input.shape:
        raise RuntimeError(f"output shape not correct: {output.shape}; it must be that of input, {input.shape}")
    if complex_output and output.dtype.kind != "c":
        raise RuntimeError(f"output must have complex dtype, got {output.dtype}")
    return output


def between(output):
    """Where results lie between the axes: `output`, or bytes for booleans, since negative numbers and sums are none there."""
    return np.zeros(output.shape, np.uint8) if output.dtype == np.bool_ else output


# ---- axes, and what there is one of for each ----


def axis_of(axis, ndim):
    """`axis` from 0, or AxisError."""
    return np.lib.array_utils.normalize_axis_index(axis, ndim)


def axes_of(axes, ndim):
    """Different axes from 0, all if `axes` is None."""
    if axes is None:
        return tuple(range(ndim))
    if np.isscalar(axes):
        axes = (axes,)
    elif not isinstance(axes, Iterable):
        raise ValueError(f"axes must be an integer, iterable of integers, or None, got {axes!r}")
    axes = tuple(operator.index(axis) for axis in axes)
    for axis in axes:
        if not -ndim <= axis < ndim:
            raise np.exceptions.AxisError(f"specified axis: {axis} is out of range for an input of {ndim} axes")
    axes = tuple(axis % ndim for axis in axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"axes must be unique, got {axes}")
    return axes


def each(name, value, count):
    """A list of `count` values: those of a sequence, or the same one for all."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise RuntimeError(f"{name}: sequence argument must have length equal to input rank, {count}, got {value!r}")
    return values


def all_origins(origin, axes, ndim):
    """An origin for each of `ndim` axes: those given for `axes`, 0 for the others."""
    given = dict(zip(axes, each("origin", origin, len(axes)), strict=True))
    return [given.get(axis, 0) for axis in range(ndim)]


def all_axes(name, cells, axes, ndim):
    """`cells`, which lie along `axes`, as an array of `ndim` axes none of which is empty."""
    found = cells
    if len(axes) < ndim:
        if cells.ndim != len(axes):
            raise RuntimeError(f"{name}.ndim ({cells.ndim}) must match len(axes) ({len(axes)})")
        found = np.expand_dims(cells, tuple(axis for axis in range(ndim) if axis not in axes))
    if found.ndim != ndim or not found.size:
        raise RuntimeError(f"{name}.ndim ({cells.ndim}) must match len(axes) ({len(axes)}), and no axis of it may be empty")
    return found


def check_origins(origins, shape):
    """ValueError for an origin that moves a window of a shape off its pixel."""
    for number, length in zip(origins, shape, strict=True):
        if not 0 <= length // 2 + number < length:
            raise ValueError(f"invalid origin: {number}; for a window of {length} it must be from {-(length // 2)} to "
                             f"{(length - 1) // 2}")


def mirrored(cells, origins):
    """Cells and origins of the window that sees the pixels whose windows see this one's."""
    return cells[(slice(None, None, -1),) * cells.ndim], mirrored_origins(cells.shape, origins)


def mirrored_origins(shape, origins):
    """The origins of the mirrored window of a shape."""
    return [-number - (0 if length & 1 else 1) for length, number in zip(shape, origins, strict=True)]


def window_of(size, footprint, axes, ndim):
    """The cells of a window on `ndim` axes, from a size or a footprint."""
    if footprint is not None:
        cells = np.asarray(footprint, bool)
    elif size is None:
        raise RuntimeError("no footprint or filter size provided")
    else:
        cells = np.broadcast_to(np.True_, each("size", size, len(axes)))
    return all_axes("footprint", cells, axes, ndim)


def one_mode(mode):
    """`mode`, which must be one word."""
    if not isinstance(mode, str) and isinstance(mode, Iterable):
        raise RuntimeError(f"A sequence of modes is not supported where the window is no box, got {mode!r}")
    return check_mode(mode)


def check_mode(mode):
    """`mode`, which must be a word for what lies outside."""
    if not isinstance(mode, str) or mode not in _MODES:
        raise RuntimeError(f"boundary mode not supported: {mode!r}; it may be {', '.join(sorted(_MODES))}")
    return mode


def outside(x, mode, cval, as_input=False):
    """(x, cval) such that cval is a number that an element of x can be: x in double precision if need be, or, where that is
    asked for, cval converted to its dtype."""
    if isinstance(cval, (str, bytes)):
        raise TypeError(f"cval must be a real number, got {cval!r}")
    number = cval if type(cval) is int else float(cval)
    if mode not in ("constant", "grid-constant"):
        return x, 0.0
    if x.dtype.kind not in "bui":
        return x, float(number)
    low, high = (0, 1) if x.dtype.kind == "b" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    if low <= number <= high and number == int(number):
        return x, float(number) if abs(number) < 2**53 else int(number)  # floats are what plans are remembered by
    if not as_input:
        return x.astype(np.float64), float(number)
    with np.errstate(invalid="ignore"):
        return x, float(np.float64(number).astype(x.dtype))


# ---- windows ----


@remembered
def box(ndim, size, origin, axes):
    """(cells, origins, how many cells) of a box on `ndim` axes."""
    axes = axes_of(axes, ndim)
    cells = window_of(size, None, axes, ndim)
    origins = all_origins(origin, axes, ndim)
    check_origins(origins, cells.shape)
    return cells, tuple(origins), cells.size


def converted(values, dtype):
    """What C makes of doubles where they are stored as another dtype: integers are cut off, and wrap around if they are few bits
    too large. In functions that are compiled."""
    if dtype.kind == "b":
        return values.astype(np.int32).astype(np.uint8) != 0
    if dtype.kind in "iu" and dtype.itemsize < 8:
        values = values.astype(np.int64 if dtype == np.uint32 else np.int32)
    return values.astype(dtype.newbyteorder("="))


def reduce(x, reduction, output, kind=None, **window):
    """Fill `output`, which may overlap `x`, with the results of a reduction; `kind` is their dtype where the reduction does not
    leave that of `output` itself."""
    same = kind is None or kind == output.dtype
    # The names' own kernels warn of nothing: only what NumPy computes here and in functions does, and a `cval` out of range.
    quiet = same and not callable(reduction) and not window.get("cval")
    with _NOTHING if quiet else np.errstate(invalid="ignore", over="ignore"):
        if same:
            neighborhood_reduce(x, reduction, out=output, dtype=output.dtype, **window)
        else:
            output[...] = converted(neighborhood_reduce(x, reduction, dtype=kind, **window), output.dtype)
    return output
