"""Each pixel from a function of its neighbourhood. Next hop: _drivers/neighborhood/engine.pyx, whose reducers stand in
neighborhood/names.pyx and _drivers/neighborhood/ranks.pyx."""
from __future__ import annotations

import collections
import math
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._drivers import runtime as _runtime
from ._drivers.neighborhood import boxes as _neighborhood_boxes
from ._drivers.neighborhood import engine as _lines
from ._drivers.neighborhood import names as _neighborhood
from ._drivers.neighborhood import ranks as _neighborhood_ranks
from ._face import args as _args
from ._face import callables as _callables

__all__ = ["neighborhood_reduce"]

# Numbers as in kernels/neighborhood/table.h; "valid" never looks outside.
_MODES = {
    "constant": 0, "grid-constant": 0, "nearest": 1, "reflect": 2, "grid-mirror": 2, "mirror": 3, "wrap": 4, "grid-wrap": 4,
    "ignore": 5, "valid": 5,
}  # fmt: skip
_POLICIES = {"propagate": 0, "omit": 1, "raise": 2}
_DRIVERS = dict.fromkeys(_neighborhood.NAMES, _neighborhood) | dict.fromkeys(_neighborhood_ranks.NAMES, _neighborhood_ranks)
# What a function of NumPy is up to rounding, at a small part of its time.
_NUMPY = ((np.mean, "mean"), (np.min, "min"), (np.max, "max"), (np.var, "var"), (np.std, "std"), (np.median, "median"))
_LONG_LINE = 64
_SMALL_WINDOW = 1 << 12  # cells
_MOST_KNOWN = 32  # calls
_runtime.face_seams("neighborhood", globals(), "_LONG_LINE", "_SMALL_WINDOW", "_MOST_KNOWN")


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


def _number(cval):
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
    number = _number(cval)
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


def _mask(mask, shape, hidden):
    """`mask` as an array, booleans or integers, without what a masked input hides."""
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


def _has_nan(x, mask):
    """Whether an element that counts is NaN."""
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


def _reaches_outside(shape, layout):
    """Whether a window has a cell outside an array of a shape."""
    sizes = (1,) * len(layout.pad) + tuple(shape[a] for a in layout.order)
    return math.prod(layout.counts) > 0 and any(
        before > 0 or (count - 1) * step - before + window > n
        for n, window, before, step, count in zip(sizes, layout.window, layout.before, layout.step, layout.counts, strict=True)
    )


def _plan(x, size, footprint, mode, cval, origin, axes, step, mask, nan_policy):
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


def _named(reduction):
    """(name, parameter) of a name or a tuple that begins with one; (None, function) of a function."""
    reduction = next((name for function, name in _NUMPY if function is reduction), reduction)
    if not isinstance(reduction, str) and _callables.is_function(reduction):
        return None, reduction
    name, *values = reduction if isinstance(reduction, tuple) and reduction else (reduction,)
    if not isinstance(name, str):
        raise TypeError(f"reduction must be a name, a tuple that begins with one, a callable or a list, got {reduction!r}")
    if name not in _DRIVERS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, _DRIVERS))}, or a callable, got {reduction!r}")
    return name, _DRIVERS[name].parameter(name, values)


def _result_dtype(dtype, what="dtype"):
    if dtype is None:
        return None
    try:
        wanted = np.dtype(dtype)
    except (TypeError, ValueError):
        wanted = np.dtype(object)
    if wanted.kind not in "biufc" or wanted.itemsize > (16 if wanted.kind == "c" else 8):
        raise TypeError(f"{what} must be boolean, integer, float16, float32, float64 or complex, got {dtype!r}")
    return wanted


def _complex(x, names, outs, dtype, options):
    """sum and mean of complex numbers: those of the parts."""
    if any(name not in ("sum", "mean") for name, _ in names):
        raise TypeError(f"input has dtype {x.dtype}, of which there are only sum and mean, "
                        f"got {', '.join(name or _callables.describe(value) for name, value in names)}")
    native = x.dtype.newbyteorder("=")
    wanted = native if dtype is None else dtype
    if wanted.kind != "c":
        raise TypeError(f"dtype must be complex for an input of dtype {x.dtype}, got {wanted}")
    cval = _number(options.pop("cval"))
    real, shape = _plan(x.real, cval=cval.real, **options)
    imag, _ = _plan(x.imag, cval=cval.imag, **options)
    part = x.dtype.itemsize // 2
    targets = [_args.result(out, shape, wanted, x, options["mask"]) for out in outs]
    return [real._replace(other=part), imag._replace(other=-part)], targets


def _integers(value):
    """Whether a value is an int or a tuple of such, and nothing that only equals one."""
    return type(value) is int or (type(value) is tuple and all(type(number) is int for number in value))


def _key(x, reductions, size, footprint, mode, cval, origin, axes, step, mask, nan_policy, dtype):
    """What tells a call from others but for the contents and steps of its arrays; None where more would have to be known.

    Values are told from their equals of other types, which may be refused, by letting one type pass.
    """
    if size is None and type(footprint) is np.ndarray and footprint.dtype == bool and footprint.size <= _SMALL_WINDOW:
        window = footprint.shape, footprint.tobytes()
    elif footprint is None and _integers(size):
        sizes = (size,) * x.ndim if type(size) is int else size
        if max(sizes, default=1) > _SMALL_WINDOW or math.prod(sizes) > _SMALL_WINDOW:
            return None
        window = size
    else:
        return None
    names = []
    for one in reductions:
        if type(one) is tuple and len(one) == 2 and type(one[0]) is str and type(one[1]) in (int, float):
            names.append((*one, type(one[1])))
        elif type(one) is str:
            names.append(one)
        else:
            return None
    if (
        type(mode) is type(nan_policy) is str and _integers(origin) and _integers(step) and type(cval) is float
        and (axes is None or _integers(axes)) and nan_policy != "raise"
    ):
        counts, fill = None if mask is None else mask.dtype, cval if cval and cval == cval else str(cval)
        return x.shape, x.dtype, tuple(names), window, mode, fill, origin, axes, step, counts, nan_policy, dtype
    return None


class Known(NamedTuple):
    """How a call went, for the next one like it."""

    engine: _lines.Pass
    shape: tuple[int, ...]  # of the results
    dtypes: tuple[np.dtype, ...]

    def run(self, x, mask, outs, workers):
        """(array computed into, array to return) for each reduction; None if the call must be planned anew."""
        targets = [_args.result(one, self.shape, dtype, x, mask) for one, dtype in zip(outs, self.dtypes, strict=True)]
        if not self.engine.bind(x, mask, [target for target, _ in targets]):
            return None
        self.engine.run(workers)
        return targets


_known = collections.OrderedDict()  # by _key; a call that uses one takes it out meanwhile
_runtime.remembers(_known.clear)


def _passes(geometry, names):
    """(pass, which of the names it computes) of each pass over an array; None among the names is a function."""
    large = [i for i, name in enumerate(names) if _neighborhood_boxes.takes(name, geometry)]
    others = [i for i, name in enumerate(names) if name is not None and i not in large]
    passes = [(_neighborhood_boxes.Boxes(geometry), large)] if large else []
    if others:
        kinds = [names[i] for i in others]
        width, rows = _neighborhood.width(kinds, geometry), _neighborhood_ranks.rows(kinds, geometry)
        passes.append((_lines.Pass(geometry, width, rows, _neighborhood.fewest(kinds, geometry)), others))
    return passes


def _anew(x, reductions, outs, workers, wanted, options):
    """(array computed into, array to return) for each reduction, and the pass that computed them, None if several or none."""
    names = [_named(one) for one in reductions]
    if x.dtype.kind == "c":
        geometries, targets = _complex(x, names, outs, wanted, options)
        parts = [[target.real for target, _ in targets], [target.imag for target, _ in targets]]
    else:
        geometry, shape = _plan(x, **options)
        native = x.dtype.newbyteorder("=")
        targets = []
        for given, (name, value), one in zip(reductions, names, outs, strict=True):
            if name is None:
                targets.append((None, one))
                continue
            kind = _DRIVERS[name].result_dtype(name, value, native, geometry)  # which checks a rank, too
            if given is np.median and native.kind != "f":
                kind = np.dtype(np.float64)
            kind = kind if wanted is None else wanted
            targets.append(_args.result(one, shape, kind, x, geometry.mask))
        for target, _ in targets:
            if target is not None and target.dtype.kind == "c":
                target.imag[...] = 0
        geometries, parts = [geometry], [[None if target is None else target.real for target, _ in targets]]
    # What a function raises comes before any name has written its result.
    for i, (name, value) in enumerate(names):
        if name is None:
            kind = wanted
            if kind is None and outs[i] is not None:
                kind = _result_dtype(_args.ndarray("out", outs[i]).dtype, "the dtype of out")
            targets[i] = _callables.run(value, geometry, shape, kind, outs[i], workers, x, geometry.mask)
    engine, all_names = None, [name for name, _ in names]
    for geometry, arrays in zip(geometries, parts, strict=True):
        passes = _passes(geometry, all_names) if math.prod(geometry.counts) else []
        for one, members in passes:
            for i in members:
                name, value = names[i]
                _DRIVERS[name].add(one, name, value, arrays[i])
            one.run(workers)
        engine = passes[0][0] if len(passes) == 1 else None
    return targets, None if any(target.dtype.kind == "c" for target, _ in targets) else engine


def neighborhood_reduce(
    input: ArrayLike,
    reduction: str | tuple | Callable | list,
    size: int | tuple[int, ...] | None = None,
    *,
    footprint: ArrayLike | None = None,
    mode: str = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, ...] = 0,
    axes: int | tuple[int, ...] | None = None,
    step: int | tuple[int, ...] = 1,
    mask: ArrayLike | None = None,
    nan_policy: str = "propagate",
    dtype: DTypeLike | None = None,
    out: np.ndarray | list | None = None,
    workers: int | None = None,
) -> np.ndarray | list:
    """Set each pixel from a function of its neighbourhood.

    ``out[i] = reduction(input[i + k] for the cells k of the window)``, on any number of axes.

    Parameters
    ----------
    input : array_like
        Of bool, an integer, float16, float32 or float64; complex for sum and mean. Any strides, any byte order; it is
        read in place and never copied as a whole.
    reduction : str, tuple, callable, or a list of them
        "sum", "mean", "min", "max", "range" (max - min), "var", "std", "prod", "any", "all", "count" (of what is not 0);
        ("var", ddof) and ("std", ddof) divide by n - ddof. "median"; ("percentile", q) for q from 0 to 100, between two
        cells linearly as numpy.percentile does it; ("rank", r), the cell that r others come before, or from the end if r is
        negative, and the nearest there is where fewer count. "mode", the most frequent value, the least of several, and
        "entropy" of the values' frequencies, in bits. A list costs one pass over the input, and one more for each function
        in it.

        A Python function is called as ``function(windows, axis=-1)`` with an array (outputs, cells), of input's dtype and
        its own to keep or change, and returns a value for each output; one that takes no `axis` is called as
        ``function(window)`` and returns a number. Cells come in C order of the footprint, and only those that count.
        NumPy's mean, min, max, var, std and median themselves are not called: they stand for the names, which give the same
        to rounding in a small part of the time (the median of integers is float64, as NumPy has it).

        A compiled function has the signature ``int (double *window, npy_intp cells, double *result, void *user_data)``
        and returns 0 for an error: a scipy.LowLevelCallable, a PyCapsule, a function of ctypes or cffi, a cfunc of numba.
    size : int or one for each axis
        Lengths of a box.
    footprint : array_like of bool, one axis for each of `axes`
        The cells of a window of any other shape. Exactly one of `size` and `footprint` must be given.
    mode : str, default "reflect"
        What lies outside, for 2 pixels on the left of ``a b c d``: "reflect" ``b a | a b c d``, "mirror" ``c b | a b c d``,
        "nearest" ``a a | a b c d``, "wrap" ``c d | a b c d``, "constant" `cval`, "ignore" nothing: outside pixels do not
        count; or "valid": only windows that lie inside, a smaller result. SciPy's "grid-" names are known too.
    cval : float, default 0.0
        What lies outside with ``mode="constant"``; it must be a number that input's dtype can hold.
    origin : int or one for each axis, default 0
        Shifts the window: its pixel is cell ``size // 2 + origin``.
    axes : int or tuple of int, optional
        The axes along which the window extends; all by default.
    step : int or one for each axis, default 1
        Pixels between outputs.
    mask : array_like of bool, of input's shape, optional
        The pixels that count. What a masked array of numpy.ma hides does not count either.
    nan_policy : {"propagate", "omit", "raise"}, default "propagate"
        A NaN that counts makes its outputs NaN (of those reductions that have one), or does not count, or raises; so does one
        in `cval` that a window sees.
    dtype : dtype, optional
        Of the result. By default that of input for min, max, rank, mode and for floats; the unsigned one for range; int32
        for sum and prod of 8- and 16-bit integers and int64 for those of others; float64 for mean, var, std and entropy of
        integers; bool for any and all; int64 for count. median and percentile of integers keep their dtype if every window
        has a cell at that position (an odd size, without mask and "ignore"), else give float64. A Python function decides
        by what it returns; a compiled one gives input's dtype for floats, else float64. Floats become integers by rounding
        to the nearest, and all numbers booleans by being 0 or not.
    out : ndarray, or a list of them for a list of reductions, optional
        Where the result goes: its shape and dtype, any strides; of a function without `dtype`, its dtype is the result's. It
        may overlap the inputs, at the price of a temporary array of its size.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.
        Functions are called in one thread unless this is given, which says that they may be called in several at once and,
        if compiled, without the interpreter's lock.

    Returns
    -------
    ndarray, or a list of them for a list of reductions
        Of input's shape, ceil(n / step) on an axis of n pixels; (n - size) // step + 1 with ``mode="valid"``.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For shapes that do not fit, values that an argument cannot take, and a NaN with ``nan_policy="raise"``.
    Exception
        What a function raises comes out as it was raised; `out` holds some of its results then.

    Notes
    -----
    Where no cell of a window counts, sum, count, any are 0, prod and all are 1, and the others NaN, or 0 for dtypes without
    one. Integers are exact, modulo 2^32 or 2^64 for sums and products unless `dtype` is floating; a 64-bit integer `dtype`
    gets means and positions between two cells without a double in between. min and max take -0 for less than 0, and give
    one NaN. The same bits come out for any number of threads, any batch and any memory layout of the same values. An output
    depends on its window alone, but for sum, mean, var and std of floats: the order in which they are added follows from
    the shapes of the input and the window, and in large boxes (about 80x80 and more) from where the window lies, so the
    results of a part of an image may differ from those of the whole in their last bits.

    Boxes of any size cost about the same, with a mask and ``nan_policy="omit"`` too, prod aside. Beside input and output a call
    takes less than 16 MiB and 4 MiB a thread, but for two: 24 bytes for each run of cells of a `footprint`, and ranks, mode and
    entropy of windows of some 4 MiB (700x700 of float64) and more, which take up to five times a window's elements a thread.

    References
    ----------
    M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels", Pattern
    Recognition Letters 13 (1992). E. R. Urbach and M. H. F. Wilkinson, "Efficient 2-D grayscale morphological
    transformations with arbitrary flat structuring elements", IEEE Transactions on Image Processing 17 (2008).
    A. Adams, "Fast median filters using separable sorting networks", ACM Transactions on Graphics 40 (2021).

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> image = np.arange(12.0).reshape(3, 4)
    >>> fastconv.neighborhood_reduce(image, "max", 3)
    array([[ 5.,  6.,  7.,  7.],
           [ 9., 10., 11., 11.],
           [ 9., 10., 11., 11.]])
    """
    x, hidden = _args.unmasked(input)
    x = _args.array("input", x)
    if x.dtype.kind not in "buifc" or x.dtype.itemsize > (16 if x.dtype.kind == "c" else 8):
        raise TypeError(f"input has dtype {x.dtype}; it may be boolean, integer, float16, float32, float64 or complex")
    wanted = _result_dtype(dtype)
    several = isinstance(reduction, list)
    reductions = reduction if several else [reduction]
    workers = _args.workers(workers)
    outs = [out] if not several else [None] * len(reductions) if out is None else out
    if several and not (isinstance(outs, (list, tuple)) and len(outs) == len(reductions)):
        raise ValueError(f"out must be a list of {len(reductions)} arrays, one for each reduction, got {out!r}")
    mask = _mask(mask, x.shape, hidden)
    key = _key(x, reductions, size, footprint, mode, cval, origin, axes, step, mask, nan_policy, wanted)
    known = _known.pop(key, None) if key else None
    targets = known.run(x, mask, outs, workers) if known else None
    if targets is None:
        options = {
            "size": size, "footprint": footprint, "mode": mode, "cval": cval, "origin": origin, "axes": axes, "step": step,
            "mask": mask, "nan_policy": nan_policy,
        }  # fmt: skip
        targets, engine = _anew(x, reductions, outs, workers, wanted, options)
        if key and targets and engine:
            known = Known(engine, targets[0][0].shape, tuple(target.dtype for target, _ in targets))
    if key and known:
        _known[key] = known
        if len(_known) > _MOST_KNOWN:
            _known.popitem(last=False)
    for target, answer in targets:
        if target is not answer:
            answer[...] = target
    answers = [answer for _, answer in targets]
    return answers if several else answers[0]
