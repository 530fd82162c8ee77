"""What is timed of conv: see ../case.py for the columns."""

from functools import partial

import numpy as np

import fastconv

from ..case import CV2, Case, small_integers

# Winograd's method, which "auto" takes, rounds sums of integers.
ROUNDING = {"float32": 2e-5, "float64": 1e-13}


def conv_arguments(shape, dtype, layout="NHWC", prepared=False, **kwargs):
    """Images and filters for `shape` = (N, H, W, C, F, K)."""
    n, h, w, c, f, k = shape
    images = small_integers((n, h, w, c), dtype, seed=1)
    filters = small_integers((f, f, c // kwargs.get("groups", 1), k), dtype, seed=2)
    if layout == "NCHW":
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        kwargs["data_format"] = "NCHW"
    elif layout == "reversed":
        images = images[:, ::-1, ::-1, ::-1]
    if prepared:
        filters = fastconv.prepare_filters(filters)
    return (images, filters), kwargs


def integer_arguments(shape, kinds, **options):
    """Images and filters of integers of two kinds."""
    n, h, w, c, f, k = shape
    groups = options.get("groups", 1)
    made = [np.abs(small_integers(size, np.int8, seed=seed)) for seed, size in ((1, (n, h, w, c)), (2, (f, f, c // groups, k)))]
    return tuple(one.astype(kind) for one, kind in zip(made, kinds, strict=True)), options


def integer_case(shape, kinds, target, *, note="", **options):
    """A row of `conv2d` of integers, against our own of float32."""
    return Case(
        group="conv", family="integers", label=f"{','.join(map(str, shape))} {note}{kinds[1]}", dtype=kinds[0], op="conv2d",
        setup=partial(integer_arguments, shape, kinds, **options), peers=("fastconv-float32",), target=target,
    )  # fmt: skip


def complex_arguments(shape, dtype):
    """Images and filters whose parts are small integers."""
    n, h, w, c, f, k = shape
    made = (small_integers((2, *size), dtype, seed=seed) for seed, size in ((1, (n, h, w, c)), (2, (f, f, c, k))))
    return tuple(real + np.array(1j, dtype) * imaginary for real, imaginary in made), {}


def complex_case(shape, dtype, target):
    """A row of `conv2d` of complex numbers."""
    return Case(
        group="conv", family="complex", label=",".join(map(str, shape)), dtype=dtype, op="conv2d",
        setup=partial(complex_arguments, shape, dtype), peers=("numpy",), target=target,
        tolerance=ROUNDING["float32" if dtype == "complex64" else "float64"],
    )  # fmt: skip


def conv_case(family, shape, dtype, peers=(), target=None, *, note="", layout="NHWC", **options):
    """A row of `conv2d`; options that `Case` does not know are passed to the call."""
    fields = {
        name: options.pop(name) for name in ("against", "geomean", "isa", "tolerance") if name in options
    }
    n, h, w, c, f, k = shape
    if f == 3 and options.get("method") != "direct":
        fields.setdefault("tolerance", ROUNDING[dtype])
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


def gradient_arguments(which, shape, dtype):
    """What the gradient with respect to `which` takes for the layer of `shape` = (N, H, W, C, F, K)."""
    n, h, w, c, f, k = shape
    grad = small_integers((n, h - f + 1, w - f + 1, k), dtype, seed=3)
    if which == "input":
        return ((n, h, w, c), small_integers((f, f, c, k), dtype, seed=2), grad), {}
    return (small_integers((n, h, w, c), dtype, seed=1), (f, f, c, k), grad), {}


def gradient_case(which, shape, dtype, geomean):
    n, h, w, c, f, k = shape
    return Case(
        group="conv",
        family=f"{which} gradients {dtype}",
        label=",".join(map(str, shape)),
        dtype=dtype,
        op=f"conv2d_{which}_grad",
        setup=partial(gradient_arguments, which, shape, dtype),
        peers=TORCH,
        target=1.0,
        geomean=geomean,
        flops=2.0 * n * (h - f + 1) * (w - f + 1) * f * f * c * k,
        tolerance=ROUNDING[dtype] if which == "input" and f == 3 else 0.0,
    )


def transposed_arguments(dtype):
    return (small_integers((8, 28, 28, 128), dtype, seed=1), small_integers((4, 4, 64, 128), dtype, seed=2)), {"strides": 2}


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

# Those of them, and others, that Winograd's method is for.
WINOGRAD = [
    *((n, size, size, c, 3, c) for n in (1, 8) for size, c in ((58, 64), (30, 128), (16, 256), (9, 512))),
    BIG,
    (1, 114, 114, 128, 3, 128),
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

TORCH, TORCH_NUMPY, NUMPY = ("torch",), ("torch", "numpy"), ("numpy", "numpy-loops")

CASES = [
    *(conv_case("12 layers float32", s, "float32", TORCH, 1.0, geomean=1.25) for s in LAYERS),
    *(conv_case("12 layers float64", s, "float64", TORCH_NUMPY, 1.2, geomean=1.7) for s in LAYERS),
    *(conv_case("3x3 layers float32, prepared", s, "float32", TORCH, 1.2, geomean=2.0, prepared=True) for s in WINOGRAD),
    *(conv_case("3x3 layers float32", s, "float32", TORCH, 1.0, geomean=1.6) for s in WINOGRAD),
    *(conv_case("3x3 layers float64", s, "float64", TORCH_NUMPY, 1.0, geomean=4.0) for s in WINOGRAD),
    *(
        gradient_case(which, shape, dtype, geomean)
        for which in ("input", "filter")
        for dtype, geomean in (("float32", 1.1), ("float64", 2.0))
        for shape in LAYERS
    ),
    Case(
        group="conv",
        family="transposed",
        label="8,28,28,128 stride 2, 4,4,64",
        dtype="float32",
        op="conv2d_transpose",
        setup=partial(transposed_arguments, "float32"),
        peers=TORCH,
        target=1.1,
        flops=2.0 * 8 * 28 * 28 * 128 * 16 * 64,
    ),
    conv_case("part of the FMA peak", BIG, "float32", TORCH, 0.90, against="peak", method="direct"),
    conv_case("part of the FMA peak", BIG, "float64", TORCH, 0.90, against="peak", method="direct"),
    conv_case("part of the FMA peak", BIG, "float32", TORCH, 0.85, against="peak", isa="x86-64-v3", method="direct"),
    *(conv_case("few channels", s, "float32", TORCH, 2.0) for s in FEW_CHANNELS),
    *(
        conv_case("one plane", (1, 1024, 1024, 1, f, 1), "float32", CV2, target, tolerance=tol, **MIRROR)
        for f, target, tol in PLANES
    ),
    *(
        # torch sums directly: with 63 x 63 taps that takes it seconds.
        conv_case("one plane, large filters", (1, 1024, 1024, 1, f, 1), "float32", peers, 2.0, tolerance=2e-5, **MIRROR)
        for f, peers in ((31, ("cv2", "scipy", "torch-mirrored")), (63, ("cv2", "scipy")), (127, ("cv2", "scipy")))
    ),
    conv_case("many channels, large filters", (1, 256, 256, 16, 31, 16), "float32", ("torch", "scipy"), 2.0, tolerance=2e-5),
    *(
        conv_case(
            f"depthwise {dtype}", PLANES_64, dtype, TORCH, target, note=f"stride {s}", groups=64, strides=s
        )
        for dtype, target in DEPTHWISE
        for s in (1, 2)
    ),
    *(integer_case(BIG, kinds, 1.5) for kinds in (("uint8", "int8"), ("int16", "int16"))),
    integer_case((1, 224, 224, 3, 7, 64), ("uint8", "int8"), 1.0),
    integer_case(PLANES_64, ("uint8", "int8"), 0.5, groups=64, note="depthwise "),
    integer_case((1, 1024, 1024, 1, 5, 1), ("uint8", "int8"), 0.5),
    *(complex_case((1, 114, 114, 32, 3, 32), dtype, 3.0) for dtype in ("complex64", "complex128")),
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
