"""conv2d: the arrays. Memory layouts, batches, out=, overlap, array-likes and the pages around the data."""

import array
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from support import (
    FLOATS,
    ISAS,
    LAYOUTS,
    PROBLEMS,
    TESTS,
    assert_same_bits,
    embedded,
    misaligned,
    with_memory_order,
)

problems = pytest.mark.parametrize("problem", PROBLEMS, ids=str)
both = pytest.mark.parametrize("dtype", FLOATS)
SAME_3X3 = (3, 3, 4, 4)


# --- The same values in other memory give the same bits


@both
@problems
@pytest.mark.parametrize("operand", ["input", "filters"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_change_the_bits(isa, rng, problem, operand, layout, dtype):
    x, w = problem.normal(rng, dtype)
    expected = fastconv.conv2d(x, w, **problem.options)
    view = LAYOUTS[layout](x if operand == "input" else w)
    result = (
        fastconv.conv2d(view, w, **problem.options)
        if operand == "input"
        else fastconv.conv2d(x, view, **problem.options)
    )
    assert_same_bits(result, expected)
    np.testing.assert_array_equal(view, x if operand == "input" else w)


@problems
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_of_channels_first_and_of_float16(isa, rng, problem, layout):
    x, w = problem.normal(rng, np.float16)
    first = np.ascontiguousarray(np.moveaxis(x, -1, -3))
    expected = fastconv.conv2d(x, w, **problem.options)
    result = fastconv.conv2d(LAYOUTS[layout](first), w, data_format="NCHW", **problem.options)
    assert_same_bits(np.moveaxis(result, -3, -1), expected)


@given(data=st.data(), problem=st.sampled_from(PROBLEMS), seed=st.integers(0, 999))
def test_any_steps_and_any_order_of_axes(data, problem, seed):
    x, w = problem.normal(np.random.default_rng(seed), np.float32)
    views = []
    for operand in (x, w):
        axes = data.draw(st.permutations(range(operand.ndim)))
        step = data.draw(st.sampled_from((1, 3, -1, -4)))
        views.append(np.transpose(embedded(np.transpose(operand, axes), step), np.argsort(axes)))
    assert_same_bits(fastconv.conv2d(*views, **problem.options), fastconv.conv2d(x, w, **problem.options))


@problems
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (3,), (0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("operand", ["input", "filters"])
def test_zero_strides(isa, rng, problem, operand, axes):
    operands = dict(zip(("input", "filters"), problem.normal(rng, np.float32), strict=True))
    one = operands[operand][tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(4))]
    view = np.broadcast_to(one, operands[operand].shape)
    result = fastconv.conv2d(**operands | {operand: view}, **problem.options)
    assert_same_bits(result, fastconv.conv2d(**operands | {operand: view.copy()}, **problem.options))


@pytest.mark.parametrize("layout", ["reversed", "sliced", "misaligned", "byte-swapped", "read-only"])
def test_layout_of_the_bias(rng, layout):
    x, w = PROBLEMS[0].normal(rng, np.float32)
    bias = rng.standard_normal(w.shape[-1]).astype(np.float32)
    assert_same_bits(fastconv.conv2d(x, w, bias=LAYOUTS[layout](bias)), fastconv.conv2d(x, w, bias=bias))


# --- Batches


@problems
@both
def test_batch_split_does_not_change_the_bits(isa, rng, problem, dtype):
    x, w = problem.normal(rng, dtype)
    x = np.concatenate([x, x[::-1] * 2, x + 1])
    whole = fastconv.conv2d(x, w, **problem.options)
    for part in (slice(0, 1), slice(1, 3), slice(2, None), slice(None, None, 2)):
        assert_same_bits(fastconv.conv2d(x[part], w, **problem.options), whole[part])


@problems
@pytest.mark.parametrize("batch", [(), (1,), (6,), (2, 3), (3, 1, 2)], ids=str)
def test_leading_axes_are_batch(rng, problem, batch):
    x, w = rng.standard_normal((*batch, *problem.input[1:])), rng.standard_normal(problem.filters)
    result = fastconv.conv2d(x, w, **problem.options)
    flat = fastconv.conv2d(x.reshape(-1, *problem.input[1:]), w, **problem.options)
    assert_same_bits(result, flat.reshape(*batch, *flat.shape[1:]))


def test_batch_axes_that_no_single_stride_describes(rng):
    host = rng.standard_normal((3, 4, 5, 6, 7, 2))
    batch = host[::2, 1:, ::-2]
    w = rng.standard_normal((3, 3, 2, 4))
    assert_same_bits(fastconv.conv2d(batch, w), fastconv.conv2d(batch.copy(), w))


# --- out=

OUTS = {
    "contiguous": lambda a: a,
    "fortran": np.asfortranarray,
    "channels first": lambda a: with_memory_order(a, (0, 3, 1, 2)),
    "rows and columns swapped": lambda a: with_memory_order(a, (0, 2, 1, 3)),
    "reversed": lambda a: embedded(a, -1),
    "sliced": lambda a: embedded(a, 2),
    "sliced backwards": lambda a: embedded(a, -3),
    "misaligned": misaligned,
}


@both
@problems
@pytest.mark.parametrize("layout", OUTS)
def test_out_of_any_strides_receives_the_bits(isa, rng, problem, layout, dtype):
    x, w = problem.normal(rng, dtype)
    expected = fastconv.conv2d(x, w, activation="relu", **problem.options)
    out = OUTS[layout](np.full_like(expected, np.nan))
    assert fastconv.conv2d(x, w, activation="relu", out=out, **problem.options) is out
    assert_same_bits(out, expected)


@both
@problems
def test_nothing_beside_a_sliced_out_is_written(isa, rng, problem, dtype):
    x, w = problem.normal(rng, dtype)
    expected = fastconv.conv2d(x, w, **problem.options)
    host = np.full([2 * size + 3 for size in expected.shape], -12345, dtype)
    inside = tuple(slice(1, 1 + 2 * size, 2) for size in expected.shape)
    fastconv.conv2d(x, w, out=host[inside], **problem.options)
    assert_same_bits(host[inside], expected)
    host[inside] = -12345
    assert np.all(host == -12345)


@pytest.mark.parametrize("layout", OUTS)
def test_out_of_float16_and_channels_first(rng, layout):
    x, w = PROBLEMS[0].normal(rng, np.float16)
    x = np.moveaxis(x, -1, -3)
    expected = fastconv.conv2d(x, w, data_format="NCHW")
    out = OUTS[layout](np.zeros_like(expected))
    assert fastconv.conv2d(x, w, data_format="NCHW", out=out) is out
    assert_same_bits(out, expected)


@pytest.mark.parametrize("problem", [(0, 5, 6, 4), (2, 0, 5, 6, 4)], ids=str)
def test_zero_size_out(problem):
    expected = fastconv.conv2d(np.ones(problem), np.ones(SAME_3X3))
    out = np.empty(expected.shape)
    assert fastconv.conv2d(np.ones(problem), np.ones(SAME_3X3), out=out) is out


def test_no_channels_overwrite_out():
    out = np.full((3, 3, 2), np.nan)
    fastconv.conv2d(np.ones((5, 5, 0)), np.ones((3, 3, 0, 2)), out=out)
    np.testing.assert_array_equal(out, 0)


# --- Overlapping out=


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
def test_input_as_out(isa, rng, dtype, groups):
    x = rng.standard_normal((2, 9, 20, 4)).astype(dtype)
    w = rng.standard_normal((3, 3, 4 // groups, 4)).astype(dtype)
    expected = fastconv.conv2d(x, w, padding="SAME", groups=groups)
    assert fastconv.conv2d(x, w, padding="SAME", groups=groups, out=x) is x
    assert_same_bits(x, expected)


@given(
    shift=st.integers(0, 700),
    flips=st.lists(st.sampled_from((1, -1)), min_size=3, max_size=3),
    swapped=st.booleans(),
    seed=st.integers(0, 99),
)
def test_out_anywhere_over_the_input(shift, flips, swapped, seed):
    rng = np.random.default_rng(seed)
    buffer = rng.standard_normal(1400).astype(np.float32)
    x = buffer[:700].reshape(7, 25, 4)
    out = buffer[shift : shift + 525].reshape(7, 25, 3)
    if swapped:
        out = buffer[shift : shift + 525].reshape(25, 7, 3).swapaxes(0, 1)
    out = out[tuple(slice(None, None, flip) for flip in flips)]
    w = rng.standard_normal((3, 3, 4, 3)).astype(np.float32)
    before, expected = buffer.copy(), fastconv.conv2d(x, w, padding="SAME")
    fastconv.conv2d(x, w, padding="SAME", out=out)
    assert_same_bits(out, expected)
    out[...] = 0
    before[shift : shift + 525] = 0
    assert_same_bits(buffer, before)


@given(shift=st.integers(0, 400), seed=st.integers(0, 99))
def test_out_over_the_filters(shift, seed):
    rng = np.random.default_rng(seed)
    buffer = rng.standard_normal(900)
    w = buffer[200:344].reshape(3, 3, 4, 4)
    x = rng.standard_normal((8, 9, 4))
    expected = fastconv.conv2d(x, w)
    out = buffer[shift : shift + expected.size].reshape(expected.shape)
    assert_same_bits(fastconv.conv2d(x, w, out=out), expected)


@pytest.mark.parametrize("first", [0, 3, 190])
def test_out_over_the_bias(rng, first):
    x, w = rng.standard_normal((8, 10, 4)), rng.standard_normal(SAME_3X3)
    out = rng.standard_normal((6, 8, 4))
    bias = out.reshape(-1)[first : first + 4]
    bias = bias if bias.size == 4 else out.reshape(-1)[-4:]
    expected = fastconv.conv2d(x, w, bias=bias.copy())
    assert_same_bits(fastconv.conv2d(x, w, bias=bias, out=out), expected)


# --- What counts as an array


class HasArray:
    """An array of another library: converts itself when NumPy asks."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)


class Lazy(HasArray):
    """An array that would have to be computed first."""

    def __dask_graph__(self):
        raise AssertionError("the graph must not be touched")


CONVERSIONS = {
    "nested lists": lambda a: a.tolist(),
    "tuple of arrays": tuple,
    "object with __array__": HasArray,
    "memoryview": memoryview,
    "buffer of the array module": lambda a: (
        memoryview(array.array("d", a.ravel())).cast("B").cast("d", a.shape)
    ),
}


@pytest.mark.parametrize("operand", ["input", "filters"])
@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_whatever_numpy_takes_for_an_array(rng, conversion, operand):
    operands = {"input": rng.standard_normal((2, 5, 6, 4)), "filters": rng.standard_normal(SAME_3X3)}
    expected = fastconv.conv2d(**operands)
    result = fastconv.conv2d(**operands | {operand: CONVERSIONS[conversion](operands[operand])})
    assert type(result) is np.ndarray
    assert_same_bits(result, expected)


@pytest.mark.parametrize(
    "conversion", ["nested lists", "tuple of arrays", "object with __array__", "memoryview"]
)
def test_whatever_numpy_takes_for_a_bias(rng, conversion):
    x, w, bias = (rng.standard_normal(shape) for shape in ((5, 6, 4), SAME_3X3, 4))
    result = fastconv.conv2d(x, w, bias=CONVERSIONS[conversion](bias))
    assert_same_bits(result, fastconv.conv2d(x, w, bias=bias))


@pytest.mark.parametrize("operand", ["input", "filters", "bias"])
def test_lazy_arrays_are_sent_to_fastconv_dask(operand):
    operands = {"input": np.ones((5, 6, 4)), "filters": np.ones(SAME_3X3), "bias": np.ones(4)}
    operands[operand] = Lazy(operands[operand])
    with pytest.raises(TypeError, match=rf"{operand}.*fastconv\.dask"):
        fastconv.conv2d(**operands)


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_memmap(tmp_path, rng, mode):
    x, w = (
        rng.standard_normal((2, 9, 8, 4)).astype(np.float32),
        rng.standard_normal(SAME_3X3).astype(np.float32),
    )
    x.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.float32, mode, shape=x.shape)
    result = fastconv.conv2d(mapped, w)
    assert_same_bits(np.asarray(result), fastconv.conv2d(x, w))
    assert_same_bits(np.asarray(mapped), x)


def test_memmap_as_out(tmp_path, rng):
    x, w = rng.standard_normal((9, 8, 4)), rng.standard_normal(SAME_3X3)
    expected = fastconv.conv2d(x, w)
    out = np.memmap(tmp_path / "result", np.float64, "w+", shape=expected.shape)
    assert fastconv.conv2d(x, w, out=out) is out
    out.flush()
    assert_same_bits(np.fromfile(tmp_path / "result").reshape(expected.shape), expected)


def test_offsets_beyond_32_bits(isa, tmp_path):
    """A sparse file of 2.5e9 pixels: only those under the far apart windows are read."""
    shape, stride = (50_000, 50_000, 1), 2_499
    mapped = np.memmap(tmp_path / "sparse", np.float32, "w+", shape=shape)
    expected = np.zeros((21, 21, 1), np.float32)
    for i, j in ((0, 0), (20, 20), (18, 0), (17, 20), (3, 9)):
        mapped[i * stride + 1, j * stride + 2] = expected[i, j] = 1 + i + 100 * j
    w = np.zeros((3, 3, 1, 1), np.float32)
    w[1, 2] = 1
    np.testing.assert_array_equal(fastconv.conv2d(mapped, w, stride), expected)


def test_inputs_are_not_changed(isa, rng):
    for problem in PROBLEMS:
        x, w = problem.normal(rng, np.float64)
        bias = rng.standard_normal(w.shape[-1])
        copies = [a.copy() for a in (x, w, bias)]
        fastconv.conv2d(x, w, bias=bias, activation="tanh", workers=2, **problem.options)
        for operand, copy in zip((x, w, bias), copies, strict=True):
            assert_same_bits(operand, copy)


def test_references_are_given_back(rng):
    x, w = rng.standard_normal((5, 6, 4)), rng.standard_normal(SAME_3X3)
    out = np.empty((3, 4, 4))
    before = [sys.getrefcount(a) for a in (x, w, out)]
    for _ in range(100):
        fastconv.conv2d(x, w, bias=w[0, 0, 0], out=out)
    assert [sys.getrefcount(a) for a in (x, w, out)] == before


# --- Not one element beyond the data


def guarded_sweep(isa, tmp_path, *arguments):
    if isa not in fastconv.available_isas():
        pytest.skip(f"{isa} is not on this machine")
    command = [sys.executable, "-X", "faulthandler", str(TESTS / "guarded.py"), isa, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (
        f"exit status {done.returncode} after {done.stdout[-300:]}\n{done.stderr[-2000:]}"
    )
    assert int(done.stdout.split()[-1]) > 1000


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in ("portable", "x86-64-v2") else ()) for name in ISAS]
)
def test_no_access_outside_the_arrays(name, tmp_path):
    """Each array ends, then begins, at a page that must not be touched; a touch kills the subprocess."""
    guarded_sweep(name, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("name", ISAS)
def test_no_access_outside_the_arrays_in_a_wide_sweep(name, tmp_path):
    guarded_sweep(name, tmp_path, "--wide")


def test_guarded_arrays_would_catch_an_access(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(TESTS)!r}); import ctypes, numpy as np, guarded\n"
    code += (
        "a = guarded.place(np.ones(5, 'f4'), at_end=True); ctypes.string_at(a.ctypes.data, int(sys.argv[1]))"
    )
    status = [
        subprocess.run([sys.executable, "-c", code, size], cwd=tmp_path).returncode for size in ("20", "21")
    ]
    assert status[0] == 0
    assert status[1] != 0


def test_result_shares_no_memory_with_the_inputs(rng):
    x = rng.standard_normal((5, 6, 4))
    result = fastconv.conv2d(x, np.eye(4).reshape(1, 1, 4, 4))
    assert not np.shares_memory(result, x)
    np.testing.assert_array_equal(result, reference.conv2d(x, np.eye(4).reshape(1, 1, 4, 4)))
