"""Functions of windows as programs: made from a recording, remembered by what it holds, and checked against the function itself.

Next hops: trace.py, which records; program.py, which makes the program; _drivers/neighborhood/programs.pyx, which runs it.
"""
import collections
import math

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood import engine as _engine
from . import callables as _callables
from . import program as _program
from . import trace as _trace

ENGINES = {"auto": 0, "compiled": 1, "python": 2}
Refused = _trace.Refused

_MOST_KNOWN = 64  # programs
_SAMPLES = 16  # windows
_MOST_STRAY = 2  # of them, of results that are no floats, where the two may decide a tie otherwise
_known = collections.OrderedDict()
_runtime.face_seams("neighborhood", globals(), "_SAMPLES")
_runtime.remembers(_known.clear)


def record(function, cells, dtype):
    """(recording, its last node) of a function of windows; Refused says why there is none."""
    trace = _trace.Trace(cells, dtype, _callables.takes_axis(function, dtype))
    try:
        result = function(trace.windows, axis=-1) if trace.lead else function(trace.windows)
    except _trace.Refused:
        raise
    except Exception as error:
        if trace.refusal:
            raise _trace.Refused(trace.refusal) from None
        raise _trace.Refused(f"the function raised {type(error).__name__} when it was recorded: {error}") from None
    if trace.refusal:
        raise _trace.Refused(trace.refusal)
    if not isinstance(result, _trace.Stand) or result.node.tail != ():
        shape = ("windows", *result.node.tail) if isinstance(result, _trace.Stand) else type(result).__name__
        raise _trace.Refused(f"a result that is no number of each window ({shape}) cannot be compiled")
    return trace, result.node


def lower(function, geometry):
    """(Lowering or None, Program, dtype of its result) of a function for the windows of a geometry; None: it was known."""
    if geometry.presence:
        raise _trace.Refused("cells that may not count (mask, mode='ignore' or nan_policy='omit') cannot be compiled")
    native = geometry.x.dtype.newbyteorder("=")
    cells = math.prod(geometry.window) if geometry.cells is None else np.count_nonzero(geometry.cells)
    trace, result = record(function, int(cells), native)
    box, dense = geometry.cells is None, geometry.step[-1] == 1
    key = (trace.key, result.number, box, dense)
    found = _known.pop(key, None)
    lowering = None
    if found is None:
        try:
            lowering = _program.Lowering(trace, result, box, dense)
        except _program.TooLong:
            raise _trace.Refused("a program of so many operations cannot be compiled") from None
        found = lowering.program(), result.dtype
    _known[key] = found
    if len(_known) > _MOST_KNOWN:
        _known.popitem(last=False)
    return lowering, *found


# ---- checks ----


def _sampled(geometry):
    """Positions of some outputs: the corners, and others spread over the result."""
    counts = geometry.counts
    total = math.prod(counts)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in counts[-3:]], indexing="ij")).reshape(min(len(counts), 3), -1)
    first = np.zeros((len(counts) - len(corners), corners.shape[1]), int)
    flat = np.ravel_multi_index(np.concatenate((first, corners)), counts)
    spread = (np.arange(_SAMPLES) * 0.6180339887498949 % 1 * total).astype(np.int64)
    return np.unravel_index(np.unique(np.concatenate((flat, spread)))[: 2 * _SAMPLES], counts)


def _windows_at(geometry, at):
    """The windows of the outputs at some positions, shape (outputs, cells), in the order that functions see."""
    x = geometry.arrange(geometry.x)
    ndim, places, outside = len(geometry.window), [], False
    for a in range(ndim):
        n = x.shape[a]
        taps = at[a][:, None] * geometry.step[a] - geometry.before[a] + np.arange(geometry.window[a])
        mode = geometry.mode
        if mode == _engine.MODES["reflect"]:
            taps = taps % (2 * n)
            taps = np.where(taps < n, taps, 2 * n - 1 - taps)
        elif mode == _engine.MODES["mirror"]:
            taps = taps % max(2 * n - 2, 1)
            taps = np.where(taps < n, taps, 2 * n - 2 - taps)
        elif mode == _engine.MODES["wrap"]:
            taps = taps % n
        beyond = (taps < 0) | (taps >= n)
        shape = [len(taps)] + [1] * ndim
        shape[a + 1] = geometry.window[a]
        places.append(np.clip(taps, 0, n - 1).reshape(shape))
        outside = outside | beyond.reshape(shape)
    native = x.dtype.newbyteorder("=")
    windows = x[tuple(places)].astype(native)
    if geometry.mode == _engine.MODES["constant"]:
        windows = np.where(outside, geometry.cval.astype(native), windows)
    pad = ndim - len(geometry.order)
    place = [geometry.order.index(axis) + pad for axis in geometry.axes]
    place = [a for a in range(ndim) if a not in place] + place
    windows = windows.transpose(0, *(a + 1 for a in place)).reshape(len(windows), -1)
    if geometry.cells is not None:
        windows = windows[:, geometry.cells.transpose(place).reshape(-1)]
    return np.ascontiguousarray(windows)


def agrees(function, geometry, result, dtype):
    """Whether what a program of results of `dtype` left in `result`, an array of the input's dimension, is what the function gives
    for some windows, but for rounding."""
    at = _sampled(geometry)
    windows = _windows_at(geometry, at)
    with np.errstate(all="ignore"):
        expected, _ = _callables.Python(function, windows.dtype)(windows.copy(), None)
    found = geometry.arrange(result)[at]
    if expected.dtype != dtype and result.dtype == dtype:
        return False
    if dtype.kind != "f" or result.dtype.kind != "f":
        if result.dtype != dtype:
            return True  # converted: what was computed is not there any more
        return np.count_nonzero(found != expected) <= _MOST_STRAY
    size = np.maximum(np.abs(expected), np.abs(np.where(np.isfinite(windows), windows, 0)).max(axis=-1, initial=0))
    precision = 1e-3 if np.float32 in (dtype, result.dtype) or result.dtype == np.float16 else 1e-7
    with np.errstate(all="ignore"):
        near = np.abs(found - expected) <= precision * size
    same = near | (found == expected) | (np.isnan(found) & np.isnan(expected))
    return bool(np.count_nonzero(~same) == 0)
