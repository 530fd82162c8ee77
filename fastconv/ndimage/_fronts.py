"""Dilation within a mask until nothing changes, by the connected parts of the mask: runs of pixels on lines are joined where the
structuring element leads from one to another, and parts that hold a pixel of the image are filled."""
from __future__ import annotations

import numpy as np


def _along(structure):
    """The last axis along which the structure leads to both neighbours of its middle; None if there is none."""
    middle = tuple(n // 2 for n in structure.shape)
    for axis in reversed(range(structure.ndim)):
        if structure.shape[axis] > 1:
            line = structure[(*middle[:axis], slice(None), *middle[axis + 1 :])]
            if line[middle[axis] - 1] and line[middle[axis] + 1]:
                return axis
    return None


def _spans(structure):
    """{offset on the axes before the last: (first, last) cell on the last} of a structure, from its middle; None if the cells of
    a line have gaps."""
    spans, width = {}, structure.shape[-1] // 2
    for place in np.ndindex(structure.shape[:-1]):
        cells = np.flatnonzero(structure[place])
        if cells.size:
            if cells[-1] - cells[0] >= cells.size:
                return None
            offset = tuple(i - n // 2 for i, n in zip(place, structure.shape, strict=False))
            spans[offset] = int(cells[0]) - width, int(cells[-1]) - width
    return spans


def fits(structure, origins):
    """Whether a structure leads back wherever it leads, and along lines without gaps."""
    if any(origins) or not all(n % 2 for n in structure.shape):
        return False
    if not np.array_equal(structure, structure[(slice(None, None, -1),) * structure.ndim]):
        return False
    axis = _along(structure)
    return axis is not None and _spans(np.moveaxis(structure, axis, -1)) is not None


def _pairs(starts, ends, stride, lines, spans):
    """Pairs (runs, runs) that a structure joins. Runs are from starts[i] to ends[i] in lines of `stride` pixels, which lie in an
    array of lines of the shape `lines`."""
    line = starts // stride
    places = np.unravel_index(line, lines) if lines else ()
    found = [(np.zeros(0, np.intp),) * 2]
    for offset, (first, last) in spans.items():
        if offset < tuple(-o for o in offset) or (not any(offset) and last == 1):
            continue  # the other way round, or from a run to itself
        target = np.zeros_like(line)
        inside = np.ones(line.shape, bool)
        for place, step, n in zip(places, offset, lines, strict=True):
            inside &= (place + step >= 0) & (place + step < n)
            target = target * n + place + step
        runs = np.flatnonzero(inside)
        shift = (target[runs] - line[runs]) * stride
        begin = np.searchsorted(ends, starts[runs] + shift + first, side="right")
        count = np.maximum(np.searchsorted(starts, ends[runs] + shift + last, side="left") - begin, 0)
        skipped = np.repeat(np.cumsum(count) - count, count)
        found.append((np.repeat(runs, count), np.repeat(begin, count) + np.arange(count.sum()) - skipped))
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def _parts(count, a, b):
    """The least member of the connected part of each of `count` nodes, joined by the edges (a, b): trees are hooked on smaller
    roots and shortened until none changes (FastSV)."""
    parent = np.arange(count)
    grand = parent
    while True:
        up, down = grand[a], grand[b]
        np.minimum.at(parent, parent[a], down)
        np.minimum.at(parent, parent[b], up)
        np.minimum.at(parent, a, down)
        np.minimum.at(parent, b, up)
        np.minimum(parent, grand, out=parent)
        new = parent[parent]
        if np.array_equal(new, grand):
            return new
        grand = new


def _between(starts, ends, size):
    """An array of bool that is true from each start to its end: eight elements at a time, as bytes of a number."""
    change = np.zeros(-(-size // 8) * 8, np.uint8)
    change[starts] = 1
    change[ends] = 1
    words = change.view("<u8")
    words *= np.uint64(0x0101010101010101)  # each byte counts the changes up to it
    before = np.concatenate(([np.uint64(0)], np.cumsum(words >> np.uint64(56), dtype=np.uint64)[:-1]))
    words += (before & np.uint64(1)) * np.uint64(0x0101010101010101)
    words &= np.uint64(0x0101010101010101)
    return change[:size].view(bool)


def spread(image, mask, structure, dilate):
    """What is left of `image`, which one step has dilated (eroded), when nothing changes any more; new, or `image` itself.

    An erosion is a dilation of what is not set.
    """
    if not dilate:
        image = ~image
    axis = _along(structure)
    spans = _spans(np.moveaxis(structure, axis, -1))
    reach = max(abs(cell) for span in spans.values() for cell in span)
    lines = np.moveaxis(image, axis, -1)
    shape, width = lines.shape[:-1], lines.shape[-1]
    # Between lines there is room that no run reaches across, in front of the first, too.
    may = np.zeros((*shape, width + reach), bool)
    may[..., :width] = True if mask is None else np.moveaxis(mask, axis, -1) != 0
    flat = may.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size and flat[0]:
        edges = np.concatenate(([0], edges))
    starts, ends = edges[::2], edges[1::2]
    if starts.size:
        seeds = may
        seeds[..., :width] &= lines
        held = np.logical_or.reduceat(flat, starts)
        part = _parts(starts.size, *_pairs(starts, ends, width + reach, shape, spans))
        filled = np.zeros(starts.size, bool)
        filled[part[held]] = True
        filled = filled[part]
        whole = _between(starts[filled], ends[filled], may.size).reshape(may.shape)[..., :width]
        image = image | np.moveaxis(whole, -1, axis)
    return image if dilate else ~image
