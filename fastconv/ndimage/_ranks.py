"""Extremes and ranks of windows. Grey morphology shares `extremes`."""
from __future__ import annotations

import operator
import warnings

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._face.callables import Keyed
from . import _arguments as _args
from ._arguments import documented


@_args.remembered
def _passes(ndim, size, origin, mode, axes, together):
    """(mode, the window of neighborhood_reduce) of each pass of a box, whose axes are one pass if they may be and have one mode;
    axes where it is a pixel long have none."""
    axes = _args.axes_of(axes, ndim)
    names = ("size", "origin", "mode")
    values = [_args.each(*one, len(axes)) for one in zip(names, (size, origin, mode), strict=True)]
    chosen = [one for one in zip(axes, *values, strict=True) if one[1] > 1]
    if not chosen:
        return ()
    axes, sizes, origins, modes = zip(*chosen, strict=True)
    sizes, origins = tuple(int(size) for size in sizes), tuple(operator.index(number) for number in origins)
    _args.check_origins(origins, sizes)
    for one in modes:
        _args.check_mode(one)
    if together and len(set(modes)) == 1:
        if axes == tuple(range(ndim)) and len(set(sizes)) == len(set(origins)) == 1:
            axes, sizes, origins = None, sizes[0], origins[0]  # which the memory of plans knows sooner
        return ((modes[0], {"size": sizes, "origin": origins, "axes": axes}),)
    return tuple((mode, {"size": (size,), "origin": (shift,), "axes": (axis,)})
                 for axis, size, shift, mode in zip(axes, sizes, origins, modes, strict=True))


def _boxes(x, name, size, origin, mode, axes, output, cval, nan_policy, workers):
    """The extremes of boxes, whose axes are one pass where nothing is lost between them."""
    together = int(x.dtype is output.dtype or np.can_cast(x.dtype, output.dtype))
    passes = _passes(x.ndim, size, origin, mode, axes, together)
    if not passes:
        output[...] = x
        return output
    _args.supported("input", x)
    _args.supported("output", output)
    for mode, window in passes:
        y, outer = _args.outside(x, mode, cval)
        _args.reduce(y, name, output, _args.native(y.dtype), mode=mode, cval=outer, nan_policy=nan_policy, workers=workers,
                     **window)
        x = output
    return output


def _kept(x, reduction, output, mode, cval, cells, origins, nan_policy, workers):
    """`output`, which may overlap `x`, filled with a reduction that keeps the dtype of x."""
    _args.supported("input", x)
    _args.supported("output", output)
    y, outer = _args.outside(x, _args.check_mode(mode), cval, as_input=True)
    return _args.reduce(y, reduction, output, _args.native(y.dtype), footprint=cells, mode=mode, cval=outer, origin=origins,
                        nan_policy=nan_policy, workers=workers)


def _along(input, name, size, axis, output, mode, cval, origin, nan_policy, workers):
    x = _args.real("input", input)
    axis = _args.axis_of(axis, x.ndim)
    if size < 1:
        raise RuntimeError(f"incorrect filter size: {size!r}; it must be positive")
    output = _args.output_for(output, x)
    # Of a window of one pixel, too, which no pass is made for.
    _args.check_origins([origin], [size])
    _args.supported("input", x)
    _args.supported("output", output)
    return _boxes(x, name, operator.index(size), operator.index(origin), _args.check_mode(mode), axis, output, cval, nan_policy,
                  workers)


def _raised(structure, dtype, sign):
    """The function of windows that takes the extreme of cells plus (sign 1) or minus (-1) a structure.

    To integers the structure is added as integers, which wrap around, but to the first cell as a double: so SciPy has it. To
    64-bit integers whole numbers are added exactly.
    """
    added = sign * structure
    exact = dtype.kind == "f" or (dtype.itemsize == 8 and (added == np.trunc(added)).all())
    others = added if dtype.kind == "f" else _args.converted(added, dtype)

    def extreme(cells, axis):
        return cells.max(axis) if sign > 0 else cells.min(axis)

    def function(windows, axis):
        if exact:
            return extreme(windows + others, axis).astype(dtype)
        first = windows[..., 0].astype(np.float64) + added[0]
        if len(added) > 1:
            rest = extreme(windows[..., 1:] + others[1:], axis)
            first = np.maximum(first, rest) if sign > 0 else np.minimum(first, rest)
        return _args.converted(first, dtype)

    return Keyed(function, "raised", structure.tobytes(), structure.dtype.str, dtype.str, sign)


def extremes(input, name, size, footprint, structure, output, mode, cval, origin, axes, nan_policy, workers, stacklevel=3):
    """The "min" or "max" of windows, with a structure added to the cells of maxima and taken from those of minima."""
    if size is not None and footprint is not None:
        warnings.warn("ignoring size because footprint is set", UserWarning, stacklevel=stacklevel)
    cells = None
    if structure is not None:
        structure = np.asarray(structure, np.float64)
        cells = np.ones(structure.shape, bool) if footprint is None else np.asarray(footprint, bool)
    elif footprint is not None:
        cells = np.asarray(footprint, bool)
        if not cells.any():
            raise ValueError("All-zero footprint is not supported.")
        size, cells = (cells.shape, None) if cells.all() else (None, cells)
    elif size is None:
        raise RuntimeError("no footprint provided: size or footprint must be given")
    x = _args.real("input", input)
    output = _args.output_for(output, x, stacklevel=stacklevel)
    if cells is None:
        return _boxes(x, name, size, origin, mode, axes, output, cval, nan_policy, workers)
    axes = _args.axes_of(axes, x.ndim)
    whole = _args.all_axes("footprint", cells, axes, x.ndim)
    origins = _args.all_origins(origin, axes, x.ndim)
    _args.check_origins(origins, whole.shape)
    reduction = name
    if structure is not None:
        if structure.ndim != len(axes) or structure.shape != cells.shape:
            raise RuntimeError(f"structure array has incorrect shape: {structure.shape}, for a window of shape {cells.shape} on "
                               f"{len(axes)} axes")
        raised = structure.reshape(whole.shape)[whole]
        if raised.any():
            _args.supported("input", x)
            x = x.view(np.uint8) if x.dtype.kind == "b" else x  # as SciPy adds to booleans
            reduction = _raised(raised, x.dtype.newbyteorder("="), 1 if name == "max" else -1)
    if not isinstance(mode, str) and np.iterable(mode):
        raise RuntimeError(f"A sequence of modes is not supported for non-separable footprints, got {mode!r}")
    return _kept(x, reduction, output, mode, cval, whole, tuple(origins), nan_policy, workers)


@documented
def minimum_filter1d(
    input: ArrayLike, size: int, axis: int = -1, output: np.ndarray | DTypeLike | None = None, mode: str = "reflect",
    cval: float = 0.0, origin: int = 0, *, nan_policy: str = "propagate", workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the least of `size` pixels along one axis.

    Parameters
    ----------
    {input}
    size : int
        Length of the window.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}
    {nan_policy}
    {workers}

    {returns}
    """
    return _along(input, "min", size, axis, output, mode, cval, origin, nan_policy, workers)


@documented
def maximum_filter1d(
    input: ArrayLike, size: int, axis: int = -1, output: np.ndarray | DTypeLike | None = None, mode: str = "reflect",
    cval: float = 0.0, origin: int = 0, *, nan_policy: str = "propagate", workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the greatest of `size` pixels along one axis.

    Parameters
    ----------
    {input}
    size : int
        Length of the window.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}
    {nan_policy}
    {workers}

    {returns}
    """
    return _along(input, "max", size, axis, output, mode, cval, origin, nan_policy, workers)


@documented
def minimum_filter(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None, nan_policy: str = "propagate",
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the least cell of its window.

    Parameters
    ----------
    {input}
    {size_footprint}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {nan_policy}
    {workers}

    {returns}
    """
    return extremes(input, "min", size, footprint, None, output, mode, cval, origin, axes, nan_policy, workers)


@documented
def maximum_filter(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None, nan_policy: str = "propagate",
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the greatest cell of its window.

    Parameters
    ----------
    {input}
    {size_footprint}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {nan_policy}
    {workers}

    {returns}
    """
    return extremes(input, "max", size, footprint, None, output, mode, cval, origin, axes, nan_policy, workers)


# ---- ranks ----


def _position(percentile, count):
    """The cell of `count` in order that a percentile stands for, as SciPy rounds it."""
    if percentile < 0.0:
        percentile += 100.0
    if not 0 <= percentile <= 100:
        raise RuntimeError(f"invalid percentile: {percentile!r} is not between -100 and 100")
    return count - 1 if percentile == 100.0 else int(float(count) * percentile / 100.0)


def _rank(input, position, size, footprint, output, mode, cval, origin, axes, nan_policy, workers):
    """The cell at position(number of cells), or from the end if that is negative."""
    if size is not None and footprint is not None:
        warnings.warn("ignoring size because footprint is set", UserWarning, stacklevel=3)
    x = _args.real("input", input)
    if footprint is None:
        cells, origins, count = _args.box(x.ndim, size, origin, axes)
    else:
        used = _args.axes_of(axes, x.ndim)
        cells, origins = _args.window_of(None, footprint, used, x.ndim), tuple(_args.all_origins(origin, used, x.ndim))
        _args.check_origins(origins, cells.shape)
        count = int(np.count_nonzero(cells))
    several = not isinstance(mode, str) and np.iterable(mode)
    if several:
        used = _args.axes_of(axes, x.ndim)
        given = dict(zip(used, _args.each("mode", mode, len(used)), strict=True))
        mode = [given.get(axis, "constant") for axis in range(x.ndim)]
    rank = position(count)
    rank += count if rank < 0 else 0
    if not 0 <= rank < count:
        raise RuntimeError(f"rank not within filter footprint size: {rank}, of {count} cells")
    if rank in (0, count - 1):
        name = "max" if rank else "min"
        return extremes(x, name, None, cells, None, output, mode, cval, origins, None, nan_policy, workers)
    output = _args.output_for(output, x, stacklevel=4)
    if several:
        raise RuntimeError(f"A sequence of modes is not supported by non-separable rank filters, got {mode!r}")
    return _kept(x, ("rank", rank), output, mode, cval, cells, origins, nan_policy, workers)


@documented
def rank_filter(
    input: ArrayLike, rank: int, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None, nan_policy: str = "propagate",
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the cell of its window that `rank` others come before.

    Parameters
    ----------
    {input}
    rank : int
        The place in ascending order; from the end if it is negative.
    {size_footprint}
    {output}
    {modes} Several only for the ends of the order.
    {cval}
    {origins}
    {axes}
    {nan_policy}
    {workers}

    {returns}
    """
    rank = operator.index(rank)
    return _rank(input, lambda count: rank, size, footprint, output, mode, cval, origin, axes, nan_policy, workers)


@documented
def median_filter(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    output: np.ndarray | DTypeLike | None = None, mode: str = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None, nan_policy: str = "propagate",
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the cell of its window that half of the others come before: of n cells, the one at ``n // 2``.

    Parameters
    ----------
    {input}
    {size_footprint}
    {output}
    {mode}
    {cval}
    {origins}
    {axes}
    {nan_policy}
    {workers}

    {returns}
    """
    return _rank(input, lambda count: count // 2, size, footprint, output, mode, cval, origin, axes, nan_policy, workers)


@documented
def percentile_filter(
    input: ArrayLike, percentile: float, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None, nan_policy: str = "propagate",
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the cell of its window that a part of the others comes before: of n cells, ``n * percentile / 100``.

    Parameters
    ----------
    {input}
    percentile : float
        From 0 to 100; 100 is added to a negative one.
    {size_footprint}
    {output}
    {modes} Several only for the ends of the order.
    {cval}
    {origins}
    {axes}
    {nan_policy}
    {workers}

    {returns}
    """

    def position(count):
        return _position(percentile, count)

    return _rank(input, position, size, footprint, output, mode, cval, origin, axes, nan_policy, workers)
