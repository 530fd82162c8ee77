"""How peers do it: neighbourhoods. A function takes our arguments and returns a Ready whose `call` is timed."""

from functools import partial

import numpy as np

from ..peer import Ready
from . import functions


def scipy_generic_filter(image, function, size, workers=None):
    """`scipy.ndimage.generic_filter`; with a Python function of the first rows only, one window at a time."""
    from scipy import LowLevelCallable, ndimage

    if hasattr(function, "ctypes"):
        compiled = LowLevelCallable(function.ctypes)
        return Ready(lambda: ndimage.generic_filter(image, compiled, size))
    rows = 32
    above = image[: rows + size // 2]
    kind = np.asarray(function(np.ascontiguousarray(image[:size, :size]).ravel())).dtype
    return Ready(
        lambda: ndimage.generic_filter(above, function, size, output=kind if kind.kind in "bi" else None),
        lambda result: result[:rows],
        part=(slice(rows),),
        share=len(above) / len(image),
    )


def scipy_vectorized_filter(image, function, size, engine=None):
    """`scipy.ndimage.vectorized_filter`."""
    from scipy import ndimage

    of_boxes = functions.of_boxes(function)
    return Ready(lambda: ndimage.vectorized_filter(image, of_boxes, size=size))


def numba_loops(fastmath, image, function, size):
    """Parallel loops of numba, written by hand and compiled before they are timed, on the padded image."""
    call = functions.loops(function.__name__, size, image.dtype.str, fastmath)
    kind = {"binary_pattern": np.int64, "dilation": bool}.get(function.__name__, image.dtype)

    def run():
        out = np.empty(image.shape, kind)
        call(np.pad(image, size // 2, "symmetric"), out)
        return out

    return Ready(run)


def named_calls(image, function, size):
    """The local contrast from "min" and "max" and NumPy's arithmetic."""
    from fastconv import neighborhood_reduce

    def run():
        low, high = neighborhood_reduce(image, ["min", "max"], size)
        return (image - low) / (high - low + 1e-6)

    return Ready(run)


def scipy_filter(image, reduction, size=None, footprint=None, mode="reflect"):
    """`scipy.ndimage.minimum_filter`, `maximum_filter` and `uniform_filter`, of masks `binary_erosion` and `binary_dilation`."""
    from scipy import ndimage

    if image.dtype == bool:
        cells = np.ones((size,) * image.ndim, bool) if footprint is None else footprint
        binary = {"min": ndimage.binary_erosion, "max": ndimage.binary_dilation}[reduction]
        return Ready(lambda: binary(image, cells))
    if reduction == "mean":
        return Ready(lambda: ndimage.uniform_filter(image, size, mode=mode))
    function = {"min": ndimage.minimum_filter, "max": ndimage.maximum_filter}[reduction]
    return Ready(lambda: function(image, size, footprint, mode=mode))


def cv2_filter(image, reduction, size=None, footprint=None, mode="reflect", dtype=None):
    """`cv2.erode`, `dilate` and `blur`; var and std from the means of the image and of its square."""
    import cv2

    options = {"borderType": {"reflect": cv2.BORDER_REFLECT, "constant": cv2.BORDER_CONSTANT}[mode]}
    if reduction in ("min", "max"):
        pixels = image.view(np.uint8) if image.dtype == bool else image
        cells = np.ones((size, size), np.uint8) if footprint is None else footprint.astype(np.uint8)
        function = cv2.erode if reduction == "min" else cv2.dilate
        if mode == "constant":
            options["borderValue"] = 0
        return Ready(lambda: function(pixels, cells, **options), lambda result: result.view(image.dtype))
    blur = partial(cv2.blur, ksize=(size, size), **options)
    if reduction == "mean":
        return Ready(lambda: blur(image))

    def variance():
        mean = blur(image)
        return blur(image * image) - mean * mean

    return Ready(variance if reduction == "var" else lambda: np.sqrt(variance()))


def calls_one_by_one(image, reductions, size, out):
    """A call of `neighborhood_reduce` for each of a list of reductions."""
    from fastconv import neighborhood_reduce

    def calls():
        return [neighborhood_reduce(image, one, size, out=to) for one, to in zip(reductions, out, strict=True)]

    return Ready(calls, lambda results: results[0])


def cv2_median_blur(image, reduction, size, mode):
    """`cv2.medianBlur`, whose border is that of `mode="nearest"`."""
    import cv2

    return Ready(lambda: cv2.medianBlur(image, size))


def scipy_rank_filters(image, reduction, size=None, footprint=None):
    """`median_filter`, `percentile_filter` and `rank_filter` of `scipy.ndimage`, of the first rows only."""
    from scipy import ndimage

    rows = 128
    above = image[: rows + (size or len(footprint)) // 2]
    name, *value = reduction if isinstance(reduction, tuple) else (reduction,)
    function = {"median": ndimage.median_filter, "percentile": ndimage.percentile_filter, "rank": ndimage.rank_filter}[name]
    return Ready(
        lambda: function(above, *value, size=size, footprint=footprint),
        lambda result: result[:rows],
        part=(slice(rows),),
        share=len(above) / len(image),
    )


def skimage_rank(image, reduction, footprint, mode):
    """`modal` and `entropy` of `skimage.filters.rank`, to which outside pixels do not count; of the first rows only."""
    from skimage.filters import rank

    rows = 128
    above = image[: rows + len(footprint) // 2]
    function = {"mode": rank.modal, "entropy": rank.entropy}[reduction]
    return Ready(
        lambda: function(above, footprint),
        lambda result: result[:rows],
        part=(slice(rows),),
        share=len(above) / len(image),
    )


PEERS = {
    "fastconv-calls": {"neighborhood_reduce": calls_one_by_one},
    "fastconv-named": {"neighborhood_reduce": named_calls},
    "numba": {"neighborhood_reduce": partial(numba_loops, False)},
    "numba-fastmath": {"neighborhood_reduce": partial(numba_loops, True)},
    "scipy": {"neighborhood_reduce": scipy_filter},
    "scipy-generic": {"neighborhood_reduce": scipy_generic_filter},
    "scipy-vectorized": {"neighborhood_reduce": scipy_vectorized_filter},
    "scipy-rank": {"neighborhood_reduce": scipy_rank_filters},
    "skimage-rank": {"neighborhood_reduce": skimage_rank},
    "cv2-median": {"neighborhood_reduce": cv2_median_blur},
    "cv2": {"neighborhood_reduce": cv2_filter},
}
