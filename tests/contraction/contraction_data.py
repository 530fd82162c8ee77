"""Data of the tests of contractions, and what measures their memory."""

import tracemalloc

import numpy as np

from support import ROUNDOFF


def small(rng, shape, dtype=np.float64, high=4):
    """Return small integers, whose sums of products are exact in any order."""
    values = rng.integers(-high, high + 1, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.integers(-high, high + 1, shape)
    return values.astype(dtype)


def summed(tensor, m, mode):
    """Return `mode_dot` in the tensor's dtype and without BLAS, whose idle threads would slow ours down."""
    rows = np.einsum("...n,rn->...r", np.moveaxis(tensor, mode, -1), np.atleast_2d(m).astype(tensor.dtype))
    return rows[..., 0] if m.ndim == 1 else np.moveaxis(rows, -1, mode)


def finer(dtype):
    return np.float64 if dtype == np.float32 else np.longdouble


ATTACKS = ("equal numbers", "one among small ones")


def attacked(attack, dtype, n):
    """Return numbers of one sign whose sums lose the most, and their sum in long double."""
    if attack == "equal numbers":
        return np.broadcast_to(np.asarray(0.1, dtype), n), np.longdouble(dtype(0.1)) * n
    values = np.full(n, 0.999 * ROUNDOFF[np.dtype(dtype)], dtype)
    total = 1 + np.longdouble(values[0]) * (n - 1)
    values[0] = 1
    return values, total


def extra_memory(call):
    """Return how much a call allocates beyond its result, in MiB; the workspace of the drivers is seen too."""
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (peak - result.nbytes) / 2**20
