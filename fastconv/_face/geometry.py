"""Windows of neighbourhoods: which elements of an array each output sees, validated and arranged for the engine of lines.

What moves a window over an array takes a `Geometry` from `plan`. Next hop: _drivers/neighborhood/engine.pyx, which walks it.
"""
import functools
import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood import engine as _engine
from . import args as _args

# SciPy's names beside the driver's; "valid" never looks outside.
_MODES = _engine.MODES | {
    "grid-constant": _engine.MODES["constant"], "grid-mirror": _engine.MODES["reflect"], "grid-wrap": _engine.MODES["wrap"],
    "valid": _engine.MODES["ignore"],
}  # fmt: skip
_POLICIES = {"propagate": 0, "omit": 1, "raise": 2}
_LONG_LINE = 64
_runtime.face_seams("neighborhood", globals(), "_LONG_LINE")


class Geometry(NamedTuple):
    """An array, and its window with at least 2 axes in the engine's order: the line axis last, axes without a window first."""

    x: np.ndarray
    mask: np.ndarray | None  # of the same shape, booleans or integers
    window: tuple[int, ...]
    before: tuple[int, ...]  # taps before an output's own element
    step: tuple[int, ...]
    counts: tuple[int, ...]  # shape of the result
    axes: tuple[int, ...]  # of the input, along which the footprint's axes lie
    cells: np.ndarray | None  # which cells of the window count; None: all
    mode: int
    cval: np.ndarray  # 0-d, of the lines' native dtype
    omit: bool  # NaN do not count
    other: int  # bytes from the elements to the other parts of complex numbers, which must not be NaN either; 0: none
    presence: bool  # whether some elements may not count
    order: tuple[int, ...]

    def arrange(self, array):
        """A view of an array of the input's dimension in this order."""
        return array.transpose(self.order)[(None,) * (len(self.window) - array.ndim)]

    def footprint_axes(self):
        """The axes in this order, such that cells in C order of them are in C order of the footprint."""
        pad = len(self.window) - len(self.order)
        place = [self.order.index(axis) + pad for axis in self.axes]
        return [a for a in range(len(self.window)) if a not in place] + place

    def in_c_order(self):
        """The same of a box, with the axes that have a window in the input's order, so that lines may run along a short one."""
        pad = len(self.window) - len(self.order)
        places = [place for place in range(len(self.order)) if self.window[pad + place] > 1]
        come = dict(zip(places, sorted(places, key=lambda place: self.order[place]), strict=True))
        whence = [pad + come.get(place, place) for place in range(len(self.order))]

        def arranged(values):
            return values[:pad] + tuple(values[place] for place in whence)

        return self._replace(window=arranged(self.window), before=arranged(self.before), step=arranged(self.step),
                             counts=arranged(self.counts), order=tuple(self.order[place - pad] for place in whence))

    def cell_count(self):
        """How many cells the window has."""
        return math.prod(self.window) if self.cells is None else int(np.count_nonzero(self.cells))


def _axes(axes, ndim):
    if axes is None:
        return tuple(range(ndim))
    values = (axes,) if np.ndim(axes) == 0 else tuple(axes)
    what = f"None, or different integers of at least {-ndim} and less than {ndim}"
    found = []
    for value in values:
        number = _args.integer("axes", value, -ndim, what)
        if number >= ndim or number % ndim in found:
            raise ValueError(f"axes must be {what}, got {axes!r}")
        found.append(number % ndim)
    return tuple(found)


def _each(name, value, count, least, what):
    """An integer for each of `count` axes."""
    if type(value) is int and value >= least:
        return (value,) * count
    if isinstance(value, (Sequence, np.ndarray)) and np.ndim(value) == 1:
        if len(value) != count:
            raise ValueError(f"{name} must be {what}, or one for each of the {count} axes, got {value!r}")
        return tuple(_args.integer(name, v, least, what) for v in value)
    return (_args.integer(name, value, least, what),) * count


def outside_value(cval):
    """cval as a Python number: integers beyond 64 bits and floats compare exactly."""
    number = _args.array("cval", cval)
    number = number.item() if number.ndim == 0 else None
    if isinstance(number, np.floating):
        number = float(number)
    if not isinstance(number, (int, float, complex)):
        raise TypeError(f"cval must be a number, got {cval!r}")
    if isinstance(number, int) and abs(number) > sys.float_info.max:
        raise ValueError(f"cval must be a number that a double can hold, got one of {number.bit_length()} bits")
    return number


def _native(cval, dtype, mode):
    """cval as a 0-d array of the dtype of lines, exact where the dtype is an integer."""
    line = np.dtype(np.float32) if dtype == np.float16 else dtype
    if mode != _MODES["constant"]:
        return np.zeros((), line)
    number = outside_value(cval)
    if isinstance(number, complex):
        raise TypeError(f"cval must be a real number, got {cval!r}")
    if dtype.kind in "bui":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if not (low <= number <= high and number == int(number)):
            raise ValueError(f"cval must be a number that {dtype} can hold, got {cval!r}")
        return np.array(int(number), line)
    with np.errstate(over="ignore"):
        return np.array(number, np.float64).astype(line)


def _trimmed(cells):
    """(sizes, cells or None, offset of the first cell's corner) without the rows at the ends that hold no cell."""
    if not cells.any():
        raise ValueError("footprint must have a true cell, got none")
    spans = [np.flatnonzero(cells.any(axis=tuple(b for b in range(cells.ndim) if b != a))) for a in range(cells.ndim)]
    cells = cells[tuple(slice(span[0], span[-1] + 1) for span in spans)]
    return cells.shape, None if cells.all() else cells, tuple(int(span[0]) for span in spans)


def _arranged_cells(cells, axes, order, pad):
    """The cells of a window along `axes` with all axes in the engine's order."""
    cells = cells.transpose(np.argsort(axes))
    cells = np.expand_dims(cells, tuple(a for a in order if a not in axes))
    return np.ascontiguousarray(cells.transpose(order)[pad])


def _window(size, footprint, count):
    """(sizes, cells or None, offset of the first cell's corner, sizes before trimming) along the axes of the window."""
    if (size is None) == (footprint is None):
        raise ValueError(f"exactly one of size and footprint must be given, got size={size!r} and footprint={footprint!r}")
    if footprint is None:
        sizes = _each("size", size, count, 1, "a positive integer")
        return sizes, None, (0,) * count, sizes
    cells = _args.array("footprint", footprint)
    if cells.ndim != count:
        raise ValueError(f"footprint must have {count} axes, one for each axis of input that it moves along, "
                         f"got shape {cells.shape}")
    if cells.dtype.kind not in "buif":
        raise TypeError(f"footprint must be boolean, got dtype {cells.dtype}")
    return *_trimmed(cells != 0), cells.shape


def mask_of(mask, shape, hidden):
    """`mask` as an array, booleans or integers, without what a masked input hides: where there are both, a new array, since
    kernels read one mask."""
    if mask is None:
        return None if hidden is None else ~hidden
    mask = _args.array("mask", mask)
    if mask.dtype.kind not in "bui":
        raise TypeError(f"mask must be boolean, got dtype {mask.dtype}")
    if mask.shape != shape:
        raise ValueError(f"mask has shape {mask.shape}; it must have the shape of input, {shape}")
    return mask if hidden is None else (mask != 0) & ~hidden


def _order(shape, window):
    """(axes without a window, then those with one, then the axis that lines run along).

    The axes with a window follow each other in an order that depends on them alone, so that no batch axis shows in the bits.
    The last of them that is long, or the longest, is the last; lines run along it, or along an axis without a window where that
    would be such an axis of all.
    """

    def best(axes):
        long_axes = [a for a in axes if shape[a] >= _LONG_LINE]
        return long_axes[-1] if long_axes else max(axes, key=lambda a: (shape[a], a))

    windowed = [a for a in range(len(shape)) if window[a] > 1]
    if windowed:
        inner = best(windowed)
        windowed = [a for a in windowed if a != inner] + [inner]
    batch = [a for a in range(len(shape)) if window[a] == 1]
    line = best(range(len(shape))) if shape else None
    return [a for a in batch if a != line] + windowed + ([line] if line in batch else [])


def line_axis(shape, window):
    """The axis that lines run along in an array of a shape, with a window of some size on each axis."""
    return _order(shape, window)[-1]


def _has_nan(x, mask):
    """Whether an element that counts is NaN. Looked for here, in chunks, since the call must raise before it
    computes anything."""
    operands = [x] if mask is None else [x, mask]
    chunks = np.nditer(operands, ["external_loop", "buffered", "zerosize_ok"], [["readonly"]] * len(operands))
    return any(bool(np.isnan(c).any() if mask is None else (np.isnan(c[0]) & (c[1] != 0)).any()) for c in chunks)


class Layout(NamedTuple):
    """The numbers of a Geometry, and the shape of the result in the input's order."""

    shape: tuple[int, ...]
    order: tuple[int, ...]
    pad: tuple[int, ...]  # axes of length 1 in front, which make 2 at least
    window: tuple[int, ...]
    before: tuple[int, ...]
    step: tuple[int, ...]
    counts: tuple[int, ...]


@functools.lru_cache(256)
def _layout(shape, axes, sizes, first, whole, valid, origins, steps):
    ndim = len(shape)
    window, before, every, counts = [1] * ndim, [0] * ndim, [1] * ndim, list(shape)
    for a, w, corner, length, number, stride in zip(axes, sizes, first, whole, origins, steps, strict=True):
        n = shape[a]
        if valid:
            if 0 < n < length:
                raise ValueError(f"input of shape {shape} is smaller than the window of {length} on axis {a}, "
                                 'which mode="valid" needs whole')
            counts[a], before[a] = max(n - length + stride, 0) // stride, -corner
        else:
            counts[a], before[a] = -(-n // stride), length // 2 + number - corner
        # A step that no output takes may be as large as an index: it must not reach the arithmetic below.
        window[a], every[a] = w, stride if counts[a] > 1 else 1
    if math.prod(window) > 2**40:
        raise ValueError(f"size makes a window of {math.prod(window)} cells, more than this library can go through")
    order = tuple(_order(shape, window))
    pad = (1,) * (2 - ndim)

    def arranged(values, fill):
        return (fill,) * len(pad) + tuple(values[a] for a in order)

    return Layout(tuple(counts), order, pad, arranged(window, 1), arranged(before, 0), arranged(every, 1), arranged(counts, 1))


_runtime.remembers(_layout.cache_clear)


def _reaches_outside(shape, layout):
    """Whether a window has a cell outside an array of a shape."""
    sizes = (1,) * len(layout.pad) + tuple(shape[a] for a in layout.order)
    return math.prod(layout.counts) > 0 and any(
        before > 0 or (count - 1) * step - before + window > n
        for n, window, before, step, count in zip(sizes, layout.window, layout.before, layout.step, layout.counts, strict=True)
    )


def partial_parts(geometry):
    """(geometry of a part of the results, its slices) of parts that hold all outputs whose windows have cells that may not count:
    those of windows that reach outside, if nothing else makes cells not count."""
    results = [slice(0, count) for count in geometry.counts]
    if geometry.mask is not None or geometry.omit:
        yield geometry, tuple(results)
        return
    sizes = geometry.arrange(geometry.x).shape
    for a, (n, step, count) in enumerate(zip(sizes, geometry.step, geometry.counts, strict=True)):
        first = min(max(-(-geometry.before[a] // step), 0), count)
        end = min(max((n - geometry.window[a] + geometry.before[a]) // step + 1, first), count)
        for part in (slice(0, first), slice(end, count)):
            slices = (*results[:a], part, *results[a + 1 :])
            counts = tuple(one.stop - one.start for one in slices)
            if 0 not in counts:
                before = [taps - one.start * step for taps, one, step in zip(geometry.before, slices, geometry.step, strict=True)]
                yield geometry._replace(before=tuple(before), counts=counts), slices
        results[a] = slice(first, end)


def plan(x, size, footprint, mode, cval, origin, axes, step, mask, nan_policy):
    """The Geometry and the shape of the result in the input's order."""
    axes = _axes(axes, x.ndim)
    sizes, cells, first, whole = _window(size, footprint, len(axes))
    code = _args.choice("mode", mode, _MODES)
    policy = _args.choice("nan_policy", nan_policy, _POLICIES)
    steps = _each("step", step, len(axes), 1, "a positive integer")
    origins = _each("origin", origin, len(axes), -(2**62), "an integer")
    for number, length in zip(origins, whole, strict=True):
        if not -(length // 2) <= number <= (length - 1) // 2:
            raise ValueError(f"origin must keep the window over its pixel: from {-(length // 2)} to {(length - 1) // 2} for a "
                             f"size of {length}, got {origin!r}")
    if mode == "valid" and any(origins):
        raise ValueError(f'origin must be 0 with mode="valid", got {origin!r}')
    omit = x.dtype.kind == "f" and policy == _POLICIES["omit"]
    if x.dtype.kind == "f" and policy == _POLICIES["raise"] and _has_nan(x, mask):
        raise ValueError('input contains NaN, which nan_policy="raise" refuses')
    layout = _layout(x.shape, axes, tuple(sizes), first, tuple(whole), mode == "valid", origins, steps)
    native = _native(cval, x.dtype.newbyteorder("="), code)
    if x.dtype.kind == "f" and policy == _POLICIES["raise"] and np.isnan(native) and _reaches_outside(x.shape, layout):
        raise ValueError('cval is NaN, which nan_policy="raise" refuses')
    if cells is not None:
        cells = _arranged_cells(cells, axes, layout.order, (None,) * len(layout.pad))
    geometry = Geometry(
        x=x,
        mask=mask,
        window=layout.window,
        before=layout.before,
        step=layout.step,
        counts=layout.counts,
        axes=axes,
        cells=cells,
        mode=code,
        cval=native,
        omit=omit,
        other=0,
        presence=mask is not None or omit or mode == "ignore",
        order=layout.order,
    )
    return geometry, layout.shape
