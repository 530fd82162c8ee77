"""conv2d: bad input. Errors name the argument, its value and what it may be, and leave `out` alone."""

import re
import time

import numpy as np
import pytest

import fastconv

X = np.ones((1, 8, 9, 4), np.float32)
W = np.ones((3, 3, 4, 6), np.float32)
RESULT = (1, 6, 7, 6)
ANY_ERROR = (TypeError, ValueError)


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def frozen(array):
    array.flags.writeable = False
    return array


class Lazy:
    """An array whose values would have to be computed first."""

    shape, dtype, ndim = X.shape, X.dtype, X.ndim

    def __dask_graph__(self):
        return {}


POSITIVE = "positive|>= ?1|at least 1"
PAIR = "pair|two|2|\\(h, w\\)"
NOT_NEGATIVE = ">= ?0|non-?negative|not negative|at least 0"
REALS = "float16.*float32.*float64"


def told(value):
    """Return the pattern of `value`, or of the one number in it that is wrong."""
    return re.escape(repr(value)) + (r"|got -?[\d.]+" if isinstance(value, tuple) else "")


# The options, the error, and what its message must tell: the argument, what it got, what it may be.
SHAPES = {
    "input 2-D": ({"input": ones(8, 9)}, ValueError, "input", r"\(8, 9\)", r"H, W, C|3"),
    "input 1-D": ({"input": ones(8)}, ValueError, "input", r"\(8,\)", r"H, W, C|3"),
    "input 0-d": ({"input": np.float32(1)}, ValueError, "input", r"\(\)", r"H, W, C|3"),
    "input of NCHW": ({"input": ones(8, 9), "data_format": "NCHW"}, ValueError, "input", r"\(8, 9\)", "C, H"),
    "filters 3-D": ({"filters": ones(3, 3, 4)}, ValueError, "filters", r"\(3, 3, 4\)", r"Fh, Fw|4"),
    "filters 5-D": ({"filters": ones(1, 3, 3, 4, 6)}, ValueError, "filters", r"\(1, 3, 3, 4, 6\)", "Fh, Fw"),
    "filters 0-d": ({"filters": np.float32(1)}, ValueError, "filters", r"\(\)", r"Fh, Fw|4"),
    "channels": ({"filters": ones(3, 3, 5, 6)}, ValueError, "filters", r"\b5\b", r"\b4\b"),
    "channels NCHW": ({"data_format": "NCHW"}, ValueError, "filters", r"\b4\b", r"\b8\b"),
    "channels of a group": ({"groups": 2}, ValueError, "groups", r"\b2\b", r"\b4\b"),
    "no channels in filters": ({"filters": ones(3, 3, 0, 6)}, ValueError, "filters", r"\b0\b", r"\b4\b"),
    "groups not in C": ({"groups": 3, "filters": ones(3, 3, 1, 6)}, ValueError, "groups", "3", r"\b4\b"),
    "groups not in K": ({"groups": 4, "filters": ones(3, 3, 1, 6)}, ValueError, "groups", "4", r"\b6\b"),
    "two rows too few": ({"filters": ones(10, 3, 4, 6)}, ValueError, "filters", r"\b10\b", r"\b8\b"),
    "two columns too few": ({"filters": ones(3, 11, 4, 6)}, ValueError, "filters", r"\b11\b", r"\b9\b"),
    "too few when dilated": ({"dilations": (5, 1)}, ValueError, "filters|dilations", r"\b11\b", r"\b8\b"),
    "too few when padded": (
        {"filters": ones(13, 3, 4, 6), "padding": ((1, 2), (0, 0))}, ValueError, "filters", r"\b13\b", "11",
    ),
    "bias too long": ({"bias": ones(7)}, ValueError, "bias", r"\(7,\)", r"\b6\b"),
    "bias too short": ({"bias": ones(4)}, ValueError, "bias", r"\(4,\)", r"\b6\b"),
    "bias of one": ({"bias": ones(1)}, ValueError, "bias", r"\(1,\)", r"\b6\b"),
    "bias 2-D": ({"bias": ones(1, 6)}, ValueError, "bias", r"\(1, 6\)", r"\b6\b"),
    "bias 0-d": ({"bias": 1.0}, ValueError, "bias", r"\(\)|1\.0", r"\b6\b"),
}  # fmt: skip

NUMBERS = {
    f"{name} {value!r}": ({name: value}, error, name, told(value), allowed)
    for name, value, error, allowed in [
        *(
            (name, value, ValueError, POSITIVE)
            for name in ("strides", "dilations")
            for value in (0, -1, (1, 0), (-2, 1))
        ),
        *(
            (name, value, ValueError, PAIR)
            for name in ("strides", "dilations")
            for value in ((1, 1, 1), (1,), ())
        ),
        *(
            (name, value, ANY_ERROR, "integer")
            for name in ("strides", "dilations")
            for value in ("a", None, {})
        ),
        *((name, 1.5, TypeError, "integer") for name in ("strides", "dilations")),
        ("groups", 0, ValueError, POSITIVE),
        ("groups", -4, ValueError, POSITIVE),
        ("groups", 2.0, TypeError, "integer"),
        ("groups", "2", TypeError, "integer"),
        ("groups", None, TypeError, "integer"),
        ("workers", 0, ValueError, POSITIVE),
        ("workers", -1, ValueError, POSITIVE),
        ("workers", 2.0, TypeError, "integer"),
        ("workers", "2", TypeError, "integer"),
        ("workers", 2**31, ValueError, POSITIVE),
        ("flip_filters", np.array([1, 2]), TypeError, "True or False"),
        ("cval", "1.5", TypeError, "real number"),
        ("padding", 2**62, ValueError, "pixels"),
        ("padding", ((1, (2, 3)), (1, 1)), TypeError, "padding"),
        ("padding", -1, ValueError, NOT_NEGATIVE),
        ("padding", (1, -1), ValueError, NOT_NEGATIVE),
        ("padding", ((0, 0), (-3, 0)), ValueError, NOT_NEGATIVE),
        ("padding", (1, 2, 3), ValueError, PAIR),
        ("padding", ((1, 2),), ValueError, PAIR),
        ("padding", ((1, 2, 3), (1, 2)), ValueError, PAIR),
        ("padding", 1.5, TypeError, "integer"),
        ("padding", (1.5, 1), TypeError, "integer"),
        ("padding", None, TypeError, "VALID.*SAME"),
        ("cval", "zero", ANY_ERROR, "number|float|real"),
        ("cval", None, TypeError, "number|float|real"),
        ("cval", 1j, TypeError, "number|float|real"),
        ("cval", [1.0, 2.0], ANY_ERROR, "number|float|real"),
    ]
}

WORDS = {
    f"{name} {value!r}": ({name: value}, error, name, re.escape(repr(value)), allowed)
    for name, value, error, allowed in [
        ("padding", "SAME_UPPER", ValueError, "VALID.*SAME.*SAME_LOWER.*FULL"),
        ("padding", "", ValueError, "VALID.*SAME.*SAME_LOWER.*FULL"),
        ("padding_mode", "reflect", ValueError, "constant.*edge.*symmetric.*mirror.*wrap"),
        ("padding_mode", "zeros", ValueError, "constant.*edge.*symmetric.*mirror.*wrap"),
        ("padding_mode", 3, ANY_ERROR, "constant.*edge.*symmetric.*mirror.*wrap"),
        ("padding_mode", None, ANY_ERROR, "constant.*edge.*symmetric.*mirror.*wrap"),
        ("data_format", "HWC", ValueError, "NHWC.*NCHW"),
        ("data_format", 1, ANY_ERROR, "NHWC.*NCHW"),
        ("data_format", ["NHWC"], ANY_ERROR, "NHWC.*NCHW"),
        ("activation", "gelu", ValueError, "relu.*relu6.*silu.*sigmoid.*tanh"),
        ("activation", np.tanh, ANY_ERROR, "relu.*relu6.*silu.*sigmoid.*tanh"),
        ("activation", True, ANY_ERROR, "relu.*relu6.*silu.*sigmoid.*tanh"),
        ("method", "magic", ValueError, "auto.*direct"),
        ("method", None, ANY_ERROR, "auto.*direct"),
    ]
}

DTYPES = {
    f"{name} of {dtype}": (
        {name: np.zeros(shape, dtype)},
        TypeError,
        name,
        re.escape(str(np.dtype(dtype))),
        REALS,
    )
    for name, shape in [("input", X.shape), ("filters", W.shape), ("bias", (6,))]
    for dtype in ("object", "longdouble", "S3", "U2", "datetime64[s]", "timedelta64[s]", [("a", "f4")])
}

OTHERS = {
    "lazy input": ({"input": Lazy()}, TypeError, "input", "Lazy", r"fastconv\.dask"),
    "lazy filters": ({"filters": Lazy()}, TypeError, "filters", "Lazy", r"fastconv\.dask"),
    "lazy bias": ({"bias": Lazy()}, TypeError, "bias", "Lazy", r"fastconv\.dask"),
    "None as input": ({"input": None}, TypeError, "input", "object|None", REALS),
    "words as filters": ({"filters": "sobel"}, ANY_ERROR, "filters", "U5|sobel", REALS),
    "mixed list": ({"bias": [1.0, "a", 2, 3, 4, 5]}, TypeError, "bias", "<U", REALS),
}

OUTS = {
    "out of other shape": (
        np.zeros((1, 6, 7, 5), "f4"),
        ValueError,
        r"\(1, 6, 7, 5\)",
        re.escape(str(RESULT)),
    ),
    "out without batch": (np.zeros(RESULT[1:], "f4"), ValueError, r"\(6, 7, 6\)", re.escape(str(RESULT))),
    "out of float64": (np.zeros(RESULT), ANY_ERROR, "float64", "float32"),
    "out of float16": (np.zeros(RESULT, "f2"), ANY_ERROR, "float16", "float32"),
    "out of int32": (np.zeros(RESULT, "i4"), ANY_ERROR, "int32", "float32"),
    "out read-only": (frozen(np.zeros(RESULT, "f4")), ValueError, "read-only", "writ"),
    "out a list": ([0.0], TypeError, "list", "array"),
    "out a name": ("result", TypeError, "str|result", "array"),
}

BAD = SHAPES | NUMBERS | WORDS | DTYPES | OTHERS


def assert_tells(error, *patterns):
    for pattern in patterns:
        assert re.search(pattern, str(error.value), re.DOTALL), f"{pattern!r} is not in {str(error.value)!r}"


@pytest.mark.parametrize("name", BAD)
def test_bad_argument_is_named_and_out_left_alone(name):
    options, error_type, argument, value, allowed = BAD[name]
    out = np.full(RESULT, -7, np.float32)
    with pytest.raises(error_type) as error:
        fastconv.conv2d(**{"input": X, "filters": W, "out": out} | options)
    assert_tells(error, rf"\b({argument})\b", value, allowed)
    assert np.all(out == -7)


@pytest.mark.parametrize("name", OUTS)
def test_bad_out_is_named_and_left_alone(name):
    out, error_type, value, allowed = OUTS[name]
    before = np.array(out)
    with pytest.raises(error_type) as error:
        fastconv.conv2d(X, W, out=out)
    assert_tells(error, r"\bout\b", value, allowed)
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize(
    "name", ["strides 0", "padding -1", "workers 0", "activation 'gelu'", "cval 'zero'", "bias too long"]
)
@pytest.mark.parametrize("shape", [(0, 8, 9, 4), (1, 2, 9, 4)], ids=str)
def test_bad_arguments_are_errors_even_if_there_is_nothing_to_compute(name, shape):
    options, error_type, *_ = BAD[name]
    padding = {} if "padding" in options else {"padding": "VALID"}
    with pytest.raises(error_type):
        fastconv.conv2d(**{"input": ones(*shape), "filters": W} | padding | options)


def repeated(*shape):
    """Return an array of ones whose elements are all the same one."""
    return np.broadcast_to(np.float32(1), shape)


OVERFLOWS = {
    "padded image": (
        {"input": repeated(2**21, 2**21, 1), "filters": repeated(1, 1, 1, 1), "padding": 2**30},
        "",
    ),
    "filters": ({"input": repeated(2**20, 2**20, 1), "filters": repeated(1, 1, 1, 2**22)}, ""),
    "padding": ({"padding": 2**62}, "padding|result"),
    "padding beyond 64 bits": ({"padding": 2**70}, "padding|result"),
    "padding pair": ({"padding": (2**62, 0)}, "padding|result"),
    "dilations": ({"dilations": 2**62}, "dilations|filters"),
    "dilations beyond 64 bits": ({"dilations": 2**70}, "dilations|filters"),
    "full of dilations": ({"dilations": 2**61, "padding": "FULL"}, "dilations|filters|result|padding"),
}


@pytest.mark.parametrize("name", OVERFLOWS)
def test_sizes_that_overflow(name):
    options, argument = OVERFLOWS[name]
    begin = time.perf_counter()
    with pytest.raises(ValueError) as error:
        fastconv.conv2d(**{"input": X, "filters": W} | options)
    assert time.perf_counter() - begin < 1
    assert_tells(error, argument)


@pytest.mark.parametrize("strides", [10**6, 2**62, (2**63 - 1, 1), 2**70], ids=str)
def test_strides_beyond_the_image_give_one_output(strides):
    """A step so large is taken or refused, but never taken modulo 2**64."""
    try:
        result = fastconv.conv2d(X, W, strides)
    except ValueError as error:
        assert "strides" in str(error)
    else:
        expected = fastconv.conv2d(X, W)[:, :1, : 1 if np.ndim(strides) == 0 else None]
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("exponent", [400, 5000])
def test_integers_beyond_floats_are_named(exponent):
    with pytest.raises(ValueError, match="cval.*a float can hold"):
        fastconv.conv2d(X, W, padding=1, cval=-(10**exponent))


def test_result_too_large_for_the_machine_is_a_memory_error():
    with pytest.raises(MemoryError):
        fastconv.conv2d(repeated(2**24, 2**24, 1), np.ones((1, 1, 1, 4), np.float32))


def test_options_after_padding_are_by_keyword():
    with pytest.raises(TypeError, match="positional"):
        fastconv.conv2d(X, W, 1, "VALID", 1)


@pytest.mark.parametrize("one", [np.int64(2), np.uint8(2), np.array(2)], ids=lambda one: type(one).__name__)
def test_integers_of_numpy_are_integers(one):
    expected = fastconv.conv2d(X, W, 2, 2)
    np.testing.assert_array_equal(fastconv.conv2d(X, W, one, one, workers=one), expected)
    np.testing.assert_array_equal(fastconv.conv2d(X, W, (one, one), ((one, one), [one, one])), expected)
    np.testing.assert_array_equal(fastconv.conv2d(X, W, [one, one], np.array([2, 2])), expected)


def test_exceptions_of_the_input_itself_come_through():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("no values today")

    with pytest.raises(RuntimeError, match="no values today"):
        fastconv.conv2d(Broken(), W)


def test_objects_with_dlpack_alone():
    class Exporter:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    np.testing.assert_array_equal(fastconv.conv2d(Exporter(X), Exporter(W)), fastconv.conv2d(X, W))
