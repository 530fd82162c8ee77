"""Each pixel from a function of its neighbourhood. Next hops: _face/geometry.py, which validates windows, then
_drivers/neighborhood/engine.pyx, whose reducers stand in names.pyx and ranks.pyx; boxes.pyx for large boxes; _face/compile.py
for functions of the user that are compiled, _face/callables.py for those that are called."""
from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._drivers.neighborhood import box_plan as _box_plan
from ._drivers.neighborhood import boxes as _boxes
from ._drivers.neighborhood import names as _names
from ._drivers.neighborhood import programs as _programs
from ._drivers.neighborhood import ranks as _ranks
from ._face import args as _args
from ._face import callables as _callables
from ._face import compile as _compile
from ._face import geometry as _geometry
from ._face import plans as _plans

__all__ = ["explain", "neighborhood_reduce"]

_DRIVERS = dict.fromkeys(_names.NAMES, _names) | dict.fromkeys(_ranks.NAMES, _ranks)
# What a function of NumPy is up to rounding, at a small part of its time.
_NUMPY = ((np.mean, "mean"), (np.min, "min"), (np.max, "max"), (np.var, "var"), (np.std, "std"), (np.median, "median"))


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
    cval = _geometry.outside_value(options.pop("cval"))
    real, shape = _geometry.plan(x.real, cval=cval.real, **options)
    imag, _ = _geometry.plan(x.imag, cval=cval.imag, **options)
    part = x.dtype.itemsize // 2
    targets = [_args.result(out, shape, wanted, x, options["mask"]) for out in outs]
    return [real._replace(other=part), imag._replace(other=-part)], targets


def _passes(geometry, names, programs):
    """(pass, which of the names and programs it computes) of each pass over an array; None among the names is a function."""
    large = [i for i, name in enumerate(names) if _box_plan.takes(name, geometry)]
    others = [i for i, name in enumerate(names) if (name is not None and i not in large) or i in programs]
    passes = [(_boxes.Boxes(geometry), large)] if large else []
    if others:
        kinds = [names[i] for i in others if names[i] is not None]
        passes.append((_programs.pass_for(geometry, kinds, programs.values()), others))
    return passes


def _program(function, geometry, engine):
    """(the way the function is called, its program, dtype of results) of a function that is compiled, None of one that is
    called."""
    if engine == _compile.ENGINES["python"] or 0 in geometry.counts or _callables.compiled("reduction", function) is not None:
        return None
    if engine == _compile.ENGINES["auto"] and not _compile.worthwhile(geometry):
        return None
    try:
        caller = _callables.Python(function, geometry.x.dtype.newbyteorder("="))
        return caller, *_compile.lower(caller, geometry)
    except _compile.Refused as refused:
        if engine == _compile.ENGINES["compiled"]:
            raise ValueError(f"reduction ({_callables.describe(function)}): {refused}") from None
        return None


def _anew(x, reductions, outs, workers, wanted, engine, options):
    """(array computed into, array to return) for each reduction, and the pass that computed them, None if several or none."""
    names, programs = [_named(one) for one in reductions], {}
    if x.dtype.kind == "c":
        geometries, targets = _complex(x, names, outs, wanted, options)
        parts = [[target.real for target, _ in targets], [target.imag for target, _ in targets]]
    else:
        geometry, shape = _geometry.plan(x, **options)
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

    def kind_of(i):
        if wanted is not None or outs[i] is None:
            return wanted
        return _result_dtype(_args.ndarray("out", outs[i]).dtype, "the dtype of out")

    def call(i):
        return _callables.run(names[i][1], geometry, shape, kind_of(i), outs[i], workers, x, geometry.mask)

    # What a function raises comes before any name has written its result.
    for i, (name, value) in enumerate(names):
        if name is not None:
            continue
        made, kind = _program(value, geometry, engine), kind_of(i)
        if made is None:
            targets[i] = call(i)
            continue
        programs[i] = made
        targets[i] = _args.result(outs[i], shape, made[2] if kind is None else kind, x, geometry.mask)
        if targets[i][0].dtype.kind == "c":
            targets[i][0].imag[...] = 0
        parts[0][i] = targets[i][0].real
    passed, all_names = None, [name for name, _ in names]
    compiled, whole = {i: made[1] for i, made in programs.items()}, None
    for geometry, arrays in zip(geometries, parts, strict=True):
        if 0 in geometry.counts:
            continue
        if geometry.presence and compiled:
            whole = _compile.whole(geometry)
            passes = _passes(whole, [None] * len(names), compiled) + _passes(geometry, all_names, {})
        else:
            passes = _passes(geometry, all_names, compiled)
        for one, members in passes:
            for i in members:
                name, value = names[i]
                if name is None:
                    _programs.add(one, geometry, compiled[i], arrays[i])
                else:
                    _DRIVERS[name].add(one, name, value, arrays[i])
            one.run(workers)
        passed = passes[0][0] if len(passes) == 1 and not programs else None
    for i, (caller, _, kind) in programs.items():
        result = targets[i][0].real
        if not _compile.agrees(caller, whole or geometry, result, kind):
            message = (f"reduction ({_callables.describe(names[i][1])}) gives other results when it is called than when it is "
                       "compiled: it is called, as with engine='python'")
            if engine == _compile.ENGINES["compiled"]:
                raise ValueError(message)
            warnings.warn(message, RuntimeWarning, stacklevel=3)
        elif not geometry.presence or _callables.complete(caller, geometry, result, kind, workers) == kind:
            continue
        targets[i] = call(i)
    return targets, None if any(target.dtype.kind == "c" for target, _ in targets) else passed


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
    engine: str = "auto",
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

        A function whose operations are NumPy's, with no branch or loop that depends on the windows, is not called for them: it
        is watched once, with a stand-in, and what it does is compiled to vector operations that run on all threads (see
        `engine` and `explain`). Sums may be rounded otherwise than NumPy rounds them, and NumPy's warnings come, if at all,
        from the few windows that it is called for.

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
        if they are pointers to machine code, without the interpreter's lock.
    engine : {"auto", "compiled", "python"}, default "auto"
        What becomes of Python functions: "auto" compiles those that can be and calls the others; "compiled" raises where one
        cannot be, with the operation and the line that stand in the way; "python" calls them. What a function does beside its
        result (printing, counting) happens at the few calls that watch and check it. A new program is tried on windows of
        zeros, extremes, NaN and infinities; at each call the compiled function and the function itself, called twice, are
        compared on 16 windows of the input, at its corners and spread over it, and on up to 6 where NaN are: where they differ
        beyond rounding, as a function does that draws random numbers, it is called, with a RuntimeWarning. Windows in which
        some cells do not count (`mask`, "ignore", "omit") are handed to the function, and all are if its dtype depends on how
        many do. Functions are called for float16, where numpy.errstate raises, where they watch warnings, and where windows of
        more than 256 cells have few outputs.

    Returns
    -------
    ndarray, or a list of them for a list of reductions
        Of input's shape, ceil(n / step) on an axis of n pixels; (n - size) // step + 1 with ``mode="valid"``.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For shapes that do not fit, values that an argument cannot take, a NaN with ``nan_policy="raise"``, and a function that
        cannot be compiled with ``engine="compiled"``.
    Exception
        What a function raises comes out as it was raised; `out` holds some of its results then.

    Notes
    -----
    Where no cell of a window counts, sum, count, any are 0, prod and all are 1, and the others NaN, or 0 for dtypes without
    one. Integers are exact, modulo 2^32 or 2^64 for sums and products unless `dtype` is floating; a 64-bit integer `dtype`
    gets means and positions between two cells without a double in between. min and max take -0 for less than 0, and give
    one NaN. The same bits come out for any number of threads, any batch and any memory layout of the same values. An output
    depends on its window alone, but for sum, mean, var and std of floats: the order in which they are added follows from
    the shapes of the input and the window, and in large boxes (about 80x80 and more), rows of 512 cells and more and, for
    sum and mean of float32 and float16, 5 rows and more from where the window lies, so the results of a part of an image may
    differ from those of the whole in their last bits: of float32 hardly ever, since its sums are doubles.

    In compiled functions exp and hypot are within 2 units in the last place, and exp2, expm1, log, log2, log10, log1p, power,
    sin, cos, tan, arcsin, arccos, arctan, arctan2, sinh, cosh and tanh within 4, of denormal and huge arguments, too.

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
    engine = _args.choice("engine", engine, _compile.ENGINES)
    outs = [out] if not several else [None] * len(reductions) if out is None else out
    if several and not (isinstance(outs, (list, tuple)) and len(outs) == len(reductions)):
        raise ValueError(f"out must be a list of {len(reductions)} arrays, one for each reduction, got {out!r}")
    mask = _geometry.mask_of(mask, x.shape, hidden)
    key = _plans.key_of(x, reductions, size, footprint, mode, cval, origin, axes, step, mask, nan_policy, wanted)
    known = _plans.take(key)
    targets = known.run(x, mask, outs, workers) if known else None
    if targets is None:
        options = {
            "size": size, "footprint": footprint, "mode": mode, "cval": cval, "origin": origin, "axes": axes, "step": step,
            "mask": mask, "nan_policy": nan_policy,
        }  # fmt: skip
        targets, passed = _anew(x, reductions, outs, workers, wanted, engine, options)
        if key and targets and passed:
            known = _plans.Known(passed, targets[0][0].shape, tuple(target.dtype for target, _ in targets))
    if key and known:
        _plans.keep(key, known)
    for target, answer in targets:
        if target is not answer:
            answer[...] = target
    answers = [answer for _, answer in targets]
    return answers if several else answers[0]


def cut_means(x, out, workers, **window):
    """Fill `out` with the means of boxes of integers along one axis after another, each cut off toward 0, as scipy.ndimage has
    them. Returns whether it did: there must be one pass that takes the axes in this order."""
    workers = _args.workers(workers)
    geometry, shape = _geometry.plan(x, footprint=None, step=1, mask=None, **window)
    if not np.can_cast(x.dtype, out.dtype) or [a for a in geometry.order if a in geometry.axes] != list(geometry.axes):
        return False
    target, answer = _args.result(out, shape, out.dtype, x)
    if 0 not in shape:
        made = _names.cut_means(geometry, target)
        if made is None:
            return False
        made.run(workers)
    if target is not answer:
        answer[...] = target
    return True


def explain(
    function: Callable,
    size: int | tuple[int, ...] | None = None,
    *,
    footprint: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
    step: int | tuple[int, ...] = 1,
) -> str:
    """Say what `neighborhood_reduce` makes of a Python function: its program, or why it has none.

    Parameters
    ----------
    function : callable
        As `neighborhood_reduce` takes it.
    size : int, or one for each axis
        Lengths of a box; of 2 axes if it is an integer.
    footprint : array_like of bool
        The cells of a window of any other shape. Exactly one of `size` and `footprint` must be given.
    dtype : dtype, default float64
        Of the input.
    step : int or one for each axis, default 1
        Pixels between outputs.

    Returns
    -------
    str
        "compiled: ..." with a line for each operation that is done once a pixel and for each that is done once an output, or
        "called: ..." with what stands in the way and its line.

    Raises
    ------
    TypeError
        For what is no Python function, and a dtype that windows cannot have.
    ValueError
        For a window that `neighborhood_reduce` does not take.

    Examples
    --------
    >>> import fastconv
    >>> print(fastconv.explain(lambda windows, axis: windows.max(axis) - windows.min(axis), 3))
    compiled: 0 operations for each pixel, 3 for each output, 1 registers
    for each output:
      v0 = max of all cells, by name  f8
      v1 = min of all cells, by name  f8
      v2 = subtract(v0, v1)  f8
    """
    if not callable(function) or _callables.compiled("function", function) is not None:
        raise TypeError(f"function must be a Python function of windows, got {function!r}")
    wanted = _result_dtype(dtype)
    if wanted is None or wanted.kind == "c":
        raise TypeError(f"dtype must be boolean, integer or real, got {dtype!r}")
    ndim = len(size) if isinstance(size, tuple) else 2 if footprint is None else np.ndim(footprint)
    geometry, _ = _geometry.plan(
        np.broadcast_to(np.zeros((), wanted), (128,) * ndim), size=size, footprint=footprint, mode="nearest", cval=0.0, origin=0,
        axes=None, step=step, mask=None, nan_policy="propagate",
    )  # fmt: skip
    try:
        return _compile.explain(_callables.Python(function, wanted), geometry)
    except _compile.Refused as refused:
        return f"called: {refused}"
