"""Signatures, docstrings, outputs and mistakes of fastconv.ndimage beside scipy.ndimage."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import near, same, scipy_ndimage

import fastconv.ndimage as ndi
from fastconv.ndimage import _arguments

X = np.arange(30.0).reshape(5, 6)
OWN = {"workers", "nan_policy"}


@pytest.mark.parametrize("name", ndi.__all__)
def test_signatures_are_scipys_and_workers(name):
    ours = inspect.signature(getattr(ndi, name)).parameters
    theirs = inspect.signature(getattr(scipy_ndimage, name)).parameters
    assert [p for p in ours if p not in OWN] == list(theirs)
    assert "workers" in ours
    for parameter, value in ours.items():
        if parameter in OWN:
            assert value.kind is value.KEYWORD_ONLY
        else:
            assert (value.default, value.kind) == (theirs[parameter].default, theirs[parameter].kind)


@pytest.mark.parametrize("name", ndi.__all__)
def test_docstrings_name_all_parameters(name):
    text = inspect.getdoc(getattr(ndi, name))
    assert "{" not in text.replace('{"propagate", "omit", "raise"}', "")
    for parameter in inspect.signature(getattr(ndi, name)).parameters:
        assert any(form in text for form in (f"{parameter} :", f"{parameter}, ", f"**{parameter}\n")), parameter


def test_names_are_those_of_scipy():
    assert sorted(ndi.__all__) == ndi.__all__
    filters = set(scipy_ndimage._filters.__all__) | set(scipy_ndimage._morphology.__all__)
    assert filters - set(ndi.__all__) == {"distance_transform_bf", "distance_transform_cdt", "distance_transform_edt"}
    assert set(ndi.__all__) <= filters


def test_scipy_is_not_imported():
    code = "import sys, fastconv.ndimage as n, numpy as np; x = np.eye(9); n.gaussian_filter(x, 1); n.binary_fill_holes(x); "
    code += "n.generic_filter(x, np.max, 3); sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


MISTAKES = [
    ("correlate1d", X, []), ("correlate1d", X, np.ones((2, 2))), ("correlate1d", X, [1, 2], 2), ("correlate1d", X, [1, 2], -3),
    ("correlate1d", X, [1, 2], 0, None, "bad"), ("correlate1d", X, [1, 2], 0, None, "reflect", 0.0, 1),
    ("correlate1d", X, [1, 2, 3], 0, None, "reflect", 0.0, -2), ("correlate1d", X, [1], 0, "c8"), ("correlate1d", X, [1], 0, "?"),
    ("correlate1d", X, [1], 0, np.zeros((2, 2))), ("correlate1d", X, ["a"]), ("correlate1d", X + 1j, [1], 0, np.zeros((5, 6))),
    ("correlate1d", X, [1j], 0, "f8"), ("correlate1d", X, [1], 0, np.complex64), ("correlate1d", X, [1, 2], None),
    ("correlate", X, np.ones(3)), ("correlate", X, np.ones((0, 3))), ("correlate", X, np.ones((2, 2)), None, ["reflect", "wrap"]),
    ("correlate", X, np.ones((2, 2)), None, "bad"), ("correlate", X, np.ones((2, 2)), None, "reflect", 0.0, 1),
    ("correlate", X, np.ones((2, 2)), None, "reflect", 0.0, (0,)), ("correlate", X, np.ones((2, 2)), None, "constant", "a"),
    ("correlate", X, np.ones((2, 2)), None, "constant", 1j), ("gaussian_filter", X, "a"), ("gaussian_filter", X, (1, 2, 3)),
    ("gaussian_filter", X, 1, -1), ("gaussian_filter", X, 1, (0, 1, 2)), ("gaussian_filter", X, 1, 0, None, "bad"),
    ("gaussian_filter1d", X, 0), ("uniform_filter", X, 0), ("uniform_filter", X, (3, 3, 3)),
    ("uniform_filter", X, 3, None, "reflect", 0.0, 2), ("uniform_filter1d", X, 0), ("uniform_filter1d", X, 2.5),
    ("uniform_filter1d", X, 3, 4), ("maximum_filter", X), ("maximum_filter", X, 2, None, None, "bad"),
    ("maximum_filter", X, 3, np.eye(3)), ("maximum_filter", X, None, np.zeros((3, 3))), ("maximum_filter", X, None, [1, 1, 0]),
    ("maximum_filter", X, None, np.eye(3), None, ["reflect", "wrap"]), ("maximum_filter", X, 3, None, None, ["reflect"]),
    ("maximum_filter", X, None, np.eye(3), None, "reflect", 0.0, 2), ("maximum_filter", X + 1j, 3),
    ("maximum_filter1d", X + 1j, 3),
    ("maximum_filter1d", X, 0), ("maximum_filter1d", X, 3, 0, None, "reflect", 0.0, -2), ("maximum_filter", X, 3, None, "c16"),
    ("maximum_filter", X, 3, None, None, "constant", 1j), ("rank_filter", X, 9, 3), ("rank_filter", X, -10, 3),
    ("rank_filter", X, 1.5, 3), ("rank_filter", X, 3), ("rank_filter", X + 1j, 1, 3), ("rank_filter", X, 3, 3, np.eye(3)),
    ("rank_filter", X, 3, 3, None, None, ["reflect", "wrap"]), ("percentile_filter", X, 101, 3),
    ("percentile_filter", X, -101, 3),
    ("median_filter", X, 0), ("median_filter", X, -1), ("median_filter", X, None, np.ones(3)), ("median_filter", X, (3, 3, 3)),
    ("sobel", X, 2), ("sobel", X, 0, None, ["reflect"]), ("laplace", X, None, ["reflect"]), ("grey_erosion", X),
    ("grey_dilation", X), ("grey_opening", X, 3, np.eye(3)), ("grey_erosion", X, None, None, np.ones(3)),
    ("grey_erosion", X + 1j, 3), ("binary_erosion", X + 1j), ("binary_erosion", X, np.ones(3)),
    ("binary_erosion", X, np.ones((0, 3))), ("binary_dilation", X, None, 1, None, None, 0.0),
    ("binary_closing", X, None, 1, None, 0, None, "1"), ("maximum_filter1d", X, 1, 0, np.zeros((5, 6), complex)),
    ("minimum_filter1d", X, 1, 0, None, "reflect", 0.0, 1),
    ("binary_erosion", X, None, 1.5), ("binary_erosion", X, None, 1, np.ones((2, 2))),
    ("binary_erosion", X, None, 1, None, np.zeros((5, 6), complex)), ("binary_erosion", X, None, 1, None, np.zeros((2, 2))),
    ("binary_erosion", X.astype("g")), ("correlate", X.astype("g"), np.ones((2, 2))), ("correlate1d", X.astype(object), [1]),
    ("maximum_filter", X.astype("M8[s]"), 3), ("gaussian_filter", X.astype(object), 1.0),
]  # fmt: skip


@pytest.mark.parametrize("call", MISTAKES, ids=lambda call: call[0])
def test_mistakes_raise_what_scipy_raises(call):
    same(*call)


def test_windows_off_their_pixels_and_structures_of_other_axes_are_refused():
    for origin in (3, -3, (0, 2)):
        for name in ("binary_erosion", "binary_dilation"):
            with pytest.raises((ValueError, IndexError)):
                getattr(ndi, name)(X, np.ones((3, 3)), origin=origin)
    for name in ("binary_erosion", "binary_dilation", "binary_closing", "binary_fill_holes"):
        with pytest.raises(RuntimeError, match="dimension"):
            getattr(ndi, name)(X, np.ones(3))


@pytest.mark.parametrize("name", ["uniform_filter", "maximum_filter", "median_filter", "gaussian_filter", "correlate", "laplace"])
def test_axes(name):
    args = {"gaussian_filter": [1.0], "laplace": [], "correlate": [np.ones(3)]}.get(name, [3])
    for axes in (0, 1, (0,), (1,), (-1,), 2, (2,), (0, 0), (0, 1, 0), 0.5, (0.5,), "a", None):
        same(name, X, *args, axes=axes)


def test_outputs_are_those_that_are_given():
    for kind in (np.float32, "f4", np.dtype(">f8"), float, int, bool, np.uint8):
        same("gaussian_filter", X, 1.0, 0, kind)
        same("maximum_filter", X, 3, None, kind)
    output = np.zeros((5, 12), np.float32)[:, ::2]
    assert ndi.gaussian_filter(X, 1.0, output=output) is output
    near(np.ascontiguousarray(output), scipy_ndimage.gaussian_filter(X, 1.0, output=np.float32))
    locked = np.zeros((5, 6))
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ndi.gaussian_filter(X, 1.0, output=locked)


def test_lists_and_masked_arrays_are_arrays():
    values = X.tolist()
    near(ndi.uniform_filter(values, 3), scipy_ndimage.uniform_filter(values, 3))
    masked = np.ma.masked_less(X, 9)
    near(ndi.uniform_filter(masked, 3), scipy_ndimage.uniform_filter(masked, 3))


def test_lazy_arrays_are_refused():
    class Lazy:
        def __dask_graph__(self):
            return {}

    with pytest.raises(TypeError, match=r"fastconv\.dask"):
        ndi.gaussian_filter(Lazy(), 1.0)


def test_workers():
    for value in (0, 1.5, "a"):
        with pytest.raises((TypeError, ValueError), match="workers"):
            ndi.gaussian_filter(X, 1.0, workers=value)
    for name, args in (("binary_opening", []), ("grey_opening", [3]), ("sobel", []), ("generic_filter", [np.max, 3])):
        np.testing.assert_array_equal(getattr(ndi, name)(X, *args, workers=2), getattr(ndi, name)(X, *args, workers=1))


README = Path(__file__).parents[2] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="needs the README, which is not beside the tests")
def test_the_readmes_examples_run():
    section = README.read_text().partition("## In SciPy's place")[2].partition("\n## ")[0]
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    assert names["shapes"].dtype == bool
    assert names["calm"].shape == (1080, 1920)


def test_arguments_are_remembered_with_their_types():
    remembered = _arguments.remembered(lambda *args: object())
    told, anew = [(3,), (3.0,), ("3",), (None,), (3, 3), ((3, 3),)], [(True,), ((3, 3.0),), ((3, True),), ([3],), (np.int64(3),)]
    first = [remembered(*args) for args in told + anew]
    again = [remembered(*args) for args in told + anew]
    assert len({id(one) for one in first}) == len(first)
    assert [one is other for one, other in zip(first, again, strict=True)] == [True] * len(told) + [False] * len(anew)
    for name in ("minimum_filter", "median_filter", "grey_dilation", "binary_erosion"):
        function, window = getattr(ndi, name), {} if name == "binary_erosion" else {"size": 3}
        expected = function(X, **window, origin=(1, 0))
        with pytest.raises(TypeError):
            function(X, **window, origin=(1, 0.0))
        np.testing.assert_array_equal(function(X, **window, origin=[1, 0]), expected)


def test_what_is_remembered_is_not_handed_out():
    structure = ndi.generate_binary_structure(2, 1)
    expected = ndi.binary_dilation(X > 20)
    structure[...] = False
    ndi.iterate_structure(ndi.generate_binary_structure(2, 1), 1)[...] = False
    np.testing.assert_array_equal(ndi.binary_dilation(X > 20), expected)
    assert ndi.generate_binary_structure(2, 1).sum() == 5
