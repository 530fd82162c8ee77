"""The functions of kernels/base/exponential.h and elementary.h, through the kernel of operations: their errors against wider
numbers, on random arguments and on those where something ends: zeros, denormals, infinities, multiples of pi, powers of 2, 10."""

import numpy as np
import pytest
from kernel_calls import elements

import kernels
from guarded import place

pytestmark = kernels.needs_headers
REALS = ("f4", "f8")
WIDER = {"f4": np.float64, "f8": np.longdouble}
UNARY = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
         "sinh", "cosh", "tanh")  # fmt: skip
MANY = 20000


def call(name, dtype, n, scalars=0, **operands):
    dst = np.zeros(n, dtype)
    code = kernels.constant(f"FC_DO_{name.upper()}")
    elements(dtype).operation(kernels.arguments("fc_operation", code=code, scalars=scalars, dst=dst, n=n, **operands))
    return dst


def units(got, reference):
    """Errors in units in the last place, infinite where a NaN, an infinity or the sign of a zero is wrong. Beyond the greatest
    number both it and infinity are right."""
    greatest = np.finfo(got.dtype).max
    rounded = reference.astype(got.dtype)
    errors = np.abs(got.astype(reference.dtype) - reference) / np.spacing(np.minimum(np.abs(rounded), greatest))
    errors[(got == rounded) & (np.isinf(rounded) | (reference == 0))] = 0
    errors[np.isinf(got) & (np.abs(reference) >= greatest) & (np.sign(got) == np.sign(reference))] = 0
    errors[np.isnan(errors) | (np.signbit(got) != np.signbit(reference))] = np.inf
    errors[np.isnan(reference)] = np.where(np.isnan(got[np.isnan(reference)]), 0, np.inf)
    return errors


def worst(got, reference, *arguments):
    errors = units(got, reference)
    at = errors.argmax()
    return errors[at], [argument[at] for argument in arguments], got[at]


def ends(dtype):
    """Arguments at which something ends."""
    info = np.finfo(dtype)
    exact = np.array([0, info.tiny, info.tiny / 4, info.smallest_subnormal, info.max, np.inf, np.nan, 1 + info.eps,
                      1 - info.epsneg])  # fmt: skip
    rough = np.concatenate([
        np.arange(0, 41) / 4, np.pi / 4 * np.arange(1, 2000), 2.0 ** np.arange(-140, 127), 10.0 ** np.arange(-37, 38),
        [1e5, 99999, 1e8, 1e9, 1e15, 88, 88.5, 88.8, 87.4, 103.9, 104.5, 700, 709, 709.5, 709.79, 708.4, 745.2, 746, 1023.9, 1024,
         1074, 1075.1, 149, 150.1, 127.9, 128],
    ])  # fmt: skip
    both = np.concatenate([exact.astype(dtype), rough.astype(dtype)])
    return np.concatenate([both, -both])


def arguments(dtype, rng):
    """Any bits, what functions are used for, and numbers next to multiples of pi / 2."""
    size = np.dtype(dtype).itemsize
    bits = rng.integers(0, 1 << (8 * size), MANY, np.uint64).astype(f"u{size}").view(dtype)
    most = 60000 if dtype == "f4" else 1 << 25
    quarters = rng.integers(-most, most, MANY).astype(np.longdouble)
    pi = np.longdouble(np.pi) + np.longdouble(1.2246467991473532e-16)
    other = [rng.normal(size=MANY), rng.uniform(-750, 750, MANY), 10.0 ** rng.uniform(-20, 4.9, MANY) * rng.choice([-1, 1], MANY),
             1 + 0.001 * rng.normal(size=MANY), rng.uniform(0, 2, MANY), 10.0 ** rng.uniform(-15, 0, MANY) - 1]  # fmt: skip
    return np.concatenate([ends(dtype), bits, (quarters * pi / 2).astype(dtype), *(x.astype(dtype) for x in other)])


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", REALS)
def test_errors_of_functions(name, dtype, isa, rng):
    x = arguments(dtype, rng)
    with np.errstate(all="ignore"):
        reference = getattr(np, name)(x.astype(WIDER[dtype]))
        error, *where = worst(call(name, dtype, len(x), a=x), reference, x)
    assert error <= (2 if name == "exp" else 4), where


def pairs(dtype, rng):
    """Arguments of powers and of arctan2."""
    x, y = arguments(dtype, rng), rng.permutation(arguments(dtype, rng))
    few = np.concatenate([ends(dtype)[:9], -ends(dtype)[:9], np.array([1, -1, 2, -2, 0.5, -0.5, 3, -3, 2.5, 9e15]).astype(dtype)])
    limit = 2.0 ** (24 if dtype == "f4" else 53)
    large = np.array([limit, limit - 1, 1 - limit, limit / 2 + 1, limit / 2 + 0.5, 2 * limit])
    whole = np.concatenate([few, large.astype(dtype)])
    crossed = np.meshgrid(few, whole)
    some = [(10.0 ** rng.uniform(-30, 30, MANY), rng.normal(size=MANY)),
            (rng.uniform(0.5, 2, MANY), rng.uniform(-1000, 1000, MANY)), (rng.normal(size=MANY), rng.integers(-6, 7, MANY)),
            (-rng.integers(0, 60, MANY), rng.integers(-12, 13, MANY)),
            (rng.uniform(0.99, 1.01, MANY), rng.uniform(-50000, 50000, MANY)),
            (rng.uniform(0.749, 0.751, MANY), rng.uniform(-2400, 2500, MANY))]  # fmt: skip
    first = [x, crossed[0].ravel(), *(a for a, _ in some)]
    second = [y, crossed[1].ravel(), *(b for _, b in some)]
    return (np.concatenate([part.astype(dtype) for part in parts]) for parts in (first, second))


@pytest.mark.parametrize("name", ["power", "arctan2"])
@pytest.mark.parametrize("dtype", REALS)
def test_errors_of_functions_of_two(name, dtype, isa, rng):
    a, b = pairs(dtype, rng)
    with np.errstate(all="ignore"):
        reference = getattr(np, name)(a.astype(WIDER[dtype]), b.astype(WIDER[dtype]))
        error, *where = worst(call(name, dtype, len(a), a=a, b=b), reference, a, b)
    assert error <= 4, where


@pytest.mark.parametrize("dtype", REALS)
def test_results_that_are_exact(dtype, isa):
    twos, tens = np.arange(-126, 128).astype(dtype), np.arange(0, 11 if dtype == "f4" else 23).astype(dtype)
    np.testing.assert_array_equal(call("exp2", dtype, len(twos), a=twos), 2.0**twos)
    np.testing.assert_array_equal(call("log2", dtype, len(twos), a=(2.0**twos).astype(dtype)), twos)
    np.testing.assert_array_equal(call("log10", dtype, len(tens), a=(10.0**tens).astype(dtype)), tens)
    two, ten = np.array([2, 10], dtype)[:, None]
    np.testing.assert_array_equal(call("power", dtype, len(twos), scalars=1, a=two, b=twos), 2.0**twos)
    np.testing.assert_array_equal(call("power", dtype, len(tens), scalars=1, a=ten, b=tens), 10.0**tens)
    whole = np.arange(-100, 101).astype(dtype)
    for exponent in (0, 1, 2, 3):
        got = call("power", dtype, len(whole), scalars=2, a=whole, b=np.array([exponent], dtype))
        np.testing.assert_array_equal(got, whole.astype(np.float64) ** exponent)


@pytest.mark.parametrize("dtype", REALS)
def test_an_element_has_its_result_in_any_place(dtype, isa, rng):
    a, b = (place(np.abs(rng.normal(size=67)).astype(dtype), at_end=True) for _ in "ab")
    a[5], a[40] = 0, np.inf
    for name in (*UNARY, "power", "arctan2"):
        whole = call(name, dtype, len(a), a=a, b=b)
        for start in range(len(a)):
            n = len(a) - start
            np.testing.assert_array_equal(call(name, dtype, n, a=a[start:], b=b[start:]), whole[start:])
        for scalars in (1, 2):
            got = call(name, dtype, len(a), scalars=scalars, a=a[9:] if scalars & 1 else a, b=b[9:] if scalars & 2 else b)
            assert got[9] == whole[9]
        same = place(a, at_end=True)  # where an operand is
        code = kernels.constant(f"FC_DO_{name.upper()}")
        elements(dtype).operation(kernels.arguments("fc_operation", code=code, dst=same, a=same, b=b, n=len(a)))
        np.testing.assert_array_equal(same, whole)
