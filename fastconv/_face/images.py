"""Gradients of images: each pixel's sum as one convolution, or one for each phase of the strides, and what the border repeats.

A convolution with strides and dilations reads a pixel through those taps alone that its place modulo the stride admits. So the
gradient of all pixels of such a phase is a convolution of the gradient of the outputs with these taps, which the drivers of
conv2d compute, each to a strided view of the result. Next hops: gradients.py beside this, _drivers/conv/run.pyx.
"""
import copy
import itertools
import math

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.conv import gradients as _gradients
from .._drivers.conv import run as _conv
from . import gradients as geometry

REGROUP_BYTES = 4 << 20  # filters of groups that are put in another order at a time
FOLD_BYTES = 1 << 20  # gradients of a border, in the precision of the computation, at a time
_runtime.face_seams("conv", globals(), "REGROUP_BYTES", "FOLD_BYTES")


class Call:
    """What the parts of one gradient of images have in common."""

    def __init__(self, dtype, grad, filters, groups, bias, activation, method, workers):
        self.grad, self.filters, self.groups, self.bias = grad, filters, groups, bias
        self.dtype, self.activation, self.method, self.workers = dtype, activation, method, workers
        self.whole = True  # zeros may stand for outputs that there are not
        self.kept = None

    def banks(self):
        """[(images, channels, filters as of a convolution of the gradient, groups)] for some groups after others."""
        if self.kept is None and self.groups * self.filters[..., : self.filters.shape[3] // self.groups].nbytes <= REGROUP_BYTES:
            self.kept = list(self.regrouped())
        return self.kept or self.regrouped()

    def regrouped(self):
        fh, fw, c, k = self.filters.shape
        k //= self.groups
        if self.groups == 1 or c == 1:
            # A channel for each group: filters of a group follow each other.
            turned = self.filters[:, :, 0].reshape(fh, fw, self.groups, k) if self.groups > 1 else self.filters
            yield slice(None), slice(None), turned.swapaxes(2, 3), self.groups
            return
        each = max(REGROUP_BYTES // max(fh * fw * c * k * self.filters.itemsize, 1), 1)
        for first in range(0, self.groups, each):
            count = min(each, self.groups - first)
            images, channels = slice(first * k, (first + count) * k), slice(first * c, (first + count) * c)
            part = self.filters[..., images]
            if count > 1:
                part = part.reshape(fh, fw, c, count, k).transpose(0, 1, 4, 3, 2).reshape(fh, fw, k, count * c)
            else:
                part = part.swapaxes(2, 3)
            yield images, channels, part, count

    def convolve(self, target, filters, dilations, before, bank, method=None):
        """Fill `target`, some channels of a result, with one convolution."""
        images, channels, _, groups = bank
        bias = None if self.bias is None else self.bias[channels]
        if target.size:
            _conv.conv2d(
                self.grad[..., images], filters, target, bias, 1, 1, *dilations, *before, 0, 0.0, groups, self.activation,
                self.method if method is None else method, None, None, None, self.workers,
            )  # fmt: skip

    def fill(self, target, rows, cols, y=0, x=0):
        """Fill `target`, the gradient of pixels from (y, x) on, which may be those of the padding."""
        height, width = target.shape[-3:-1]
        for bank in self.banks():
            part, filters = target[..., bank[1]], bank[2]
            if not (geometry.reaches_all(rows) and geometry.reaches_all(cols)):
                self.convolve(part, filters[:0], (1, 1), (0, 0), bank)
            for v in geometry.phases(rows, y, height):
                for h in geometry.phases(cols, x, width):
                    taps = filters[v.tap :: v.step, h.tap :: h.step][::-1, ::-1]
                    pixels = part[..., v.first :: rows.stride, h.first :: cols.stride, :]
                    self.fill_phase(pixels, taps, v, h, rows.outputs, cols.outputs, bank)

    def fill_phase(self, pixels, taps, v, h, rows, cols, bank):
        """Fill the pixels of one phase."""
        height, width = pixels.shape[-3:-1]
        if not self.whole:
            self.fill_inside(pixels, taps, v, h, rows, cols, (0, height, 0, width), bank)
            return
        y0, y1, x0, x1 = self.middle(taps, v, h, rows, cols, bank)
        before = v.before - y0, h.before - x0
        self.convolve(pixels[..., y0:y1, x0:x1, :], taps, (v.dilation, h.dilation), before, bank)
        for rim in ((0, y0, 0, width), (y1, height, 0, width)):
            self.fill_inside(pixels, taps, v, h, rows, cols, rim, bank, by_cols=False, method=0)
        for rim in ((y0, y1, 0, x0), (y0, y1, x1, width)):
            self.fill_inside(pixels, taps, v, h, rows, cols, rim, bank, by_rows=False, method=0)

    def fill_inside(self, pixels, taps, v, h, rows, cols, region, bank, by_rows=True, by_cols=True, method=None):
        """Fill a region of a phase, along each axis with those taps alone that find an output, or with all."""
        top, bottom, left, right = region
        y_parts = geometry.inside_parts(v, rows, top, bottom) if by_rows else [(top, bottom, 0, v.taps)]
        x_parts = geometry.inside_parts(h, cols, left, right) if by_cols else [(left, right, 0, h.taps)]
        for (y0, y1, a, m), (x0, x1, b, n) in itertools.product(y_parts, x_parts):
            before = v.before - y0 - a * v.dilation, h.before - x0 - b * h.dilation
            part, some = pixels[..., y0:y1, x0:x1, :], taps[a : a + m, b : b + n]
            self.convolve(part, some, (v.dilation, h.dilation), before, bank, method)

    def middle(self, taps, v, h, rows, cols, bank):
        """The pixels of a phase but for a rim, whose tiles have so little of the image that Winograd's method refuses them."""
        region = (0, v.count, 0, h.count)
        if self.method and (v.dilation, h.dilation) == (1, 1) and taps.shape[:2] == (3, 3):
            y0, x0 = max(v.before - 1, 0), max(h.before - 1, 0)
            y1, x1 = min(v.count, rows + 2 - v.before), min(h.count, cols + 2 - h.before)
            if y1 > y0 and x1 > x0 and _conv.pays_for(taps, bank[3], self.dtype == np.float64, y1 - y0, x1 - x0):
                return y0, y1, x0, x1
        return region

    def fill_folded(self, target, rows, cols, mode):
        """Fill `target`, and add to its pixels what the border, which repeats them, gets."""
        runs = geometry.repeats(rows, mode), geometry.repeats(cols, mode)
        for y0, y1, y_touched in geometry.touched(rows.size, runs[0]):
            for x0, x1, x_touched in geometry.touched(cols.size, runs[1]):
                if y_touched or x_touched:
                    self.fold(target, rows, cols, runs, (y0, y1, x0, x1))
                else:
                    self.fill(target[..., y0:y1, x0:x1, :], rows, cols, y0, x0)

    def fold(self, target, rows, cols, runs, region):
        """The pixels of one region, block after block; the order of the sums depends on the shape of one image alone."""
        y0, y1, x0, x1 = region
        dtype = np.dtype(np.float64 if target.dtype == np.float64 else np.float32)
        most = max(FOLD_BYTES // max(target.shape[-1] * dtype.itemsize, 1), 1)
        width = min(x1 - x0, most)
        height = min(y1 - y0, max(most // width, 1))
        every = [(0, 0, rows.size, 1), *runs[0]], [(0, 0, cols.size, 1), *runs[1]]
        for images in _chunks(target.shape[:-3], max(most // (width * height), 1)):
            call = copy.copy(self)
            call.grad = self.grad[images]
            for y in range(y0, y1, height):
                for x in range(x0, x1, width):
                    part = target[(*images, ..., slice(y, min(y + height, y1)), slice(x, min(x + width, x1)), slice(None))]
                    sums = np.zeros(part.shape, dtype)
                    call.add_runs(sums, rows, cols, every, y, x, most)
                    with np.errstate(over="ignore"):
                        part[...] = sums

    def add_runs(self, sums, rows, cols, runs, y, x, most):
        """Add to `sums`, of pixels from (y, x) on, what they get at each position where they stand."""
        *lead, height, width, c = sums.shape
        for v in runs[0]:
            for h in runs[1]:
                for x_at, x_pixel, n in geometry.within(h, x, x + width, most):
                    for y_at, y_pixel, m in geometry.within(v, y, y + height, max(most // n, 1)):
                        part = np.empty((*lead, m, n, c), sums.dtype)
                        self.fill(part[..., :: v[3] or 1, :: h[3] or 1, :], rows, cols, y_at, x_at)
                        _gradients.add(sums, part, y_pixel - y, x_pixel - x, v[3] != 0, h[3] != 0)


def _chunks(lead, most):
    """Yield indices of leading axes that name at most so many images each, or one."""
    if not lead or math.prod(lead) <= most:
        yield ()
        return
    rest = math.prod(lead[1:])
    each = most // max(rest, 1)
    for i in range(0, lead[0], max(each, 1)):
        if each:
            yield (slice(i, i + each),)
        else:
            for index in _chunks(lead[1:], most):
                yield (i, *index)


def _strange(target, rows, cols):
    """Whether corners of a result have NaN, as they would where a filter is not finite and meets zeros that stand for outputs: if
    any tap of a phase does, then at the first or last pixels of its axis, or beside a rim that is computed by itself."""
    image = target[(0,) * (target.ndim - 3)]
    for edge_rows in (image[: 3 * rows.stride], image[-3 * rows.stride :]):
        for corner in (edge_rows[:, : 3 * cols.stride], edge_rows[:, -3 * cols.stride :]):
            if np.isnan(corner).any():
                return True
    return False


def _finite(filters):
    """Whether all filters are finite, a part after another: what tells it takes memory."""
    fh, fw, c, k = filters.shape
    each = max(REGROUP_BYTES // max(k, 1), 1)
    return all(np.isfinite(filters[a, b, i : i + each]).all() for a, b in np.ndindex(fh, fw) for i in range(0, c, each))


def fill(target, grad, filters, rows, cols, groups, mode, bias, activation, method, workers):
    """Fill `target` (..., H, W, C)."""
    call = Call(target.dtype, grad, filters, groups, bias, activation, method, workers)
    winograd, double = method == _conv.METHODS["winograd"], target.dtype == np.float64
    if winograd and not all(_conv.transforms(bank[2], bank[3], double, False, False) for bank in call.banks()):
        raise ValueError(f"method='winograd' would need too much memory for filters of shape {filters.shape}, transformed")
    if mode != "constant" and (rows.before or rows.after or cols.before or cols.after):
        call.whole = _finite(filters)
        call.fill_folded(target, rows, cols, mode)
        return
    call.fill(target, rows, cols)
    if grad.size and filters.size and _strange(target, rows, cols) and not _finite(filters):
        call.whole = False
        call.fill(target, rows, cols)
