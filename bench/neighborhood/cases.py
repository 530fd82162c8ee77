"""What is timed of neighborhood: see ../case.py for the columns."""

from functools import partial
from importlib.util import find_spec

import numpy as np

from ..case import CV2, REALS, SCIPY, Case
from . import functions


def variance():
    """A numba cfunc of the variance of a window, in two passes."""
    from numba import cfunc, types

    pointer = types.CPointer(types.float64)

    @cfunc(types.intc(pointer, types.intp, pointer, types.voidptr))
    def compiled(window, n, result, data):
        mean = 0.0
        for i in range(n):
            mean += window[i]
        mean /= n
        total = 0.0
        for i in range(n):
            total += (window[i] - mean) ** 2
        result[0] = total / n
        return 1

    return compiled


def function_arguments(size, make, **kwargs):
    return (np.random.default_rng(3).standard_normal((1024, 1024)), make(), size), kwargs


def function_case(family, size, make, peer, target, tolerance=0.0, **options):
    """A row of `neighborhood_reduce` with the function that `make` returns."""
    workers = options.get("workers", 1)
    return Case(
        group="neighborhood",
        family=family,
        label=f"{size}x{size}, workers={workers}",
        dtype="float64",
        op="neighborhood_reduce",
        setup=partial(function_arguments, size, make, **options),
        peers=(peer,),
        target=target,
        tolerance=tolerance,
    )


def numpy_std():
    return np.std


def std_of_rows(windows, axis):
    return np.std(windows, axis=axis)


def function_of_std():
    """A function of the user, which must be called."""
    return std_of_rows


def own_arguments(size, dtype, function, alone=False):
    image = np.random.default_rng(3).random((1024, 1024)).astype(dtype)
    return (image, functions.of_one_window(function) if alone else function, size), {}


def own_case(family, function, size, dtype, peer, target, geomean=None, alone=False):
    """A row of `neighborhood_reduce` with a function that it compiles."""
    return Case(
        group="neighborhood",
        family=family,
        label=f"{function.__name__} {size}x{size}",
        dtype=dtype,
        op="neighborhood_reduce",
        setup=partial(own_arguments, size, dtype, function, alone),
        peers=(peer,),
        target=target,
        geomean=geomean,
        tolerance=1e-3 if dtype == "float32" else 1e-9,
    )


def own_functions(family, peer, target, geomean=None, alone=False):
    return [
        own_case(family, function, size, dtype, peer, target, geomean, alone)
        for function in functions.FUNCTIONS
        for size in (3, 5, 9)
        for dtype in REALS
    ]


OWN = [
    *own_functions("own functions, vectorized_filter", "scipy-vectorized", 10.0, 40.0),
    *own_functions("own functions of one window, generic_filter", "scipy-generic", 800.0, alone=True),
    *(own_functions("own functions, numba", "numba", None, 1.2) if find_spec("numba") else []),
    *(own_functions("own functions, numba with fastmath", "numba-fastmath", None, 1.0) if find_spec("numba") else []),
    own_case("own functions, names and NumPy", functions.contrast, 31, "float64", "fastconv-named", 1.5),
    own_case("own functions, names and NumPy", functions.contrast, 31, "float32", "fastconv-named", 1.5),
]

FUNCTIONS = [
    *(
        function_case(f"np.std, {peer}_filter", size, numpy_std, f"scipy-{peer}", target, 1e-13)
        for peer, target in [("vectorized", 8.0), ("generic", 300.0)]
        for size in (3, 9)
    ),
    *(
        function_case("function of np.std, called", size, function_of_std, "scipy-vectorized", 8.0, 1e-13, engine="python")
        for size in (3, 9)
    ),
    *(
        function_case("numba cfunc of the variance", size, variance, "scipy-generic", target, workers=2)
        for size, target in [(3, 2.5), (9, 1.8)]
        if find_spec("numba")
    ),
]

# --- neighborhood: named reductions


def disk(radius):
    """The cells at most `radius` from the middle."""
    line = np.arange(-radius, radius + 1)
    return line[:, None] ** 2 + line**2 <= radius**2


def ellipse(size):
    """OpenCV's MORPH_ELLIPSE of an odd size: row y reaches round(sqrt(r^2 - y^2)) to both sides."""
    line = np.arange(size) - size // 2
    return np.abs(line) <= np.rint(np.sqrt((size // 2) ** 2 - line[:, None] ** 2))


def reduction_arguments(shape, dtype, name, **options):
    """Integers from 0 to 255, true where odd; a window made where it is used; a list gets arrays for its results, so
    that it is not the time of fresh pages that is compared."""
    image = np.random.default_rng(3).integers(0, 256, shape)
    image = image % 2 == 1 if dtype == "bool" else image.astype(dtype)
    if "window" in options:
        make, size = options.pop("window")
        options["footprint"] = make(size)
    if "result" in options:
        options["dtype"] = options.pop("result")
    if isinstance(name, list):
        options["out"] = [np.empty_like(image) for _ in name]
    return (image, name), options


def reduction_case(family, label, dtype, name, peers, target, *, shape=(1024, 1024), tolerance=0.0, **options):
    """A row of `neighborhood_reduce` with named reductions."""
    return Case(
        group="neighborhood",
        family=family,
        label=f"{name if isinstance(name, str) else len(name)} {label}",
        dtype=dtype,
        op="neighborhood_reduce",
        setup=partial(reduction_arguments, shape, dtype, name, **options),
        peers=peers,
        target=target,
        tolerance=tolerance,
    )


BOX_TARGETS = [(3, 1.0), (7, 2.0), (15, 3.0), (31, 4.0)]
MASK = {"mode": "constant"}
LIST = ["mean", "std", "min", "max", "range"]

REDUCTIONS = [
    *(
        reduction_case("extremes of boxes", f"{size}x{size}", dtype, name, CV2, target, size=size)
        for dtype in ("uint8", "uint16", "float32")
        for size, target in BOX_TARGETS
        for name in ("min", "max")
    ),
    *(
        reduction_case("extremes of boxes, SciPy", f"{size}x{size}", dtype, "min", SCIPY, 50.0, size=size)
        for dtype in ("float64", "int64")
        for size, _ in BOX_TARGETS
    ),
    reduction_case(
        "extremes of boxes, SciPy", "5x5x5 of 128x128x128", "float32", "min", SCIPY, 50.0, shape=(128,) * 3, size=5
    ),
    *(
        reduction_case("extremes of footprints", "ellipse 31", dtype, name, CV2, 10.0, window=(ellipse, 31))
        for dtype in ("uint8", "float32")
        for name in ("min", "max")
    ),
    reduction_case(
        "extremes of footprints", "disk 71 of 512x512", "float32", "min", SCIPY, 500.0,
        shape=(512, 512), window=(disk, 71),
    ),
    *(
        reduction_case(
            f"means {dtype}", f"{size}x{size}", dtype, "mean", CV2, target, size=size,
            **({"result": np.uint8} if dtype == "uint8" else {"tolerance": 1e-6}),
        )
        for dtype in ("float32", "uint8")
        for size, target in [(3, 1.0), (7, 2.0), (31, 3.0)]
    ),
    *(
        reduction_case("var and std", f"{size}x{size}", "float32", name, CV2, 1.0, size=size, tolerance=1e-4)
        for name in ("var", "std")
        for size in (3, 9, 31)
    ),
    *(
        reduction_case(
            "large boxes", f"{size} of {shape}".replace(", ", "x"), "float64", name, SCIPY, 1.0, shape=shape, size=size,
            tolerance=1e-9,
        )
        for shape, size in [
            ((2000, 2000), 101), ((2000, 2000), 301), ((2000, 2000), 801), ((2000, 2000), (301, 1)), ((150, 150, 150), 61),
            ((10_000_000,), 4_000_000),
        ]
        for name in ("mean", "max")
    ),
    *(
        reduction_case(f"masks, {peer}", label, "bool", name, (peer,), target, **window, **MASK)
        for peer, target in [("scipy", 200.0), ("cv2", 2.0)]
        for label, window in [("3x3", {"size": 3}), ("disk 9", {"window": (disk, 9)})]
        for name in ("min", "max")
    ),
    reduction_case(
        "a list", "mean std min max range, 7x7", "float32", LIST, ("fastconv-calls",), 1 / 0.7, size=7
    ),
]

# --- neighborhood: ranks


def rank_arguments(dtype, reduction, size=None, radius=None, **kwargs):
    """A random image; `radius` is that of a disk."""
    rng = np.random.default_rng(4)
    shape = (1024, 1024)
    image = rng.standard_normal(shape) if dtype.startswith("f") else rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True)
    if radius is None:
        return (image.astype(dtype), reduction, size), kwargs
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (image.astype(dtype), reduction), {"footprint": x * x + y * y <= radius * radius, **kwargs}


def rank_case(family, label, dtype, peer, target, reduction, tolerance=0.0, **options):
    """A row of `neighborhood_reduce` with a rank, mode or entropy."""
    return Case(
        group="neighborhood",
        family=family,
        label=label,
        dtype=dtype,
        op="neighborhood_reduce",
        setup=partial(rank_arguments, dtype, reduction, **options),
        peers=(peer,),
        target=target,
        tolerance=tolerance,
    )


RANKS = [
    *(
        rank_case("median, cv2.medianBlur", f"{size}x{size}", dtype, "cv2-median", target, "median", size=size, mode="nearest")
        for dtypes, sizes in [
            (("uint8", "uint16", "float32"), [(3, 1.3), (5, 3)]),
            (("uint8",), [(7, 40), (9, 20), (15, 8), (31, 2)]),
        ]
        for size, target in sizes
        for dtype in dtypes
    ),
    *(
        rank_case("median, scipy.ndimage", f"{size}x{size}", dtype, "scipy-rank", 200, "median", size=size)
        for size in (7, 9, 15)
        for dtype in REALS
    ),
    *(rank_case("percentile 90", "9x9", dtype, "scipy-rank", 200, ("percentile", 90), size=9) for dtype in REALS),
    *(
        rank_case("rank 60 of 81", "disk of radius 5", dtype, "scipy-rank", 200, ("rank", 60), radius=5)
        for dtype in ("uint8", "uint16", *REALS)
    ),
    *(
        rank_case("skimage.filters.rank", f"{name}, disk of radius 9", "uint8", "skimage-rank", 10, name, tolerance,
                  radius=9, mode="ignore")
        for name, tolerance in [("mode", 0.0), ("entropy", 1e-13)]
    ),
]

CASES = [*OWN, *FUNCTIONS, *REDUCTIONS, *RANKS]
