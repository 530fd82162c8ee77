"""Neighbourhoods reduced by functions of the user: which windows they get, in what form, and what comes back."""

import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from functions import KINDS, MODES, deviation, every_kind, posix, weigh, weigh_compiled, weigh_few, weigh_one
from hypothesis import given
from hypothesis import strategies as st
from scipy import LowLevelCallable, ndimage

import fastconv
import reference
from support import LAYOUTS, assert_same_bits, run_script

reduce_ = fastconv.neighborhood_reduce


# --- Which windows


@every_kind
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    mode=st.sampled_from((*MODES, "valid", "ignore")),
    masked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from((np.float32, np.float64, np.uint8, np.int64, np.bool_)),
)
def test_windows_are_those_of_the_definition(function, shape, mode, masked, seed, dtype):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2 if dtype is np.bool_ else 9, shape).astype(dtype)
    high = [size + 1 if mode == "valid" else 6 for size in shape]
    footprint = rng.random([rng.integers(1, end) for end in high]) < 0.6
    footprint.flat[rng.integers(footprint.size)] = True
    options = {"mode": mode, "step": tuple(int(s) for s in rng.integers(1, 4, x.ndim))}
    if mode != "valid":
        options["origin"] = tuple(int(rng.integers(-(f // 2), (f - 1) // 2 + 1)) for f in footprint.shape)
    if mode == "constant":
        options["cval"] = 3 if dtype is not np.bool_ else 1
    if masked:
        options["mask"] = rng.random(shape) < 0.7
    result = reduce_(x, function, footprint=footprint, dtype=np.float64, **options)
    np.testing.assert_array_equal(result, reference.neighborhood(x, weigh_one, footprint, **options))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(3, 3), (4, 9), (1, 2)], ids=str)
def test_as_scipy(rng, mode, size):
    x = rng.integers(-9, 9, (11, 23)).astype(np.float64)
    origin = (0, -1) if size[1] > 1 else (0, 0)
    for function in (np.std, np.median, deviation, np.ptp, weigh):
        wanted = ndimage.vectorized_filter(
            x, lambda w, axis, f=function: f(w.reshape(*w.shape[:2], -1), axis=-1), size=size, mode=mode, origin=origin
        )
        np.testing.assert_allclose(reduce_(x, function, size, mode=mode, origin=origin), wanted, rtol=1e-13, atol=1e-13)
    wanted = ndimage.generic_filter(x, weigh_one, size=size, mode=mode, origin=origin)
    assert_same_bits(reduce_(x, weigh_one, size, mode=mode, origin=origin), wanted)
    assert_same_bits(reduce_(x, LowLevelCallable(weigh_compiled), size, mode=mode, origin=origin), wanted)


@every_kind
def test_an_image_larger_than_a_block(rng, function):
    x = rng.integers(0, 100, (2, 31, 3000 if function is weigh else 130)).astype(np.float64)
    kernel = np.arange(1.0, 16).reshape(3, 5)
    wanted = np.stack([ndimage.correlate(plane, kernel) for plane in x])
    assert_same_bits(reduce_(x, function, (3, 5), axes=(1, 2)), wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
@every_kind
def test_layouts(rng, function, layout):
    x = rng.integers(0, 9, (4, 7, 9)).astype(np.float32)
    assert_same_bits(reduce_(LAYOUTS[layout](x), function, 3), reduce_(x, function, 3))


@every_kind
def test_omitted_nans_do_not_count(rng, function):
    x = rng.integers(0, 9, (6, 40)).astype(np.float64)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[:, 20:26] = np.nan
    footprint = np.ones((3, 5), bool)
    wanted = reference.neighborhood(x, weigh_one, footprint, omit=True)
    assert np.isnan(wanted).any()
    np.testing.assert_array_equal(reduce_(x, function, footprint=footprint, nan_policy="omit"), wanted)
    # Else the function sees them.
    seen = reduce_(x, lambda w, axis: np.isnan(w).sum(axis=axis), 3)
    np.testing.assert_array_equal(seen, reduce_(np.isnan(x), "count", 3))
    with pytest.raises(ValueError, match="nan"):
        reduce_(x, function, 3, nan_policy="raise")


def test_structuring_elements_of_the_user(rng):
    """Dilation and erosion by a structuring element as one line each, called either way."""
    image = rng.random((60, 70)) < 0.2
    element = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 1]], bool)
    cells = element.ravel()
    for mode, cval in (("constant", 0), ("reflect", 0)):
        dilated = reduce_(image, lambda w, axis: np.mean(w & cells, axis=axis) > 0, 3, mode=mode, cval=cval)
        once = reduce_(image, lambda w: np.mean(w & cells) > 0, 3, mode=mode, cval=cval)
        named = reduce_(image, "any", footprint=element, mode=mode, cval=cval)
        assert dilated.dtype == once.dtype == np.bool_
        np.testing.assert_array_equal(dilated, named)
        np.testing.assert_array_equal(once, named)
    wanted = ndimage.binary_dilation(image, element[::-1, ::-1])
    np.testing.assert_array_equal(reduce_(image, lambda w, axis: w.any(axis), footprint=element, mode="constant"), wanted)
    wanted = ndimage.binary_erosion(image, element)
    np.testing.assert_array_equal(reduce_(image, lambda w, axis: w.mean(axis) == 1, footprint=element, mode="constant"), wanted)


# --- How a Python function is called


def test_blocks_lie_so_that_numpy_reduces_them_fast():
    seen = []

    def keep(windows, axis):
        seen.append((windows.shape, windows.strides, windows.dtype, axis, windows.flags.writeable))
        return windows.sum(axis=axis)

    reduce_(np.ones((40, 50), np.float32), keep, (3, 4))
    for shape, strides, dtype, axis, writeable in seen:
        assert shape[1] == 12 and axis == -1 and writeable and dtype == np.float32
        assert strides == (4, 4 * shape[0])
    assert sum(shape[0] for shape, *_ in seen) == 2000


def test_a_function_without_axis_gets_one_window_of_the_dtype_of_the_input():
    seen = []
    reduce_(np.arange(6, dtype=np.uint8), lambda window: seen.append(window) or window[0], 3, engine="python")
    np.testing.assert_array_equal(seen, [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 5]])
    assert all(type(w) is np.ndarray and w.dtype == np.uint8 and w.flags.c_contiguous for w in seen)


class Callable:
    def __call__(self, windows, **options):
        return np.max(windows, **options)


@pytest.mark.parametrize(
    "function",
    [np.max, np.maximum.reduce, max, Callable(), lambda w, *, axis: w.max(axis), lambda w, n=1, axis=0: w.max(axis)],
    ids=["numpy", "ufunc method", "builtin", "object", "keyword", "default"],
)
def test_kinds_of_python_functions(rng, function):
    x = rng.integers(0, 99, (9, 10))
    assert_same_bits(reduce_(x, function, 3), ndimage.maximum_filter(x, 3))


@pytest.mark.parametrize("workers", [None, 2])
def test_windows_may_be_kept_and_changed(rng, workers):
    x = rng.standard_normal((30, 4000))
    kept = []

    def spoil(windows, axis):
        result = windows.sum(axis=axis)
        windows[...] = np.nan
        kept.append(windows)
        return result

    def spoil_one(window):
        result = float(window.sum())
        window[:] = np.nan
        kept.append(window)
        return result

    before = x.copy()
    np.testing.assert_allclose(reduce_(x, spoil, 3, workers=workers, engine="python"), reduce_(x, np.sum, 3))
    np.testing.assert_allclose(reduce_(x[:, :99], spoil_one, 3, workers=workers), reduce_(x[:, :99], np.sum, 3))
    assert all(np.isnan(w).all() for w in kept)
    np.testing.assert_array_equal(x, before)
    # What is returned may be a part of the block.
    np.testing.assert_array_equal(reduce_(x, lambda w, axis: w[:, 4], 3, workers=workers), x)


def test_windows_of_as_many_counting_values_go_together(rng):
    counts = []

    def count(windows, axis):
        counts.append(windows.shape[1])
        return windows.mean(axis=axis)

    x = rng.standard_normal((20, 20))
    result = reduce_(x, count, 3, mode="ignore", engine="python")
    assert set(counts) == {4, 6, 9} and len(counts) < 10
    np.testing.assert_allclose(result, reference.neighborhood(x, np.mean, np.ones((3, 3), bool), mode="ignore"))


# --- Results


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("function", [np.mean, np.min, np.max, np.var, np.std, np.median], ids=lambda f: f.__name__)
def test_reductions_of_numpy_are_the_names(rng, function, dtype):
    x = (rng.standard_normal((30, 40)) * 20).astype(dtype)
    mask = rng.random(x.shape) < 0.8
    mask[:8, :8] = False  # some windows are empty
    for options in ({}, {"mode": "ignore"}, {"mask": mask}, {"footprint": np.eye(3, 4, dtype=bool)}):
        options = {"size": (3, 4)} | options if "footprint" not in options else options
        called = reduce_(x, lambda w, axis: function(w, axis=axis), **options)
        result = reduce_(x, function, **options)
        assert result.dtype == called.dtype
        eps = np.finfo(result.dtype).eps if result.dtype.kind == "f" else 0
        np.testing.assert_allclose(result, called, rtol=16 * eps, atol=16 * eps * 20)
    assert_same_bits(reduce_(x, function, 3, dtype=np.float64), reduce_(x, function.__name__, 3, dtype=np.float64))


def test_reductions_of_numpy_are_not_called(rng, monkeypatch):
    monkeypatch.setattr(fastconv._face.callables, "run", None)
    reduce_(rng.random((5, 5)), np.std, 3)


def test_the_result_of_the_function_decides_the_dtype(rng):
    x = rng.standard_normal((5, 6)).astype(np.float32)
    assert reduce_(x, np.mean, 3).dtype == np.float32
    assert reduce_(x, lambda w: 1, 3).dtype == np.int64
    assert reduce_(x, lambda w: 1.5, 3).dtype == np.float64
    assert reduce_(x, lambda w, axis: w.mean(axis).astype(np.complex64), 3).dtype == np.complex64
    assert reduce_(x, lambda w, axis: w.mean(axis) > 0, 3).dtype == np.bool_
    assert reduce_(x, np.mean, 3, dtype=np.float64).dtype == np.float64
    assert reduce_((9 * x).astype(int), weigh_compiled, 3).dtype == np.float64
    assert reduce_(x, weigh_compiled, 3).dtype == np.float32


def test_dtypes_that_differ_between_calls_are_promoted():
    x = np.zeros((40, 4000))
    x[-1] = 0.5
    assert_same_bits(reduce_(x, lambda w: 0 if w[0] == 0 else w[0], 1), x)
    blocks = reduce_(x, lambda w, axis: w[:, 0] if w.any() else w[:, 0].astype(np.int8), 1)
    assert_same_bits(blocks, x)


@pytest.mark.parametrize("make", [lambda a: a, lambda a: a[:, ::-2], lambda a: a.T], ids=["plain", "strided", "turned"])
@every_kind
def test_out(rng, function, make):
    x = rng.integers(0, 9, (12, 12)).astype(np.float64)
    out = make(np.full((12, 12), 7.0))
    wanted = reduce_(x[: out.shape[0], : out.shape[1]], function, 3)
    assert reduce_(x[: out.shape[0], : out.shape[1]], function, 3, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    floats = np.empty(x.shape, np.float32)
    reduce_(x, function, 3, out=floats)
    np.testing.assert_array_equal(floats, reduce_(x, function, 3))


@every_kind
def test_out_may_overlap(rng, function):
    x = rng.integers(0, 9, (12, 12)).astype(np.float64)
    wanted = reduce_(x, function, 3)
    assert reduce_(x, function, 3, out=x) is x
    np.testing.assert_array_equal(x, wanted)


@pytest.mark.parametrize("dtype", [object, "S3", "U2", np.longdouble, np.clongdouble, "M8[s]", "m8[s]", [("a", "f8")]], ids=str)
@every_kind
def test_out_of_a_dtype_that_results_cannot_have(function, dtype):
    out = np.zeros((8, 9), dtype)
    before = out.tobytes()
    for results in (out, [out]):
        with pytest.raises(TypeError, match="dtype"):
            reduce_(np.ones((8, 9)), [function] if results is not out else function, 3, out=results)
    assert out.tobytes() == before


@every_kind
def test_out_that_is_no_array(function):
    for out in ([[0.0] * 9] * 8, 7, np.float64(1), memoryview(np.zeros((8, 9)))):
        with pytest.raises(TypeError, match="out must be a NumPy array"):
            reduce_(np.ones((8, 9)), function, 3, out=out)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4, 2)], ids=str)
@every_kind
def test_nothing_to_do(function, shape):
    result = reduce_(np.zeros(shape, np.float32), function, 3)
    assert result.shape == shape


# --- Errors


@pytest.mark.parametrize("workers", [None, 1, 3])
@pytest.mark.parametrize("blocks", [False, True])
def test_the_exception_of_the_function_comes_out_as_raised(workers, blocks):
    error = KeyError("mine")
    calls = []

    def fail(windows, axis=None):
        calls.append(1)
        raise error

    with pytest.raises(KeyError) as caught:
        reduce_(np.ones((200, 2000)), fail if blocks else lambda w: fail(w), 3, workers=workers)
    assert caught.value is error
    assert len(calls) <= 3 * (workers or 1)


@pytest.mark.parametrize("workers", [None, 2])
def test_stop_iteration_comes_out_as_raised(workers):
    def stop(windows, axis):
        return next(iter(()))

    with pytest.raises(StopIteration):
        reduce_(np.zeros((9, 9)), stop, 3, workers=workers)


def returns_row(windows, axis):
    return windows


def returns_pair(window):
    return 1.0, 2.0


@pytest.mark.parametrize(
    "kind, function, words",
    [
        (ValueError, returns_row, ("returns_row", r"\(25, 9\)", r"\(25,\)")),
        (ValueError, lambda w, axis: w.mean(), (r"\(\)", r"\(25,\)")),
        (ValueError, lambda w, axis: w.mean(axis=axis, keepdims=True), (r"\(25, 1\)", r"\(25,\)")),
        (ValueError, returns_pair, ("returns_pair", r"\(2,\)", "one number")),
        (ValueError, lambda w: [1] if w[0] else 1, (r"\(1,\)", "one number")),
        (TypeError, lambda w: None, ("object", "numbers")),
        (TypeError, lambda w: "a", ("<U1", "numbers")),
        (TypeError, lambda w, axis: w[:, 0].astype("M8[s]"), ("datetime64", "numbers")),
        (TypeError, np.maximum, ("maximum",)),
    ],
)
def test_wrong_results(kind, function, words):
    out = np.full((5, 5), 7.0)
    with pytest.raises(kind) as caught:
        reduce_(np.arange(25.0).reshape(5, 5), function, 3, out=out)
    for word in words:
        caught.match(word)
    assert (out == 7).all()


def test_windows_without_a_counting_value_are_not_handed_over(rng):
    x = rng.standard_normal(9)
    mask = np.ones(9, bool)
    mask[3:6] = False
    for function in (np.max, lambda w: max(w), weigh_compiled):
        result = reduce_(x, function, 3, mask=mask)
        np.testing.assert_array_equal(np.isnan(result), np.arange(9) == 4)


@pytest.mark.parametrize("dtype", [np.int16, np.bool_, np.float32, np.complex64], ids=lambda d: d.__name__)
@every_kind
def test_results_where_no_value_counts(rng, function, dtype):
    x = rng.integers(1, 9, (11, 40)) + 0.25
    mask = rng.random(x.shape) < 0.2
    wanted = reference.neighborhood(x, weigh_one, np.ones((3, 3), bool), empty=0, mask=mask)
    counts = reduce_(np.ones(x.shape), "sum", 3, mask=mask)
    assert (counts == 0).any()
    result = reduce_(x, function, 3, mask=mask, dtype=dtype)
    wanted = np.rint(wanted).astype(dtype) if dtype is np.int16 else wanted.astype(dtype)
    np.testing.assert_array_equal(result[counts > 0], wanted[counts > 0])
    np.testing.assert_array_equal(result[counts == 0], np.nan if np.dtype(dtype).kind in "fc" else 0)


def test_results_that_become_floats_after_windows_without_values():
    x = np.arange(90.0 * 400).reshape(90, 400)
    mask = np.ones(x.shape, bool)
    mask[:70, ::2] = False
    mask[:5] = False  # first nothing, then integers, then floats
    for first in (0, 5):
        late = reduce_(x[first:], lambda w: int(w[0]) if w[0] < 30000 else w[0], 1, mask=mask[first:])
        np.testing.assert_array_equal(late, np.where(mask, x, np.nan)[first:])
        whole = reduce_(x[first:], lambda w: int(w[0]), 1, mask=mask[first:])
        np.testing.assert_array_equal(whole, np.where(mask, x, 0).astype(int)[first:])
        assert whole.dtype == np.int64
    nothing = reduce_(x, lambda w: 1, 3, mask=np.zeros(x.shape, bool))
    assert np.isnan(nothing).all() and nothing.dtype == np.float64


def peak_of(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("workers", [None, 2])
def test_memory_of_integers_with_empty_windows(rng, workers):
    x = rng.integers(0, 9, (1000, 1000)).astype(np.int32)
    mask = rng.random(x.shape) < 0.1
    out = np.empty(x.shape, np.int64)
    assert peak_of(lambda: reduce_(x, lambda w, axis: w[:, 0], 3, mask=mask, workers=workers)) < out.nbytes + (20 << 20)


def test_memory_of_large_windows():
    x = np.ones((1000, 4))
    assert peak_of(lambda: reduce_(x, lambda w, axis: w[:, 0], 701, step=500)) < 20 << 20
    assert peak_of(lambda: reduce_(np.ones((3, 3), np.float32), weigh_few, (801, 801))) < 20 << 20
    assert peak_of(lambda: reduce_(np.ones((3, 3)), lambda w: w[0], footprint=np.ones((1001, 1001)), step=3)) < 20 << 20


# --- Threads


@pytest.mark.parametrize("workers", [2, 3, 7])
@pytest.mark.parametrize("function", [deviation, weigh, weigh_one, weigh_compiled], ids=["std", *KINDS])
def test_threads_do_not_change_the_bits(rng, function, workers):
    x = rng.standard_normal((40, 2000 if function in (deviation, weigh) else 60))
    assert_same_bits(reduce_(x, function, 3, workers=workers), reduce_(x, function, 3))


def test_threads_only_if_asked_for():
    threads = set()

    def note(window):
        threads.add(threading.get_ident())
        return window[0]

    x = np.zeros((80, 80))
    reduce_(x, note, 3, engine="python")
    reduce_(x, note, 3, workers=1, engine="python")
    assert threads == {threading.get_ident()}
    reduce_(x, note, 3, workers=2, engine="python")
    assert len(threads) > 1


def test_threads_see_the_error_state_of_the_caller():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        reduce_(np.zeros((50, 2000)), lambda w, axis: 1 / w.sum(axis), 3, workers=2)
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(reduce_(np.zeros((50, 2000)), lambda w, axis: 1 / w.sum(axis), 3, workers=2)).all()


INTERRUPT = """
    import fastconv
    from scipy.ndimage import _cytest
    functions = {
        "blocks": (3, lambda w, axis: np.sort(w, axis=axis)[:, 3]),
        "windows": (3, lambda w: sum(range(300))),
        "compiled": (41, _cytest.filter2d([1.0] * 41 * 41)),
    }
    x = np.ones((4000, 4000))
    def interrupt():
        global sent
        time.sleep(0.1)
        sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)
    for kind, (size, function) in functions.items():
        for workers in (None, 2):
            threading.Thread(target=interrupt).start()
            try:
                fastconv.neighborhood_reduce(x, function, size, workers=workers)
                print(kind, workers, "finished")
            except KeyboardInterrupt:
                print(kind, workers, time.perf_counter() - sent)
"""


@posix
def test_an_interrupt_stops_a_long_call(tmp_path):
    lines = [line.split() for line in run_script(INTERRUPT, cwd=tmp_path)]
    assert [tuple(words) for *words, _ in lines] == [(kind, w) for kind in KINDS for w in ("None", "2")]
    for _, _, delay in lines:
        assert float(delay) < 0.5


INTERRUPT_NAMES = """
    import ctypes, fastconv
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1024, 1024))
    u = rng.integers(0, 65536, x.shape, np.uint16)
    mask = rng.random(x.shape) < 0.5
    cube = rng.standard_normal((96, 96, 96))
    large, larger = np.tile(x, (4, 4)), np.tile(x, (9, 9))
    cases = {
        "entropy": (x, "entropy", {"size": 15}),
        "mode": (u, "mode", {"size": 31}),
        "mode of floats": (x.astype("f4"), "mode", {"size": 101}),
        "entropy of a byte": (u.astype("u1"), "entropy", {"footprint": rng.random((201, 201)) < 0.5}),
        "std": (np.tile(x, (5, 5)), "std", {"size": 301, "mask": np.tile(mask, (5, 5))}),
        "bytes": (np.tile(u.astype("u1"), (5, 5)), "var", {"size": 1001, "mask": np.tile(mask, (5, 5))}),
        "cube": (cube, ["sum", "prod"], {"size": 15, "mask": rng.random(cube.shape) < 0.5}),
        "median": (x, "median", {"size": 101, "mask": mask}),
        "cells": (large, "median", {"footprint": np.eye(31) + np.eye(31)[::-1] != 0}),
        "box": (large, "median", {"size": 31}),
        "large box": (x, "median", {"size": 2001, "step": 8}),
        "larger box": (x.astype("f4"), ("percentile", 30), {"size": 4001, "mask": mask}),
        "large entropy of a byte": (u.astype("u1"), "entropy", {"size": 2001}),
        "large mode of 16 bits": (u, "mode", {"size": 601}),
        "large mode": (x, "mode", {"size": 1301}),
        "large entropy": (x.astype("f4"), "entropy", {"size": 801, "mask": mask}),
        "random": (large, "min", {"footprint": rng.random((201, 201)) < 0.5}),
        "transposed": (larger.T, ["mean", "max", "std"], {"size": 9}),
        "one": (larger, ["mean", "max"] * 4, {"size": 1}),
    }
    def interrupt():
        global sent
        time.sleep(0.05)
        sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)
    for kind, (image, reduction, window) in cases.items():
        threading.Thread(target=interrupt).start()
        try:
            fastconv.neighborhood_reduce(image, reduction, workers=2, **window)
            print(kind, "finished")
        except KeyboardInterrupt:
            print(kind, time.perf_counter() - sent)
"""


@posix
def test_an_interrupt_stops_names(tmp_path):
    for line in run_script(INTERRUPT_NAMES, cwd=tmp_path):
        assert float(line.split()[-1]) < 0.5, line


def test_several_reductions(rng):
    x = rng.standard_normal((9, 11))
    std, high, mean = reduce_(x, [deviation, weigh_compiled, "mean"], 3)
    assert_same_bits(std, reduce_(x, deviation, 3))
    assert_same_bits(high, reduce_(x, weigh_compiled, 3))
    assert_same_bits(mean, reduce_(x, "mean", 3))


def test_a_function_that_raises_comes_before_the_names():
    def fail(window):
        raise KeyError("mine")

    outs = [np.full((4, 5), 7.0) for _ in range(2)]
    with pytest.raises(KeyError, match="mine"):
        reduce_(np.ones((4, 5)), ["mean", fail], 3, out=outs)
    assert (outs[0] == 7).all()
