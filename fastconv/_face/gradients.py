"""The geometry of gradients of convolutions: which taps reach which pixels of an image, and which pixels the border repeats."""
import math
from typing import NamedTuple

from . import args as _args


class Axis(NamedTuple):
    """One spatial axis of a convolution."""

    size: int
    before: int  # pixels of padding on either side
    after: int
    taps: int
    stride: int
    dilation: int
    outputs: int


class Phase(NamedTuple):
    """Pixels `first`, first + stride, .. of an axis, `count` of them, each the sum of the same taps: every `step`-th from `tap`
    on, so many. As a correlation of the outputs with these taps in reverse order it has a dilation, and begins `before` outputs
    before the first."""

    first: int
    count: int
    tap: int
    step: int
    taps: int
    dilation: int
    before: int


def extent(taps, dilation):
    """Pixels that dilated taps span."""
    return (taps - 1) * dilation + 1 if taps else 0


def axes_of(sizes, filters, strides, padding, dilations, padding_mode="constant", word="input"):
    """The two axes of a convolution of images of `sizes` with `filters`, checked; `word` names the images in errors."""
    extents = tuple(map(extent, filters[:2], dilations))
    pads = _args.padding(padding, sizes, extents, strides)
    if padding_mode != "constant" and any(map(any, pads)) and not all(sizes):
        raise ValueError(f"padding_mode={padding_mode!r} needs pixels to repeat, but {word} has {sizes[0]} x {sizes[1]} of them")
    axes = []
    for name, size, taps, span, stride, dilation, (before, after) in zip(
        ("height", "width"), sizes, filters, extents, strides, dilations, pads, strict=False
    ):
        padded = size + before + after
        if padded > _args.MOST_PIXELS:
            raise ValueError(f"padding={padding!r} makes a {name} of {padded} pixels; it may be at most {_args.MOST_PIXELS}")
        if padded < span and size:
            raise ValueError(
                f"filters of shape {tuple(filters)} span a {name} of {span} pixels, more than the padded {word} has: {padded}"
            )
        outputs = max((padded - span) // stride + 1, 0)
        # Strides and dilations that nothing uses may be as large as an index: they must not reach the arithmetic of drivers.
        axes.append(Axis(size, before, after, taps, stride if outputs > 1 else 1, dilation if taps > 1 else 1, outputs))
    return axes


def transposed_size(outputs, span, stride, padding):
    """The size of an axis of images whose convolution has so many outputs: the one that TensorFlow's layers choose; `padding` is
    a word, or the pixels of both sides."""
    if not outputs:
        return 0
    if padding in ("SAME", "SAME_LOWER"):
        return outputs * stride
    if padding == "VALID":
        return (outputs - 1) * stride + max(span, stride)
    pads = 2 * (span - 1) if padding == "FULL" else sum(padding)
    return (outputs - 1) * stride + span - pads


def phases(axis, first, count):
    """The phases of pixels first, .., first + count - 1 of an axis, which may be those of its padding; phases that no tap reaches
    are left out."""
    stride, dilation = axis.stride, axis.dilation
    common = math.gcd(stride, dilation)
    step, dilation = stride // common, dilation // common
    found = []
    for tap in range(min(step, axis.taps) if axis.outputs else 0):
        taps = len(range(tap, axis.taps, step))
        # Pixel i gets output o through this tap where i = o * stride + shift.
        shift = tap * axis.dilation - axis.before - first
        start = shift % stride
        if start < count:
            pixels = len(range(start, count, stride))
            before = (taps - 1) * dilation - (start - shift) // stride
            found.append(Phase(start, pixels, tap, step, taps, dilation, before))
    return found


def reaches_all(axis):
    """Whether each pixel of an axis has taps, outputs or not."""
    return axis.outputs > 0 and min(axis.stride // math.gcd(axis.stride, axis.dilation), axis.taps) == axis.stride


def inside_parts(phase, outputs, start, end):
    """[(first, last + 1, first tap, taps)]: pixels start .. end - 1 of a phase in parts whose taps all find an output: what is
    computed so meets none of the zeros that stand for others."""
    parts = []
    while start < end:
        at = start - phase.before  # the output that the first tap meets
        low = max(-(at // phase.dilation), 0)
        high = min((outputs - 1 - at) // phase.dilation, phase.taps - 1)
        # The next pixel at which a tap is won or lost.
        stop = end
        if low > 0:
            stop = min(stop, start - at - (low - 1) * phase.dilation)
        if high >= 0:
            stop = min(stop, start + outputs - at - high * phase.dilation)
        parts.append((start, stop, low, max(high - low + 1, 0)))
        start = stop
    return parts


def repeats(axis, mode):
    """[(first position, first pixel, count, direction)]: runs of positions of the padding of an axis and the pixels they repeat,
    one after another, in reverse order (-1), or the same pixel (0)."""
    size, runs = axis.size, []
    for start, end in ((-axis.before, 0), (size, size + axis.after)):
        while start < end:
            if mode == "edge" or size == 1:
                runs.append((start, 0 if start < 0 else size - 1, end - start, 0))
                break
            period = size - 1 if mode == "mirror" else size
            turn = start // period
            stop = min((turn + 1) * period, end)
            offset, count = start - turn * period, stop - start
            if mode == "wrap" or turn % 2 == 0:
                runs.append((start, offset, count, 1))
            else:
                runs.append((start, size - offset - count, count, -1))
            start = stop
    return runs


def touched(size, runs):
    """[(first, last + 1, whether runs have these pixels)] of an axis, in order."""
    parts, at = [], 0
    for _, first, count, direction in sorted(runs, key=lambda run: run[1]):
        end = first + (count if direction else 1)
        if first > at:
            parts.append((at, first, False))
        if end > at:
            if parts and parts[-1][2]:
                parts[-1] = (parts[-1][0], end, True)
            else:
                parts.append((max(first, at), end, True))
            at = end
    return parts + [(at, size, False)] * (at < size)


def within(run, first, end, most):
    """Yield the parts of a run whose pixels lie within first .. end - 1, of at most so many positions each: (first position,
    first pixel, count)."""
    position, pixel, count, direction = run
    if direction == 0:
        for at in range(0, count if first <= pixel < end else 0, most):
            yield position + at, pixel, min(most, count - at)
        return
    low, high = max(pixel, first), min(pixel + count, end)
    for at in range(low, high, most):
        length = min(most, high - at)
        yield position + (at - pixel if direction > 0 else pixel + count - at - length), at, length
