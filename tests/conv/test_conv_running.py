"""conv2d at work: threads and bits, callers at once, fork, Ctrl-C and memory."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastconv
from support import FLOATS, WIDE_PROBLEMS, assert_same_bits, has_openmp, run_script

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs the /proc of Linux")
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


# --- The same bits for any number of threads


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("problem", WIDE_PROBLEMS, ids=str)
def test_bits_do_not_depend_on_the_number_of_threads(isa, rng, problem, dtype):
    x, w = problem.normal(rng, dtype)
    expected = fastconv.conv2d(x, w, workers=1, **problem.options)
    for workers in (2, 3, 7, None):
        assert_same_bits(fastconv.conv2d(x, w, workers=workers, **problem.options), expected)


@pytest.mark.parametrize("problem", WIDE_PROBLEMS, ids=str)
def test_bits_do_not_depend_on_threads_batch_and_layout_together(rng, problem):
    x, w = problem.normal(rng, np.float32)
    expected = fastconv.conv2d(x, w, workers=1, **problem.options)
    batch = np.ascontiguousarray(np.moveaxis(np.concatenate([x, x]), -1, -3))
    result = fastconv.conv2d(batch, w, data_format="NCHW", workers=3, **problem.options)
    assert_same_bits(np.moveaxis(result, -3, -1), np.concatenate([expected, expected]))


def test_limits_do_not_change_the_bits(rng):
    x, w = WIDE_PROBLEMS[0].normal(rng, np.float32)
    expected = fastconv.conv2d(x, w)
    for threads in (1, 2, 5):
        with fastconv.num_threads(threads):
            assert_same_bits(fastconv.conv2d(x, w), expected)


def test_repeated_calls_give_the_same_bits(rng):
    x, w = WIDE_PROBLEMS[2].normal(rng, np.float32)
    expected = fastconv.conv2d(x, w, **WIDE_PROBLEMS[2].options)
    for _ in range(50):
        assert_same_bits(fastconv.conv2d(x, w, workers=2, **WIDE_PROBLEMS[2].options), expected)


# --- Many callers


@pytest.fixture
def eager_switching():
    """Let Python change threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("workers", [1, 2, None])
def test_many_python_threads_at_once(rng, eager_switching, workers):
    cases = []
    for problem in WIDE_PROBLEMS[2:]:
        x, w = problem.normal(rng, np.float32)
        cases.append((x, w, problem.options, fastconv.conv2d(x, w, workers=1, **problem.options)))
    start = threading.Barrier(8)

    def call(first):
        start.wait()
        for i in range(first, first + 2 * len(cases)):
            x, w, options, expected = cases[i % len(cases)]
            assert_same_bits(fastconv.conv2d(x, w, workers=workers, **options), expected)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(call, first) for first in range(8)]:
            done.result()


def test_many_python_threads_into_slices_of_one_out(rng):
    x, w = WIDE_PROBLEMS[0].normal(rng, np.float32)
    expected = fastconv.conv2d(x, w)
    out = np.empty((12, *expected.shape[1:]), np.float32)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: fastconv.conv2d(x, w, out=out[i : i + 1]), range(12)))
    assert_same_bits(out, np.concatenate([expected] * 12))


def test_other_python_threads_run_during_a_call(tmp_path):
    """A thread that counts must get on while a call computes, so the GIL is free."""
    script = """
        import fastconv
        x, w = wide()
        sys.setswitchinterval(1e-4)
        ticks = []
        stop = threading.Event()
        def count():
            while not stop.is_set():
                ticks.append(time.perf_counter())
                time.sleep(0.001)
        counter = threading.Thread(target=count)
        counter.start()
        begin = time.perf_counter()
        fastconv.conv2d(np.broadcast_to(x, (300, *x.shape[1:])), w, 8, workers=1)
        end = time.perf_counter()
        stop.set()
        counter.join()
        inside = [begin, *(t for t in ticks if begin < t < end), end]
        print(end - begin, max(np.diff(inside)))
    """
    duration, gap = map(float, run_script(script, cwd=tmp_path)[0].split())
    assert gap < max(0.1, duration / 3), f"the GIL was held for {gap:.2f} of {duration:.2f} s"


@linux
def test_workers_are_as_many_as_given(tmp_path):
    script = """
        import fastconv
        x, w = wide()
        for workers in (1, 3):
            before = count_tasks()
            fastconv.conv2d(x, w, workers=workers)
            print(count_tasks() - before)
    """
    expected = ["0", "2"] if has_openmp() else ["0", "0"]
    assert run_script(script, cwd=tmp_path) == expected


# --- fork

FORK = """
    import fastconv
    x, w = wide()
    results = []
    def use():
        results.append(fastconv.conv2d(x, w, workers=2))
    if sys.argv[1] == "main":
        use()
    else:
        worker = threading.Thread(target=use)
        worker.start()
        worker.join()
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(fastconv.conv2d(x, w, workers=n), results[0]) for n in (None, 1, 2))
        os._exit(10 if same else 11)
    end = time.monotonic() + 5
    done = status = 0
    while not done and time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.005)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    use()
    print("ended" if done else "hung", os.waitstatus_to_exitcode(status), np.array_equal(*results))
"""


@posix
@pytest.mark.parametrize("used_in", ["main", "other"])
def test_forked_child_computes_the_same(tmp_path, used_in):
    assert run_script(FORK, used_in, cwd=tmp_path) == ["ended 10 True"]


@posix
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_pool_after_use(tmp_path, method):
    (tmp_path / "job.py").write_text(
        "import sys, multiprocessing, numpy as np, fastconv\n"
        "def job(i):\n"
        "    x, w = np.ones((114, 114, 64), 'f4'), np.ones((3, 3, 64, 64), 'f4')\n"
        "    return round(float(fastconv.conv2d(x, w, workers=2)[i, i, i]), 2)\n"
        "if __name__ == '__main__':\n"
        "    job(0)\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        print(pool.map_async(job, range(4)).get(20))\n"
    )
    script = "import runpy; sys.path.insert(0, os.getcwd()); runpy.run_path('job.py', run_name='__main__')"
    if method == "spawn":
        script = "import subprocess; subprocess.run([sys.executable, 'job.py', 'spawn'], check=True)"
    assert run_script(script, method, cwd=tmp_path) == ["[576.0, 576.0, 576.0, 576.0]"]


# --- Ctrl-C

INTERRUPT = """
    import fastconv
    kind, workers = sys.argv[1], int(sys.argv[2])
    one = np.float32(1)
    def problem(size):
        '''Work in proportion to size, on a broadcast input and a small output.'''
        if kind == "image":
            return np.broadcast_to(one, (size + 14, 78, 256)), np.ones((15, 15, 256, 64), "f4"), 1
        if kind == "batch":
            return np.broadcast_to(one, (size, 18, 18, 256)), np.ones((15, 15, 256, 64), "f4"), 1
        if kind == "packing":
            return np.broadcast_to(np.array(1, ">f2"), (size, 16, 16, 4096)), np.ones((1, 1, 4096, 1), "f2"), 1
        if kind == "gathering":
            return np.broadcast_to(np.array(1, ">f2"), (size, 16, 16, 4096)), np.ones((3, 3, 4096, 3), "f2"), 1
        if kind == "plane":
            return np.broadcast_to(one, (size + 200, 1200, 1)), np.ones((201, 201, 1, 1), "f4"), 1
        return np.broadcast_to(one, (size + 150, 214, 64)), np.ones((151, 151, 1, 64), "f4"), 64
    def call(size):
        x, w, groups = problem(size)
        begin = time.perf_counter()
        result = fastconv.conv2d(x, w, groups=groups, workers=workers)
        return time.perf_counter() - begin, result
    size, spent = 4, call(4)[0]
    while spent < 0.1:
        size *= 2
        spent = call(size)[0]
    small = call(3)[1].tobytes()
    size = int(size * 10 / spent)
    x, w, groups = problem(size)
    sent = []
    def interrupt():
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        fastconv.conv2d(x, w, groups=groups, workers=workers)
        print("finished", size, spent)
    except KeyboardInterrupt:
        print("interrupted", time.perf_counter() - sent[0])
        print("right" if call(3)[1].tobytes() == small else "wrong")
"""


@posix
@pytest.mark.parametrize(
    "kind, workers",
    [("image", 1), ("image", 2), ("batch", 2), ("plane", 2), ("depthwise", 1), ("packing", 2), ("gathering", 1)],
)
def test_ctrl_c_stops_a_ten_second_call_within_half_a_second(tmp_path, kind, workers):
    outcome, next_call = run_script(INTERRUPT, kind, workers, cwd=tmp_path)
    name, delay = outcome.split()
    assert (name, next_call) == ("interrupted", "right")
    assert float(delay) < 0.5


@posix
def test_errors_of_signal_handlers_come_out_of_the_call(tmp_path):
    script = """
        import fastconv
        class Stop(Exception):
            pass
        def handler(number, frame):
            raise Stop
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        x = np.broadcast_to(np.float32(1), (100_000, 78, 256))
        begin = time.perf_counter()
        try:
            fastconv.conv2d(x, np.ones((15, 15, 256, 64), "f4"))
        except Stop:
            print(time.perf_counter() - begin)
    """
    assert 0.5 <= float(run_script(script, cwd=tmp_path)[0]) < 1.0


# --- Memory

MEMORY = """
    import ast
    import fastconv
    input_shape, filter_shape, dtype, make, options = ast.literal_eval(sys.argv[1])
    fastconv.conv2d(np.ones((4, 4, 1), "f4"), np.ones((3, 3, 1, 1), "f4"))
    def ones(shape):
        if make == "broadcast":
            return np.broadcast_to(np.ones(1, dtype), shape)
        if make == "misaligned":
            return np.zeros(np.prod(shape) * 4 + 1, np.uint8)[1:].view(dtype).reshape(shape)
        return np.empty(shape, dtype)
    x, w = ones(input_shape), np.ones(filter_shape, dtype.lstrip(">"))
    if make != "broadcast":
        x.fill(1)
    if make == "swapped axes":
        x = x.swapaxes(-3, -2)
    if make == "every other":
        x = x[..., ::-2, ::2, :]
    def status(field):
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
    before = status("VmRSS")
    result = fastconv.conv2d(x, w, **options)
    print(status("VmHWM") - before - result.nbytes / 2**20)
    # Winograd's method and Fourier transforms round even sums of integers.
    slack = 0 if options.get("method") == "direct" or len(w) not in (3, 9, 65, 700) else 1e-5
    print(abs(result.astype("f8").max() / w[..., 0].size - 1) <= slack)
"""

LARGE = {
    "layer": ((226, 226, 64), (3, 3, 64, 64), "f4", "", {}),
    "layer of 256": ((30, 30, 256), (3, 3, 256, 256), "f8", "", {"padding": "SAME"}),
    "direct layer": ((226, 226, 64), (3, 3, 64, 64), "f4", "", {"method": "direct"}),
    "double layer": ((226, 226, 64), (3, 3, 64, 64), "f8", "", {"activation": "relu"}),
    "channels first": ((64, 512, 512), (3, 3, 64, 8), "f4", "", {"data_format": "NCHW"}),
    "mirrored padding": (
        (512, 512, 32),
        (5, 5, 32, 8),
        "f4",
        "",
        {"padding": "SAME", "padding_mode": "mirror"},
    ),
    "full padding": ((700, 700, 16), (9, 9, 16, 8), "f4", "", {"padding": "FULL"}),
    "large filters": ((9, 9, 1024), (3, 3, 1024, 1024), "f4", "", {}),
    "many filters on a pixel": ((1, 1, 256), (1, 1, 256, 200_000), "f4", "", {}),
    "large half filters": ((9, 9, 1024), (3, 3, 1024, 1024), "f2", "", {}),
    "large plane filter": ((1500, 1500, 1), (61, 61, 1, 1), "f4", "", {}),
    "depthwise": ((512, 512, 64), (7, 7, 1, 64), "f4", "", {"groups": 64}),
    "large depthwise filters": ((100, 100, 256), (65, 65, 1, 256), "f8", "", {"groups": 256, "padding": "FULL"}),
    "many filters a channel": ((12, 12, 2), (9, 9, 1, 100_000), "f8", "", {"groups": 2}),
    "many channels": ((8, 128, 65_536), (1, 1, 65_536, 1), "f4", "broadcast", {}),
    "many planes": ((100, 300, 600), (9, 9, 600, 2), "f4", "", {"strides": 5, "workers": 7}),
    "channels first beyond planes": ((16_384, 30, 30), (3, 3, 16_384, 1), "f4", "broadcast", {"data_format": "NCHW"}),
    "one filter on many channels": ((12, 100, 16_384), (3, 3, 16_384, 1), "f4", "broadcast", {}),
    "filters as large as images": ((150, 170, 64), (141, 141, 1, 64), "f8", "", {"groups": 64, "padding": 3}),
    "plane filter as large as images": ((800, 760, 1), (700, 701, 1, 1), "f8", "", {"padding": 3}),
    "large windows": ((2048, 32, 32), (3, 3, 2048, 6), "f8", "", {"dilations": 12, "data_format": "NCHW"}),
    "half": ((700, 700, 64), (3, 3, 64, 8), "f2", "", {}),
    "byte-swapped": ((512, 512, 64), (3, 3, 64, 8), ">f4", "", {}),
    "misaligned": ((512, 512, 64), (3, 3, 64, 8), "f4", "misaligned", {}),
    "swapped axes": ((512, 512, 64), (3, 3, 64, 8), "f4", "swapped axes", {}),
    "every other pixel": ((1024, 1024, 32), (3, 3, 32, 8), "f4", "every other", {}),
    "many small images": ((3000, 12, 12, 32), (3, 3, 32, 8), "f4", "", {}),
    "one long row": ((1, 700_000, 16), (1, 5, 16, 16), "f4", "", {}),
    "64 GiB plane": ((131_072, 131_072, 1), (3, 3, 1, 1), "f4", "broadcast", {"strides": 4096}),
    "64 GiB channels": (
        (32_768, 32_768, 16),
        (3, 3, 16, 16),
        "f4",
        "broadcast",
        {"strides": 1024, "padding": "SAME"},
    ),
    "64 GiB half": ((131_072, 131_072, 2), (3, 3, 2, 4), "f2", "broadcast", {"strides": 4096}),
    "64 GiB batch": ((1024, 1024, 1024, 16), (3, 3, 16, 8), "f4", "broadcast", {"strides": 600}),
}


@linux
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", LARGE)
def test_memory_beyond_input_and_output(tmp_path, name, workers):
    *case, options = LARGE[name]
    workers = options.get("workers", workers)
    extra, right = run_script(MEMORY, (*case, options | {"workers": workers}), cwd=tmp_path)
    assert right == "True"
    assert float(extra) <= 16 + 4 * workers, f"{float(extra):.1f} MiB"


@linux
def test_calls_leave_no_memory_behind(tmp_path):
    script = """
        import fastconv
        x, w = np.ones((30, 31, 16), "f4"), np.ones((3, 3, 16, 16), "f4")
        def kilobytes():
            with open("/proc/self/status") as lines:
                return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        def calls(number):
            for _ in range(number):
                fastconv.conv2d(x, w, padding="SAME", padding_mode="wrap", activation="tanh")
                try:
                    fastconv.conv2d(x, w, padding="NONE")
                except ValueError:
                    pass
        calls(300)
        before = kilobytes()
        calls(3000)
        print(kilobytes() - before)
    """
    assert int(run_script(script, cwd=tmp_path)[0]) <= 256
