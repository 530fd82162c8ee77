"""Many at once: threads of Python that call all operations beside each other get the bits that each gets alone."""

import contextlib
import ctypes
import io
import sys
import threading
import time

import numpy as np
import pytest

import fastconv

CALLERS = 8
WORKERS = (None, 1, 2, 3)
DOUBLES = ctypes.POINTER(ctypes.c_double)


@ctypes.CFUNCTYPE(ctypes.c_int, DOUBLES, ctypes.c_ssize_t, DOUBLES, ctypes.c_void_p)
def last_of_window(window, cells, result, data):
    result[0] = window[cells - 1]
    return 1


def spread(windows, axis):
    return windows.max(axis) - windows.min(axis)


def largest(window):
    return max(window)


def points(rng, dtype="f8"):
    m, n, d = *rng.integers(1, 90, 2).tolist(), int(rng.integers(1, 40))
    return rng.random((m, d)).astype(dtype), rng.random((n, d)).astype(dtype)


def image(rng, channels=()):
    return rng.random((*rng.integers(5, 90, 2), *channels))


def convolution(rng):
    c, k = rng.integers(1, 20, 2)
    x, w = image(rng, (c,)).astype(rng.choice(["f2", "f4", "f8"])), rng.random((3, 3, c, k)).astype("f4")
    return fastconv.conv2d, (x, w), {"padding": str(rng.choice(["VALID", "SAME"])), "padding_mode": "mirror"}


def plane(rng):
    return fastconv.conv2d, (image(rng, (1,)), rng.random((5, 3, 1, 1))), {"padding": "SAME"}


def depthwise(rng):
    return fastconv.conv2d, (image(rng, (16,)), rng.random((3, 3, 1, 16))), {"groups": 16, "bias": rng.random(16)}


def neighbors(rng):
    name = ("mean", "max", "median", "std", "prod", "count", ("percentile", 30), "mode", "entropy")[rng.integers(9)]
    x = (image(rng) * 9).astype(rng.choice(["u1", "i8", "f4", "f8"]))
    return fastconv.neighborhood_reduce, (x, name, int(rng.integers(1, 8))), {}


def masked_neighbors(rng):
    x = image(rng)
    footprint = rng.random((5, 5)) < 0.5
    footprint[2, 2] = True
    return fastconv.neighborhood_reduce, (x, ["min", "mean"]), {"footprint": footprint, "mask": rng.random(x.shape) < 0.7}


def function_of_windows(rng):
    function = (spread, largest, last_of_window)[rng.integers(3)]
    return fastconv.neighborhood_reduce, (image(rng)[:20], function, 3), {}


def triple(rng):
    x = rng.random((int(rng.integers(1, 40)), int(rng.integers(1, 300))))
    return fastconv.triple_product, ((x, x, x) if rng.random() < 0.5 else (x, x + 1, x)), {}


def tensor(rng):
    t = rng.random(tuple(rng.integers(2, 40, 3)))
    mode = int(rng.integers(3))
    return fastconv.mode_dot, (t, rng.random((int(rng.integers(1, 6)), t.shape[mode])), mode), {}


def khatri_rao(rng):
    t = rng.random(tuple(rng.integers(2, 30, 3)))
    return fastconv.mttkrp, (t, [rng.random((n, 4)) for n in t.shape], int(rng.integers(3))), {}


def moments(rng):
    return fastconv.third_moment, (rng.random((9, 200)),), {}


METRICS = ("euclidean", "cityblock", "cosine", "chebyshev", "canberra", "jaccard", "seuclidean", "correlation")


def distances(rng):
    metric = str(rng.choice(METRICS))
    return fastconv.cdist, (*points(rng, str(rng.choice(["f4", "f8"]))), metric), {}


def condensed(rng):
    return fastconv.pdist, (points(rng)[0], str(rng.choice(METRICS[:5]))), {}


def nearest(rng):
    return fastconv.knn, (*points(rng), 1), {}


def gradient(rng):
    a, b = points(rng)
    return fastconv.cdist_vjp, (rng.random((len(a), len(b))), a, b), {}


CALLS = (
    convolution, plane, depthwise, neighbors, masked_neighbors, function_of_windows, triple, tensor, khatri_rao, moments,
    distances, condensed, nearest, gradient,
)  # fmt: skip
SERIAL = (fastconv.mttkrp, fastconv.third_moment)  # take no `workers`


def bits(result):
    """Return what tells results apart, signs of zero and NaN included."""
    if isinstance(result, (list, tuple)):
        return tuple(map(bits, result))
    return result.dtype, result.shape, result.tobytes()


def run_together(rng, cases, seconds):
    """Make `cases` calls alone, then for so long beside each other and what tells of the library; return what differed."""
    calls = [CALLS[i % len(CALLS)](rng) for i in range(cases)]
    expected = [bits(function(*arguments, **options)) for function, arguments, options in calls]
    faults, done = [], [0] * CALLERS
    end = time.monotonic() + seconds

    def call(caller):
        chance = np.random.default_rng([int(rng.integers(2**32)), caller])
        while time.monotonic() < end and not faults:
            i, workers = int(chance.integers(cases)), WORKERS[chance.integers(len(WORKERS))]
            function, arguments, options = calls[i]
            if function not in SERIAL:
                options = options | {"workers": workers}
            with fastconv.num_threads(caller % 3 + 1):
                if bits(function(*arguments, **options)) != expected[i]:
                    faults.append((function.__name__, [getattr(a, "shape", a) for a in arguments], options))
                if fastconv.get_num_threads() not in (caller % 3 + 1, 1):
                    faults.append("num_threads of another thread")
            done[caller] += 1

    name, names = fastconv.isa(), fastconv.available_isas()

    def tell(caller):
        while time.monotonic() < end and not faults:
            fastconv.show_config()
            with fastconv.use_isa(name):
                if (fastconv.isa(), fastconv.available_isas()) != (name, names):
                    faults.append("instruction sets")

    def guarded(function, caller):
        try:
            function(caller)
        except BaseException as error:
            faults.append(error)

    before = sys.getswitchinterval()
    threads = [threading.Thread(target=guarded, args=(call, i)) for i in range(CALLERS)]
    threads += [threading.Thread(target=guarded, args=(tell, i)) for i in range(2)]
    sys.setswitchinterval(1e-6)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    return faults, done


def test_many_at_once(rng):
    faults, done = run_together(rng, 4 * len(CALLS), 4)
    assert not faults, faults[0]
    assert sum(done) > CALLERS


@pytest.mark.slow
def test_many_more_at_once(rng, request):
    end = time.monotonic() + request.config.getoption("--seconds") / 2
    while time.monotonic() < end:
        faults, _ = run_together(rng, 200, 10)
        assert not faults, faults[0]
