"""Threads, instruction sets and configuration."""

import importlib.util
import os
import platform
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastconv
import fastconv.runtime
from support import ALL_ISAS, config_text, has_openmp, run_python, run_script

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs the /proc of Linux")
openmp = pytest.mark.skipif(not has_openmp(), reason="needs a build with OpenMP")
threadpoolctl = pytest.mark.skipif(
    not importlib.util.find_spec("threadpoolctl"), reason="needs threadpoolctl"
)
CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


# --- Seams


def test_use_seams_holds_within_its_block():
    before = fastconv.runtime.seams()
    assert all(type(value) is int and value > 0 for value in before.values())
    with fastconv.runtime.use_seams({"runtime.SERIAL_WORK": 1}):
        assert fastconv.runtime.seams() == before | {"runtime.SERIAL_WORK": 1}
    assert fastconv.runtime.seams() == before


@pytest.mark.parametrize(
    "values, error",
    [({"conv.none": 1}, ValueError), ({"runtime.SERIAL_WORK": 0}, ValueError), ({"runtime.SERIAL_WORK": 1.5}, TypeError)]
)
def test_use_seams_refuses_what_is_no_seam(values, error):
    with pytest.raises(error, match=next(iter(values))):
        fastconv.runtime.use_seams(values)


# --- Instruction sets


def test_available_isas_are_those_of_the_machine():
    names = list(fastconv.available_isas())
    assert set(names) <= set(ALL_ISAS)
    assert len(names) == len(set(names))
    assert fastconv.isa() in names
    foreign = "neon" if platform.machine().lower() in ("x86_64", "amd64") else "x86-64-v2"
    assert foreign not in names


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 processor")
@pytest.mark.parametrize(
    "name, flag", [("x86-64-v4", "avx512vl"), ("x86-64-v3", "avx2"), ("x86-64-v2", "sse4_2")]
)
def test_available_isas_follow_the_flags_of_the_processor(name, flag):
    with open("/proc/cpuinfo") as lines:
        flags = next(line for line in lines if line.startswith("flags")).split()
    assert (name in fastconv.available_isas()) == (flag in flags)


def test_use_isa_nests_and_restores():
    first, names = fastconv.isa(), fastconv.available_isas()
    with fastconv.use_isa(names[-1]):
        assert fastconv.isa() == names[-1]
        with fastconv.use_isa(names[0]):
            assert fastconv.isa() == names[0]
        assert fastconv.isa() == names[-1]
    assert fastconv.isa() == first


def test_use_isa_restores_after_an_exception():
    first = fastconv.isa()
    with pytest.raises(KeyError), fastconv.use_isa(fastconv.available_isas()[-1]):
        raise KeyError
    assert fastconv.isa() == first


def foreign_isas():
    return [name for name in ALL_ISAS if name not in fastconv.available_isas()]


@pytest.mark.parametrize("name", ["sse9", "", *foreign_isas()])
def test_use_isa_of_another_machine_lists_the_choices(name):
    first = fastconv.isa()
    with (
        pytest.raises(ValueError, match=".*".join(map(re.escape, fastconv.available_isas()))),
        fastconv.use_isa(name),
    ):
        pass
    assert fastconv.isa() == first


@pytest.mark.parametrize("name", fastconv.available_isas())
def test_environment_picks_the_isa(tmp_path, name):
    script = "import fastconv; print(fastconv.isa())"
    assert run_script(script, cwd=tmp_path, env={"FASTCONV_ISA": name}) == [name]


@pytest.mark.parametrize("name", ["sse9", *foreign_isas()])
def test_environment_with_an_unknown_isa_is_an_import_error(tmp_path, name):
    done = run_python("-c", "import fastconv", cwd=tmp_path, env={"FASTCONV_ISA": name}, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: FASTCONV_ISA")
    assert all(word in last for word in (name, *fastconv.available_isas()))


def test_best_isa_is_the_default(tmp_path):
    order = [name for name in ALL_ISAS if name in fastconv.available_isas()]
    assert run_script("import fastconv; print(fastconv.isa())", cwd=tmp_path) == [order[0]]


# --- How many threads


@openmp
def test_num_threads_nests_and_restores():
    before = fastconv.get_num_threads()
    with fastconv.num_threads(3):
        assert fastconv.get_num_threads() == 3
        with fastconv.num_threads(1):
            assert fastconv.get_num_threads() == 1
        assert fastconv.get_num_threads() == 3
    assert fastconv.get_num_threads() == before


def test_num_threads_restores_after_an_exception():
    before = fastconv.get_num_threads()
    with pytest.raises(KeyError), fastconv.num_threads(before + 1):
        raise KeyError
    assert fastconv.get_num_threads() == before


def test_num_threads_holds_for_its_own_python_thread():
    before, seen = fastconv.get_num_threads(), []
    with fastconv.num_threads(before + 2):
        other = threading.Thread(target=lambda: seen.append(fastconv.get_num_threads()))
        other.start()
        other.join()
    assert seen == [before]


@openmp
def test_set_num_threads_holds_until_it_is_taken_back(tmp_path):
    script = """
        import fastconv
        before = fastconv.get_num_threads()
        for n in (3, 1, np.int64(2)):
            fastconv.set_num_threads(n)
            print(fastconv.get_num_threads())
        with fastconv.num_threads(5):
            print(fastconv.get_num_threads())
        print(fastconv.get_num_threads())
        fastconv.set_num_threads(None)
        print(fastconv.get_num_threads() == before)
    """
    assert run_script(script, cwd=tmp_path) == ["3", "1", "2", "5", "2", "True"]


@pytest.mark.parametrize(
    "value, error", [(0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError)]
)
@pytest.mark.parametrize("function", [fastconv.set_num_threads, fastconv.num_threads])
def test_numbers_of_threads_that_cannot_be(function, value, error):
    before = fastconv.get_num_threads()
    with pytest.raises(error, match=re.escape(repr(value))):
        with function(value):
            pass
    assert fastconv.get_num_threads() == before


TELL_THREADS = "import fastconv; print(fastconv.get_num_threads())"


@pytest.mark.parametrize(
    "env, expected",
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"FASTCONV_NUM_THREADS": "1", "OMP_NUM_THREADS": "2"}, 1),
        pytest.param({"FASTCONV_NUM_THREADS": "2", "OMP_NUM_THREADS": "1"}, min(2, CPUS), marks=openmp),
        pytest.param({"OMP_NUM_THREADS": "2"}, min(2, CPUS), marks=openmp),
    ],
    ids=str,
)
def test_environment_sets_the_number_of_threads(tmp_path, env, expected):
    assert run_script(TELL_THREADS, cwd=tmp_path, env=env) == [str(expected)]


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_environment_with_a_bad_number_of_threads_is_an_import_error(tmp_path, value):
    done = run_python("-c", TELL_THREADS, cwd=tmp_path, env={"FASTCONV_NUM_THREADS": value}, check=False)
    assert done.returncode == 1
    assert re.search(rf"ImportError: FASTCONV_NUM_THREADS.*{re.escape(value)}", done.stderr)


def test_threads_are_no_more_than_the_processors_given(tmp_path):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs sched_setaffinity")
    script = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + TELL_THREADS
    assert run_script(script, cwd=tmp_path) == ["1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_has_one_thread(tmp_path):
    script = """
        import fastconv
        child = os.fork()
        if child == 0:
            os._exit(fastconv.get_num_threads())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run_script(script, cwd=tmp_path) == ["1"]


@linux
@openmp
@threadpoolctl
def test_threadpoolctl_limits_the_threads(tmp_path):
    script = """
        import fastconv
        from threadpoolctl import threadpool_limits
        x, w = wide()
        before = count_tasks()
        with threadpool_limits(1):
            fastconv.conv2d(x, w)
            print(fastconv.get_num_threads(), count_tasks() - before)
        fastconv.conv2d(x, w)
        print(count_tasks() - before == fastconv.get_num_threads() - 1)
        with threadpool_limits(1):
            fastconv.conv2d(x, w, workers=3)
            print(count_tasks() - before)
    """
    assert run_script(script, cwd=tmp_path) == ["1 0", "True", "2"]


@openmp
@threadpoolctl
def test_threadpoolctl_sees_the_openmp_of_the_build(tmp_path):
    script = """
        import fastconv
        from threadpoolctl import threadpool_info
        print(any(pool["user_api"] == "openmp" for pool in threadpool_info()))
    """
    assert run_script(script, cwd=tmp_path) == ["True"]


# --- Threads that cannot be had

# Each operation on enough tasks for hundreds of threads, and what it gives on one.
OPERATIONS = {
    "conv2d": "fastconv.conv2d(x[..., None], np.ones((3, 3, 1, 2)), workers={})",
    "neighborhood_reduce": "fastconv.neighborhood_reduce(x[0], 'max', 3, workers={})",
    "cfunc": "fastconv.neighborhood_reduce(x[0, :300], first, 3, workers={})",
    "function": "fastconv.neighborhood_reduce(x[0], lambda w, axis: w.max(axis), 3, workers={})",
    "triple_product": "fastconv.triple_product(x[0, :50], workers={})",
    "few outputs": "fastconv.triple_product(x[0, :2], x[1, :2], x[2, :2], workers={})",
    "mode_dot": "fastconv.mode_dot(x, x[0, :5, :], 2, workers={})",
    "cdist": "fastconv.cdist(x[0], x[1], workers={})",
    "pdist": "fastconv.pdist(x[0], workers={})",
    "knn": "fastconv.knn(x[0], x[1], 3, workers={})[1]",
    "cdist_vjp": "fastconv.cdist_vjp(np.ones((2000, 2000)), x[0], x[1], workers={})[0]",
}
LIMITED = """
    import ctypes, fastconv, resource
    x = np.random.default_rng(0).integers(0, 9, (8, 2000, 40)).astype(float)
    doubles = ctypes.POINTER(ctypes.c_double)
    @ctypes.CFUNCTYPE(ctypes.c_int, doubles, ctypes.c_ssize_t, doubles, ctypes.c_void_p)
    def first(window, cells, result, data):
        result[0] = window[0]
        return 1
"""


@linux
@openmp
def test_threads_that_cannot_be_had_are_done_without(tmp_path):
    """OpenMP's library would end the process; fewer threads give the same bits."""
    script = LIMITED + f"""
    operations = {OPERATIONS}
    expected = {{name: eval(call.format(1)) for name, call in operations.items()}}
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (500 << 20),) * 2)
    for name, call in operations.items():
        result = None
        try:
            result = eval(call.format(400))
        except (MemoryError, RuntimeError) as error:  # Python's own threads cannot be had either
            print(name, error) if name != "function" or "thread" not in str(error) else None
        if result is not None and not np.array_equal(result, expected[name]):
            print(name, "differs")
    print(count_tasks() > 1)
    """
    assert run_script(script, cwd=tmp_path) == ["True"]


@linux
@openmp
def test_threads_that_callers_at_once_cannot_have_are_done_without(tmp_path):
    script = LIMITED + """
    expected, same, go = fastconv.cdist(x[0], x[1], workers=1), [], threading.Event()
    def task():
        go.wait()
        for workers in (60, 2, 60):
            try:
                same.append(np.array_equal(fastconv.cdist(x[0], x[1], workers=workers), expected))
            except MemoryError:  # of the result: an error, and no end of the process
                same.append(True)
    threads = [threading.Thread(target=task) for _ in range(8)]
    for thread in threads:
        thread.start()
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1500 << 20),) * 2)
    go.set()
    for thread in threads:
        thread.join()
    print(same == 24 * [True])
    """
    assert run_script(script, cwd=tmp_path) == ["True"]


@linux
@openmp
def test_teams_grow_and_shrink(tmp_path):
    script = """
        import fastconv
        x = np.ones((64, 34, 34, 8), np.float32)
        for n, left in ((3, 3), (2, 2), (5, 5), (1, 5), (4, 4)):
            fastconv.conv2d(x, np.ones((3, 3, 8, 8), np.float32), workers=n)
            end = time.monotonic() + 20
            while count_tasks() != left and time.monotonic() < end:
                time.sleep(0.01)  # threads that were let go end in their own time
            print(count_tasks())
    """
    assert run_script(script, cwd=tmp_path) == ["3", "2", "5", "5", "4"]


@linux
@openmp
def test_one_worker_never_enters_a_team(tmp_path):
    script = LIMITED + f"""
    for call in {list(OPERATIONS.values())}:
        eval(call.format(1))
    for thin in (1, 2, 3):
        fastconv.triple_product(x[0, :thin], workers=1)
    print(count_tasks())
    """
    assert run_script(script, cwd=tmp_path) == ["1"]


@openmp
@pytest.mark.parametrize("value, stack", [("3M", 3 << 20), (" 500 ", 500 << 10), ("700k", 700 << 10), ("1G", 1 << 30), ("x", 0)])
def test_stacks_of_threads_follow_openmp(value, stack):
    assert fastconv.runtime._stack_bytes({"OMP_STACKSIZE": value}) == stack
    assert fastconv.runtime._stack_bytes({"GOMP_STACKSIZE": value}) == stack
    assert fastconv.runtime._stack_bytes({}) == 0


# --- Control groups

V2, V1 = "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/cpu/cpu.cfs_{}_us"
NESTED = {"proc/self/cgroup": "0::/user/job\n"}
JOB, USER = "sys/fs/cgroup/user/job/cpu.max", "sys/fs/cgroup/user/cpu.max"


def v1(quota, period):
    return {
        "proc/self/cgroup": "4:memory:/\n1:cpu,cpuacct:/\n",
        V1.format("quota"): quota,
        V1.format("period"): period,
    }


TREES = {
    "no files": ({}, None),
    "v2 without limit": ({V2: "max 100000\n"}, None),
    "v2 one": ({V2: "100000 100000\n"}, 1),
    "v2 one and a half": ({V2: "150000 100000\n"}, 2),
    "v2 a half": ({V2: "50000 100000\n"}, 1),
    "v2 garbage": ({V2: "as many as you like\n"}, None),
    "v2 empty": ({V2: ""}, None),
    "v2 binary": ({V2: b"\xff\xfe\x00 \xff"}, None),
    "v2 period zero": ({V2: "100000 0\n"}, None),
    "v2 own group": (NESTED | {JOB: "300000 100000\n"}, 3),
    "v2 parent": (NESTED | {JOB: "max 100000", USER: "210000 100000"}, 3),
    "v2 smaller parent": (NESTED | {JOB: "400000 100000", USER: "200000 100000"}, 2),
    "v2 neighbour": (NESTED | {"sys/fs/cgroup/user/other/cpu.max": "100000 100000\n"}, None),
    "garbage group": ({"proc/self/cgroup": "what?\n", V2: "200000 100000\n"}, 2),
    "v1 two": (v1("200000\n", "100000\n"), 2),
    "v1 a quarter": (v1("25000\n", "100000\n"), 1),
    "v1 without limit": (v1("-1\n", "100000\n"), None),
    "v1 garbage": (v1("-\n", "100000\n"), None),
    "v1 without period": ({V1.format("quota"): "100000\n"}, None),
}


@pytest.mark.parametrize("name", TREES)
def test_quota_of_the_control_group(tmp_path, name):
    files, expected = TREES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert fastconv.runtime._cgroup_cpus(str(tmp_path)) == expected


def test_quota_of_this_machine():
    cpus = fastconv.runtime._cgroup_cpus()
    assert cpus is None or cpus >= 1


# --- What import does to the process


@linux
def test_import_and_one_worker_start_no_thread(tmp_path):
    script = """
        before = count_tasks()
        import fastconv
        print(count_tasks() - before)
        fastconv.conv2d(*wide(), workers=1)
        print(count_tasks() - before)
    """
    assert run_script(script, cwd=tmp_path) == ["0", "0"]


def test_import_and_calls_keep_denormals(tmp_path):
    script = """
        def kept():
            tiny = np.full(64, 1e-40, np.float32)
            return bool(np.all(tiny * np.float32(0.5) != 0) and np.all(tiny / 3 != 0) and tiny[0] != 0)
        before = kept()
        import fastconv
        after_import = kept()
        fastconv.conv2d(*wide(), workers=2)
        other = []
        worker = threading.Thread(target=lambda: (fastconv.conv2d(*wide(), workers=1), other.append(kept())))
        worker.start()
        worker.join()
        print(before, after_import, kept(), other)
    """
    assert run_script(script, cwd=tmp_path) == ["True True True [True]"]


def test_import_loads_numpy_and_the_standard_library_only(tmp_path):
    script = """
        import re
        before = set(sys.modules)
        import fastconv
        new = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
        print(sorted(name for name in new - {"fastconv", "numpy"} if not re.match("_?cy(thon|util)", name)))
    """
    assert run_script(script, cwd=tmp_path) == ["[]"]


def test_import_leaves_the_environment_and_the_warnings_alone(tmp_path):
    script = """
        import warnings
        env, filters, interval = dict(os.environ), list(warnings.filters), sys.getswitchinterval()
        handler = signal.getsignal(signal.SIGINT)
        import fastconv
        print(dict(os.environ) == env, list(warnings.filters) == filters, sys.getswitchinterval() == interval)
        print(signal.getsignal(signal.SIGINT) is handler)
    """
    assert run_script(script, cwd=tmp_path) == ["True True True", "True"]


# --- show_config


def test_show_config_tells_version_isa_threads_compiler_and_openmp(capsys):
    assert fastconv.show_config() is None
    text = capsys.readouterr().out
    assert fastconv.__version__ in text
    assert fastconv.isa() in text
    assert all(name in text for name in fastconv.available_isas())
    for pattern in (rf"threads\W+{fastconv.get_num_threads()}\b", r"compiler\W+\w+", r"openmp\W+\w+"):
        assert re.search(pattern, text, re.IGNORECASE), f"{pattern} is not in\n{text}"


def test_show_config_tells_what_holds_now():
    last = fastconv.available_isas()[-1]
    with fastconv.use_isa(last), fastconv.num_threads(1):
        text = config_text()
    assert re.search(rf"isa\W+{last}\b", text, re.IGNORECASE)
    assert re.search(r"threads\W+1\b", text, re.IGNORECASE)


def test_show_config_tells_whether_integers_have_an_instruction_of_their_own():
    for name in fastconv.available_isas():
        with fastconv.use_isa(name):
            assert ("with VNNI" in config_text()) <= (name == "x86-64-v4")
    if fastconv.available_isas()[0] == "x86-64-v4" and Path("/proc/cpuinfo").exists():
        assert ("with VNNI" in config_text()) == ("avx512_vnni" in Path("/proc/cpuinfo").read_text())


def test_runtime_module_prints_the_same(tmp_path):
    expected = run_python("-c", "import fastconv; fastconv.show_config()", cwd=tmp_path)
    done = run_python("-W", "error", "-m", "fastconv.runtime", cwd=tmp_path)
    assert done.stdout == expected.stdout
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc/self/maps")
def test_openmp_in_show_config_is_the_truth(tmp_path):
    script = """
        import fastconv
        with open("/proc/self/maps") as lines:
            print(any(name in line for line in lines for name in ("libgomp", "libomp", "libiomp")))
    """
    assert run_script(script, cwd=tmp_path) == [str(has_openmp())]


def test_numpy_errors_settings_are_not_touched():
    before = np.geterr()
    fastconv.conv2d(np.full((5, 5, 1), np.inf), np.zeros((3, 3, 1, 1)))
    assert np.geterr() == before
