"""conv2d: bad input. Errors name the argument, its value and what it may be, and leave `out` alone."""

import inspect
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
    with pytest.raises(ValueError, match=r"cval.*a float can hold"):
        fastconv.conv2d(X, W, padding=1, cval=-(10**exponent))


def test_result_too_large_for_the_machine_is_a_memory_error():
    with pytest.raises(MemoryError):
        fastconv.conv2d(repeated(2**24, 2**24, 1), np.ones((1, 1, 1, 4), np.float32))


def test_numbers_that_no_double_holds_are_named():
    with pytest.raises(ValueError, match=r"\bp\b.*a float can hold"):
        fastconv.cdist(X[0, 0], X[0, 0], "minkowski", p=10**400)


def test_options_after_padding_are_by_keyword():
    with pytest.raises(TypeError, match="positional"):
        fastconv.conv2d(X, W, 1, "VALID", 1)


@pytest.mark.parametrize("one", [np.int64(2), np.uint8(2), np.array(2)], ids=lambda one: type(one).__name__)
def test_integers_of_numpy_are_integers(one):
    expected = fastconv.conv2d(X, W, 2, 2)
    np.testing.assert_array_equal(fastconv.conv2d(X, W, one, one, workers=one), expected)
    np.testing.assert_array_equal(fastconv.conv2d(X, W, (one, one), ((one, one), [one, one])), expected)
    np.testing.assert_array_equal(fastconv.conv2d(X, W, [one, one], np.array([2, 2])), expected)


# --- Every public function: calls that are right, with arrays for each argument that takes one


def numbers(*shape):
    return np.random.default_rng(len(shape)).random(shape)


CALLS = {
    "conv2d": (fastconv.conv2d, {"input": numbers(1, 8, 9, 4), "filters": numbers(3, 3, 4, 6), "bias": numbers(6)}),
    "prepare_filters": (fastconv.prepare_filters, {"filters": numbers(3, 3, 4, 6)}),
    "conv2d_input_grad": (
        fastconv.conv2d_input_grad,
        {"input_shape": (1, 8, 9, 4), "filters": numbers(3, 3, 4, 6), "grad_output": numbers(1, 6, 7, 6)},
    ),
    "conv2d_filter_grad": (
        fastconv.conv2d_filter_grad,
        {"input": numbers(1, 8, 9, 4), "filter_shape": (3, 3, 4, 6), "grad_output": numbers(1, 6, 7, 6)},
    ),
    "conv2d_transpose": (
        fastconv.conv2d_transpose, {"input": numbers(1, 8, 9, 4), "filters": numbers(3, 3, 6, 4), "bias": numbers(6)},
    ),
    "neighborhood_reduce": (fastconv.neighborhood_reduce, {"input": numbers(8, 9), "reduction": "max", "size": 3}),
    "footprint": (
        fastconv.neighborhood_reduce,
        {"input": numbers(8, 9), "reduction": "max", "footprint": np.eye(3) > 0, "mask": numbers(8, 9) < 0.5},
    ),
    "triple_product": (
        fastconv.triple_product,
        {"a": numbers(3, 7), "b": numbers(4, 7), "c": numbers(5, 7), "weights": numbers(7)},
    ),
    "third_moment": (fastconv.third_moment, {"x": numbers(3, 7)}),
    "unpack_symmetric": (fastconv.unpack_symmetric, {"packed": numbers(6), "n": 3}),
    "triple_product_vjp": (
        fastconv.triple_product_vjp,
        {"grad": numbers(3, 4, 5), "a": numbers(3, 7), "b": numbers(4, 7), "c": numbers(5, 7)},
    ),
    "mttkrp": (fastconv.mttkrp, {"tensor": numbers(3, 4), "factors": [None, numbers(4, 2)], "mode": 0}),
    "mode_dot": (fastconv.mode_dot, {"tensor": numbers(3, 4), "vector_or_matrix": numbers(3)}),
    "mode_dot_vjp": (
        fastconv.mode_dot_vjp,
        {"grad": numbers(4), "tensor": numbers(3, 4), "vector_or_matrix": numbers(3)},
    ),
    "cdist": (fastconv.cdist, {"XA": numbers(4, 3), "XB": numbers(5, 3), "w": numbers(3)}),
    "seuclidean": (
        fastconv.cdist, {"XA": numbers(4, 3), "XB": numbers(5, 3), "metric": "seuclidean", "V": numbers(3)},
    ),
    "mahalanobis": (
        fastconv.cdist, {"XA": numbers(4, 3), "XB": numbers(5, 3), "metric": "mahalanobis", "VI": np.eye(3)},
    ),
    "cdist_vjp": (fastconv.cdist_vjp, {"grad": numbers(4, 5), "XA": numbers(4, 3), "XB": numbers(5, 3)}),
    "pdist": (fastconv.pdist, {"X": numbers(4, 3)}),
    "squareform": (fastconv.squareform, {"X": numbers(6)}),
    "knn": (fastconv.knn, {"queries": numbers(4, 3), "data": numbers(5, 3), "k": 2}),
    "pairwise_argmin": (fastconv.pairwise_argmin, {"XA": numbers(4, 3), "XB": numbers(5, 3)}),
}  # fmt: skip
ARRAYS = [(call, name) for call in CALLS for name, value in CALLS[call][1].items() if isinstance(value, np.ndarray)]
OF_ANY_DTYPE = ("unpack_symmetric", "squareform")


def test_calls_are_those_of_all_public_functions():
    called = {function.__name__ for function, _ in CALLS.values()}
    running = {"available_isas", "explain", "get_num_threads", "isa", "num_threads", "set_num_threads", "show_config", "use_isa"}
    assert called | running == set(fastconv.__all__) - {"__version__"}


def masked(array, hidden):
    """Return `array` as a masked one that hides a value, or none."""
    return np.ma.array(array, mask=np.arange(array.size).reshape(array.shape) == (1 if hidden else -1))


@pytest.mark.parametrize("call, name", ARRAYS)
def test_masked_arrays_that_hide_values_are_refused_and_named(call, name):
    function, arguments = CALLS[call]
    hiding = arguments | {name: masked(arguments[name], True)}
    if (function, name) == (fastconv.neighborhood_reduce, "input"):
        return  # takes them, see below
    with pytest.raises(ValueError, match=rf"\b{name} is a masked array .*\b{name}\.filled"):
        function(**hiding)


@pytest.mark.parametrize("call, name", ARRAYS)
def test_masked_arrays_that_hide_nothing_are_arrays(call, name):
    function, arguments = CALLS[call]

    def call(given):
        result = function(**given)
        return getattr(result, "filters", result)  # prepared ones

    expected = call(arguments)
    for shown in (masked(arguments[name], False), np.ma.array(arguments[name])):
        result = call(arguments | {name: shown})
        for one, other in zip(*(r if isinstance(r, tuple) else [r] for r in (result, expected)), strict=True):
            assert type(one) is np.ndarray
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("call", [call for call in CALLS if "out" in inspect.signature(CALLS[call][0]).parameters])
def test_masked_out(call):
    function, arguments = CALLS[call]
    expected = function(**arguments)
    with pytest.raises(ValueError, match=r"\bout is a masked array"):
        function(**arguments, out=masked(np.zeros_like(expected), True))
    out = masked(np.zeros_like(expected), False)
    assert function(**arguments, out=out) is out
    np.testing.assert_array_equal(out.data, expected)


@pytest.mark.parametrize("value", [np.ma.masked, np.ma.array(1.0, mask=True)], ids=["masked", "0-d"])
def test_masked_numbers_are_refused(value):
    for call in (
        lambda: fastconv.conv2d(X, W, cval=value),
        lambda: fastconv.neighborhood_reduce(X, "max", 3, mode="constant", cval=value),
        lambda: fastconv.cdist(X[0, 0], X[0, 0], "minkowski", p=value),
    ):
        with pytest.raises(ValueError, match=r"\b(cval|p) is a masked array"):
            call()


@pytest.mark.parametrize("reduction", ["mean", "max", "median", "var", "count", lambda windows, axis: windows.sum(axis)])
def test_what_a_masked_array_hides_does_not_count(rng, reduction):
    values, hidden, mask = rng.random((20, 30)), rng.random((20, 30)) < 0.3, rng.random((20, 30)) < 0.8
    values[3, 4], hidden[3, 4] = np.nan, True
    x = np.ma.array(values, mask=hidden)
    both = ~hidden & mask
    for options, counts in [({}, ~hidden), ({"mask": mask}, both), ({"mask": mask.astype(np.int8) * 2}, both)]:
        result = fastconv.neighborhood_reduce(x, reduction, (3, 5), nan_policy="raise", **options)
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, fastconv.neighborhood_reduce(values, reduction, (3, 5), mask=counts))


class Lazily:
    def __dask_graph__(self):
        return {}


BAD_ARRAYS = {
    "object": lambda a: a.astype(object),
    "bytes": lambda a: a.astype("S3"),
    "dates": lambda a: np.zeros(a.shape, "M8[s]"),
    "records": lambda a: np.zeros(a.shape, [("a", "f4")]),
    "a word": lambda a: "abc",
    "a dict": lambda a: {},
    "lazy": lambda a: Lazily(),
    "ragged": lambda a: [[1.0], [1.0, 2.0]],
}


@pytest.mark.parametrize("bad", BAD_ARRAYS)
@pytest.mark.parametrize("call, name", ARRAYS)
def test_arrays_that_no_function_takes(call, name, bad):
    if call in OF_ANY_DTYPE and bad in ("object", "bytes", "dates", "records"):
        return
    function, arguments = CALLS[call]
    with pytest.raises(ANY_ERROR, match=rf"\b{name}\b"):
        function(**arguments | {name: BAD_ARRAYS[bad](arguments[name])})


COUNTS = (1.5, "2", None, [1.5], {}, True, np.nan, -100, 10**30)
OPTIONS = {
    "workers": (0, -1, 2.0, "2", True, 2**31, [2]),
    "k": (*COUNTS, 0, 6),
    "n": COUNTS,
    "axis": (2, -3, 1.5, "0", None, True),
    "mode": ("sideways", 1.5, None, {}, True, -100, 10**30),
    "dtype": ("x", object, "M8[s]", "S3", "g"),
    "center": (2, "yes", None),
    "packed": (2, "yes", None),
    "metric": ("nope", None, 3, ["euclidean"]),
}


@pytest.mark.parametrize("call", CALLS)
def test_options_that_cannot_be_are_named(call):
    function, arguments = CALLS[call]
    for name in inspect.signature(function).parameters:
        if isinstance(arguments.get(name), np.ndarray):
            continue
        for value in OPTIONS.get(name, ()):
            with pytest.raises(ANY_ERROR, match=rf"\b{name}\b"):
                function(**arguments | {name: value})
                pytest.fail(f"{name}={value!r} was taken")


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
