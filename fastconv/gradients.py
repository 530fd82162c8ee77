"""Gradients of conv2d, and its transpose. Next hops: _face/gradients.py, _face/images.py, _drivers/conv/gradients.pyx."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._drivers.conv import gradients as _gradients
from ._drivers.conv import run as _conv
from ._face import args as _args
from ._face import gradients as _geometry
from ._face import images as _images

__all__ = ["conv2d_filter_grad", "conv2d_input_grad", "conv2d_transpose"]

_FORMATS = {"NHWC": False, "NCHW": True}


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
    method : {"auto", "direct", "winograd", "fft"}, default "auto"
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
        _images.fill(images, grad, w, rows, cols, groups, padding_mode, None, 0, way, workers)
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
        _images.fill(images, x, w, rows, cols, groups, "constant", bias, act, way, workers)
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
