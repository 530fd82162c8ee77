"""Functions of windows as people write them, and the loops of numba that do the same, written by hand.

Each works on blocks of windows, axis -1, and on one window; windows are boxes of odd sides.
"""

import functools
import math

import numpy as np


def middle(w):
    return w[..., w.shape[-1] // 2]


def spread(w, axis):
    """The range."""
    return w.max(axis) - w.min(axis)


def variation(w, axis):
    """Deviation over mean."""
    return w.std(axis) / w.mean(axis)


def contrast(w, axis):
    """Where the middle lies between the least and the greatest."""
    low = w.min(axis)
    return (middle(w) - low) / (w.max(axis) - low + 1e-6)


def bilateral(w, axis):
    """The mean, weighted by how near a cell is to the middle in value."""
    d = w - middle(w)[..., None]
    weights = np.exp(-20 * d * d)
    return (weights * w).sum(axis) / weights.sum(axis)


def binary_pattern(w, axis):
    """Local binary pattern of the 8 neighbours."""
    n = w.shape[-1]
    m, s = n // 2, math.isqrt(n)
    ring = [m - s - 1, m - s, m - s + 1, m + 1, m + s + 1, m + s, m + s - 1, m - 1]
    return (w[..., ring] >= w[..., m : m + 1]) @ (1 << np.arange(8))


def sharpen(w, axis):
    """Sharpened where it is flat."""
    m = middle(w)
    return np.where(w.std(axis) < 0.1, 2 * m - w.mean(axis), m)


def trimmed_mean(w, axis):
    """The mean without the least and the greatest fifth."""
    cut = w.shape[-1] // 5
    return np.sort(w, axis)[..., cut : w.shape[-1] - cut].mean(axis)


@functools.cache
def gradients(n, dtype):
    """Weights of a smoothed difference along both axes."""
    line = np.arange(math.isqrt(n)) - math.isqrt(n) // 2
    smooth = len(line) - np.abs(line)
    return np.outer(smooth, line).ravel().astype(dtype), np.outer(line, smooth).ravel().astype(dtype)


def sobel(w, axis):
    """The magnitude of the gradient."""
    x, y = gradients(w.shape[-1], w.dtype)
    return np.hypot(w @ x, w @ y)


def soft_erosion(w, axis):
    """The minimum, softened by log-sum-exp."""
    return -np.log(np.exp(-8 * w).mean(axis)) / 8


@functools.cache
def cross(n):
    side = math.isqrt(n)
    cells = np.zeros((side, side), bool)
    cells[side // 2] = cells[:, side // 2] = True
    return cells.ravel()


def dilation(w, axis):
    """Whether a cell of a cross is set, as the questioner wrote it."""
    return np.mean(np.logical_and(w > 0.95, cross(w.shape[-1])), axis=axis) > 0


FUNCTIONS = (spread, variation, contrast, bilateral, binary_pattern, sharpen, trimmed_mean, sobel, soft_erosion, dilation)


ANY_AXES = (spread, variation, soft_erosion)  # which take windows of several axes, too


def of_boxes(function):
    """The same for windows of two axes, as scipy.ndimage.vectorized_filter hands them over."""
    if function not in FUNCTIONS or function in ANY_AXES:
        return function
    return lambda windows, axis: function(windows.reshape(*windows.shape[:-2], -1), -1)


def of_one_window(function):
    return lambda window: function(window, -1)


# ---- numba ----


@functools.cache
def loops(name, size, dtype, fastmath):
    """A function of numba of a padded image and a result: parallel loops over rows, written by hand for `name`."""
    import numba

    n, side = size * size, size
    m, reach = n // 2, size // 2
    jit, inlined = numba.njit(parallel=True, fastmath=fastmath), numba.njit(fastmath=fastmath, inline="always")
    real = np.dtype(dtype).type
    cut = n // 5
    wx, wy = (w.reshape(side, side) for w in gradients(n, dtype))
    in_cross = cross(n).reshape(side, side)
    rows = np.array([-1, -1, -1, 0, 1, 1, 1, 0])
    columns = np.array([-1, 0, 1, 1, 1, 0, -1, -1])
    small, eight, twenty, level, high_level = real(1e-6), real(8), real(20), real(0.1), real(0.95)
    count = real(n)

    @inlined
    def extremes(p, y, x):
        low = high = p[y, x]
        for i in range(side):
            for j in range(side):
                low, high = min(low, p[y + i, x + j]), max(high, p[y + i, x + j])
        return low, high

    @inlined
    def moments(p, y, x):
        total = squares = real(0)
        for i in range(side):
            for j in range(side):
                total += p[y + i, x + j]
        mean = total / count
        for i in range(side):
            for j in range(side):
                squares += (p[y + i, x + j] - mean) ** 2
        return mean, np.sqrt(squares / count)

    def spread(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                low, high = extremes(p, y, x)
                out[y, x] = high - low

    def variation(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                mean, deviation = moments(p, y, x)
                out[y, x] = deviation / mean

    def contrast(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                low, high = extremes(p, y, x)
                out[y, x] = (p[y + reach, x + reach] - low) / (high - low + small)

    def bilateral(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                centre, total, weights = p[y + reach, x + reach], real(0), real(0)
                for i in range(side):
                    for j in range(side):
                        d = p[y + i, x + j] - centre
                        k = np.exp(-twenty * d * d)
                        total += k * p[y + i, x + j]
                        weights += k
                out[y, x] = total / weights

    def binary_pattern(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                centre, bits = p[y + reach, x + reach], 0
                for k in range(8):
                    if p[y + reach + rows[k], x + reach + columns[k]] >= centre:
                        bits |= 1 << k
                out[y, x] = bits

    def sharpen(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                centre, (mean, deviation) = p[y + reach, x + reach], moments(p, y, x)
                out[y, x] = 2 * centre - mean if deviation < level else centre

    def trimmed_mean(p, out):
        for y in numba.prange(out.shape[0]):
            window = np.empty(n, out.dtype)
            for x in range(out.shape[1]):
                for i in range(side):
                    for j in range(side):
                        k, v = i * side + j, p[y + i, x + j]
                        while k > 0 and window[k - 1] > v:
                            window[k] = window[k - 1]
                            k -= 1
                        window[k] = v
                total = real(0)
                for k in range(cut, n - cut):
                    total += window[k]
                out[y, x] = total / (n - 2 * cut)

    def sobel(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                across = down = real(0)
                for i in range(side):
                    for j in range(side):
                        across += wx[i, j] * p[y + i, x + j]
                        down += wy[i, j] * p[y + i, x + j]
                out[y, x] = np.hypot(across, down)

    def soft_erosion(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                total = real(0)
                for i in range(side):
                    for j in range(side):
                        total += np.exp(-eight * p[y + i, x + j])
                out[y, x] = -np.log(total / count) / eight

    def dilation(p, out):
        for y in numba.prange(out.shape[0]):
            for x in range(out.shape[1]):
                found = False
                for i in range(side):
                    for j in range(side):
                        found |= in_cross[i, j] and p[y + i, x + j] > high_level
                out[y, x] = found

    assert m == reach * side + reach
    written = {f.__name__: f for f in (spread, variation, contrast, bilateral, binary_pattern, sharpen, trimmed_mean, sobel,
                                       soft_erosion, dilation)}  # fmt: skip
    return jit(written[name])
