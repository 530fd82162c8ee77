"""Reductions of boxes by NumPy, one gather and one reduction over all windows: for tests of neighbourhoods."""

import numpy as np

import reference


def gathered(x, size, mode="reflect", cval=0, origin=0, step=1, mask=None, omit=False, outputs=None):
    """Return (cells, which of them count), shapes (outputs on each axis..., cells of a window).

    `outputs`: indices of the outputs wanted on each axis; by default all.
    """
    size, origin, step = (np.broadcast_to(value, x.ndim) for value in (size, origin, step))
    index, inside = [], []
    for a, n in enumerate(x.shape):
        count = n - size[a] + 1 if mode == "valid" else n
        wanted = range(-(-count // step[a])) if outputs is None else outputs[a]
        before = 0 if mode == "valid" else size[a] // 2 + origin[a]
        at = [[reference._source(int(o * step[a] - before + t), n, mode) for t in range(size[a])] for o in wanted]
        inside.append(np.array([[i is not None for i in row] for row in at]))
        index.append(np.array([[i or 0 for i in row] for row in at]))
    d = x.ndim
    shapes = [
        tuple(index[a].shape[0] if b == a else index[a].shape[1] if b == a + d else 1 for b in range(2 * d)) for a in range(d)
    ]
    grid = tuple(i.reshape(shape) for i, shape in zip(index, shapes, strict=True))
    whole = np.ones((1,) * 2 * d, bool)
    for part, shape in zip(inside, shapes, strict=True):
        whole = whole & part.reshape(shape)
    cells = np.where(whole, x[grid], x.dtype.type(cval))
    counts = np.broadcast_to(whole | (mode not in ("ignore", "valid")), cells.shape)
    if mask is not None:
        counts = counts & (~whole | mask[grid].astype(bool))
    if omit:
        counts = counts & ~np.isnan(cells)
    flat = (*cells.shape[:d], -1)
    return cells.reshape(flat), counts.reshape(flat)


def reduced(name, cells, counts, ddof=0):
    """Return a reduction of gathered cells, small integers or floats whose sums a long double holds."""
    n = counts.sum(axis=-1)
    floats = cells.dtype.kind == "f"
    empty = np.nan if floats else 0
    if name in ("min", "max", "range"):
        wide = cells.astype(np.longdouble if floats else np.int64)
        ends = (np.inf, -np.inf) if floats else (2**62, -(2**62))
        low, high = (np.where(counts, wide, end) for end in ends)
        with np.errstate(invalid="ignore"):
            least, greatest = low.min(axis=-1), high.max(axis=-1)
            values = {"min": least, "max": greatest, "range": greatest - least}[name]
        return np.where(n == 0, empty, values)
    if name == "count":
        return (counts & (cells != 0)).sum(axis=-1)
    if name == "any":
        return (counts & (cells != 0)).any(axis=-1)
    if name == "all":
        return (~counts | (cells != 0)).all(axis=-1)
    wide = np.where(counts, cells.astype(np.longdouble if floats else np.int64), 0)
    total = wide.sum(axis=-1)
    if name == "sum":
        return total
    with np.errstate(all="ignore"):
        if name == "mean":
            quotients = [t / int(c) if c else np.nan for t, c in zip(total.ravel(), n.ravel(), strict=True)]
            return np.array(quotients, np.float64).reshape(n.shape)
        mean = np.array([t / int(c) if c else 0 for t, c in zip(total.ravel(), n.ravel(), strict=True)], np.longdouble)
        about = np.where(counts, cells.astype(np.longdouble) - mean.reshape(*n.shape, 1), 0)
        variance = np.where(n > ddof, (about * about).sum(axis=-1) / np.maximum(n - ddof, 1e-300), np.nan)
    return np.sqrt(variance) if name == "std" else variance
