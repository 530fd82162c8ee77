"""Weighted sums of windows: correlation, Gaussian and uniform filters.

Sums along one axis go through `_sums_along`, those along one axis and then another through `correlations`, all others through
`_sums`. Next hop: `_passes`.
"""
from __future__ import annotations

import numbers
import operator

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._face.callables import Keyed
from ..neighborhood import cut_means
from . import _arguments as _args
from . import _passes
from ._arguments import documented

# ---- sums ----


def _exact(x, weights, output):
    """Whether the sums of 64-bit integers are to be integers, which doubles would not hold."""
    return (
        x.dtype.kind in "iu" and x.dtype.itemsize == 8 and output.dtype.kind in "iu"
        and np.abs(weights).sum() < 2.0**62 and (weights == np.trunc(weights)).all()
    )  # fmt: skip


def _exact_sums(x, weights, output, window):
    """Fill `output`, which may overlap `x`, with the sums of 64-bit integers."""
    factors = weights.astype(np.int64)

    def function(windows, axis):
        return _args.converted((windows.astype(np.int64) * factors).sum(axis), output.dtype)

    _args.reduce(x, Keyed(function, "weighted", factors.tobytes(), output.dtype.str), output, **window)


def _sums_along(x, weights, axis, output, mode, cval, origin, workers, fused):
    """Fill `output`, which may overlap `x`, with the sums of windows along one axis."""
    if _exact(x, weights, output):
        x, cval = _args.outside(x, mode, cval)
        window = {"size": len(weights), "mode": mode, "cval": cval, "origin": origin, "axes": axis, "workers": workers}
        _exact_sums(x, weights, output, window)
    else:
        _passes.weigh(x, [[(axis, weights)]], output, mode, cval, [origin], workers, fused=fused)


def _sums(x, weights, output, mode, cval, origins, workers):
    """Fill `output`, which may overlap `x`, with the sums of windows along all axes."""
    cells = np.abs(weights) > _passes.EPSILON
    if not cells.any():
        output[...] = 0
    elif _exact(x, weights, output):
        x, cval = _args.outside(x, mode, cval)
        window = {"footprint": cells, "mode": mode, "cval": cval, "origin": tuple(origins), "workers": workers}
        _exact_sums(x, weights[cells], output, window)
    elif not _passes.correlate_separably(x, weights, output, mode, cval, origins, workers):
        _passes.correlate(x, weights, output, mode, cval, origins, workers)


def _by_parts(sums, x, weights, output, cval):
    """Fill a complex `output` by sums(part of x, part of the weights, output, cval) of real numbers."""
    if x.dtype.kind != "c":
        if np.iscomplexobj(cval):
            raise ValueError("Cannot provide a complex-valued cval when the input is real.")
        x = x.copy() if np.may_share_memory(x, output) else x
        sums(x, weights.real, output.real, cval)
        sums(x, weights.imag, output.imag, cval)
        return output
    if weights.dtype.kind != "c":
        sums(x.real, weights, output.real, np.real(cval))
        sums(x.imag, weights, output.imag, np.imag(cval))
        return output
    x = x.copy() if np.may_share_memory(x, output) else x
    part = np.empty_like(output.real)
    sums(x.real, weights.real, output.real, np.real(cval))
    sums(x.imag, weights.imag, part, np.imag(cval))
    output.real -= part
    sums(x.real, weights.imag, output.imag, np.real(cval))
    sums(x.imag, weights.real, part, np.imag(cval))
    output.imag += part
    return output


def correlation1d(input, weights, axis, output, mode, cval, origin, workers, fused=False):
    """The body of `correlate1d`."""
    x, weights = _args.array("input", input), np.asarray(weights)
    any_complex = "c" in (x.dtype.kind, weights.dtype.kind)
    if weights.dtype.kind == "c":
        weights = weights.conj()
    output = _args.output_for(output, x, any_complex, stacklevel=4)

    def sums(x, weights, output, cval):
        weights = np.asarray(weights, np.float64)
        if weights.ndim != 1 or not weights.size:
            raise RuntimeError(f"no filter weights given: weights must have one axis and not be empty, got shape {weights.shape}")
        place = _args.axis_of(axis, x.ndim)
        number = operator.index(origin)
        _args.check_origins([number], weights.shape)
        _args.check_mode(mode)
        _args.supported("input", x)
        _args.supported("output", output)
        _sums_along(x, weights, place, output, mode, cval, number, workers, fused)

    if any_complex:
        return _by_parts(sums, x, weights, output, cval)
    sums(x, weights, output, cval)
    return output


def correlations(x, steps, output, cval, workers, fused=False):
    """`correlation1d` for each (axis, weights, mode) of steps in turn, from `x` to `output`; the last two in one pass if they can
    be, and one before them in slabs."""
    steps = [(axis, np.asarray(weights, np.float64), mode) for axis, weights, mode in steps]
    pair = steps[-2:]
    if not _passes.can_weigh(x, pair, output, cval):
        pair = []
    elif len(steps) == 3:
        _args.check_mode(steps[0][2])
        _passes.weigh_in_slabs(x, steps[0], pair, output, cval, workers, fused)
        return
    for axis, weights, mode in steps[: len(steps) - len(pair)]:
        x = correlation1d(x, weights, axis, output, mode, cval, 0, workers, fused)
    if pair:
        part = [(axis, weights) for axis, weights, _ in pair]
        _passes.weigh(x, [part], output, pair[0][2], cval, [0, 0], workers, fused=fused)


def _correlate(input, weights, output, mode, cval, origin, axes, convolution, workers):
    x, weights = _args.array("input", input), np.asarray(weights)
    any_complex = "c" in (x.dtype.kind, weights.dtype.kind)
    if weights.dtype.kind == "c" and not convolution:
        weights = weights.conj()
    axes = _args.axes_of(axes, x.ndim)
    origins = _args.all_origins(origin, axes, x.ndim)
    weights = _args.all_axes("weights", weights, axes, x.ndim)
    if convolution:
        weights, origins = _args.mirrored(weights, origins)
    _args.check_origins(origins, weights.shape)
    output = _args.output_for(output, x, any_complex, stacklevel=4)
    mode = _args.one_mode(mode)

    def sums(x, weights, output, cval):
        _args.supported("input", x)
        _args.supported("output", output)
        _sums(x, np.asarray(weights, np.float64), output, mode, cval, origins, workers)

    if any_complex:
        return _by_parts(sums, x, weights, output, cval)
    sums(x, weights, output, cval)
    return output


@documented
def correlate1d(
    input: ArrayLike, weights: ArrayLike, axis: int = -1, output: np.ndarray | DTypeLike | None = None, mode: str = "reflect",
    cval: float = 0.0, origin: int = 0, *, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Correlate along one axis: ``out[i] = sum_k input[i + k - len(weights) // 2 - origin] * weights[k]``.

    Parameters
    ----------
    {input_complex}
    weights : array_like
        One axis, real or complex.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}
    {workers}

    {returns}
    """
    return correlation1d(input, weights, axis, output, mode, cval, origin, workers)


@documented
def convolve1d(
    input: ArrayLike, weights: ArrayLike, axis: int = -1, output: np.ndarray | DTypeLike | None = None, mode: str = "reflect",
    cval: float = 0.0, origin: int = 0, *, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Convolve along one axis: `correlate1d` with the weights in reverse order.

    Parameters
    ----------
    {input_complex}
    weights : array_like
        One axis, real or complex.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}
    {workers}

    {returns}
    """
    weights = np.asarray(weights)[::-1]
    if weights.dtype.kind == "c":
        weights = weights.conj()  # which correlation undoes
    return correlation1d(input, weights, axis, output, mode, cval, -origin - (0 if len(weights) & 1 else 1), workers)


@documented
def correlate(
    input: ArrayLike, weights: ArrayLike, output: np.ndarray | DTypeLike | None = None, mode: str = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Correlate with weights of any number of axes.

    Parameters
    ----------
    {input_complex}
    weights : array_like
        As many axes as `axes`, real or complex; those of complex numbers are conjugated.
    {output}
    {mode}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    return _correlate(input, weights, output, mode, cval, origin, axes, False, workers)


@documented
def convolve(
    input: ArrayLike, weights: ArrayLike, output: np.ndarray | DTypeLike | None = None, mode: str = "reflect", cval: float = 0.0,
    origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Convolve with weights of any number of axes: `correlate` with the weights in reverse order.

    Parameters
    ----------
    {input_complex}
    weights : array_like
        As many axes as `axes`, real or complex.
    {output}
    {mode}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    return _correlate(input, weights, output, mode, cval, origin, axes, True, workers)


# ---- Gaussian and uniform ----


def _gaussian(sigma, order, radius):
    """The weights of a Gaussian from -radius to radius, or of its derivative of an order: q(x) exp(-x^2 / (2 sigma^2)), where
    q of the next derivative is q' - q x / sigma^2."""
    if order < 0:
        raise ValueError(f"order must be non-negative, got {order!r}")
    variance = sigma * sigma
    x = np.arange(-radius, radius + 1)
    bell = np.exp(-0.5 / variance * x**2)
    bell /= bell.sum()
    if order == 0:
        return bell
    powers = np.arange(order + 1)
    q = np.zeros(order + 1)
    q[0] = 1
    for _ in range(order):
        slope = np.zeros(order + 1)
        slope[:-1] = q[1:] * powers[1:]
        slope[1:] += q[:-1] * (1.0 / -variance)
        q = slope
    return (x[:, None] ** powers).dot(q) * bell


@_args.remembered
def _gaussian_weights(sigma, order, truncate, radius):
    reach = int(truncate * float(sigma) + 0.5) if radius is None else radius
    if not isinstance(reach, numbers.Integral) or reach < 0:
        raise ValueError(f"Radius must be a nonnegative integer, got {reach!r}")
    return _gaussian(sigma, order, reach)[::-1]


@_args.remembered
def gaussian_steps(axes, sigma, order=0, mode="reflect", truncate=4.0, radius=None):
    """(axis, weights, mode) of those of `axes` along which there is a Gaussian."""
    values = [_args.each(name, value, len(axes)) for name, value in
              (("order", order), ("sigma", sigma), ("mode", mode), ("radius", radius))]
    return [
        (axis, _gaussian_weights(deviation, number, truncate, reach), word)
        for axis, number, deviation, word, reach in zip(axes, *values, strict=True)
        if deviation > 1e-15
    ]  # fmt: skip


@documented
def gaussian_filter1d(
    input: ArrayLike, sigma: float, axis: int = -1, order: int = 0, output: np.ndarray | DTypeLike | None = None,
    mode: str = "reflect", cval: float = 0.0, truncate: float = 4.0, *, radius: int | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Convolve along one axis with a Gaussian or with a derivative of it.

    Parameters
    ----------
    {input_complex}
    sigma : float
        Its standard deviation.
    {axis}
    order : int, default 0
        Of the derivative.
    {output}
    {mode}
    {cval}
    truncate : float, default 4.0
        Standard deviations after which it is cut off.
    radius : int, optional
        Where it is cut off, in pixels, in place of `truncate`.
    {workers}

    {returns}
    """
    weights = _gaussian_weights(sigma, order, truncate, radius)
    return correlation1d(input, weights, axis, output, mode, cval, 0, workers, order == 0)


@documented
def gaussian_filter(
    input: ArrayLike, sigma: float | tuple[float, ...], order: int | tuple[int, ...] = 0,
    output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect", cval: float = 0.0,
    truncate: float = 4.0, *, radius: int | tuple[int, ...] | None = None, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Convolve with a Gaussian, or with derivatives of it, one axis after another.

    What lies between the axes is stored in the dtype of the output.

    Parameters
    ----------
    {input_complex}
    sigma : float or sequence of float
        Standard deviations, one for each of `axes`, or for all; an axis where it is 0 is left out.
    order : int or sequence of int, default 0
        Of the derivatives.
    {output}
    {modes}
    {cval}
    truncate : float, default 4.0
        Standard deviations after which it is cut off.
    radius : int or sequence of int, optional
        Where it is cut off, in pixels, in place of `truncate`.
    {axes}
    {workers}

    {returns}
    """
    x = _args.array("input", input)
    output = _args.output_for(output, x)
    steps = gaussian_steps(_args.axes_of(axes, x.ndim), sigma, order, mode, truncate, radius)
    if not steps:
        output[...] = x
        return output
    target = _args.between(output)
    correlations(x, steps, target, cval, workers, not np.any(order))
    if target is not output:
        output[...] = target
    return output


def _mean(size):
    """The mean of windows in double precision, as a dtype of integers holds it."""

    def made(x, output):
        # 8-byte integers would wrap around in their sum.
        kind = np.int64 if x.dtype.kind in "bui" and x.dtype.itemsize < 8 else np.float64

        def function(windows, axis):
            return _args.converted(windows.astype(kind).sum(axis) / np.float64(size), output.dtype)

        return Keyed(function, "mean", int(size), np.dtype(kind).str, output.dtype.str)

    return made


def _means(x, sizes, axes, output, mode, cval, origins, nan_policy, workers):
    """Fill `output`, which may overlap `x`, with the means of boxes, those of integers one axis after another."""
    _args.check_mode(mode)
    _args.supported("input", x)
    _args.supported("output", output)
    inner, value = _args.outside(x, mode, cval)
    window = {"size": tuple(sizes), "mode": mode, "cval": value, "origin": tuple(origins), "axes": tuple(axes),
              "nan_policy": nan_policy, "workers": workers}  # fmt: skip
    if output.dtype.kind == "f":
        _args.reduce(inner, "mean", output, **window)
    elif cut_means(inner, output, **window):
        return
    elif len(axes) == 1:
        _args.reduce(inner, _mean(sizes[0])(inner, output), output, **window)
    else:
        for size, axis, origin in zip(sizes, axes, origins, strict=True):
            _means(x, [size], [axis], output, mode, cval, [origin], nan_policy, workers)
            x = output


def _uniform(x, sizes, axes, output, mode, cval, origins, nan_policy, workers):
    """The means of boxes of real or complex numbers in `output`, which may overlap `x`."""
    for size in sizes:
        if size < 1:
            raise RuntimeError(f"incorrect filter size: {size!r}; it must be positive")
    sizes, origins = [operator.index(size) for size in sizes], [operator.index(origin) for origin in origins]
    _args.check_origins(origins, sizes)
    if x.dtype.kind != "c":
        _means(x, sizes, axes, output, mode, cval, origins, nan_policy, workers)
    else:
        _means(x.real, sizes, axes, output.real, mode, np.real(cval), origins, nan_policy, workers)
        _means(x.imag, sizes, axes, output.imag, mode, np.imag(cval), origins, nan_policy, workers)
    return output


@documented
def uniform_filter1d(
    input: ArrayLike, size: int, axis: int = -1, output: np.ndarray | DTypeLike | None = None, mode: str = "reflect",
    cval: float = 0.0, origin: int = 0, *, nan_policy: str = "propagate", workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the mean of `size` pixels along one axis.

    Parameters
    ----------
    {input_complex}
    size : int
        Length of the window.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}
    {nan_policy}
    {workers}

    {returns}
    """
    x = _args.array("input", input)
    axis = _args.axis_of(axis, x.ndim)
    output = _args.output_for(output, x, x.dtype.kind == "c")
    return _uniform(x, [size], [axis], output, mode, cval, [origin], nan_policy, workers)


@documented
def uniform_filter(
    input: ArrayLike, size: int | tuple[int, ...] = 3, output: np.ndarray | DTypeLike | None = None,
    mode: str | tuple[str, ...] = "reflect", cval: float = 0.0, origin: int | tuple[int, ...] = 0, *,
    axes: int | tuple[int, ...] | None = None, nan_policy: str = "propagate", workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Set each pixel to the mean of a box.

    Integers are cut off after each axis, as SciPy does it.

    Parameters
    ----------
    {input_complex}
    size : int or sequence of int, default 3
        Lengths of the box, one for each of `axes`, or for all.
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {nan_policy}
    {workers}

    {returns}
    """
    x = _args.array("input", input)
    output = _args.output_for(output, x, x.dtype.kind == "c")
    axes = _args.axes_of(axes, x.ndim)
    values = [_args.each(name, value, len(axes)) for name, value in (("size", size), ("origin", origin), ("mode", mode))]
    chosen = [one for one in zip(axes, *values, strict=True) if one[1] > 1]
    if not chosen:
        output[...] = x
        return output
    axes, sizes, origins, modes = (list(values) for values in zip(*chosen, strict=True))
    sizes = [int(size) for size in sizes]
    one_mode = len(set(modes)) == 1
    if nan_policy == "omit" and len(axes) > 1 and not (one_mode and output.dtype.kind in "fc"):
        raise ValueError('nan_policy="omit" needs one mode for all axes and an output that is no integer')
    if one_mode:
        return _uniform(x, sizes, axes, output, modes[0], cval, origins, nan_policy, workers)
    for axis, number, shift, word in zip(axes, sizes, origins, modes, strict=True):
        _uniform(x, [number], [axis], output, word, cval, [shift], nan_policy, workers)
        x = output
    return output
