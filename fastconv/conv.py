"""Convolution of image batches with banks of filters. Next hop: _drivers/conv/run.pyx."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._drivers.conv import run as _conv
from ._face import args as _args

__all__ = ["conv2d"]

_METHODS = {"auto": "direct", "direct": "direct"}
_FORMATS = {"NHWC": False, "NCHW": True}
_VALID = ((0, 0), (0, 0))


def _why_none(padded: tuple[int, int], extent: tuple[int, int], filters: tuple[int, ...], padding: str | int | tuple) -> str:
    """Say why an image with its padding has no output: it is too large, or smaller than the filters."""
    for axis, size in zip(("height", "width"), padded, strict=True):
        if size > _args.MOST_PIXELS:
            return f"padding={padding!r} makes a {axis} of {size} pixels; it may be at most {_args.MOST_PIXELS}"
    return (
        f"filters of shape {filters} cover {extent[0]} x {extent[1]} pixels, more than the padded input has: "
        f"{padded[0]} x {padded[1]}"
    )


def conv2d(
    input: ArrayLike,
    filters: ArrayLike,
    strides: int | tuple[int, int] = 1,
    padding: str | int | tuple = "VALID",
    *,
    dilations: int | tuple[int, int] = 1,
    groups: int = 1,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    data_format: str = "NHWC",
    padding_mode: str = "constant",
    cval: float = 0.0,
    flip_filters: bool = False,
    method: str = "auto",
    out: np.ndarray | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Convolve images with a bank of filters, as deep learning does (correlation).

    For stride (sh, sw), dilation (dh, dw) and one group, with x the padded input::

        out[..., i, j, k] = activation(bias[k] + sum_{a,b,c} x[..., i*sh + a*dh, j*sw + b*dw, c] * filters[a, b, c, k])

    Parameters
    ----------
    input : array_like, shape (..., H, W, C), or (..., C, H, W) with ``data_format="NCHW"``
        Images of float16, float32 or float64; all leading axes are batch. Any strides, any byte order; it is read in
        place and never copied as a whole.
    filters : array_like, shape (Fh, Fw, C // groups, K)
        Always in this order (TensorFlow's HWIO). Of float16, float32 or float64.
    strides : int or (int, int), default 1
        Pixels between outputs along H and W.
    padding : str, int, (int, int) or ((int, int), (int, int)), default "VALID"
        "VALID" (none), "SAME" (TensorFlow's: ceil(H / stride) outputs, the odd pixel at the bottom and right),
        "SAME_LOWER" (the odd pixel at the top and left), "FULL" (every overlap), in any case; or pixels: for all four
        sides, (h, w), or ((top, bottom), (left, right)).
    dilations : int or (int, int), default 1
        Pixels between the taps of a filter along H and W.
    groups : int, default 1
        Channels and filters are split into that many groups that do not mix; ``groups=C`` is a depthwise convolution.
    bias : array_like, shape (K,), optional
        Added to every output.
    activation : {None, "relu", "relu6", "silu", "sigmoid", "tanh"}, optional
        Applied to the result.
    data_format : {"NHWC", "NCHW"}, default "NHWC"
        Order of the axes of input and result.
    padding_mode : {"constant", "edge", "symmetric", "mirror", "wrap"}, default "constant"
        What the padding holds, with 2 pixels on the left of ``a b c d``: `cval`; ``a a | a b c d``;
        ``b a | a b c d``; ``c b | a b c d``; ``c d | a b c d``.
    cval : float, default 0.0
        The value of constant padding.
    flip_filters : bool, default False
        Flip both axes of the filters: convolution as mathematics has it.
    method : {"auto", "direct"}, default "auto"
        "direct" sums the products as the formula does.
    out : ndarray, optional
        Where the result goes: its shape and dtype, any strides. It may overlap the inputs, at the price of a temporary
        array of its size.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.

    Returns
    -------
    ndarray, shape (..., Ho, Wo, K), or (..., K, Ho, Wo) with ``data_format="NCHW"``
        Of the dtype that NumPy gives input and filters together, float16 being computed in float32.
        Ho = (H + top + bottom - (Fh - 1) * dh - 1) // sh + 1.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For shapes that do not fit, filters larger than the padded input (unless an axis of it has no pixels and so the
        result none), masked arrays that hide values, and values that an argument cannot take.

    Notes
    -----
    Sums of n terms are formed in chains of at most 64, whose sums are added in groups of three, and those again, so
    that on every instruction set and for all data, as long as no product underflows::

        |error| <= (64 + 2 ceil(log3(n / 64))) u sum |x| |w|,     n u sum |x| |w| where n < 64,

    u the unit roundoff of the dtype (one u more with a bias, whose size then counts in the sum). Only data made for it
    come near that: where rounding errors are not all of one sign, errors stay below ``8 u sum |x| |w|``.

    The same bits come out for any number of threads, any split of the batch and any memory layout of the same values.
    NaN and infinities reach exactly the outputs whose formula contains them.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> images = np.ones((1, 5, 5, 2), np.float32)
    >>> fastconv.conv2d(images, np.ones((3, 3, 2, 4), np.float32)).shape
    (1, 3, 3, 4)
    """
    x = _args.array("input", input)
    w = _args.array("filters", filters)
    dtype = _args.real_dtype(x, "input", w, "filters")
    channels_first = _args.choice("data_format", data_format, _FORMATS)
    _args.choice("method", method, _METHODS)
    if x.ndim < 3:
        axes = "(..., C, H, W)" if channels_first else "(..., H, W, C)"
        raise ValueError(f"input must have at least 3 axes, {axes}, got shape {x.shape}")
    if w.ndim != 4:
        raise ValueError(f"filters must have 4 axes, (Fh, Fw, C // groups, K), got shape {w.shape}")
    if channels_first:
        x = np.moveaxis(x, -3, -1)
    if _args.flag("flip_filters", flip_filters):
        w = w[::-1, ::-1]
    *lead, h, width, c = x.shape
    fh, fw, c_group, k = w.shape
    groups = _args.integer("groups", groups, 1, "a positive integer")
    if c_group * groups != c:
        raise ValueError(
            f"filters of shape {w.shape} take {c_group} channels in each of groups={groups}, "
            f"but input of shape {np.shape(input)} ({data_format}) has {c} channels"
        )
    if k % groups:
        raise ValueError(f"groups={groups} must divide the number of filters, {k}")
    sh, sw = _args.pair("strides", strides)
    dh, dw = _args.pair("dilations", dilations)
    extent_h = (fh - 1) * dh + 1 if fh else 0
    extent_w = (fw - 1) * dw + 1 if fw else 0
    if isinstance(padding, str) and padding == "VALID":
        (top, bottom), (left, right) = _VALID
    else:
        (top, bottom), (left, right) = _args.padding(padding, (h, width), (extent_h, extent_w), (sh, sw))
    mode = _args.choice("padding_mode", padding_mode, _conv.PADDING_MODES)
    if mode and (top or bottom or left or right) and not (h and width):
        raise ValueError(f"padding_mode={padding_mode!r} needs pixels to repeat, but input has shape {np.shape(input)}")
    padded_h, padded_w = h + top + bottom, width + left + right
    ho, wo = (padded_h - extent_h) // sh + 1, (padded_w - extent_w) // sw + 1
    # Of an axis without pixels the formula makes one without outputs, or of padding alone.
    too_small = ho < 0 or wo < 0 or (h and padded_h < extent_h) or (width and padded_w < extent_w)
    if too_small or padded_h > _args.MOST_PIXELS or padded_w > _args.MOST_PIXELS:
        raise ValueError(_why_none((padded_h, padded_w), (extent_h, extent_w), w.shape, padding))
    act = _args.choice("activation", activation, _conv.ACTIVATIONS)
    workers = _args.workers(workers)
    cval = _args.real("cval", cval)
    if bias is not None:
        bias = _args.array("bias", bias)
        if bias.shape != (k,):
            raise ValueError(f"bias must have shape ({k},), one value for each filter, got shape {bias.shape}")
        _args.real_dtype(bias, "bias", bias, "bias")
    shape = (*lead, k, ho, wo) if channels_first else (*lead, ho, wo, k)
    target, answer = _args.result(out, shape, dtype, x, w, bias)
    # Strides and dilations that no tap uses may be as large as an index: they must not reach the arithmetic below.
    sh, sw = sh if ho > 1 else 1, sw if wo > 1 else 1
    dh, dw = dh if fh > 1 else 1, dw if fw > 1 else 1
    if target.size:
        y = np.moveaxis(target, -3, -1) if channels_first else target
        _conv.conv2d(x, w, y, bias, sh, sw, dh, dw, top, left, mode, cval, groups, act, workers)
    if target is not answer:
        answer[...] = target
    return answer
