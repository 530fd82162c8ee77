"""Binary morphology: erosions are "all" of windows, dilations "any". Next hop: _face/flood.py, for what goes on until nothing
changes."""
from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike

from .._drivers import runtime as _runtime
from .._face import flood as _flood
from . import _arguments as _args
from ._arguments import documented

_MOST_LINES = 128  # of a structure that stands for several iterations
_runtime.face_seams("ndimage", globals(), "_MOST_LINES")


@documented
def generate_binary_structure(rank: int, connectivity: int, *, workers: int | None = None) -> np.ndarray:
    """Make a structuring element of size 3 on each axis.

    Parameters
    ----------
    rank : int
        How many axes it has.
    connectivity : int
        Its cells are those at most that many steps from the middle: 1 for direct neighbours, `rank` for a whole box.
    workers : int, optional
        Has no effect.

    Returns
    -------
    ndarray of bool
    """
    return _neighbours(rank, connectivity).copy()


@_args.remembered
def _neighbours(rank, connectivity):
    """What generate_binary_structure makes, not to be changed."""
    if rank < 1:
        return np.array(True)
    steps = np.zeros((3,) * rank, np.intp)
    for axis in range(rank):
        steps += np.array([1, 0, 1]).reshape((3,) + (1,) * axis)
    structure = steps <= max(connectivity, 1)
    structure.flags.writeable = False
    return structure


@documented
def iterate_structure(structure: ArrayLike, iterations: int, origin: int | tuple[int, ...] | None = None, *,
                      workers: int | None = None) -> np.ndarray | tuple:  # fmt: skip
    """Dilate a structuring element with itself.

    Parameters
    ----------
    structure : array_like
        The structuring element.
    iterations : int
        How many times it counts: dilated with itself ``iterations - 1`` times.
    origin : int or sequence of int, optional
        Its origin.
    {workers}

    Returns
    -------
    ndarray of bool, or (ndarray of bool, list of int)
        The new element, with its origin if `origin` is given.
    """
    structure = np.asarray(structure)
    if iterations < 2:
        return structure.copy()
    more = iterations - 1
    place = tuple(slice(more * (n // 2), more * (n // 2) + n) for n in structure.shape)
    grown = np.zeros([n + more * (n - 1) for n in structure.shape], bool)
    grown[place] = structure != 0
    grown = binary_dilation(grown, structure, iterations=more, workers=workers)
    if origin is None:
        return grown
    return grown, [iterations * number for number in _args.each("origin", origin, structure.ndim)]


# ---- erosion and dilation ----


@_args.remembered
def _placed(ndim, structure, origin, axes, mirror):
    """(a structure on all axes, its origins), mirrored where that is asked for; of direct neighbours if it is None."""
    axes = _args.axes_of(axes, ndim)
    structure = _neighbours(len(axes), 1) if structure is None else np.asarray(structure, bool)
    if structure.ndim != len(axes):
        raise RuntimeError(f"structure and input must have same dimensionality: structure.ndim ({structure.ndim}) must match "
                           f"len(axes) ({len(axes)})")
    if not structure.size:
        raise RuntimeError("structure must not be empty")
    structure = _args.all_axes("structure", structure, axes, ndim)
    origins = [operator.index(number) for number in _args.all_origins(origin, axes, ndim)]
    if mirror:
        structure, origins = _args.mirrored(structure, origins)
    _args.check_origins(origins, structure.shape)
    return structure, tuple(origins)


def _step(x, name, structure, mask, outer, origins, workers, result=None):
    """An array of bool, `result` or a new one: "all" or "any" of the windows of pixels that may change, others as they are."""
    result = np.empty(x.shape, bool) if result is None else result
    if np.count_nonzero(structure):
        kept = None if mask is None else x.copy() if np.may_share_memory(x, result) else x
        _args.reduce(x, name, result, footprint=structure, mode="constant", cval=1.0 if outer else 0.0, origin=origins,
                     workers=workers)
    else:
        kept = x.copy()
        result[...] = name == "all"
    if mask is not None:  # logical functions take a tenth of the time of copyto(where=)
        np.logical_and(result, mask, out=result)
        np.logical_or(result, np.logical_and(kept, np.logical_not(mask)), out=result)
    return result


def _connectivity(structure, origins):
    """c if a structure is generate_binary_structure(n, c) on the axes where it is longer than 1, else 0."""
    shape = [n for n in structure.shape if n > 1]
    if any(origins) or set(shape) != {3}:
        return 0
    cells = structure.reshape(shape)
    matches = (c for c in range(1, len(shape) + 1) if np.array_equal(cells, _neighbours(len(shape), c)))
    return next(matches, 0)


def _iterated(structure, origins, mask, iterations):
    """Structures, one after another, that do what `iterations` times this one does.

    That of pixels at most c steps away, each a neighbour on its axis, grows into that of n steps and n c neighbours, and a window
    of it costs little more; all its pixels are reached by ways inside the image, so that what lies outside counts as if step
    followed step. With a mask it is not so.
    """
    connectivity = _connectivity(structure, origins) if mask is None and iterations > 1 else 0
    if not connectivity:
        yield from (structure for _ in range(iterations))
        return
    axes = [axis for axis, n in enumerate(structure.shape) if n > 1]
    most = iterations
    while most > 1 and (2 * most + 1) ** (len(axes) - 1) > _MOST_LINES:
        most -= 1
    while iterations:
        n = min(iterations, most)
        away = np.zeros((1,) * structure.ndim, np.intp)
        for axis in axes:
            away = away + np.abs(np.arange(-n, n + 1)).reshape([-1 if a == axis else 1 for a in range(structure.ndim)])
        yield away <= n * connectivity
        iterations -= n


def _morph(input, name, structure, iterations, mask, output, border_value, origin, axes, workers, mirror=None, holes=False):
    """Erosion (name "all") or dilation ("any", by the mirrored structure); with `holes` all are set, and stay in the mask."""
    try:
        iterations = operator.index(iterations)
    except TypeError as error:
        raise TypeError("iterations parameter should be an integer") from error
    x = _args.real("input", input)
    mirror = int(name == "any" if mirror is None else mirror)
    structure, origins = _placed(x.ndim, structure, origin, axes, mirror)
    if mask is not None:
        mask = np.asarray(mask)
        if mask.shape != x.shape:
            raise RuntimeError(f"mask and input must have equal sizes: {mask.shape} and {x.shape}")
    border_value = operator.index(border_value)
    if isinstance(output, np.ndarray):
        if np.iscomplexobj(output):
            raise TypeError("Complex output type not supported")
    else:
        output = bool
    output = _args.output_for(output, x)
    _args.supported("input", x)
    options = mask, border_value, origins, workers
    if iterations < 1:
        result = output if output.dtype == np.bool_ else np.empty(x.shape, bool)
        _until_nothing_changes(x, name, structure, result, holes, *options)
        if result is not output:
            output[...] = result
        return output
    passes, spare, result = list(_iterated(structure, origins, mask, iterations)), [None, None], x
    for i, cells in enumerate(passes):
        last = i == len(passes) - 1 and output.dtype == np.bool_
        spare[i % 2] = result = _step(result, name, cells, *options, output if last else spare[i % 2])
    if result is not output:
        output[...] = result
    return output


def _until_nothing_changes(x, name, structure, result, holes, mask, border_value, origins, workers):
    """Fill `result`, an array of bool, with what erosion or dilation comes to, as often as it changes something."""
    middle = tuple(n // 2 + number for n, number in zip(structure.shape, origins, strict=True))
    erode = name == "all"  # which is a dilation of what is not set
    kwargs = {"outside": bool(border_value) != erode, "flip": erode, "flip_may": holes, "workers": workers}
    seeds = None if holes else x  # in holes, nothing is
    if structure[middle] and _flood.fill(seeds, mask, structure, middle, result, **kwargs):
        return
    mask = np.logical_not(mask) if holes else mask
    before, after = x != 0, _step(x, name, structure, mask, border_value, origins, workers)
    while not np.array_equal(after, before):
        before, after = after, _step(after, name, structure, mask, border_value, origins, workers)
    result[...] = after


@documented
def binary_erosion(
    input: ArrayLike, structure: ArrayLike | None = None, iterations: int = 1, mask: ArrayLike | None = None,
    output: np.ndarray | None = None, border_value: int = 0, origin: int | tuple[int, ...] = 0, brute_force: bool = False, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Erode a binary image: a pixel stays where all pixels under the structuring element are set.

    Parameters
    ----------
    {input}
    {binary_structure}
    {iterations}
    {mask}
    {output_binary}
    {border_value}
    {origins}
    {brute_force}
    {axes}
    {workers}

    {returns}
    """
    return _morph(input, "all", structure, iterations, mask, output, border_value, origin, axes, workers)


@documented
def binary_dilation(
    input: ArrayLike, structure: ArrayLike | None = None, iterations: int = 1, mask: ArrayLike | None = None,
    output: np.ndarray | None = None, border_value: int = 0, origin: int | tuple[int, ...] = 0, brute_force: bool = False, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Dilate a binary image: set the pixels under the structuring element at each pixel that is set.

    Parameters
    ----------
    {input}
    {binary_structure}
    {iterations}
    {mask}
    {output_binary}
    {border_value}
    {origins}
    {brute_force}
    {axes}
    {workers}

    {returns}
    """
    return _morph(input, "any", structure, iterations, mask, output, border_value, origin, axes, workers)


@documented
def binary_opening(
    input: ArrayLike, structure: ArrayLike | None = None, iterations: int = 1, output: np.ndarray | None = None,
    origin: int | tuple[int, ...] = 0, mask: ArrayLike | None = None, border_value: int = 0, brute_force: bool = False, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Open a binary image: erode it, then dilate it, each as often.

    Parameters
    ----------
    {input}
    {binary_structure}
    {iterations}
    {output_binary}
    {origins}
    {mask}
    {border_value}
    {brute_force}
    {axes}
    {workers}

    {returns}
    """
    eroded = _morph(input, "all", structure, iterations, mask, None, border_value, origin, axes, workers)
    return _morph(eroded, "any", structure, iterations, mask, output, border_value, origin, axes, workers)


@documented
def binary_closing(
    input: ArrayLike, structure: ArrayLike | None = None, iterations: int = 1, output: np.ndarray | None = None,
    origin: int | tuple[int, ...] = 0, mask: ArrayLike | None = None, border_value: int = 0, brute_force: bool = False, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Close a binary image: dilate it, then erode it, each as often.

    Parameters
    ----------
    {input}
    {binary_structure}
    {iterations}
    {output_binary}
    {origins}
    {mask}
    {border_value}
    {brute_force}
    {axes}
    {workers}

    {returns}
    """
    dilated = _morph(input, "any", structure, iterations, mask, None, border_value, origin, axes, workers)
    return _morph(dilated, "all", structure, iterations, mask, output, border_value, origin, axes, workers)


@documented
def binary_hit_or_miss(
    input: ArrayLike, structure1: ArrayLike | None = None, structure2: ArrayLike | None = None, output: np.ndarray | None = None,
    origin1: int | tuple[int, ...] = 0, origin2: int | tuple[int, ...] | None = None, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray | None:  # fmt: skip
    """Find a pattern: pixels where all of `structure1` is set and nothing of `structure2`.

    Parameters
    ----------
    {input}
    structure1 : array_like of bool, optional
        By default a pixel and its direct neighbours.
    structure2 : array_like of bool, optional
        By default what `structure1` is not.
    {output_binary}
    origin1, origin2 : int or sequence of int
        Origins of the structures; the second is by default as the first.
    {axes}
    {workers}

    Returns
    -------
    ndarray, or None
        A new array of bool; None if there is an `output`, as SciPy has it.
    """
    x = _args.array("input", input)
    if structure2 is None:
        structure2 = np.logical_not(_neighbours(len(_args.axes_of(axes, x.ndim)), 1) if structure1 is None else structure1)
    origin2 = origin1 if origin2 is None else origin2
    hit = _morph(x, "all", structure1, 1, None, None, 0, origin1, axes, workers)
    missed = _morph(x, "any", structure2, 1, None, output, 0, origin2, axes, workers, mirror=False)
    np.logical_not(missed, missed)
    np.logical_and(hit, missed, missed)
    return None if isinstance(output, np.ndarray) else missed


@documented
def binary_propagation(
    input: ArrayLike, structure: ArrayLike | None = None, mask: ArrayLike | None = None, output: np.ndarray | None = None,
    border_value: int = 0, origin: int | tuple[int, ...] = 0, *, axes: int | tuple[int, ...] | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Dilate a binary image within a mask until nothing changes.

    Parameters
    ----------
    {input}
    {binary_structure}
    {mask}
    {output_binary}
    {border_value}
    {origins}
    {axes}
    {workers}

    {returns}

    Notes
    -----
    Takes half a byte of memory for each pixel of an image beside input and output; of an array all of whose axes are short, at
    most two, or 16 MiB.
    """
    return _morph(input, "any", structure, -1, mask, output, border_value, origin, axes, workers)


@documented
def binary_fill_holes(
    input: ArrayLike, structure: ArrayLike | None = None, output: np.ndarray | None = None, origin: int | tuple[int, ...] = 0, *,
    axes: int | tuple[int, ...] | None = None, workers: int | None = None,
) -> np.ndarray | None:  # fmt: skip
    """Set the pixels that no path of pixels that are not set connects with the outside.

    Parameters
    ----------
    {input}
    {binary_structure}
    {output_binary}
    {origins}
    {axes}
    {workers}

    Returns
    -------
    ndarray, or None
        A new array of bool; None if there is an `output`, as SciPy has it.

    Notes
    -----
    Takes half a byte of memory for each pixel of an image beside input and output; of an array all of whose axes are short, at
    most two, or 16 MiB.
    """
    x = _args.array("input", input)
    everything = np.broadcast_to(np.True_, x.shape)
    filled = _morph(everything, "all", structure, -1, x, output, 0, origin, axes, workers, mirror=True, holes=True)
    return None if isinstance(output, np.ndarray) else filled
