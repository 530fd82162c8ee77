"""Reductions that are functions of the user: which kind a function is, and how a Python function gets its windows.

None of the packages that make compiled functions is imported: an object of theirs shows that it is loaded already.
Next hops: _drivers/neighborhood/calls.pyx, which gathers windows and calls compiled functions, and partial.pyx, which gathers
those in which some cells do not count.
"""
import contextlib
import contextvars
import functools
import inspect
import itertools
import re
import struct
import sys
import types
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood.calls import Windows, capsule
from .._drivers.neighborhood.partial import Partial
from . import args as _args
from . import geometry as _geometry

_BLOCK_BYTES = 680 << 10  # windows handed over at once: they and as much of temporaries stay in a second-level cache of 2 MiB
_THREAD_BLOCK_BYTES = 1 << 20  # several threads take turns with the interpreter's lock: fewer, longer turns
_WINDOW_BYTES = 64 << 10  # the same where each window is a call of its own
_BY_CELLS_BYTES = 5 << 10  # larger windows lie one after another: a block has too few of them to run along the outputs
_runtime.face_seams("neighborhood", globals(), "_BLOCK_BYTES", "_THREAD_BLOCK_BYTES", "_WINDOW_BYTES", "_BY_CELLS_BYTES")

SIGNATURE = "int (double *, npy_intp, double *, void *)"
_SPELLINGS = {"npy_intp", "intptr_t", "ptrdiff_t", "ssize_t", "Py_ssize_t"}
_SPELLINGS |= {
    word
    for word, code in (("int", "i"), ("long", "l"), ("long long", "q"), ("longlong", "q"), ("int32_t", "i"), ("int64_t", "q"))
    if struct.calcsize(code) == struct.calcsize("P")
}
_RESULTS = "?bBhHiIlLqQefdFD"
_SEVERAL = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


@dataclass(frozen=True)
class Compiled:
    """The address of a compiled function and of its data, and the object that keeps both alive."""

    address: int
    user_data: int
    owner: object


def compiled(name, value, signature=SIGNATURE):
    """`value` as a Compiled, None if it is no compiled function; ValueError if it has another signature."""
    for kind in (_low_level, _capsule, _numba, _ctypes, _cffi):
        found = kind(value)
        if found is not None:
            given, address, user_data = found
            if given is not None and not _fits(given, signature):
                raise ValueError(
                    f"{name} is a compiled function of the signature {given!r}; it must be {signature!r}, where npy_intp "
                    f"may be spelled {', '.join(sorted(_SPELLINGS - {'npy_intp'}))}"
                )
            if not address:
                raise ValueError(f"{name} is a null pointer; it must point to a function {signature!r}")
            return Compiled(address, user_data, value)
    return None


class Keyed:
    """A function of windows along an axis of which all follows from `key`, and that is right when it is compiled: it is watched
    once for a key, a dtype and a window, and not compared again."""

    def __init__(self, function, *key):
        self.function, self.key = function, key

    def __call__(self, windows, axis=-1):
        return self.function(windows, axis)


def takes_axis(function, dtype):
    """Whether `function` is called as ``function(windows, axis=-1)`` rather than once a window.

    The signature decides: a parameter `axis` that can be given by name, or ``**kwargs``. A builtin that has no signature is
    tried on a block of two windows of ones.
    """
    if type(function) is Keyed:
        return True
    if type(function) is types.FunctionType and not function.__dict__ and not function.__code__.co_flags & _SEVERAL:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        if not function.__code__.co_kwonlyargcount and len(names) in (1, 2) and function.__code__.co_posonlyargcount < 2:
            if len(names) == 1 and names[0] != "axis":
                return False
            if len(names) == 2 and names[1] == "axis":
                return True
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        try:
            return np.shape(function(np.ones((2, 3), dtype), axis=-1)) == (2,)
        except Exception:
            return False
    try:
        signature.bind(None, axis=-1)
    except TypeError:
        return False
    return True


def describe(function):
    """The name of a function for messages."""
    return getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or repr(function)


def _words(signature):
    """The types of a signature, the result's first, each of one spelling; None for what is no signature."""
    match = re.fullmatch(r"([^()]+)\(([^()]*)\)", signature)
    if not match:
        return None
    words = (re.sub(r"\s*\*", "*", " ".join(part.split())) for part in (match[1], *match[2].split(",")))
    return [word if i == 0 or word not in _SPELLINGS else "npy_intp" for i, word in enumerate(words)]


def _fits(given, signature):
    return _words(given) == _words(signature)


def _low_level(value):
    """A scipy.LowLevelCallable: a tuple, which refuses to be indexed, of a capsule and what that was made from."""
    if isinstance(value, tuple) and type(value).__name__ == "LowLevelCallable" and tuple.__len__(value):
        return _capsule(tuple.__getitem__(value, 0))
    return None


def _capsule(value):
    """A PyCapsule, named by its signature; one without a name is trusted to have the right one, as SciPy trusts it."""
    return capsule(value)


def _numba(value):
    """A numba cfunc, which is also a Python callable; its `ctypes` knows the signature."""
    if type(value).__module__.partition(".")[0] != "numba" or not isinstance(getattr(value, "address", None), int):
        return None
    return _ctypes(value.ctypes)


def _ctypes(value):
    ctypes = sys.modules.get("ctypes")
    if ctypes is None or not isinstance(value, ctypes._CFuncPtr):
        return None
    arguments = ", ".join(_ctypes_word(ctypes, kind) for kind in value.argtypes or ())
    signature = f"{_ctypes_word(ctypes, value.restype)} ({arguments})"
    return signature, ctypes.cast(value, ctypes.c_void_p).value or 0, 0


def _ctypes_word(ctypes, kind):
    """The C type that a ctypes type stands for, as far as it can occur in a signature that fits."""
    if kind is None:
        return "void"
    if kind is ctypes.c_void_p:
        return "void *"
    if isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
        return f"{_ctypes_word(ctypes, kind._type_)} *"
    return getattr(kind, "__name__", repr(kind)).removeprefix("c_")


def _cffi(value):
    backend = sys.modules.get("_cffi_backend")
    if backend is None or not isinstance(value, backend.FFI.CData):
        return None
    kind = backend.typeof(value)
    address = int(backend.cast(backend.new_primitive_type("uintptr_t"), value)) if kind.kind == "function" else 0
    return kind.cname.replace("(*)", " "), address, 0


def is_function(reduction):
    """Whether a reduction is a function, compiled or not, and not a name."""
    return callable(reduction) or compiled("reduction", reduction) is not None


def run(reduction, geometry, shape, dtype, out, workers, *inputs):
    """(array with the result of a function for all windows, array to return): as `_args.result` gives them.

    `geometry`, an array of `shape` and `inputs`, which `out` may overlap, come from the face. `dtype` None leaves the dtype
    to the function, and `out` is None then: that of a compiled one is a floating input's own, else float64.
    """
    function = compiled("reduction", reduction)
    source = geometry.x.dtype.newbyteorder("=")
    if function is None:
        if dtype is None:
            target = answer = None
        else:
            target, answer = _args.result(out, shape, dtype, *inputs)
        target = _run_python(Python(reduction, source), geometry, shape, source, target, workers)
        return target, target if answer is None else answer
    if dtype is None:
        dtype = source if source.kind == "f" else np.dtype(np.float64)
    target, answer = _args.result(out, shape, dtype, *inputs)
    if dtype.kind == "c":
        target.imag[...] = 0
    if target.size and not Windows(geometry, source, _BLOCK_BYTES).call(
        function.address, function.user_data, geometry.arrange(target.real), workers
    ):
        raise RuntimeError(f"reduction ({function.owner!r}) returned 0, which reports an error, and set no exception")
    return target, answer


def _run_python(function, geometry, shape, source, target, workers):
    """`target`, or if that is None a new array of the dtype of the results, filled."""
    if 0 in shape:
        # Only the dtype is open.
        windows = np.empty((0, geometry.cell_count()), source)
        return np.empty(shape, function(windows, None)[0].dtype) if target is None else target
    threads = workers or 1
    block_bytes = function.block_bytes(geometry.cell_count() * source.itemsize, threads)
    windows = Windows(geometry, source, block_bytes)
    fixed = target is not None
    waiting = set()  # whether the result had a NaN when windows came in which no value counts, None: there was none yet

    def leave(piece, blank):
        nothing = np.full(piece.outputs, np.nan if target.dtype.kind in "fc" else 0, target.dtype)
        _store(windows, piece, nothing, geometry.arrange(target), blank)

    def task(unit, part):
        piece = windows.gather(unit, part, function.by_cells)
        return piece, *(function(*piece.take()) if piece.outputs else (None, None))

    pieces = itertools.product(range(windows.units), range(windows.parts))
    try:
        with contextlib.closing(in_order(task, pieces, threads)) as results:
            for get in results:
                piece, result, blank = get()
                if result is not None and target is None:
                    target = _args.empty(shape, result.dtype)
                elif result is not None and not fixed:
                    target = target.astype(np.result_type(target, result), copy=False)
                if result is not None:
                    _store(windows, piece, result, geometry.arrange(target))
                if blank is not None and target is not None:
                    leave(piece, blank)
                if blank is not None:
                    waiting.add(None if target is None else target.dtype.kind in "fc")
    finally:
        function.stopped = True
    if target is None:
        target = _args.empty(shape, np.dtype(np.float64))
    if None in waiting or (False in waiting and target.dtype.kind in "fc"):
        for unit, part in itertools.product(range(windows.units), range(windows.parts)):
            piece = windows.gather(unit, part, function.by_cells)
            _, counted = piece.take()
            if counted is not None:
                leave(piece, ~counted.any(axis=-1))
    return target


def complete(function, geometry, target, kind, workers):
    """Calls a function for the windows in which some cells do not count; `target` has the results of the others.

    Returns what the dtype of all results would be: `kind`, unless some that are called have another, or no cell counts anywhere.
    """
    source, threads, blanks = geometry.x.dtype.newbyteorder("="), workers or 1, 0
    most_bytes = 2 * function.block_bytes(geometry.cell_count() * source.itemsize, threads)  # half of them hold no windows

    def batches():
        for part, slices in _geometry.partial_parts(geometry):
            windows, out = Partial(part), geometry.arrange(target)[slices]
            for batch in windows.batches(most_bytes):
                yield windows, out, *batch

    def task(windows, out, at, cells, counted):
        return windows, out, at, None if cells is None else function(cells, counted)[0]

    try:
        with contextlib.closing(in_order(task, batches(), threads)) as results:
            for get in results:
                windows, out, at, result = get()
                if result is None:
                    result = np.full(at.size, np.nan if target.dtype.kind in "fc" else 0, target.dtype)
                    blanks += at.size
                elif result.dtype != kind:
                    return np.result_type(result, kind)
                windows.put(at, _numbers(result), out)
    finally:
        function.stopped = True
    return kind if blanks < target.size else np.dtype(np.float64)


def _numbers(result):
    """Real results as kernels read them."""
    kind = np.dtype(np.float32) if result.dtype.char == "e" else result.dtype.newbyteorder("=")
    return np.ascontiguousarray(result, kind)


def _store(windows, piece, result, out, only=None):
    if out.dtype.kind == "c":
        windows.put(piece, np.ascontiguousarray(result.real), out.real, only)
        windows.put(piece, np.ascontiguousarray(result.imag), out.imag, only)
    else:
        windows.put(piece, _numbers(result.astype(out.dtype) if result.dtype.kind == "c" else result), out, only)


class Python:
    """A Python function with the way it is called: on blocks of windows, or once a window.

    `by_cells` says how blocks lie, `alone` that each window is a block, however the image is cut, and `stopped` ends a run of
    calls of single windows.
    """

    def __init__(self, function, dtype):
        self.function = function
        self.blocks = takes_axis(function, dtype)
        self.by_cells = self.alone = False
        self.stopped = False

    def block_bytes(self, window_bytes, threads):
        """How many bytes of windows go together, of some bytes each; settles how they lie."""
        self.by_cells = self.blocks and window_bytes <= _BY_CELLS_BYTES
        self.alone = window_bytes >= max(_BLOCK_BYTES, _THREAD_BLOCK_BYTES)
        if not self.blocks:
            return _WINDOW_BYTES
        return _THREAD_BLOCK_BYTES if threads > 1 else _BLOCK_BYTES

    def __call__(self, windows, counted):
        """(the function's value of each row of `windows`, which rows have none: None for no row).

        Where `counted` is a mask, a row stands for its counting values. Rows that have as many go together; one that has none
        is not handed over. The values are None if there are no others.
        """
        if counted is None:
            return self._call(windows), None
        counts = np.count_nonzero(counted, axis=-1)
        if counts.min() == windows.shape[-1]:
            return self._call(windows), None
        parts = []
        for count in np.unique(counts[counts > 0]):
            chosen = np.flatnonzero(counts == count)
            values = windows[chosen][counted[chosen]].reshape(chosen.size, count)
            parts.append((chosen, self._call(np.asfortranarray(values) if self.by_cells else values)))
        result = np.zeros(counts.size, np.result_type(*(part for _, part in parts))) if parts else None
        for chosen, part in parts:
            result[chosen] = part
        return result, None if counts.all() else counts == 0

    def _call(self, windows):
        pixels, n = windows.shape
        if self.blocks and pixels == 1 and not self.alone:
            # NumPy sums a lone window in another order: two of it make the bits independent of how the image is cut.
            return self._call(np.asarray(np.concatenate((windows, windows)), order="F" if self.by_cells else "C"))[:1]
        if self.blocks:
            result = np.asarray(self.function(windows, axis=-1))
            given = f"windows of shape {windows.shape} and axis=-1"
            if result.shape != (pixels,):
                raise ValueError(
                    f"reduction ({describe(self.function)}) returned shape {result.shape} for {given}; "
                    f"it must return one value for each window, shape {(pixels,)}"
                )
        else:
            values = []
            for window in windows:
                if self.stopped:
                    break
                values.append(self.function(window))
            given = f"a window of shape {(n,)}"
            try:
                result = np.asarray(values)
            except ValueError:
                result = None
            if result is None or result.ndim != 1:
                shape = next(shape for shape in map(np.shape, values) if shape != ())
                raise ValueError(
                    f"reduction ({describe(self.function)}) returned shape {shape} for {given}; it must return one number"
                )
        if result.dtype.char not in _RESULTS:
            raise TypeError(
                f"reduction ({describe(self.function)}) returned {result.dtype} for {given}; it must return numbers or booleans"
            )
        return result


def in_order(task, pieces, workers):
    """Yield a function that returns ``task(*piece)``, or raises what that raises (StopIteration too), for each of `pieces`, in
    their order; `workers` threads compute them if there are more than 1.

    The threads see the context variables of the caller (`numpy.errstate` is one). Tasks not begun when the generator is
    closed are dropped, and none is waited for.
    """
    if workers < 2:
        for piece in pieces:
            yield functools.partial(task, *piece)
        return
    pool = ThreadPoolExecutor(workers)
    waiting = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(contextvars.copy_context().run, task, *piece))
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
