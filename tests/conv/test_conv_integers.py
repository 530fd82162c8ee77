"""conv2d of integers: exact modulo 2^32 and 2^64, against sums of products that NumPy forms in 64 bits."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from fastconv import runtime
from support import ISAS, PROBLEMS, assert_same_bits, misaligned, packed_record

SHORT = tuple(np.dtype(name) for name in ("i1", "u1", "i2", "u2"))
LONG = tuple(np.dtype(name) for name in ("?", "i4", "u4", "i8", "u8"))
ALL = (*SHORT, *LONG)
PAIRS = tuple(itertools.product(ALL, ALL))
DOTS = (1, 2)  # of conv.DOT: with the machine's instruction for pairs of products, if it has one, and without

LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "sliced": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "channels first": lambda a: np.moveaxis(np.moveaxis(a, -1, -3).copy(), -3, -1),
    "misaligned": misaligned,
    "packed record": packed_record,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


def sum_type(*types):
    return np.dtype(np.int32 if set(types) <= set(SHORT) else np.int64)


def numbers(rng, shape, dtype):
    """Integers of all sizes, the extremes among them."""
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.3, rng.choice(np.array([info.min, info.max], dtype), shape), values)


def modulo(x, w, bias=None, activation=None, cval=0, **options):
    """The formula in integers of 64 bits that wrap around, then in those of the result."""
    sums = reference.conv2d(
        x, w, bias=bias, dtype=np.uint64, sums=reference.shifted_images, cval=int(cval) % 2**64, **options
    ).astype(sum_type(x.dtype.newbyteorder("="), w.dtype.newbyteorder("=")))
    return np.asarray(reference.ACTIVATIONS[activation](sums), sums.dtype)


@functools.cache
def case(number, first, second):
    """Return (input, filters, expected result) of one of PROBLEMS."""
    problem, rng = PROBLEMS[number], np.random.default_rng(number)
    x, w = numbers(rng, problem.input, first), numbers(rng, problem.filters, second)
    return x, w, modulo(x, w, **problem.options)


@pytest.mark.parametrize("number", range(len(PROBLEMS)), ids=lambda number: str(PROBLEMS[number]))
def test_integers_of_all_sizes(isa, number):
    for first, second in (*PAIRS[number::9], *tuple(itertools.product(SHORT, SHORT))[number % 4 :: 4]):
        x, w, expected = case(number, first, second)
        for dot in DOTS[: 2 if isa == "x86-64-v4" else 1]:
            with runtime.use_seams({"conv.DOT": dot}):
                assert_same_bits(fastconv.conv2d(x, w, **PROBLEMS[number].options), expected)


@given(
    isa=st.sampled_from(fastconv.available_isas()),
    dtypes=st.sampled_from(PAIRS),
    channels=st.integers(0, 9),
    groups=st.integers(1, 4),
    multiplier=st.integers(0, 20),
    sizes=st.tuples(st.integers(0, 8), st.integers(0, 24)),
    taps=st.tuples(st.integers(0, 3), st.integers(0, 4)),
    strides=st.tuples(*[st.integers(1, 3)] * 2),
    dilations=st.tuples(*[st.integers(1, 3)] * 2),
    padding=st.integers(8, 9),
    mode=st.sampled_from(("constant", "edge", "symmetric", "mirror", "wrap")),
    activation=st.sampled_from((None, "relu", "relu6")),
    first=st.booleans(),
    flip=st.booleans(),
    biased=st.booleans(),
    dot=st.sampled_from(DOTS),
    seed=st.integers(0, 999),
)
def test_every_option(isa, dtypes, channels, groups, multiplier, sizes, taps, mode, first, flip, biased, dot, seed, **options):
    rng = np.random.default_rng(seed)
    if mode != "constant" and not all(sizes):
        sizes = (max(sizes[0], 1), max(sizes[1], 1))
    x = numbers(rng, (2, *sizes, channels * groups), dtypes[0])
    w = numbers(rng, (*(max(t, 1) for t in taps), channels, multiplier * groups), dtypes[1])
    options |= {"groups": groups, "padding_mode": mode, "flip_filters": flip}
    if mode == "constant":
        options["cval"] = numbers(rng, (), dtypes[0]).item()
    if mode == "mirror":  # NumPy mirrors no single pixel as often as this
        options["padding"] = tuple(0 if size == 1 else 8 for size in sizes)
        if any(size == 1 for size in sizes):
            return
    if biased:
        options["bias"] = numbers(rng, w.shape[-1:], np.dtype(rng.choice(("i1", "u2", "i4", "i8", "u8"))))
    if first:
        x, options["data_format"] = np.moveaxis(x, -1, -3).copy(), "NCHW"
    with fastconv.use_isa(isa), runtime.use_seams({"conv.DOT": dot}):
        result = fastconv.conv2d(x, w, **options)
    assert_same_bits(np.ascontiguousarray(result), np.ascontiguousarray(modulo(x, w, **options)))


def test_extremes(isa):
    """Where both products of a pair are 2^30 their sum is 2^31, and where all are the sums wrap."""
    for (first, second), terms, filters in itertools.product(itertools.product(SHORT, SHORT), (1, 2, 3, 4, 255), (1, 3, 17, 70)):
        for ends in itertools.product(("min", "max"), repeat=2):
            a, b = (getattr(np.iinfo(dtype), end) for dtype, end in zip((first, second), ends, strict=True))
            x, w = np.full((1, 2, terms), a, first), np.full((1, 1, terms, filters), b, second)
            expected = (terms * a * b + 2**31) % 2**32 - 2**31
            for dot in DOTS:
                with runtime.use_seams({"conv.DOT": dot}):
                    assert np.all(fastconv.conv2d(x, w) == expected)


@pytest.mark.parametrize("dtype", ["i8", "u8", "i4", "u4"])
def test_long_extremes(isa, dtype):
    info = np.iinfo(dtype)
    for a, b, terms in itertools.product((info.min, info.max), (info.min, info.max), (1, 7)):
        x, w = np.full((4, 5, terms), a, dtype), np.full((1, 1, terms, 9), b, dtype)
        assert np.all(fastconv.conv2d(x, w) == (terms * a * b + 2**63) % 2**64 - 2**63)


@pytest.mark.parametrize("multiplier", [1, 2, 3])
def test_groups_of_two_channels(isa, rng, multiplier):
    """Whose words are couples, one to a group: they run along channels."""
    for first, second in itertools.product(SHORT, SHORT):
        x, w = numbers(rng, (5, 9, 34), first), numbers(rng, (3, 2, 2, 17 * multiplier), second)
        for view in (x, np.repeat(x, 2, -1)[..., ::2]):
            assert_same_bits(fastconv.conv2d(view, w, groups=17, padding="SAME"), modulo(x, w, groups=17, padding="SAME"))


def test_known_numbers(isa):
    x = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    result = fastconv.conv2d(x, np.array([[1, -2], [3, 4]], np.int8)[..., None, None])
    assert result.dtype == np.int32
    assert result[..., 0].tolist() == [[30, 36, 42], [54, 60, 66]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_matter(layout):
    for number, problem in enumerate(PROBLEMS):
        for first, second in (("u1", "i1"), ("u2", "i2"), ("i8", "u8"), ("i2", "u2")):
            x, w, expected = case(number, np.dtype(first), np.dtype(second))
            bias = np.zeros(w.shape[-1], np.int8)
            assert_same_bits(fastconv.conv2d(LAYOUTS[layout](x), w, bias=bias, **problem.options), expected)
            assert_same_bits(fastconv.conv2d(x, LAYOUTS[layout](w), **problem.options), expected)
            if layout != "byte-swapped":
                out = LAYOUTS[layout](np.ones_like(expected))
                assert fastconv.conv2d(x, w, out=out, **problem.options) is out
                assert_same_bits(np.ascontiguousarray(out), expected)


@pytest.mark.parametrize("number", range(len(PROBLEMS)), ids=lambda number: str(PROBLEMS[number]))
def test_threads_and_prepared_filters_do_not_matter(number):
    options = PROBLEMS[number].options
    made = {name: options[name] for name in ("strides", "dilations", "groups") if name in options}
    for first, second in (("u1", "i1"), ("u2", "u2"), ("?", "i4")):
        x, w, expected = case(number, np.dtype(first), np.dtype(second))
        prepared = fastconv.prepare_filters(w, **made)
        assert prepared.filters.dtype == w.dtype
        for workers in (1, 2, 5):
            assert_same_bits(fastconv.conv2d(x, w, workers=workers, **options), expected)
            assert_same_bits(fastconv.conv2d(x, prepared, workers=workers, **options), expected)


SEAMS = ("BLOCK_PIXELS", "CHUNK_BYTES", "SLAB_BYTES", "WINDOW_BYTES", "TERMS_BYTES", "OPEN_BYTES", "RANGE_PIXELS",
         "STREAM_PIXELS",
         "CHAIN", "FEW_CHAIN", "FEW_FILTERS", "LEAST_BYTES", "PLANES_BYTES", "PLANE_BYTES", "CHANNEL_BLOCK", "CHANNEL_BYTES",
         "RIM_OUTPUTS", "RIM_COLUMNS", "ROW_COLUMNS", "ROW_BYTES")  # fmt: skip


@given(
    isa=st.sampled_from(fastconv.available_isas()),
    number=st.sampled_from(range(len(PROBLEMS))),
    dtypes=st.sampled_from(PAIRS[::5]),
    seams=st.dictionaries(st.sampled_from(SEAMS), st.sampled_from((1, 40, 3000, 1 << 20))),
    dot=st.sampled_from(DOTS),
    workers=st.sampled_from((1, 3)),
)
def test_small_blocks(isa, number, dtypes, seams, dot, workers):
    x, w, expected = case(number, *dtypes)
    with fastconv.use_isa(isa), runtime.use_seams({f"conv.{name}": value for name, value in seams.items()} | {"conv.DOT": dot}):
        assert_same_bits(fastconv.conv2d(x, w, workers=workers, **PROBLEMS[number].options), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEAMS)
def test_small_blocks_of_each_constant(isa, name):
    for value, number, (first, second) in itertools.product((1, 40, 3000, 1 << 20), range(len(PROBLEMS)), PAIRS[::7]):
        x, w, expected = case(number, first, second)
        with runtime.use_seams({f"conv.{name}": value}):
            assert_same_bits(fastconv.conv2d(x, w, workers=1 + value % 3, **PROBLEMS[number].options), expected)


@pytest.mark.parametrize("integer", ALL, ids=str)
@pytest.mark.parametrize("real", ["f2", "f4", "f8"])
def test_integers_with_reals_are_promoted(rng, integer, real):
    """As if the integers had been converted first."""
    dtype = np.result_type(integer, real)
    for problem, swapped in zip(PROBLEMS, itertools.cycle((False, True))):
        x, w = numbers(rng, problem.input, integer), rng.standard_normal(problem.filters).astype(real)
        if swapped:
            x, w = rng.standard_normal(problem.input).astype(real), numbers(rng, problem.filters, integer)
        expected = fastconv.conv2d(x.astype(dtype), w.astype(dtype), **problem.options)
        assert_same_bits(fastconv.conv2d(x, w, **problem.options), expected)
        turned = [a.astype(a.dtype.newbyteorder()) for a in (x, w)]
        assert_same_bits(fastconv.conv2d(*turned, **problem.options), expected)


def test_bias_of_other_integers(isa):
    x, w = np.ones((3, 3, 2), np.int8), np.ones((1, 1, 2, 2), np.int8)
    for bias in ([2**31 - 2, True], np.array([2**31 - 2, 2**32 + 1], np.uint64), np.array([2**31 - 2, 1], object).astype("i8")):
        assert fastconv.conv2d(x, w, bias=bias)[0, 0].tolist() == [-(2**31), 3]


def test_integers_as_bias_of_reals(rng):
    x, w = rng.standard_normal((5, 6, 3)), rng.standard_normal((3, 3, 3, 4))
    assert_same_bits(fastconv.conv2d(x, w, bias=np.arange(4)), fastconv.conv2d(x, w, bias=np.arange(4.0)))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"activation": "tanh"}, TypeError, "activation of integers may be None, 'relu', 'relu6', got 'tanh'"),
        ({"activation": "silu"}, TypeError, "activation of integers"),
        ({"activation": "sigmoid"}, TypeError, "activation of integers"),
        ({"bias": np.ones(4)}, TypeError, "bias has dtype float64; that of results of int32 may not"),
        ({"bias": np.ones(4, complex)}, TypeError, "bias has dtype complex128"),
        ({"cval": 0.5}, ValueError, "cval must be an integer from 0 to 255 for an input of uint8, got 0.5"),
        ({"cval": 256}, ValueError, "cval must be an integer from 0 to 255"),
        ({"cval": -1}, ValueError, "cval must be an integer from 0 to 255"),
        ({"cval": np.nan}, ValueError, "cval must be an integer from 0 to 255"),
        ({"cval": 1j}, TypeError, "cval must be a real number"),
        ({"method": "winograd"}, ValueError, "method='winograd' rounds"),
        ({"out": np.zeros((3, 3, 4))}, TypeError, "out has dtype float64; it must have the dtype of the result, int32"),
    ],
)
def test_what_integers_do_not_have(options, error, match):
    with pytest.raises(error, match=match):
        fastconv.conv2d(np.ones((5, 5, 4), np.uint8), np.ones((3, 3, 4, 4), np.int8), **options)


def test_padding_with_64_bits(isa):
    for dtype, value in (("i8", 2**62 + 1), ("i8", -(2**63)), ("u8", 2**64 - 1)):
        x, w = np.zeros((1, 1, 1), dtype), np.ones((1, 1, 1, 1), dtype)
        result = fastconv.conv2d(x, w, padding=1, cval=value)
        assert result[0, 0, 0] == (value + 2**63) % 2**64 - 2**63
        assert result[1, 1, 0] == 0


@pytest.mark.parametrize("kind", ["f2", "i8"])
def test_an_input_as_out(kind):
    x = np.arange(48, dtype=kind if kind == "i8" else "i8").reshape(4, 4, 3)
    w = np.eye(3, dtype=kind if kind == "i8" else "i4").reshape(1, 1, 3, 3) * 2
    expected = 2 * x
    assert fastconv.conv2d(x, w, out=x) is x
    np.testing.assert_array_equal(x, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ISAS)
def test_sizes_that_users_have(name, rng):
    if name not in fastconv.available_isas():
        pytest.skip(f"{name} is not on this machine")
    with fastconv.use_isa(name):
        for shape, filters, options in (
            ((1, 58, 61, 64), (3, 3, 64, 64), {"padding": "SAME"}),
            ((2, 40, 333, 3), (7, 7, 3, 64), {"strides": 2}),
            ((1, 57, 56, 72), (3, 3, 1, 72), {"groups": 72}),
            ((1, 300, 511, 1), (9, 9, 1, 1), {"padding": "SAME", "padding_mode": "wrap"}),
            ((1, 7, 7, 512), (3, 3, 512, 96), {"padding": "SAME"}),
        ):
            for first, second in (("u1", "i1"), ("i2", "i2"), ("u2", "u2"), ("i4", "i4"), ("u8", "i8")):
                x, w = numbers(rng, shape, np.dtype(first)), numbers(rng, filters, np.dtype(second))
                assert_same_bits(fastconv.conv2d(x, w, **options), modulo(x, w, **options))
