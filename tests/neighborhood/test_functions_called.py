"""Functions of windows that are called, since they cannot be compiled or change; and what few windows of an image show."""

import itertools
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastconv import explain, neighborhood_reduce
from fastconv.runtime import use_seams

STATE = {"n": 0}


def counting(v, axis):
    STATE["n"] += 1
    return v.sum(axis) + STATE["n"]


def assigning(v, axis):
    v[:1] = v[:1]
    return v.sum(axis)


def sharing(v, axis):
    same = v.reshape(-1, 3, 3).reshape(-1, 9)
    v -= 1
    return same.sum(-1)


def swallowing(v, axis):
    try:
        return v.sum(axis) if v[0, 0] > 0 else v.max(axis)
    except Exception:
        return v.min(axis)


REFUSED = {
    "branch": (lambda v, axis: v.max(axis) if v.max() > 3 else v.min(axis), "across windows"),
    "branch on a window": (lambda v: v.max() if v[0] > 3 else v.min(), "a branch that depends on the windows"),
    "float": (lambda v: float(v[0]), "a number made of windows"),
    "asarray": (lambda v, axis: np.asarray(v).max(axis), "the windows as an array"),
    "loop": (lambda v: sum(one for one in v), "a loop over windows"),
    "assignment": (assigning, "across windows"),
    "in place": (sharing, "a change of an array that another may share"),
    "swallowed": (swallowing, "across windows|a branch"),
    "unknown function": (lambda v, axis: np.unwrap(v).sum(axis), "numpy.unwrap"),
    "unknown method": (lambda v, axis: v.argsort(axis)[..., -1], "the attribute argsort"),
    "number of windows": (lambda v, axis: v.sum(axis) / len(v) * len(v), "the number of windows"),
    "across windows": (lambda v, axis: v.sum(axis) - v[0, 0], "an index across windows"),
    "all windows": (lambda v, axis: v.sum(axis) / v.max(), "a reduction across windows"),
    "index that depends": (lambda v, axis: np.take_along_axis(v, v.argmax(axis, keepdims=True), axis)[..., 0], "take_along_axis"),
    "constant": (lambda v: 3, "no number of each window"),
    "complex": (lambda v, axis: v.sum(axis) * 1j, "complex"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_called(name):
    function, what = REFUSED[name]
    x = np.random.default_rng(9).integers(0, 9, (6, 40)).astype(float)
    with pytest.raises(ValueError, match=what):
        neighborhood_reduce(x, function, 3, engine="compiled")
    assert re.match(f"called: .*({what})", explain(function, 3))
    assert_array_equal(neighborhood_reduce(x, function, 3), neighborhood_reduce(x, function, 3, engine="python"))


def test_refusals_name_the_line():
    def function(v, axis):
        a = v.max(axis)
        return a if v.any() else -a

    with pytest.raises(ValueError, match=rf"test_functions_called.py:{function.__code__.co_firstlineno + 2}\b"):
        neighborhood_reduce(np.ones((4, 4)), function, 3, engine="compiled")


def test_functions_that_change_are_called():
    rng = np.random.default_rng(11)
    x = rng.random((20, 40))
    for function, samples in itertools.product((counting, lambda v, axis: v.sum(axis) + rng.random()), (4, 16, 50)):
        with use_seams({"neighborhood._SAMPLES": samples}), pytest.warns(RuntimeWarning, match="gives other results"):
            got = neighborhood_reduce(x, function, 3)
        assert (got > neighborhood_reduce(x, "sum", 3)).all()
        with pytest.raises(ValueError, match="gives other results"):
            neighborhood_reduce(x, function, 3, engine="compiled")


RARE = np.zeros((40, 60))
RARE[17, 23], RARE[30, 40] = 100, 3


@pytest.mark.parametrize(
    ("dtype", "function"),
    [
        ("u1", lambda w, axis: (w > 300).sum(axis)),
        ("u1", lambda w, axis: (w == 356).sum(axis)),
        ("u4", lambda w, axis: (w == -1).sum(axis)),
        ("u1", lambda w, axis: np.clip(w, -1, 1).sum(axis)),
        ("i8", lambda w, axis: ((w - 50) > np.uint64(5)).sum(axis)),
        ("u8", lambda w, axis: (w > np.array(3)).sum(axis)),
        ("f8", lambda w, axis: np.argmin(np.where(np.arange(9) % 2 == 0, 5.0, w), axis=axis)),
        ("f8", lambda w, axis: (np.where(w > 9, 2, w) * np.where(np.arange(9) > 3, 3, w + w[:, ::-1])).sum(axis)),
        ("u1", lambda w, axis: w.sum(axis, dtype=bool).astype(int)),
        ("f8", lambda w, axis: ((2 - w) ** 0.5).max(axis)),
        ("f8", lambda w, axis: (-w).min(axis).astype("u8")),
        ("i8", lambda w, axis: np.concatenate([w, w], axis=-1, dtype="u1", casting="unsafe").max(axis).astype(int)),
        ("f8", lambda w, axis: np.percentile(np.where(w > 9, np.inf, w), 100, axis=axis)),
        ("f8", lambda w, axis: np.percentile(np.where(w > 9, np.inf, w), 50, axis=axis)),
        ("f8", lambda w, axis: np.std(w, axis=axis) if isinstance(w, np.ndarray) else np.min(w, axis=axis)),
        ("i4", lambda w, axis: np.select([w > 3, w > 1], [w, 2], 0).sum(axis)),
        ("?", lambda w, axis: w[:, 4] ** 2),
        ("f8", lambda w, axis: w[:, 0].astype("i1") + w[:, 8].astype("i1")),
    ],
)
@pytest.mark.parametrize("step", [1, 2])
def test_what_few_windows_show(dtype, function, step):
    x = RARE.astype(dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        called = neighborhood_reduce(x, function, 3, step=step, engine="python")
        got = neighborhood_reduce(x, function, 3, step=step)
    assert got.dtype == called.dtype
    assert_allclose(got, called, rtol=1e-15 * 8)


def test_errors_that_are_watched_or_caught_inside():
    x = np.ones((20, 30))
    x[4, 7] = 0

    def watching(window):
        try:
            with np.errstate(divide="raise"):
                return window[0] / window[1]
        except FloatingPointError:
            return -7.0

    def caught(w, axis):
        try:
            return np.std(w, axis=axis, correction=1)
        except TypeError:
            return np.std(w, axis=axis)

    for function in (watching, caught):
        assert_allclose(neighborhood_reduce(x, function, 3), neighborhood_reduce(x, function, 3, engine="python"), rtol=1e-12)


@pytest.mark.parametrize("dtype", [None, "i4", "f4", "?"])
def test_random_numbers_are_found_for_any_dtype_of_the_result(dtype):
    x, rng = np.full((30, 30), 1e8), np.random.default_rng(23)
    with pytest.warns(RuntimeWarning, match="gives other results"):
        neighborhood_reduce(x, lambda w, axis: np.floor(w.mean(axis) * 0 + 99 * rng.random()), 3, dtype=dtype)


def test_windows_of_one_block_alone():
    with pytest.raises(ValueError, match="returned shape"):
        neighborhood_reduce(np.ones((40, 40)), lambda w, axis: w[:20].sum(axis), 3)


def test_programs_are_forgotten(monkeypatch):
    from fastconv._face import compile as compiler

    monkeypatch.setattr(compiler, "_MOST_KNOWN", 2)
    x = np.random.default_rng(19).integers(0, 9, (15, 90)).astype(float)
    for factor in (1, 2, 3, 1, 2, 3, 3):
        assert_array_equal(neighborhood_reduce(x, lambda v, axis, f=factor: v.sum(axis) * f, 3, engine="compiled"),
                           factor * neighborhood_reduce(x, "sum", 3))  # fmt: skip
        assert len(compiler._known) <= 2


def test_too_much_is_called():
    x = np.random.default_rng(20).random((3, 300))
    median = lambda v, axis: np.median(v - v[..., :1], axis)  # noqa: E731 (of differences, which no name gives)
    assert explain(median, (1, 128)).startswith("compiled")
    for size in ((1, 129), (1, 200)):
        with pytest.raises(ValueError, match="so many operations"):
            neighborhood_reduce(x, median, size, engine="compiled")
    with pytest.raises(ValueError, match="more than 65536 cells"):
        neighborhood_reduce(np.zeros((3, 3)), lambda v, axis: v.sum(axis), (300, 300), engine="compiled")
    with np.errstate(divide="raise"), pytest.raises(ValueError, match="errstate"):
        neighborhood_reduce(x, lambda v, axis: v.sum(axis), 3, engine="compiled")


def test_closures_and_globals_are_read_anew():
    x = np.random.default_rng(12).random((20, 40))
    factor = [1.0]
    function = lambda v, axis: v.sum(axis) * factor[0]  # noqa: E731
    first = neighborhood_reduce(x, function, 3, engine="compiled")
    factor[0] = 2.0
    assert_array_equal(neighborhood_reduce(x, function, 3, engine="compiled"), 2 * first)


def test_few_outputs_of_large_windows_are_called():
    x, seen = np.random.default_rng(24).random((30, 30)), []

    def noted(w, axis):
        seen.append(type(w))
        return w.max(axis)

    for least, shape, called in ((24, (9, 11), True), (24, (10, 10), False), (25, (9, 11), False)):
        seen.clear()
        with use_seams({"neighborhood._LARGE_WINDOW": least}):
            got = neighborhood_reduce(x[: shape[0], : shape[1]], noted, 5)
        assert_array_equal(got, neighborhood_reduce(x[: shape[0], : shape[1]], "max", 5))
        assert (seen[0] is np.ndarray) == called
