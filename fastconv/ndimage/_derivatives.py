"""Derivatives of images: sums of differences and of derivatives of Gaussians, through `_weights`."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import _arguments as _args
from . import _passes, _weights
from ._arguments import documented
from ._weights import gaussian_filter


def _smoothed_difference(input, axis, output, mode, cval, across, workers):
    """Differences along one axis, sums with the weights `across` along all others."""
    x = _args.array("input", input)
    axis = _args.axis_of(axis, x.ndim)
    output = _args.output_for(output, x, stacklevel=4)
    modes = _args.each("mode", mode, x.ndim)
    between = _args.between(output)
    others = [(other, across, modes[other]) for other in range(x.ndim) if other != axis]
    _weights.correlations(x, [(axis, [-1, 0, 1], modes[axis]), *others], between, cval, workers)
    if between is not output:
        output[...] = between
    return output


@documented
def prewitt(
    input: ArrayLike, axis: int = -1, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, *, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Prewitt's derivative: differences along one axis, sums of three along the others.

    Parameters
    ----------
    {input_complex}
    {axis}
    {output}
    {modes}
    {cval}
    {workers}

    {returns}
    """
    return _smoothed_difference(input, axis, output, mode, cval, [1, 1, 1], workers)


@documented
def sobel(
    input: ArrayLike, axis: int = -1, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, *, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Sobel's derivative: differences along one axis, sums with weights 1, 2, 1 along the others.

    Parameters
    ----------
    {input_complex}
    {axis}
    {output}
    {modes}
    {cval}
    {workers}

    {returns}
    """
    return _smoothed_difference(input, axis, output, mode, cval, [1, 2, 1], workers)


def _joined(x, steps_of, output, mode, cval, axes, workers, root=False):
    """Whether the sum of the sums (axis, weights, mode) that `steps_of` names for each of the axes, or the root of that of their
    squares, could be one pass, which has filled `output` then."""
    if x.dtype.kind == "c" or output.dtype.kind == "c":
        return False
    modes = _args.each("mode", mode, len(axes))
    parts = [steps_of(axis, word) for axis, word in zip(axes, modes, strict=True)]
    if not _passes.can_join(x, parts, output, cval, root):
        return False
    parts = [[(axis, np.asarray(weights, np.float64)) for axis, weights, _ in part] for part in parts]
    _passes.weigh(x, parts, output, modes[0], cval, [0, 0], workers, root=root)
    return True


def _for_each_axis(input, derivative, output, mode, cval, extra_arguments, extra_keywords, axes, squares=False):
    """Sum of what `derivative` gives for each of the axes, or the root of the sum of its squares."""
    x = _args.array("input", input)
    output = _args.output_for(output, x, stacklevel=4)
    axes = _args.axes_of(axes, x.ndim)
    if not axes:
        output[...] = x
        return output
    if len(axes) > 1 and np.may_share_memory(x, output):
        x = x.copy()  # the first axis overwrites what the others read
    modes = _args.each("mode", mode, len(axes))
    for axis, word in zip(axes, modes, strict=True):
        first = axis == axes[0]
        part = derivative(x, axis, output if first else output.dtype, word, cval, *extra_arguments, **(extra_keywords or {}))
        part = output if first else part
        if squares:
            np.multiply(part, part, part)
        if not first:
            output += part
    if squares:
        np.sqrt(output, output, casting="unsafe")
    return output


@documented
def generic_laplace(
    input: ArrayLike, derivative2: Callable, output: np.ndarray | DTypeLike | None = None,
    mode: str | tuple[str, ...] = "reflect", cval: float = 0.0, extra_arguments: tuple = (), extra_keywords: dict | None = None,
    *, axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Sum second derivatives along all axes.

    Parameters
    ----------
    {input_complex}
    derivative2 : callable
        ``derivative2(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, which fills `output`, or returns a
        new array where that is a dtype.
    {output}
    {modes}
    {cval}
    {extra}
    {axes}
    workers : int, optional
        Has no effect: `derivative2` decides.

    {returns}
    """
    return _for_each_axis(input, derivative2, output, mode, cval, extra_arguments, extra_keywords, axes)


@documented
def laplace(
    input: ArrayLike, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect", cval: float = 0.0, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Sum second differences, with weights 1, -2, 1, along all axes.

    Parameters
    ----------
    {input_complex}
    {output}
    {modes}
    {cval}
    {axes}
    {workers}

    {returns}
    """

    def derivative2(x, axis, output, mode, cval):
        return _weights.correlation1d(x, [1, -2, 1], axis, output, mode, cval, 0, workers)

    x = _args.array("input", input)
    output = _args.output_for(output, x)
    axes = _args.axes_of(axes, x.ndim)
    if _joined(x, lambda axis, word: [(axis, [1, -2, 1], word)], output, mode, cval, axes, workers):
        return output
    return _for_each_axis(x, derivative2, output, mode, cval, (), {}, axes)


def _gaussian_derivatives(x, order, sigma, output, mode, cval, axes, workers, keywords):
    """Sum of the second derivatives of a Gaussian, or the root of that of the squares of the first ones, for each of the axes."""

    def orders(axis):
        return tuple(order if other == axis else 0 for other in range(x.ndim))

    def derivative(x, axis, output, mode, cval):
        return gaussian_filter(x, sigma, orders(axis), output, mode, cval, workers=workers, **keywords)

    def steps_of(axis, word):
        return _weights.gaussian_steps(
            tuple(range(x.ndim)), sigma, orders(axis), word, keywords.get("truncate", 4.0), keywords.get("radius")
        )

    output = _args.output_for(output, x, stacklevel=4)
    root = order == 1
    if keywords.keys() <= {"truncate", "radius"} and _joined(x, steps_of, output, mode, cval, axes, workers, root):
        return output
    return _for_each_axis(x, derivative, output, mode, cval, (), {}, axes, squares=root)


@documented
def gaussian_laplace(
    input: ArrayLike, sigma: float | tuple[float, ...], output: np.ndarray | DTypeLike | None = None,
    mode: str | tuple[str, ...] = "reflect", cval: float = 0.0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None, **kwargs,
) -> np.ndarray:  # fmt: skip
    """Sum second derivatives of a Gaussian along all axes.

    Parameters
    ----------
    {input_complex}
    sigma : float or sequence of float
        Standard deviations, one for each of `axes`, or for all.
    {output}
    {modes}
    {cval}
    {axes}
    {workers}
    **kwargs
        Further arguments of `gaussian_filter`.

    {returns}
    """
    x = _args.array("input", input)
    axes = _args.axes_of(axes, x.ndim)
    given = dict(zip(axes, _args.each("sigma", sigma, len(axes)), strict=True))
    sigmas = [given.get(axis, 0) for axis in range(x.ndim)]
    return _gaussian_derivatives(x, 2, sigmas, output, mode, cval, axes, workers, kwargs)


@documented
def generic_gradient_magnitude(
    input: ArrayLike, derivative: Callable, output: np.ndarray | DTypeLike | None = None,
    mode: str | tuple[str, ...] = "reflect", cval: float = 0.0, extra_arguments: tuple = (), extra_keywords: dict | None = None,
    *, axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Take the root of the sum of the squares of derivatives along all axes.

    Parameters
    ----------
    {input_complex}
    derivative : callable
        ``derivative(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, which fills `output`, or returns a
        new array where that is a dtype.
    {output}
    {modes}
    {cval}
    {extra}
    {axes}
    workers : int, optional
        Has no effect: `derivative` decides.

    {returns}
    """
    return _for_each_axis(input, derivative, output, mode, cval, extra_arguments, extra_keywords, axes, squares=True)


@documented
def gaussian_gradient_magnitude(
    input: ArrayLike, sigma: float | tuple[float, ...], output: np.ndarray | DTypeLike | None = None,
    mode: str | tuple[str, ...] = "reflect", cval: float = 0.0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None, **kwargs,
) -> np.ndarray:  # fmt: skip
    """Take the magnitude of the gradient by derivatives of a Gaussian.

    Parameters
    ----------
    {input_complex}
    sigma : float or sequence of float
        Standard deviations, one for each axis of the input, or for all.
    {output}
    {modes}
    {cval}
    {axes}
    {workers}
    **kwargs
        Further arguments of `gaussian_filter`.

    {returns}
    """
    x = _args.array("input", input)
    return _gaussian_derivatives(x, 1, sigma, output, mode, cval, _args.axes_of(axes, x.ndim), workers, kwargs)
