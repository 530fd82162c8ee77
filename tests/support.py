"""What several test files use: problems, memory layouts, comparisons and subprocesses."""

import contextlib
import functools
import io
import os
import platform
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

import fastconv
import reference

TESTS = Path(__file__).parent
ALL_ISAS = ("x86-64-v4", "x86-64-v3", "x86-64-v2", "neon", "portable")
# Those of this processor's family; a machine may lack the newer ones.
FAMILIES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "neon", "arm64": "neon"}
FAMILY = FAMILIES.get(platform.machine().lower(), "portable")
ISAS = tuple(name for name in ALL_ISAS if name.startswith((FAMILY, "portable")))
FLOATS = (np.float32, np.float64)
ROUNDOFF = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
LANE_SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65)


@dataclass(frozen=True)
class Problem:
    """One convolution: the shapes (NHWC, HWIO) and the options."""

    name: str
    input: tuple
    filters: tuple
    options: dict = field(default_factory=dict)

    def __str__(self):
        return self.name

    def integers(self, rng, dtype=np.float64):
        """Return input and filters of small integers, whose convolution is exact in any order."""
        return tuple(rng.integers(-4, 5, shape).astype(dtype) for shape in (self.input, self.filters))

    def normal(self, rng, dtype):
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in (self.input, self.filters))


PROBLEMS = (
    Problem("dense", (2, 5, 18, 17), (3, 3, 17, 33)),
    Problem("pointwise", (2, 4, 5, 64), (1, 1, 64, 40)),
    Problem("strided same", (2, 11, 12, 8), (3, 5, 8, 16), {"strides": (2, 3), "padding": "SAME"}),
    Problem(
        "dilated wrap",
        (1, 7, 9, 5),
        (3, 2, 5, 9),
        {"dilations": (2, 3), "padding": 3, "padding_mode": "wrap"},
    ),
    Problem("grouped", (1, 6, 7, 8), (3, 3, 4, 34), {"groups": 2, "padding": "FULL"}),
    Problem("depthwise", (2, 7, 11, 33), (3, 3, 1, 33), {"groups": 33, "padding": "SAME"}),
    Problem("multiplier", (1, 7, 9, 5), (3, 3, 1, 15), {"groups": 5, "strides": 2}),
    Problem("plane", (1, 23, 50, 1), (5, 5, 1, 1), {"padding": "SAME_LOWER"}),
    Problem("few channels", (1, 9, 20, 3), (5, 5, 3, 8), {"padding": 2, "padding_mode": "mirror"}),
    Problem("streamed filters", (1, 4, 6, 48), (2, 2, 24, 384), {"groups": 2}),
)
WIDE_PROBLEMS = (
    Problem("dense", (1, 58, 58, 64), (3, 3, 64, 64)),
    Problem("deep", (1, 7, 7, 512), (3, 3, 512, 96), {"padding": "SAME"}),
    Problem("batch", (5, 15, 16, 32), (3, 3, 32, 40), {"strides": 2, "padding": "SAME"}),
    Problem("depthwise", (1, 56, 57, 72), (3, 3, 1, 72), {"groups": 72}),
    Problem("plane", (1, 300, 301, 1), (7, 7, 1, 1), {"padding": "SAME", "padding_mode": "symmetric"}),
    Problem("few channels", (1, 120, 90, 3), (3, 3, 3, 3)),
    Problem("one pixel", (1, 9, 9, 256), (9, 9, 256, 8)),
)


def assert_same_bits(actual, expected):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if actual.tobytes() != expected.tobytes():
        words = f"u{actual.dtype.itemsize}"  # tells where they differ
        np.testing.assert_array_equal(actual.copy().view(words), expected.copy().view(words))


def assert_within(actual, expected, bound):
    """Assert |actual - expected| <= bound at every output, telling the worst ratio."""
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(expected.dtype) - expected)
    worst = np.max(np.divide(error, bound, out=np.zeros_like(error), where=error > 0), initial=0)
    assert worst <= 1, f"error is {float(worst):.3g} times the bound"


def embedded(array, step):
    """Return a view with the values of `array`, `step` elements apart on every axis, NaN between them."""
    host = np.full([size * abs(step) + 2 for size in array.shape], np.nan, array.dtype)
    view = host[tuple(slice(1, 1 + size * abs(step), abs(step)) for size in array.shape)]
    view = np.flip(view) if step < 0 else view
    view[...] = array
    return view


def with_memory_order(array, axes):
    """Return the values of `array` in memory whose slowest to fastest axes are `axes`."""
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def packed_record(array):
    """Return `array` as a field of packed records: misaligned, strides no multiple of the item size."""
    record = np.zeros(array.shape[:-1], [("tag", "u1"), ("values", array.dtype, array.shape[-1:])])
    record["values"] = array
    return record["values"]


def byte_swapped(array):
    return array.astype(array.dtype.newbyteorder())


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": functools.partial(embedded, step=-1),
    "sliced": functools.partial(embedded, step=3),
    "negative step": functools.partial(embedded, step=-4),
    "first axis last": lambda array: with_memory_order(array, np.roll(range(array.ndim), -1)),
    "last axis before two": lambda array: np.moveaxis(
        np.ascontiguousarray(np.moveaxis(array, -1, -3)), -3, -1
    ),
    "middle axes swapped": lambda array: np.swapaxes(np.ascontiguousarray(np.swapaxes(array, 1, 2)), 1, 2),
    "misaligned": misaligned,
    "packed record": packed_record,
    "byte-swapped": byte_swapped,
    "read-only": read_only,
}


def reference_bound(x, w, **options):
    """Return the reference result and 8u(|x| * |w|), in a type much finer than that of `x`."""
    finer = np.float64 if x.dtype == np.float32 else np.longdouble
    scale = reference.conv2d_abs(x, w, dtype=finer, **options)
    return reference.conv2d(x, w, dtype=finer, **options), 8 * ROUNDOFF[x.dtype] * scale


def config_text():
    with contextlib.redirect_stdout(io.StringIO()) as text:
        fastconv.show_config()
    return text.getvalue()


def has_openmp():
    line = re.search(r"openmp.*", config_text(), re.IGNORECASE).group()
    return not re.search(r"\b(no|not|none|off|false|serial)\b", line, re.IGNORECASE)


SCRIPT_HEAD = """
import os, signal, sys, threading, time
import numpy as np
def count_tasks():  # a thread that has ended may be listed for a moment
    counts = []
    for _ in range(10):
        counts.append(len(os.listdir("/proc/self/task")))
        time.sleep(0.002)
    return min(counts)
def wide():
    return np.ones((1, 114, 114, 64), np.float32), np.ones((3, 3, 64, 64), np.float32)
"""


def run_python(*arguments, cwd, env=None, check=True, timeout=120):
    """Run a fresh interpreter in `cwd`, with no setting of ours but those in `env`; return the process."""
    settings = ("FASTCONV_ISA", "FASTCONV_NUM_THREADS", "OMP_NUM_THREADS")
    clean = {name: value for name, value in os.environ.items() if name not in settings}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", *map(str, arguments)],
        cwd=cwd,
        env=clean | {"OPENBLAS_NUM_THREADS": "1"} | (env or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert not check or done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def run_script(script, *arguments, **options):
    """Run `script` after SCRIPT_HEAD in a fresh interpreter and return the lines that it prints."""
    return run_python("-c", SCRIPT_HEAD + textwrap.dedent(script), *arguments, **options).stdout.split("\n")[
        :-1
    ]


# --- Neighbourhoods


def assert_any_layout_agrees(x, layout, call):
    """Assert that `call` gives the same bits for another layout of x, and into an `out` of that layout."""
    expected = call(x)
    assert_same_bits(call(LAYOUTS[layout](x)), expected)
    if layout not in ("read-only", "byte-swapped"):
        out = LAYOUTS[layout](np.zeros_like(expected))
        assert call(x, out=out) is out
        assert_same_bits(out, expected)


MODES = ("reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror", "grid-wrap", "grid-constant")
INTEGERS = tuple(np.dtype(f"{sign}{size}") for sign in "ui" for size in (1, 2, 4, 8))
REALS = tuple(np.dtype(f"f{size}") for size in (2, 4, 8))
DTYPES = (np.dtype(bool), *INTEGERS, *REALS)

NEIGHBORHOODS = {
    "shape": st.lists(st.integers(1, 6), min_size=1, max_size=4),
    "mode": st.sampled_from((*MODES, "valid", "ignore")),
    "masked": st.booleans(),
    "box": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
    "dtype": st.sampled_from(DTYPES),
}


def neighborhood_case(shape, mode, masked, box, seed, dtype, most=2):
    """Return (input of integers up to `most`, footprint, arguments of neighborhood_reduce, those of the reference)."""
    rng = np.random.default_rng(seed)
    low, high = (0, 2) if dtype.kind == "b" else (0 if dtype.kind == "u" else -most, most + 1)
    x = rng.integers(low, high, shape).astype(dtype)
    ends = [size + 1 if mode == "valid" else 10 if len(shape) < 3 else 4 for size in shape]
    sizes = tuple(int(rng.integers(1, end)) for end in ends)
    footprint = np.ones(sizes, bool) if box else rng.random(sizes) < 0.5
    footprint.flat[rng.integers(footprint.size)] = True
    options = {"mode": mode, "step": tuple(int(s) for s in rng.integers(1, 4, len(shape)))}
    if mode != "valid":
        options["origin"] = tuple(int(rng.integers(-(n // 2), (n - 1) // 2 + 1)) for n in sizes)
    if "constant" in mode:
        options["cval"] = 1
    if masked:
        options["mask"] = rng.random(shape) < 0.5
    return x, footprint, {**({"size": sizes} if box else {"footprint": footprint}), **options}, options
