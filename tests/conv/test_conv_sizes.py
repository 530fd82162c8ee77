"""conv2d at the sizes that users have: calls drawn at random, all results summed with weights, the borders one by one."""

import math

import numpy as np
import pytest

import fastconv
import reference
from support import ROUNDOFF

MODES = ("constant", "constant", "constant", "edge", "symmetric", "mirror", "wrap")
PADDINGS = ("VALID", "SAME", "SAME", "SAME_LOWER", "FULL", "numbers")
ROWS = (1, 2, 3, 5, 7, 14, 17, 28, 33, 56, 57, 112, 127, 224, 225, 301, 512, 643, 1001, 2001, 4001, 4095, 4096)
CHANNELS = (0, 1, 1, 1, 2, 3, 3, 4, 5, 8, 16, 17, 31, 32, 33, 64, 65, 96, 128, 200, 256, 257, 446, 512, 600)
TAPS = (1, 1, 2, 3, 3, 3, 4, 5, 5, 7, 9, 10, 11, 15, 17, 21, 25, 31, 41)
PIXELS, PRODUCTS = 17_000_000, 1_500_000_000  # of an input, of a call
SAMPLED = 10_000_000                          # products of the outputs that are compared one by one


def drawn(rng, values, most=math.inf):
    """Return one of `values` up to `most`, or a number beside it."""
    value = int(rng.choice([v for v in values if v <= most] or [1]))
    return max(value + int(rng.integers(-1, 2)), 1) if value > 8 and rng.random() < 0.3 else value


def draw_call(rng):
    """Return the shapes and options of one call, and of what kind its arrays are."""
    fh, fw = (drawn(rng, TAPS) for _ in "hw")
    if rng.random() < 0.6:
        fw = fh
    c = drawn(rng, CHANNELS)
    kind = rng.choice(["dense", "dense", "depthwise", "groups"]) if c else "dense"
    groups = {"dense": 1, "depthwise": c, "groups": next(g for g in (4, 3, 2, 5, 1) if c % g == 0)}[kind]
    k = groups * (int(rng.integers(1, 4)) if groups > 1 else drawn(rng, CHANNELS[1:]))
    strides = (1, 1) if rng.random() < 0.6 else tuple(int(s) for s in rng.integers(1, 6, 2))
    dilations = (1, 1) if rng.random() < 0.7 else tuple(int(s) for s in rng.choice([1, 2, 3, 5, 12, 40], 2))
    spans = [reference.extent(*pair) for pair in zip((fh, fw), dilations, strict=True)]
    padding = str(rng.choice(PADDINGS))
    if padding == "numbers":
        padding = tuple(tuple(int(n) for n in rng.integers(0, span + 2, 2)) for span in spans)
    h = drawn(rng, ROWS, PIXELS // max(c, 1))
    w = drawn(rng, ROWS, PIXELS // max(c, 1) // h)
    size = [h, w]
    if padding == "VALID" or not isinstance(padding, str):
        size = [max(n, span) for n, span in zip(size, spans, strict=True)]
    batch = () if rng.random() < 0.6 else (int(rng.integers(1, 5)),)
    options = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}
    options |= {"padding_mode": str(rng.choice(MODES)), "cval": float(rng.choice([0, 0, 2, -3]))}
    options |= {"workers": int(rng.integers(1, 9)), "data_format": str(rng.choice(["NHWC", "NCHW"]))}
    return (*batch, *size, c), (fh, fw, c // groups, k), options


def work(image, filters, options):
    plan = reference.geometry(image[-3:-1], filters[:2], options["strides"], options["padding"], options["dilations"])
    outputs = math.prod(image[:-3]) * math.prod(plan.output) * filters[3]
    return plan, outputs, max(outputs * math.prod(filters[:3]), math.prod(image), outputs)


def source(i, n, mode):
    """Return the index that each position of an axis reads, -1 for the constant."""
    if mode == "constant":
        return np.where((i < 0) | (i >= n), -1, i)
    if mode == "edge":
        return np.clip(i, 0, n - 1)
    period = {"symmetric": 2 * n, "mirror": max(2 * n - 2, 1), "wrap": n}[mode]
    i = i % period
    return np.where(i < n, i, period - 1 - i + (mode == "mirror"))


def read_by(plan, axis, n, mode):
    """Return sources[output, tap] of an axis of n pixels."""
    outputs, taps = plan.output[axis], (plan.spans[axis] - 1) // plan.dilations[axis] + 1
    at = np.arange(outputs)[:, None] * plan.strides[axis] + np.arange(taps) * plan.dilations[axis]
    return source(at - plan.pads[axis][0], n, mode)


def weighted_sums(x, w, sources, weights, groups, cval):
    """Return sum_ij r_i s_j out[i, j, k] of one image from the formula: every output takes part."""
    shares = []
    for index, r, n in zip(sources, weights, x.shape, strict=False):
        share = np.zeros((index.shape[1], n))
        for tap in range(index.shape[1]):
            inside = index[:, tap] >= 0
            share[tap] = np.bincount(index[inside, tap], r[inside], n)
        shares.append(share)
    rows = (shares[0] @ x.reshape(len(x), math.prod(x.shape[1:]))).reshape(len(shares[0]), *x.shape[1:])
    sums = np.einsum("bw,awc->abc", shares[1], rows)
    whole = weights[0].sum() * weights[1].sum()
    sums += cval * (whole - np.outer(shares[0].sum(1), shares[1].sum(1)))[..., None]
    depth = w.shape[2]
    per_group = w.reshape(*w.shape[:3], groups, w.shape[3] // groups)
    return np.einsum("abgd,abdgk->gk", sums.reshape(*sums.shape[:2], groups, depth), per_group).ravel()


def outputs_at(x, w, rows, columns, groups, cval):
    """Return the outputs of one image whose taps read rows[point, tap] and columns[point, tap]."""
    depth, count = w.shape[2:]
    out = np.zeros((len(rows), count), w.dtype)
    for a, b in np.ndindex(w.shape[:2]):
        pixels = x[rows[:, a], columns[:, b]].astype(w.dtype)
        pixels[(rows[:, a] < 0) | (columns[:, b] < 0)] = cval
        if groups == 1:
            out += pixels @ w[a, b]
        else:
            taps = w[a, b].reshape(depth, groups, count // groups)
            out += np.einsum("pgd,dgk->pgk", pixels.reshape(len(rows), groups, depth), taps).reshape(out.shape)
    return out


def samples(filters, cost=1):
    return max(SAMPLED // cost // math.prod(max(n, 1) for n in filters), 30)


def points(rng, output, most):
    """Return rows and columns of up to `most` outputs: corners, borders, two whole lines, and any."""
    ho, wo = output
    ends = [sorted({0, 1, n // 2, max(n - 2, 0), n - 1} & set(range(n))) for n in output]
    lines = [(i, j) for i in (0, ho - 1, int(rng.integers(ho))) for j in range(wo)]
    lines += [(i, j) for j in (0, wo - 1, int(rng.integers(wo))) for i in range(ho)]
    corners = [(i, j) for i in ends[0] for j in ends[1]]
    rest = max(most - len(corners), 1)
    chosen = rng.permutation(len(lines))[: rest // 2]
    anywhere = rng.integers((ho, wo), size=(rest // 2, 2))
    return np.concatenate([corners, np.array(lines)[chosen], anywhere]).astype(int).T


def images_of(x):
    return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])


def in_layout(rng, x, channels_first):
    """Return the values of x in some layout, and its name."""
    if channels_first:
        x = np.ascontiguousarray(np.moveaxis(x, -1, -3))
    kind = str(rng.choice(["plain", "plain", "plain", "mirrored", "every other", "swapped"]))
    if kind == "mirrored":
        x = np.ascontiguousarray(x[..., ::-1, :])[..., ::-1, :]
    elif kind == "every other":
        host = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        host[..., ::2] = x
        x = host[..., ::2]
    elif kind == "swapped":
        x = x.astype(x.dtype.newbyteorder())
    return x, kind


def drawn_call(rng):
    most = PRODUCTS / 10 ** rng.uniform(0, 2.5)
    while True:
        image, filters, options = draw_call(rng)
        plan, outputs, products = work(image, filters, options)
        if outputs and math.prod(image) <= PIXELS and outputs <= PIXELS and products <= most:
            if min(plan.output) > 0 and (min(image[-3:-1]) or options["padding_mode"] == "constant"):
                return image, filters, options, plan


def check_integers(rng):
    """Small integers, whose sums are exact: the weighted sum of all outputs, and many one by one."""
    image, filters, options, plan = drawn_call(rng)
    most = 1 if math.prod(filters[:3]) > 100_000 else 2
    types = rng.choice(["f2", "f4", "f4", "f8"]), rng.choice(["f2", "f4", "f4", "f8"])
    x = rng.integers(-most, most + 1, image, dtype=np.int8).astype(types[0])
    w = rng.integers(-most, most + 1, filters).astype(types[1])
    first = options["data_format"] == "NCHW"
    given, layout = in_layout(rng, x, first)
    bias = rng.integers(-9, 10, filters[3]) + 0.0 if rng.random() < 0.3 else None
    activation = str(rng.choice(["relu", "relu6"])) if rng.random() < 0.15 else None
    call = f"x {types[0]} {image} {layout}, w {types[1]} {filters}, bias {bias is not None}, {activation}, {options}"
    result = fastconv.conv2d(given, w, bias=bias, activation=activation, method="direct", **options)
    result = images_of(np.moveaxis(result, -3, -1) if first else result)
    n, groups, cval = int(rng.integers(len(result))), options["groups"], options["cval"]
    sources = [read_by(plan, axis, image[axis - 3], options["padding_mode"]) for axis in (0, 1)]
    wide = w.astype(float)
    if activation is None and result.dtype != np.float16:
        r, s = (rng.choice([1.0, 2.0, 3.0], size) for size in plan.output)
        expected = weighted_sums(images_of(x)[n].astype(float), wide, sources, (r, s), groups, cval)
        expected = expected if bias is None else expected + bias * r.sum() * s.sum()
        sums = np.einsum("i,ijk,j->k", r, result[n].astype(float), s)
        differ = np.flatnonzero(sums != expected)
        assert not differ.size, f"sums over image {n} differ for filters {differ}: {call}"
    i, j = points(rng, plan.output, samples(filters))
    expected = outputs_at(images_of(x)[n], wide, sources[0][i], sources[1][j], groups, cval)
    expected = reference.ACTIVATIONS[activation](expected if bias is None else expected + bias)
    wrong = np.flatnonzero((result[n, i, j] != expected.astype(result.dtype)).any(1))
    assert not wrong.size, f"outputs {[(int(i[q]), int(j[q])) for q in wrong[:5]]} of image {n} differ: {call}"


def check_special_values(rng):
    """NaN, infinities and denormals at single pixels: there and nowhere else, as the formula has them."""
    image, filters, options, plan = drawn_call(rng)
    dtype = rng.choice(["f4", "f8"])
    x = rng.integers(-2, 3, image, dtype=np.int8).astype(dtype)
    w = rng.choice([-2, -1, 1, 2], filters).astype(dtype)
    if not x.size:
        return
    n = int(rng.integers(len(images_of(x))))
    special = [float(v) for v in (np.nan, np.inf, -np.inf, 1e300, np.finfo(dtype).smallest_subnormal)]
    value = special[int(rng.integers(len(special)))]
    if 0 < value < 1:  # beside anything else it is lost
        x[...], options["cval"] = 0, 0.0
    at = tuple(int(rng.choice([0, size - 1, rng.integers(size)])) for size in image[-3:])
    with np.errstate(over="ignore"):
        images_of(x)[n][at] = value
    first = options["data_format"] == "NCHW"
    given, layout = in_layout(rng, x, first)
    call = f"x {dtype} {image} {layout} with {value} at {(n, *at)}, w {filters}, {options}"
    result = fastconv.conv2d(given, w, **options)
    result = images_of(np.moveaxis(result, -3, -1) if first else result)
    sources = [read_by(plan, axis, image[axis - 3], options["padding_mode"]) for axis in (0, 1)]
    reads = [(index == position).any(1) for index, position in zip(sources, at[:2], strict=True)]
    own = np.arange(filters[3]) // (filters[3] // options["groups"]) == at[2] // filters[2]
    expected = np.zeros(result.shape, bool)
    if not abs(images_of(x)[n][at]) < np.inf:
        expected[n] = reads[0][:, None, None] & reads[1][:, None] & own
    assert np.array_equal(~np.isfinite(result), expected), f"not finite elsewhere: {call}"
    i, j = (axis[: samples(filters)] for axis in np.nonzero(np.outer(*reads)))
    with np.errstate(all="ignore"):
        values = outputs_at(images_of(x)[n], w.astype(float), sources[0][i], sources[1][j], options["groups"], options["cval"])
        if abs(value) != 1e300 or not np.isfinite(images_of(x)[n][at]):
            wrong = ~np.isclose(result[n, i, j], values.astype(dtype), rtol=0, atol=0, equal_nan=True).all(1)
            assert not wrong.any(), f"outputs {list(zip(i[wrong][:5], j[wrong][:5], strict=True))} differ: {call}"


def check_accuracy(rng):
    """Numbers of both signs: 8u sum |x||w| at every sampled output."""
    image, filters, options, plan = drawn_call(rng)
    dtype = np.dtype(str(rng.choice(["f4", "f8"])))
    x, w = rng.standard_normal(image).astype(dtype), rng.standard_normal(filters).astype(dtype)
    first = options["data_format"] == "NCHW"
    given, layout = in_layout(rng, x, first)
    result = fastconv.conv2d(given, w, **options)
    result = images_of(np.moveaxis(result, -3, -1) if first else result)
    n, groups, cval = int(rng.integers(len(result))), options["groups"], options["cval"]
    sources = [read_by(plan, axis, image[axis - 3], options["padding_mode"]) for axis in (0, 1)]
    finer = np.float64 if dtype == np.float32 else np.longdouble
    i, j = points(rng, plan.output, samples(filters, 1 if finer == np.float64 else 20))
    at = sources[0][i], sources[1][j], groups
    expected = outputs_at(images_of(x)[n], w.astype(finer), *at, cval)
    bound = 8 * ROUNDOFF[dtype] * outputs_at(abs(images_of(x)[n]), abs(w).astype(finer), *at, abs(cval))
    wrong = (abs(result[n, i, j] - expected) > bound).any(1)
    call = f"x {dtype} {image} {layout}, w {filters}, {options}"
    assert not wrong.any(), f"errors above 8u at {list(zip(i[wrong][:5], j[wrong][:5], strict=True))} of image {n}: {call}"


@pytest.mark.slow
def test_integers_at_the_sizes_of_users(real_sizes):
    real_sizes(check_integers, share=0.6)


@pytest.mark.slow
def test_special_values_at_the_sizes_of_users(real_sizes):
    real_sizes(check_special_values, share=0.2)


@pytest.mark.slow
def test_accuracy_at_the_sizes_of_users(real_sizes):
    real_sizes(check_accuracy, share=0.2)
