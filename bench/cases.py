"""The table of cases: what is timed, against whom, and what it should reach.

A case names an operation of fastconv, a function that makes its arguments, and the peers that do the same.
`peers.py` says how a peer does it; `report.py` checks, times and prints. A new group is a new list of rows in
`CASES`, and for each new operation one function a peer in `peers.PEERS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np


@dataclass(frozen=True)
class Case:
    """One row.

    Parameters
    ----------
    group : word on the command line.
    family : rows that are summarised together.
    label, dtype : what the row shows; `dtype` also picks the FMA peak it is compared with.
    op : name of the function in `fastconv`, called as `op(*args, **kwargs)`.
    setup : makes `(args, kwargs)`; picklable, because memory is measured in another process.
    peers : names in `peers.PEERS` that can do it.
    target : what to reach: a speed ratio, a fraction of the peak, or unused for memory, whose limit is fixed.
    against : "best peer", the name of one peer, "peak", "read" (the rate of reading `traffic`),
        "write" (part of the write bandwidth) or "memory".
    geomean : what the geometric mean of the family should reach.
    flops : floating-point operations of one call.
    traffic : bytes that one call must read.
    isa : run on this instruction set only, whatever the others run on.
    tolerance : largest difference from a peer, as a part of the peer's largest value. 0 asks for equal bits.
    """

    group: str
    family: str
    label: str
    dtype: str
    op: str
    setup: Callable[[], tuple[tuple, dict]]
    peers: tuple[str, ...] = ()
    target: float | None = None
    against: str = "best peer"
    geomean: float | None = None
    flops: float | None = None
    traffic: float | None = None
    isa: str | None = None
    tolerance: float = 0.0


def small_integers(shape, dtype, seed=0, high=4):
    """Random integers in [-high, high]: sums of their products are exact in any order."""
    rng = np.random.default_rng(seed)
    return rng.integers(-high, high, size=shape, dtype=np.int8, endpoint=True).astype(dtype)


# --- conv


def conv_arguments(shape, dtype, layout="NHWC", **kwargs):
    """Images and filters for `shape` = (N, H, W, C, F, K)."""
    n, h, w, c, f, k = shape
    images = small_integers((n, h, w, c), dtype, seed=1)
    filters = small_integers((f, f, c // kwargs.get("groups", 1), k), dtype, seed=2)
    if layout == "NCHW":
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        kwargs["data_format"] = "NCHW"
    elif layout == "reversed":
        images = images[:, ::-1, ::-1, ::-1]
    return (images, filters), kwargs


def conv_case(family, shape, dtype, peers=(), target=None, *, note="", layout="NHWC", **options):
    """A row of `conv2d`; options that `Case` does not know are passed to the call."""
    fields = {
        name: options.pop(name) for name in ("against", "geomean", "isa", "tolerance") if name in options
    }
    n, h, w, c, f, k = shape
    stride = options.get("strides", 1)
    if options.get("padding") != "SAME":
        h, w = h - f + 1, w - f + 1
    outputs = n * -(-h // stride) * -(-w // stride) * k
    return Case(
        group="conv",
        family=family,
        label=",".join(map(str, shape)) + (f" {note}" if note else ""),
        dtype=dtype,
        op="conv2d",
        setup=partial(conv_arguments, shape, dtype, layout, **options),
        peers=peers,
        target=target,
        flops=2.0 * outputs * f * f * c / options.get("groups", 1),
        **fields,
    )


BIG = (1, 226, 226, 64, 3, 64)
BATCH = (8, 58, 58, 64, 3, 64)
PLANES_64 = (1, 112, 112, 64, 3, 64)

LAYERS = [  # N, H, W, C, F, K: ResNet and VGG
    (1, 56, 56, 64, 1, 64),
    (1, 58, 58, 64, 3, 64),
    (1, 56, 56, 64, 1, 256),
    (1, 30, 30, 128, 3, 128),
    (1, 16, 16, 256, 3, 256),
    (1, 9, 9, 512, 3, 512),
    (1, 7, 7, 512, 1, 2048),
    BIG,
    BATCH,
    (8, 30, 30, 128, 3, 128),
    (8, 16, 16, 256, 3, 256),
    (1, 224, 224, 3, 7, 64),
]

FEW_CHANNELS = [
    (1, 512, 512, 3, 5, 8),
    (1, 1080, 1920, 3, 3, 3),
    (32, 28, 28, 1, 5, 6),
    (1, 512, 512, 8, 3, 8),
]

# OpenCV takes a Fourier transform from 11 x 11 on, so the last size agrees to rounding only.
PLANES = [(3, 1.0, 0.0), (5, 1.0, 0.0), (9, 1.0, 0.0), (15, 3.0, 1e-6)]  # F, target, tolerance

DEPTHWISE = [("float32", 1.3), ("float64", 5.0)]  # dtype, target

MIRROR = {"padding": "SAME", "padding_mode": "mirror"}

TORCH, TORCH_NUMPY, CV2, NUMPY = ("torch",), ("torch", "numpy"), ("cv2",), ("numpy", "numpy-loops")

CONV = [
    *(conv_case("12 layers float32", s, "float32", TORCH, 1.0, geomean=1.25) for s in LAYERS),
    *(conv_case("12 layers float64", s, "float64", TORCH_NUMPY, 1.2, geomean=1.7) for s in LAYERS),
    conv_case("part of the FMA peak", BIG, "float32", TORCH, 0.90, against="peak"),
    conv_case("part of the FMA peak", BIG, "float64", TORCH, 0.90, against="peak"),
    conv_case("part of the FMA peak", BIG, "float32", TORCH, 0.85, against="peak", isa="x86-64-v3"),
    *(conv_case("few channels", s, "float32", TORCH, 2.0) for s in FEW_CHANNELS),
    *(
        conv_case("one plane", (1, 1024, 1024, 1, f, 1), "float32", CV2, target, tolerance=tol, **MIRROR)
        for f, target, tol in PLANES
    ),
    *(
        conv_case(
            f"depthwise {dtype}", PLANES_64, dtype, TORCH, target, note=f"stride {s}", groups=64, strides=s
        )
        for dtype, target in DEPTHWISE
        for s in (1, 2)
    ),
    conv_case("smallest call", (1, 4, 4, 1, 3, 1), "float32", TORCH, 1.0),
    conv_case("plain NumPy", BATCH, "float32", NUMPY, 3.0, against="numpy"),
    conv_case("plain NumPy", BATCH, "float64", NUMPY, 3.0, against="numpy"),
    # Filters larger than the limit and layouts that invite a copy of the input are where memory would show.
    conv_case("memory", BATCH, "float32", against="memory"),
    conv_case("memory", BIG, "float64", against="memory"),
    conv_case("memory", (1, 9, 9, 512, 3, 512), "float64", against="memory", note="big filters"),
    conv_case("memory", (1, 18, 18, 1024, 3, 1024), "float32", against="memory", note="big filters"),
    conv_case("memory", BIG, "float64", against="memory", note="mirror", **MIRROR),
    conv_case("memory", BIG, "float64", against="memory", note="NCHW", layout="NCHW"),
    conv_case("memory", BIG, "float64", against="memory", note="reversed", layout="reversed"),
]

# --- contraction


def triple_arguments(sizes, dtype, equality):
    """Operands of `triple_product` for `sizes` = (I, J, K, M); `equality` is "abc", "abb" or "aaa"."""
    arrays = {
        name: small_integers((n, sizes[3]), dtype, seed=seed)
        for seed, (name, n) in enumerate(zip("abc", sizes[:3], strict=True))
    }
    return tuple(arrays[name] for name in equality), {}


def triple_case(family, sizes, dtype, equality, peers=(), target=None, **fields):
    """A row of `triple_product`; the operations that symmetry saves are not counted."""
    i, j, k, m = sizes
    entries = {"abc": i * j * k, "abb": i * j * (j + 1) / 2, "aaa": i * (i + 1) * (i + 2) / 6}[equality]
    return Case(
        group="contraction",
        family=family,
        label=",".join(map(str, sizes)) + f" {equality}",
        dtype=dtype,
        op="triple_product",
        setup=partial(triple_arguments, sizes, dtype, equality),
        peers=peers,
        target=target,
        flops=2.0 * entries * m,
        **fields,
    )


def mode_arguments(shape, dtype, mode):
    return (small_integers(shape, dtype), small_integers(shape[mode], dtype, seed=1), mode), {}


def mode_case(family, shape, dtype, mode, target, against):
    """A row of `mode_dot` with a vector."""
    return Case(
        group="contraction",
        family=family,
        label=",".join(map(str, shape)) + f" mode {mode}",
        dtype=dtype,
        op="mode_dot",
        setup=partial(mode_arguments, shape, dtype, mode),
        peers=("numpy", "torch"),
        target=target,
        against=against,
        traffic=float(np.prod(shape)) * np.dtype(dtype).itemsize,
    )


def mttkrp_arguments(shape, rank, dtype, mode):
    factors = [small_integers((n, rank), dtype, seed=n + axis, high=1) for axis, n in enumerate(shape)]
    return (small_integers(shape, dtype, high=2), factors, mode), {}


def mttkrp_case(shape, rank, dtype, mode):
    """A row of `mttkrp`."""
    return Case(
        group="contraction",
        family="mttkrp",
        label=",".join(map(str, shape)) + f" rank {rank} mode {mode}",
        dtype=dtype,
        op="mttkrp",
        setup=partial(mttkrp_arguments, shape, rank, dtype, mode),
        peers=("numpy-khatri-rao", "numpy-einsum"),
        target=2.0,
        flops=2.0 * float(np.prod(shape)) * rank,
    )


CHUNKED = ("numpy-chunks-256", "numpy-chunks-2048")
REALS = ("float64", "float32")
SYMMETRIES = [("abc", 1.8), ("abb", 3.3), ("aaa", 8.5)]
TENSORS = [(256, 256, 256), (64, 1000, 1000)]

CONTRACTION = [
    *(
        triple_case("triple product", (100, 100, 100, 30_000), dtype, equality, ("numpy", *CHUNKED, "torch"), target)
        for equality, target in SYMMETRIES
        for dtype in REALS
    ),
    *(
        triple_case("triple product: peak", (100, 100, 100, 30_000), dtype, "abc", target=0.88, against="peak")
        for dtype in REALS
    ),
    *(
        triple_case("triple product: sizes", (n, n, n, m), dtype, "aaa", CHUNKED, target)
        for n, m, target in [(30, 30_000, 4.0), (50, 30_000, 5.0), (200, 5_000, 8.0), (257, 5_000, 8.0)]
        for dtype in REALS
    ),
    triple_case("triple product: few rows", (4, 4, 4, 10**7), "float64", "abc", ("numpy-einsum", *CHUNKED), 4.0),
    *(
        triple_case("triple product: memory", (100, 100, 100, 300_000), "float64", equality, against="memory")
        for equality, _ in SYMMETRIES
    ),
    *(
        triple_case("triple product: long", (100, 100, 100, 300_000), "float64", equality)
        for equality, _ in SYMMETRIES
    ),
    *(
        mode_case(family, shape, dtype, mode, target, against)
        for family, target, against, modes in [
            ("mode_dot: bandwidth", 0.85, "read", (0, 1, 2)),
            ("mode_dot", 1.0, "best peer", (0, 1, 2)),
            ("mode_dot: middle axis", 3.0, "numpy", (1,)),
        ]
        for shape in TENSORS
        for mode in modes
        for dtype in REALS
    ),
    *(mttkrp_case((200, 200, 200), 32, dtype, mode) for mode in range(3) for dtype in REALS),
]

# --- distance


def points(shapes, dtype, op="cdist", **kwargs):
    """Random points in [0, 1), one array for each shape; booleans are half True. `out` is the shape of a result."""
    rng = np.random.default_rng(5)
    arrays = tuple(rng.random(shape, np.float32 if dtype == "float32" else np.float64) for shape in shapes)
    if dtype == "bool":
        arrays = tuple(array < 0.5 for array in arrays)
    if "out" in kwargs:
        kwargs["out"] = np.empty(kwargs["out"])
    return (*arrays, *((kwargs.pop("k"),) if op == "knn" else ())), kwargs


def distance_case(family, metric, shapes, dtype, peers, target, *, op="cdist", note="", **options):
    """A row of `cdist` or its kin; options that `Case` does not know are passed to the call."""
    fields = {name: options.pop(name) for name in ("against", "tolerance") if name in options}
    fields.setdefault("tolerance", 2e-5 if dtype == "float32" else 1e-11)
    if metric != "euclidean":
        options["metric"] = metric
    label = f"{metric} " + " ".join("x".join(map(str, shape)) for shape in shapes)
    return Case(
        group="distance",
        family=family,
        label=label + (f" {note}" if note else ""),
        dtype=dtype,
        op=op,
        setup=partial(points, shapes, dtype, op, **options),
        peers=peers,
        target=target,
        **fields,
    )


LARGE_PAIRS, PAIRS = ((4000, 64), (4000, 64)), ((500, 128), (500, 128))
CHEAP = ("euclidean", "sqeuclidean", "cityblock", "chebyshev")
SCIPY, SKLEARN_TORCH, SKLEARN = ("scipy",), ("sklearn", "torch"), ("sklearn",)
KNN = {"op": "knn", "k": 10}
QUERIES = ((2000, 32), (100_000, 32))

DISTANCE = [
    *(distance_case("cheap float64", m, s, "float64", SCIPY, 12) for s in (LARGE_PAIRS, PAIRS) for m in CHEAP),
    *(distance_case("cheap float32", m, s, "float32", SCIPY, 20) for s in (LARGE_PAIRS, PAIRS) for m in CHEAP),
    *(
        distance_case("cheap float32, other peers", m, s, "float32", SKLEARN_TORCH, 2)
        for s in (LARGE_PAIRS, PAIRS)
        for m in CHEAP
    ),
    distance_case("scikit-learn", "euclidean", LARGE_PAIRS, "float64", SKLEARN, 2),
    *(
        distance_case("ratios", m, PAIRS, "float64", SCIPY, 10)
        for m in ("cosine", "correlation", "braycurtis", "canberra")
    ),
    distance_case("powers", "minkowski", PAIRS, "float64", SCIPY, 60, note="p = 3", p=3),
    distance_case("powers", "minkowski", PAIRS, "float64", SCIPY, 60, note="p = 2.5", p=2.5),
    distance_case("jensenshannon", "jensenshannon", PAIRS, "float64", SCIPY, 30),
    distance_case("mahalanobis", "mahalanobis", ((500, 64), (500, 64)), "float64", SCIPY, 30),
    *(
        distance_case("booleans", m, ((2000, 128), (2000, 128)), "bool", SCIPY, 100)
        for m in ("hamming", "jaccard", "dice", "yule", "rogerstanimoto")
    ),
    distance_case("pdist", "euclidean", ((4000, 64),), "float64", SCIPY, 10, op="pdist"),
    distance_case("small", "euclidean", ((3, 3), (3, 3)), "float64", SCIPY, 3),
    distance_case("batches", "euclidean", ((10_000, 8, 3), (10_000, 8, 3)), "float64", SCIPY, 50),
    distance_case("batches", "euclidean", ((10_000, 8, 3), (10_000, 8, 3)), "float64", ("torch",), 2),
    distance_case("knn", "euclidean", QUERIES, "float32", SKLEARN_TORCH, 2, **KNN),
    distance_case("memory of knn", "euclidean", QUERIES, "float32", (), None, against="memory", **KNN),
    *(
        distance_case(
            "write bandwidth", "euclidean", ((4000, d), (4000, d)), "float64", SCIPY, 0.6,
            against="write", out=(4000, 4000),
        )
        for d in (2, 3)
    ),
]

# --- neighborhood: functions of the user


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


FUNCTIONS = [
    *(
        function_case(f"np.std, {peer}_filter", size, numpy_std, f"scipy-{peer}", target, 1e-13)
        for peer, target in [("vectorized", 8.0), ("generic", 300.0)]
        for size in (3, 9)
    ),
    *(
        function_case("function of np.std, vectorized_filter", size, function_of_std, "scipy-vectorized", 8.0, 1e-13)
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

CASES = [*CONV, *CONTRACTION, *DISTANCE, *FUNCTIONS, *REDUCTIONS, *RANKS]
