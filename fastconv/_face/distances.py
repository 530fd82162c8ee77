"""What becomes of the drivers' results where they are not yet what was asked for: parts of the nearest are merged, gradients are
summed over broadcast axes. Next hop: _drivers/distance/gradients.pyx.

This arithmetic is NumPy's: it is on results, which are small beside what they took to compute, and has no loop worth a kernel.
"""
import math

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.distance import gradients

_PULL_BYTES = 16 << 20  # gradients of a batch that are added up over broadcast axes at once
_runtime.face_seams("distance", globals(), "_PULL_BYTES")


def cast(x, dtype):
    """An array in another dtype, as it is where it has it; what is too large or too small is infinite or 0."""
    with np.errstate(over="ignore", under="ignore"):
        return x.astype(dtype, copy=False)


def merged(distances, indices, k):
    """The k nearest of those of each part, (parts, ..., k): by distance, NaN last, then by index."""
    distances, indices = (np.concatenate(list(a), axis=-1) for a in (distances, indices))
    order = np.lexsort((indices, distances), axis=-1)[..., :k]
    return tuple(np.take_along_axis(a, order, -1) for a in (distances, indices))


def rounded(distances, indices, dtype):
    """Sorted distances in another dtype, and the indices in order where rounding has made ties."""
    if distances.dtype == dtype:
        return distances, indices
    distances = cast(distances, dtype)
    return distances, np.take_along_axis(indices, np.lexsort((indices, distances), axis=-1), -1)


def pull_back(grad, a, b, lead, kind, plan, workers):
    """The gradient with respect to `a`, summed over the leading axes along which it was broadcast."""
    extra = len(lead) - (a.ndim - 2)
    axes = tuple(i for i in range(len(lead)) if i < extra or (a.shape[i - extra] == 1 and lead[i] != 1))
    shape = (*lead, *a.shape[-2:])
    longest = max(axes, key=lambda axis: lead[axis], default=None)
    if axes and lead[longest] > 1 and math.prod(shape) * plan.compute.itemsize > _PULL_BYTES:
        total = np.zeros(a.shape, plan.compute)
        grad, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (grad, b))
        rest = (*lead[:longest], 1, *lead[longest + 1 :])
        for i in range(lead[longest]):
            at = (slice(None),) * longest + (slice(i, i + 1),)
            total += pull_back(grad[at], a, b[at], rest, kind, plan, workers)
        return total
    pulled = np.zeros(shape, plan.compute)
    if pulled.size and b.shape[-2]:
        gradients.pull(grad, a, b, pulled, kind, plan.single, plan.kernel, workers)
    return pulled.sum(axis=axes).reshape(a.shape) if axes else pulled
