"""Filters of one plane that are a column times a row. Next hop: _drivers/conv/run.pyx, which may sum along one and the other."""
from __future__ import annotations

import numpy as np

from .._drivers import runtime as _runtime

_SEPARABLE_TAPS = 36  # of filters that are taken apart if they can be
_SEPARABLE_WORK = 4 << 20  # multiply-adds of an image for which that is worth a look
_runtime.face_seams("conv", globals(), "_SEPARABLE_TAPS", "_SEPARABLE_WORK")


def factors(filters: np.ndarray, outputs: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a column and a row whose products `filters` are, to rounding of the largest tap; None if there are none.

    Where an input is infinite or NaN, sums along them are what the formula gives: products are 0 where taps are and have
    their signs. The sum of the column's sizes is below 1, so that no sum along it overflows.
    """
    if filters.shape[2:] != (1, 1) or filters.size < _SEPARABLE_TAPS or outputs * filters.size < _SEPARABLE_WORK:
        return None
    taps = filters[:, :, 0, 0].astype(dtype)
    sizes = np.abs(taps)
    i, j = np.unravel_index(sizes.argmax(), taps.shape)
    most = sizes[i, j]
    if min(taps.shape) == 1 or not (0 < most < np.inf):
        return None
    with np.errstate(all="ignore"):
        # By a power of two, which rounds nothing.
        scale = dtype.type(2.0) ** -np.ceil(np.log2(sizes[:, j].sum(dtype=np.float64)))
        column, row = taps[:, j] * scale.astype(dtype), taps[i] / taps[i, j] / scale.astype(dtype)
        products = np.outer(column, row)
        near = np.abs(products - taps) <= 4 * np.finfo(dtype).epsneg * most
        if near.all() and np.array_equal(np.sign(products), np.sign(taps)) and np.isfinite(row).all():
            return column, row
    return None
