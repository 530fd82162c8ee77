"""The peers: how each library does an operation of fastconv, given the same arguments.

A peer's function takes our arguments, converts them once, and returns a `Ready` whose `call` is timed.
Libraries are imported on first use; one that is not installed is left out.
"""

import importlib
import warnings
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Ready:
    """A peer with its arguments converted.

    Parameters
    ----------
    call : takes nothing, does the work.
    to_numpy : turns what `call` returns into an array laid out like ours.
    part : index of that array in our result, for a peer too slow to do all of it.
    share : part of the whole work that `call` does; its time is divided by it.
    """

    call: Callable[[], object]
    to_numpy: Callable[[object], np.ndarray] = np.asarray
    part: tuple = ()
    share: float = 1.0


def library(peer):
    """Import name of a peer: "numpy-loops" is numpy."""
    return peer.partition("-")[0]


def find(names):
    """Versions of the libraries that can be imported, and a line for each that cannot."""
    found, missing = {}, []
    for name in names:
        try:
            found[name] = importlib.import_module(name).__version__
        except ImportError as error:
            missing.append(f"{name} is left out: {error}")
    return found, missing


def ready(peer, op, args, kwargs):
    """Convert the arguments of `fastconv.<op>` for one peer."""
    return PEERS[peer][op](*args, **kwargs)


@contextmanager
def limited(found, threads):
    """Hold the libraries in `found` to `threads` threads, and torch to inference."""
    with ExitStack() as stack:
        if "torch" in found:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
            stack.enter_context(torch.inference_mode())
        if "cv2" in found:
            import cv2

            stack.callback(cv2.setNumThreads, cv2.getNumThreads())
            cv2.setNumThreads(threads)
        if "numpy" in found:
            try:
                from threadpoolctl import threadpool_limits
            except ImportError:
                warnings.warn(
                    "threadpoolctl is not installed: NumPy's BLAS keeps its own threads", stacklevel=1
                )
            else:
                stack.enter_context(threadpool_limits(threads, user_api="blas"))
        yield


# --- conv2d: images (N, H, W, C), filters (F, F, C/groups, K)


def torch_conv2d(images, filters, strides=1, groups=1):
    """`torch.nn.functional.conv2d` on channels_last tensors: the memory layout of our arrays."""
    import torch

    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    w = torch.from_numpy(filters).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    conv2d = torch.nn.functional.conv2d
    return Ready(
        lambda: conv2d(x, w, stride=strides, groups=groups),
        lambda result: result.permute(0, 2, 3, 1).numpy(),
    )


def cv2_conv2d(images, filters, padding, padding_mode):
    """`cv2.filter2D` on one plane, border included."""
    import cv2

    if (
        (padding, padding_mode) != ("SAME", "mirror")
        or images.shape[::3] != (1, 1)
        or filters.shape[2:] != (1, 1)
    ):
        raise ValueError("cv2.filter2D does one plane with mirrored borders")
    image, kernel = images[0, :, :, 0], filters[:, :, 0, 0]
    return Ready(
        lambda: cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101),
        lambda result: result[None, :, :, None],
    )


def numpy_conv2d(images, filters):
    """Windows as a strided view, contracted by `tensordot`."""

    def call():
        fh, fw = filters.shape[:2]
        n, h, w, c = images.shape
        sn, sh, sw, sc = images.strides
        windows = np.lib.stride_tricks.as_strided(
            images, (n, h - fh + 1, w - fw + 1, fh, fw, c), (sn, sh, sw, sh, sw, sc), writeable=False
        )
        return np.tensordot(windows, filters, axes=3)

    return Ready(call)


def numpy_loops_conv2d(images, filters):
    """The four loops, for the first output row of the first image only."""
    fh, fw, _, count = filters.shape
    rows, width = images.shape[1] - fh + 1, images.shape[2] - fw + 1

    def call():
        result = np.zeros((1, 1, width, count), images.dtype)
        for n in range(1):
            for i in range(1):
                for j in range(width):
                    for k in range(count):
                        window = images[n, i : i + fh, j : j + fw, :]
                        result[n, i, j, k] = np.multiply(window, filters[:, :, :, k]).sum()
        return result

    return Ready(call, part=(slice(1), slice(1)), share=1 / (len(images) * rows))


# --- contractions


def three(a, b=None, c=None):
    """The operands of `triple_product`, those left out included."""
    b = a if b is None else b
    return a, b, b if c is None else c


def torch_triple_product(*operands):
    """`torch.einsum`."""
    import torch

    a, b, c = map(torch.from_numpy, three(*operands))
    return Ready(lambda: torch.einsum("im,jm,km->ijk", a, b, c), lambda result: result.numpy())


def torch_mode_dot(tensor, vector, mode):
    """`torch.tensordot`."""
    import torch

    t, v = torch.from_numpy(tensor), torch.from_numpy(vector)
    return Ready(lambda: torch.tensordot(t, v, ([mode], [0])), lambda result: result.numpy())


def numpy_triple_product(*operands):
    """All products of `a` and `b` at once, then `tensordot`."""
    a, b, c = three(*operands)
    return Ready(lambda: np.tensordot(a[:, None] * b, c, axes=(2, 1)))


def numpy_chunks_triple_product(chunk, *operands):
    """The products of `a` and `b` for a chunk of samples at a time, then `matmul`."""
    a, b, c = three(*operands)

    def call():
        result = np.zeros((len(a) * len(b), len(c)), a.dtype)
        for start in range(0, a.shape[1], chunk):
            x, y, z = (operand[:, start : start + chunk] for operand in (a, b, c))
            result += (x[:, None] * y).reshape(len(result), -1) @ z.T
        return result.reshape(len(a), len(b), len(c))

    return Ready(call)


def numpy_einsum_triple_product(*operands):
    """`np.einsum` with `optimize=True`."""
    a, b, c = three(*operands)
    return Ready(lambda: np.einsum("im,jm,km->ijk", a, b, c, optimize=True))


def numpy_mode_dot(tensor, vector, mode):
    """`np.tensordot`."""
    return Ready(lambda: np.tensordot(tensor, vector, (mode, 0)))


def numpy_khatri_rao_mttkrp(tensor, factors, mode):
    """`unfolding_dot_khatri_rao` as tensorly does it: the whole Khatri-Rao product, then `dot`."""
    first, *rest = (factor for axis, factor in enumerate(factors) if axis != mode)

    def call():
        product = first
        for factor in rest:
            product = (product[:, None] * factor).reshape(-1, factor.shape[1])
        return np.dot(np.moveaxis(tensor, mode, 0).reshape(tensor.shape[mode], -1), product)

    return Ready(call)


def numpy_einsum_mttkrp(tensor, factors, mode):
    """`np.einsum` with `optimize=True`."""
    axes = "abcdefgh"[: tensor.ndim]
    others = [axis for axis in range(tensor.ndim) if axis != mode]
    formula = ",".join([axes, *(axes[axis] + "r" for axis in others)]) + f"->{axes[mode]}r"
    matrices = [factors[axis] for axis in others]
    return Ready(lambda: np.einsum(formula, tensor, *matrices, optimize=True))


# --- distances: points (..., m, d) and (..., n, d)


def scipy_cdist(xa, xb, metric="euclidean", out=None, **kwargs):
    """`scipy.spatial.distance.cdist`; batches in a loop."""
    from scipy.spatial.distance import cdist

    into = out if out is None else np.empty_like(out)

    def call():
        if xa.ndim > 2:
            return np.stack([cdist(a, b, metric, **kwargs) for a, b in zip(xa, xb, strict=True)])
        return cdist(xa, xb, metric, out=into, **kwargs)

    return Ready(call, lambda result: result.astype(np.float32 if xa.dtype == np.float32 else np.float64))


def scipy_pdist(x, metric="euclidean", **kwargs):
    """`scipy.spatial.distance.pdist`."""
    from scipy.spatial.distance import pdist

    return Ready(lambda: pdist(x, metric, **kwargs))


def sklearn_cdist(xa, xb, metric="euclidean"):
    """`euclidean_distances` or `pairwise_distances`."""
    from sklearn.metrics import pairwise

    if metric in ("euclidean", "sqeuclidean"):
        squared = metric == "sqeuclidean"
        call = lambda: pairwise.euclidean_distances(xa, xb, squared=squared)  # noqa: E731
    else:
        call = lambda: pairwise.pairwise_distances(xa, xb, metric)  # noqa: E731
    return Ready(call, lambda result: result.astype(xa.dtype))


def torch_cdist(xa, xb, metric="euclidean"):
    """`torch.cdist` without its product form, whose results are wrong for points far from the origin."""
    import torch

    a, b = torch.from_numpy(xa), torch.from_numpy(xb)
    p = {"euclidean": 2.0, "sqeuclidean": 2.0, "cityblock": 1.0, "chebyshev": float("inf")}[metric]

    def call():
        result = torch.cdist(a, b, p, compute_mode="donot_use_mm_for_euclid_dist")
        return result.square_() if metric == "sqeuclidean" else result

    return Ready(call, lambda result: result.numpy())


def sklearn_knn(queries, data, k, metric="euclidean"):
    """`NearestNeighbors` by brute force, fitted beforehand."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(algorithm="brute", metric=metric).fit(data)
    return Ready(lambda: model.kneighbors(queries, k), lambda result: result[0].astype(data.dtype))


def torch_knn(queries, data, k):
    """`torch.cdist` in its fastest form, and `topk`."""
    import torch

    q, x = torch.from_numpy(queries), torch.from_numpy(data)
    return Ready(lambda: torch.cdist(q, x).topk(k, largest=False), lambda result: result.values.numpy())


# --- neighbourhoods


def scipy_generic_filter(image, function, size, workers=None):
    """`scipy.ndimage.generic_filter`; with a Python function of the first rows only."""
    from scipy import LowLevelCallable, ndimage

    if hasattr(function, "ctypes"):
        compiled = LowLevelCallable(function.ctypes)
        return Ready(lambda: ndimage.generic_filter(image, compiled, size))
    rows = 32
    above = image[: rows + size // 2]
    return Ready(
        lambda: ndimage.generic_filter(above, function, size),
        lambda result: result[:rows],
        part=(slice(rows),),
        share=len(above) / len(image),
    )


def scipy_vectorized_filter(image, function, size):
    """`scipy.ndimage.vectorized_filter`."""
    from scipy import ndimage

    return Ready(lambda: ndimage.vectorized_filter(image, function, size=size))


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
    "torch": {
        "conv2d": torch_conv2d,
        "triple_product": torch_triple_product,
        "mode_dot": torch_mode_dot,
        "cdist": torch_cdist,
        "knn": torch_knn,
    },
    "scipy": {"cdist": scipy_cdist, "pdist": scipy_pdist, "neighborhood_reduce": scipy_filter},
    "scipy-generic": {"neighborhood_reduce": scipy_generic_filter},
    "scipy-vectorized": {"neighborhood_reduce": scipy_vectorized_filter},
    "scipy-rank": {"neighborhood_reduce": scipy_rank_filters},
    "skimage-rank": {"neighborhood_reduce": skimage_rank},
    "cv2-median": {"neighborhood_reduce": cv2_median_blur},
    "sklearn": {"cdist": sklearn_cdist, "knn": sklearn_knn},
    "cv2": {"conv2d": cv2_conv2d, "neighborhood_reduce": cv2_filter},
    "numpy": {"conv2d": numpy_conv2d, "triple_product": numpy_triple_product, "mode_dot": numpy_mode_dot},
    "numpy-chunks-256": {"triple_product": partial(numpy_chunks_triple_product, 256)},
    "numpy-chunks-2048": {"triple_product": partial(numpy_chunks_triple_product, 2048)},
    "numpy-einsum": {"triple_product": numpy_einsum_triple_product, "mttkrp": numpy_einsum_mttkrp},
    "numpy-khatri-rao": {"mttkrp": numpy_khatri_rao_mttkrp},
    "numpy-loops": {"conv2d": numpy_loops_conv2d},
}
