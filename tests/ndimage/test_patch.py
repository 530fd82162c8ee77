"""fastconv.patch: what is replaced, where, for how long, what goes to SciPy, and the command."""

import logging
import pickle
import py_compile
import subprocess
import sys
import threading
import types
import zipfile

import numpy as np
import pytest

import fastconv
import fastconv.ndimage as ndi
from fastconv import patch
from fastconv.patch import patch_scipy, unpatch_scipy

scipy_ndimage = pytest.importorskip("scipy.ndimage")
distance = pytest.importorskip("scipy.spatial.distance")

ORIGINAL = {name: getattr(sys.modules[home], name) for name, home in patch._HOMES.items()}


@pytest.fixture(autouse=True)
def nothing_left():
    """Each test begins and ends with SciPy's own functions."""
    assert all(getattr(sys.modules[home], name) is ORIGINAL[name] for name, home in patch._HOMES.items())
    yield
    while patch._open:
        unpatch_scipy()
    assert all(getattr(sys.modules[home], name) is ORIGINAL[name] for name, home in patch._HOMES.items())
    assert not patch._replaced


@pytest.fixture
def answers(caplog):
    """Return a function that says who has answered the calls since it was called last."""
    caplog.set_level(logging.DEBUG, logger="fastconv.patch")

    def who():
        texts = [record.getMessage() for record in caplog.records if record.name == "fastconv.patch"]
        caplog.clear()
        return [text.partition(": ")[2].partition(" ")[0] for text in texts]

    return who


@pytest.fixture
def user():
    """A module that has bound functions of SciPy at import."""
    module = types.ModuleType("a_user_of_scipy")
    module.smooth, module.median_filter, module.cdist = (ORIGINAL[n] for n in ("gaussian_filter", "median_filter", "cdist"))
    module.kept = [ORIGINAL["gaussian_filter"]]
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_importing_patches_nothing():
    code = "import scipy.ndimage as n, scipy.spatial.distance as d; f = n.gaussian_filter, d.cdist; import fastconv.patch, sys; "
    code += "sys.exit(f != (n.gaussian_filter, d.cdist))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_names_are_replaced_and_come_back(answers, user):
    x = np.random.default_rng(0).random((30, 31))
    expected = ORIGINAL["gaussian_filter"](x, 1.0)
    patch_scipy()
    assert all(getattr(sys.modules[home], name) is not ORIGINAL[name] for name, home in patch._HOMES.items())
    np.testing.assert_allclose(scipy_ndimage.gaussian_filter(x, 1.0), expected, rtol=1e-13)
    np.testing.assert_array_equal(user.median_filter(x, 3), ndi.median_filter(x, 3))
    assert answers() == ["fastconv", "fastconv"]
    assert user.kept[0] is ORIGINAL["gaussian_filter"]  # in a list
    unpatch_scipy()
    assert user.smooth is ORIGINAL["gaussian_filter"]
    assert user.cdist is ORIGINAL["cdist"]
    np.testing.assert_array_equal(scipy_ndimage.gaussian_filter(x, 1.0), expected)
    assert answers() == []


def test_some_names(user):
    with patch_scipy("median_filter"):
        assert scipy_ndimage.median_filter is user.median_filter is not ORIGINAL["median_filter"]
        assert scipy_ndimage.gaussian_filter is ORIGINAL["gaussian_filter"]
    with patch_scipy(["cdist", "gaussian_filter", "cdist"]):
        assert distance.cdist is user.cdist is not ORIGINAL["cdist"]
        assert scipy_ndimage.median_filter is ORIGINAL["median_filter"]
    for names in ("gaussian", ["cdist", "zoom"]):
        with pytest.raises(ValueError, match="names"):
            patch_scipy(names)
    assert not patch._open


def test_calls_are_counted():
    outer = patch_scipy()
    with patch_scipy(["sobel"]):
        function = scipy_ndimage.sobel
        with patch_scipy():
            assert scipy_ndimage.sobel is function
        assert scipy_ndimage.sobel is function
        outer.undo()
        outer.undo()
        assert scipy_ndimage.sobel is function
        assert scipy_ndimage.laplace is ORIGINAL["laplace"]
    assert scipy_ndimage.sobel is ORIGINAL["sobel"]
    with pytest.raises(RuntimeError, match="nothing"):
        unpatch_scipy()


def test_an_exception_ends_the_patch():
    with pytest.raises(KeyError), patch_scipy():
        raise KeyError
    assert scipy_ndimage.sobel is ORIGINAL["sobel"]


def test_modules_imported_under_the_patch_get_scipys_functions_back():
    with patch_scipy():
        late = types.ModuleType("imported_late")
        late.sobel, late.own = scipy_ndimage.sobel, len
        sys.modules[late.__name__] = late
    del sys.modules[late.__name__]
    assert late.sobel is ORIGINAL["sobel"]
    assert late.own is len


def test_a_patch_that_is_entered_again_is_done_again():
    patched = patch_scipy("sobel")
    for _ in range(2):
        with patched as entered:
            assert entered is patched
            assert scipy_ndimage.sobel is not ORIGINAL["sobel"]
        assert scipy_ndimage.sobel is ORIGINAL["sobel"]


def test_functions_that_this_scipy_has_not(monkeypatch):
    monkeypatch.delattr(scipy_ndimage, "vectorized_filter")
    with patch_scipy():
        assert not hasattr(scipy_ndimage, "vectorized_filter")
        assert scipy_ndimage.sobel is not ORIGINAL["sobel"]
    with pytest.raises(ValueError, match="vectorized_filter"):
        patch_scipy(["sobel", "vectorized_filter"])
    assert not patch._open
    monkeypatch.undo()


def test_what_has_been_bound_anew_stays(user):
    with patch_scipy():
        user.smooth = len
    assert user.smooth is len


def test_several_threads():
    x = np.eye(20)
    expected = ORIGINAL["uniform_filter"](x, 3)
    wrong = []

    def work():
        for _ in range(15):
            with patch_scipy(["uniform_filter", "pdist"]):
                if scipy_ndimage.uniform_filter is ORIGINAL["uniform_filter"]:
                    wrong.append("not patched")
                if not np.allclose(scipy_ndimage.uniform_filter(x, 3), expected):
                    wrong.append("another result")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class Foreign:
    """An array of another library."""

    def __array__(self, dtype=None, copy=None):
        return np.eye(5, dtype=dtype)


class Sub(np.ndarray):
    """A subclass of ndarray."""


def test_what_is_not_numpys_goes_to_scipy(answers):
    x = np.arange(25.0).reshape(5, 5)
    with patch_scipy():
        for value in (Foreign(), np.ma.masked_less(x, 3), x.view(Sub), x.astype("g")):
            try:
                expected = ORIGINAL["uniform_filter"](value, 3)
            except RuntimeError:
                with pytest.raises(RuntimeError):
                    scipy_ndimage.uniform_filter(value, 3)
            else:
                np.testing.assert_array_equal(scipy_ndimage.uniform_filter(value, 3), expected)
            assert answers() == ["SciPy"]
        scipy_ndimage.correlate(x, weights=Foreign())
        assert answers() == ["SciPy"]
        np.testing.assert_array_equal(scipy_ndimage.uniform_filter(x.tolist(), 3), ORIGINAL["uniform_filter"](x, 3))
        assert answers() == ["fastconv"]


def test_memory_maps_are_ours(tmp_path, answers):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(6, 7))
    with patch_scipy():
        scipy_ndimage.maximum_filter(x, 3)
    assert answers() == ["fastconv"]


def test_mistakes_are_scipys(answers):
    x = np.eye(5)
    with patch_scipy():
        for name, args, kind, text in (
            ("gaussian_filter", [x], TypeError, "missing 1 required positional argument: 'sigma'"),
            ("gaussian_filter", [x, 1.0, 0, None, "bad"], RuntimeError, "boundary mode not supported$"),
            ("correlate", [x, [1]], RuntimeError, r"weights.ndim \(1\) must match"),
        ):
            with pytest.raises(kind, match=text):
                getattr(scipy_ndimage, name)(*args)
            assert answers() == ["SciPy"]
        with pytest.raises(ValueError, match="Unknown Distance Metric"):
            distance.cdist(x, x, "bad")


def test_functions_of_the_user_are_not_called_again():
    calls = []

    def fails(window):
        calls.append(1)
        raise ValueError("once")

    with patch_scipy(), pytest.raises(ValueError, match="once"):
        scipy_ndimage.generic_filter(np.eye(30), fails, 3)
    assert len(calls) < 4


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i4", "u1", "?"])
def test_distances_are_doubles(rng, dtype, answers):
    x, y = (rng.integers(0, 2 if dtype == "?" else 99, (n, 4)).astype(dtype) for n in (9, 7))
    metrics = ["hamming", "jaccard", "dice", "yule"] if dtype == "?" else ["euclidean", "cityblock", "cosine", "mahalanobis"]
    for metric in metrics:
        with patch_scipy():
            found = distance.cdist(x, y, metric), distance.pdist(x, metric)
        expected = ORIGINAL["cdist"](x, y, metric), ORIGINAL["pdist"](x, metric)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype == np.float64
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)
        assert answers() == ["fastconv", "fastconv"]


def test_metrics_that_are_functions(rng, answers):
    x = rng.random((6, 3))
    with patch_scipy():
        np.testing.assert_allclose(distance.pdist(x, distance.cityblock), ORIGINAL["pdist"](x, "cityblock"))
        assert answers() == ["fastconv"]
        np.testing.assert_allclose(distance.cdist(x, x, lambda a, b: abs(a - b).max()), ORIGINAL["cdist"](x, x, "chebyshev"))
        assert answers() == ["SciPy"]


def test_out_of_distances(rng, answers):
    x = rng.random((6, 3))
    out = np.empty((6, 6))
    with patch_scipy():
        assert distance.cdist(x, x, out=out) is out
        assert answers() == ["fastconv"]
        np.testing.assert_array_equal(distance.squareform(distance.pdist(x)), fastconv.squareform(fastconv.pdist(x)))
        answers()
        with pytest.raises(ValueError, match="contiguous"):
            distance.cdist(x, x, out=np.empty((6, 6), order="F"))
        assert answers() == ["SciPy"]
        with pytest.raises(ValueError, match="dimension"):
            distance.squareform(np.zeros((2, 3, 3)))


def test_replaced_functions_look_like_scipys():
    with patch_scipy():
        function = scipy_ndimage.gaussian_filter
        assert function.__name__ == "gaussian_filter"
        assert function.__doc__ == ORIGINAL["gaussian_filter"].__doc__
        assert pickle.loads(pickle.dumps(function)) is function
        data = pickle.dumps(function)
    assert pickle.loads(data) is ORIGINAL["gaussian_filter"]


SCRIPT = """
import sys, scipy.ndimage
from scipy.spatial.distance import cdist
import helper
print(__name__, sys.argv[1:], helper.__name__, scipy.ndimage.sobel.__code__.co_filename.endswith("patch.py"))
def annotated(x: int): pass
print(cdist.__code__.co_filename.endswith("patch.py"), annotated.__annotations__)
if "--fail" in sys.argv:
    raise KeyError("failed")
sys.exit(int(sys.argv[1]))
"""


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "fastconv.patch", *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def scripts(tmp_path):
    (tmp_path / "folder").mkdir()
    for folder in (tmp_path, tmp_path / "folder"):
        (folder / "script.py").write_text(SCRIPT)
        (folder / "helper.py").write_text("")
    return tmp_path


def test_scripts_and_modules_run_as_python_runs_them(scripts):
    for arguments in (["script.py"], ["-m", "script"], ["folder/script.py"], ["-m", "folder.script"]):
        done = run(scripts, *arguments, "5", "-m", "x")
        assert (done.returncode, done.stderr) == (5, "")
        assert done.stdout.splitlines() == ["__main__ ['5', '-m', 'x'] helper True", "True {'x': <class 'int'>}"]


def test_folders_zip_files_and_compiled_scripts_run_as_python_runs_them(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text("import sys\nprint(__name__, __file__, sys.argv, sys.path[0])")
    (tmp_path / "alone.py").write_text("print(__name__, __file__, __spec__)")
    py_compile.compile(str(tmp_path / "alone.py"), str(tmp_path / "alone.pyc"))
    with zipfile.ZipFile(tmp_path / "file.zip", "w") as file:
        file.write(tmp_path / "folder" / "__main__.py", "__main__.py")
    for arguments in (["folder", "1"], ["file.zip", "-m"], ["alone.pyc"]):
        plain = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        done = run(tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == plain.stdout


def test_safe_paths_stay(tmp_path):
    (tmp_path / "script.py").write_text("import sys\nprint(sys.path)")
    outputs = [
        subprocess.run([sys.executable, "-P", *way, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for way in ([], ["-m", "fastconv.patch"])
    ]
    assert outputs[0] == outputs[1]


LATE = """
import atexit, pickle, threading
class State: pass
def save(when): print(when, type(pickle.loads(pickle.dumps(State()))) is State, flush=True)
def wait():
    threading.main_thread().join()
    save("thread")
atexit.register(save, "exit")
threading.Thread(target=wait).start()
"""


def test_the_main_module_stays_until_the_end(tmp_path):
    (tmp_path / "late.py").write_text(LATE)
    for arguments in (["late.py"], ["-m", "late"]):
        done = run(tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == ["thread True", "exit True"]


SPAWNS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from scipy.ndimage import sobel
def who(deeper):
    mine = [__name__, sobel.__code__.co_filename.endswith("patch.py")]
    return mine + (within(False) if deeper else [])
def within(deeper):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(who, deeper).result(100)
if __name__ == "__main__":
    print(who(False) + within(True), sys.argv[1:])
"""


def test_processes_that_are_spawned_are_patched(tmp_path):
    (tmp_path / "spawns.py").write_text(SPAWNS)
    done = run(tmp_path, "spawns.py", "x")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "['__main__', True, '__mp_main__', True, '__mp_main__', True] ['x']"


def test_scripts_that_fail(scripts):
    done = run(scripts, "script.py", "0", "--fail")
    assert done.returncode == 1
    assert "KeyError: 'failed'" in done.stderr
    assert run(scripts, "-m", "no_such_module").returncode == 1
    assert run(scripts, "no_such_script.py").returncode != 0


def test_usage(scripts):
    for arguments, code in (([], 2), (["-m"], 2), (["-x"], 2), (["--help"], 0)):
        done = run(scripts, *arguments)
        assert done.returncode == code
        assert "usage: python -m fastconv.patch" in done.stderr + done.stdout


def test_results_are_fastconvs(rng):
    x = (rng.random((3, 3)) * 2**62).astype(np.int64)
    with patch_scipy():
        np.testing.assert_array_equal(scipy_ndimage.maximum_filter(x, 3), fastconv.neighborhood_reduce(x, "max", 3))
    assert fastconv.cdist is not distance.cdist
