"""Our functions in the place of SciPy's, for code that is not to be edited.

    import fastconv.patch

    fastconv.patch.patch_scipy()  # from here on; or
    with fastconv.patch.patch_scipy():
        ...

    python -m fastconv.patch script.py arguments
    python -m fastconv.patch -m module arguments

Importing this patches nothing; the command patches the processes that multiprocessing starts from there, too. The functions of
scipy.ndimage that `fastconv.ndimage` has, and cdist, pdist and squareform of scipy.spatial.distance, are replaced there and in
all modules that have bound them; not in lists, dicts or classes. What ours do not take (arrays of other libraries, subclasses of
ndarray, arguments that only SciPy knows) goes to SciPy's own function, and so does what is wrong, so that errors are SciPy's.
The logger "fastconv.patch" says at DEBUG which of the two has run.
"""
from __future__ import annotations

import functools
import importlib
import io
import logging
import os
import pkgutil
import runpy
import sys
import threading
import types
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from . import distance as _distance
from . import ndimage as _ndimage

__all__ = ["patch_scipy", "unpatch_scipy"]

_log = logging.getLogger("fastconv.patch")
_HOMES = dict.fromkeys(_ndimage.__all__, "scipy.ndimage") | dict.fromkeys(
    ("cdist", "pdist", "squareform"), "scipy.spatial.distance"
)
# Functions that call one of the user's: what that raises must not make SciPy call it again.
_CALLERS = {"generic_filter", "generic_filter1d", "vectorized_filter", "generic_laplace", "generic_gradient_magnitude"}


class _Refused(Exception):
    """What ours do not take as SciPy does; the message says what."""


# ---- what runs in SciPy's place ----


def _foreign(values):
    """The name of the type of an array that is not NumPy's own among values, None if there is none."""
    for value in values:
        if type(value) is np.ndarray or isinstance(value, (np.memmap, np.generic, np.dtype, type)):
            continue
        if hasattr(value, "__array__"):
            return type(value).__name__
    return None


def _metric(metric):
    """The name of a metric; functions of SciPy stand for theirs."""
    if callable(metric):
        name = getattr(metric, "__name__", "")
        if getattr(sys.modules["scipy.spatial.distance"], name, None) is not metric:
            raise _Refused("the metric is a function")
        return name
    return metric


def _points(name, values):
    """Points as SciPy sees them: on two axes, floats as doubles."""
    x = np.asarray(values)
    if x.ndim != 2:
        raise _Refused(f"{name} has {x.ndim} axes")
    return x.astype(np.float64, copy=False) if x.dtype.kind == "f" and x.dtype.itemsize < 8 else x


def _check_out(out, shape):
    if out is not None and not (
        type(out) is np.ndarray and out.shape == shape and out.dtype == np.float64 and out.flags.c_contiguous
    ):
        raise _Refused("out is no contiguous array of float64 of the shape of the result")


def _cdist(XA, XB, metric="euclidean", *, out=None, **kwargs):
    a, b = _points("XA", XA), _points("XB", XB)
    _check_out(out, (len(a), len(b)))
    return _distance.cdist(a, b, _metric(metric), out=out, **kwargs)


def _pdist(X, metric="euclidean", *, out=None, **kwargs):
    x = _points("X", X)
    _check_out(out, (len(x) * (len(x) - 1) // 2,))
    return _distance.pdist(x, _metric(metric), out=out, **kwargs)


def _squareform(X, force="no", checks=True):
    x = np.asarray(X)
    if x.ndim not in (1, 2):
        raise _Refused(f"X has {x.ndim} axes")
    return _distance.squareform(x, force, checks)


_OURS = {name: getattr(_ndimage, name) for name in _ndimage.__all__}
_OURS |= {"cdist": _cdist, "pdist": _pdist, "squareform": _squareform}


def _in_place_of(name, original):
    """The function that takes the place of SciPy's `original`."""
    ours = _OURS[name]
    refusals = (_Refused,) if name in _CALLERS else (_Refused, TypeError, ValueError, RuntimeError, IndexError)

    @functools.wraps(original)
    def function(*args, **kwargs):
        reason = _foreign((*args, *kwargs.values()))
        if reason is None:
            try:
                result = ours(*args, **kwargs)
            except refusals as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                _log.debug("%s: fastconv", name)
                return result
        _log.debug("%s: SciPy (%s)", name, reason)
        return original(*args, **kwargs)

    function.__module__ = _HOMES[name]  # where pickle finds it
    return function


# ---- putting it there ----

_lock = threading.RLock()
_counts = Counter()  # of a name: patches that want it
_replaced = {}  # name: (SciPy's function, ours)
_open = []  # patches not undone, in order


def _scipys(name):
    """SciPy's function of a name, or ours that stands there; None if this SciPy has none."""
    return getattr(importlib.import_module(_HOMES[name]), name, None)


def _rebind(functions):
    """Replace functions, by a dict of their ids, in all modules that have bound them; SciPy's own private ones keep theirs."""
    for name, module in sys.modules.copy().items():
        if not isinstance(module, types.ModuleType) or name.startswith(("scipy.ndimage._", "fastconv.")):
            continue
        namespace = vars(module)
        for key, value in namespace.copy().items():
            new = functions.get(id(value))  # nothing else of a value is touched: some warn of it
            if new is not None:
                namespace[key] = new


class _Patch:
    """What one call of patch_scipy puts in SciPy's place; a context manager that undoes it, and does it again if it is entered
    once more."""

    def __init__(self, names):
        self._names = names
        self.do()

    def do(self):
        """Put our functions in the place of SciPy's, if that is undone."""
        with _lock:
            if self in _open:
                return
            new = [name for name in self._names if not _counts[name]]
            for name in new:
                original = _scipys(name)
                _replaced[name] = original, _in_place_of(name, original)
            _rebind({id(_replaced[name][0]): _replaced[name][1] for name in new})
            _counts.update(self._names)
            _open.append(self)

    def undo(self):
        """Put SciPy's functions back that no other patch wants replaced; once."""
        with _lock:
            if self not in _open:
                return
            _open.remove(self)
            _counts.subtract(self._names)
            old = [name for name in self._names if not _counts[name]]
            _rebind({id(_replaced[name][1]): _replaced[name][0] for name in old})
            for name in old:
                del _replaced[name]

    def __enter__(self):
        self.do()
        return self

    def __exit__(self, *exception):
        self.undo()


def patch_scipy(names: str | Iterable[str] | None = None) -> _Patch:
    """Put our functions in the place of SciPy's, in all modules, until `unpatch_scipy`.

    Calls are counted: what two calls have replaced comes back when both are undone. Any thread may call this; functions are
    replaced for all threads.

    Parameters
    ----------
    names : str or iterable of str, optional
        Functions, such as "gaussian_filter" or "cdist"; by default all that this SciPy has.

    Returns
    -------
    context manager
        That undoes this call at its end.

    Raises
    ------
    ImportError
        Without SciPy.
    ValueError
        For a name that there is no function of.

    Examples
    --------
    >>> import numpy as np, scipy.ndimage
    >>> from fastconv.patch import patch_scipy
    >>> with patch_scipy("median_filter"):
    ...     scipy.ndimage.median_filter(np.arange(5), 3)
    array([0, 1, 2, 3, 4])
    """
    chosen = tuple(_HOMES) if names is None else (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in _HOMES:
            raise ValueError(f"names must be some of {', '.join(_HOMES)}, got {name!r}")
        if names is not None and _scipys(name) is None:
            raise ValueError(f"names must be functions that SciPy has, got {name!r}, which this version has not")
    return _Patch(tuple(name for name in chosen if _scipys(name) is not None))


def unpatch_scipy() -> None:
    """Undo the last `patch_scipy` that has not been undone.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    with _lock:
        if not _open:
            raise RuntimeError("nothing of SciPy is patched")
        _open[-1].undo()


# ---- python -m fastconv.patch ----


class _Passenger:
    """A part of what a process that is spawned is told first: when it is read there, SciPy is patched."""

    def __reduce__(self):
        return _patch_process, ()


def _patch_process() -> None:
    """Patch SciPy in this process and in those that multiprocessing will start from it."""
    from multiprocessing import spawn

    patch_scipy()
    told = spawn.get_preparation_data
    spawn.get_preparation_data = lambda name: {**told(name), __name__: _Passenger()}


def _run_script(path):
    """What ``python path`` does, in a new module `__main__` that stays: threads and functions called at exit still need it."""
    first = 0 if sys.flags.safe_path else 1  # whether Python has put a folder in front
    if pkgutil.get_importer(path) is not None:  # a folder or a zip file
        sys.path[:first] = [os.path.abspath(path)]
        runpy._run_module_as_main("__main__", alter_argv=False)
        return
    sys.path[:first] = [str(Path(path).resolve().parent)] * first
    with io.open_code(path) as file:
        code = pkgutil.read_code(file)
    if code is None:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
    namespace = vars(sys.modules["__main__"])
    namespace["__file__"] = os.path.abspath(path)
    exec(code, namespace)


def main(arguments: list[str]) -> None:
    """Run a script or a module as Python does, with SciPy patched."""
    module = arguments[1] if arguments[:1] == ["-m"] and len(arguments) > 1 else None
    if not arguments or (arguments[0].startswith("-") and module is None):
        print("usage: python -m fastconv.patch [-m MODULE | SCRIPT] ARGUMENTS", file=sys.stderr)
        raise SystemExit(0 if arguments[:1] in (["-h"], ["--help"]) else 2)
    _patch_process()
    sys.modules["__main__"] = types.ModuleType("__main__")
    if module is not None:
        sys.argv = arguments[1:]  # whose first becomes the module's file
        runpy._run_module_as_main(module)  # all of what ``python -m`` does
    else:
        sys.argv = arguments
        _run_script(arguments[0])


if __name__ == "__main__":
    from fastconv import patch  # the one that others import

    patch.main(sys.argv[1:])
