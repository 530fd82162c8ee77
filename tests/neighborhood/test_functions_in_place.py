"""Functions that change arrays: windows, what is made of them, and views of both, compiled as NumPy changes them."""

import copy
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from test_functions_compiled import DTYPES, numbers, same

from fastconv import neighborhood_reduce

MIDDLE = 4


def body(text, one=False):
    """A function of windows `w`, m their middle, that does what some lines say and returns the last."""
    *lines, last = text.split("; ")
    arguments = "w" if one else "w, axis=-1"
    space = {"np": np, "k": np.arange(9.0), "copy": copy}
    exec("\n    ".join([f"def function({arguments}):", *lines, f"return {last}"]), space)
    return space["function"]


TAKEN = [
    "w -= 1; w.sum(-1)",
    "d = w - 2; d *= d; d += 1; d.sum(-1)",
    "d = w + 0; e = d; d -= 3; e.max(-1)",
    "d = w; d -= 3; w.max(-1)",
    "m = w[..., 4:5]; w -= m; w.max(-1) + m[..., 0]",
    "m = w[..., 4:5] + 0; w -= m; w.max(-1) + m[..., 0]",
    "m = w[..., 4:5]; m += 1; w.sum(-1)",
    "m = w[..., 2:7]; m[..., 1:2] *= 3; w.sum(-1)",
    "m = w[..., [1, 3]]; m += 1; w.sum(-1) + m.max(-1)",
    "m = w[..., ::-1]; w[..., 0] = 7; m[..., 8] + m[..., 0]",
    "w[..., 0] = w[..., 8]; w[..., 1:3] = w[..., 4:6]; w[..., 5:] = 2; w.sum(-1)",
    "w[..., 1:] = w[..., :-1]; w.sum(-1)",
    "w[..., [3, 3, 5]] = w[..., [0, 1, 2]]; w.sum(-1)",
    "w[..., :] = k.astype(w.dtype); w.sum(-1)",
    "w[...] = 3; w.sum(-1)",
    "w[w < 0] = 0; w.sum(-1)",
    "w[w.max(-1) > 2] = 1; w.sum(-1)",
    "d = w[..., 1:]; d[d < w[..., :1]] = 9; w.sum(-1)",
    "w[:, np.arange(9) % 2 == 0] = 1; w.sum(-1)",
    "d = np.zeros_like(w); d[..., 1:] += w[..., :-1]; d.sum(-1)",
    "d = np.ones_like(w[..., 0]); d += w[..., 3]; d",
    "d = np.full_like(w, 3); d -= w; d.max(-1)",
    "d = w + 1; np.add(d, w, out=d); np.minimum(d, 3, out=(d,)); d.sum(-1)",
    "d = w + 1; np.sqrt(np.abs(d), out=d, casting='same_kind') if False else np.negative(d, out=d); d.max(-1)",
    "d = w.copy(); d -= 1; w.sum(-1) + d.max(-1)",
    "d = copy.copy(w); d -= 1; w.sum(-1) + d.max(-1)",
    "d = copy.deepcopy(w); d -= 1; w.sum(-1) + d.max(-1)",
    "d = +w; d -= 1; w.sum(-1)",
    "d = w.astype(w.dtype); d -= 1; w.sum(-1)",
    "d = w.astype(w.dtype, copy=False); d -= 1; w.sum(-1)",
    "d = w.clip(-2, 2); d -= 1; w.sum(-1)",
    "w.clip(-1, 1, out=w); w.sum(-1)",
    "d = np.clip(w, None, None) if False else np.copy(w); d -= 1; w.sum(-1)",
    "d = w.real; d -= 1; w.sum(-1)",
    "w.sort(axis=-1); w[..., 1:-1].sum(-1)",
    "w[..., 2:].sort(); w[..., 2] - w[..., 8]",
    "d = np.sort(w, -1); d -= 1; w[..., 0] + d[..., 0]",
    "w[..., 2:].fill(1); w.sum(-1)",
    "np.copyto(w, 1); w.sum(-1)",
    "np.copyto(w[..., 1:], w[..., :1]); w.sum(-1)",
    "np.putmask(w, w > 1, 1); w.sum(-1)",
    "d = np.where(w > 1, w, 0); d += 1; w.sum(-1) + d.sum(-1)",
    "d = w.reshape(-1, 3, 3); d.sum((-2, -1))",
    "d = w.reshape(-1, 3, 3); d -= d[..., :1]; w.sum(-1)",
    "d = w[:, None].reshape(-1, 9); w -= 1; d.sum(-1)",
    "d = w[..., 1:].reshape(-1, 2, 4); w -= 1; d.sum((-2, -1))",
    "d = (w + 1).reshape(-1, 1, 3, 1, 3); d[..., 0] = 2; d.max((-4, -3, -2, -1))",
    "d = w.reshape((-1, 3, 3), order='F'); d[:, 0] = 2; w.sum(-1) + d[:, 1, 2]",
    "d = np.swapaxes(w[:, None], 1, 2); d += 1; w.sum(-1)",
    "d = w[:, None].transpose(0, 2, 1); d += 1; w.sum(-1)",
    "d = np.expand_dims(w, 1); d += 1; w.sum(-1)",
    "d = np.flip(w, -1)[..., :2]; d += 1; w[..., 8] - w[..., 0]",
    "d = w[:, None, :]; e = d[:, 0, 2:4]; e -= 5; w.sum(-1)",
    "s = w.sum(-1); t = s; s += 1; t",
    "b = w > 1; b &= w < 3; b |= w == 5; b ^= True; b.sum(-1)",
    "d = np.concatenate([w, w], -1); d += 1; w.sum(-1) + d.max(-1)",
]


@pytest.mark.parametrize("text", TAKEN)
def test_changes_in_place(text):
    rng = np.random.default_rng(1)
    for dtype in DTYPES[1:]:
        x = numbers(rng, (7, 70), dtype, special=False)
        if dtype[0] == "u" and ("-2" in text or "-1, 1" in text):
            continue  # not of that dtype
        same(x, body(text), 3, units=16)


OF_ONE = [
    "w -= w[4]; w.max()",
    "m = w[4]; w -= 1; m",
    "m = w[4]; m -= 1; w.sum() + m",
    "m = w.sum(); t = m; m /= 9; m + t",
    "m = w[4]; t = m; m += w.max(); t",
    "m = w[..., 4]; m -= 1; w.sum()",
    "m = w[..., 4]; w -= 1; m + 0",
    "w[4] = 0; w.sum()",
    "w[w > 1] = 0; w.sum()",
    "w[w > w[4]] = w[4]; w.sum()",
    "w[[1, 2]] = w[[2, 1]]; w[1] - w[2] + w[8]",
    "m = w.sum(); a = m[None]; a += 1; m",
    "d = w.flatten(); d -= 1; w.sum()",
    "w.sort(); w[2]",
]


@pytest.mark.parametrize("text", OF_ONE)
def test_changes_of_one_window(text):
    for dtype in ("i4", "u1", "f4", "f8"):
        same(numbers(np.random.default_rng(2), (7, 60), dtype, special=False), body(text, True), 3, units=16)


REFUSED = [
    "m = w.T; m -= 1; w.sum(-1)",
    "d = np.swapaxes(w, 0, 1); d += 1; w.sum(-1)",
    "d = w.reshape(-1, 3, 3).reshape(-1, 9); d -= 1; w.sum(-1)",
    "d = w.reshape(-1, 3, 3)[..., 1:].reshape(-1, 6); w -= 1; d.sum(-1)",
    "d = np.ravel(w[..., :1]); w -= 1; d + w.sum(-1)",
    "d = np.broadcast_to(w[:, None], (len(w), 2, 9)) if False else np.broadcast_to(w, w.shape); w -= 1; d.sum(-1)",
    "d = w[..., np.array(3)]; d += 1; w.sum(-1)",
    "w[w.argmax(-1)] = 0; w.sum(-1)",
    "w[w > 0] = k[:1]; w.sum(-1)",
    "w[w > 0] = w[w > 0] + 1; w.sum(-1)",
    "w[0] = 0; w.sum(-1)",
    "w[..., w[0].argmax()] = 0; w.sum(-1)",
    "w += w[..., :1] > 0 if w.dtype.kind == 'b' else np.ones((2, 1)); w.sum(-1)",
    "k2 = k.copy(); k2 += w[0]; w.sum(-1)",
    "k2 = k.copy(); np.add(w, 1, out=np.empty(w.shape)); w.sum(-1)",
    "w.shape = (-1, 9); w.sum(-1)",
    "w.T[...] = 1; w.flat[3] = 2; w.sum(-1)",
    "d = np.empty_like(w); d[...] = w; d.sum(-1)",
    "d = w.astype('i4'); d /= 2; w.sum(-1)",
    "d = w.astype('i4'); d[..., 0] = 0.5; d.sum(-1)",
    "d = w.astype('i4'); d[..., 0] = np.nan; d.sum(-1)",
    "d = w.astype('u1'); d[..., 0] = -1; d.sum(-1)",
    "np.add(w, 1, out=w, where=w > 0); w.sum(-1)",
    "np.copyto(w, 1, where=w > 0); w.sum(-1)",
    "np.put(w, [1], 3); w.sum(-1)",
    "np.fill_diagonal(w, 0); w.sum(-1)",
]


@pytest.mark.parametrize("text", REFUSED)
def test_changes_that_are_not_compiled(text):
    x, function = numbers(np.random.default_rng(3), (6, 30), "f8", special=False) % 3, body(text)
    with pytest.raises(ValueError, match=r"compiled|recorded"):
        neighborhood_reduce(x, function, 3, engine="compiled")
    try:
        with np.errstate(all="ignore"):
            called = neighborhood_reduce(x, function, 3, engine="python")
    except Exception as error:
        with pytest.raises(type(error)):
            neighborhood_reduce(x, function, 3)
    else:
        assert_array_equal(neighborhood_reduce(x, function, 3), called)


@pytest.mark.parametrize("text", ["m = w[1]; m.fill(2); m + w.sum()", "m = np.where(w[1] > 0, 1, 0); t = m; m += 1; t + w.sum()"])
def test_changes_of_numbers_are_not_compiled(text):
    x = numbers(np.random.default_rng(7), (6, 30), "f8", special=False)
    with pytest.raises(ValueError, match="cannot be compiled"):
        neighborhood_reduce(x, body(text, True), 3, engine="compiled")
    assert_array_equal(neighborhood_reduce(x, body(text, True), 3), neighborhood_reduce(x, body(text, True), 3, engine="python"))


@pytest.mark.parametrize("text", ["m = w[..., 4]; m += 1; t = m; m", "a = w[1:2]; b = a[0:1]; w[1] = 50; b.sum()"])
def test_views_of_one_window(text):
    same(numbers(np.random.default_rng(4), (7, 60), "f8", special=False), body(text, True), 3, units=16)


# Lines of three arrays, which may be views of each other.
NAMES = st.sampled_from("abw")
VIEWS = st.sampled_from([
    "{}[..., ::-1]", "{}[:, 1:][..., :3]", "{} + 0", "{}", "{}[..., [0, 2, 1]]", "np.moveaxis({}, 1, -1)", "{}[..., 1:3]",
    "np.flip({}, -1)", "{}.copy()", "np.where({} > 1, 1.0, {})", "{}[:, None][:, 0]",
])  # fmt: skip
CHANGES = st.sampled_from(["{} += 1", "{0} *= {0}[..., :1]", "{}[..., 0] = 5", "{0}[..., 1:] = {0}[..., :-1]", "{0}[{0} < 2] = 2",
                           "{0}[..., :1] -= {0}[..., -1:]", "{}[...] = 3", "{}.sort()", "np.subtract(0, {0}, out={0})",
                           "{0}[{0}[..., 0] > 1] = 0"])  # fmt: skip
LINES = st.one_of(st.tuples(NAMES, VIEWS, NAMES).map(lambda t: f"{t[0]} = {t[1].replace('{}', t[2])}"),
                  st.tuples(NAMES, CHANGES).map(lambda t: t[1].format(t[0])))  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(LINES, min_size=2, max_size=8), seed=st.integers(0, 99), size=st.sampled_from([(1, 4), (1, 5)]))
def test_random_changes_of_views(lines, seed, size):
    x = numbers(np.random.default_rng(seed), (4, 70), "f8", special=False)
    function = body("; ".join(["a = w", "b = w[..., :3]", *lines, "a.sum(-1) + 10 * b.sum(-1) + 100 * w.sum(-1)"]))
    same(x, function, size, units=64)


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(LINES, min_size=2, max_size=8), seed=st.integers(0, 99))
def test_random_changes_of_one_window(lines, seed):
    x = numbers(np.random.default_rng(seed), (4, 30), "f8", special=False)
    text = "; ".join(["a = w", "b = w[..., :3]", *lines, "a.sum(-1) + 10 * b.sum(-1) + 100 * w.sum(-1)"])
    for old, new in (("[:, 1:]", "[1:]"), ("[:, None][:, 0]", "[None][0]"), (", 1, -1)", ", 0, -1)")):
        text = text.replace(old, new)
    function = body(text, True)
    called = neighborhood_reduce(x, function, (1, 5), engine="python")
    assert_allclose(neighborhood_reduce(x, function, (1, 5)), called, rtol=1e-13, atol=1e-13 * np.abs(called).max())


def test_what_was_given_stays_as_it_is():
    x = numbers(np.random.default_rng(6), (9, 40), "f8", special=False)
    before = x.copy()
    for text, size in itertools.product(("w -= 1; w.sum(-1)", "w[..., 0] = 9; w.max(-1)"), (1, 3)):
        neighborhood_reduce(x, body(text), size, engine="compiled")
    assert_array_equal(x, before)
