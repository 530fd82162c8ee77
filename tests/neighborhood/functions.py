"""Functions of the user that the tests of neighbourhoods call."""

import ctypes
import sys

import numpy as np
import pytest

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
DOUBLES = ctypes.POINTER(ctypes.c_double)
C_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, DOUBLES, ctypes.c_ssize_t, DOUBLES, ctypes.c_void_p)
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def weigh(windows, axis=-1):
    """Sum the values times 1, 2, 3...: tells the order of the values."""
    return np.sum(windows * np.arange(1.0, windows.shape[axis] + 1), axis=axis)


def deviation(windows, axis=-1):
    return np.std(windows, axis=axis)


def weigh_one(window):
    return float(np.dot(window, np.arange(1.0, window.size + 1)))


@C_FUNCTION
def weigh_compiled(values, n, result, data):
    result[0] = sum((i + 1) * values[i] for i in range(n))
    return 1


@C_FUNCTION
def weigh_few(values, n, result, data):
    result[0] = values[0] + 2 * values[n - 1]
    return 1


KINDS = {"blocks": weigh, "windows": weigh_one, "compiled": weigh_compiled}
every_kind = pytest.mark.parametrize("function", KINDS.values(), ids=KINDS)
