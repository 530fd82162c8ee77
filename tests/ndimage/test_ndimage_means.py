"""Means of integers, cut off after each axis, beside sums and quotients of Python's integers."""

import numpy as np
import pytest

import fastconv.ndimage as ndi
from fastconv import runtime
from fastconv.ndimage import _weights

PADS = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "i8"]
WIDER = {"?": "u1", "u1": "i2", "i1": "i4", "u2": "i8", "i2": ">i4", "u4": "u8", "i4": "i8", "i8": "i8"}
SHAPES = [(70, 90), (5, 131), (131, 5), (33,), (1, 200), (9, 10, 70), (300, 3), (3, 4, 5, 70)]
SIZES = (1, 2, 3, 4, 5, 7, 9, 16, 31, 40, 100)


def mean_of(x, sizes, axes, mode, cval, origins):
    """Sums of padded axes, then Python's quotients toward 0, one axis after another."""
    found = x.astype(object)
    for axis, size, origin in zip(axes, sizes, origins, strict=True):
        before = size // 2 + origin
        pad = [(before, size - 1 - before) if a == axis else (0, 0) for a in range(x.ndim)]
        pad_mode = "edge" if mode == "mirror" and x.shape[axis] == 1 else PADS[mode]
        padded = np.pad(found, pad, pad_mode, **({"constant_values": cval} if mode == "constant" else {}))
        totals = np.concatenate([np.zeros_like(padded.take([0], axis)), padded.cumsum(axis)], axis)
        n = x.shape[axis]
        sums = totals.take(range(size, size + n), axis) - totals.take(range(n), axis)
        found = np.sign(sums) * (abs(sums) // size)
    return found


def drawn(rng, shape, dtype):
    """Numbers of the whole range of a dtype, sometimes all of one end of it: the largest sums."""
    if dtype == "?":
        return rng.random(shape) < 0.8
    info = np.iinfo(dtype)
    low, high = (max(info.min, -(2**40)), min(info.max, 2**40))
    x = rng.integers(low, high, shape, dtype, endpoint=True)
    return np.full_like(x, rng.choice([low, high])) if rng.random() < 0.2 else x


def check(rng, dtype, shape):
    """A call of windows, axes, a mode and an output that are drawn."""
    x = drawn(rng, shape, dtype)
    count = int(rng.integers(1, x.ndim + 1))
    axes = tuple(int(a) for a in rng.permutation(x.ndim)[:count])
    axes = axes if rng.random() < 0.3 else tuple(sorted(axes))
    sizes = tuple(int(size) for size in rng.choice(SIZES, count))
    origins = tuple(int(rng.integers(-(size // 2), (size - 1) // 2 + 1)) for size in sizes)
    mode, cval = str(rng.choice(list(PADS))), int(rng.integers(0, 2 if dtype == "?" else 100))
    expected = mean_of(x, sizes, axes, mode, cval, origins)
    kind = rng.integers(4)
    given = np.asfortranarray(x) if kind == 0 else np.stack([x, x], -1)[..., 0] if kind == 1 else x.copy()
    output = [None, np.empty(shape, WIDER[dtype]), given, np.empty((*shape, 2), x.dtype)[..., 1]][rng.integers(4)]
    found = ndi.uniform_filter(given, sizes, output, mode, cval, origins, axes=axes)
    assert found.dtype == (x if output is None else output).dtype
    np.testing.assert_array_equal(found.astype(object), expected.astype(found.dtype).astype(object),
                                  err_msg=f"{shape} {sizes} {axes} {mode} {origins}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_means_are_cut_off_after_each_axis(isa, rng, dtype):
    for shape in SHAPES:
        check(rng, dtype, shape)


def test_axes_in_order_take_one_pass(rng, monkeypatch):
    monkeypatch.delattr(_weights, "_mean")
    for dtype in DTYPES[:-1]:
        for x in (drawn(rng, (70, 80), dtype), drawn(rng, (5, 70), dtype)):
            expected = mean_of(x, (4, 5), (0, 1), "wrap", 0, (0, 0))
            np.testing.assert_array_equal(ndi.uniform_filter(x, (4, 5), mode="wrap"), expected.astype(dtype))


@pytest.mark.parametrize("bytes_", [64, 300, 1000])
def test_means_in_small_blocks(rng, bytes_):
    names = ("STRIP_BYTES", "LEAST_STRIP", "ROWS", "MOST_ROWS", "REGION_BYTES")
    values = dict.fromkeys((f"neighborhood.{name}" for name in names), 8)
    with runtime.use_seams({**values, "neighborhood.STRIP_BYTES": bytes_}):
        for dtype in DTYPES:
            for shape in [(40, 333), (11, 9, 170)]:
                check(rng, dtype, shape)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4"])
def test_an_image_of_many_blocks(rng, dtype):
    x = drawn(rng, (210, 1037), dtype)
    for size in (3, 31, 300):
        expected = mean_of(x, (size, size), (0, 1), "reflect", 0, (0, 0))
        for workers in (1, 2):
            np.testing.assert_array_equal(ndi.uniform_filter(x, size, workers=workers), expected.astype(dtype))


@pytest.mark.parametrize("size", [257, 258, 2000, 32767, 32768])
@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2"])
def test_means_of_long_windows(isa, dtype, size):
    if dtype == "?":
        images = np.ones((2, 70), bool)
    else:
        info = np.iinfo(dtype)
        images = np.array([[info.max] * 70, [info.min] * 35 + [info.max] * 35], dtype)
    for mode in ("reflect", "constant"):
        expected = mean_of(images, (size,), (1,), mode, 0, (0,))
        np.testing.assert_array_equal(ndi.uniform_filter1d(images, size, mode=mode), expected.astype(dtype))
        columns = np.ascontiguousarray(images.T)
        np.testing.assert_array_equal(ndi.uniform_filter1d(columns, size, 0, mode=mode), expected.T.astype(dtype))


def test_a_value_outside_that_integers_cannot_hold(rng):
    x = rng.integers(0, 200, (20, 70), np.uint8)
    padded = np.pad(x.astype(np.float64), [(1, 1), (0, 0)], constant_values=2.5)
    between = ((padded[:-2] + padded[1:-1] + padded[2:]) / 3).astype(np.uint8)
    padded = np.pad(between.astype(np.float64), [(0, 0), (1, 1)], constant_values=2.5)
    expected = ((padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3).astype(np.uint8)
    np.testing.assert_array_equal(ndi.uniform_filter(x, 3, mode="constant", cval=2.5), expected)
