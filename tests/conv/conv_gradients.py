"""Problems, references and calls that the tests of gradients share."""

import functools

import numpy as np

import fastconv
import reference
from support import Problem

MODES = ("constant", "edge", "symmetric", "mirror", "wrap")
PROBLEMS = (
    Problem("dense", (2, 9, 8, 17), (3, 3, 17, 33)),
    Problem("full", (7, 9, 5), (3, 4, 5, 18), {"padding": "FULL"}),
    Problem("pointwise", (2, 4, 5, 64), (1, 1, 64, 40)),
    Problem("pointwise with gaps", (2, 7, 8, 4), (1, 1, 4, 20), {"strides": (2, 3)}),
    Problem("strided same", (2, 11, 12, 8), (3, 5, 8, 16), {"strides": (2, 3), "padding": "SAME"}),
    Problem("patches", (2, 12, 12, 3), (4, 4, 3, 16), {"strides": 4}),
    Problem("strides and dilations", (1, 17, 19, 4), (3, 3, 4, 7), {"strides": (4, 6), "dilations": (6, 4), "padding": 5}),
    Problem("dilated few channels", (2, 13, 14, 2), (3, 5, 2, 20), {"dilations": (2, 2), "padding": "SAME"}),
    Problem("dilated wrap", (1, 7, 9, 5), (3, 2, 5, 9), {"dilations": (2, 3), "padding": 3, "padding_mode": "wrap"}),
    Problem("grouped", (1, 6, 7, 8), (3, 3, 4, 34), {"groups": 2, "padding": "FULL"}),
    Problem("many groups", (2, 6, 5, 24), (2, 2, 4, 24), {"groups": 6, "padding": 1, "padding_mode": "mirror"}),
    Problem("depthwise", (2, 7, 11, 33), (3, 3, 1, 33), {"groups": 33, "padding": "SAME"}),
    Problem("wide depthwise", (6, 19, 32), (2, 14, 1, 32), {"groups": 32}),
    Problem("multiplier", (1, 7, 9, 5), (3, 3, 1, 15), {"groups": 5, "strides": 2}),
    Problem("plane", (1, 12, 40, 1), (5, 5, 1, 1), {"padding": "SAME_LOWER"}),
    Problem("few filters", (2, 9, 20, 30), (3, 3, 30, 2), {"padding": 2, "padding_mode": "edge"}),
    Problem("far border", (2, 3, 4, 3), (2, 2, 3, 5), {"padding": 8, "padding_mode": "symmetric"}),
    Problem("one output", (2, 4, 5, 6), (4, 5, 6, 7), {"strides": 3}),
    Problem("small images", (5, 4, 3, 8), (3, 2, 8, 16)),
)


SEAM_PROBLEMS = (
    *PROBLEMS,
    Problem("long", (3, 11, 70, 6), (2, 3, 6, 35), {"padding": "SAME"}),
    Problem("many channels", (2, 5, 5, 150), (1, 2, 150, 70)),
    Problem("broad depthwise", (4, 9, 80), (3, 3, 1, 80), {"groups": 80}),
    Problem("large border", (2, 20, 21, 9), (3, 3, 9, 8), {"padding": 6, "padding_mode": "wrap"}),
)


def gradient_of(problem, rng, dtype=np.float64, draw=None):
    """Return input, filters and the gradient of the output: small integers, or what `draw` gives."""
    draw = draw or (lambda shape: rng.integers(-4, 5, shape))
    options = {name: value for name, value in problem.options.items() if name in ("strides", "padding", "dilations")}
    plan = reference.geometry(
        problem.input[-3:-1], problem.filters[:2], options.get("strides", 1), options.get("padding", "VALID"),
        options.get("dilations", 1),
    )  # fmt: skip
    shapes = problem.input, problem.filters, (*problem.input[:-3], *plan.output, problem.filters[-1])
    return tuple(draw(shape).astype(dtype) for shape in shapes)


def as_given(array, first):
    return np.ascontiguousarray(np.moveaxis(array, -1, -3)) if first else array


def gradients(x, w, g, first=False, **options):
    """Return both gradients, channels last; images are given as `first` says."""
    options |= {"data_format": "NCHW"} if first else {}
    shape = as_given(x, first).shape
    cval, out, method = options.pop("cval", 0.0), options.pop("out", (None, None)), options.pop("method", "direct")
    of_input = fastconv.conv2d_input_grad(shape, w, as_given(g, first), method=method, out=out[0], **options)
    of_filters = fastconv.conv2d_filter_grad(as_given(x, first), w.shape, as_given(g, first), cval=cval, out=out[1], **options)
    return np.moveaxis(of_input, -3, -1) if first else of_input, of_filters


def expected_gradients(x, w, g, dtype=np.float64, cval=0.0, **options):
    of_input = reference.conv2d_input_grad(x.shape, w, g, dtype=dtype, **options)
    return of_input, reference.conv2d_filter_grad(x, w.shape, g, cval=cval, dtype=dtype, **options)


def assert_exact(x, w, g, first=False, **options):
    for actual, expected in zip(gradients(x, w, g, first, **options), expected_gradients(x, w, g, **options), strict=True):
        np.testing.assert_array_equal(actual, expected.astype(actual.dtype))


@functools.lru_cache(100)
def integers(name):
    """Return arrays of small integers, and the gradients: references are slow."""
    problem = next(problem for problem in SEAM_PROBLEMS if problem.name == name)
    arrays = gradient_of(problem, np.random.default_rng(sum(problem.input)))
    return arrays, expected_gradients(*arrays, **problem.options)


def assert_right(problem, dtype, **options):
    arrays, results = integers(problem.name)
    actual = gradients(*(a.astype(dtype) for a in arrays), **problem.options, **options)
    for one, expected in zip(actual, results, strict=True):
        np.testing.assert_array_equal(one, expected.astype(dtype))
