"""Gradients of conv2d, and its transpose. Next hops: _face/gradients.py, _drivers/conv/run.pyx."""
from __future__ import annotations

import copy
import math

import numpy as np
from numpy.typing import ArrayLike

from ._drivers import runtime as _runtime
from ._drivers.conv import gradients as _gradients
from ._drivers.conv import run as _conv
from ._face import args as _args
from ._face import gradients as _geometry

__all__ = ["conv2d_filter_grad", "conv2d_input_grad", "conv2d_transpose"]

_FORMATS = {"NHWC": False, "NCHW": True}
_REGROUP_BYTES = 4 << 20  # filters of groups that are put in another order at a time
_FOLD_BYTES = 1 << 20  # gradients of a border, in the precision of the computation, at a time
_runtime.face_seams("conv", globals(), "_REGROUP_BYTES", "_FOLD_BYTES")


# ---- what the functions share ----


def _shape(name, value, axes):
    """`value` as the shape of an array with so many axes, or at least so many."""
    what = f"a sequence of integers >= 0, {axes}"
    if isinstance(value, (str, bytes)) or not np.iterable(value):
        raise TypeError(f"{name} must be {what}, got {value!r}")
    return tuple(_args.integer(name, size, 0, what) for size in value)


def _options(data_format, strides, dilations, groups, flip_filters, workers):
    """The checked options: whether channels are first, (sh, sw), (dh, dw), groups, flip_filters, workers."""
    return (
        _args.choice("data_format", data_format, _FORMATS),
        _args.pair("strides", strides),
        _args.pair("dilations", dilations),
        _args.integer("groups", groups, 1, "a positive integer"),
        _args.flag("flip_filters", flip_filters),
        _args.workers(workers),
    )


def _check_axes(name, shape, first):
    if len(shape) < 3:
        axes = "(..., C, H, W)" if first else "(..., H, W, C)"
        raise ValueError(f"{name} must have at least 3 axes, {axes}, got shape {shape}")


def _check_groups(shape, filters, groups, word, c):
    if filters[2] * groups != c:
        raise ValueError(
            f"filters of shape {filters} take {filters[2]} channels in each of groups={groups}, "
            f"but {word} of shape {shape} has {c} channels"
        )
    if filters[3] % groups:
        raise ValueError(f"groups={groups} must divide the number of filters, {filters[3]}")


def _last(shape, first):
    """A shape with channels last."""
    return (*shape[:-3], *shape[-2:], shape[-3]) if first else shape


def _as_given(shape, first):
    return (*shape[:-3], shape[-1], *shape[-3:-1]) if first else shape


def _check_grad(name, given, expected, first):
    if given != expected:
        raise ValueError(f"{name} has shape {_as_given(given, first)}; with these arguments it is {_as_given(expected, first)}")


# ---- gradients of images ----


class _Call:
    """What the parts of one gradient of images have in common."""

    def __init__(self, dtype, grad, filters, groups, bias, activation, method, workers):
        self.grad, self.filters, self.groups, self.bias = grad, filters, groups, bias
        self.dtype, self.activation, self.method, self.workers = dtype, activation, method, workers
        self.whole = True  # zeros may stand for outputs that there are not
        self.kept = None

    def banks(self):
        """[(images, channels, filters as of a convolution of the gradient, groups)] for some groups after others."""
        if self.kept is None and self.groups * self.filters[..., : self.filters.shape[3] // self.groups].nbytes <= _REGROUP_BYTES:
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
        each = max(_REGROUP_BYTES // max(fh * fw * c * k * self.filters.itemsize, 1), 1)
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
                self.method if method is None else method, None, self.workers,
            )  # fmt: skip

    def fill(self, target, rows, cols, y=0, x=0):
        """Fill `target`, the gradient of pixels from (y, x) on, which may be those of the padding."""
        height, width = target.shape[-3:-1]
        for bank in self.banks():
            part, filters = target[..., bank[1]], bank[2]
            if not (_geometry.reaches_all(rows) and _geometry.reaches_all(cols)):
                self.convolve(part, filters[:0], (1, 1), (0, 0), bank)
            for v in _geometry.phases(rows, y, height):
                for h in _geometry.phases(cols, x, width):
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
        for rim in ((0, y0, 0, width), (y1, height, 0, width), (y0, y1, 0, x0), (y0, y1, x1, width)):
            self.fill_inside(pixels, taps, v, h, rows, cols, rim, bank, 0)

    def fill_inside(self, pixels, taps, v, h, rows, cols, region, bank, method=None):
        """Fill a region of a phase, each pixel with those taps alone that find an output."""
        for y0, y1, a, m in _geometry.inside_parts(v, rows, *region[:2]):
            for x0, x1, b, n in _geometry.inside_parts(h, cols, *region[2:]):
                before = v.before - y0 - a * v.dilation, h.before - x0 - b * h.dilation
                part, some = pixels[..., y0:y1, x0:x1, :], taps[a : a + m, b : b + n]
                self.convolve(part, some, (v.dilation, h.dilation), before, bank, method)

    def middle(self, taps, v, h, rows, cols, bank):
        """The pixels of a phase but for a rim, whose tiles have so little of the image that Winograd's method would refuse them."""
        region = (0, v.count, 0, h.count)
        if self.method and (v.dilation, h.dilation) == (1, 1) and taps.shape[:2] == (3, 3):
            y0, x0 = max(v.before - 1, 0), max(h.before - 1, 0)
            y1, x1 = min(v.count, rows + 2 - v.before), min(h.count, cols + 2 - h.before)
            if y1 > y0 and x1 > x0 and _conv.pays_for(taps, bank[3], self.dtype == np.float64, y1 - y0, x1 - x0):
                return y0, y1, x0, x1
        return region

    def fill_folded(self, target, rows, cols, mode):
        """Fill `target`, and add to its pixels what the border, which repeats them, gets."""
        runs = _geometry.repeats(rows, mode), _geometry.repeats(cols, mode)
        for y0, y1, y_touched in _geometry.touched(rows.size, runs[0]):
            for x0, x1, x_touched in _geometry.touched(cols.size, runs[1]):
                if y_touched or x_touched:
                    self.fold(target, rows, cols, runs, (y0, y1, x0, x1))
                else:
                    self.fill(target[..., y0:y1, x0:x1, :], rows, cols, y0, x0)

    def fold(self, target, rows, cols, runs, region):
        """The pixels of one region, block after block; the order of the sums depends on the shape of one image alone."""
        y0, y1, x0, x1 = region
        dtype = np.dtype(np.float64 if target.dtype == np.float64 else np.float32)
        most = max(_FOLD_BYTES // max(target.shape[-1] * dtype.itemsize, 1), 1)
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
                for x_at, x_pixel, n in _geometry.within(h, x, x + width, most):
                    for y_at, y_pixel, m in _geometry.within(v, y, y + height, max(most // n, 1)):
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
    """Whether corners of a result have NaN, as they would where a filter is not finite and meets zeros that stand for outputs."""
    image = target[(0,) * (target.ndim - 3)]
    for edge_rows in (image[: rows.stride], image[-rows.stride :]):
        for corner in (edge_rows[:, : cols.stride], edge_rows[:, -cols.stride :]):
            if np.isnan(corner).any():
                return True
    return False


def _image_gradient(target, grad, filters, rows, cols, groups, mode, bias, activation, method, workers):
    """Fill `target` (..., H, W, C)."""
    call = _Call(target.dtype, grad, filters, groups, bias, activation, method, workers)
    double = target.dtype == np.float64
    if method == _conv.METHODS["winograd"] and not all(_conv.transforms(bank[2], bank[3], double, False) for bank in call.banks()):
        raise ValueError(f"method='winograd' would need too much memory for filters of shape {filters.shape}, transformed")
    if mode != "constant" and (rows.before or rows.after or cols.before or cols.after):
        call.whole = bool(np.isfinite(filters).all())
        call.fill_folded(target, rows, cols, mode)
        return
    call.fill(target, rows, cols)
    if grad.size and filters.size and _strange(target, rows, cols) and not np.isfinite(filters).all():
        call.whole = False
        call.fill(target, rows, cols)


def conv2d_input_grad(
    input_shape: tuple[int, ...],
    filters: ArrayLike,
    grad_output: ArrayLike,
    strides: int | tuple[int, int] = 1,
    padding: str | int | tuple = "VALID",
    *,
    dilations: int | tuple[int, int] = 1,
    groups: int = 1,
    data_format: str = "NHWC",
    padding_mode: str = "constant",
    flip_filters: bool = False,
    method: str = "auto",
    out: np.ndarray | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Compute the gradient of `conv2d` with respect to its input.

    With y = conv2d(input, filters, ...) and grad_output the gradient of a number L with respect to y, the gradient of L with
    respect to the input, for one group, is::

        out[..., p, q, c] = sum grad_output[..., i, j, k] * filters[a, b, c, k]

    over all i, j, k and taps a, b for which y[..., i, j, k] reads input[..., p, q, c].

    Parameters
    ----------
    input_shape : tuple of int, (..., H, W, C), or (..., C, H, W) with ``data_format="NCHW"``
        The shape of the input of `conv2d`.
    filters : array_like, shape (Fh, Fw, C // groups, K)
        Of float16, float32 or float64.
    grad_output : array_like, shape (..., Ho, Wo, K), or (..., K, Ho, Wo) with ``data_format="NCHW"``
        Of float16, float32 or float64, any strides and byte order.
    strides, padding, dilations, groups, data_format, padding_mode, flip_filters : as of `conv2d`
        A pixel that the border repeats gets what its copies get; the value of constant padding has no part in this gradient.
    method : {"auto", "direct", "winograd"}, default "auto"
        As of `conv2d`: the gradient is a convolution of grad_output, or with strides as many as those have phases.
        "winograd" needs 3x3 filters with strides and dilations of 1.
    out : ndarray, optional
        Where the result goes: its shape and dtype, any strides. It may overlap the inputs, at the price of a temporary
        array of its size.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.

    Returns
    -------
    ndarray of shape `input_shape`
        Of the dtype that NumPy gives filters and grad_output together, float16 being computed in float32. Pixels that no
        output reads get 0.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For shapes that do not fit, masked arrays that hide values, values that an argument cannot take, and method="winograd"
        where it does not serve.

    See Also
    --------
    conv2d_filter_grad : the gradient with respect to the filters
    conv2d_transpose : the same sum, as a layer

    Notes
    -----
    Each element is computed with the accuracy of `conv2d`, where those terms count that there are; at a border that is repeated
    these are the sums of all copies, which are added one after the other. NaN and infinities reach exactly the elements whose
    formula contains them. The same bits come out for any number of threads, any split of the batch and any memory layout of
    the same values.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> filters = np.ones((3, 3, 2, 4), np.float32)
    >>> fastconv.conv2d_input_grad((1, 5, 5, 2), filters, np.ones((1, 3, 3, 4), np.float32))[0, :, :, 0]
    array([[ 4.,  8., 12.,  8.,  4.],
           [ 8., 16., 24., 16.,  8.],
           [12., 24., 36., 24., 12.],
           [ 8., 16., 24., 16.,  8.],
           [ 4.,  8., 12.,  8.,  4.]], dtype=float32)
    """
    first, strides, dilations, groups, flip, workers = _options(
        data_format, strides, dilations, groups, flip_filters, workers
    )
    way = _args.choice("method", method, _conv.METHODS)
    _args.choice("padding_mode", padding_mode, _conv.PADDING_MODES)
    shape = _shape("input_shape", input_shape, "(..., C, H, W)" if first else "(..., H, W, C)")
    _check_axes("input_shape", shape, first)
    w, grad = _args.array("filters", filters), _args.array("grad_output", grad_output)
    dtype = _args.real_dtype(w, "filters", grad, "grad_output")
    if w.ndim != 4:
        raise ValueError(f"filters must have 4 axes, (Fh, Fw, C // groups, K), got shape {w.shape}")
    *lead, h, width, c = _last(shape, first)
    _check_groups(shape, w.shape, groups, "input_shape", c)
    _check_winograd(method, w.shape, strides, dilations)
    rows, cols = _geometry.axes_of((h, width), w.shape, strides, padding, dilations, padding_mode, "input")
    _check_grad("grad_output", _last(grad.shape, first), (*lead, rows.outputs, cols.outputs, w.shape[3]), first)
    target, answer = _args.result(out, shape, dtype, w, grad)
    if flip:
        w = w[::-1, ::-1]
    if target.size:
        images = np.moveaxis(target, -3, -1) if first else target
        grad = np.moveaxis(grad, -3, -1) if first else grad
        _image_gradient(images, grad, w, rows, cols, groups, padding_mode, None, 0, way, workers)
    if target is not answer:
        answer[...] = target
    return answer


def conv2d_filter_grad(
    input: ArrayLike,
    filter_shape: tuple[int, int, int, int],
    grad_output: ArrayLike,
    strides: int | tuple[int, int] = 1,
    padding: str | int | tuple = "VALID",
    *,
    dilations: int | tuple[int, int] = 1,
    groups: int = 1,
    data_format: str = "NHWC",
    padding_mode: str = "constant",
    cval: float = 0.0,
    flip_filters: bool = False,
    out: np.ndarray | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Compute the gradient of `conv2d` with respect to its filters.

    With y = conv2d(input, filters, ...) and grad_output the gradient of a number L with respect to y, the gradient of L with
    respect to the filters, for stride (sh, sw), dilation (dh, dw), one group and x the padded input, is::

        out[a, b, c, k] = sum_{...,i,j} x[..., i*sh + a*dh, j*sw + b*dw, c] * grad_output[..., i, j, k]

    Parameters
    ----------
    input : array_like, shape (..., H, W, C), or (..., C, H, W) with ``data_format="NCHW"``
        Images of float16, float32 or float64, any strides and byte order; all leading axes are batch.
    filter_shape : tuple of int, (Fh, Fw, C // groups, K)
        The shape of the filters of `conv2d`.
    grad_output : array_like, shape (..., Ho, Wo, K), or (..., K, Ho, Wo) with ``data_format="NCHW"``
        Of float16, float32 or float64, any strides and byte order.
    strides, padding, dilations, groups, data_format, padding_mode, cval, flip_filters : as of `conv2d`
    out : ndarray, optional
        Where the result goes: its shape and dtype, any strides. It may overlap the inputs, at the price of a temporary
        array of its size.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.

    Returns
    -------
    ndarray of shape `filter_shape`
        Of the dtype that NumPy gives input and grad_output together, float16 being computed in float32.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For shapes that do not fit, masked arrays that hide values, and values that an argument cannot take.

    See Also
    --------
    conv2d_input_grad : the gradient with respect to the input

    Notes
    -----
    The products of n pixels are summed in m chains of at most 75, whose sums are added in groups of three, and those again, so
    that for all data, as long as no product underflows::

        |error| <= (75 + 2 ceil(log3 m)) u sum |x| |grad_output|

    u the unit roundoff of the dtype. The chains, and so the bits, follow from the shapes alone: they are the same for any number
    of threads and any memory layout of the same values. NaN and infinities reach exactly the elements whose formula contains
    them.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> images = np.ones((1, 5, 5, 2), np.float32)
    >>> fastconv.conv2d_filter_grad(images, (3, 3, 2, 4), np.ones((1, 3, 3, 4), np.float32))[:, :, 0, 0]
    array([[9., 9., 9.],
           [9., 9., 9.],
           [9., 9., 9.]], dtype=float32)
    """
    first, strides, dilations, groups, flip, workers = _options(
        data_format, strides, dilations, groups, flip_filters, workers
    )
    mode = _args.choice("padding_mode", padding_mode, _conv.PADDING_MODES)
    cval = _args.real("cval", cval)
    shape = _shape("filter_shape", filter_shape, "(Fh, Fw, C // groups, K)")
    x, grad = _args.array("input", input), _args.array("grad_output", grad_output)
    dtype = _args.real_dtype(x, "input", grad, "grad_output")
    _check_axes("input", x.shape, first)
    if len(shape) != 4:
        raise ValueError(f"filter_shape must have 4 numbers, (Fh, Fw, C // groups, K), got {filter_shape!r}")
    *lead, h, width, c = _last(x.shape, first)
    _check_groups(x.shape, shape, groups, "input", c)
    rows, cols = _geometry.axes_of((h, width), shape, strides, padding, dilations, padding_mode, "input")
    _check_grad("grad_output", _last(grad.shape, first), (*lead, rows.outputs, cols.outputs, shape[3]), first)
    target, answer = _args.result(out, shape, dtype, x, grad)
    if target.size and not grad.size:
        target[...] = 0
    elif target.size:
        _gradients.filters(
            np.moveaxis(x, -3, -1) if first else x, np.moveaxis(grad, -3, -1) if first else grad,
            target[::-1, ::-1] if flip else target, rows.stride, cols.stride, rows.dilation, cols.dilation, rows.before,
            cols.before, mode, cval, groups, workers,
        )  # fmt: skip
    if target is not answer:
        answer[...] = target
    return answer


def conv2d_transpose(
    input: ArrayLike,
    filters: ArrayLike,
    output_shape: tuple[int, ...] | None = None,
    strides: int | tuple[int, int] = 1,
    padding: str | int | tuple = "SAME",
    *,
    dilations: int | tuple[int, int] = 1,
    groups: int = 1,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    data_format: str = "NHWC",
    flip_filters: bool = False,
    method: str = "auto",
    out: np.ndarray | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Transpose a convolution, as decoders and generators do to enlarge images ("deconvolution").

    It is the gradient of `conv2d` with respect to its input: what `conv2d` with the same filters and options does to an image of
    the result's shape, as a matrix, is transposed and applied to `input`.

    Parameters
    ----------
    input : array_like, shape (..., H, W, C), or (..., C, H, W) with ``data_format="NCHW"``
        Of float16, float32 or float64, any strides and byte order; all leading axes are batch.
    filters : array_like, shape (Fh, Fw, K // groups, C)
        For K channels of the result, as TensorFlow has them: those of the convolution that is transposed.
    output_shape : tuple of int, optional
        The shape of the result, or its two spatial sizes. By default those that TensorFlow's layers choose: H * stride for
        "SAME" and "SAME_LOWER", (H - 1) * stride + max(extent, stride) for "VALID" and (H - 1) * stride + extent less the
        padding for "FULL" and for pixels, where extent = (Fh - 1) * dilation + 1.
    strides : int or (int, int), default 1
        Pixels of the result between those of the input.
    padding : str, int, (int, int) or ((int, int), (int, int)), default "SAME"
        The padding of the convolution that is transposed, as of `conv2d`: pixels that are cut off the result's borders.
    dilations, groups : as of `conv2d`
    bias : array_like, shape (K,), optional
        Added to every pixel of the result.
    activation : {None, "relu", "relu6", "silu", "sigmoid", "tanh"}, optional
        Applied to the result.
    data_format, flip_filters : as of `conv2d`
    method, out, workers : as of `conv2d_input_grad`

    Returns
    -------
    ndarray, shape (..., Ho, Wo, K), or (..., K, Ho, Wo) with ``data_format="NCHW"``
        Of the dtype that NumPy gives input and filters together, float16 being computed in float32.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For an output_shape from which `conv2d` does not make the shape of the input, other shapes that do not fit, masked arrays
        that hide values, values that an argument cannot take, and method="winograd" where it does not serve.

    See Also
    --------
    conv2d_input_grad : the same sum by the shape of the input, with other paddings

    Notes
    -----
    Accuracy, NaN and infinities are as of `conv2d_input_grad`.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> small = np.ones((1, 14, 14, 128), np.float32)
    >>> fastconv.conv2d_transpose(small, np.ones((4, 4, 64, 128), np.float32), strides=2).shape
    (1, 28, 28, 64)
    """
    first, strides, dilations, groups, flip, workers = _options(
        data_format, strides, dilations, groups, flip_filters, workers
    )
    way = _args.choice("method", method, _conv.METHODS)
    act = _args.choice("activation", activation, _conv.ACTIVATIONS)
    x, w = _args.array("input", input), _args.array("filters", filters)
    dtype = _args.real_dtype(x, "input", w, "filters")
    _check_axes("input", x.shape, first)
    if w.ndim != 4:
        raise ValueError(f"filters must have 4 axes, (Fh, Fw, K // groups, C), got shape {w.shape}")
    *lead, h, width, c = _last(x.shape, first)
    if w.shape[3] != c:
        raise ValueError(f"filters of shape {w.shape} take {w.shape[3]} channels, but input of shape {x.shape} has {c}")
    if c % groups:
        raise ValueError(f"groups={groups} must divide the channels of input, {c}")
    k = w.shape[2] * groups
    _check_winograd(method, w.shape, strides, dilations)
    sizes = _transposed_sizes(output_shape, (*lead, h, width, c), w.shape, k, strides, padding, dilations, first)
    rows, cols = _geometry.axes_of(sizes, w.shape, strides, padding, dilations, word="result")
    if (rows.outputs, cols.outputs) != (h, width):
        raise ValueError(
            f"no input gives output_shape={output_shape!r}: conv2d makes {rows.outputs} x {cols.outputs} pixels of "
            f"{sizes[0]} x {sizes[1]}, and input has {h} x {width}"
        )
    if bias is not None:
        bias = _args.array("bias", bias)
        if bias.shape != (k,):
            raise ValueError(f"bias must have shape ({k},), one value for each channel of the result, got shape {bias.shape}")
        _args.real_dtype(bias, "bias", bias, "bias")
    target, answer = _args.result(out, _as_given((*lead, *sizes, k), first), dtype, x, w, bias)
    if flip:
        w = w[::-1, ::-1]
    if target.size:
        images = np.moveaxis(target, -3, -1) if first else target
        x = np.moveaxis(x, -3, -1) if first else x
        _image_gradient(images, x, w, rows, cols, groups, "constant", bias, act, way, workers)
    if target is not answer:
        answer[...] = target
    return answer


def _check_winograd(method, filters, strides, dilations):
    if method == "winograd" and (filters[:2] != (3, 3) or strides != (1, 1) or dilations != (1, 1)):
        raise ValueError(
            f"method='winograd' takes 3x3 filters with strides=1 and dilations=1, got filters of shape {filters}, "
            f"strides={strides} and dilations={dilations}"
        )


def _transposed_sizes(output_shape, shape, filters, k, strides, padding, dilations, first):
    """The spatial sizes of a transposed convolution of images of `shape`, channels last."""
    if output_shape is not None:
        given = _shape("output_shape", output_shape, "the shape of the result or its two spatial sizes")
        if len(given) == 2:
            return given
        expected = (*shape[:-3], "Ho", "Wo", k)
        sizes = _last(given, first)
        if len(sizes) != len(shape) or sizes[:-3] != shape[:-3] or sizes[-1] != k:
            raise ValueError(
                f"output_shape must be (Ho, Wo) or {_as_given(expected, first)} with these arguments, got {output_shape!r}"
            )
        return sizes[-3:-1]
    extents = tuple(map(_geometry.extent, filters[:2], dilations))
    word = padding.upper() if isinstance(padding, str) else None
    pads = (word, word) if word in _args.PADDINGS else _args.padding(padding, (0, 0), extents, strides)
    sizes = tuple(map(_geometry.transposed_size, shape[-3:-1], extents, strides, pads))
    if min(sizes) < 0:
        raise ValueError(f"padding={padding!r} cuts off more than the whole result of input with shape {_as_given(shape, first)}")
    return sizes
