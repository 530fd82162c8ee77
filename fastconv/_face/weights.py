"""Weighted sums of windows: passes of the engine, remembered by what tells a call from others.

Next hop: _drivers/neighborhood/weights.pyx.
"""
import numpy as np

from .._drivers.neighborhood import weights as _driver
from . import args as _args
from . import geometry as _geometry
from . import plans as _plans


def _places(geometry):
    """The axes of the engine, by those of the input."""
    pad = len(geometry.window) - len(geometry.order)
    return {axis: pad + place for place, axis in enumerate(geometry.order)}


def _weighted(geometry, parts, target, root, fused, stored=True):
    """A pass over a geometry that fills `target` with sums of parts."""
    places = _places(geometry)
    parts = [[(places[axis], weights) for axis, weights in part] for part in parts]
    return _driver.weighted(geometry, parts, root, fused, stored, target)


def _fill(x, key, sizes, origins, make, output, mode, cval, workers):
    """Fill `output`, which may overlap `x`, by the pass that make(geometry, target) gives, with windows of `sizes`, by axis."""
    workers, axes = _args.workers(workers), tuple(sizes)
    if not x.size:
        return
    key = ("weights", key, x.shape, x.dtype, output.dtype, axes, tuple(sizes.values()), tuple(origins), mode, str(cval))
    known = _plans.take(key)
    targets = known.run(x, None, [output], workers) if known else None
    if targets is None:
        geometry, _ = _geometry.plan(x, tuple(sizes.values()), None, mode, cval, tuple(origins), axes, 1, None, "propagate")
        target, answer = _args.result(output, x.shape, output.dtype, x)
        known = _plans.Known(make(geometry, target), x.shape, (output.dtype,))
        known.engine.run(workers)
        targets = [(target, answer)]
    _plans.keep(key, known)
    target, answer = targets[0]
    if target is not answer:
        answer[...] = target


def weigh(x, parts, output, mode, cval, origins, workers, root=False, fused=False, stored=True):
    """Fill `output`, which may overlap `x`, with the sum of parts, or the root of that of their squares: each is summed along
    one axis after the other, (axis, weights), at most two axes of all parts; `fused`: products need not be rounded; not `stored`:
    what lies between the axes of a real output is in doubles."""
    sizes = {}
    for part in parts:
        for axis, weights in part:
            sizes[axis] = max(sizes.get(axis, 1), len(weights))
    key = (root, fused, stored, *(tuple((axis, weights.tobytes()) for axis, weights in part) for part in parts))

    def make(geometry, target):
        return _weighted(geometry, parts, target, root, fused, stored)

    _fill(x, key, sizes, origins, make, output, mode, cval, workers)


def weigh_slab(x, part, slab, start, mode, cval, workers, fused):
    """Fill `slab` with the sums (axis, weights) of outputs from `start` on of an axis."""
    axis, weights = part
    geometry, _ = _geometry.plan(x, len(weights), None, mode, cval, 0, axis, 1, None, "propagate")
    place = _places(geometry)[axis]
    before, counts = list(geometry.before), list(geometry.counts)
    before[place], counts[place] = before[place] - start, slab.shape[axis]
    geometry = geometry._replace(before=tuple(before), counts=tuple(counts))
    _weighted(geometry, [[part]], slab, False, fused).run(_args.workers(workers))


def correlate(x, weights, output, mode, cval, origins, workers):
    """Fill `output`, which may overlap `x`, with the sums of cells of a box, which has an axis for each of those of `x`."""

    def make(geometry, target):
        geometry = geometry.in_c_order()
        order = list(geometry.order)
        arranged = weights.transpose(order).reshape([1] * (2 - x.ndim) + [weights.shape[axis] for axis in order])
        return _driver.correlated(geometry, np.ascontiguousarray(arranged), target)

    _fill(x, weights.tobytes(), dict(enumerate(weights.shape)), origins, make, output, mode, cval, workers)


