"""Weights, variances and quadratic forms of the metrics, as kernels take them; metrics.py asks for them.

This arithmetic is NumPy's and LAPACK's: it is on arguments of a metric, or one pass over the points for its defaults, in parts of
bounded size, and small beside the distances.
"""
import math

import numpy as np

from .._drivers import runtime as _runtime

_CHUNK_BYTES = 1 << 20  # points at a time for variances and covariances, and of matrices
_FACTOR_ROWS = 128  # of a matrix that is factored in place
_runtime.face_seams("distance", globals(), "_CHUNK_BYTES", "_FACTOR_ROWS")


def reduced(x):
    """(x / 2**k, k), k even, 0 where the largest of x that is finite is not far from 1."""
    largest = 0.0
    for part in parts(x):
        sizes = np.abs(part)
        most = sizes.max(initial=largest)
        largest = most if most < math.inf else sizes.max(initial=largest, where=np.isfinite(sizes))
    exponent = math.frexp(largest)[1] // 2 * 2
    return (x, 0) if abs(exponent) <= 32 else (np.ldexp(x, -exponent), exponent)


def parts(x):
    """An array in parts of about _CHUNK_BYTES, along its first axis."""
    if 8 * x.size <= _CHUNK_BYTES:
        return (x,)
    chunk = max(_CHUNK_BYTES // (8 * math.prod(x.shape[1:])), 1)
    return (x[i : i + chunk] for i in range(0, len(x), chunk))


def scatter(xa, xb, diagonal):
    """The variances or the covariances, ddof 1, of the points of both, in blocks."""
    both = [xa] if xb is None else [xa, xb]
    count, d = sum(len(x) for x in both), xa.shape[-1]
    chunk = max(_CHUNK_BYTES // (8 * max(d, 1)), 1)
    wide = max(_CHUNK_BYTES // 8, 1)  # numbers of points that are longer than a chunk
    total = np.empty(d if diagonal else (d, d))

    def blocks(columns):
        """Points in double precision, in C order, so that sums do not depend on theirs."""
        for x in both:
            for i in range(0, len(x), chunk):
                yield x[i : i + chunk, columns].astype(np.float64, order="C")

    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        for first in range(0, d, wide if diagonal else max(d, 1)):
            columns = slice(first, first + wide if diagonal else d)
            mean = sum((block.sum(0) for block in blocks(columns)), np.zeros(len(total[columns]))) / np.float64(count)
            part = np.zeros_like(total[columns])
            for block in blocks(columns):
                block -= mean
                part += (block * block).sum(0) if diagonal else block.T @ block
            total[columns] = part / np.float64(count - 1)
    return total


def symmetric(vi):
    """The symmetric part of a matrix, which alone counts, and its power of 2, as `reduced` has them."""
    symmetric = np.empty(vi.shape)
    for part, own, other in zip(*map(parts, (symmetric, vi, vi.T)), strict=True):
        np.multiply(own, 0.5, out=part, dtype=np.float64)
        part += np.multiply(other, 0.5, dtype=np.float64)
    return reduced(symmetric)


def factor(matrix):
    """Replaces a positive definite matrix by its factor of Cholesky, in blocks: LAPACK takes no signals and copies it twice."""
    d = len(matrix)
    for i in range(0, d, _FACTOR_ROWS):
        own, after = slice(i, i + _FACTOR_ROWS), min(i + _FACTOR_ROWS, d)
        matrix[own, own] = np.linalg.cholesky(matrix[own, own])
        matrix[own, after:] = 0
        for j in range(after, d, _FACTOR_ROWS):
            below = slice(j, j + _FACTOR_ROWS)
            matrix[below, own] = np.linalg.solve(matrix[own, own], matrix[below, own].T).T
            matrix[below, after : j + _FACTOR_ROWS] -= matrix[below, own] @ matrix[after : j + _FACTOR_ROWS, own].T


def row_lengths(matrix):
    """The lengths of a matrix's rows, by which points are near for their sizes."""
    return np.sqrt(np.einsum("ij,ij->i", matrix, matrix))


def row_bounds(matrix):
    """No less than the lengths of the rows of a factor of a form, from the sums of sizes in its rows and columns."""
    w, row = np.zeros(len(matrix)), 0
    for part in map(abs, parts(matrix)):
        w += part.sum(0)
        w[row : row + len(part)] += part.sum(1)
        row += len(part)
    return np.sqrt(w / 2)


def inverse_variances(v):
    """(1 / v, k), of v over 2**k, a power near the least of v, so that it does not overflow; v is overwritten."""
    least = v.min(initial=math.inf, where=v > 0)
    exponent = math.frexp(least)[1] // 2 * 2 if least < math.inf else 0
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        return np.divide(1, np.ldexp(v, -exponent, out=v), out=v), exponent
