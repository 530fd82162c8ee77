"""Filters by functions of the user. They are those of `fastconv.neighborhood_reduce`, which compiles what it can; here they get
the arguments that SciPy gives them."""
from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._drivers import runtime as _runtime
from .._face import callables as _callables
from ..neighborhood import neighborhood_reduce
from . import _arguments as _args
from ._arguments import documented

_LINE_SIGNATURE = "int (double *, npy_intp, double *, npy_intp, void *)"
_LINES_BYTES = 1 << 20  # of extended lines that are made at once
# NumPy's functions with which neighborhood_reduce does better than to call them.
_NAMED = (np.mean, np.min, np.max, np.var, np.std, np.median)
_PADDING = {"nearest": "edge", "reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "wrap": "wrap",
            "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant"}  # fmt: skip
_runtime.face_seams("ndimage", globals(), "_LINES_BYTES")


# ---- generic_filter ----


def _has_axis(function, arguments, keywords):
    """Whether a function has a parameter `axis` that none of the further arguments takes."""
    try:
        signature = inspect.signature(function)
        bound = signature.bind(None, *arguments, **keywords).arguments
    except (TypeError, ValueError):
        return False
    found = signature.parameters.get("axis")
    return found is not None and found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY) and "axis" not in bound


def _number(result):
    """`result`, which must be a real number, or stand for one."""
    if isinstance(result, (np.ndarray, list, tuple, complex, np.complexfloating)):
        if not isinstance(result, np.ndarray) or result.ndim or result.dtype.kind == "c":
            raise TypeError(f"function must return a real number, got {type(result).__name__} {result!r}")
    return result


def _of_doubles(function, arguments, keywords):
    """The function of windows of doubles, with its further arguments: of blocks of them if it takes an axis."""
    if not arguments and not keywords and any(function is one for one in _NAMED):
        return function
    if _has_axis(function, arguments, keywords):
        return lambda windows, axis: function(windows.astype(np.float64), *arguments, axis=axis, **keywords)
    return lambda window: _number(function(window.astype(np.float64), *arguments, **keywords))


@documented
def generic_filter(
    input: ArrayLike, function: Callable, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    output: np.ndarray | DTypeLike | None = None, mode: str = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, extra_arguments: tuple = (), extra_keywords: dict | None = None, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to a function of the cells of its window.

    The function is compiled where it can be, as `fastconv.neighborhood_reduce` does it, and then called for a few windows only.

    Parameters
    ----------
    {input}
    function : callable
        ``function(window, *extra_arguments, **extra_keywords)`` of a 1-D array of float64 returns a number; one with a parameter
        `axis` gets blocks of windows, one in a row, and ``axis=-1``. Or a compiled function of the signature
        ``int (double *window, npy_intp cells, double *result, void *user_data)``, such as a scipy.LowLevelCallable.
    {size_footprint}
    {output}
    {mode}
    {cval}
    {origins}
    {extra}
    {axes}
    workers : int, optional
        Threads for this call. Functions that are called, compiled or not, are called in one thread unless this is given.

    {returns}
    """
    if size is not None and footprint is not None:
        warnings.warn("ignoring size because footprint is set", UserWarning, stacklevel=2)
    x = _args.real("input", input)
    axes = _args.axes_of(axes, x.ndim)
    cells = _args.window_of(size, footprint, axes, x.ndim)
    origins = _args.all_origins(origin, axes, x.ndim)
    _args.check_origins(origins, cells.shape)
    output = _args.output_for(output, x)
    mode = _args.check_mode(mode)
    _args.supported("input", x)
    _args.supported("output", output)
    if _callables.compiled("function", function) is not None:
        reduction = function
    elif callable(function):
        reduction = _of_doubles(function, extra_arguments, extra_keywords or {})
    else:
        raise ValueError(f"invalid callable given: {function!r}")
    y, outer = _args.outside(x, mode, cval)
    if not cells.any():
        result = np.array([reduction(np.zeros(0)) for _ in range(x.size)], np.float64).reshape(x.shape)
    else:
        result = neighborhood_reduce(
            y, reduction, footprint=cells, mode=mode, cval=outer, origin=tuple(origins), workers=workers,
            dtype=output.dtype if output.dtype.kind == "f" else np.float64, out=output if output.dtype.kind == "f" else None,
        )  # fmt: skip
    if result is not output:
        with np.errstate(invalid="ignore"):
            output[...] = _args.converted(result, output.dtype)
    return output


# ---- generic_filter1d ----


def _places(n, size, origin, mode):
    """(index of the element that each element of a line of `n` becomes when it is extended for a window, which lie outside)."""
    places = np.arange(n + size - 1) - (size // 2 + origin)
    outer = (places < 0) | (places >= n)
    if mode in ("reflect", "grid-mirror"):
        places = places % (2 * n)
        places = np.where(places < n, places, 2 * n - 1 - places)
    elif mode == "mirror":
        places = places % max(2 * n - 2, 1)
        places = np.where(places < n, places, 2 * n - 2 - places)
    elif mode in ("wrap", "grid-wrap"):
        places = places % n
    return np.clip(places, 0, n - 1), outer


def _of_lines(function, arguments, keywords):
    """The function of two arrays that fills the second from the first, extended line."""
    compiled = _callables.compiled("function", function, _LINE_SIGNATURE)
    if compiled is None:
        if not callable(function):
            raise ValueError(f"invalid callable given: {function!r}")
        return lambda line, result: function(line, result, *arguments, **keywords)
    import ctypes

    kind = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p)
    pointer = kind(compiled.address)

    def call(line, result):
        if not pointer(line.ctypes.data, line.size, result.ctypes.data, result.size, compiled.user_data):
            raise RuntimeError(f"function ({function!r}) returned 0, which reports an error, and set no exception")

    return call


@documented
def generic_filter1d(
    input: ArrayLike, function: Callable, filter_size: int, axis: int = -1, output: np.ndarray | DTypeLike | None = None,
    mode: str = "reflect", cval: float = 0.0, origin: int = 0, extra_arguments: tuple = (), extra_keywords: dict | None = None, *,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Fill each line along one axis by a function of the line, extended for a window.

    Parameters
    ----------
    {input}
    function : callable
        ``function(input_line, output_line, *extra_arguments, **extra_keywords)`` of arrays of float64 fills the second one. Or a
        compiled function of the signature ``int (double *input_line, npy_intp input_length, double *output_line, npy_intp
        output_length, void *user_data)``, such as a scipy.LowLevelCallable.
    filter_size : int
        Length of the window.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}
    {extra}
    workers : int, optional
        Has no effect: lines are handed over one after another.

    {returns}
    """
    x = _args.real("input", input)
    output = _args.output_for(output, x)
    if filter_size < 1:
        raise RuntimeError(f"invalid filter size: {filter_size!r}; it must be positive")
    axis = _args.axis_of(axis, x.ndim)
    _args.check_origins([origin], [filter_size])
    mode = _args.check_mode(mode)
    _args.supported("input", x)
    _args.supported("output", output)
    fill = _of_lines(function, extra_arguments, extra_keywords or {})
    if not x.size:
        return output
    y = x.copy() if np.may_share_memory(x, output) else x
    lines, results = np.moveaxis(y, axis, -1), np.moveaxis(output, axis, -1)
    places, outer = _places(lines.shape[-1], filter_size, origin, mode)
    many = max(_LINES_BYTES // (8 * places.size), 1)
    leading = lines.shape[:-1]
    for first in range(0, math.prod(leading), many):
        at = np.unravel_index(np.arange(first, min(first + many, math.prod(leading))), leading) if leading else ()
        extended = np.atleast_2d(lines[at])[:, places].astype(np.float64, order="C")
        if mode in ("constant", "grid-constant"):
            extended[:, outer] = float(cval)
        filled = np.zeros((len(extended), lines.shape[-1]))
        for line, result in zip(extended, filled, strict=True):
            fill(line, result)
        with np.errstate(invalid="ignore", over="ignore"):
            results[at] = _args.converted(filled if leading else filled[0], output.dtype)
    return output


# ---- vectorized_filter ----


def _integers(name, values, least=None):
    """A tuple of integers."""
    for value in values:
        if not np.issubdtype(np.asarray(value).dtype, np.integer) or (least is not None and value < least):
            what = "integers" if least is None else "positive integers"
            raise ValueError(f"All elements of `{name}` must be {what}, got {values!r}")
    return tuple(int(value) for value in values)


def _everywhere(x, function, size, footprint, mode, cval, origins, axes):
    """What a function gives for windows of any dtype, from a padded array of windows, whose axes are the last ones."""
    count = len(axes)
    moved = np.moveaxis(x, axes, range(-count, 0))
    if mode != "valid":
        pads = [(0, 0)] * (x.ndim - count)
        pads += [(n // 2 + shift, (n - 1) // 2 - shift) for n, shift in zip(size, origins, strict=True)]
        more = {"constant_values": cval} if _PADDING[mode] == "constant" else {}
        moved = np.pad(moved, pads, mode=_PADDING[mode], **more)
    windows = np.lib.stride_tricks.sliding_window_view(moved, size, tuple(range(-count, 0)))
    if footprint is not None:
        result = function(windows[..., footprint], axis=-1)
    else:
        result = function(windows, axis=tuple(range(-count, 0)))
    return np.moveaxis(np.asarray(result), range(-count, 0), axes)


@documented
def vectorized_filter(
    input: ArrayLike, function: Callable, *, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    output: np.ndarray | None = None, mode: str = "reflect", cval: float | None = None,
    origin: int | tuple[int, ...] | None = None, axes: int | tuple[int, ...] | None = None, batch_memory: int = 2**30,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to a function of its window, which gets many windows at once.

    The function is compiled where it can be, as `fastconv.neighborhood_reduce` does it, and then called for a few windows only.

    Parameters
    ----------
    input : array_like
        Of any dtype; what is not boolean, integer, float16, float32 or float64 is padded as a whole.
    function : callable
        ``function(windows, axis=axes_of_the_window)``; with a footprint, its cells lie along one axis.
    {size_footprint}
    output : ndarray, optional
        Where the result goes; by default a new array of the dtype that the function returns.
    mode : str, default "reflect"
        One of the words of `generic_filter`, or "valid": only windows that lie inside, a smaller result.
    cval : float, optional
        What lies outside with ``mode="constant"``; 0 by default.
    {origins}
    {axes}
    batch_memory : int, default 2**30
        Bytes that windows of a row of results may take. Here they never take as much.
    workers : int, optional
        Threads for this call. Functions that are called are called in one thread unless this is given.

    Returns
    -------
    ndarray
        `output`, if that is given.
    """
    x = _args.array("input", input)
    if not callable(function):
        raise ValueError(f"`function` must be a callable, got {function!r}")
    if (size is None) == (footprint is None):
        raise ValueError("Either `size` or `footprint` must be provided." if size is None else
                         "Either `size` or `footprint` may be provided, not both.")
    axes_given = tuple(range(x.ndim)) if axes is None else (axes,) if np.isscalar(axes) else tuple(axes)
    count = len(axes_given)
    if count > x.ndim:
        raise ValueError(f"The length of `axes` may not exceed the dimensionality of `input` ({x.ndim}), got {axes!r}")
    if size is not None:
        size = _integers("size", (size,) * count if np.isscalar(size) else tuple(size), 1)
    else:
        footprint = np.asarray(footprint, bool)
        size = footprint.shape
    if len(size) != count:
        raise ValueError(f"`axes` must be compatible with the dimensionality of the window specified by `size` or `footprint`: "
                         f"{count} and {len(size)} axes")
    origin = 0 if origin is None else origin
    origins = _integers("origin", (origin,) * count if np.isscalar(origin) else tuple(origin))
    if len(origins) != count:
        raise ValueError(f"`origin` must be an integer or tuple of integers with length equal to the number of axes, {count}")
    if mode != "valid" and (not isinstance(mode, str) or mode not in _PADDING):
        raise ValueError(f"`mode` must be one of {sorted([*_PADDING, 'valid'])}, got {mode!r}")
    if mode == "valid" and any(origins):
        raise ValueError("`mode='valid'` is incompatible with use of `origin`.")
    if cval is not None and mode not in ("constant", "grid-constant"):
        raise ValueError("Use of `cval` is compatible only with `mode='constant'`.")
    cval = 0.0 if cval is None else cval
    if np.asarray(cval).dtype.kind not in "iufc":
        raise ValueError(f"`cval` must include only numbers, got {cval!r}")
    memory = np.asarray(batch_memory)
    if memory.ndim or memory.dtype.kind not in "iufc" or memory <= 0:
        raise ValueError(f"`batch_memory` must be positive number, got {batch_memory!r}")
    if not x.size:
        return x
    if not count:
        result = np.asarray(function(x if footprint is None else x[footprint], axis=()))
    else:
        axes_given = _args.axes_of(axes_given, x.ndim)
        result = _vectorized(x, function, size, footprint, mode, cval, origins, axes_given, batch_memory, workers)
    if output is None:
        return result
    output[...] = result
    return output


def _vectorized(x, function, size, footprint, mode, cval, origins, axes, batch_memory, workers):
    lengths = [x.shape[axis] - (n - 1 if mode == "valid" else 0) for axis, n in zip(axes, size, strict=True)]
    rows = [x.shape[axis] for axis in range(x.ndim) if axis not in axes] + lengths
    if batch_memory // (max(math.prod(rows[1:]) * math.prod(size), 1) * x.dtype.itemsize) < 1:
        raise ValueError(f"`batch_memory` is insufficient for minimum chunk size: {batch_memory!r}")
    plain = x.dtype.kind in "biuf" and x.dtype.itemsize <= 8 and np.ndim(cval) == 0 and math.prod(size)
    if not plain or (footprint is not None and not footprint.any()):
        return _everywhere(x, function, size, footprint, mode, cval, origins, axes)
    y, outer = _args.outside(x, mode, cval, as_input=True)
    reduction = function
    if footprint is not None:

        def reduction(windows, axis):
            return function(windows, axis=axis)

    elif not any(function is one for one in _NAMED):
        along = tuple(range(-len(size), 0))

        def reduction(windows, axis):
            return function(windows.reshape(windows.shape[:-1] + size), axis=along)

    return neighborhood_reduce(
        y, reduction, size if footprint is None else None, footprint=footprint, mode=mode, cval=outer, origin=origins, axes=axes,
        workers=workers,
    )  # fmt: skip
