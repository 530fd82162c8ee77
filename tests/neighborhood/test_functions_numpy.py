"""Functions of NumPy in functions of windows that are compiled: against NumPy called on the same windows."""

import itertools
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_functions_compiled import DTYPES, REALS, both, numbers, same

from fastconv import neighborhood_reduce

C = np.arange(1.0, 10.0)  # a constant for windows of 9 cells

OF_REALS = {
    "cumsum": lambda v, axis: v.cumsum(axis).max(axis),
    "cumprod": lambda v, axis: np.cumprod(v, axis=axis).min(axis),
    "accumulate": lambda v, axis: np.add.accumulate(v, axis=axis)[..., -1],
    "diff of two": lambda v, axis: np.diff(v, 2, axis).max(axis),
    "partition": lambda v, axis: np.partition(v, 4, axis)[..., 4],
    "norm 0": lambda v, axis: np.linalg.norm(v, 0, axis),
    "norm 1": lambda v, axis: np.linalg.norm(v, ord=1, axis=axis),
    "norm 2": lambda v, axis: np.linalg.norm(v, 2, axis=axis, keepdims=True)[..., 0],
    "norm 3": lambda v, axis: np.linalg.norm(v, 3, axis=axis),
    "norm inf": lambda v, axis: np.linalg.norm(v, np.inf, axis) - np.linalg.norm(v, -np.inf, axis),
    "norm of rows": lambda v, axis: np.linalg.norm(v.reshape(-1, 3, 3), axis=(-2, -1)),
    "einsum": lambda v, axis: np.einsum("ij,j->i", v, C),
    "einsum of two": lambda v, axis: np.einsum("...j,...j->...", v, v),
    "einsum of three": lambda v, axis: np.einsum("...j,...j,j->...", v, v + 1, C),
    "einsum with rows": lambda v, axis: np.einsum("nij,jk->nik", v.reshape(-1, 3, 3), np.eye(3)[::-1]).max((-2, -1)),
    "einsum without result": lambda v, axis: np.einsum("...j,jk", v, np.stack([C, 1 / C], 1)).sum(axis),
    "tensordot": lambda v, axis: np.tensordot(v, C, 1),
    "tensordot by axes": lambda v, axis: np.tensordot(v.reshape(-1, 3, 3), C.reshape(3, 3), ([1, 2], [1, 0])),
    "tensordot with more": lambda v, axis: np.tensordot(v, np.stack([C, 1 / C], 1), ([-1], [0])).max(axis),
    "inner": lambda v, axis: np.inner(v, C),
    "average": lambda v, axis: np.average(v, axis, C),
    "nan_to_num": lambda v, axis: np.nan_to_num(v, nan=2.0, posinf=9).sum(axis),
    "isclose": lambda v, axis: np.isclose(v, v[..., 4:5], atol=0.3).sum(axis),
    "divmod": lambda v, axis: sum(part.max(axis) for part in np.divmod(v, C)),
    "sinks": lambda v, axis: np.heaviside(v - v[..., 4:5], 0.5).sum(axis),
    "sum where": lambda v, axis: v.sum(axis, where=v > v[..., :1]) + np.sum(v, axis, where=C > 3, initial=2),
    "prod where": lambda v, axis: np.prod(v, axis, where=v > 2, initial=3),
    "mean where": lambda v, axis: np.mean(v, axis, where=v >= v[..., :1], keepdims=True)[..., 0] + v.mean(axis, where=C > 2),
    "extremes where": lambda v, axis: v.max(axis, where=v > 1, initial=1) - np.min(v, axis, initial=2),
    "truths where": lambda v, axis: v.any(axis, where=v < 3) + 2 * np.all(v > 1, axis, where=C > 7),
    "trapezoid": lambda v, axis: np.trapezoid(v, axis=axis),
    "trapezoid by x": lambda v, axis: np.trapezoid(v, C**2, axis=axis),
}
WITH_NAN = {
    "nanmedian": lambda v, axis: np.nanmedian(v, axis),
    "nanpercentile": lambda v, axis: np.nanpercentile(v, 30, axis=axis),
    "nanquantile": lambda v, axis: np.nanquantile(v, 0.8, axis=axis, keepdims=True)[..., 0],
    "nanvar": lambda v, axis: np.nanvar(v, axis, ddof=1),
    "nanstd": lambda v, axis: np.nanstd(v, axis),
    "nanprod": lambda v, axis: np.nanprod(v, axis),
    "nan_to_num": OF_REALS["nan_to_num"],
    "isclose": OF_REALS["isclose"],
    "both NaN": lambda v, axis: np.isclose(v, v[..., 4:5], equal_nan=True).sum(axis),
}


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "?"])
@pytest.mark.parametrize("name", OF_REALS)
def test_functions(name, dtype):
    x = numbers(np.random.default_rng(1), (9, 70), dtype, special=False)
    if dtype[0] != "f":
        x = x % 7 + 1 if name in ("cumprod", "nan_to_num") else x
    same(x, OF_REALS[name], 3, units=64)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("name", WITH_NAN)
def test_functions_of_windows_with_nan(name, dtype):
    rng = np.random.default_rng(2)
    x = numbers(rng, (11, 70), dtype, special=False)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[4:8, 30:40] = np.nan
    if name in ("nan_to_num", "isclose", "both NaN"):
        x[rng.random(x.shape) < 0.1] = np.inf
    sizes = [3] if WITH_NAN[name] in OF_REALS.values() or name == "both NaN" else [1, 2, 3, (1, 5), 5]
    for size in sizes:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of windows of NaN alone, which come where functions are called
            called = neighborhood_reduce(x, WITH_NAN[name], size, engine="python")
            got = neighborhood_reduce(x, WITH_NAN[name], size, engine="compiled")
        assert got.dtype == called.dtype
        eps = 64 * np.finfo(dtype).eps
        assert_allclose(got, called, rtol=eps, atol=eps * np.abs(called[np.isfinite(called)]).max(initial=1))


def test_functions_of_one_window():
    x = numbers(np.random.default_rng(3), (9, 70), "f8", special=False)
    for function in (
        lambda w: np.vdot(w, w),
        lambda w: np.inner(w, w + 1),
        lambda w: np.einsum("i,i->", w, C),
        lambda w: np.einsum("i,i", C, w),
        lambda w: np.cumsum(w).max(),
        lambda w: np.linalg.norm(w),
        lambda w: np.linalg.norm(w.reshape(3, 3), "fro"),
        lambda w: np.tensordot(w, C, 1),
        lambda w: np.nanmedian(w),
    ):
        same(x, function, 3, units=64)


def test_quotients_and_remainders(isa):
    values = [0.0, -0.0, 1, -1, 0.1, -0.1, 3, -3, 7.5, -7.5, 1e300, -1e300, 1e17, 3e-310, np.inf, -np.inf, np.nan, 0.3, 2.0**53]
    for dtype in REALS:
        with np.errstate(over="ignore"):
            a = np.array(values).astype(dtype)
        pairs = np.array(list(itertools.product(a, a)), dtype).T
        pairs = np.concatenate([pairs, np.random.default_rng(4).uniform(-50, 50, (2, 2000)).astype(dtype)], axis=1)
        for ufunc in (np.floor_divide, np.remainder, np.fmod, np.copysign):
            function = lambda v, axis, u=ufunc: u(v[..., 0], v[..., 1])  # noqa: E731
            compiled, called = both(pairs, function, (2, 1), mode="valid")
            assert_array_equal(compiled, called)
            assert_array_equal(np.signbit(compiled[called == 0]), np.signbit(called[called == 0]))
    for dtype in ("i1", "i4", "i8", "u1", "u8"):
        info = np.iinfo(dtype)
        values = [0, 1, 2, 3, 7, 100, info.max, info.max - 1, info.min, info.min + 1, *([-1, -2, -7] if info.min else [])]
        a = np.array(values, dtype)
        pairs = np.array(list(itertools.product(a, a)), dtype).T
        for ufunc in (np.floor_divide, np.remainder, np.fmod):
            same(pairs, lambda v, axis, u=ufunc: u(v[..., 0], v[..., 1]), (2, 1), mode="valid")


REFUSED = {
    "deviation where": lambda v, axis: np.var(v, axis, where=v > -100),
    "einsum of one": lambda v, axis: np.einsum("ij->ij", v)[..., 0],
    "diagonal": lambda v, axis: np.einsum("nii,i->n", v.reshape(-1, 3, 3), C[:3]),
    "einsum over windows": lambda v, axis: np.einsum("ij,ij->", v, v) + 0 * v.sum(axis),
    "interp": lambda v, axis: np.interp(v[..., 0], C, C),
    "piecewise": lambda v, axis: np.piecewise(v, [v > 1], [1, 0]).sum(axis),
    "argsort": lambda v, axis: np.argsort(v, axis)[..., 0],
    "several quantiles": lambda v, axis: np.quantile(v, [0.2, 0.8], axis=axis)[0],
    "cov": lambda v, axis: np.cov(v)[0, 0] + 0 * v.sum(axis),
    "convolve": lambda v: np.convolve(v, C).max(),
    "nextafter": lambda v, axis: np.nextafter(v, 3).max(axis),
    "nuclear norm": lambda v, axis: np.linalg.norm(v.reshape(-1, 3, 3), "nuc", axis=(1, 2)),
    "weights that depend": lambda v, axis: np.average(v, axis, np.abs(v) + 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_called(name):
    x = numbers(np.random.default_rng(5), (6, 20), "f8", special=False)
    with pytest.raises(ValueError, match="cannot be compiled"):
        neighborhood_reduce(x, REFUSED[name], 3, engine="compiled")
    assert_array_equal(neighborhood_reduce(x, REFUSED[name], 3), neighborhood_reduce(x, REFUSED[name], 3, engine="python"))
