"""Functions of windows as programs: made from a recording, remembered by what it holds, and checked against the function itself.

Next hops: trace.py, which records; program.py, which makes the program; _drivers/neighborhood/programs.pyx, which runs it.
"""
import collections
import math

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood import engine as _engine
from . import program as _program
from . import trace as _trace

ENGINES = {"auto": 0, "compiled": 1, "python": 2}
Refused = _trace.Refused

_MOST_KNOWN = 64  # programs
_SAMPLES = 16  # windows
_MOST_STRAY = 2  # of these, of results that are no floats, where the two may decide a tie otherwise
_known = collections.OrderedDict()
_runtime.face_seams("neighborhood", globals(), "_SAMPLES")
_runtime.remembers(_known.clear)


def record(caller, cells, dtype):
    """(recording, its last node) of a function of windows, by the way it is called; Refused says why there is none."""
    function = caller.function
    trace = _trace.Trace(cells, dtype, caller.blocks)
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


def lower(caller, geometry):
    """(Program, dtype of its result) of a function for the windows of a geometry."""
    if not {"raise", "call", "print", "log"}.isdisjoint(np.geterr().values()):
        raise _trace.Refused("what numpy.errstate watches cannot be compiled")
    if geometry.presence:
        raise _trace.Refused("cells that may not count (mask, mode='ignore' or nan_policy='omit') cannot be compiled")
    native = geometry.x.dtype.newbyteorder("=")
    cells = math.prod(geometry.window) if geometry.cells is None else np.count_nonzero(geometry.cells)
    trace, result = record(caller, int(cells), native)
    box, dense = geometry.cells is None, geometry.step[-1] == 1
    key = (trace.key, result.number, box, dense)
    found = _known.pop(key, None)
    if found is None:
        found = lowering(trace, result, box, dense).program(), result.dtype
    _known[key] = found
    if len(_known) > _MOST_KNOWN:
        _known.popitem(last=False)
    return found


def explain(caller, geometry):
    """The text of the program of a function for the windows of a geometry."""
    cells = math.prod(geometry.window) if geometry.cells is None else np.count_nonzero(geometry.cells)
    trace, result = record(caller, int(cells), geometry.x.dtype.newbyteorder("="))
    return describe(lowering(trace, result, geometry.cells is None, geometry.step[-1] == 1))


def lowering(trace, result, box, dense):
    try:
        return _program.Lowering(trace, result, box, dense)
    except _program.TooLong:
        raise _trace.Refused("a program of so many operations cannot be compiled") from None


# ---- checks ----


def _sampled(geometry):
    """Positions of some outputs, those at the ends of the last axes among them, and others spread over the result."""
    counts = geometry.counts
    total = math.prod(counts)
    spread = (np.arange(_SAMPLES) * 0.6180339887498949 % 1 * total).astype(np.int64)
    row = min(counts[-1] - 1, total - 1)
    spread[-4:] = row, total - 1 - row, total - 1, total // 2
    return np.unravel_index(spread, counts)


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
        shape = [len(taps)] + [1] * ndim
        shape[a + 1] = geometry.window[a]
        inside = np.minimum(np.maximum(taps, 0), n - 1)
        places.append(inside.reshape(shape))
        if geometry.mode == _engine.MODES["constant"]:
            outside = outside | (taps != inside).reshape(shape)
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


def agrees(caller, geometry, result, dtype):
    """Whether what a program of results of `dtype` left in `result`, an array of the input's dimension, is what the function
    gives for some windows, but for rounding."""
    at = _sampled(geometry)
    windows = _windows_at(geometry, at)
    largest = np.abs(np.where(np.isfinite(windows), windows, 0)).max(axis=-1) if dtype.kind == "f" else None
    with np.errstate(all="ignore"):
        expected, _ = caller(windows, None)
    found = geometry.arrange(result)[at]
    if expected.dtype != dtype and result.dtype == dtype:
        return False
    if dtype.kind != "f" or result.dtype.kind != "f":
        if result.dtype != dtype:
            return True  # converted: what was computed is not there any more
        return np.count_nonzero(found != expected) <= _MOST_STRAY
    precision = 1e-3 if np.float32 in (dtype, result.dtype) or result.dtype == np.float16 else 1e-7
    with np.errstate(all="ignore"):
        near = np.abs(found - expected) <= precision * np.maximum(np.abs(expected), largest)
    same = near | (found == expected) | (np.isnan(found) & np.isnan(expected))
    return bool(same.all())


# ---- what a program is ----


def describe(lowering):
    """The text of a program: a line for each operation."""
    names = {}

    def name(operand):
        if isinstance(operand, _program.Cell):
            return f"cell {operand.cell}" + (f" of p{operand.line}" if operand.line else "")
        if isinstance(operand, _program.Constant):
            return f"{operand.value!s}"
        if isinstance(operand, _program.Value):
            return names[operand.number]
        return f"p{operand}" if operand else "pixel"

    def many(step):
        lines = {term.line for term in step.terms if isinstance(term, _program.Cell)}
        of = name(lines.pop()) if len(lines) == 1 else "values"
        around = f" around {name(step.operands[0])}" if step.operands else ""
        return f"{step.name} of {len(step.terms)} cells of {of}{around}"

    used = lowering.used_lines()
    pixels, outputs = [], []
    for line in used:
        step = lowering.pixels[line - 1]
        pixels.append(f"  p{line} = {step.name}({', '.join(map(name, step.operands))})  {step.code}")
    for count, number in enumerate(lowering.order):
        step = lowering.steps[number]
        names[number] = f"v{count}"
        if step.box:
            text = f"{step.name} of all cells of {name(step.operands[0])}, by rows and columns"
        elif step.terms:
            text = many(step)
        else:
            text = f"{step.name}({', '.join(map(name, step.operands))})"
        outputs.append(f"  {names[number]} = {text}  {step.code}")
    parts = [f"compiled: {len(pixels)} operations for each pixel, {len(outputs)} for each output, {lowering.registers} registers"]
    if pixels:
        parts += ["for each pixel:", *pixels]
    return "\n".join([*parts, "for each output:", *outputs])
