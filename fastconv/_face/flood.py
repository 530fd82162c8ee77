"""Flood fills by a structuring element: how the pixels lie as bits, and which of them a step leads to. Next hop:
_drivers/neighborhood/flood.pyx."""
from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood import flood as _flood

_FLOOD_BYTES = 16 << 20
_SMALL_STRUCTURE = 1 << 10  # whose steps are remembered
_runtime.face_seams("neighborhood", globals(), "_FLOOD_BYTES", "_SMALL_STRUCTURE")


class Frame(NamedTuple):
    """How an array lies in words of bits."""

    stride: tuple[int, ...]  # words from one line, plane and so on to the next, with closed ones between them
    low: list[int]  # on each axis, pixels before `low` and from `high` on see what is set outside
    high: list[int]
    before: int  # closed words before the first line and after the last
    words: int  # in all


class Steps(NamedTuple):
    """Where bits pass to from a word, as kernels/neighborhood/table.h has it."""

    target: np.ndarray
    end: np.ndarray
    turn: np.ndarray
    kept: np.ndarray
    up: bool
    down: bool


def _plan(shape, sizes, cells, middle, outside):
    """(Frame, Steps) for a structure, as bytes; `outside`: what lies there is set."""
    bits = _flood.WORD_BITS
    offsets = np.array(middle) - np.argwhere(np.frombuffer(cells, bool).reshape(sizes))  # from a pixel that is set to others
    low = np.maximum(offsets.max(axis=0), 0) if outside else np.zeros(len(shape), np.intp)
    high = shape + np.minimum(offsets.min(axis=0), 0) if outside else np.array(shape)
    offsets = offsets[(abs(offsets) < shape).all(axis=1)]  # others lead from the inside to the outside
    reach = abs(offsets).max(axis=0)
    size, stride = int(-(-(shape[-1] + reach[-1]) // bits)), []
    for n, more in zip(shape[-2::-1], reach[-2::-1], strict=True):
        stride.insert(0, size)
        size *= n + int(more)
    size -= int(reach[0]) * stride[0] if stride else 0  # behind the last there are other closed ones
    rows = offsets[:, :-1] @ np.array(stride, np.intp)
    own = offsets[~offsets[:, :-1].any(axis=1), -1]  # steps along the line
    shift = offsets[:, -1] % bits
    target, kept = rows + offsets[:, -1] // bits, np.uint64(2**bits - 1) << shift.astype(np.uint64)
    wrapped = shift > 0
    target, shift = np.concatenate([target, target[wrapped] + 1]), np.concatenate([shift, shift[wrapped]]).astype(np.int64)
    kept = np.concatenate([kept, ~kept[wrapped]])
    # Steps of one pixel within a word are the kernel's own, and a step to where it begins is none.
    nearest = (shift == 0) | (shift == 1) & (kept == 2**bits - 2) | (shift == bits - 1) & (kept == 2 ** (bits - 1) - 1)
    order = np.flatnonzero((target != 0) | ~nearest)
    order = order[np.argsort(target[order], kind="stable")]
    target, count = np.unique(target[order], return_counts=True)
    before = int(abs(target).max(initial=0))
    frame = Frame(tuple(stride), low.tolist(), high.tolist(), before, size + 2 * before)
    return frame, Steps(target, np.cumsum(count), shift[order], kept[order], 1 in own, -1 in own)


_known = functools.lru_cache(32)(_plan)


def _elements(x):
    """`x`, or booleans where drivers cannot read its elements."""
    return x if x is None or (x.dtype.kind in "biuf" and x.dtype.itemsize <= 8) else x.astype(bool)


def fill(x, may, structure, middle, out, *, outside=False, flip=False, flip_may=False, workers=None):
    """Set in `out` what is set in `x`, and all that steps of a structuring element lead to where it may be set.

    Parameters
    ----------
    x : ndarray or None
        Set is what is not 0, nothing if None.
    may : ndarray or None
        Pixels that may be set, all if None.
    structure : ndarray of bool
        A pixel is set if one under the structure is.
    middle : sequence of int
        The cell of the structure that lies over the pixel itself.
    out : ndarray of bool
        May overlap the others.
    outside : bool
        Whether pixels outside are set.
    flip, flip_may : bool
        Set, in `x` and `out`, is what is 0; the same for `may`.
    workers : int, optional

    Returns
    -------
    bool
        False, and nothing is done, if it would take more than 16 MiB and 2 bytes a pixel, as some arrays whose axes are all
        short would.

    Notes
    -----
    Lines in the memory are those of the fill, unless they have less pixels than a word has bits. A word takes 32 bytes.
    """
    if out.size == 0:
        return True
    arrays = [x, may, out, structure]
    if out.ndim == 0:
        arrays, middle = [None if array is None else array[None] for array in arrays], (0,)
    shape = arrays[2].shape
    steps = next(array for array in arrays if array is not None).strides
    order = sorted(range(len(shape)), key=lambda axis: (-abs(steps[axis]), axis))
    line = next((axis for axis in reversed(order) if shape[axis] >= _flood.WORD_BITS), int(np.argmax(shape)))
    order = [axis for axis in order if axis != line] + [line]
    x, may, out, structure = (None if array is None else array.transpose(order) for array in arrays)
    middle = tuple(middle[axis] for axis in order)
    planned = _known if structure.size <= _SMALL_STRUCTURE else _plan
    frame, terms = planned(out.shape, structure.shape, structure.tobytes(), middle, outside)
    if frame.words * _flood.WORD_BYTES > max(_FLOOD_BYTES, 2 * out.size):
        return False
    _flood.fill(_elements(x), _elements(may), out, frame, terms, flip, flip_may, workers)
    return True
