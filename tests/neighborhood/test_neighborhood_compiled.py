"""Neighbourhoods reduced by compiled functions of the user."""

import ctypes
import math

import numpy as np
import pytest
from functions import C_FUNCTION, weigh_compiled
from scipy import LowLevelCallable, ndimage
from scipy.ndimage import _ctest, _cytest

import fastconv
from support import assert_same_bits

reduce_ = fastconv.neighborhood_reduce


# --- Compiled functions


def numba_kinds():
    numba = pytest.importorskip("numba")
    types = numba.types
    pointer = types.CPointer(types.float64)

    @numba.cfunc(types.intc(pointer, types.intp, pointer, types.voidptr))
    def total(values, n, result, data):
        s = 0.0
        for i in range(n):
            s += values[i] * (i + 1)
        result[0] = s
        return 1

    return total


def cffi_kind():
    ffi = pytest.importorskip("cffi").FFI()

    @ffi.callback("int(double *, intptr_t, double *, void *)")
    def total(values, n, result, data):
        result[0] = sum((i + 1) * values[i] for i in range(n))
        return 1

    return total


COMPILED = {
    "ctypes": lambda: weigh_compiled,
    "ctypes in LowLevelCallable": lambda: LowLevelCallable(weigh_compiled),
    "cffi": cffi_kind,
    "cffi in LowLevelCallable": lambda: LowLevelCallable(cffi_kind()),
    "numba": numba_kinds,
    "numba in LowLevelCallable": lambda: LowLevelCallable(numba_kinds().ctypes),
}


@pytest.mark.parametrize("workers", [None, 1, 2])
@pytest.mark.parametrize("kind", COMPILED)
def test_kinds_of_compiled_functions(rng, kind, workers):
    x = rng.integers(0, 9, (7, 30)).astype(np.float64)
    wanted = ndimage.correlate(x, np.arange(1.0, 16).reshape(3, 5), mode="wrap")
    assert_same_bits(reduce_(x, COMPILED[kind](), (3, 5), mode="wrap", workers=workers), wanted)


@pytest.mark.parametrize(
    "make",
    [
        _ctest.filter2d,
        lambda weights: _cytest.filter2d(weights, with_signature=False),
        lambda weights: _cytest.filter2d(weights, with_signature=True),
        lambda weights: LowLevelCallable(_cytest.filter2d(weights, with_signature=True)),
        lambda weights: LowLevelCallable.from_cython(_cytest, "_filter2d", _cytest.filter2d_capsule(weights)),
    ],
)
@pytest.mark.parametrize("workers", [None, 2])
def test_capsules_and_their_data(rng, make, workers):
    """The capsules that SciPy tests itself with: their data is the weights."""
    x = rng.integers(-9, 9, (40, 90)).astype(np.float64)
    weights = [1.0, 2.0, 0.5, -1.0, 3.0, 0.25]
    wanted = ndimage.correlate(x, np.reshape(weights, (2, 3)))
    np.testing.assert_array_equal(reduce_(x, make(weights), (2, 3), workers=workers), wanted)


def make_capsule(name):
    """Return a PyCapsule of weigh_compiled; the name stays alive with the module."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return new(ctypes.cast(weigh_compiled, ctypes.c_void_p), name, None)


NAMES = [
    None,
    b"int (double *, npy_intp, double *, void *)",
    b"int (double *, intptr_t, double *, void *)",
    b"int (double *, ptrdiff_t, double *, void *)",
    b"int(double*,Py_ssize_t,double*,void*)",
    b"int (double *, long long, double *, void *)",
]


@pytest.mark.parametrize("name", NAMES)
def test_plain_capsules(rng, name):
    x = rng.integers(0, 9, 20).astype(np.float64)
    assert_same_bits(reduce_(x, make_capsule(name), 3), ndimage.correlate1d(x, [1.0, 2, 3]))


def bad_cffi(text):
    return pytest.importorskip("cffi").FFI().callback(text, lambda *args: 1)


@pytest.mark.parametrize(
    "make, was",
    [
        (lambda: make_capsule(b"double (double)"), "double (double)"),
        (lambda: make_capsule(b"int (double *, int, double *, void *)"), "int (double *, int, double *, void *)"),
        (lambda: make_capsule(b"int (double *, npy_intp, double *)"), "int (double *, npy_intp, double *)"),
        (lambda: make_capsule(b"nonsense"), "nonsense"),
        (lambda: _cytest.__pyx_capi__["_filter1d"], "npy_intp, double *, npy_intp"),
        (lambda: ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(math.sqrt), "double (double)"),
        (lambda: ctypes.CDLL(None).abs, "int ()"),
        (lambda: C_FUNCTION(0), "null"),
        (lambda: LowLevelCallable(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(math.sqrt)), "double (double)"),
        (lambda: bad_cffi("double(double)"), "double"),
        (lambda: pytest.importorskip("numba").cfunc("float64(float64)")(lambda x: x), "double (double)"),
    ],
)
def test_other_signatures_are_refused(make, was):
    with pytest.raises(ValueError) as caught:
        reduce_(np.ones(5), make(), 3)
    message = str(caught.value)
    assert "reduction" in message and was in message
    assert "int (double *, npy_intp, double *, void *)" in message


@pytest.mark.parametrize("workers", [None, 2])
def test_a_compiled_function_that_fails(workers):
    calls = []

    @C_FUNCTION
    def fail(values, n, result, data):
        calls.append(1)
        return values[0] != 1

    x = np.zeros((30, 300))
    x[5, 7] = 1
    with pytest.raises(RuntimeError, match="reduction"):
        reduce_(x, fail, 1, workers=workers)
    assert len(calls) < x.size


def test_the_exception_that_a_compiled_function_set():
    numba = pytest.importorskip("numba")
    types = numba.types
    pointer = types.CPointer(types.float64)
    address = ctypes.cast(ctypes.pythonapi.PyErr_SetNone, ctypes.c_void_p).value
    set_error = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
    kind = id(ZeroDivisionError)

    for answer in (0, 1):

        @numba.cfunc(types.intc(pointer, types.intp, pointer, types.voidptr))
        def fail(values, n, result, data):
            set_error(kind)
            return answer  # noqa: B023 - a constant when compiled

        with pytest.raises(ZeroDivisionError):
            reduce_(np.ones(5), fail, 3)


def test_compiled_functions_of_complex_images_are_refused():
    with pytest.raises(TypeError, match="complex"):
        reduce_(np.ones(5, complex), weigh_compiled, 3)
