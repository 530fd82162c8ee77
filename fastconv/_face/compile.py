"""Functions of windows as programs: made from a recording, remembered by what it holds, and checked against the function itself.

Next hops: trace.py, which records; program.py, which makes the program; _drivers/neighborhood/programs.pyx, which runs it.
"""
import collections
import functools
import math
import os
import threading

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood import box_plan as _box_plan
from .._drivers.neighborhood import engine as _engine
from .._drivers.neighborhood import programs as _programs
from . import assembly as _assembly
from . import callables as _callables
from . import functions as _functions  # noqa: F401 (which tells recordings NumPy's functions)
from . import program as _program
from . import trace as _trace

ENGINES = {"auto": 0, "compiled": 1, "python": 2}
Refused = _trace.Refused

_LARGE_WINDOW = 256  # cells, from which on few outputs are not worth a program, which has as many operations
_MOST_KNOWN = 64  # programs
_SAMPLES = 16  # windows
_NANS = 3  # and as many more where a NaN is, and where results are NaN
_PROBED = 1 << 12  # elements in which these are sought
_MOST_PLACES = 1 << 12  # cells, of windows whose elements' places are remembered
_MOST_STEPS = 1 << 16  # of all programs that are remembered
_known = collections.OrderedDict()
_memory = [threading.RLock()]  # a finalizer may come in between
_runtime.face_seams("neighborhood", globals(), "_SAMPLES", "_LARGE_WINDOW", "_PROBED", "_MOST_PLACES")


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
    native, cells = geometry.x.dtype.newbyteorder("="), geometry.cell_count()
    box, dense = geometry.cells is None, geometry.step[-1] == 1
    shape = (geometry.window, tuple(geometry.footprint_axes())) if box and dense else None
    window = native, cells, box, dense, _names_for(geometry), shape
    keyed = isinstance(caller.function, _callables.Keyed)
    recorded = None if keyed else record(caller, cells, native)
    key = (caller.function.key if keyed else (recorded[0].key, recorded[1].number), *window)
    found = _remembered(key)
    if found is None:
        trace, result = recorded or record(caller, cells, native)
        found = lowering(trace, result, geometry).assembly.program(), result.dtype
        if not _right_on_special_values(caller, native, geometry, *found):
            raise _trace.Refused("a function that gives other results for special values when it is compiled cannot be compiled")
        _remember(key, found)
    return found


def _remembered(key):
    """What is known by a key, which was used last then."""
    with _memory[0]:
        if key in _known:
            _known.move_to_end(key)
        return _known.get(key)


def _remember(key, found):
    """Keeps a program, and forgets those that were used least lately."""
    with _memory[0]:
        _known[key] = found
        steps = [made.steps for made, _ in _known.values()]
        while len(_known) > _MOST_KNOWN or (len(_known) > 1 and sum(steps[-len(_known) :]) > _MOST_STEPS):
            _known.popitem(last=False)


def _forget():
    with _memory[0]:
        _known.clear()


def _renew():
    """In a forked child another thread of the parent may hold the lock for ever."""
    _memory[0] = threading.RLock()


_runtime.remembers(_forget)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def worthwhile(geometry):
    """Whether a program for the windows of a geometry is likely to take less time than it takes to make."""
    return geometry.cell_count() <= _LARGE_WINDOW or math.prod(geometry.counts) >= 4 * geometry.cell_count()


def whole(geometry):
    """The geometry as if all cells counted, whatever lies outside."""
    mode = _engine.MODES["nearest"] if geometry.mode == _engine.MODES["ignore"] else geometry.mode
    return geometry._replace(mask=None, omit=False, presence=False, mode=mode)


def explain(caller, geometry):
    """The text of the program of a function for the windows of a geometry."""
    trace, result = record(caller, geometry.cell_count(), geometry.x.dtype.newbyteorder("="))
    return describe(lowering(trace, result, geometry).assembly)


def _names_for(geometry):
    """The named reductions that go beside a program: not those of large boxes, which have a pass of their own; of other windows
    there are extremes and ranks."""
    names = ("min", "max", "rank") if geometry.cells is not None else ("min", "max", "rank", "sum", "var")
    return tuple(name for name in names if not _box_plan.takes(name, geometry))


def _columns(geometry):
    """(columns of a box, where each cell stands in C order of rows and columns of the engine)."""
    places = np.arange(geometry.cell_count()).reshape(geometry.window).transpose(geometry.footprint_axes())
    return geometry.window[-1], places.reshape(-1)


def lowering(trace, result, geometry):
    """A function's steps for the windows of a geometry."""
    box, dense = geometry.cells is None, geometry.step[-1] == 1
    columns = _columns(geometry) if box and dense and 1 < geometry.window[-1] < geometry.cell_count() else None
    try:
        return _program.Lowering(trace, result, box, dense, _names_for(geometry), columns)
    except _program.TooLong:
        raise _trace.Refused("a program of so many operations cannot be compiled") from None


# ---- checks ----


@functools.lru_cache(64)
def _spread(counts, samples):
    """Numbers of some results in C order, those at the corners among them, and others spread over all."""
    total = math.prod(counts)
    spread = (np.arange(samples) * 0.6180339887498949 % 1 * total).astype(np.int64)
    corners, apart = [total - 1], total
    for count in counts:
        apart //= count
        corners += [(count - 1) * apart, total - 1 - (count - 1) * apart]
    corners = list(dict.fromkeys(corners))[: samples // 2]
    spread[samples - len(corners) :] = corners
    return spread


def _nans(array):
    """Where some elements of an array are NaN, an index for each axis: all or many, spread over it, are looked at."""
    if array.dtype.kind != "f" or array.size == 0:
        return None
    if array.size > _PROBED:
        places = np.unravel_index(_spread((array.size,), _PROBED), array.shape)
        found = np.flatnonzero(np.isnan(array[places]))
        return [place[found[_few(found.size)]] for place in places] if found.size else None
    found = np.isnan(array)
    return [place[_few(place.size)] for place in np.nonzero(found)] if found.any() else None


def _few(count):
    return np.arange(_NANS) * count // _NANS


def _places(shape, window, before, step, counts, mode, numbers):
    """(indices of some results, indices of the elements of their windows, shape (outputs, *window) together, which of these lie
    outside in mode "constant"): not from the engine, so that its faults would show."""
    at = np.unravel_index(numbers, counts)
    places, outside = [], None
    for a, n in enumerate(shape):
        taps = at[a][:, None] * step[a] - before[a] + np.arange(window[a])
        if mode == _engine.MODES["reflect"]:
            taps = taps % (2 * n)
            taps = np.where(taps < n, taps, 2 * n - 1 - taps)
        elif mode == _engine.MODES["mirror"]:
            taps = taps % max(2 * n - 2, 1)
            taps = np.where(taps < n, taps, 2 * n - 2 - taps)
        elif mode == _engine.MODES["wrap"]:
            taps = taps % n
        inside = np.minimum(np.maximum(taps, 0), n - 1)
        along = [len(taps)] + [1] * len(window)
        along[a + 1] = window[a]
        places.append(inside.reshape(along))
        if mode == _engine.MODES["constant"]:
            beyond = (taps != inside).reshape(along)
            outside = beyond if outside is None else outside | beyond
    return at, tuple(places), outside


@functools.lru_cache(64)
def _spread_places(*numbers):
    *numbers, samples = numbers
    return _places(*numbers, _spread(numbers[4], samples))


_runtime.remembers(_spread_places.cache_clear)


def _sampled(geometry, result):
    """(the windows of some outputs, shape (outputs, cells), in the order that functions see, the outputs' results): spread ones,
    and some where a NaN is."""
    x, out = geometry.arrange(geometry.x), geometry.arrange(result)
    native, order = x.dtype.newbyteorder("="), geometry.footprint_axes()
    known = x.shape, geometry.window, geometry.before, geometry.step, geometry.counts, geometry.mode
    small = geometry.cell_count() * _SAMPLES <= _MOST_PLACES
    parts = [(_spread_places if small else _spread_places.__wrapped__)(*known, _SAMPLES)]
    at = _nans(x)
    if at is not None:  # the windows that have the NaN about their middle
        steps = zip(at, geometry.before, geometry.window, geometry.step, geometry.counts, strict=True)
        at = [np.clip((place + before - size // 2) // step, 0, count - 1) for place, before, size, step, count in steps]
    for found in (at, _nans(out)):
        if found is not None:
            parts.append(_places(*known, np.ravel_multi_index(found, geometry.counts)))
    windows = []
    for at, places, outside in parts:
        cells = x[places].astype(native, copy=False)
        if outside is not None:
            cells = np.where(outside, geometry.cval.astype(native), cells)
        windows.append(cells.transpose(0, *(a + 1 for a in order)).reshape(len(at[0]), -1))
    if geometry.cells is not None:
        chosen = geometry.cells.transpose(order).reshape(-1)
        windows = [cells[:, chosen] for cells in windows]
    if len(parts) == 1:
        return windows[0], out[parts[0][0]]
    return np.concatenate(windows), np.concatenate([out[at] for at, _, _ in parts])


def _stored(values, dtype):
    """Results of a function as an array of another dtype holds them."""
    if values.dtype == dtype:
        return values
    if dtype.kind == "b":
        return values != 0
    if dtype.kind in "iu" and values.dtype.kind == "f":
        info = np.iinfo(dtype)
        return np.where(np.isnan(values), 0, np.clip(np.rint(values), info.min, info.max))
    return values.real.astype(dtype)


def _near(found, expected, windows):
    """Which results are the same but for rounding: of the result, or of a sum of a window's cells."""
    if expected.dtype.kind != "f" and found.dtype.kind != "f":
        return found == expected
    precision = 1e-3 if np.float32 in (expected.dtype, found.dtype) or found.dtype == np.float16 else 1e-7
    unit = 1 if found.dtype.kind in "iu" else 0  # halves may be rounded to either side
    with np.errstate(all="ignore"):
        near = np.abs(found.astype(float) - expected) <= precision * np.abs(expected)
        if near.all():
            return near
        largest = np.abs(np.where(np.isfinite(windows), windows, 0)).max(axis=-1)
        near = np.abs(found.astype(float) - expected) <= precision * np.maximum(np.abs(expected), largest) + unit
    return near | (found == expected) | (np.isnan(found) & np.isnan(expected))


def _ties(caller, windows, found, wrong, dtype):
    """Whether results that differ are those of windows a little larger or smaller, so that rounding has decided."""
    if windows.dtype.kind != "f":
        return False
    near = [_stored(caller(windows * windows.dtype.type(1 + d), None)[0], dtype) for d in (1e-6, -1e-6)]
    return bool(all((near[0] == found)[wrong] | (near[1] == found)[wrong]))


def _equal(values, others):
    return values.tobytes() == others.tobytes() or np.array_equal(values, others, equal_nan=values.dtype.kind == "f")


def agrees(caller, geometry, result, dtype):
    """Whether what a program of results of `dtype` left in `result`, an array of the input's dimension, is what the function
    gives for some windows, but for rounding, and gives again."""
    if isinstance(caller.function, _callables.Keyed):
        return True
    windows, found = _sampled(geometry, result)
    with np.errstate(all="ignore"):
        values, _ = caller(windows.copy(), None)
        again, _ = caller(windows.copy(), None)
        if values.dtype != dtype or not _equal(values, again):
            return False
        expected = _stored(values, result.dtype)
        if _equal(found, expected):
            return True
        wrong = ~_near(found, expected, windows)
        return not wrong.any() or (result.dtype.kind != "f" and _ties(caller, windows, found, wrong, result.dtype))


def _right_on_special_values(caller, dtype, geometry, program, kind):
    """Whether a program gives what the function gives for windows of zeros, extremes, NaN and infinities, whatever the input
    holds; yes if the function takes no such windows, or gives other results the next time: then `agrees` says no."""
    if dtype.kind == "b":
        values = [False, True, True, False, False, False, True]
    elif dtype.kind == "f":
        values = [0, -0.0, 1, -1, 0.5, 3.7, 2, np.nan, -3.7, 100, 1, np.inf, 0, 2.5, -np.inf, 7, np.inf, -1]
    else:
        info = np.iinfo(dtype)
        values = [0, 1, info.max, 2, info.min, 3, 100, info.max - 1, 5, 7, 0, info.max // 2 + 1]
    *rest, length = geometry.window
    counts = (*[1] * (len(rest) - 1), 2, 60)
    shape = tuple(size + count - 1 for size, count in zip(geometry.window, counts, strict=True))
    x = np.resize(np.array(values, dtype), shape)
    x[..., -25 - length // 2 :] = np.resize(np.array([3, 1, 2, 0, 1, 5, 1], dtype), (*shape[:-1], 25 + length // 2))
    x[..., :13] = np.resize(np.array([1, 0, 1, 1], dtype), (*shape[:-1], 13))
    ndim, axes = len(shape), tuple(geometry.footprint_axes()[-len(geometry.axes) :])
    geometry = geometry._replace(x=x, mask=None, before=(0,) * ndim, step=(1,) * ndim, counts=counts, axes=axes, omit=False,
                                 mode=_engine.MODES["ignore"], presence=False, order=tuple(range(ndim)))  # fmt: skip
    at = np.unravel_index(np.arange(math.prod(counts)), counts)
    windows = np.lib.stride_tricks.sliding_window_view(x, geometry.window)[at]
    windows = windows.transpose(0, *(a + 1 for a in geometry.footprint_axes())).reshape(len(windows), -1)
    if geometry.cells is not None:
        windows = windows[:, geometry.cells.transpose(geometry.footprint_axes()).reshape(-1)]
    windows = np.ascontiguousarray(windows)
    try:
        with np.errstate(all="ignore"):
            expected, _ = caller(windows.copy(), None)
    except Exception:
        return True
    if expected.dtype != kind:
        return False
    result = np.empty(counts, kind)
    walk = _programs.pass_for(geometry, (), [program])
    _programs.add(walk, geometry, program, result)
    walk.run(1)
    found = result.reshape(-1)
    wrong = ~_near(found, expected, windows)
    if not wrong.any():
        return True
    with np.errstate(all="ignore"):
        again, _ = caller(windows.copy(), None)
        if not np.array_equal(expected, again, equal_nan=expected.dtype.kind == "f"):
            return True
        return kind.kind != "f" and _ties(caller, windows, found, wrong, kind)


# ---- what a program is ----


def describe(assembly):
    """The text of a program: a line for each operation."""
    names = {}

    def name(operand):
        if isinstance(operand, _assembly.Cell):
            return f"cell {operand.cell}" + (f" of p{operand.line}" if operand.line else "")
        if isinstance(operand, _assembly.Constant):
            return f"{operand.value!s}"
        if isinstance(operand, _assembly.Shifted):
            return names[operand.number] + (f" shifted by {operand.by}" if operand.by else "")
        if isinstance(operand, _assembly.Value):
            return names[operand.number]
        return f"p{operand}" if operand else "pixel"

    def many(step):
        lines = {term.line for term in step.terms if isinstance(term, _assembly.Cell)}
        of = name(lines.pop()) if len(lines) == 1 else "values"
        around = f" around {name(step.operands[0])}" if step.operands else ""
        return f"{step.name} of {len(step.terms)} cells of {of}{around}"

    used = assembly.used_lines()
    pixels, outputs = [], []
    for line in used:
        step = assembly.pixels[line - 1]
        pixels.append(f"  p{line} = {step.name}({', '.join(map(name, step.operands))})  {step.code}")
    for count, number in enumerate(assembly.order):
        step = assembly.steps[number]
        names[number] = f"v{count}"
        if step.box:
            text = f"{step.name} of all cells of {name(step.operands[0])}, by rows and columns"
        elif step.terms:
            text = many(step)
        elif step.name == "named":
            what, value, _ = step.weights
            text = f"{f'rank {value[1]}' if what == 'rank' else what} of all cells, by name"
        elif step.name == "ranked":
            low, high = step.weights
            text = f"{f'sum of ranks {low} to {high}' if low < high else f'rank {low}'} of {name(step.operands[0])}"
        else:
            text = f"{step.name}({', '.join(map(name, step.operands))})"
        outputs.append(f"  {names[number]} = {text}  {step.code}")
    parts = [f"compiled: {len(pixels)} operations for each pixel, {len(outputs)} for each output, {assembly.registers} registers"]
    if pixels:
        parts += ["for each pixel:", *pixels]
    return "\n".join([*parts, "for each output:", *outputs])
