"""How peers do it: scipy.ndimage has the same names and arguments, OpenCV some of the same filters, and scikit-image calls SciPy
where nothing is patched."""

from functools import partial
from importlib import import_module

import numpy as np

from ..neighborhood.peers import scipy_generic_filter
from ..peer import Ready

NAMES = (
    "uniform_filter", "minimum_filter", "maximum_filter", "gaussian_filter", "correlate", "sobel", "prewitt", "laplace",
    "gaussian_gradient_magnitude", "median_filter", "percentile_filter", "rank_filter", "grey_opening", "white_tophat",
    "morphological_gradient", "binary_opening", "binary_fill_holes",
)  # fmt: skip
SKIMAGE = (
    "skimage.filters.gaussian", "skimage.filters.median", "skimage.filters.sobel", "skimage.filters.threshold_local",
    "skimage.filters.unsharp_mask", "skimage.morphology.opening", "skimage.morphology.closing", "skimage.morphology.white_tophat",
    "skimage.feature.canny", "skimage.feature.corner_harris", "skimage.segmentation.find_boundaries",
)  # fmt: skip


def scipy(name, *args, **kwargs):
    """The function of the same name."""
    from scipy import ndimage

    return Ready(partial(getattr(ndimage, name), *args, **kwargs))


def skimage(op, *args):
    """The function of scikit-image that a case names, as it is."""
    module, _, name = op.rpartition(".")
    return Ready(partial(getattr(import_module(module), name), *args))


def cv2_gaussian(image, sigma):
    """`cv2.GaussianBlur` of the same radius."""
    import cv2

    size = 2 * int(4 * sigma + 0.5) + 1
    return Ready(lambda: cv2.GaussianBlur(image, (size, size), sigma, borderType=cv2.BORDER_REFLECT))


def cv2_sobel(image, axis):
    """`cv2.Sobel` along one axis."""
    import cv2

    return Ready(lambda: cv2.Sobel(image, cv2.CV_32F, int(axis == 1), int(axis == 0), ksize=3, borderType=cv2.BORDER_REFLECT))


def cv2_laplace(image):
    """`cv2.Laplacian`."""
    import cv2

    return Ready(lambda: cv2.Laplacian(image, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT))


PEERS = {
    "scipy": {f"ndimage.{name}": partial(scipy, name) for name in NAMES},
    "scipy-generic": {"ndimage.generic_filter": scipy_generic_filter},
    "skimage": {op: partial(skimage, op) for op in SKIMAGE},
    "cv2": {"ndimage.gaussian_filter": cv2_gaussian, "ndimage.sobel": cv2_sobel, "ndimage.laplace": cv2_laplace},
}


def photograph(dtype, shape=(1024, 1024)):
    """Smooth spots and noise, from 0 to 255."""
    rng = np.random.default_rng(8)
    grid = np.indices(shape).sum(0) / 37.0
    spots = 90 * np.sin(grid) * np.cos(np.indices(shape)[-1] / 23.0) + 120
    return np.clip(spots + 12 * rng.standard_normal(shape), 0, 255).astype(dtype)
