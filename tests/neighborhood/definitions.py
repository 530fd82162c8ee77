"""The named reductions of neighbourhoods in a line of Python each, and results compared with them."""

import math

import numpy as np
import pytest

import reference

PAD_MODES = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
every_mode = pytest.mark.parametrize("mode", PAD_MODES)


def exact_sum(values):
    return math.fsum(values) if values.dtype.kind == "f" else sum(int(v) for v in values)


def exact_mean(values):
    """The mean: of rationals, rounded once."""
    if values.dtype.kind == "f":
        return math.fsum(values) / values.size
    return float(exact_sum(values) / values.size)


def variance(values, ddof=0):
    """The variance of integers or floats, in long doubles about the mean of the differences from the first."""
    pivot = values[0].item()
    wide = np.array([v.item() - pivot for v in values], np.longdouble)
    wide -= wide.mean()
    return float(np.sum(wide * wide) / (values.size - ddof)) if values.size > ddof else np.nan


def spread(values):
    return values.max().item() - values.min().item()


# name: (function, what it gives where nothing counts, for floats and others; whether it is exact on small integers)
NAMED = {
    "min": (np.min, np.nan, 0, True),
    "max": (np.max, np.nan, 0, True),
    "range": (spread, np.nan, 0, True),
    "sum": (exact_sum, 0, 0, True),
    "prod": (lambda v: math.prod(n.item() for n in v), 1, 1, True),
    "count": (np.count_nonzero, 0, 0, True),
    "any": (np.any, False, False, True),
    "all": (np.all, True, True, True),
    "mean": (exact_mean, np.nan, np.nan, False),
    "var": (variance, np.nan, np.nan, False),
    "std": (lambda v: math.sqrt(variance(v)), np.nan, np.nan, False),
}
every_name = pytest.mark.parametrize("name", NAMED)


def result_dtype(name, dtype):
    if name in ("any", "all"):
        return np.dtype(bool)
    if name == "count":
        return np.dtype(np.int64)
    if name in ("min", "max") or dtype.kind == "f":
        return dtype
    if name == "range":
        return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype
    if name in ("sum", "prod"):
        return np.dtype(np.int64 if dtype.kind == "b" or dtype.itemsize > 2 else np.int32)
    return np.dtype(np.float64)


def assert_reduces(x, name, footprint, result, **options):
    """Assert that a result is that of the definition."""
    function, empty_real, empty_other, exact = NAMED[name]
    empty = empty_real if x.dtype.kind == "f" else empty_other
    expected = reference.neighborhood(x, function, footprint, empty=empty, **options)
    dtype = result_dtype(name, x.dtype)
    assert result.dtype == dtype
    if exact or dtype == np.float16:
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(result, expected.astype(dtype))
    else:
        limit = 3 * np.finfo(dtype).eps
        np.testing.assert_allclose(result, expected, rtol=limit, atol=1e-14)


def boxes(x, size, mode="reflect", cval=0):
    """Return a view (*x.shape, cells) of the windows of a box, of a padded copy."""
    sizes = np.broadcast_to(size, x.ndim)
    pads = [(int(s) // 2, int(s) - 1 - int(s) // 2) for s in sizes]
    extra = {"constant_values": cval} if mode == "constant" else {}
    padded = np.pad(x, pads, PAD_MODES[mode], **extra)
    windows = np.lib.stride_tricks.sliding_window_view(padded, tuple(sizes))
    return windows.reshape(*x.shape, -1)


DISK = np.hypot(*np.ogrid[-6:7, -6:7]) <= 6
