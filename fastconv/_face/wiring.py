"""Tables of sorting networks, which kernels/neighborhood/sorts.h runs: which wires are compared, in which order they are then."""

import itertools

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood.programs import SORTED_WIRES

_FEW_RANKS = 2  # are found in two sorted lists, more in one
_runtime.face_seams("neighborhood", globals(), "_FEW_RANKS")


def wiring(count, outputs):
    """The table of a network of `count` wires, which are sorted by SORTED_WIRES, for the sums of some ranks each: mergers without
    the comparators that no output needs. One whose wires are both in the same sum, and in no other, is not needed either."""
    blocks = [list(range(first, min(first + SORTED_WIRES, count))) for first in range(0, count, SORTED_WIRES)]
    blocks.insert(0, blocks.pop())  # the shortest: it is merged with as few as can be
    halves = range(1, len(blocks)) if len(outputs) <= _FEW_RANKS and len(blocks) > 1 else [len(blocks)]
    comparators, lists = min((_in_lists(blocks, half) for half in halves), key=lambda found: len(found[0]))
    # Who needs a wire: nobody, an output of several wires that may have any of them, or one that wants this: -1.
    need = [None] * count
    for output, (low, high) in enumerate(outputs):
        for wires in lists:
            for wire in wires[max(low - (count - len(wires)), 0) : high + 1]:
                need[wire] = output if need[wire] is None and len(lists) == 1 and low < high else -1
    needed = []
    for low, high in reversed(comparators):
        if need[low] != need[high] or need[low] == -1:
            needed.append((low, high))
            need[low] = need[high] = -1
    needed.reverse()
    # Those that wait for none of each other stand together.
    level, levels = [0] * count, []
    for low, high in needed:
        level[low] = level[high] = 1 + max(level[low], level[high])
        levels.append(level[low])
    ordered = [pair for _, pair in sorted(zip(levels, needed, strict=True))]
    head = len(needed), len(outputs), len(lists[0])
    return np.array([*head, *itertools.chain(*ordered, *lists, *outputs)], np.uint16)


def _in_lists(blocks, half):
    """(comparators, the wires of one or two lists in order) of some blocks of sorted wires and the others."""
    comparators = []
    return comparators, [_in_order(comparators, part) for part in (blocks[:half], blocks[half:]) if part]


def _in_order(comparators, lists):
    """The wires of some sorted lists in order; adds the comparators that merge them."""
    if len(lists) == 1:
        return lists[0]
    half = (len(lists) + 1) // 2
    first, second = (_in_order(comparators, part) for part in (lists[:half], lists[half:]))
    size = 2
    while size < 2 * max(len(first), len(second)):
        size *= 2
    # Behind each list stands what is more than all wires: comparing it with one only moves that.
    places = [*first, *[None] * (size // 2 - len(first)), *second, *[None] * (size // 2 - len(second))]
    for low, high in _merger(0, size, 1):
        if places[low] is None:
            places[low], places[high] = places[high], None
        elif places[high] is not None:
            comparators.append((places[low], places[high]))
    return places[: len(first) + len(second)]


def _merger(low, size, step):
    """The comparators of Batcher's odd-even merger (Knuth, volume 3, 5.3.4) of the two sorted halves of `size` places, of which
    each `step`-th counts."""
    if 2 * step < size:
        yield from _merger(low, size, 2 * step)
        yield from _merger(low + step, size, 2 * step)
        yield from ((i, i + step) for i in range(low + step, low + size - step, 2 * step))
    else:
        yield low, low + step
