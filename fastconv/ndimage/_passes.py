"""Weighted sums of windows, as passes of the engine. Next hop: _face/weights.py.

A sum along one axis is added up in SciPy's order, and so is one of cells, so that it is SciPy's to the bit. Of Gaussians into
float32 products are not rounded before they are added, which hardly one in 10^7 results shows: their weights are no ratios of
small integers, whose sums often lie halfway between two floats.
"""
from __future__ import annotations

import numpy as np

from .._drivers import runtime as _runtime
from .._face import geometry as _geometry
from .._face import weights as _face
from . import _arguments as _args

EPSILON = np.finfo(np.float64).eps  # weights that SciPy takes for nothing
_SLAB_BYTES = 8 << 20  # what lies between two passes over an array, in the cache
_SEPARABLE_CELLS = 25  # of windows that are taken apart if they can be
_runtime.face_seams("ndimage", globals(), "_SLAB_BYTES", "_SEPARABLE_CELLS")


def weigh(x, parts, output, mode, cval, origins, workers, **options):
    """Fill `output`, which may overlap `x`, as `_face.weights.weigh` does; cval is any number."""
    x, cval = _args.outside(x, mode, cval)
    _face.weigh(x, parts, output, mode, cval, origins, workers, **options)


def weigh_in_slabs(x, first, pair, output, cval, workers, fused):
    """Fill `output`, which may overlap `x`, with sums (axis, weights, mode) along an axis and then along two others, a slab of
    the first axis at a time, so that what lies between stays in the cache."""
    axis, weights, mode = first
    if not x.size:
        return
    x = x.copy() if np.may_share_memory(x, output) else x
    x, outside = _args.outside(x, mode, cval)
    shape, count = list(output.shape), output.shape[axis]
    shape[axis] = min(count, max(_SLAB_BYTES * count // output.nbytes, 1))
    between = np.empty(shape, output.dtype)
    flat = axis == 0 and x.flags.c_contiguous
    source = x.reshape(count, -1) if flat else x  # of long lines
    part = [(pair_axis, factors) for pair_axis, factors, _ in pair]
    for start in range(0, count, shape[axis]):
        n = min(shape[axis], count - start)
        slab = between[(slice(None),) * axis + (slice(0, n),)]
        into = slab.reshape(n, -1) if flat else slab
        _face.weigh_slab(source, (axis, weights), into, start, mode, outside, workers, fused)
        chosen = output[(slice(None),) * axis + (slice(start, start + n),)]
        weigh(slab, [part], chosen, pair[0][2], cval, [0, 0], workers, fused=fused)


def correlate(x, weights, output, mode, cval, origins, workers):
    """Fill `output`, which may overlap `x`, with the sums of cells of a box, which has an axis for each of those of `x`."""
    x, cval = _args.outside(x, mode, cval)
    _face.correlate(x, weights, output, mode, cval, origins, workers)


def _factors(weights):
    """(axis, weights) along two axes whose products `weights` are, to rounding, all of which count; None if there are none."""
    axes = [axis for axis, length in enumerate(weights.shape) if length > 1]
    if len(axes) != 2 or weights.size < _SEPARABLE_CELLS or np.abs(weights).min() <= EPSILON:
        return None
    plane = weights.reshape([weights.shape[axis] for axis in axes])
    row, column = np.unravel_index(np.abs(plane).argmax(), plane.shape)
    down, across = plane[:, column], plane[row] / plane[row, column]
    if (np.abs(plane - np.outer(down, across)) > 4 * EPSILON * np.abs(plane)).any():
        return None
    return [(axes[0], down), (axes[1], across)]


def correlate_separably(x, weights, output, mode, cval, origins, workers):
    """Whether `correlate` into real numbers could be sums along two axes, whose time is that of their lengths; then it has been
    done. The order of the terms is another."""
    if output.dtype.kind != "f" or (part := _factors(weights)) is None:
        return False
    if not can_weigh(x, [(axis, factors, mode) for axis, factors in part], output, cval):
        return False
    weigh(x, [part], output, mode, cval, [origins[axis] for axis, _ in part], workers, stored=False)
    return True


def can_weigh(x, steps, output, cval):
    """Whether sums of (axis, weights, mode) along two axes can be one pass: lines run along one of them, and what lies outside of
    sums is what sums of what lies outside are."""
    modes = {_args.check_mode(mode) for _, _, mode in steps}
    sizes = {axis: len(weights) for axis, weights, _ in steps}
    kinds = [dtype.newbyteorder("=") for dtype in (x.dtype, output.dtype)]
    return (
        len(modes) == 1
        and len(sizes) == 2
        and min(sizes.values()) > 1
        and (not modes.isdisjoint(_args.REPEATING) or (type(cval) in (int, float) and cval == 0))
        and all(kind.kind in "biuf" and kind != np.float16 for kind in kinds)
        and not (kinds[0].kind in "iu" and kinds[0].itemsize == 8)
        and _geometry.line_axis(x.shape, [sizes.get(axis, 1) for axis in range(x.ndim)]) in sizes
    )


def can_join(x, parts, output, cval, root):
    """The same for a sum of parts, (axis, weights, mode) in the order of axes, or the root of that of their squares, of windows
    of odd lengths that have the same middle."""
    steps = {axis: (axis, weights, mode) for part in parts for axis, weights, mode in part}
    kind = output.dtype
    return (
        len(parts) == 2
        and len({mode for part in parts for _, _, mode in part}) == 1
        and all(len(weights) == len(steps[axis][1]) and len(weights) % 2 for part in parts for axis, weights, _ in part)
        and can_weigh(x, list(steps.values()), output, cval)
        and _geometry.line_axis(x.shape, [len(steps[axis][1]) if axis in steps else 1 for axis in range(x.ndim)]) == max(steps)
        and (kind.kind == "f" or (kind.kind in "iu" and kind.itemsize <= (1 if root else 2)))
    )
