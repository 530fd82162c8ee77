"""prepare_filters: the same bits as with the plain filters, many callers, pickles, and calls that it was not made for."""

import pickle
import threading

import numpy as np
import pytest

import fastconv
from support import FLOATS, LAYOUTS, PROBLEMS, WIDE_PROBLEMS, assert_same_bits

MADE_FOR = ("groups", "strides", "dilations", "flip_filters", "method")


def options_of(problem):
    """Return the options that both functions take."""
    return {name: value for name, value in problem.options.items() if name in MADE_FOR}


@pytest.mark.parametrize("dtype", [*FLOATS, np.float16])
@pytest.mark.parametrize("problem", [*PROBLEMS, *WIDE_PROBLEMS], ids=lambda problem: f"{problem} {problem.input}")
def test_prepared_filters_give_the_same_bits(isa, rng, problem, dtype):
    x, w = problem.normal(rng, dtype)
    for flip in (False, True):
        prepared = fastconv.prepare_filters(w, **options_of(problem), flip_filters=flip)
        options = problem.options | {"flip_filters": flip}
        expected = fastconv.conv2d(x, w, **options)
        for _ in range(2):
            assert_same_bits(fastconv.conv2d(x, prepared, **options), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_filters_are_copied_from_any_layout(rng, layout):
    x, w = WIDE_PROBLEMS[0].normal(rng, np.float32)
    expected = fastconv.conv2d(x, w)
    given = LAYOUTS[layout](w)
    prepared = fastconv.prepare_filters(given)
    if given.flags.writeable:
        given[...] = 0
    assert_same_bits(fastconv.conv2d(x, prepared), expected)
    assert not prepared.filters.flags.writeable
    assert prepared.filters.shape == w.shape
    assert "(3, 3, 64, 64), float32, groups=1" in repr(prepared)


@pytest.mark.parametrize("method", ["auto", "direct", "winograd"])
def test_pickles(rng, method):
    x, w = WIDE_PROBLEMS[0].normal(rng, np.float32)
    prepared = fastconv.prepare_filters(w, method=method)
    data = pickle.dumps(prepared)
    assert len(data) < w.nbytes + 1000
    again = pickle.loads(data)
    assert not again.filters.flags.writeable
    assert_same_bits(fastconv.conv2d(x, again, method=method), fastconv.conv2d(x, w, method=method))


def test_other_instruction_sets_after_preparing(rng):
    x, w = WIDE_PROBLEMS[0].normal(rng, np.float32)
    prepared = fastconv.prepare_filters(w)
    for name in fastconv.available_isas():
        with fastconv.use_isa(name):
            assert_same_bits(fastconv.conv2d(x, prepared), fastconv.conv2d(x, w))


def test_many_threads_at_once(rng):
    x, w = WIDE_PROBLEMS[0].normal(rng, np.float32)
    expected, results = fastconv.conv2d(x, w), []
    prepared = pickle.loads(pickle.dumps(fastconv.prepare_filters(w)))
    start = threading.Barrier(8)

    def call():
        start.wait()
        for _ in range(3):
            results.append(np.array_equal(fastconv.conv2d(x, prepared, workers=2), expected))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 24


@pytest.mark.parametrize(
    ("made", "called", "message"),
    [
        ({}, {"groups": 2}, "filters were prepared for groups=1, got groups=2"),
        ({"groups": 2}, {}, "filters were prepared for groups=2, got groups=1"),
        ({}, {"strides": 2}, r"filters were prepared for strides=\(1, 1\), got strides=\(2, 2\)"),
        ({"strides": (1, 2)}, {}, r"filters were prepared for strides=\(1, 2\), got strides=\(1, 1\)"),
        ({}, {"dilations": (1, 2)}, r"filters were prepared for dilations=\(1, 1\), got dilations=\(1, 2\)"),
        ({}, {"flip_filters": True}, "filters were prepared for flip_filters=False, got flip_filters=True"),
        ({"method": "direct"}, {}, "filters were prepared for method='direct', got method='auto'"),
    ],
)
def test_calls_that_filters_were_not_prepared_for(made, called, message):
    prepared = fastconv.prepare_filters(np.ones((3, 3, 4, 4)), **made)
    with pytest.raises(ValueError, match=message):
        fastconv.conv2d(np.ones((9, 9, 4)), prepared, **called)


def test_other_dtypes_and_channels():
    x = np.ones((9, 9, 4), np.float32)
    prepared = fastconv.prepare_filters(np.ones((3, 3, 4, 4), np.float32))
    with pytest.raises(TypeError, match="filters were prepared as float32, but with this input they are computed in float64"):
        fastconv.conv2d(x.astype(np.float64), prepared)
    assert fastconv.conv2d(x.astype(np.float16), prepared).dtype == np.float32
    wider = fastconv.prepare_filters(np.ones((3, 3, 4, 4)))
    assert fastconv.conv2d(x, wider).dtype == np.float64
    with pytest.raises(ValueError, match="take 4 channels in each of groups=1, but input"):
        fastconv.conv2d(np.ones((9, 9, 5), np.float32), prepared)


@pytest.mark.parametrize(
    ("shape", "options", "error", "message"),
    [
        ((3, 3, 4), {}, ValueError, "filters must have 4 axes"),
        ((3, 3, 4, 5), {"groups": 2}, ValueError, "groups=2 must divide the number of filters, 5"),
        ((3, 3, 4, 4), {"groups": 0}, ValueError, "groups must be a positive integer"),
        ((3, 3, 4, 4), {"method": "fastest"}, ValueError, "method must be .*'fastest'"),
        ((3, 3, 4, 4), {"strides": (1, 2, 3)}, ValueError, "strides must be"),
        ((3, 3, 4, 4), {"flip_filters": 1}, TypeError, "flip_filters must be"),
    ],
)
def test_bad_arguments(shape, options, error, message):
    with pytest.raises(error, match=message):
        fastconv.prepare_filters(np.ones(shape), **options)


def test_integers_and_complex_numbers():
    """They keep their dtype: what they are computed in depends on the images."""
    prepared = fastconv.prepare_filters(np.ones((3, 3, 4, 4), ">i2"))
    assert prepared.filters.dtype == np.int16
    for dtype, result in ((np.uint8, np.int32), (np.int64, np.int64), (np.float32, np.float32), (np.float64, np.float64)):
        assert fastconv.conv2d(np.ones((9, 9, 4), dtype), prepared).dtype == result
    prepared = fastconv.prepare_filters(np.ones((3, 3, 4, 4), np.complex64))
    for dtype in (np.float32, np.complex64, np.int16):
        assert fastconv.conv2d(np.ones((9, 9, 4), dtype), prepared).dtype == np.complex64
    with pytest.raises(TypeError, match="prepared as complex64, but with this input they are computed in complex128"):
        fastconv.conv2d(np.ones((9, 9, 4)), prepared)
    with pytest.raises(ValueError, match="method='winograd' rounds, which sums of integers must not"):
        fastconv.prepare_filters(np.ones((3, 3, 4, 4), np.int16), method="winograd")


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match="filters has dtype object; it may be boolean, an integer, float16"):
        fastconv.prepare_filters(np.ones((3, 3, 4, 4), object))
