"""The stand-in for windows, which implements NumPy's protocols: its operators, methods and indices become nodes of a recording.

A stand-in is an array: it can be changed in place, and then its views see the change. A basic index and its like give a view of
another stand-in, whose elements it picks; where NumPy may give a view or a copy, neither array may be changed any more. Next hop:
trace.py, which writes nodes down.
"""
import numpy as np

# NumPy's functions, methods of arrays and ufuncs as handlers; reductions.py and functions.py fill these.
FUNCTIONS, METHODS, UFUNCS = {}, {}, {}
_REDUCES = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
            "fmax": "fmax", "fmin": "fmin"}  # fmt: skip
_RUNNING = {"add": "cumsum", "multiply": "cumprod"}


class Outputs:
    """The number of outputs, which a function must not depend on."""

    def __init__(self, trace):
        self.trace = trace

    def refuse(self, *_):
        self.trace.refuse("the number of windows")

    __index__ = __int__ = __float__ = __bool__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = refuse
    __floordiv__ = __rfloordiv__ = __truediv__ = __rtruediv__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = refuse
    __hash__ = None


class Stand:
    """A stand-in for windows, or for what a function has made of them.

    Parameters
    ----------
    trace, node : the recording, and the node of the elements
    base, numbers : of a view: the stand-in that has the elements, no view, and which of those they are
    """

    __slots__ = ("_node", "_seen", "base", "numbers", "trace", "unsure")
    __hash__ = None

    def __init__(self, trace, node, base=None, numbers=None):
        self.trace, self._node, self.base, self.numbers = trace, node, base, numbers
        self.unsure = False  # whether others may share the elements or not
        self._seen = None if base is None else base._node

    __class__ = property(lambda self: np.ndarray)  # what functions find that ask
    dtype = property(lambda self: self._node.dtype)
    shape = property(lambda self: self.trace.shape(self._node))
    ndim = property(lambda self: len(self._node.tail) + self.trace.lead)
    itemsize = property(lambda self: self._node.dtype.itemsize)
    real = property(lambda self: self)

    @property
    def node(self):
        base = self.base
        if base is not None and base._node is not self._seen:
            self._seen = base._node
            self._node = self.trace.pick([self._seen], self.numbers)
        return self._node

    @property
    def size(self):
        return self.trace.outputs if self.trace.lead else self._node.size

    @property
    def T(self):
        return self.transpose()

    # ---- changes in place ----

    @property
    def owner(self):
        return self if self.base is None else self.base

    def is_number(self):
        """Whether it stands for a number rather than an array, as far as that can be told."""
        return not self.trace.lead and self._node.tail == () and self.base is None

    def assign(self, node):
        """Puts a node of this dtype and tail in the place of the elements."""
        trace, owner = self.trace, self.owner
        if owner.unsure or self.unsure:
            trace.refuse("a change of an array that another may share")
        if self.base is None:
            self._node = node
            return
        old = owner._node
        numbers = np.arange(old.size)
        numbers[self.numbers.reshape(-1)] = old.size + np.arange(node.size)
        if numbers.min() >= old.size:
            owner._node = trace.pick([node], (numbers - old.size).reshape(old.tail))
        else:
            owner._node = trace.pick([old, node], numbers.reshape(old.tail))

    def __setitem__(self, index, value):
        self.trace.handled(_put, self, index, value)

    # ---- NumPy's protocols ----

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        trace = self.trace
        trace.watched()
        where, out = options.pop("where", True), options.pop("out", None)
        if where is not True:
            trace.refuse(f"where= of {ufunc.__name__}")
        if method == "__call__" and not options:
            result = trace.call(ufunc, inputs)
            if out is None:
                return result
            if len(out) == 1:
                return take_over(trace, out[0], result)
        if out is not None:
            trace.refuse(f"{ufunc.__name__} with out=")
        name = {"reduce": _REDUCES, "accumulate": _RUNNING}.get(method, {}).get(ufunc.__name__)
        if name is not None and not set(options) - {"axis", "dtype", "keepdims"}:
            return getattr(self, name)(**{"axis": 0, **options})
        trace.refuse(f"{ufunc.__name__}{'' if method == '__call__' else '.' + method}({', '.join(options)})")

    def __array_function__(self, function, types, args, kwargs):
        handler = FUNCTIONS.get(function)
        if handler is None:
            self.trace.refuse(f"{function.__module__}.{function.__name__}")
        return self.trace.handled(handler, *args, **kwargs)

    def __array__(self, *_, **__):
        self.trace.refuse("the windows as an array")

    def __getattr__(self, name):
        if name in METHODS:
            return lambda *args, **kwargs: self.trace.handled(METHODS[name], self, *args, **kwargs)
        if name in ("__array_interface__", "__array_struct__", "__dlpack__"):
            self.trace.refuse("the windows as an array")
        if name.startswith("__"):
            raise AttributeError(name)
        self.trace.refuse(f"the attribute {name}")

    def __getitem__(self, index):
        return self.trace.index(self, index)

    def __bool__(self):
        self.trace.refuse("a branch that depends on the windows")

    def __iter__(self):
        self.trace.refuse("a loop over windows")

    def __len__(self):
        if self.trace.lead:
            self.trace.refuse("the number of windows")
        return self._node.tail[0]

    def __copy__(self, memo=None):
        return Stand(self.trace, self.node)

    __deepcopy__ = __copy__

    def _number(self):
        self.trace.refuse("a number made of windows")

    __float__ = __int__ = __index__ = __complex__ = __round__ = _number


def _operator(ufunc, swapped=False):
    def method(self, other):
        if getattr(type(other), "__array_ufunc__", 0) is None:
            return NotImplemented
        self.trace.watched()
        return self.trace.call(ufunc, (other, self) if swapped else (self, other))

    return method


def _in_place(ufunc):
    def method(self, other):
        if (self.is_number() and not self.unsure) or getattr(type(other), "__array_ufunc__", 0) is None:
            return NotImplemented
        self.trace.watched()
        return take_over(self.trace, self, self.trace.call(ufunc, (self, other)))

    return method


for _name, _ufunc in (
    ("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("matmul", np.matmul), ("truediv", np.true_divide),
    ("floordiv", np.floor_divide), ("mod", np.remainder), ("pow", np.power), ("lshift", np.left_shift),
    ("rshift", np.right_shift), ("and", np.bitwise_and), ("xor", np.bitwise_xor), ("or", np.bitwise_or),
):  # fmt: skip
    setattr(Stand, f"__{_name}__", _operator(_ufunc))
    setattr(Stand, f"__r{_name}__", _operator(_ufunc, True))
    setattr(Stand, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in (("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal), ("eq", np.equal),
                      ("ne", np.not_equal), ("divmod", np.divmod)):  # fmt: skip
    setattr(Stand, f"__{_name}__", _operator(_ufunc))
Stand.__rdivmod__ = _operator(np.divmod, True)
for _name, _ufunc in (("neg", np.negative), ("pos", np.positive), ("abs", np.absolute), ("invert", np.invert)):
    setattr(Stand, f"__{_name}__", lambda self, ufunc=_ufunc: ufunc(self))


# ---- changes of arrays ----


def take_over(trace, out, result):
    """Puts what an operation gives in the place of the elements of `out`, as NumPy does, and returns that."""
    if type(out) is not Stand or type(result) is not Stand or out.trace is not trace or out.is_number():
        trace.refuse("an operation with out=")
    if result.shape != out.shape or not np.can_cast(result.dtype, out.dtype, "same_kind"):
        trace.refuse(f"a result of {result.dtype} in the place of {out.dtype}, or of another shape,")
    out.assign(trace.cast(result.node, out.dtype))
    return out


def _put(trace, stand, index, value):
    """stand[index] = value"""
    if stand.is_number():
        trace.refuse("a change of a number")
    if isinstance(index, Stand):
        stand.assign(_where_put(trace, stand, index, value))
        return
    if any(isinstance(one, Stand) for one in (index if isinstance(index, tuple) else ())):
        trace.refuse("an index that depends on the windows")
    chosen = trace.moved("an assignment", [stand.node], lambda array, windows: array[index])
    node = constant_or_node(trace, value, stand.dtype)
    tail = node.tail
    if isinstance(value, Stand):
        if len(tail) != chosen.ndim:
            trace.refuse("an assignment of an array of other dimensions")
    elif trace.lead and len(tail) > chosen.ndim:
        if len(tail) > chosen.ndim + 1 or tail[0] != 1:
            trace.refuse("an assignment of an array along the windows")
        tail = tail[1:]
    numbers = np.broadcast_to(np.arange(node.size).reshape(tail), chosen.shape)
    old = stand.node
    places = np.arange(old.size)
    places[chosen.reshape(-1)] = old.size + numbers.reshape(-1)
    stand.assign(trace.pick([old, node], places.reshape(old.tail)))


def _where_put(trace, stand, mask, value):
    """What stand[mask] = value leaves: of booleans, an axis for each of the first of the array's, and a number."""
    old, tail = stand.node, mask.node.tail
    if mask.dtype != np.dtype(bool) or tail != old.tail[: len(tail)] or not (trace.lead or tail):
        trace.refuse("an index that depends on the windows")
    node = constant_or_node(trace, value, old.dtype)
    if node.tail != () or (isinstance(value, Stand) and trace.lead):
        trace.refuse("an assignment of an array to elements that booleans choose")
    chosen = np.arange(mask.node.size).reshape(tail + (1,) * (len(old.tail) - len(tail)))
    ndim = len(old.tail) + trace.lead
    return trace.elementwise("select", old.dtype, (node, 0), (old, ndim), (trace.pick([mask.node], chosen), ndim))


def constant_or_node(trace, value, dtype):
    """The node of a value that is stored in an array of a dtype, which a constant must be whole for, if that is an integer's."""
    if isinstance(value, Stand):
        return trace.operand(value, dtype)[0]
    given = np.asarray(value)
    with np.errstate(all="ignore"):
        stored = trace.operand(value, dtype)[0]
    if dtype.kind in "iu" and not np.array_equal(given, stored.value):
        trace.refuse(f"{value!r} stored as {dtype}")
    return stored
