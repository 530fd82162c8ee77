"""NumPy's functions and methods of windows, as nodes of a recording (trace.py).

Each handler takes the recording, then what NumPy's function takes; arguments that it does not know are a TypeError, which is a
refusal like any.
"""
import math

import numpy as np

from .trace import Stand, supported

FUNCTIONS, METHODS = {}, {}
_REAL = np.dtype(np.float64)
_INTEGER = np.dtype(np.int64)


def _of(*functions, method=None):
    def note(handler):
        FUNCTIONS.update(dict.fromkeys(functions, handler))
        if method:
            METHODS[method] = handler
        return handler

    return note


def _stand(trace, value):
    if not isinstance(value, Stand):
        trace.refuse("an argument that depends on the windows where NumPy takes a constant")
    return value


def _plain(trace, out=None, where=True, initial=None):
    if out is not None or where is not True or initial is not None:
        trace.refuse("out=, where= or initial= of a reduction")


def _sum_dtype(value, dtype):
    if dtype is not None:
        return np.dtype(dtype)
    if value.dtype.kind in "bi" and value.dtype.itemsize < 8:
        return _INTEGER
    return np.dtype(np.uint64) if value.dtype.kind == "u" else value.dtype


def _mean_dtype(value, dtype=None):
    if dtype is not None and np.dtype(dtype).kind != "f":
        value.trace.refuse(f"a mean in {np.dtype(dtype)}")
    return np.dtype(dtype) if dtype is not None else value.dtype if value.dtype.kind == "f" else _REAL


def _cells(trace, value, axis):
    return math.prod(value.node.tail[a] for a in trace.axes(value, axis))


@_of(np.sum, method="sum")
def _sum(trace, a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    a = _stand(trace, a)
    _plain(trace, out, where, initial)
    return trace.reduce("sum", a, axis, keepdims, _sum_dtype(a, dtype))


@_of(np.prod, method="prod")
def _prod(trace, a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    a = _stand(trace, a)
    _plain(trace, out, where, initial)
    return trace.reduce("prod", a, axis, keepdims, _sum_dtype(a, dtype))


def _extreme(op):
    def handler(trace, a, axis=None, out=None, keepdims=False, initial=None, where=True):
        a = _stand(trace, a)
        _plain(trace, out, where, initial)
        if a.dtype.kind == "b":
            return trace.reduce({"min": "all", "max": "any"}[op], a, axis, keepdims)
        return trace.reduce(op, a, axis, keepdims)

    return handler


_min = _of(np.min, np.amin, method="min")(_extreme("min"))
_max = _of(np.max, np.amax, method="max")(_extreme("max"))


def _ignoring(op, plain):
    def handler(trace, a, axis=None, out=None, keepdims=False):
        a = _stand(trace, a)
        _plain(trace, out)
        return trace.reduce(op if a.dtype.kind == "f" else plain, a, axis, keepdims)

    return handler


_of(np.nanmin, method="fmin")(_ignoring("fmin", "min"))
_of(np.nanmax, method="fmax")(_ignoring("fmax", "max"))


@_of(np.any, method="any")
def _any(trace, a, axis=None, out=None, keepdims=False, *, where=True, dtype=None):
    _plain(trace, out, where)
    return trace.reduce("any", _stand(trace, a), axis, keepdims, np.dtype(bool))


@_of(np.all, method="all")
def _all(trace, a, axis=None, out=None, keepdims=False, *, where=True, dtype=None):
    _plain(trace, out, where)
    return trace.reduce("all", _stand(trace, a), axis, keepdims, np.dtype(bool))


@_of(np.count_nonzero)
def _count_nonzero(trace, a, axis=None, *, keepdims=False):
    truth = trace.stand(trace.cast(_stand(trace, a).node, np.dtype(bool)))
    return trace.reduce("sum", truth, axis, keepdims, _INTEGER)


@_of(np.ptp)
def _ptp(trace, a, axis=None, out=None, keepdims=False):
    return np.subtract(_max(trace, a, axis, out, keepdims), _min(trace, a, axis, out, keepdims))


@_of(np.mean, method="mean")
def _mean(trace, a, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    a = _stand(trace, a)
    _plain(trace, out, where)
    kind = _mean_dtype(a, dtype)
    return trace.reduce("sum", a, axis, keepdims, kind) / kind.type(_cells(trace, a, axis))


@_of(np.var, method="var")
def _var(trace, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    a = _stand(trace, a)
    _plain(trace, out, where)
    kind = _mean_dtype(a, dtype)
    a = a.astype(kind)
    distance = a - _mean(trace, a, axis, keepdims=True)
    count = kind.type(max(_cells(trace, a, axis) - ddof, 0))
    return trace.reduce("sum", distance * distance, axis, keepdims) / count


@_of(np.std, method="std")
def _std(trace, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    return np.sqrt(_var(trace, a, axis, dtype, out, ddof, keepdims, where=where))


@_of(np.average)
def _average(trace, a, axis=None, weights=None, returned=False, *, keepdims=False):
    a = _stand(trace, a)
    if weights is None and not returned:
        return _mean(trace, a, axis, keepdims=keepdims)
    if isinstance(weights, Stand) or returned:
        trace.refuse("an average with weights that depend on the windows")
    weights = np.asarray(weights)
    axes = trace.axes(a, axis)
    if weights.ndim != 1 or axes != (len(a.node.tail) - 1,):
        trace.refuse("an average with weights along other axes than the last")
    if weights.shape != a.node.tail[-1:]:
        raise ValueError("Length of weights not compatible with specified axis.")
    kind = np.result_type(a.dtype, weights.dtype, "f8") if a.dtype.kind in "iub" else np.result_type(a.dtype, weights.dtype)
    return trace.reduce("sum", a.astype(kind) * weights.astype(kind), axis, keepdims) / weights.sum(dtype=kind)


@_of(np.nansum)
def _nansum(trace, a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    a = _stand(trace, a)
    return _sum(trace, np.where(np.isnan(a), a.dtype.type(0), a), axis, dtype, out, keepdims, initial, where)


@_of(np.nanmean)
def _nanmean(trace, a, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    a = _stand(trace, a)
    if a.dtype.kind != "f":
        return _mean(trace, a, axis, dtype, out, keepdims, where=where)
    kind = _mean_dtype(a, dtype)
    counts = _sum(trace, ~np.isnan(a), axis, keepdims=keepdims)
    return _nansum(trace, a, axis, kind, out, keepdims, None, where) / counts.astype(kind)


@_of(np.linalg.norm)
def _norm(trace, x, ord=None, axis=None, keepdims=False):
    x = _stand(trace, x)
    if ord not in (None, 1, 2) or len(trace.axes(x, axis)) != 1:
        trace.refuse(f"a norm of order {ord!r}")
    x = x.astype(_mean_dtype(x))
    if ord == 1:
        return _sum(trace, np.abs(x), axis, keepdims=keepdims)
    return np.sqrt(_sum(trace, x * x, axis, keepdims=keepdims))


# ---- order ----


@_of(np.sort)
def _sort(trace, a, axis=-1, kind=None, order=None, *, stable=None):
    a = _stand(trace, a)
    node = a.node
    (axis,) = trace.axes(a, axis)
    numbers = np.moveaxis(np.arange(node.size).reshape(node.tail), axis, -1)
    moved = trace.pick([node], numbers)
    made = trace.node("sort", (moved,), node.dtype, moved.tail)
    return trace.stand(trace.pick([made], np.moveaxis(np.arange(made.size).reshape(made.tail), -1, axis)))


@_of(np.partition)
def _partition(trace, a, kth, axis=-1, kind="introselect", order=None):
    return _sort(trace, a, axis)


def _quantile(trace, a, fraction, axis, keepdims):
    """Between two cells linearly, as numpy.quantile has it; NaN where a cell is NaN."""
    a = _stand(trace, a)
    if isinstance(fraction, Stand) or np.ndim(fraction) or isinstance(fraction, (list, tuple)):
        trace.refuse("more than one quantile")
    fraction = float(fraction)
    axes = trace.axes(a, axis)
    if len(axes) != 1:
        trace.refuse("a quantile over several axes")
    if not 0 <= fraction <= 1:
        raise ValueError("Quantiles must be in the range [0, 1]")
    ordered = _sort(trace, a, axis)
    count = a.node.tail[axes[0]]
    position = (count - 1) * fraction
    low = min(math.floor(position), count - 1)
    high = min(low + 1, count - 1)

    def cell(i):
        index = [slice(None)] * ordered.ndim
        index[axes[0] + trace.lead] = slice(i, i + 1) if keepdims else i
        return ordered[tuple(index)]

    part = position - low
    kind = _mean_dtype(a)
    first, second = cell(low), cell(high)
    apart = second - first  # of integers modulo 2^bits, as NumPy has it
    part = kind.type(part)
    value = first + apart * part if part < 0.5 else second - apart * (1 - part)
    if kind != a.dtype or a.dtype.kind != "f":
        return value
    return np.where(np.isnan(cell(count - 1)), cell(count - 1), value)


@_of(np.quantile)
def _quantile_of(trace, a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False):
    _plain(trace, out)
    if method != "linear":
        trace.refuse(f"a quantile by {method!r}")
    return _quantile(trace, a, q, axis, keepdims)


@_of(np.percentile)
def _percentile(trace, a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False):
    if isinstance(q, (Stand, list, tuple)) or np.ndim(q):
        trace.refuse("more than one percentile")
    return _quantile_of(trace, a, q / 100, axis, out, overwrite_input, method, keepdims)


@_of(np.median)
def _median(trace, a, axis=None, out=None, overwrite_input=False, keepdims=False):
    _plain(trace, out)
    a = _stand(trace, a)
    axes = trace.axes(a, axis)
    if len(axes) != 1:
        trace.refuse("a median over several axes")
    count, kind = a.node.tail[axes[0]], _mean_dtype(a)
    ordered = _sort(trace, a, axis)
    index = [slice(None)] * ordered.ndim

    def cell(i):
        index[axes[0] + trace.lead] = slice(i, i + 1) if keepdims else i
        return ordered[tuple(index)]

    low, high, last = cell((count - 1) // 2), cell(count // 2), cell(count - 1)
    value = low.astype(kind)
    if count % 2 == 0:
        value = (value + high.astype(kind)) / kind.type(2)
    return np.where(np.isnan(last), last, value) if a.dtype.kind == "f" else value


def _position(op):
    def handler(trace, a, axis=None, out=None, *, keepdims=False):
        _plain(trace, out)
        a = _stand(trace, a)
        if axis is None and len(a.node.tail) == 1 and not trace.lead:
            axis = -1
        if axis is None:
            trace.refuse(f"{op} over all axes")
        node = a.node
        (axis,) = trace.axes(a, axis)
        numbers = np.moveaxis(np.arange(node.size).reshape(node.tail), axis, -1)
        moved = trace.pick([node], numbers)
        found = trace.node("position", (moved,), _INTEGER, moved.tail[:-1], op)
        if keepdims:
            tail = tuple(1 if a == axis else n for a, n in enumerate(node.tail))
            found = trace.pick([found], np.arange(found.size).reshape(tail))
        return trace.stand(found)

    return handler


_of(np.argmin, method="argmin")(_position("argmin"))
_of(np.argmax, method="argmax")(_position("argmax"))


# ---- elements ----


@_of(np.where)
def _where(trace, condition, x=None, y=None):
    if x is None or y is None:
        trace.refuse("where with one argument")
    return trace.where(condition, x, y)


@_of(np.select)
def _select(trace, condlist, choicelist, default=0):
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = trace.where(condition, choice, result)
    return result


@_of(np.clip, method="clip")
def _clip(trace, a, a_min=None, a_max=None, out=None, *, min=None, max=None):
    _plain(trace, out)
    low, high = a_min if a_min is not None else min, a_max if a_max is not None else max
    result = a
    if low is not None:
        result = np.maximum(result, low)
    return result if high is None else np.minimum(result, high)


@_of(np.round, np.around, method="round")
def _round(trace, a, decimals=0, out=None):
    _plain(trace, out)
    if decimals != 0:
        trace.refuse("rounding to decimals")
    return np.rint(_stand(trace, a)) if a.dtype.kind == "f" else a


def _astype(trace, a, dtype, order="K", casting="unsafe", subok=True, copy=True):
    wanted = np.dtype(dtype)
    if not supported(wanted):
        trace.refuse(f"astype({wanted})")
    return trace.stand(trace.cast(a.node, wanted))


METHODS["astype"] = _astype
FUNCTIONS[np.astype] = _astype
METHODS["copy"] = lambda trace, a, order="C": a
METHODS["conj"] = METHODS["conjugate"] = METHODS["copy"]
FUNCTIONS[np.copy] = FUNCTIONS[np.real] = METHODS["copy"]


@_of(np.dot, method="dot")
def _dot(trace, a, b, out=None):
    _plain(trace, out)
    if (not isinstance(a, Stand) and np.ndim(a) == 0) or (not isinstance(b, Stand) and np.ndim(b) == 0):
        return np.multiply(a, b)
    return trace.stand(trace.product(a, b))


@_of(np.inner)
def _inner(trace, a, b):
    if not isinstance(b, Stand) and np.ndim(b) == 1:
        return trace.stand(trace.product(a, b))
    trace.refuse("this inner product")


@_of(np.diff)
def _diff(trace, a, n=1, axis=-1, prepend=None, append=None):
    a = _stand(trace, a)
    if n != 1 or prepend is not None or append is not None:
        trace.refuse("differences of another order than 1")
    (axis,) = trace.axes(a, axis)
    index = [slice(None)] * a.ndim
    later, earlier = list(index), list(index)
    later[axis + trace.lead], earlier[axis + trace.lead] = slice(1, None), slice(None, -1)
    return np.subtract(a[tuple(later)], a[tuple(earlier)])


# ---- functions that only move elements ----


def _moves(function, method=None):
    def handler(trace, a, *args, **kwargs):
        several = isinstance(a, (list, tuple))
        stands = list(a) if several else [a]
        if any(not isinstance(one, Stand) for one in stands):
            trace.refuse(f"{function.__name__} of windows and constants")
        if not {"dtype", "casting", "out"}.isdisjoint(kwargs):
            trace.refuse(f"dtype=, casting= or out= of {function.__name__}")
        if any(isinstance(value, Stand) for value in (*args, *kwargs.values())):
            trace.refuse(f"{function.__name__} by what depends on the windows")

        def moved(*arrays):
            *arrays, windows = arrays
            values = [_without(trace, value, windows) for value in args]
            named = {key: _without(trace, value, windows) for key, value in kwargs.items()}
            return function(arrays if several else arrays[0], *values, **named)

        return trace.rearranged(function.__name__, stands, moved)

    FUNCTIONS[function] = handler
    if method:
        METHODS[method] = handler


def _without(trace, value, windows):
    """An argument with a number in place of that of the windows."""
    if value is trace.outputs:
        return windows
    if isinstance(value, tuple):
        if trace.lead and any(type(one) is int and one == windows for one in value):
            trace.refuse(f"a shape with {windows} in it")
        return tuple(_without(trace, one, windows) for one in value)
    return value


for _function in (np.take, np.roll, np.flip, np.swapaxes, np.moveaxis, np.squeeze, np.expand_dims, np.broadcast_to,
                  np.concatenate, np.stack, np.repeat, np.rot90, np.ravel):  # fmt: skip
    _moves(_function)
for _function, _name in ((np.take, "take"), (np.swapaxes, "swapaxes"), (np.squeeze, "squeeze"), (np.ravel, "ravel")):
    METHODS[_name] = FUNCTIONS[_function]
METHODS["flatten"] = FUNCTIONS[np.ravel]
_moves(np.reshape)
_moves(np.transpose)
METHODS["reshape"] = lambda trace, a, *shape, **named: FUNCTIONS[np.reshape](
    trace, a, shape[0] if len(shape) == 1 else shape, **named
)
METHODS["transpose"] = lambda trace, a, *axes: FUNCTIONS[np.transpose](
    trace, a, axes[0] if len(axes) == 1 else axes or None
)
