"""Slow, obvious versions of what fastconv computes: the judge of every other test."""

import math
from types import SimpleNamespace

import numpy as np

ACTIVATIONS = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}

NUMPY_PAD_MODE = {"mirror": "reflect"}


def pair(value):
    """Return (rows, columns) of an option that may be one number for both."""
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def extent(taps, dilation):
    """Return how many pixels `taps` dilated taps span."""
    return (taps - 1) * dilation + 1


def axis_padding(padding, axis, size, span, stride):
    """Return the pixels to add (before, after) along one spatial axis, 0 for rows and 1 for columns."""
    if not isinstance(padding, str):
        return pair(pair(padding)[axis])
    name = padding.upper()
    if name == "VALID":
        return 0, 0
    if name == "FULL":
        return span - 1, span - 1
    total = max((math.ceil(size / stride) - 1) * stride + span - size, 0)
    return {"SAME": (total // 2, total - total // 2), "SAME_LOWER": (total - total // 2, total // 2)}[name]


def geometry(input_hw, filter_hw, strides, padding, dilations):
    """Return strides, dilations, spans, pads and output size of a convolution, each for (rows, columns)."""
    strides, dilations = pair(strides), pair(dilations)
    spans = tuple(map(extent, filter_hw, dilations))
    pads = tuple(axis_padding(padding, a, input_hw[a], spans[a], strides[a]) for a in (0, 1))
    output = tuple((input_hw[a] + sum(pads[a]) - spans[a]) // strides[a] + 1 for a in (0, 1))
    return SimpleNamespace(strides=strides, dilations=dilations, spans=spans, pads=pads, output=output)


def pad_image(images, pads, mode, cval):
    """Return (N, H, W, C) `images` padded by ((top, bottom), (left, right))."""
    extra = {"constant_values": cval} if mode == "constant" else {}
    return np.pad(images, [(0, 0), *pads, (0, 0)], NUMPY_PAD_MODE.get(mode, mode), **extra)


def four_loops(images, filters, plan, groups):
    """Return the convolution of padded (N, H, W, C) `images`, one output at a time."""
    (sh, sw), (dh, dw), (eh, ew) = plan.strides, plan.dilations, plan.spans
    depth, count = filters.shape[2:]
    out = np.zeros((len(images), *plan.output, count), images.dtype)
    for n, i, j, k in np.ndindex(out.shape):
        first = k // (count // groups) * depth
        rows = slice(i * sh, i * sh + eh, dh)
        columns = slice(j * sw, j * sw + ew, dw)
        window = images[n, rows, columns, first : first + depth]
        out[n, i, j, k] = np.multiply(window, filters[..., k]).sum()
    return out


def shifted_images(images, filters, plan, groups):
    """Return what four_loops returns, one tap at a time: for images on which loops take too long."""
    (sh, sw), (dh, dw), (ho, wo) = plan.strides, plan.dilations, plan.output
    depth, count = filters.shape[2:]
    out = np.zeros((len(images), ho, wo, groups, count // groups), images.dtype)
    for a, b in np.ndindex(filters.shape[:2]):
        part = images[:, a * dh : a * dh + ho * sh : sh, b * dw : b * dw + wo * sw : sw][:, :ho, :wo]
        taps = filters[a, b].reshape(depth, groups, count // groups)
        out += np.einsum("nhwgd,dgk->nhwgk", part.reshape(*part.shape[:3], groups, depth), taps)
    return out.reshape(len(images), ho, wo, count)


def conv2d(
    input, filters, strides=1, padding="VALID", *, dilations=1, groups=1, bias=None, activation=None,
    data_format="NHWC", padding_mode="constant", cval=0.0, flip_filters=False, dtype=np.float64, sums=four_loops,
):  # fmt: skip
    """Return fastconv.conv2d of the same arguments, computed in `dtype`."""
    input, filters = np.asarray(input).astype(dtype), np.asarray(filters).astype(dtype)
    if data_format == "NCHW":
        input = np.moveaxis(input, -3, -1)
    if flip_filters:
        filters = filters[::-1, ::-1]
    batch, image = input.shape[:-3], input.shape[-3:]
    plan = geometry(image[:2], filters.shape[:2], strides, padding, dilations)
    images = pad_image(input.reshape(math.prod(batch), *image), plan.pads, padding_mode, cval)
    with np.errstate(all="ignore"):
        out = sums(images, filters, plan, groups)
        if bias is not None:
            out = out + np.asarray(bias).astype(dtype)
        out = ACTIVATIONS[activation](out)
    out = out.reshape(*batch, *out.shape[1:])
    return np.moveaxis(out, -1, -3) if data_format == "NCHW" else out


def conv2d_abs(input, filters, *args, bias=None, cval=0.0, activation=None, **kwargs):
    """Return |x| * |w| (+ |bias|), the yardstick of the error of every output."""
    bias = None if bias is None else np.abs(bias)
    return conv2d(np.abs(input), np.abs(filters), *args, bias=bias, cval=abs(cval), **kwargs)


# --- contractions


def triple_product(a, b=None, c=None, weights=None, dtype=np.float64):
    """Return fastconv.triple_product of the same arguments, computed in `dtype`, one plane at a time."""
    b = a if b is None else b
    c = b if c is None else c
    a, b, c = (np.asarray(x).astype(dtype) for x in (a, b, c))
    if weights is not None:
        a = a * np.asarray(weights).astype(dtype)
    out = np.zeros((len(a), len(b), len(c)), dtype)
    for i in range(len(a)):
        for j in range(len(b)):
            for k in range(len(c)):
                out[i, j, k] = (a[i] * b[j] * c[k]).sum()
    return out


def mode_dot(tensor, vector_or_matrix, mode, dtype=np.float64):
    """Return fastconv.mode_dot of the same arguments, computed in `dtype`."""
    tensor, m = np.asarray(tensor).astype(dtype), np.asarray(vector_or_matrix).astype(dtype)
    if m.ndim == 1:
        return sum((m[i] * part for i, part in enumerate(np.moveaxis(tensor, mode, 0))), start=dtype(0))
    return np.stack([mode_dot(tensor, row, mode, dtype) for row in m], axis=mode)


def mttkrp(tensor, factors, mode, dtype=np.float64):
    """Return fastconv.mttkrp of the same arguments: all products of a column, then their sums."""
    axes = tuple(n for n in range(tensor.ndim) if n != mode)
    columns = []
    for r in range(factors[axes[0]].shape[1]):
        products = np.asarray(tensor).astype(dtype)
        for n in axes:
            column = np.asarray(factors[n])[:, r].astype(dtype)
            products = products * column.reshape([-1 if m == n else 1 for m in range(tensor.ndim)])
        columns.append(products.sum(axis=axes))
    return np.stack(columns, axis=-1)


def _convolution(shape, filters, strides, padding, dilations, data_format):
    """Return the geometry of a convolution of images of `shape`, and that shape with channels last."""
    shape = (*shape[:-3], *shape[-2:], shape[-3]) if data_format == "NCHW" else tuple(shape)
    return geometry(shape[-3:-1], filters[:2], strides, padding, dilations), shape


def _split(channels, groups):
    """Return the channels of an array in (groups, channels of a group)."""
    return channels.reshape(*channels.shape[:-1], groups, channels.shape[-1] // groups)


def conv2d_input_grad(
    input_shape, filters, grad_output, strides=1, padding="VALID", *, dilations=1, groups=1,
    data_format="NHWC", padding_mode="constant", flip_filters=False, dtype=np.float64,
):  # fmt: skip
    """Return fastconv.conv2d_input_grad of the same arguments, computed in `dtype`: products go where factors were read."""
    filters, grad = np.asarray(filters).astype(dtype), np.asarray(grad_output).astype(dtype)
    plan, shape = _convolution(input_shape, filters.shape, strides, padding, dilations, data_format)
    filters = filters[::-1, ::-1] if flip_filters else filters
    grad = np.moveaxis(grad, -3, -1) if data_format == "NCHW" else grad
    images = np.zeros((math.prod(shape[:-3]), *shape[-3:]), dtype)
    grad = _split(grad.reshape(len(images), *grad.shape[-3:]), groups)
    sources = [
        np.pad(np.arange(n), pads, **({"constant_values": -1} if padding_mode == "constant" else {}),
               mode=NUMPY_PAD_MODE.get(padding_mode, padding_mode))
        for n, pads in zip(shape[-3:-1], plan.pads, strict=True)
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        for a, b, i, j in np.ndindex(*filters.shape[:2], *plan.output):
            row = sources[0][i * plan.strides[0] + a * plan.dilations[0]]
            column = sources[1][j * plan.strides[1] + b * plan.dilations[1]]
            if row >= 0 and column >= 0:
                taps = _split(filters[a, b], groups)
                images[:, row, column] += np.einsum("ngk,cgk->ngc", grad[:, i, j], taps).reshape(len(images), -1)
    images = images.reshape(shape)
    return np.moveaxis(images, -1, -3) if data_format == "NCHW" else images


def conv2d_filter_grad(
    input, filter_shape, grad_output, strides=1, padding="VALID", *, dilations=1, groups=1,
    data_format="NHWC", padding_mode="constant", cval=0.0, flip_filters=False, dtype=np.float64,
):  # fmt: skip
    """Return fastconv.conv2d_filter_grad of the same arguments, computed in `dtype`, one tap after another."""
    input, grad = np.asarray(input).astype(dtype), np.asarray(grad_output).astype(dtype)
    plan, shape = _convolution(input.shape, filter_shape, strides, padding, dilations, data_format)
    if data_format == "NCHW":
        input, grad = np.moveaxis(input, -3, -1), np.moveaxis(grad, -3, -1)
    images = pad_image(input.reshape(math.prod(shape[:-3]), *shape[-3:]), plan.pads, padding_mode, cval)
    grad = _split(grad.reshape(len(images), *grad.shape[-3:]), groups)
    (sh, sw), (dh, dw), (ho, wo) = plan.strides, plan.dilations, plan.output
    filters = np.zeros(filter_shape, dtype)
    with np.errstate(all="ignore"):
        for a, b in np.ndindex(*filter_shape[:2]):
            part = images[:, a * dh : a * dh + ho * sh : sh, b * dw : b * dw + wo * sw : sw][:, :ho, :wo]
            filters[a, b] = np.einsum("nijgc,nijgk->cgk", _split(part, groups), grad).reshape(filter_shape[2:])
    return filters[::-1, ::-1] if flip_filters else filters


def _count_pairs(u, v, w):
    """Return the weights of true-true, true-false, false-true and all."""
    u, v = u != 0, v != 0
    return w[u & v].sum(), w[u & ~v].sum(), w[~u & v].sum(), w.sum()


def _cosine(u, v, w):
    uu, vv, uv = ((w * a * b).sum() for a, b in ((u, u), (v, v), (u, v)))
    return 1 - uv / np.sqrt(uu) / np.sqrt(vv)


def _mean(a, w):
    """Return the weighted mean, which is the number itself where all that count are the same."""
    first = a[np.argmax(w > 0)] if a.size else a.dtype.type(0)
    return first + (w * np.where(w > 0, a - first, 0)).sum() / w.sum()


def _jensenshannon(u, v):
    if (u < 0).any() or (v < 0).any() or u.sum() == 0 or v.sum() == 0:
        return np.inf
    p, q = u / u.sum(), v / v.sum()
    m = (p + q) / 2
    left, right = (np.where(a == 0, 0, a * np.log(np.where(a == 0, 1, a / m))) for a in (p, q))
    return np.sqrt(np.maximum((left + right).sum(), 0) / 2)


def distance(u, v, metric, w=None, p=2, V=None, VI=None):
    """Return the distance of two vectors, by the formula, in their own dtype."""
    d = abs(u - v)
    if metric in ("jensenshannon", "seuclidean", "mahalanobis"):
        return {
            "jensenshannon": lambda: _jensenshannon(u, v),
            "seuclidean": lambda: np.sqrt((d * d / V).sum()),
            "mahalanobis": lambda: np.sqrt((u - v) @ VI @ (u - v)),
        }[metric]()
    w = np.ones_like(u) if w is None else w.astype(u.dtype)
    tt, tf, ft, n = _count_pairs(u, v, w)
    some = tt + tf + ft
    mean = [_mean(a, w) for a in (u, v)]
    either, both = (w * (u * (1 - v) + v * (1 - u))).sum(), (w * u * v).sum()
    return {
        "euclidean": lambda: np.sqrt((w * d * d).sum()),
        "sqeuclidean": lambda: (w * d * d).sum(),
        "cityblock": lambda: (w * d).sum(),
        "chebyshev": lambda: d[w > 0].max(initial=0),
        "minkowski": lambda: (w * d**p).sum() ** (1 / u.dtype.type(p)),
        "canberra": lambda: (w * d / np.where(abs(u) + abs(v) == 0, 1, abs(u) + abs(v))).sum(),
        "braycurtis": lambda: (w * d).sum() / (w * abs(u + v)).sum(),
        "cosine": lambda: _cosine(u, v, w),
        "correlation": lambda: _cosine(u - mean[0], v - mean[1], w),
        "hamming": lambda: (w * (u != v)).sum() / n + 0 * (u + v).sum(),
        "jaccard": lambda: (tf + ft) / some if some else n * 0,
        "dice": lambda: either / (2 * both + either),
        "rogerstanimoto": lambda: 2 * (tf + ft) / (n + tf + ft),
        "russellrao": lambda: (n - tt) / n,
        "sokalsneath": lambda: 2 * (tf + ft) / (tt + 2 * (tf + ft)),
        "yule": lambda: 2 * tf * ft / (tt * (n - some) + tf * ft) if tf * ft else n * 0,
    }[metric]()


def cdist(xa, xb, metric="euclidean", dtype=np.longdouble, **kwargs):
    """Return fastconv.cdist of the same arguments, one pair at a time, computed in `dtype`."""
    xa, xb = np.asarray(xa).astype(dtype), np.asarray(xb).astype(dtype)
    lead = np.broadcast_shapes(xa.shape[:-2], xb.shape[:-2])
    out = np.empty((*lead, xa.shape[-2], xb.shape[-2]), dtype)
    xa, xb = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (xa, xb))
    with np.errstate(all="ignore"):
        for index in np.ndindex(*out.shape):
            u, v = xa[index[:-1]], xb[(*index[:-2], index[-1])]
            out[index] = distance(u, v, metric, **kwargs)
    return out


def _source(i, size, mode):
    """Return the index that stands at position `i` of an axis, None outside."""
    if 0 <= i < size:
        return i
    if mode in ("constant", "ignore", "grid-constant"):
        return None
    if mode == "nearest":
        return min(max(i, 0), size - 1)
    if mode in ("wrap", "grid-wrap"):
        return i % size
    period = 2 * size if mode in ("reflect", "grid-mirror") else max(2 * size - 2, 1)
    i %= period
    return i if i < size else period - 1 - i + (mode == "mirror")


def windows_of(x, footprint, mode="reflect", cval=0.0, origin=0, step=1, mask=None, omit=False):
    """Yield (index of an output, its counting values in C order of the footprint): the slow, obvious way."""
    origin = np.broadcast_to(origin, x.ndim)
    step = np.broadcast_to(step, x.ndim)
    if mode == "valid":
        shape = [max(n - f + 1, 0) for n, f in zip(x.shape, footprint.shape, strict=True)]
    else:
        shape = x.shape
    shape = [-(-n // s) for n, s in zip(shape, step, strict=True)]
    before = np.zeros(x.ndim, int) if mode == "valid" else np.array(footprint.shape) // 2 + origin
    cells = np.argwhere(footprint) - before
    for index in np.ndindex(*shape):
        values = []
        for corner in cells + np.array(index, int) * step:
            at = [_source(int(i), n, mode) for i, n in zip(corner, x.shape, strict=True)]
            if None in at:
                if mode in ("constant", "grid-constant"):
                    values.append(x.dtype.type(cval))
            elif mask is None or mask[tuple(at)]:
                values.append(x[tuple(at)])
        values = np.array(values, x.dtype)
        yield index, values[~np.isnan(values)] if omit else values


def neighborhood(x, function, footprint, dtype=np.float64, empty=np.nan, **options):
    """Return function(counting values) for each window, `empty` where none counts."""
    parts = list(windows_of(x, footprint, **options))
    result = np.empty([n + 1 for n in parts[-1][0]] if parts else [0] * x.ndim, dtype)
    for index, values in parts:
        result[index] = function(values) if values.size else empty
    return result


def flood_fill(seeds, structure, mask=None, outside=False, origin=0):
    """Where steps of a structuring element lead, within a mask, from pixels of `seeds`, which may lie outside it, or from outside
    the array: booleans, one pixel after another."""
    offsets = np.argwhere(structure) - np.array(structure.shape) // 2 - origin
    mask = np.ones(seeds.shape, bool) if mask is None else mask
    if outside:
        places = np.argwhere(mask)
        before = places[:, None] - offsets
        sees = ((before < 0) | (before >= seeds.shape)).any(axis=(1, 2))
        seeds = seeds.copy()
        seeds[tuple(places[sees].T)] = True
    pads = [(n, n) for n in np.abs(offsets).max(axis=0)]
    framed, free = (np.ascontiguousarray(np.pad(x, pads)) for x in (seeds, mask & ~seeds))
    steps = (offsets @ np.array(free.strides)).tolist()  # of a byte each
    left, waiting = bytearray(free), np.flatnonzero(framed).tolist()
    while waiting:
        pixel = waiting.pop()
        for step in steps:
            if left[pixel + step]:
                left[pixel + step] = 0
                waiting.append(pixel + step)
    framed |= free & (np.frombuffer(left, bool).reshape(free.shape) != free)
    return framed[tuple(slice(n, n + size) for (n, _), size in zip(pads, seeds.shape, strict=True))]
