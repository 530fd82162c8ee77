"""Distances while they run: interrupts, memory beyond arguments and result, time in the length of points."""

import time

import numpy as np
import pytest

import fastconv
from support import run_script


@pytest.mark.parametrize("metric, dtype", [("cosine", np.float32), ("jaccard", bool), ("euclidean", np.float16)])
def test_time_is_linear_in_the_length_of_points(rng, metric, dtype):
    def seconds(d):
        x = (rng.random((6, d)) * 2).astype(dtype)
        times = []
        for _ in range(5):
            start = time.thread_time()  # of this thread alone, whatever else runs
            fastconv.cdist(x, x[:5], metric, workers=1)
            times.append(time.thread_time() - start)
        return min(times)

    assert seconds(1 << 20) < 64 * seconds(1 << 16)  # 16 times the numbers


@pytest.mark.parametrize(
    "shapes, call",
    [
        ([(20_000, 64), (20_000, 64)], "cdist(a, b, out=np.empty((20_000, 20_000), np.float32), dtype='float32', "),
        ([(96, 200_000), (96, 200_000)], "cdist(a, b, "),  # one block, in ranges
        ([(384, 16), (400_000, 16)], "knn(a, b, 3, "),  # one block of rows
        ([(90, 32), (400_000, 32)], "cdist_vjp(np.broadcast_to(1.0, (90, 400_000)), a, b, "),
    ],
    ids=["matrix", "long points", "knn", "gradient"],
)
def test_an_interrupt_stops_a_long_call(tmp_path, shapes, call):
    script = f"""
    import fastconv
    a, b = (np.random.default_rng(0).random(shape) for shape in {shapes})
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    try:
        fastconv.{call}metric="minkowski", p=2.7, workers=1)
    except KeyboardInterrupt:
        print("stopped" if time.perf_counter() - start < 1.5 else "late")
    """
    assert run_script(script, cwd=tmp_path) == ["stopped"]


PEAK = """
import resource, gc
import fastconv
rng = np.random.default_rng(0)
{setup}
{warm}
gc.collect()
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
open("/proc/self/clear_refs", "w").write("5")
before = peak()
result = {call}
print((peak() - before) // 1024 - sum(a.nbytes for a in (result if isinstance(result, tuple) else (result,))) // 2**20)
"""


@pytest.mark.parametrize("setup, call", [
    ("x = rng.random((20_000, 8)).astype('f2')", "fastconv.knn(x, x[:2000], 300)"),
    ("x = rng.random((20_000, 8))", "fastconv.knn(x, x[:2000], 300, dtype='f4')"),
    ("x = rng.random((3_000_000, 1)).astype('f2')", "fastconv.pairwise_argmin(x, x[:3])"),
    ("x, g = rng.random((40, 50_000)), rng.random((40, 40))", "fastconv.cdist_vjp(g, x, x[::-1])"),
    ("x, g = rng.random((10, 200_000)), rng.random((10, 10))", "fastconv.cdist_vjp(g, x, x[::-1])"),
    ("x = rng.random((4, 2_000_000))", "fastconv.cdist(x, x[::-1], 'cosine')"),
    ("x, w = rng.random((4, 2_000_000)), rng.random(2_000_000)", "fastconv.cdist(x, x[::-1], 'correlation', w=w)"),
    ("x, w = rng.random((4, 2_000_000)), rng.random(2_000_000)", "fastconv.cdist(x, x[::-1], w=w)"),
    ("x = rng.random((4, 2_000_000))", "fastconv.cdist(x, x[::-1], 'seuclidean')"),
    ("x, r = rng.random((4, 1500)), rng.random((1500, 1500)); r = r @ r.T + np.eye(1500)",
     "fastconv.cdist(x, x[::-1], 'mahalanobis', VI=r)"),
    pytest.param(
        "x, r = rng.random((40, 2500)), rng.standard_normal((2500, 2500))", "fastconv.cdist(x, x[::-1], 'mahalanobis', VI=r)",
        marks=pytest.mark.slow,
    ),
    ("x, r = rng.random((40, 1000)), rng.standard_normal((1000, 1000))", "fastconv.cdist(x, x[::-1], 'mahalanobis', VI=r)"),
])  # fmt: skip
def test_memory_is_bounded(tmp_path, setup, call):
    """16 MiB and 4 for each of 2 threads, beyond the arguments and the result."""
    small = "fastconv.knn(np.ones((9, 2)), np.ones((9, 2)), 2)"
    lines = run_script(PEAK.format(setup=setup, warm=small, call=call), cwd=tmp_path, env={"FASTCONV_NUM_THREADS": "2"})
    assert int(lines[-1]) <= 24


@pytest.mark.parametrize("setup, call", [
    ("v = rng.random((1000, 1000)); x, vi = rng.random((2000, 1000)), v @ v.T", "fastconv.cdist(x, x, 'mahalanobis', VI=vi)"),
    ("v = rng.random((1000, 1000)); x, vi = rng.random((2000, 1000)), v @ v.T",
     "fastconv.cdist_vjp(np.ones((2000, 2000)), x, x, 'mahalanobis', VI=vi)"),
    ("v = rng.random((2500, 2500)); x, vi = rng.random((3, 2500)), v + v.T", "fastconv.cdist(x, x, 'mahalanobis', VI=vi)"),
    ("x = rng.random((3, 2_000_000, 1))", "fastconv.knn(x[:, :9], x, 2_000_000)"),
    ("x = rng.random((3_000_000, 30))", "fastconv.cdist_vjp(np.ones((1, 3_000_000)), x[:1], x, 'cosine')"),
    ("x = rng.random((20_000_000, 1, 3))", "fastconv.cdist(x, x[::-1])"),
    ("x = np.zeros((20_000, 20_000), 'f4')", "fastconv.squareform(x)"),
])  # fmt: skip
def test_interrupts_stop_what_is_no_sum(tmp_path, setup, call):
    script = f"""
    import fastconv
    rng = np.random.default_rng(0)
    {setup}
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    try:
        {call}
        print("over")
    except KeyboardInterrupt:
        print("stopped" if time.perf_counter() - start < 1.3 else time.perf_counter() - start)
    """
    assert run_script(script, cwd=tmp_path)[-1] in ("stopped", "over")
