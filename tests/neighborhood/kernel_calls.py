"""What the tests of the kernels of neighbourhoods share: element types in the table's order, lines with room, pointers."""

import ctypes

import numpy as np

import kernels
from guarded import place

ORDER = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def elements(dtype):
    """The kernels of one element type on the current instruction set."""
    return kernels.table().neighborhood.elements[ORDER.index(np.dtype(dtype).str[1:])]


def vector_bytes():
    return 4 * kernels.real("base", np.float32).lanes


def kind_of(dtype):
    """How kernels are told what lies in an array."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        kind = kernels.constant({2: "FC_F16", 4: "FC_F32", 8: "FC_F64"}[dtype.itemsize])
    else:
        kind = kernels.constant("FC_U8") + 2 * (dtype.itemsize.bit_length() - 1) + (dtype.kind == "i")
    kind += kernels.constant("FC_TRUTH") if dtype.kind == "b" else 0
    return kind + (0 if dtype.isnative else kernels.constant("FC_SWAPPED"))


def drawn(rng, dtype, shape, most=4):
    """Small integers, whose sums and products are exact in any order."""
    return rng.integers(0 if np.dtype(dtype).kind == "u" else -most, most + 1, shape).astype(dtype)


def filled(values, beyond, value):
    """`values` and `beyond` more, before a page that must not be touched."""
    return place(np.concatenate([values, np.full(beyond, value, values.dtype)]), at_end=True)


def line(values, beyond):
    """The same, with elements beyond that would be the greatest or the least of any window."""
    ends = np.array([100, 0 if values.dtype.kind == "u" else -100]).astype(values.dtype)
    return place(np.concatenate([values, np.resize(ends, beyond)]), at_end=True)


def pointers(arrays):
    return (ctypes.c_void_p * len(arrays))(*(kernels.at(a) for a in arrays))


def windows_of(row, start, taps, n):
    """(n, taps): what each of n outputs has from tap `start` on."""
    return np.lib.stride_tricks.sliding_window_view(row, taps)[start : start + n]
