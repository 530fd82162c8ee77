"""Filters by functions beside scipy.ndimage."""

import functools
import math

import numpy as np
import pytest
from oracle import MODES, REAL, SHAPES, image, near, same, scipy_ndimage
from test_ndimage_filters import some_axes, window

import fastconv.ndimage as ndi


def spread(window):
    return window.max() - window.min()


def weighted(window, weights, scale=1.0):
    return (window * weights).sum() * scale


def branching(window):
    return 1.0 if window[0] > window[-1] else -window.mean()


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("function", [spread, branching, np.max, np.mean, np.median, np.std, np.ptp, lambda w: w[0] - 2 * w[-1]])
def test_functions_of_windows(rng, dtype, function):
    for _ in range(3):
        x = image(rng, SHAPES[rng.integers(len(SHAPES))], dtype) // (2**20 if dtype in ("u8", "i8") else 1)
        mode = MODES[rng.integers(len(MODES))]
        axes = some_axes(rng, x.ndim)
        sizes, origins = window(rng, len(axes), 4)
        footprint = rng.random(sizes) < 0.7
        footprint.flat[0] = True
        target = [np.float64, np.float32][rng.integers(2)]
        same("generic_filter", x, function, None, footprint, target, mode, 1, origins, axes=axes)
        same("generic_filter", x, function, sizes, None, target, mode, 1, origins, axes=axes)


def test_results_in_integers_are_cut_off(rng):
    x = image(rng, (11, 12), "u1")
    for function in (spread, branching, lambda w: w.sum() / 9, lambda w: -w.sum() / 8, lambda w: w.max() * 1.7):
        same("generic_filter", x, function, 3)
        same("generic_filter", x, function, (3, 2), output="i2")


def test_windows_are_doubles(rng):
    seen = []

    def function(window):
        seen.append((window.dtype, window.ndim, type(window)))
        return branching(window)

    same("generic_filter", image(rng, (3, 4), "u1"), function, 3)
    assert {one for one in seen if one[2] is np.ndarray} == {(np.dtype(np.float64), 1, np.ndarray)}


def test_further_arguments(rng):
    x = rng.random((12, 13))
    weights = rng.random(9)
    same("generic_filter", x, weighted, 3, extra_arguments=(weights,), extra_keywords={"scale": 2.0})
    same("generic_filter", x, weighted, 3, None, None, "nearest", 0.0, 0, (weights, 3.0))
    same("generic_filter", x, np.percentile, 3, extra_arguments=(30,))
    same("generic_filter", x, functools.partial(np.quantile, q=0.3), 3)
    same("generic_filter", x, np.std, 3, extra_keywords={"ddof": 1})

    def with_keywords(window, **keywords):
        return window[1] * keywords["scale"] + math.sqrt(window[0])

    same("generic_filter", x, with_keywords, 3, extra_keywords={"scale": 2.0})


def test_functions_that_raise_or_return_no_number(rng):
    x = rng.random((4, 5))

    def fails(window):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ndi.generic_filter(x, fails, 3)
    for function in (lambda w: "a", lambda w: None, lambda w: w, lambda w: [1.0], lambda w: 1j, 3):
        same("generic_filter", x, function, 3)
    same("generic_filter", x, np.max)
    same("generic_filter", x.astype(complex), np.max, 3)
    same("generic_filter", x, np.max, 3, np.ones((2, 2)))  # which warns
    same("generic_filter", x, lambda w: 2.0 + w.size, footprint=np.zeros((2, 2)))


def running_sum(line, result, size):
    sums = np.cumsum(np.concatenate(([0.0], line)))
    result[:] = sums[size:] - sums[:-size]


@pytest.mark.parametrize("dtype", REAL)
def test_functions_of_lines(rng, dtype):
    for _ in range(6):
        x = image(rng, SHAPES[rng.integers(len(SHAPES))], dtype) // (2**20 if dtype in ("u8", "i8") else 1)
        (size,), (origin,) = window(rng, 1)
        mode, axis = MODES[rng.integers(len(MODES))], int(rng.integers(-x.ndim, x.ndim))
        same("generic_filter1d", x, running_sum, size, axis, None, mode, 1, origin, (size,))
        same("generic_filter1d", x, running_sum, size, axis, "f8", mode, 1, origin, extra_keywords={"size": size})
    x = np.asarray(rng.random((5, 6)))
    expected = scipy_ndimage.generic_filter1d(x, running_sum, 3, extra_arguments=(3,))
    near(ndi.generic_filter1d(x, running_sum, 3, extra_arguments=(3,), output=x), expected)


def test_mistakes_with_lines(rng):
    x = rng.random((4, 5))
    same("generic_filter1d", x, 3, 3)
    same("generic_filter1d", x, running_sum, 0)
    same("generic_filter1d", x, running_sum, 3, 2)
    same("generic_filter1d", x, running_sum, 3, origin=2)
    same("generic_filter1d", x, running_sum, 3)  # its argument is missing
    same("generic_filter1d", x + 1j, running_sum, 3)


FUNCTIONS = {
    "mean": np.mean, "max": np.max, "median": np.median, "std": np.std,
    "percentile": lambda w, axis: np.percentile(w, 30, axis=axis),
    "range": lambda w, axis: w.max(axis=axis) - w.min(axis=axis),
    "argmax": lambda w, axis: np.argmax(w.reshape(*w.shape[: w.ndim - np.size(axis)], -1), axis=-1),
    "root": lambda w, axis: np.sqrt(np.abs(w.astype(float)).sum(axis=axis)), "count": lambda w, axis: (w > 0).sum(axis=axis),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [*REAL, "F", "D"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_vectorized(rng, name, dtype):
    if dtype == "?" and name == "range":
        return
    for _ in range(3):
        shape = SHAPES[rng.integers(len(SHAPES))]
        if 0 in shape:
            continue
        x = image(rng, shape, dtype) // 2**20 if dtype in ("u8", "i8") else image(rng, shape, dtype)
        axes = some_axes(rng, x.ndim)
        sizes, origins = window(rng, len(axes), 4)
        mode = [one for one in MODES if one != "grid-mirror"][rng.integers(len(MODES) - 1)]
        cval = 1 if mode == "constant" else None
        if dtype in ("F", "D") and name in ("median", "max", "range", "percentile", "argmax", "count"):
            continue
        same("vectorized_filter", x, FUNCTIONS[name], size=sizes, mode=mode, cval=cval, origin=origins, axes=axes)
        footprint = rng.random(sizes) < 0.7
        footprint.flat[0] = True
        same("vectorized_filter", x, FUNCTIONS[name], footprint=footprint, mode=mode, cval=cval, origin=origins, axes=axes)
        if all(n >= m for n, m in zip((x.shape[a] for a in axes), sizes, strict=True)):
            same("vectorized_filter", x, FUNCTIONS[name], size=sizes, mode="valid", axes=axes)


def test_vectorized_functions_see_the_axes_of_the_window(rng):
    weights = rng.random((3, 4))

    def function(windows, axis):
        assert axis == (-2, -1)
        return (windows * weights).sum(axis=axis)

    x = rng.random((9, 10))
    same("vectorized_filter", x, function, size=(3, 4))
    output = np.zeros((9, 10), np.float32)
    expected = scipy_ndimage.vectorized_filter(x, function, size=(3, 4)).astype("f4")
    near(ndi.vectorized_filter(x, function, size=(3, 4), output=output), expected)
    near(ndi.vectorized_filter(x, np.mean, size=3, mode="grid-mirror"), ndi.vectorized_filter(x, np.mean, size=3))


def test_mistakes_with_vectorized_functions(rng):
    x = rng.random((5, 6))
    for kwargs in (
        {}, {"size": 3, "footprint": np.ones((2, 2))}, {"size": 0}, {"size": 2.5}, {"size": (3,)}, {"size": 3, "axes": (0, 1, 2)},
        {"size": 3, "mode": "bad"}, {"size": 3, "cval": 2}, {"size": 3, "mode": "valid", "origin": 1}, {"size": 3, "origin": 0.5},
        {"size": 3, "origin": (0,)}, {"size": 3, "batch_memory": 0}, {"size": 3, "batch_memory": 8},
        {"size": 3, "mode": "constant", "cval": "a"}, {"size": 7, "mode": "valid"},
    ):  # fmt: skip
        same("vectorized_filter", x, np.mean, **kwargs)
    same("vectorized_filter", x, 3, size=3)
    same("vectorized_filter", np.zeros((0, 3)), np.mean, size=3)
    same("vectorized_filter", np.array(2.0), np.mean, size=())
