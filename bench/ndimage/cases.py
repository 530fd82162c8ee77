"""What is timed of fastconv.ndimage: see ../case.py for the columns."""

from functools import partial
from importlib.util import find_spec

import numpy as np

from ..case import Case
from ..neighborhood.cases import variance
from .peers import SKIMAGE, photograph

IMAGES = ("float32", "uint8")


def arguments(dtype, *args, shape=(1024, 1024), **kwargs):
    return (photograph(dtype, shape), *args), kwargs


def weights(size):
    return np.random.default_rng(size).standard_normal((size, size))


def correlated(dtype, size):
    return arguments(dtype, weights(size))


def mask(*args, **kwargs):
    return (photograph("float32") > 110, *args), kwargs


def noise(shape, *args):
    return (np.random.default_rng(4).random(shape, np.float32), *args), {}


FUNCTIONS = {
    "max - min": lambda w: w.max() - w.min(),
    "mean": lambda w: w.mean(),
    "pixel - mean": lambda w: w[w.size // 2] - w.mean(),
    "std / mean": lambda w: w.std() / (w.mean() + 1),
    "np.ptp": np.ptp,
    "np.median": np.median,
}


def with_function(dtype, name, size):
    """The arguments of generic_filter; "numba cfunc" is compiled code."""
    return arguments(dtype, variance() if name == "numba cfunc" else FUNCTIONS[name], size)


def disk(radius):
    line = np.arange(-radius, radius + 1)
    return (line[:, None] ** 2 + line**2 <= radius**2).astype(np.uint8)


def skimage_arguments(op, dtype, *args):
    """An image from 0 to 1 or of bytes, or of labels for what finds boundaries."""
    image = photograph(dtype)
    if op.endswith("find_boundaries"):
        return ((image // 32).astype(np.int64),), {}
    return (image / np.float32(255) if dtype == "float32" else image, *args), {}


SKIMAGE_ARGUMENTS = {"gaussian": (2,), "median": (np.ones((5, 5), bool),), "threshold_local": (35,), "unsharp_mask": (2,),
                     "opening": (disk(5),), "closing": (disk(5),), "white_tophat": (disk(5),), "canny": (2,)}  # fmt: skip


def skimage_row(op, dtype):
    """A row beside the same function without the patch; what takes no sums has the same results."""
    name = op.rpartition(".")[2]
    sums = name in ("gaussian", "sobel", "threshold_local", "unsharp_mask", "corner_harris")
    return Case(
        group="ndimage",
        family="scikit-image under the patch",
        label=name,
        dtype=dtype,
        op=op,
        setup=partial(skimage_arguments, op, dtype, *SKIMAGE_ARGUMENTS.get(name, ())),
        peers=("skimage",),
        target=1.0,
        geomean=2.0,
        tolerance=1e-6 if sums else 0.0,
    )


def row(family, label, dtype, op, setup, target, peer="scipy", tolerance=1e-6):
    """A row beside one peer, whose results may differ by rounding, or by one where they are integers."""
    return Case(
        group="ndimage",
        family=family,
        label=label,
        dtype=dtype,
        op=f"ndimage.{op}",
        setup=setup,
        peers=(peer,),
        target=target,
        tolerance=1 / 200 if dtype == "uint8" and tolerance and peer.startswith("scipy") else tolerance,
    )


CASES = [
    *(
        row("boxes and Gaussians", f"{op} {size}", dtype, op, partial(arguments, dtype, size), 25.0, tolerance=rounding)
        for op, sizes, rounding in (
            ("uniform_filter", (3, 9, 31), 1e-6),
            ("minimum_filter", (3, 9, 31), 0.0),
            ("maximum_filter", (3, 9, 31), 0.0),
            ("gaussian_filter", (1, 3, 10), 1e-6),
        )
        for size in sizes
        for dtype in IMAGES
    ),
    *(
        row(
            "Gaussians, OpenCV",
            f"sigma {sigma}",
            dtype,
            "gaussian_filter",
            partial(arguments, dtype, sigma),
            target,
            "cv2",
            tolerance=1e-4 if dtype == "float32" else 1 / 40,
        )
        for sigma in (1, 3, 10)
        for dtype, target in (("float32", 1.3), ("uint8", 1.0))
    ),
    *(
        row("weights and derivatives", f"correlate {size}x{size}", dtype, "correlate", partial(correlated, dtype, size), 20.0)
        for size in (3, 9, 15)
        for dtype in IMAGES
    ),
    *(
        row("weights and derivatives", op, dtype, op, partial(arguments, dtype, *args), 20.0)
        for op, args in (("sobel", (0,)), ("prewitt", (0,)), ("laplace", ()), ("gaussian_gradient_magnitude", (1,)))
        for dtype in IMAGES
    ),
    row("derivatives, OpenCV", "sobel", "float32", "sobel", partial(arguments, "float32", 0), 1.0, "cv2"),
    row("derivatives, OpenCV", "laplace", "float32", "laplace", partial(arguments, "float32"), 1.0, "cv2"),
    *(
        row("ranks", f"{op} {size}", dtype, op, partial(arguments, dtype, *args, size=size), 100.0, tolerance=0.0)
        for op, args in (("median_filter", ()), ("percentile_filter", (20,)), ("rank_filter", (2,)))
        for size in (3, 5, 9)
        for dtype in IMAGES
    ),
    *(
        row("grey morphology", f"{op} {size}", dtype, op, partial(arguments, dtype, size), 50.0, tolerance=0.0)
        for op, size in (("grey_opening", 15), ("white_tophat", 15), ("morphological_gradient", 5))
        for dtype in IMAGES
    ),
    row(
        "binary morphology",
        "opening, cross, 5 iterations",
        "bool",
        "binary_opening",
        partial(mask, iterations=5),
        60.0,
        tolerance=0.0,
    ),
    row("binary morphology", "fill holes", "bool", "binary_fill_holes", mask, 15.0, tolerance=0.0),
    row(
        "volumes",
        "gaussian sigma 2, 256^3",
        "float64",
        "gaussian_filter",
        partial(arguments, "float64", 2, shape=(256, 256, 256)),
        10.0,
    ),
    row(
        "volumes",
        "uniform 5^3, 256^3",
        "uint16",
        "uniform_filter",
        partial(arguments, "uint16", 5, shape=(256, 256, 256)),
        10.0,
        tolerance=1 / 200,
    ),
    *(
        row("functions", f"{name} {size}x{size}", dtype, "generic_filter", partial(with_function, dtype, name, size), target,
            "scipy-generic")
        for names, target in ((("numba cfunc",) if find_spec("numba") else (), 1.0), (FUNCTIONS, 500.0))
        for name in names
        for size in (3, 5)
        for dtype in IMAGES
    ),
    Case(
        group="ndimage",
        family="memory",
        label="gaussian sigma 3, 8192x8192",
        dtype="float32",
        op="ndimage.gaussian_filter",
        setup=partial(noise, (8192, 8192), 3),
        against="memory",
    ),
    *(skimage_row(op, dtype) for op in SKIMAGE for dtype in IMAGES if find_spec("skimage")),
]
