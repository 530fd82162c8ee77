"""The kernels of each table, called alone from the tests of each stem, without their drivers.

The structs are read from kernels/*/table.h, which stands beside the sources: the contracts that kernels are tested against.
"""

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest

from fastconv._drivers import runtime

KERNELS = Path(__file__).parent.parent / "fastconv" / "kernels"
STEMS = ("base", "conv", "contraction", "distance", "neighborhood")
needs_headers = pytest.mark.skipif(not KERNELS.exists(), reason="needs the sources, which are not beside the tests")

TYPES = {
    "int": ctypes.c_int,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "ptrdiff_t": ctypes.c_ssize_t,
    "size_t": ctypes.c_size_t,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "uint8_t": ctypes.c_uint8,
    "void": None,
}
CONSTANTS: dict[str, int] = {}


def _value(expression):
    return eval(expression.replace("/", "//"), {}, CONSTANTS)


def _function(text):
    """A field `int (*name)(const fc_x *, ptrdiff_t n)` as (name, its type)."""
    result, name, arguments = re.fullmatch(r"(.*?)\(\*(\w+)\)\((.*)\)", text, flags=re.DOTALL).groups()
    types = [ctypes.c_void_p if "*" in one else TYPES[one.replace("const ", "").split()[0]] for one in arguments.split(",")]
    return name, ctypes.CFUNCTYPE(TYPES[result.strip()], *types)


def _fields(body):
    for declaration in filter(None, (" ".join(part.split()) for part in body.split(";"))):
        if "(*" in declaration:
            yield _function(declaration)
            continue
        kind, names = declaration.replace("const ", "").split(" ", 1)
        for name in names.split(","):
            pointer, (name, *sizes) = "*" in name, re.findall(r"[^\[\]]+", name.replace("*", "").replace("const ", "").strip())
            field = ctypes.c_void_p if pointer else TYPES[kind]
            for size in reversed(sizes):
                field = field * _value(size)
            yield name.strip(), field


def _read(text):
    """Adds the constants and structs of one header."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for found in re.finditer(
        r"#define (\w+) (\d+)$|enum \{([^}]*)\}|typedef struct (\w+) \{(.*?)\n\} \4;", text, flags=re.DOTALL | re.MULTILINE
    ):
        macro, number, enum, struct, body = found.groups()
        if macro:
            CONSTANTS[macro] = int(number)
        elif struct:
            TYPES[struct] = type(struct, (ctypes.Structure,), {"_fields_": list(_fields(body))})
        else:
            following = 0
            for name, _, value in (part.partition("=") for part in enum.split(",")):
                following = _value(value) if value else following
                CONSTANTS[name.strip()] = following
                following += 1


if KERNELS.exists():
    for path in (*(KERNELS / stem / "table.h" for stem in STEMS), KERNELS / "table.h"):
        _read(path.read_text().replace("const char *name", "void *name"))


def table():
    """The current table of kernels: `table().conv.real[0].window` is that of float32."""
    return TYPES["fc_kernels"].from_address(runtime.table_address())


def real(stem, dtype):
    """The kernels of a stem for float32 or float64 on the current instruction set."""
    return getattr(table(), stem).real[np.dtype(dtype) == np.float64]


def arguments(struct, **fields):
    """A struct of arguments by reference; arrays are passed by their addresses, and what is not named is 0."""
    made = TYPES[struct]()
    for name, value in fields.items():
        setattr(made, name, at(value) if isinstance(value, np.ndarray) else value)
    made.held = fields  # arrays live as long as the struct
    return ctypes.byref(made)


def at(array, offset=0):
    """The address of an element of an array."""
    return array.ctypes.data + offset * array.itemsize


def constant(name):
    """An enumerator or macro of the headers."""
    return CONSTANTS[name]


def small(rng, *shape, dtype):
    """Small integers, whose sums of products are exact in any order."""
    return rng.integers(-4, 5, shape).astype(dtype)


def aligned(size, dtype):
    """Zeros from a cache line on."""
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)
