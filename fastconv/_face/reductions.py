"""NumPy's functions and methods of windows, as nodes of a recording (trace.py).

Each handler takes the recording, then what NumPy's function takes; arguments that it does not know are a TypeError, which is a
refusal like any.
"""
import math

import numpy as np

from .stand import FUNCTIONS, METHODS, Stand
from .trace import supported

_REAL = np.dtype(np.float64)
_INTEGER = np.dtype(np.int64)


def note(*functions, method=None):
    def noted(handler):
        FUNCTIONS.update(dict.fromkeys(functions, handler))
        if method:
            METHODS[method] = handler
        return handler

    return noted


def stand_of(trace, value):
    if not isinstance(value, Stand):
        trace.refuse("an argument that depends on the windows where NumPy takes a constant")
    return value


def plain_options(trace, out=None, where=True):
    if out is not None or where is not True:
        trace.refuse("out= or where= of this function")


def _only(trace, a, where, instead):
    """The elements of `a` where a condition holds, elsewhere a number."""
    if where is True:
        return a
    if (where if isinstance(where, Stand) else np.asarray(where)).dtype.kind != "b":
        trace.refuse("where= of no booleans")
    chosen = np.where(where, a, a.dtype.type(instead))
    if chosen.node.tail != a.node.tail:
        trace.refuse("where= of another shape")
    return chosen


def _first(trace, initial, kind):
    """The `initial` of a reduction in a dtype."""
    if isinstance(initial, Stand) or np.ndim(initial) or kind.kind == "b" or (kind.kind in "iu" and initial != int(initial)):
        trace.refuse(f"initial= of another kind than {kind}")
    return kind.type(initial)


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


@note(np.sum, method="sum")
def sum_of(trace, a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    plain_options(trace, out)
    a = stand_of(trace, a)
    kind = _sum_dtype(a, dtype)
    result = trace.reduce("sum", _only(trace, a, where, 0), axis, keepdims, kind)
    return result if initial is None else result + _first(trace, initial, kind)


@note(np.prod, method="prod")
def _prod(trace, a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    plain_options(trace, out)
    a = stand_of(trace, a)
    kind = _sum_dtype(a, dtype)
    result = trace.reduce("prod", _only(trace, a, where, 1), axis, keepdims, kind)
    return result if initial is None else result * _first(trace, initial, kind)


def _extreme(op, of_two):
    def handler(trace, a, axis=None, out=None, keepdims=False, initial=None, where=True):
        plain_options(trace, out)
        a = stand_of(trace, a)
        if initial is None and where is not True:
            raise ValueError("a reduction of no elements that has no identity")
        first = None if initial is None else _first(trace, initial, a.dtype)
        if a.dtype.kind == "b":
            return trace.reduce({"min": "all", "max": "any"}[op], a, axis, keepdims)
        result = trace.reduce(op, _only(trace, a, where, first), axis, keepdims)
        return result if first is None else of_two(result, first)

    return handler


_min = note(np.min, np.amin, method="min")(_extreme("min", np.minimum))
_max = note(np.max, np.amax, method="max")(_extreme("max", np.maximum))


def _ignoring(op, plain):
    def handler(trace, a, axis=None, out=None, keepdims=False):
        a = stand_of(trace, a)
        plain_options(trace, out)
        return trace.reduce(op if a.dtype.kind == "f" else plain, a, axis, keepdims)

    return handler


note(np.nanmin, method="fmin")(_ignoring("fmin", "min"))
note(np.nanmax, method="fmax")(_ignoring("fmax", "max"))


@note(np.any, method="any")
def _any(trace, a, axis=None, out=None, keepdims=False, *, where=True, dtype=None):
    plain_options(trace, out)
    truth = trace.stand(trace.cast(stand_of(trace, a).node, np.dtype(bool)))
    return trace.reduce("any", _only(trace, truth, where, False), axis, keepdims)


@note(np.all, method="all")
def _all(trace, a, axis=None, out=None, keepdims=False, *, where=True, dtype=None):
    plain_options(trace, out)
    truth = trace.stand(trace.cast(stand_of(trace, a).node, np.dtype(bool)))
    return trace.reduce("all", _only(trace, truth, where, True), axis, keepdims)


@note(np.count_nonzero)
def _count_nonzero(trace, a, axis=None, *, keepdims=False):
    truth = trace.stand(trace.cast(stand_of(trace, a).node, np.dtype(bool)))
    return trace.reduce("sum", truth, axis, keepdims, _INTEGER)


@note(np.ptp)
def _ptp(trace, a, axis=None, out=None, keepdims=False):
    return np.subtract(_max(trace, a, axis, out, keepdims), _min(trace, a, axis, out, keepdims))


@note(np.mean, method="mean")
def _mean(trace, a, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    a = stand_of(trace, a)
    plain_options(trace, out)
    kind = _mean_dtype(a, dtype)
    total = trace.reduce("sum", _only(trace, a, where, 0), axis, keepdims, kind)
    if where is True:
        return total / kind.type(_cells(trace, a, axis))
    return total / trace.reduce("sum", _only(trace, np.ones_like(a, dtype=bool), where, False), axis, keepdims, kind)


@note(np.var, method="var")
def _var(trace, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    a = stand_of(trace, a)
    plain_options(trace, out, where)
    kind = _mean_dtype(a, dtype)
    a = a.astype(kind)
    distance = a - _mean(trace, a, axis, keepdims=True)
    count = kind.type(max(_cells(trace, a, axis) - ddof, 0))
    return trace.reduce("sum", distance * distance, axis, keepdims) / count


@note(np.std, method="std")
def _std(trace, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    return np.sqrt(_var(trace, a, axis, dtype, out, ddof, keepdims, where=where))


@note(np.average)
def _average(trace, a, axis=None, weights=None, returned=False, *, keepdims=False):
    a = stand_of(trace, a)
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


@note(np.nansum)
def _nansum(trace, a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    a = stand_of(trace, a)
    return sum_of(trace, np.where(np.isnan(a), a.dtype.type(0), a), axis, dtype, out, keepdims, initial, where)


@note(np.nanmean)
def _nanmean(trace, a, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    a = stand_of(trace, a)
    if a.dtype.kind != "f":
        return _mean(trace, a, axis, dtype, out, keepdims, where=where)
    kind = _mean_dtype(a, dtype)
    counts = sum_of(trace, ~np.isnan(a), axis, keepdims=keepdims)
    return _nansum(trace, a, axis, kind, out, keepdims, None, where) / counts.astype(kind)


@note(np.nanprod)
def _nanprod(trace, a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    a = stand_of(trace, a)
    return _prod(trace, np.where(np.isnan(a), a.dtype.type(1), a), axis, dtype, out, keepdims, initial, where)


@note(np.nanvar)
def _nanvar(trace, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    a = stand_of(trace, a)
    if a.dtype.kind != "f":
        return _var(trace, a, axis, dtype, out, ddof, keepdims, where=where)
    a = a.astype(_mean_dtype(a, dtype))
    plain_options(trace, out, where)
    distance = np.where(np.isnan(a), a.dtype.type(0), a - _nanmean(trace, a, axis, keepdims=True))
    free = sum_of(trace, ~np.isnan(a), axis, keepdims=keepdims).astype(a.dtype) - a.dtype.type(ddof)
    return np.where(free > 0, sum_of(trace, distance * distance, axis, keepdims=keepdims) / free, a.dtype.type(np.nan))


@note(np.nanstd)
def _nanstd(trace, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True):
    return np.sqrt(_nanvar(trace, a, axis, dtype, out, ddof, keepdims, where=where))


@note(np.linalg.norm)
def _norm(trace, x, ord=None, axis=None, keepdims=False):
    x = stand_of(trace, x)
    if isinstance(ord, str) or len(trace.axes(x, axis)) != 1:
        if ord not in (None, "fro") or len(trace.axes(x, axis)) > 2:
            trace.refuse(f"a norm of order {ord!r}")
    x = x.astype(_mean_dtype(x))
    if ord in (None, 2, "fro"):
        return np.sqrt(sum_of(trace, x * x, axis, keepdims=keepdims))
    size = np.abs(x)
    if ord in (math.inf, -math.inf):
        return (_max if ord > 0 else _min)(trace, size, axis, keepdims=keepdims)
    if ord == 0:
        return sum_of(trace, (x != 0).astype(x.dtype), axis, keepdims=keepdims)
    if ord == 1:
        return sum_of(trace, size, axis, keepdims=keepdims)
    return sum_of(trace, size ** float(ord), axis, keepdims=keepdims) ** (1 / float(ord))


def _running(ufunc):
    def handler(trace, a, axis=None, dtype=None, out=None):
        plain_options(trace, out)
        a = stand_of(trace, a)
        if axis is None and (trace.lead or len(a.node.tail) != 1):
            trace.refuse("running values over all axes")
        (axis,) = trace.axes(a, -1 if axis is None else axis)
        kind = _sum_dtype(a, dtype)
        if not supported(kind) or kind.kind == "b":
            trace.refuse(f"running values in {kind}")
        a = a.astype(kind)
        index = [slice(None)] * a.ndim
        parts = []
        for i in range(a.node.tail[axis]):
            index[axis + trace.lead] = slice(i, i + 1)
            parts.append(ufunc(parts[-1], a[tuple(index)]) if parts else a[tuple(index)])
        return np.concatenate(parts, axis=axis + trace.lead)

    return handler


note(np.cumsum, method="cumsum")(_running(np.add))
note(np.cumprod, method="cumprod")(_running(np.multiply))


# ---- order ----


@note(np.sort)
def _sort(trace, a, axis=-1, kind=None, order=None, *, stable=None):
    return _in_order(trace, a, axis)


def _in_order(trace, a, axis, use=()):
    """The elements in order; with the use "quantile" it does not matter what comes where one of them is NaN."""
    a = stand_of(trace, a)
    node = a.node
    (axis,) = trace.axes(a, axis)
    numbers = np.moveaxis(np.arange(node.size).reshape(node.tail), axis, -1)
    moved = trace.pick([node], numbers)
    made = trace.node("sort", (moved,), node.dtype, moved.tail, use)
    return trace.stand(trace.pick([made], np.moveaxis(np.arange(made.size).reshape(made.tail), -1, axis)))


@note(np.partition)
def _partition(trace, a, kth, axis=-1, kind="introselect", order=None):
    return _sort(trace, a, axis)


def _quantile(trace, a, fraction, axis, keepdims, omit):
    """Between two cells linearly, as numpy.quantile has it; NaN where a cell is NaN, unless they are omitted."""
    a = stand_of(trace, a)
    fraction = float(fraction)
    axes = trace.axes(a, axis)
    if len(axes) != 1:
        trace.refuse("a quantile over several axes")
    if not 0 <= fraction <= 1:
        raise ValueError("Quantiles must be in the range [0, 1]")
    ordered = _in_order(trace, a, axis, () if omit else "quantile")
    count, kind = a.node.tail[axes[0]], _mean_dtype(a)

    def cell(i):
        return _cell(trace, ordered, axes[0], i, keepdims)

    def of_first(count):
        """Of the first cells in order."""
        position = (count - 1) * fraction
        low = min(math.floor(position), count - 1)
        first, second = cell(low), cell(min(low + 1, count - 1))
        apart = second - first  # of integers modulo 2^bits, as NumPy has it
        part = kind.type(position - low)
        return first + apart * part if part < 0.5 else second - apart * (1 - part)

    if a.dtype.kind != "f":
        return of_first(count)
    if omit:
        return _by_count(trace, a, axis, keepdims, of_first)
    return _unless_nan(trace, a, axis, keepdims, of_first(count))


def _unless_nan(trace, a, axis, keepdims, value):
    """NaN where a cell is NaN."""
    greatest = trace.reduce("max", a, axis, keepdims)
    return np.where(np.isnan(greatest), greatest, value)


def axis_ends(trace, a, axis):
    """All but the first, and all but the last, along an axis of a tail."""
    index = [slice(None)] * a.ndim
    later, earlier = list(index), list(index)
    later[axis + trace.lead], earlier[axis + trace.lead] = slice(1, None), slice(None, -1)
    return a[tuple(later)], a[tuple(earlier)]


def _cell(trace, ordered, axis, i, keepdims):
    """Cell i along an axis of a tail."""
    index = [slice(None)] * ordered.ndim
    index[axis + trace.lead] = slice(i, i + 1) if keepdims else i
    return ordered[tuple(index)]


def _by_count(trace, a, axis, keepdims, of_first):
    """What a function gives for as many of the cells in order as are not NaN; NaN where all are."""
    counts = sum_of(trace, ~np.isnan(a), axis, keepdims=keepdims)
    result = a.dtype.type(np.nan)
    for count in range(1, _cells(trace, a, axis) + 1):
        result = np.where(counts == count, of_first(count), result)
    return result


def _quantiles(function, scale, omit):
    def handler(trace, a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False):
        plain_options(trace, out)
        if method != "linear":
            trace.refuse(f"a quantile by {method!r}")
        if isinstance(q, (Stand, list, tuple)) or np.ndim(q):
            trace.refuse("more than one quantile")
        return _quantile(trace, a, q / scale, axis, keepdims, omit)

    return note(function)(handler)


for _function, _scale, _omit in ((np.quantile, 1, False), (np.percentile, 100, False), (np.nanquantile, 1, True),
                                 (np.nanpercentile, 100, True)):  # fmt: skip
    _quantiles(_function, _scale, _omit)


def _medians(function, omit):
    def handler(trace, a, axis=None, out=None, overwrite_input=False, keepdims=False):
        plain_options(trace, out)
        a = stand_of(trace, a)
        axes = trace.axes(a, axis)
        if len(axes) != 1:
            trace.refuse("a median over several axes")
        kind = _mean_dtype(a)
        ordered, count = _in_order(trace, a, axis, () if omit else "quantile"), a.node.tail[axes[0]]

        def cell(i):
            return _cell(trace, ordered, axes[0], i, keepdims)

        def of_first(count):
            value = cell((count - 1) // 2).astype(kind)
            return value if count % 2 else (value + cell(count // 2).astype(kind)) / kind.type(2)

        if a.dtype.kind != "f":
            return of_first(count)
        if omit:
            return _by_count(trace, a, axis, keepdims, of_first)
        return _unless_nan(trace, a, axis, keepdims, of_first(count))

    return note(function)(handler)


_medians(np.median, False)
_medians(np.nanmedian, True)


def _position(op):
    def handler(trace, a, axis=None, out=None, *, keepdims=False):
        plain_options(trace, out)
        a = stand_of(trace, a)
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


note(np.argmin, method="argmin")(_position("argmin"))
note(np.argmax, method="argmax")(_position("argmax"))
