"""scipy.ndimage as the oracle of fastconv.ndimage: the same call of both, with the same answer or the same kind of exception."""

import warnings

import numpy as np
import pytest

import fastconv.ndimage

scipy_ndimage = pytest.importorskip("scipy.ndimage")

REAL = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
COMPLEX = ["F", "D"]
MODES = ["reflect", "mirror", "nearest", "wrap", "constant", "grid-wrap", "grid-mirror", "grid-constant"]
SHAPES = [(7,), (1,), (23,), (5, 6), (1, 9), (12, 1), (17, 19), (3, 4, 5), (0, 4), (2, 1, 3)]


def image(rng, shape, dtype):
    """An image of a dtype, of numbers that a double holds."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.random(shape) < 0.5
    if kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(max(info.min, -(2**40)), min(info.max, 2**40), shape, dtype, endpoint=True)
    x = rng.standard_normal(shape)
    return (x if kind == "f" else x + 1j * rng.standard_normal(shape)).astype(dtype)


def result(module, name, args, kwargs):
    """What a function of a module returns, or the type of what it raises, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = getattr(module, name)(*args, **kwargs)
        except Exception as error:
            answer = type(error)
    return answer, [(one.category, str(one.message)) for one in caught if one.category is not RuntimeWarning]


def near(found, expected, scale=1.0):
    """Whether an array is the other one: integers to the last digit, floats to rounding."""
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if found.dtype.kind in "biu":
        np.testing.assert_array_equal(found, expected)
    else:
        unit = float(np.finfo(found.dtype).eps)
        finite = np.isfinite(expected)
        largest = np.abs(expected[finite]).max(initial=scale)
        np.testing.assert_allclose(found, expected, rtol=4 * unit, atol=8 * unit * largest)


def same(name, *args, **kwargs):
    """Assert that ours and SciPy's give the same; returns it. Arrays in the arguments are copied for SciPy."""

    def copies(values):
        return [value.copy() if isinstance(value, np.ndarray) else value for value in values]

    theirs = dict(zip(kwargs, copies(kwargs.values()), strict=True))
    expected, their_warnings = result(scipy_ndimage, name, copies(args), theirs)
    found, our_warnings = result(fastconv.ndimage, name, args, kwargs)
    if isinstance(expected, type) or isinstance(found, type):
        assert isinstance(found, type) and isinstance(expected, type), (found, expected, args[1:], kwargs)
        assert issubclass(found, expected), (found, expected, args[1:], kwargs)
    elif expected is None:
        assert found is None
    else:
        scale = float(np.abs(args[0].astype(complex)).max(initial=1.0))
        near(found, expected, scale)
    if isinstance(kwargs.get("output"), np.ndarray):
        near(kwargs["output"], theirs["output"])
    assert our_warnings == their_warnings
    return found
