"""The memory of plans: a call like an earlier one runs that one's pass over its own arrays.

Next hop: _drivers/neighborhood/engine.pyx, whose passes are bound to other arrays.
"""
import collections
import math
from typing import NamedTuple

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood import engine as _engine
from . import args as _args

_SMALL_WINDOW = 1 << 12  # cells
_MOST_KNOWN = 32  # calls
_runtime.face_seams("neighborhood", globals(), "_SMALL_WINDOW", "_MOST_KNOWN")


def _integers(value):
    """Whether a value is an int or a tuple of such, and nothing that only equals one."""
    return type(value) is int or (type(value) is tuple and all(type(number) is int for number in value))


def key_of(x, reductions, size, footprint, mode, cval, origin, axes, step, mask, nan_policy, dtype):
    """What tells a call from others but for the contents and steps of its arrays; None where more would have to be known.

    Values are told from their equals of other types, which may be refused, by letting one type pass.
    """
    if size is None and type(footprint) is np.ndarray and footprint.dtype == bool and footprint.size <= _SMALL_WINDOW:
        window = footprint.shape, footprint.tobytes()
    elif footprint is None and _integers(size):
        sizes = (size,) * x.ndim if type(size) is int else size
        if max(sizes, default=1) > _SMALL_WINDOW or math.prod(sizes) > _SMALL_WINDOW:
            return None
        window = size
    else:
        return None
    names = []
    for one in reductions:
        if type(one) is tuple and len(one) == 2 and type(one[0]) is str and type(one[1]) in (int, float):
            names.append((*one, type(one[1])))
        elif type(one) is str:
            names.append(one)
        else:
            return None
    if (
        type(mode) is type(nan_policy) is str and _integers(origin) and _integers(step) and type(cval) is float
        and (axes is None or _integers(axes)) and nan_policy != "raise"
    ):
        counts, fill = None if mask is None else mask.dtype, cval if cval and cval == cval else str(cval)
        return x.shape, x.dtype, tuple(names), window, mode, fill, origin, axes, step, counts, nan_policy, dtype
    return None


class Known(NamedTuple):
    """How a call went, for the next one like it."""

    engine: _engine.Pass
    shape: tuple[int, ...]  # of the results
    dtypes: tuple[np.dtype, ...]

    def run(self, x, mask, outs, workers):
        """(array computed into, array to return) for each reduction; None if the call must be planned anew."""
        targets = [_args.result(one, self.shape, dtype, x, mask) for one, dtype in zip(outs, self.dtypes, strict=True)]
        if not self.engine.bind(x, mask, [target for target, _ in targets]):
            return None
        self.engine.run(workers)
        return targets


_known = collections.OrderedDict()  # by _key; a call that uses one takes it out meanwhile
_runtime.remembers(_known.clear)


def take(key):
    """What is known of a call, which is forgotten meanwhile; None if it is not known or has no key."""
    return _known.pop(key, None) if key else None


def keep(key, known):
    """Remembers how a call went, and forgets the one that was used least lately."""
    _known[key] = known
    if len(_known) > _MOST_KNOWN:
        _known.popitem(last=False)
