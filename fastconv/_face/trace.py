"""What a function of windows does, recorded by calling it once with a stand-in for them.

What the stand-in (stand.py) is used for is written down as nodes of a graph, whose values have the shape that the window alone
would give them: a *tail* behind the axis of outputs, where the function takes one. What cannot be written down raises `Refused`,
which names the operation and the line of the function. Next hops: reductions.py and functions.py, which have NumPy's functions of
windows, then program.py, which makes a program of the graph.
"""
import contextvars
import functools
import math
import operator
import sys
import warnings
from pathlib import Path

import numpy as np

from .stand import UFUNCS, Outputs, Stand

KINDS = {np.dtype(code): code for code in ("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")}
_MOST_CELLS = 1 << 16
_BOOL, _INTP = np.dtype(bool), np.dtype(np.intp)

# Ufuncs that are an operation of the same name on arrays of the loop's dtype.
_SAME = {
    "add", "subtract", "multiply", "divide", "negative", "absolute", "sqrt", "sign", "floor", "ceil", "rint", "trunc", "exp",
    "log", "log2", "log10", "expm1", "log1p", "power", "hypot", "sin", "cos", "tan", "tanh", "arctan", "arctan2", "maximum",
    "minimum", "fmax", "fmin", "less", "less_equal", "equal", "not_equal", "bitwise_and", "bitwise_or", "bitwise_xor", "invert",
    "left_shift", "right_shift", "floor_divide", "remainder", "fmod", "copysign", "cbrt", "exp2", "sinh", "cosh", "arcsin",
    "arccos",
}  # fmt: skip
_TRUTHS = {"logical_and": "bitwise_and", "logical_or": "bitwise_or", "logical_xor": "bitwise_xor"}
_OF_BOOLEANS = {"add": "bitwise_or", "multiply": "bitwise_and", "maximum": "bitwise_or", "minimum": "bitwise_and",
                "fmax": "bitwise_or", "fmin": "bitwise_and", "invert": "not", "absolute": "copy"}  # fmt: skip
_ALIASES = {"true_divide": "divide", "conjugate": "positive", "float_power": "power"}
_SCALED = {"deg2rad": lambda kind: kind(math.pi) / kind(180), "rad2deg": lambda kind: kind(180) / kind(math.pi)}
_SCALED |= {"radians": _SCALED["deg2rad"], "degrees": _SCALED["rad2deg"]}
_WATCHED = {"raise", "call", "print", "log"}
_WHOLE = {"floor", "ceil", "rint", "trunc"}  # of integers: as they are
_REALS = {"fmin", "fmax", "fmod"}  # of integers: other operations
_MOST_INDICES = 256  # that are remembered
_MOST_ELEMENTS = 1 << 10  # of an array whose indices are
_indices = {}
_HERE = str(Path(__file__).parent)
_NUMPY = str(Path(np.__file__).parent)


@functools.lru_cache(1024)
def _loop(ufunc, asked):
    """(the dtypes of the loop that NumPy takes for operands of some dtypes or types of scalars, whether all are understood, the
    operation that it is if it is one and no more)."""
    dtypes = ufunc.resolve_dtypes((*asked, *[None] * ufunc.nout))
    name, dtype = _ALIASES.get(ufunc.__name__, ufunc.__name__), dtypes[0]
    alone = name in _SAME and name != "power" and dtype != _BOOL and dtypes[: ufunc.nin] == (dtype,) * ufunc.nin
    if dtype.kind != "f":
        alone = alone and name not in _WHOLE | _REALS
    return dtypes, all(supported(dtype) for dtype in dtypes), name if alone else None


@functools.lru_cache(1024)
def _scalar(value, kind, dtype):
    """A number that is not 0, of a type `kind`, as an array of a dtype."""
    return np.asarray(value).astype(dtype)


def _basic(parts):
    """What tells a basic index from others, None of one that may be none."""
    found = []
    for part in parts:
        bounds = (part.start, part.stop, part.step) if type(part) is slice else (part,)
        for bound in bounds:
            if isinstance(bound, (int, np.integer)) and not isinstance(bound, bool):
                found.append(int(bound))
            elif bound is None or bound is Ellipsis:
                found.append(bound)
            else:
                return None
        found.append(len(bounds))
    return tuple(found)


def _ignored(filters):
    """Whether filters of warnings ignore those of NumPy's ufuncs."""
    plain = [one for one in filters if one[1] is one[3] is None and issubclass(RuntimeWarning, one[2])]
    return bool(plain) and plain[0][0] == "ignore"


class Refused(Exception):
    """Why a function is not compiled."""


class Node:
    """A value: what it is made by, of which nodes, its dtype and its shape for one window."""

    __slots__ = ("args", "dtype", "number", "op", "params", "tail", "value")

    def __init__(self, number, op, args, dtype, tail, params, value):
        self.number, self.op, self.args, self.dtype, self.tail = number, op, args, dtype, tail
        self.params, self.value = params, value

    @property
    def size(self):
        return math.prod(self.tail)


def supported(dtype):
    return dtype in KINDS


class Trace:
    """A recording.

    Parameters
    ----------
    cells : int, of the window
    dtype : of them
    lead : bool
        Whether the function takes an axis of outputs before that of the cells.
    """

    def __init__(self, cells, dtype, lead):
        self.nodes, self.known, self.lead, self.refusal = [], {}, lead, None
        self.outputs = Outputs(self)
        self.context, self.filters = contextvars.copy_context(), (warnings.filters, list(warnings.filters))
        if not _WATCHED.isdisjoint(np.geterr().values()):
            self.refuse("what numpy.errstate watches")
        if not supported(dtype):
            self.refuse(f"windows of {dtype}")
        if cells > _MOST_CELLS:
            self.refuse(f"windows of more than {_MOST_CELLS} cells")
        self.windows = Stand(self, self.node("cells", (), dtype, (cells,)))

    @property
    def key(self):
        """What tells a recording from others."""
        return tuple(self.known)

    def refuse(self, what):
        """Raises Refused, with the line of the user's function."""
        frame, where = sys._getframe(1), ""
        while frame is not None and frame.f_code.co_filename.startswith((_HERE, _NUMPY)):
            frame = frame.f_back
        if frame is not None:
            where = f", at {frame.f_code.co_filename}:{frame.f_lineno}"
        self.refusal = self.refusal or f"{what} cannot be compiled{where}"
        raise Refused(self.refusal)

    def watched(self):
        """Refuses where numpy.errstate raises or calls, and in a function that does something with warnings but ignore them."""
        if contextvars.copy_context() != self.context and not _WATCHED.isdisjoint(np.geterr().values()):
            self.refuse("what numpy.errstate watches")
        filters, (given, before) = warnings.filters, self.filters
        if (filters is not given or filters != before) and not _ignored(filters):
            self.refuse("what watches warnings")

    def handled(self, handler, *args, **kwargs):
        """What a handler of NumPy's functions gives; any error of it is a refusal, whoever catches it."""
        self.watched()
        try:
            return handler(self, *args, **kwargs)
        except Refused:
            raise
        except Exception as error:
            self.refusal = self.refusal or f"{type(error).__name__} ({error}) in a function of NumPy cannot be compiled"
            raise

    def node(self, op, args, dtype, tail, params=(), value=None):
        key = op, tuple([arg.number for arg in args]), dtype.char, tail, params
        found = self.known.get(key)
        if found is None:
            if not supported(dtype):
                self.refuse(f"{op} to {dtype}")
            found = self.known[key] = Node(len(self.nodes), op, args, dtype, tail, params, value)
            self.nodes.append(found)
        return found

    def constant(self, value):
        value = np.asarray(value)
        native = value.dtype if value.dtype.isnative else value.dtype.newbyteorder("=")
        if not supported(native):
            self.refuse(f"a constant of {value.dtype}")
        value = np.array(value, native, order="C")
        return self.node("constant", (), value.dtype, value.shape, value.tobytes(), value)

    def operand(self, value, dtype=None):
        """(node, logical dimension) of an operand, cast to a dtype."""
        if isinstance(value, Stand):
            if value.trace is not self:
                self.refuse("windows of another call")
            return self.cast(value.node, dtype), len(value.node.tail) + self.lead
        if type(value) is int and dtype is not None and dtype.kind in "iu":
            info = np.iinfo(dtype)
            if not info.min <= value <= info.max:  # an error, or compared as if the dtype could hold it
                self.refuse(f"{value} beside {dtype}")
        if type(value) in (int, float) and value and dtype is not None:
            array = _scalar(value, type(value), dtype)
        else:
            array = np.asarray(value) if dtype is None else np.asarray(value).astype(dtype)
        return self.constant(array), array.ndim

    def cast(self, node, dtype):
        if dtype is None or node.dtype == dtype:
            return node
        if node.op == "constant":
            with np.errstate(all="ignore"):
                return self.constant(node.value.astype(dtype))
        if dtype == _BOOL:
            return self.node("not_equal", (node, self.constant(np.zeros((), node.dtype))), _BOOL, node.tail)
        if node.dtype.kind == "f" and dtype.kind == "u" and dtype.itemsize > 2:
            self.refuse(f"a cast of {node.dtype} to {dtype}")  # of negative numbers: processors differ
        if node.dtype == _BOOL and dtype == np.dtype(np.uint8):
            return self.node("copy", (node,), dtype, node.tail)
        return self.node("cast", (node,), dtype, node.tail)

    def tail_of(self, operands):
        """The tail of what operands of (node, logical dimension) broadcast to, and the nodes with tails that broadcast to it.

        The axis of outputs must be the first of all that have one, and of length 1 in constants that reach it.
        """
        alike = len({node.tail for node, ndim in operands if ndim}) == 1
        if alike and all(node.op != "constant" or not node.tail for node, _ in operands):
            return max(node.tail for node, _ in operands), [node for node, _ in operands]
        dimension = max(ndim for _, ndim in operands)
        nodes = []
        for node, ndim in operands:
            if self.lead and node.op == "constant" and ndim == dimension and ndim > 0:
                if node.tail[0] != 1:
                    self.refuse("an array along the windows")
                node = self.constant(node.value[0])
            elif self.lead and node.op != "constant" and ndim != dimension:
                self.refuse(f"arrays of {ndim} and {dimension} dimensions, whose axes of windows are not the same,")
            nodes.append(node)
        try:
            return np.broadcast_shapes(*(node.tail for node in nodes)), nodes
        except ValueError:
            self.refuse(f"shapes {', '.join(str(node.tail) for node in nodes)} that do not fit")

    def elementwise(self, op, dtype, *operands):
        """A node of an operation on operands of (node, logical dimension)."""
        tail, nodes = self.tail_of(operands)
        return self.node(op, tuple(nodes), dtype, tail)

    def stand(self, node):
        return Stand(self, node)

    def call(self, ufunc, inputs):
        """A ufunc of stand-ins, scalars and arrays, by NumPy's own rules of promotion."""
        name = _ALIASES.get(ufunc.__name__, ufunc.__name__)
        if name in ("greater", "greater_equal"):
            return self.call(np.less if name == "greater" else np.less_equal, inputs[::-1])
        if name == "matmul":
            return self.stand(self.product(*inputs))
        asked = tuple([
            value.dtype if type(value) is Stand else type(value) if type(value) in (int, float) else np.asarray(value).dtype
            for value in inputs
        ])  # fmt: skip
        dtypes, known, alone = _loop(ufunc, asked)
        if not known:
            given = ", ".join(str(getattr(one, "__name__", one)) for one in asked)
            self.refuse(f"{name} of {given}, which NumPy computes in {dtypes[0]},")
        operands = [self.operand(value, dtype) for value, dtype in zip(inputs, dtypes, strict=False)]
        if alone is not None:
            return self.stand(self.elementwise(alone, dtypes[-1], *operands))
        if name == "divmod":
            return self.call(np.floor_divide, inputs), self.call(np.remainder, inputs)
        composed = UFUNCS.get(name) or UFUNCS.get((name, dtypes[0].kind))
        if composed is not None:
            return composed(*(node.value if node.op == "constant" else self.stand(node) for node, _ in operands))
        return self.stand(self.ufunc(name, dtypes, operands))

    def ufunc(self, name, dtypes, operands):
        dtype, result = dtypes[0], dtypes[-1]
        real = dtype.kind == "f"
        if name not in _TRUTHS and any(one != dtype for one in dtypes[: len(operands)]):
            self.refuse(f"{name} of {' and '.join(map(str, dtypes[: len(operands)]))}")
        if name in _TRUTHS:
            return self.elementwise(_TRUTHS[name], _BOOL, *((self.cast(node, _BOOL), ndim) for node, ndim in operands))
        if name == "logical_not":
            return self.elementwise("equal", _BOOL, *operands, (self.constant(np.zeros((), dtype)), 0))
        if name == "square":
            return self.elementwise("multiply" if dtype != _BOOL else "bitwise_and", result, operands[0], operands[0])
        if name in _SCALED and real:
            return self.elementwise("multiply", result, *operands, (self.constant(_SCALED[name](dtype.type)), 0))
        if name == "reciprocal" and real:
            return self.elementwise("divide", result, (self.constant(np.ones((), dtype)), 0), *operands)
        if name in ("isnan", "isinf") and not real:
            return self.elementwise("not_equal", _BOOL, operands[0], operands[0])
        if name == "isnan":
            return self.elementwise("not_equal", _BOOL, operands[0], operands[0])
        if name == "isinf":
            size = self.elementwise("absolute", dtype, *operands)
            return self.elementwise("equal", _BOOL, (size, operands[0][1]), (self.constant(np.array(np.inf, dtype)), 0))
        if name == "isfinite":
            nothing = self.elementwise("subtract" if real else "copy", dtype, *operands[:1] * (2 if real else 1))
            pair = (nothing, operands[0][1])
            return self.elementwise("equal", _BOOL, pair, pair)
        if name == "clip":
            low = self.elementwise("maximum", result, operands[0], operands[1])
            return self.elementwise("minimum", result, (low, max(operands[0][1], operands[1][1])), operands[2])
        if name == "power":
            return self.power(dtype, result, operands)
        if name in ("positive", "fabs") or (name in _WHOLE and not real):
            return self.elementwise("absolute" if name == "fabs" else "copy", result, *operands)
        if dtype == _BOOL:
            name = _OF_BOOLEANS.get(name, name)
        elif not real:
            name = {"fmin": "minimum", "fmax": "maximum"}.get(name, name)
        if name == "not":
            return self.elementwise("equal", _BOOL, *operands, (self.constant(np.zeros((), _BOOL)), 0))
        if name not in _SAME | {"copy"}:
            self.refuse(f"{name} of {dtype}")
        return self.elementwise(name, result, *operands)

    def power(self, dtype, result, operands):
        exponent = operands[1][0]
        if exponent.op == "constant" and exponent.size == 1:
            value = exponent.value.reshape(-1)[0]
            if value == 2:
                return self.elementwise("multiply", result, operands[0], operands[0])
            if value == 1:
                return self.elementwise("copy", result, operands[0])
            if value == 0.5 and dtype.kind == "f":  # NumPy takes roots of arrays, and powers of scalars: -inf tells them apart
                if not self.lead and operands[0][0].tail == ():
                    self.refuse("the power 0.5 of a number")
                return self.elementwise("sqrt", result, operands[0])
        if dtype.kind != "f":
            self.refuse(f"power of {dtype}")
        return self.elementwise("power", result, *operands)

    def where(self, condition, yes, no):
        asked = [value.dtype if isinstance(value, Stand) or type(value) not in (int, float) else value for value in
                 (v if isinstance(v, Stand) or type(v) in (int, float) else np.asarray(v) for v in (yes, no))]
        dtype = np.result_type(*asked)
        if not supported(dtype):
            self.refuse(f"where of {dtype}")
        operands = [self.operand(yes, dtype), self.operand(no, dtype)]
        return self.array(self.elementwise("select", dtype, *operands, self.operand(condition, _BOOL)))

    # ---- shapes ----

    def shape(self, node):
        return ((self.outputs,) if self.lead else ()) + node.tail

    def moved(self, what, nodes, function):
        """Which elements of some nodes, numbered one after another, a function that only moves elements leaves where: it is tried
        on arrays of their numbers."""
        total = sum(node.size for node in nodes)
        primes = [prime for prime in (11, 13, 17, 19, 53, 59, 61, 67) if total % prime]
        results = []
        for windows in (primes[0], primes[-1]) if self.lead else (1,):
            arrays, begin = [], 0
            for node in nodes:
                numbers = begin + np.arange(node.size).reshape(node.tail)
                if self.lead:
                    numbers = numbers + total * np.arange(windows).reshape(-1, *[1] * len(node.tail))
                arrays.append(numbers)
                begin += node.size
            made = np.asarray(function(*arrays, windows))
            if self.lead:
                apart = total * np.arange(windows).reshape(-1, *[1] * (made.ndim - 1)) if made.ndim else None
                if apart is None or made.shape[0] != windows or made.size == 0 or not np.array_equal(made, made[:1] + apart):
                    self.refuse(f"{what} across windows")
                if made[0].min() < 0 or made[0].max() >= total:
                    self.refuse(f"{what} across windows")
                made = made[0]
            results.append(made)
        if not np.array_equal(results[0], results[-1]):
            self.refuse(f"{what} across windows")
        if made.size == 0:
            self.refuse(f"{what} that leaves nothing")
        return made

    def rearranged(self, what, stands, function, shared=False):
        """What a function that only moves elements makes of stand-ins; `shared` may depend on the tails before and after."""
        numbers = self.moved(what, [stand.node for stand in stands], function)
        return self.chosen(stands, numbers, shared(stands[0].node.tail, numbers.shape) if callable(shared) else shared)

    def chosen(self, stands, numbers, shared):
        """Elements of stand-ins: a view of the first of these if they are `shared`, else a copy; None: either of them."""
        if shared and not stands[0].is_number():
            return self.view(stands[0], numbers)
        dtype = np.result_type(*(stand.dtype for stand in stands))
        result = self.array(self.pick([self.cast(stand.node, dtype) for stand in stands], numbers))
        if shared is None:
            stands[0].owner.unsure = result.unsure = True
        return result

    def view(self, stand, numbers):
        """A view of some elements of a stand-in."""
        if stand.base is not None:
            numbers = stand.numbers.reshape(-1)[numbers]
        owner = stand.owner
        return Stand(self, self.pick([owner.node], numbers), owner, numbers)

    def array(self, node):
        """A stand-in for an array of its own; where it has no axes it may be a number, whose names do not share changes."""
        stand = Stand(self, node)
        stand.unsure = not self.lead and node.tail == ()
        return stand

    def index(self, stand, index):
        """Elements of a stand-in by an index that does not depend on the windows: a basic one gives a view, but for a number."""
        parts = index if isinstance(index, tuple) else (index,)
        basic, tail = _basic(parts), stand.node.tail
        made = None if basic is None else _indices.get((self.lead, tail, basic))
        if made is None:
            if any(isinstance(part, Stand) for part in parts):
                self.refuse("an index that depends on the windows")
            made = self.moved("an index", [stand.node], lambda array, windows: array[index])
            if basic is not None and math.prod(tail) <= _MOST_ELEMENTS:
                if len(_indices) >= _MOST_INDICES:
                    _indices.clear()
                _indices[self.lead, tail, basic] = made
        if basic is None:
            return self.chosen([stand], made, False if any(np.ndim(part) for part in parts) else None)
        if not self.lead and made.ndim == 0 and Ellipsis not in parts:
            return self.stand(self.pick([stand.node], made))
        return self.chosen([stand], made, True)

    def pick(self, nodes, numbers):
        """The elements of some nodes that are numbered so, one node after another."""
        numbers = np.array(numbers, _INTP, order="C")
        if len(nodes) == 1 and numbers.shape == nodes[0].tail and np.array_equal(numbers.reshape(-1), np.arange(numbers.size)):
            return nodes[0]
        return self.node("pick", tuple(nodes), nodes[0].dtype, numbers.shape, numbers.tobytes(), numbers.reshape(-1))

    def axes(self, stand, axis):
        """Axes of a stand-in's tail."""
        ndim = len(stand.node.tail) + self.lead
        if axis is None:
            axis = tuple(range(ndim))
        axis = (axis,) if not isinstance(axis, (tuple, list)) else tuple(axis)
        found = []
        for one in axis:
            number = operator.index(one)
            if not -ndim <= number < ndim:
                raise np.exceptions.AxisError(number, ndim)
            found.append(number % ndim)
        if self.lead and 0 in found:
            self.refuse("a reduction across windows")
        if len(set(found)) != len(found):
            raise ValueError("duplicate value in 'axis'")
        return tuple(number - self.lead for number in found)

    def reduce(self, op, stand, axis, keepdims=False, dtype=None):
        """A reduction of a stand-in over axes of its tail, in its dtype unless another is given."""
        axes = self.axes(stand, axis)
        if dtype == _BOOL:
            op = {"sum": "any", "prod": "all"}.get(op, op)
        counted = np.dtype(np.uint8 if math.prod(stand.node.tail[a] for a in axes) < 256 else np.uint16)
        if op == "sum" and stand.dtype == _BOOL and dtype is not None and dtype.itemsize > 1:
            # Booleans are counted in as few bytes as hold how many there are.
            if math.prod(stand.node.tail[a] for a in axes) < 65536:
                counts = self.reduce(op, self.stand(self.cast(stand.node, counted)), axis, keepdims)
                return self.stand(self.cast(counts.node, dtype))
        node = self.cast(stand.node, dtype)
        kept = tuple(a for a in range(len(node.tail)) if a not in axes)
        if not axes:
            return self.stand(node)
        if 0 in (node.tail[a] for a in axes):
            self.refuse(f"{op} of nothing")
        shape, moved = tuple(node.tail[a] for a in kept), node
        if len(node.tail) > 1:
            numbers = np.arange(node.size).reshape(node.tail).transpose(*kept, *axes).reshape(*shape, -1)
            moved = self.pick([node], numbers)
        result = self.node("reduce", (moved,), node.dtype, shape, op)
        if keepdims:
            tail = tuple(1 if a in axes else n for a, n in enumerate(node.tail))
            result = self.pick([result], np.arange(result.size).reshape(tail))
        return self.stand(result)

    def product(self, a, b):
        """A matrix product of windows and a constant vector or matrix, or of two values a cell."""
        if not isinstance(a, Stand):
            a, b = b, a
            if np.ndim(b) != 1 or len(a.node.tail) + self.lead != 1:
                self.refuse("a matrix product with windows on its right")
        dtype = np.result_type(a.dtype, b.dtype if isinstance(b, Stand) else np.asarray(b))
        if isinstance(b, Stand) or len(a.node.tail) != 1 or np.ndim(b) not in (1, 2) or dtype == _BOOL:
            if not self.lead and isinstance(b, Stand) and len(a.node.tail) == len(b.node.tail) == 1 and dtype != _BOOL:
                both = self.elementwise("multiply", dtype, self.operand(a, dtype), self.operand(b, dtype))
                return self.reduce("sum", self.stand(both), -1).node
            self.refuse("this matrix product")
        matrix = np.asarray(b).astype(dtype)
        if matrix.shape[0] != a.node.tail[0]:
            raise ValueError(f"matmul: shapes {a.node.tail} and {matrix.shape} do not fit")
        columns = [self.constant(column) for column in (matrix.reshape(len(matrix), -1).T)]
        node = self.cast(a.node, dtype)
        sums = [
            self.reduce("sum", self.stand(self.node("multiply", (node, column), dtype, node.tail)), -1).node for column in columns
        ]
        return sums[0] if matrix.ndim == 1 else self.pick(sums, np.arange(len(sums)))
