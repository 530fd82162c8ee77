"""Grey morphology: erosion and dilation are extremes of windows, and the rest is made of them as SciPy makes it."""
from __future__ import annotations

import operator
import warnings

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import _arguments as _args
from ._arguments import documented
from ._ranks import extremes


def _erosion(input, window, output, mode, cval, origin, axes, workers, stacklevel=4):
    """grey_erosion's body; `window` is (size, footprint, structure)."""
    if window[0] is window[1] is window[2] is None:
        raise ValueError("size, footprint, or structure must be specified")
    return extremes(input, "min", *window, output, mode, cval, origin, axes, "propagate", workers, stacklevel)


@_args.remembered
def _mirrored_box(ndim, size, origin, axes):
    """The origins of a box that is mirrored."""
    count = len(_args.axes_of(axes, ndim))
    origins = [operator.index(number) for number in _args.each("origin", origin, count)]
    return tuple(_args.mirrored_origins(_args.each("size", size, count), origins))


def _dilation(input, window, output, mode, cval, origin, axes, workers, stacklevel=4):
    """grey_dilation's body: the maximum of the mirrored window."""
    size, footprint, structure = window
    x = _args.array("input", input)
    if footprint is None and structure is None:
        if size is None:
            raise ValueError("size, footprint, or structure must be specified")
        origins = _mirrored_box(x.ndim, size, origin, axes)
    else:
        footprint, structure = (None if one is None else np.asarray(one) for one in (footprint, structure))
        origins = [operator.index(number) for number in _args.each("origin", origin, len(_args.axes_of(axes, x.ndim)))]
        shape = (structure if footprint is None else footprint).shape
        if len(shape) >= len(origins):
            origins = _args.mirrored_origins(shape[: len(origins)], origins)
        footprint, structure = (None if one is None else np.flip(one) for one in (footprint, structure))
    return extremes(x, "max", size, footprint, structure, output, mode, cval, origins, axes, "propagate", workers, stacklevel)


def _both(input, window, stacklevel=3):
    """(the input as an array, what its first step sees and returns).

    SciPy warns here, and again in what is called, where a size is ignored. Booleans become integers where something is added to
    them: what the first step leaves may be more than 1.
    """
    if window[0] is not None and window[1] is not None:
        warnings.warn("ignoring size because footprint is set", UserWarning, stacklevel=stacklevel)
    x = _args.array("input", input)
    return x, x.view(np.uint8) if x.dtype == np.bool_ and window[2] is not None else x


@documented
def grey_erosion(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Erode a grey image: ``out[i] = min(input[i + k] - structure[k] for the cells k of the window)``.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    return _erosion(input, (size, footprint, structure), output, mode, cval, origin, axes, workers)


@documented
def grey_dilation(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Dilate a grey image: ``out[i] = max(input[i - k] + structure[k] for the cells k of the window)``.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    return _dilation(input, (size, footprint, structure), output, mode, cval, origin, axes, workers)


@documented
def grey_opening(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Open a grey image: erode it, then dilate it.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    window = (size, footprint, structure)
    x, seen = _both(input, window)
    eroded = _erosion(seen, window, None, mode, cval, origin, axes, workers)
    return _dilation(eroded, window, _args.native(x.dtype) if output is None else output, mode, cval, origin, axes, workers)


@documented
def grey_closing(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Close a grey image: dilate it, then erode it.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    window = (size, footprint, structure)
    x, seen = _both(input, window)
    dilated = _dilation(seen, window, None, mode, cval, origin, axes, workers)
    return _erosion(dilated, window, _args.native(x.dtype) if output is None else output, mode, cval, origin, axes, workers)


@documented
def morphological_gradient(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Subtract a grey image's erosion from its dilation.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    window = (size, footprint, structure)
    target = output if isinstance(output, np.ndarray) else None
    dilated = _dilation(input, window, None, mode, cval, origin, axes, workers)
    eroded = _erosion(input, window, target, mode, cval, origin, axes, workers)
    return np.subtract(dilated, eroded, target)


@documented
def morphological_laplace(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Add a grey image's dilation and erosion, and subtract the image twice.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    x, window = _args.array("input", input), (size, footprint, structure)
    target = output if isinstance(output, np.ndarray) else None
    if target is not None and np.may_share_memory(x, target):
        x = x.copy()
    dilated = _dilation(x, window, None, mode, cval, origin, axes, workers)
    result = _erosion(x, window, target, mode, cval, origin, axes, workers)
    np.add(dilated, result, result)
    np.subtract(result, x, result)
    return np.subtract(result, x, result)


def _difference(x, first, second, window, output, mode, cval, origin, axes, workers):
    """The image minus the second step after `first`, or the other way round if that is an erosion."""
    if isinstance(output, np.ndarray) and np.may_share_memory(x, output):
        x = x.copy()
    result = second(first, window, _args.native(x.dtype) if output is None else output, mode, cval, origin, axes, workers, 5)
    if x.dtype == np.bool_ and result.dtype == np.bool_:
        return np.bitwise_xor(x, result, out=result)
    return np.subtract(x, result, out=result) if second is _dilation else np.subtract(result, x, out=result)


@documented
def white_tophat(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Subtract a grey image's opening from it.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    window = (size, footprint, structure)
    x, seen = _both(input, window)
    eroded = _erosion(seen, window, None, mode, cval, origin, axes, workers)
    return _difference(x, eroded, _dilation, window, output, mode, cval, origin, axes, workers)


@documented
def black_tophat(
    input: ArrayLike, size: int | tuple[int, ...] | None = None, footprint: ArrayLike | None = None,
    structure: ArrayLike | None = None, output: np.ndarray | DTypeLike | None = None, mode: str | tuple[str, ...] = "reflect",
    cval: float = 0.0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Subtract a grey image from its closing.

    Parameters
    ----------
    {input}
    {size_footprint}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}
    {workers}

    {returns}
    """
    window = (size, footprint, structure)
    x, seen = _both(input, window)
    dilated = _dilation(seen, window, None, mode, cval, origin, axes, workers)
    return _difference(x, dilated, _erosion, window, output, mode, cval, origin, axes, workers)
