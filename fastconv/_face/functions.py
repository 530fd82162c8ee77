"""NumPy's functions of elements, products, and functions that only move elements, as nodes of a recording (trace.py); handlers as
in reductions.py."""
import math

import numpy as np

from .reductions import axis_ends, note, plain_options, stand_of, sum_of
from .stand import FUNCTIONS, METHODS, UFUNCS, Stand, constant_or_node, take_over
from .trace import supported

# ---- elements ----


@note(np.where)
def _where(trace, condition, x=None, y=None):
    if x is None or y is None:
        trace.refuse("where with one argument")
    return trace.where(condition, x, y)


@note(np.select)
def _select(trace, condlist, choicelist, default=0):
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = trace.where(condition, choice, result)
    return result


@note(np.clip, method="clip")
def _clip(trace, a, a_min=None, a_max=None, out=None, *, min=None, max=None):
    low, high = a_min if a_min is not None else min, a_max if a_max is not None else max
    result = a
    if low is not None:
        result = np.maximum(result, low)
    if high is not None:
        result = np.minimum(result, high)
    return _copy(trace, result) if out is None else take_over(trace, out, result)


@note(np.round, np.around, method="round")
def _round(trace, a, decimals=0, out=None):
    plain_options(trace, out)
    if decimals != 0:
        trace.refuse("rounding to decimals")
    return np.rint(stand_of(trace, a)) if a.dtype.kind == "f" else _copy(trace, a)


def _astype(trace, a, dtype, order="K", casting="unsafe", subok=True, copy=True):
    wanted = np.dtype(dtype)
    if not supported(wanted):
        trace.refuse(f"astype({wanted})")
    if copy or wanted != a.dtype:
        return trace.array(trace.cast(a.node, wanted))
    if order != "K":
        trace.refuse("astype in another order")
    return a


METHODS["astype"] = _astype
if hasattr(np, "astype"):  # from NumPy 2.1 on
    FUNCTIONS[np.astype] = _astype


@note(np.copy, method="copy")
def _copy(trace, a, order="K", subok=False):
    return trace.array(stand_of(trace, a).node)


for _name in ("conj", "conjugate"):
    METHODS[_name] = lambda trace, a: a
FUNCTIONS[np.real] = METHODS["conj"]


@note(method="sort")
def _sort_in_place(trace, a, axis=-1, kind=None, order=None, *, stable=None):
    take_over(trace, a, np.sort(a, axis))


@note(method="fill")
def _fill(trace, a, value):
    if np.ndim(value):
        trace.refuse("fill with an array")
    a[...] = value


@note(np.copyto)
def _copyto(trace, dst, src, casting="same_kind", where=True):
    source = src.dtype if hasattr(src, "dtype") else np.result_type(src, dst.dtype)
    if where is not True or not isinstance(dst, Stand) or not np.can_cast(source, dst.dtype, casting):
        trace.refuse("this copyto")
    dst[...] = src


@note(np.putmask)
def _putmask(trace, a, mask, values):
    if not isinstance(mask, Stand) or mask.shape != a.shape:
        trace.refuse("this putmask")
    a[mask] = values


def _like(function, value):
    def handler(trace, a, *values, dtype=None, order="K", subok=True, shape=None):
        wanted = np.dtype(dtype or stand_of(trace, a).dtype)
        if shape is not None or len(values) != (value is None) or not supported(wanted):
            trace.refuse(f"this {function.__name__}")
        node = constant_or_node(trace, values[0] if value is None else value, wanted)
        if node.op != "constant" or node.tail != ():
            trace.refuse(f"{function.__name__} of what is no constant number")
        return trace.array(trace.node("copy", (node,), wanted, a.node.tail))

    return note(function)(handler)


for _function, _value in ((np.zeros_like, 0), (np.ones_like, 1), (np.full_like, None)):
    _like(_function, _value)


FUNCTIONS[np.ndim] = lambda trace, a: a.ndim
FUNCTIONS[np.shape] = lambda trace, a: a.shape


@note(np.dot, method="dot")
def _dot(trace, a, b, out=None):
    plain_options(trace, out)
    if (not isinstance(a, Stand) and np.ndim(a) == 0) or (not isinstance(b, Stand) and np.ndim(b) == 0):
        return np.multiply(a, b)
    return trace.stand(trace.product(a, b))


@note(np.inner)
def _inner(trace, a, b):
    if not isinstance(b, Stand) and np.ndim(b) == 1:
        return trace.stand(trace.product(a, b))
    if not trace.lead and np.ndim(a) == np.ndim(b) == 1:
        return trace.stand(trace.product(a, b))
    trace.refuse("this inner product")


@note(np.vdot)
def _vdot(trace, a, b):
    if trace.lead or np.ndim(a) != 1 or np.ndim(b) != 1:
        trace.refuse("this inner product")
    return trace.stand(trace.product(a, b))


@note(np.tensordot)
def _tensordot(trace, a, b, axes=2):
    if not isinstance(a, Stand) or isinstance(b, Stand):
        trace.refuse("a tensor product with windows on its right")
    b = np.asarray(b)
    if np.ndim(axes) == 0:
        axes = range(a.ndim - axes, a.ndim), range(axes)
    first, second = (np.atleast_1d(one) % ndim for one, ndim in zip(axes, (a.ndim, b.ndim), strict=True))
    names = "abcdefghijklmnopqrstuvwxyz"
    left, right = names[: a.ndim], list(names[a.ndim : a.ndim + b.ndim])
    for i, j in zip(first, second, strict=True):
        if a.node.tail[i - trace.lead] != b.shape[j]:
            raise ValueError("shape-mismatch for sum")
        right[j] = left[i]
    kept = [name for i, name in enumerate(left) if i not in first] + [name for j, name in enumerate(right) if j not in second]
    return np.einsum(f"{left},{''.join(right)}->{''.join(kept)}", a, b)


@note(np.einsum)
def _einsum(trace, subscripts, *operands, out=None, dtype=None, order="K", casting="safe", optimize=False):
    plain_options(trace, out)
    if not isinstance(subscripts, str) or dtype is not None:
        trace.refuse("einsum by lists or in another dtype")
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    given, operands = given.split(","), [one if isinstance(one, Stand) else np.asarray(one) for one in operands]
    if len(given) != len(operands):
        raise ValueError("einsum of another number of operands")
    if len(given) == 1:
        trace.refuse("einsum of one array")  # which may be a view
    # An ellipsis stands for digits, the last of the same ones in all operands.
    rests = [one.ndim - len(names.replace("...", "")) for names, one in zip(given, operands, strict=True)]
    spread = max((rest for names, rest in zip(given, rests, strict=True) if "..." in names), default=0)
    full = [names.replace("...", "0123456789"[spread - rest : spread]) for names, rest in zip(given, rests, strict=True)]
    if arrow and spread and "..." not in result:
        raise ValueError("einsum whose result has no ellipsis")
    if not arrow:
        letters = "".join(full)
        result = "".join(sorted(name for name in set(letters) if name.isalpha() and letters.count(name) == 1))
        result = "..." + result if spread else result
    result = result.replace("...", "0123456789"[:spread])
    summed = sorted(set("".join(full)) - set(result))
    if any(len(set(names)) != len(names) for names in (*full, result)) or not set(result) <= set("".join(full)):
        trace.refuse("a diagonal in einsum")
    kind = np.result_type(*(one.dtype for one in operands))
    if kind.kind == "b":
        trace.refuse("einsum of booleans")
    total, letters = None, [*result, *summed]
    for names, one in zip(full, operands, strict=True):
        one = np.transpose(one.astype(kind), [names.index(name) for name in letters if name in names])
        one = one[tuple(slice(None) if name in names else None for name in letters)]
        total = one if total is None else total * one
    return total if not summed else sum_of(trace, total, tuple(range(len(result), len(letters))), kind)


@note(np.diff)
def _diff(trace, a, n=1, axis=-1, prepend=None, append=None):
    a = stand_of(trace, a)
    if prepend is not None or append is not None:
        trace.refuse("differences with something before or after")
    (axis,) = trace.axes(a, axis)
    for _ in range(n):
        later, earlier = axis_ends(trace, a, axis)
        a = np.not_equal(later, earlier) if a.dtype.kind == "b" else np.subtract(later, earlier)
    return a


@note(np.trapezoid)
def _trapezoid(trace, y, x=None, dx=1.0, axis=-1):
    y = stand_of(trace, y)
    if isinstance(x, Stand) or isinstance(dx, Stand) or np.ndim(x) > 1 or np.ndim(dx):
        trace.refuse("an integral by steps that depend on the windows or the axis")
    (along,) = trace.axes(y, axis)
    step = dx if x is None else np.diff(x).reshape(-1, *[1] * (len(y.node.tail) - 1 - along))
    later, earlier = axis_ends(trace, y, along)
    return sum_of(trace, step * (later + earlier) / 2.0, axis)


@note(np.nan_to_num)
def _nan_to_num(trace, x, copy=True, nan=0.0, posinf=None, neginf=None):
    x = stand_of(trace, x)
    if not copy or any(isinstance(value, Stand) or np.ndim(value) for value in (nan, posinf, neginf)):
        trace.refuse("nan_to_num in place, or by what depends on the windows")
    if x.dtype.kind != "f":
        return _copy(trace, x)
    info, kind = np.finfo(x.dtype), x.dtype.type
    y = np.where(np.isnan(x), kind(nan), x)
    y = np.where(x == np.inf, kind(info.max if posinf is None else posinf), y)
    return np.where(x == -np.inf, kind(info.min if neginf is None else neginf), y)


@note(np.isclose)
def _isclose(trace, a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    if isinstance(b, Stand):
        b = b.astype(np.result_type(b.dtype, 1.0))
    else:
        b = np.asarray(b, np.result_type(b, 1.0))
    same = (np.abs(a - b) <= atol + rtol * np.abs(b)) & np.isfinite(b) | np.equal(a, b)
    return same | (np.isnan(a) & np.isnan(b)) if equal_nan else same


# ---- ufuncs of others ----


def _ufunc(name):
    return lambda function: UFUNCS.setdefault(name, function)


@_ufunc("logaddexp")
def _logaddexp(a, b):
    apart = -np.abs(a - b)
    return np.where(a == b, a + apart.dtype.type(math.log(2)), np.maximum(a, b) + np.log1p(np.exp(apart)))


@_ufunc("heaviside")
def _heaviside(a, b):
    kind = a.dtype.type
    return np.where(np.isnan(a), a, np.where(a == 0, b, np.where(a < 0, kind(0), kind(1))))


@_ufunc("signbit")
def _signbit(a):
    return np.copysign(a.dtype.type(1), a) < 0


@_ufunc(("fmod", "u"))
def _fmod_unsigned(a, b):
    return np.remainder(a, b)


@_ufunc(("fmod", "i"))
def _fmod(a, b):
    rest = np.remainder(a, b)  # which has the sign of b
    return np.where((rest != 0) & ((a < 0) != (b < 0)), rest - b, rest)


# ---- functions that only move elements ----


def _moves(function, shared):
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

        return trace.rearranged(function.__name__, stands, moved, shared)

    FUNCTIONS[function] = handler


def _without(trace, value, windows):
    """An argument with a number in place of that of the windows."""
    if value is trace.outputs:
        return windows
    if isinstance(value, tuple):
        if trace.lead and any(type(one) is int and one == windows for one in value):
            trace.refuse(f"a shape with {windows} in it")
        return tuple(_without(trace, one, windows) for one in value)
    return value


def _only_cut(old, new):
    """Whether a reshape cuts axes and joins none, which gives a view however the elements lie."""
    new = list(new)
    for length in old:
        product = 1
        while product < length and new:
            product *= new.pop(0)
        if product != length:
            return False
    return True


for _function in (np.take, np.roll, np.concatenate, np.stack, np.repeat):
    _moves(_function, False)
for _function in (np.flip, np.swapaxes, np.moveaxis, np.squeeze, np.expand_dims, np.rot90, np.transpose):
    _moves(_function, True)
for _function in (np.ravel, np.broadcast_to):
    _moves(_function, None)
_moves(np.reshape, lambda old, new: _only_cut(old, new) or None)
for _function, _name in ((np.take, "take"), (np.swapaxes, "swapaxes"), (np.squeeze, "squeeze"), (np.ravel, "ravel")):
    METHODS[_name] = FUNCTIONS[_function]
METHODS["flatten"] = lambda trace, a, order="C": trace.rearranged("flatten", [a], lambda array, windows: array.flatten(order))
METHODS["reshape"] = lambda trace, a, *shape, **named: FUNCTIONS[np.reshape](
    trace, a, shape[0] if len(shape) == 1 else shape, **named
)
METHODS["transpose"] = lambda trace, a, *axes: FUNCTIONS[np.transpose](
    trace, a, axes[0] if len(axes) == 1 else axes or None
)
