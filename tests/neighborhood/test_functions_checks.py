"""What compiled functions are compared on, and what is remembered of it."""

import itertools
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_functions_compiled import numbers, same

from fastconv import neighborhood_reduce
from fastconv._face.callables import Keyed
from fastconv.runtime import use_seams

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
MARK = 5000.0  # which no window has that a new program is tried on


def hiding(sees):
    """A function that gives 7 for windows in which `sees` sees something, and that its stand-in does not know of."""

    def function(w, axis):
        result = w[..., 0] / w[..., -1]
        return np.where(sees(w), 7, result) if type(w) is np.ndarray else result

    return function


def found_out(x, function, size, **options):
    with np.errstate(all="ignore"):
        with pytest.warns(RuntimeWarning, match="gives other results"):
            got = neighborhood_reduce(x, function, size, **options)
        assert_array_equal(got, neighborhood_reduce(x, function, size, engine="python", **options))


@pytest.mark.parametrize("shape", [(50, 61), (400, 300), (9, 10, 11)])
@pytest.mark.parametrize("probed", [100, 4096])
def test_windows_with_nan_are_compared(shape, probed):
    rng = np.random.default_rng(1)
    x = rng.random(shape) + 1
    # One NaN where all elements are looked at, else some.
    at = rng.random(shape) < 0.04 if x.size > probed else np.arange(x.size).reshape(shape) == x.size // 3
    function = hiding(lambda w: (np.isnan(w).any(-1) & (w == MARK).any(-1)))
    x[at] = MARK
    for axis in range(x.ndim):
        marked = x.copy()
        marked[np.roll(at, 1, axis)] = np.nan
        for options in ({}, {"step": 2}, {"mode": "constant", "cval": MARK}, {"origin": 1}, {"footprint": np.eye(3) > -1}):
            if "footprint" not in options or x.ndim == 2:
                size = {} if "footprint" in options else {"size": 3}
                with use_seams({"neighborhood._PROBED": probed}):
                    found_out(marked, function, size.get("size"), **options)


def test_results_that_are_nan_are_compared():
    x = np.random.default_rng(2).random((50, 61)) + 1
    x[17:19, 23:25] = np.inf  # of which there is no quotient
    found_out(x, hiding(lambda w: (w == np.inf).all(-1)), 2)
    same(np.where(x == np.inf, MARK, x), lambda w, axis: w[..., 0] / w[..., -1], 2)


@pytest.mark.parametrize("shape", [(40,), (30, 40), (6, 7, 8)])
def test_windows_at_all_corners_are_compared(shape):
    x = np.random.default_rng(3).random(shape) + 1
    for corner in itertools.product((0, -1), repeat=len(shape)):
        marked = x.copy()
        marked[corner] = MARK
        found_out(marked, hiding(lambda w: (w == MARK).sum(-1) > 1), 3)


@pytest.mark.parametrize("places", [1, 1 << 12])
def test_compared_windows_are_those_of_the_image(places):
    rng = np.random.default_rng(4)
    tells = lambda w, axis: (w * np.arange(1, w.shape[-1] + 1)).sum(axis)  # noqa: E731
    with use_seams({"neighborhood._MOST_PLACES": places}):
        for shape, mode in itertools.product(((40,), (17, 33), (33, 17), (5, 6, 7), (1, 1)), MODES):
            x = rng.random(shape)
            for _ in range(2):  # of which the second remembers
                same(x, tells, 3, mode=mode, units=8)
                same(x.T, tells, 4, mode=mode, units=8)
                same(x, tells, 2, mode=mode, step=2, axes=0, units=8)
                if x.ndim == 2:
                    same(x, tells, None, footprint=rng.random((3, 4)) > 0.3, mode=mode, units=8)


def test_one_output_and_none():
    for shape in ((1,), (1, 1), (2, 1), (3, 3)):
        same(np.random.default_rng(5).random(shape), lambda w, axis: w.max(axis) - w.min(axis), 3)
    for shape in ((0,), (0, 3)):
        assert neighborhood_reduce(np.ones(shape), lambda w, axis: w.max(axis), 3).shape == shape


def erring(w):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return w[0] / w[1]
        except RuntimeWarning:
            return -7.0


def recording(w):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        value = w[0] / w[1]
    return -7.0 if seen else value


def ignoring(w):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return w[0] / w[1]


def test_functions_that_watch_warnings_are_called():
    x = np.ones((20, 30))
    x[4, 7] = 0
    for function in (erring, recording):
        with pytest.raises(ValueError, match="what watches warnings"):
            neighborhood_reduce(x, function, 3, engine="compiled")
        got = neighborhood_reduce(x, function, 3)
        assert (got == -7).sum() == 1
        assert_array_equal(got, neighborhood_reduce(x, function, 3, engine="python"))
    assert np.isinf(neighborhood_reduce(x, ignoring, 3, engine="compiled")).sum() == 1


def test_indices_are_remembered_and_forgotten(monkeypatch):
    from fastconv._face import trace

    x = numbers(np.random.default_rng(6), (9, 40), "f8", special=False)
    functions = [
        lambda w, axis: w[..., 0] - w[..., -1],
        lambda w, axis: w[..., 1:3].sum(axis),
        lambda w, axis: w[..., 1:True + 2].max(axis),
        lambda w, axis: w[..., np.int64(1)],
        lambda w, axis: w[:, None, 3][..., 0],
        lambda w: w[3] + w[..., 3],
        lambda w: w[3:4].sum() - w[np.uint8(2)],
        lambda w: w[:3][True].sum(),
    ]  # fmt: skip
    for most, elements in ((2, 1 << 10), (256, 1 << 10), (256, 8)):
        monkeypatch.setattr(trace, "_MOST_INDICES", most)
        monkeypatch.setattr(trace, "_MOST_ELEMENTS", elements)
        trace._indices.clear()
        for function in functions * 2:
            same(x, function, 3)
            assert len(trace._indices) <= most
            assert all(np.prod(tail) <= elements for _, tail, _ in trace._indices)


def test_functions_with_a_key_are_watched_once():
    calls = []

    def function(windows, axis):
        calls.append("called" if type(windows) is np.ndarray else "watched")
        return windows.max(axis) * 2.0 + windows[..., 0]

    rng = np.random.default_rng(5)
    for shape in ((9, 20), (12, 30), (9, 20)):
        x = rng.random(shape)
        found = neighborhood_reduce(x, Keyed(function, "test", "twice the greatest"), 3)
        assert_array_equal(found, neighborhood_reduce(x, lambda w, axis: w.max(axis) * 2.0 + w[..., 0], 3, engine="python"))
    assert calls.count("watched") == 1 and len(calls) == 2  # the other call is for windows of special values
    neighborhood_reduce(x.astype("f4"), Keyed(function, "test", "twice the greatest"), 3)
    neighborhood_reduce(x, Keyed(function, "test", "twice the greatest"), (3, 4))
    assert calls.count("watched") == 3
