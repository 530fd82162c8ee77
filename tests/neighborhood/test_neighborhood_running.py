"""Named reductions of neighbourhoods: layouts, threads, lists, calls alike, `out`, memory."""

import functools
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from definitions import DISK, PAD_MODES, boxes, every_name

import fastconv
from support import (
    LAYOUTS,
    assert_any_layout_agrees,
    assert_same_bits,
)

reduce_ = fastconv.neighborhood_reduce


# --- Layouts, threads, lists, out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64], ids=lambda d: d.__name__)
def test_layouts(rng, layout, dtype):
    x = rng.integers(0, 100, (4, 30, 33)).astype(dtype)
    for name in ("max", "mean", "std"):
        assert_any_layout_agrees(x, layout, functools.partial(reduce_, reduction=name, size=(1, 4, 3)))


@every_name
@pytest.mark.parametrize("window", [{"size": 5}, {"footprint": np.tri(7)}], ids=["box", "triangle"])
def test_threads_do_not_change_the_bits(rng, name, window):
    x = rng.standard_normal((130, 150)).astype(np.float32)
    x[70, 70:90] = np.nan
    one = reduce_(x, name, workers=1, **window)
    for workers in (2, 3, 7):
        assert_same_bits(reduce_(x, name, workers=workers, **window), one)


@pytest.mark.parametrize("name", ["sum", "mean", "std", "prod"])
@pytest.mark.parametrize("shape", [(100, 30, 20), (3, 70, 200), (20, 5, 300), (70, 80, 9)], ids=str)
@pytest.mark.parametrize("axes", [(1, 2), (1,), (2,)], ids=str)
def test_a_batch_does_not_change_the_bits(rng, name, shape, axes):
    x = rng.standard_normal(shape)
    x[0, 3, 4] = np.nan  # another image's
    for options in ({}, {"nan_policy": "omit"}, {"mask": ~np.isnan(x)}):
        batch = reduce_(x, name, 9, axes=axes, **options)
        for i in (1, shape[0] - 1):
            one = {**options, "mask": options["mask"][i]} if "mask" in options else options
            assert_same_bits(batch[i], reduce_(x[i], name, 9, axes=tuple(a - 1 for a in axes), **one))
        step = reduce_(np.asfortranarray(x), name, 9, axes=axes, step=(2,) * len(axes), **options)
        assert_same_bits(step, batch[tuple(slice(None, None, 2 if a in axes else None) for a in range(3))])


@pytest.mark.parametrize("options", [{}, {"mask": True}, {"nan_policy": "omit"}, {"mode": "ignore"}], ids=str)
@pytest.mark.parametrize("window", [{"size": 7}, {"footprint": np.tri(7)}], ids=["box", "triangle"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masked_cells_do_not_change_the_bits_of_others(rng, dtype, options, window):
    """An output depends on its window alone: not on what is missing in its line or block, nor on what else is computed."""
    x = rng.standard_normal((150, 900)).astype(dtype)
    holes = rng.random(x.shape) < 0.0002
    if "nan_policy" in options:
        x[holes] = np.nan
    options = {"mask": ~holes} if "mask" in options else options
    names = ["mean", ("std", 1), "sum", "prod", "var", "max", "any"]
    results = reduce_(x, names, **window, **options)
    part = (slice(30, 120), slice(200, 500))
    cut = {**options, "mask": options["mask"][part]} if "mask" in options else options
    for name, result, inner in zip(names, results, reduce_(x[part], names, **window, **cut), strict=True):
        assert_same_bits(result, reduce_(x, name, **window, **options))
        assert_same_bits(inner[3:-3, 3:-3], result[part][3:-3, 3:-3])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("window", [{"size": 7}, {"footprint": DISK}], ids=["box", "disk"])
def test_lists_share_their_work(rng, dtype, window):
    x = (rng.standard_normal((90, 80)) * 100).astype(dtype)
    names = ["var", "range", "any", "mean", "min", ("std", 1), "sum", "max", "count", "all", "prod", "min", "std"]
    for name, result in zip(names, reduce_(x, names, **window), strict=True):
        assert_same_bits(result, reduce_(x, name, **window))


def test_lists_are_the_calls_one_by_one(rng):
    x = rng.integers(0, 255, (40, 50), np.uint8)
    names = ["mean", ("std", 1), "max", "count", "min", "range", "sum"]
    outs = [reduce_(x, name, 7) for name in names]
    results = reduce_(x, names, 7)
    assert isinstance(results, list)
    for result, expected in zip(results, outs, strict=True):
        assert_same_bits(result, expected)
    given_ = [np.empty_like(out) for out in outs]
    for result, out, expected in zip(reduce_(x, names, 7, out=given_), given_, outs, strict=True):
        assert result is out
        assert_same_bits(out, expected)
    assert reduce_(x, [], 3) == []


@pytest.mark.parametrize("reduction", ["min", "median", ["max", "mean", "range"]], ids=str)
@pytest.mark.parametrize("window", [{"size": 3}, {"footprint": DISK}], ids=["box", "disk"])
def test_a_call_like_an_earlier_one_sees_its_own_arrays(rng, reduction, window):
    images = [rng.integers(0, 99, (70, 90), np.uint8) for _ in range(3)]
    images += [images[0].T.copy().T, np.repeat(images[1], 2, axis=1)[::-1, ::-2]]
    masks = [rng.random((70, 90)) < 0.9, np.asfortranarray(rng.random((70, 90)) < 0.5)]
    other = {"size": [3, 3]} if "size" in window else {"footprint": DISK.tolist()}  # which are planned at every call
    expected = [np.asarray(reduce_(x, reduction, mask=m, **other)) for x in images for m in (None, *masks)]
    for chosen in fastconv.available_isas():
        with fastconv.use_isa(chosen):
            found = [np.asarray(reduce_(x, reduction, mask=m, **window)) for x in images for m in (None, *masks)]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-15)


def test_calls_that_only_look_like_an_earlier_one():
    x = np.full((70, 80), 2.0)
    for _ in range(2):
        assert not np.signbit(reduce_(x, "min", 3, mode="constant", cval=0.0)[0, 0])
        assert np.signbit(reduce_(x, "min", 3, mode="constant", cval=-0.0)[0, 0])
        assert reduce_(x, "min", 3, dtype=np.int8).dtype == np.int8
        assert reduce_(x.astype(">f8"), "min", 3)[0, 0] == 2
        assert reduce_(x, ["min"], 3)[0].dtype == np.float64
        right = {"size": 3, "origin": 1, "step": 1, "axes": (0, 1)}
        assert reduce_(x, "min", **right)[0, 0] == reduce_(x, ("rank", 1), 3)[0, 0] == 2
        for wrong in ({"size": 3.0}, {"size": (3, 3.0)}, {"origin": True}, {"step": 1.0}, {"axes": (0, 1.0)}):
            with pytest.raises(TypeError):
                reduce_(x, "min", **right | wrong)
        with pytest.raises(TypeError):
            reduce_(x, ("rank", 1.0), 3)
        with pytest.raises(TypeError):
            reduce_(x, "min", 3, out=np.empty(x.shape, np.float32))
        with pytest.raises(ValueError, match="NaN"):
            reduce_(x * np.nan, "min", 3, nan_policy="raise")


def test_calls_whose_numbers_stand_in_another_order(rng):
    x = rng.integers(0, 99, (70, 80))
    for _ in range(2):
        for size, axes in (((3, 5), (0, 1)), ((5, 3), (0, 1)), ((3, 5), (1, 0)), (3, (0,)), (3, 1)):
            sizes = dict.fromkeys((0, 1), 1) | dict(zip(np.atleast_1d(axes), np.broadcast_to(size, np.size(axes)), strict=True))
            for parameter in (20, 80.0):
                result = reduce_(x, ("percentile", parameter), size, axes=axes)
                windows = boxes(x, (sizes[0], sizes[1]))
                np.testing.assert_allclose(result, np.percentile(windows, parameter, axis=-1), rtol=1e-14)


def test_calls_alike_at_once(rng):
    images = [rng.integers(0, 99, (300, 300)) for _ in range(8)]
    expected = [reduce_(x, "max", 5) for x in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for one, other in zip(pool.map(lambda x: reduce_(x, "max", 5, workers=1), images), expected, strict=True):
                assert_same_bits(one, other)


@pytest.mark.parametrize("name", ["max", "sum", "std"])
def test_out_may_overlap_the_input(rng, name):
    x = rng.standard_normal((40, 64))
    expected = reduce_(x, name, 5)
    assert_same_bits(reduce_(x.copy(), name, 5, out=(same := x.copy())), expected)
    inside = x.copy()
    reduce_(inside, name, 5, out=inside)
    assert_same_bits(inside, expected)
    assert_same_bits(same, expected)


def test_out_may_overlap_a_mask_that_is_no_array(rng):
    class Wrapped:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    x = rng.integers(0, 9, (30, 40), np.uint8)
    for wrap in (Wrapped, memoryview):
        mask = rng.integers(0, 2, x.shape, np.uint8)
        expected = reduce_(x, "sum", 3, mask=mask.copy(), dtype=np.uint8)
        assert_same_bits(reduce_(x, "sum", 3, mask=wrap(mask), out=mask, dtype=np.uint8), expected)


@pytest.mark.parametrize("dtype", ["int8", ">u2", "int32", ">i8", "uint64"])
def test_masks_of_integers(rng, dtype):
    x = rng.standard_normal((40, 70))
    mask = (rng.integers(0, 3, x.shape) * (64 if dtype == "int8" else 256)).astype(dtype)
    for mode in ("reflect", "wrap", "ignore", "constant"):
        assert_same_bits(reduce_(x, "max", 5, mode=mode, mask=mask), reduce_(x, "max", 5, mode=mode, mask=mask != 0))
    sparse = np.repeat(mask, 2, axis=1)[:, ::-2]
    assert_same_bits(reduce_(x, "max", 5, mask=sparse), reduce_(x, "max", 5, mask=sparse != 0))


def test_memory_is_bounded(rng):
    x = rng.standard_normal((1500, 1500))
    out = np.empty_like(x)
    for name, window in (("max", {"size": 31}), ("mean", {"size": 9}), ("min", {"footprint": np.eye(15)})):
        reduce_(x[:100], name, **window)
        tracemalloc.start()
        reduce_(x, name, out=out, workers=2, **window)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 24 << 20


@pytest.mark.parametrize("names", ["min", "sum", "any", "median", ["min", "std", "count"]], ids=str)
def test_memory_of_windows_much_larger_than_the_image(rng, names):
    x = rng.standard_normal((40, 50))
    size = 301 if names == "median" else 2001
    tracemalloc.start()
    reduce_(x, names, size, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize("mode", (*PAD_MODES, "ignore"))
def test_windows_that_see_each_line_many_times(rng, mode):
    x = rng.standard_normal((3, 2, 9))
    size = (25, 40, 6)
    masks = [None] if mode == "ignore" else [None, rng.random(x.shape) < 0.5]
    for mask in masks:
        names = ["min", "count", "std", "median", "mode"]
        for name, result in zip(names, reduce_(x, names, size, mode=mode, cval=2, mask=mask), strict=True):
            if mode == "ignore":
                fits = reduce_(x, name, (5, 3, 6), mode=mode)
            else:
                windows = boxes(x, size, mode, 2)
                counted = np.ones(windows.shape, bool) if mask is None else boxes(mask, size, mode, True)
                fits = windows[..., 0].copy()
                for i in np.ndindex(*x.shape):
                    values = windows[i][counted[i]]
                    unique, counts = np.unique(values, return_counts=True)
                    function = {"std": np.std, "count": np.count_nonzero, "min": np.min, "median": np.median}.get(name)
                    fits[i] = function(values) if function else unique[np.argmax(counts)]
            np.testing.assert_allclose(result, fits, rtol=1e-12)


def test_dilation_and_erosion_by_name(rng):
    image = rng.integers(0, 255, (30, 40), np.uint8)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    stack = np.stack([np.pad(image, 1, "symmetric")[1 + i : 31 + i, 1 + j : 41 + j]
                      for i, j in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))])  # fmt: skip
    np.testing.assert_array_equal(reduce_(image, "max", footprint=cross), stack.max(axis=0))
    np.testing.assert_array_equal(reduce_(image, "min", footprint=cross), stack.min(axis=0))
