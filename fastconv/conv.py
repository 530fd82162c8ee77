"""Convolution of image batches with banks of filters. Next hop: _drivers/conv/run.pyx."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._drivers import runtime as _runtime
from ._drivers.conv import run as _conv
from ._face import args as _args
from ._face import separable as _separable

__all__ = ["conv2d", "prepare_filters"]

_FORMATS = {"NHWC": False, "NCHW": True}
_VALID = ((0, 0), (0, 0))
_DOUBLES = (np.dtype(np.float64), np.dtype(np.complex128))
_REAL = np.dtype(np.float64)
_FEWER = {"i": ("integers", (None, "relu", "relu6")), "c": ("complex numbers", (None,))}


class PreparedFilters:
    """Filters for many calls of `conv2d`, as `prepare_filters` returns them.

    They may be used by several threads at once, and pickled: what was computed from them is left out, and computed again where
    they are first used.

    Attributes
    ----------
    filters : ndarray, shape (Fh, Fw, C // groups, K)
        A read-only copy of the filters, as they are used: flipped if `flip_filters` says so.
    groups : int
    strides, dilations : (int, int)
    flip_filters : bool
    method : str
    """

    __slots__ = ("_banks", "_spectra", "dilations", "filters", "flip_filters", "groups", "method", "strides")

    def __init__(self, filters, groups, strides, dilations, flip_filters, method):
        self.filters, self.groups, self.strides, self.dilations = filters, groups, strides, dilations
        self.flip_filters, self.method, self._banks, self._spectra = flip_filters, method, {}, {}

    def __reduce__(self):
        return _unpickle, (self.filters, self.groups, self.strides, self.dilations, self.flip_filters, self.method)

    def __repr__(self):
        return (
            f"<PreparedFilters of shape {self.filters.shape}, {self.filters.dtype}, groups={self.groups}, "
            f"strides={self.strides}, dilations={self.dilations}, flip_filters={self.flip_filters}, method={self.method!r}>"
        )

    def _bank(self, of_complex):
        """Return the transformed filters for the current instruction set, or None where they have no use.

        Complex filters are others for complex images (`of_complex`) than for real ones.
        """
        w = self.filters
        key = _runtime.selected(), of_complex and w.dtype.kind == "c"
        if key not in self._banks:  # two threads may compute the same, of which one stays
            double = w.dtype in _DOUBLES
            able = self.method in ("auto", "winograd") and w.dtype.kind in "fc"
            able = able and (self.strides, self.dilations) == ((1, 1), (1, 1))
            able = able and _conv.transforms(w, self.groups, double, key[1], self.method == "auto")
            self._banks[key] = _conv.bank_of(w, self.groups, double, key[1]) if able else None
        return self._banks[key]


def _unpickle(filters, *options):
    filters.flags.writeable = False
    return PreparedFilters(filters, *options)


def _check_method(method, w, groups, strides, dilations, dtype, of_complex):
    """Raise where a method cannot serve."""
    if method in ("winograd", "fft") and dtype.kind == "i":
        raise ValueError(f"method={method!r} rounds, which sums of integers must not, got filters of {w.dtype}; use 'auto'")
    if method == "fft" and w.dtype.kind == "c":
        raise ValueError(f"method='fft' takes real filters, got filters of {w.dtype}; use 'auto'")
    if method != "winograd":
        return
    if w.shape[:2] != (3, 3) or strides != (1, 1) or dilations != (1, 1):
        raise ValueError(
            f"method='winograd' takes 3x3 filters with strides=1 and dilations=1, got filters of shape {w.shape}, "
            f"strides={strides} and dilations={dilations}"
        )
    if w.size and not _conv.transforms(w, groups, dtype in _DOUBLES, of_complex, False):
        raise ValueError(f"method='winograd' would need too much memory for filters of shape {w.shape}, transformed")


def prepare_filters(
    filters: ArrayLike,
    *,
    groups: int = 1,
    strides: int | tuple[int, int] = 1,
    dilations: int | tuple[int, int] = 1,
    flip_filters: bool = False,
    method: str = "auto",
) -> PreparedFilters:
    """Prepare filters for many calls of `conv2d`, which then need not transform them each time.

    Parameters
    ----------
    filters : array_like, shape (Fh, Fw, C // groups, K)
        Of any dtype that `conv2d` takes; they are copied.
    groups, strides, dilations, flip_filters, method : as of `conv2d`
        Calls with the prepared filters must say the same.

    Returns
    -------
    PreparedFilters
        What `conv2d` takes as its filters, with the same bits as result.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, and for arguments of the wrong type.
    ValueError
        For shapes that do not fit, masked arrays that hide values, and values that an argument cannot take.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> prepared = fastconv.prepare_filters(np.ones((3, 3, 16, 32), np.float32))
    >>> fastconv.conv2d(np.ones((1, 20, 20, 16), np.float32), prepared).shape
    (1, 18, 18, 32)
    """
    _args.choice("method", method, _conv.METHODS)
    groups = _args.integer("groups", groups, 1, "a positive integer")
    strides, dilations = _args.pair("strides", strides), _args.pair("dilations", dilations)
    flip_filters = _args.flag("flip_filters", flip_filters)
    w = _args.array("filters", filters)
    if w.ndim != 4:
        raise ValueError(f"filters must have 4 axes, (Fh, Fw, C // groups, K), got shape {w.shape}")
    if w.shape[3] % groups:
        raise ValueError(f"groups={groups} must divide the number of filters, {w.shape[3]}")
    if flip_filters:
        w = w[::-1, ::-1]
    dtype = _args.sum_dtype(w, "filters", w, "filters")
    _check_method(method, w, groups, strides, dilations, dtype, dtype.kind == "c")
    w = np.array(w, w.dtype.newbyteorder("="), order="C")
    w.flags.writeable = False
    prepared = PreparedFilters(w, groups, strides, dilations, flip_filters, method)
    prepared._bank(dtype.kind == "c")
    return prepared


def _check_prepared(prepared, dtype, **options):
    """Raise where filters were prepared for other calls than this one."""
    for name, value in options.items():
        made = getattr(prepared, name)
        if value != made:
            raise ValueError(f"filters were prepared for {name}={made!r}, got {name}={value!r}")
    if prepared.filters.dtype.kind in "fc" and (dtype in _DOUBLES) != (prepared.filters.dtype in _DOUBLES):
        raise TypeError(f"filters were prepared as {prepared.filters.dtype}, but with this input they are computed in {dtype}")


def _check_activation(activation, dtype):
    """Raise where an activation has no meaning for results of `dtype`."""
    what, allowed = _FEWER.get(dtype.kind, ("", (activation,)))
    if activation not in allowed:
        raise TypeError(f"activation of {what} may be {', '.join(map(repr, allowed))}, got {activation!r}")


def _check_bias(bias, dtype):
    """Raise where a bias cannot be added to results of `dtype`."""
    kind = _args.sum_dtype(bias, "bias", bias, "bias").kind
    if "ifc".index(kind) > "ifc".index(dtype.kind):
        raise TypeError(f"bias has dtype {bias.dtype}; that of results of {dtype} may not")


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
    filters: ArrayLike | PreparedFilters,
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
        Images of booleans, integers, float16, float32, float64, complex64 or complex128; all leading axes are batch. Any
        strides, any byte order; it is read in place and never copied as a whole.
    filters : array_like, shape (Fh, Fw, C // groups, K), or what `prepare_filters` returned
        Always in this order (TensorFlow's HWIO). Of any of these dtypes.
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
        Added to every output. Of integers where the result is of integers, of real numbers where it is of those.
    activation : {None, "relu", "relu6", "silu", "sigmoid", "tanh"}, optional
        Applied to the result; to integers "relu" and "relu6" alone, to complex numbers none.
    data_format : {"NHWC", "NCHW"}, default "NHWC"
        Order of the axes of input and result.
    padding_mode : {"constant", "edge", "symmetric", "mirror", "wrap"}, default "constant"
        What the padding holds, with 2 pixels on the left of ``a b c d``: `cval`; ``a a | a b c d``;
        ``b a | a b c d``; ``c b | a b c d``; ``c d | a b c d``.
    cval : float, default 0.0
        The value of constant padding: a whole number that `input` can hold where the result is of integers; it may be complex
        where `input` is.
    flip_filters : bool, default False
        Flip both axes of the filters: convolution as mathematics has it.
    method : {"auto", "direct", "winograd", "fft"}, default "auto"
        "direct" sums the products as the formula does. "winograd" needs a quarter of the products for 3x3 filters with strides
        and dilations of 1; tiles of 4x4 outputs for which it might not keep the bound below (one huge pixel among small ones,
        a NaN) are computed directly. "auto" takes it for large images of 16 or more channels and filters in each group,
        whatever the batch. "fft" transforms blocks of images, for filters of any size, strides and dilations; what might not
        keep the bound in float32 is computed in double precision or directly, in float64 directly. "auto" takes it where it is
        likely to be faster, and sums along columns and then along rows where a filter of one plane is a column times a row.
    out : ndarray, optional
        Where the result goes: its shape and dtype, any strides. It may overlap the inputs, at the price of a temporary
        array of its size.
    workers : int, optional
        Threads for this call; by default as many as `get_num_threads` says if the work is worth it, else one.

    Returns
    -------
    ndarray, shape (..., Ho, Wo, K), or (..., K, Ho, Wo) with ``data_format="NCHW"``
        Of the dtype that NumPy gives input and filters together, float16 being computed in float32; of integers alone int32 where
        both have at most 16 bits, and else, as with booleans, int64.
        Ho = (H + top + bottom - (Fh - 1) * dh - 1) // sh + 1.

    Raises
    ------
    TypeError
        For dtypes other than the above, for lazy arrays, for arguments of the wrong type, and for an activation or a bias that
        results of their dtype do not have.
    ValueError
        For shapes that do not fit, filters larger than the padded input (unless an axis of it has no pixels and so the
        result none), masked arrays that hide values, values that an argument cannot take, filters prepared for other options,
        and method="winograd" where it does not serve.

    Notes
    -----
    Sums of n terms are formed in chains of at most 64, whose sums are added in groups of three, and those again, so
    that on every instruction set and for all data, as long as no product underflows::

        |error| <= (64 + 2 ceil(log3(n / 64))) u sum |x| |w|,     n u sum |x| |w| where n < 64,

    u the unit roundoff of the dtype (one u more with a bias, whose size then counts in the sum). Only data made for it
    come near that: where rounding errors are not all of one sign, errors stay below ``8 u sum |x| |w|``.

    That is the bound of "direct". Of "winograd" and "fft", and so of "auto"::

        |error| <= 32 u sum |x| W,

    W the largest tap ``max |filters[:, :, c, k]|`` of each pair of channels. Like that of roundings of either sign it is not for
    the worst case, which no method with chains keeps. A tile is computed by "winograd" only if the standard deviation of its
    errors is below 14 u sum |x| W, bounded for all data whose roundings are independent, and below 6 u sum |x| W where all
    channels hold the same image and so round alike; for random data it is about 0.3 u. Long searches for the tiles that err
    most, among those of one or two images in all channels, have reached 37 u, other data of that kind 28 u. Of "fft" that
    standard deviation, likewise bounded, is below 16 u sum |x| W; errors of more than 12 u have not been met.

    Sums of integers, bias included, are exact modulo 2^32 for int32 and 2^64 for int64: what is beyond wraps around without a
    warning, as NumPy's sums do. uint64 is taken modulo 2^64. Of 8-bit integers nothing wraps below 32,768 terms.

    Complex numbers are computed by their parts, (a + bi) (c + di) = (ac - bd) + (ad + bc) i, with the bounds above for each
    part, in which all products of parts count. Where one operand is real, its imaginary part is not there, rather than 0.

    The same bits come out for any number of threads, any split of the batch and any memory layout of the same values, and for
    filters that are prepared or not.
    NaN and infinities reach exactly the outputs whose formula contains them.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.
    A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308.
    J. C. Schatzman, "Accuracy of the discrete Fourier transform and the fast Fourier transform", SIAM J. Sci. Comput. 17, 1996.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> images = np.ones((1, 5, 5, 2), np.float32)
    >>> fastconv.conv2d(images, np.ones((3, 3, 2, 4), np.float32)).shape
    (1, 3, 3, 4)
    """
    x = _args.array("input", input)
    prepared = filters if isinstance(filters, PreparedFilters) else None
    w = _args.array("filters", filters) if prepared is None else prepared.filters
    dtype = _args.sum_dtype(x, "input", w, "filters")
    channels_first = _args.choice("data_format", data_format, _FORMATS)
    way = _args.choice("method", method, _conv.METHODS)
    if x.ndim < 3:
        axes = "(..., C, H, W)" if channels_first else "(..., H, W, C)"
        raise ValueError(f"input must have at least 3 axes, {axes}, got shape {x.shape}")
    if w.ndim != 4:
        raise ValueError(f"filters must have 4 axes, (Fh, Fw, C // groups, K), got shape {w.shape}")
    if channels_first:
        x = np.moveaxis(x, -3, -1)
    flip_filters = _args.flag("flip_filters", flip_filters)
    if flip_filters and prepared is None:
        w = w[::-1, ::-1]
    *lead, h, width, c = x.shape
    fh, fw, c_group, k = w.shape
    groups = _args.integer("groups", groups, 1, "a positive integer")
    sh, sw = _args.pair("strides", strides)
    dh, dw = _args.pair("dilations", dilations)
    if prepared is not None:
        _check_prepared(
            prepared, dtype, groups=groups, strides=(sh, sw), dilations=(dh, dw), flip_filters=flip_filters, method=method
        )
    if c_group * groups != c:
        raise ValueError(
            f"filters of shape {w.shape} take {c_group} channels in each of groups={groups}, "
            f"but input of shape {np.shape(input)} ({data_format}) has {c} channels"
        )
    if k % groups:
        raise ValueError(f"groups={groups} must divide the number of filters, {k}")
    _check_method(method, w, groups, (sh, sw), (dh, dw), dtype, x.dtype.kind == "c")
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
    if act:
        _check_activation(activation, dtype)
    workers = _args.workers(workers)
    cval = _args.element("cval", cval, x.dtype if dtype.kind == "i" or x.dtype.kind == "c" else _REAL)
    if bias is not None:
        bias = _args.array("bias", bias)
        if bias.shape != (k,):
            raise ValueError(f"bias must have shape ({k},), one value for each filter, got shape {bias.shape}")
        _check_bias(bias, dtype)
    shape = (*lead, k, ho, wo) if channels_first else (*lead, ho, wo, k)
    target, answer = _args.result(out, shape, dtype, x, w, bias)
    # Strides and dilations that no tap uses may be as large as an index: they must not reach the arithmetic below.
    sh, sw = sh if ho > 1 else 1, sw if wo > 1 else 1
    dh, dw = dh if fh > 1 else 1, dw if fw > 1 else 1
    if target.size:
        y = np.moveaxis(target, -3, -1) if channels_first else target
        bank, spectra = (prepared._bank(x.dtype.kind == "c"), prepared._spectra) if prepared is not None else (None, None)
        factors = None
        if method == "auto" and w.dtype.kind == "f":
            factors = _separable.factors(w, ho * wo, np.dtype(np.float64 if dtype in _DOUBLES else np.float32))
        _conv.conv2d(x, w, y, bias, sh, sw, dh, dw, top, left, mode, cval, groups, act, way, bank, spectra, factors, workers)
    if target is not answer:
        answer[...] = target
    return answer
