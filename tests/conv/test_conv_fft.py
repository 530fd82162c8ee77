"""conv2d by Fourier transforms: its error bound, attacked, and what its guard, its blocks and its choice may not change."""

import itertools
import pickle
import tracemalloc

import numpy as np
import pytest

import fastconv
import kernels
import reference
from fastconv import runtime
from support import FLOATS, ISAS, LAYOUTS, ROUNDOFF, Problem, assert_same_bits, assert_within, run_script

both = pytest.mark.parametrize("dtype", FLOATS)
# The guard is the same on every instruction set, and for both types.
slow = [pytest.param(isa, marks=pytest.mark.slow) for isa in ISAS[1:]]
best = pytest.mark.parametrize("isa", [ISAS[0], *slow], indirect=True)
attack = pytest.mark.parametrize(
    ("isa", "dtype"),
    [
        pytest.param(isa, dtype, marks=[pytest.mark.slow] * (dtype != np.float32 or isa != ISAS[0]))
        for isa in ISAS
        for dtype in FLOATS
    ],
    indirect=["isa"],
)
every = pytest.mark.parametrize(
    ("isa", "dtype"), [pytest.param(isa, dtype, marks=pytest.mark.slow) for isa in ISAS for dtype in FLOATS], indirect=["isa"]
)
# Blocks of 16 x 16 inputs and more: as small as they may be, and one or two sizes.
BLOCKS = (1, 16 * 32 * 4, 256 << 10)


def assert_bounded(x, w, dtype=np.float32, most=32, **options):
    """Assert |error| <= 32u(|x|*W) at every output, W the largest tap of each pair of channels."""
    x, w = x.astype(dtype), w.astype(dtype)
    finer = np.float64 if dtype == np.float32 else np.longdouble
    few = {"dtype": finer, "sums": reference.shifted_images}
    expected = reference.conv2d(x, w, **few, **options)
    bound = reference.conv2d_abs(x, np.broadcast_to(np.abs(w).max((0, 1)), w.shape), **few, **options)
    result = fastconv.conv2d(x, w, method="fft", **options)
    assert_within(result, expected, most * ROUNDOFF[np.dtype(dtype)] * bound)
    return result


def differs(x, w, **options):
    """Return which outputs are not those of the direct way, and so were computed by Fourier transforms."""
    return fastconv.conv2d(x, w, method="fft", **options) != fastconv.conv2d(x, w, method="direct", **options)


PROBLEMS = (
    *(Problem(f"{n} pixels", (n, 44 - n, 2), (4, 5, 2, 2)) for n in (4, 5, 15, 16, 17, 20, 33)),
    *(Problem(f"{n} taps", (41, 39, 1), (n, 12 - n, 1, 2)) for n in (1, 2, 5, 11)),
    *(Problem(f"{c} channels", (19, 22, c), (5, 5, c, 3)) for c in (3, 33, 65)),
    *(Problem(f"{k} filters", (19, 22, 3), (5, 5, 3, k)) for k in (4, 5, 9, 35)),
    Problem("larger than blocks", (40, 45, 1), (25, 31, 1, 2)),
    Problem("as large as the image", (30, 25, 2), (30, 25, 2, 3)),
    Problem("batch", (2, 3, 19, 20, 2), (7, 6, 2, 3), {"padding": "FULL"}),
    Problem("groups", (2, 19, 20, 6), (6, 5, 2, 9), {"groups": 3, "padding": ((0, 2), (3, 1))}),
    Problem("depthwise", (19, 20, 5), (6, 5, 1, 5), {"groups": 5, "padding": "SAME"}),
    Problem("strides", (40, 41, 2), (5, 6, 2, 3), {"strides": (2, 3), "padding": "SAME"}),
    Problem("large strides", (40, 41, 2), (5, 6, 2, 3), {"strides": (20, 9)}),
    Problem("dilations", (40, 41, 2), (5, 6, 2, 3), {"dilations": (2, 3), "strides": (1, 2)}),
    Problem("large dilations", (60, 71, 1), (5, 4, 1, 2), {"dilations": (9, 17)}),
    Problem("edge", (17, 19, 2), (8, 9, 2, 2), {"padding": 6, "padding_mode": "edge"}),
    Problem("mirror", (17, 19, 2), (8, 9, 2, 2), {"padding": 6, "padding_mode": "mirror"}),
    Problem("symmetric", (17, 19, 2), (8, 9, 2, 2), {"padding": 6, "padding_mode": "symmetric"}),
    Problem("wrap", (17, 19, 2), (8, 9, 2, 2), {"padding": 6, "padding_mode": "wrap"}),
    Problem("constant", (17, 19, 2), (8, 9, 2, 2), {"padding": 6, "cval": -3.0}),
    Problem("flipped", (17, 19, 2), (8, 9, 2, 2), {"flip_filters": True}),
)


@attack
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_fft_agrees_with_the_formula(isa, rng, problem, dtype):
    x, w = (1 + rng.random(shape) for shape in (problem.input, problem.filters))
    w *= rng.choice([-1, 1], w.shape)
    for bytes_ in BLOCKS:
        with runtime.use_seams({"conv.FOURIER_BLOCK": bytes_}):
            assert_bounded(x, w, dtype, **problem.options)
    assert differs(x.astype(dtype), w.astype(dtype), **problem.options).any()


@every
def test_bias_activation_and_formats(isa, rng, dtype):
    x, w = rng.standard_normal((2, 30, 29, 3)).astype(dtype), rng.standard_normal((7, 7, 3, 5)).astype(dtype)
    bias = rng.standard_normal(5).astype(dtype)
    x[1, 3:20] = 1e-6  # some outputs are computed in double, or directly
    plain = fastconv.conv2d(x, w, padding="SAME", method="fft")
    shifted = fastconv.conv2d(x, w, padding="SAME", method="fft", bias=bias)
    assert_within(shifted, plain.astype(np.longdouble) + bias, 2 * ROUNDOFF[np.dtype(dtype)] * (np.abs(plain) + np.abs(bias)))
    relu = fastconv.conv2d(x, w, padding="SAME", method="fft", bias=bias, activation="relu")
    assert_same_bits(relu, np.maximum(shifted, dtype(0)))
    first = np.ascontiguousarray(np.moveaxis(x, -1, -3))
    moved = fastconv.conv2d(first, w, padding="SAME", method="fft", bias=bias, data_format="NCHW")
    assert_same_bits(np.moveaxis(moved, -3, -1).copy(), shifted)
    for layout, change in LAYOUTS.items():
        assert_same_bits(fastconv.conv2d(change(x), change(w), padding="SAME", method="fft", bias=bias), shifted)
        if layout not in ("read-only", "byte-swapped"):
            out = change(np.zeros_like(shifted))
            fastconv.conv2d(x, w, padding="SAME", method="fft", bias=bias, out=out)
            assert_same_bits(np.ascontiguousarray(out), shifted)


@best
def test_halves_are_computed_as_floats(isa, rng):
    x, w = rng.standard_normal((29, 30, 2)).astype("f2"), rng.standard_normal((6, 6, 2, 2)).astype("f2")
    result = fastconv.conv2d(x, w, method="fft")
    assert_same_bits(result, fastconv.conv2d(x.astype("f4"), w.astype("f4"), method="fft").astype("f2"))


@pytest.mark.parametrize("method", ["fft", "auto"])
def test_nothing_to_sum(method):
    none = (
        ((0, 20, 20, 2), (9, 9, 2, 3)),
        ((20, 20, 0), (9, 9, 0, 3)),
        ((20, 20, 2), (9, 9, 2, 0)),
        ((20, 20, 2), (0, 9, 2, 3)),
    )
    for x, w in none:
        expected = fastconv.conv2d(np.ones(x), np.ones(w), method="direct")
        assert_same_bits(fastconv.conv2d(np.ones(x), np.ones(w), method=method), expected)
        fastconv.conv2d(np.ones(x), fastconv.prepare_filters(np.ones(w), method=method), method=method)


# --- The guard, attacked


def image(rng, c=2, size=60):
    return rng.standard_normal((size, size, c))


def banks(rng, c=2, f=9):
    """Return filters whose sums and spectra are as unlike as they can be."""
    hat = np.exp(-((np.arange(f) - f // 2) ** 2) / 6)
    y, x = np.ogrid[:f, :f]
    yield rng.standard_normal((f, f, c, 2))
    yield np.ones((f, f, c, 2))
    yield np.broadcast_to(np.outer(hat, hat)[:, :, None, None], (f, f, c, 2))
    yield np.broadcast_to(((-1.0) ** (y + x))[:, :, None, None], (f, f, c, 2))
    yield np.broadcast_to(((y == 3) & (x == 5))[:, :, None, None], (f, f, c, 2))


@every
def test_one_huge_pixel(isa, rng, dtype):
    for huge, w in itertools.product((30, 1e3, 1e8, 1e18), banks(rng)):
        images = np.stack([np.ones((44, 47, 2)), rng.standard_normal((44, 47, 2))])
        images[:, rng.integers(44), rng.integers(47), 0] = huge
        with runtime.use_seams({"conv.FOURIER_BLOCK": 32 * 32 * 8}):
            assert_bounded(images, w, dtype)


@every
def test_rows_and_columns_of_zeros_and_of_dim_pixels(isa, rng, dtype):
    rows, sizes = ((5, 14), (20, 50), (3, 59), (0, 31), (40, 60)), (0, 1e-3, 0.1, 1e-9, 0)
    for w, (first, last), dim in zip(banks(rng), rows, sizes, strict=True):
        x = image(rng)
        x[first:last] *= dim
        assert_bounded(x, w, dtype)
        assert_bounded(np.swapaxes(x, 0, 1), w, dtype)
        assert_bounded(np.abs(x), np.abs(w), dtype)


@every
@pytest.mark.parametrize("density", [0.2, 0.01])
def test_sparse_activations(isa, rng, density, dtype):
    for w in banks(rng, 9):
        x = image(rng, 9)
        assert_bounded(x * (rng.random(x.shape) < density), w, dtype)
        assert_bounded(np.abs(x) * (rng.random(x.shape[:2]) < density)[..., None], w, dtype)
        assert_bounded(x, w * (rng.random(w.shape) < density), dtype)


@every
def test_numbers_of_all_sizes(isa, rng, dtype):
    tiny, decades = float(np.finfo(dtype).smallest_subnormal), 1 if dtype == np.float32 else 10
    x, w = image(rng), rng.standard_normal((7, 8, 2, 3))
    for scale in (1e-30, 1e-12, 1e-6, 1e6, 1e12, 1e30):
        assert_bounded(x * scale, w / scale, dtype)
    assert_bounded(np.where(rng.random(x.shape) < 0.5, np.rint(x) * tiny, x), w, dtype)
    for axis in (0, 1, 2):
        shape = [1, 1, 1]
        shape[axis] = x.shape[axis]
        ramp = 10.0 ** np.linspace(-20 * decades, 18 * decades, x.shape[axis]).reshape(shape)
        assert_bounded(x * ramp, w, dtype)
        assert_bounded(np.abs(x) * ramp, np.abs(w), dtype)
    # Where sums overflow there is no bound, but no infinity either that the direct way has not.
    big = float(np.finfo(dtype).max) / 100
    for y, v in ((x, w * big / 10), (x * big / 10, w), (big * np.ones_like(x), np.ones_like(w))):
        result, direct = (fastconv.conv2d(y.astype(dtype), v.astype(dtype), method=method) for method in ("fft", "direct"))
        assert not (np.isfinite(direct) & ~np.isfinite(result)).any()
    assert_same_bits(result, direct)


@every
def test_channels_and_filters_of_unlike_sizes(isa, rng, dtype):
    for c, spread in itertools.product((3, 40), (3, 1e3)):
        x, w, sizes = image(rng, c, 30), rng.standard_normal((5, 6, c, 6)), spread ** rng.standard_normal(c)
        assert_bounded(x * sizes, w, dtype)
        assert_bounded(x, w * sizes[:, None], dtype)
        assert_bounded(x * sizes, w / sizes[:, None], dtype)
        assert_bounded(x, w * spread ** rng.standard_normal(6), dtype)


@every
def test_alternating_signs_grids_and_waves(isa, rng, dtype):
    y, x = np.ogrid[:60, :60]
    grids = [1 + 99 * ((y % n == 0) & (x % n == 1)) for n in (2, 4, 8, 16, 32)]
    waves = [1 + 0.99 * np.cos(2 * np.pi * y / n) + 0 * x for n in (16, 64)]
    for plane in ((-1) ** (y + x), (-1) ** x + 0 * y, (-1) ** ((y // 2 + x // 2) % 2), 1 + 4 * (x > 25) + 0 * y, *grids, *waves):
        for w in banks(rng, 1):
            assert_bounded(plane[:, :, None], w, dtype)
            assert_bounded(plane[:, :, None] * (1 + rng.random((60, 60, 1)) / 8), w, dtype)


@pytest.mark.slow
def test_the_same_in_every_channel(isa, rng):
    """Roundings that are the same in every channel are not independent."""
    for w in banks(rng, 1, 5):
        x, w = np.repeat(np.abs(image(rng, 1, 30)), 150, -1), np.repeat(w, 150, 2)
        assert_bounded(x, w)


@attack
def test_pixels_just_below_what_the_guard_admits(isa, rng, dtype):
    """Half an image grows until the other outputs are computed in double or directly: until then, too, errors keep the bound."""
    for w in (np.ones((9, 9, 1, 1)), rng.choice([-1.0, 1.0], (9, 9, 1, 1))):
        left = 0
        for bright in np.geomspace(1, 1e9 if dtype == np.float32 else 1e3, 16):
            x = rng.choice([1.0, 1.0 if w.min() > 0 else -1.0], (50, 50, 1)) * rng.uniform(0.9, 1.1, (50, 50, 1))
            x[:, 25:] *= bright
            assert_bounded(x, w, dtype)
            left += differs(x.astype(dtype), w.astype(dtype))[:, :16].any()
        assert 0 < left < 16


@attack
@pytest.mark.parametrize("value", [np.inf, *(pytest.param(value, marks=pytest.mark.slow) for value in (np.nan, -np.inf))])
def test_nan_and_infinity_at_every_position(isa, rng, value, dtype):
    x, w = rng.standard_normal((30, 31, 2)).astype(dtype), rng.standard_normal((4, 5, 2, 2)).astype(dtype)
    with runtime.use_seams({"conv.FOURIER_BLOCK": 1}):
        clean = fastconv.conv2d(x, w, method="fft")
        edges = itertools.product((0, 7, 8, 12, 29), (0, 8, 15, 16, 30))
        for i, j in {*zip(range(30), rng.permutation(30), strict=True), *edges}:
            y = x.copy()
            y[i, j, rng.integers(2)] = value
            result, expected = (fastconv.conv2d(y, w, method=method) for method in ("fft", "direct"))
            lost = ~np.isfinite(expected)
            np.testing.assert_array_equal(np.isfinite(result), ~lost)
            np.testing.assert_array_equal(result[lost], expected[lost])
            # Errors stay in a pair of blocks.
            assert (result == clean).any()
    v = w.copy()
    v[1, 1, 1, 1] = value
    assert_same_bits(*(fastconv.conv2d(x, v, method=method) for method in ("fft", "direct")))


@best
def test_zeros_stay_zeros(isa, rng):
    x, w = image(rng).astype("f4"), rng.standard_normal((7, 7, 2, 3)).astype("f4")
    w[..., 1] = 0
    assert not fastconv.conv2d(x, w, method="fft")[..., 1].any()
    assert not fastconv.conv2d(0 * x, w, method="fft").any()
    assert not fastconv.conv2d(x, 0 * w, method="fft").any()
    x[10:40] = 0
    assert not fastconv.conv2d(x, w, method="fft")[10:34].any()


@kernels.needs_headers
@both
def test_steps_of_transforms(isa, rng, dtype):
    """The mean square of errors of a step is below what the header says, for noise and for what transforms to a point."""
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    most = kernels.constant("FC_FOURIER_MOST")
    angles = np.arange(most) * (2 * np.arccos(np.longdouble(-1)) / most)
    roots = kernels.aligned(2 * most, dtype)
    roots[:] = np.stack([np.cos(angles), -np.sin(angles)], -1).astype(dtype).ravel()
    for n in 2 ** np.arange(4, 9):
        turns = np.arange(n) * (2 * np.arccos(np.longdouble(-1)) / n)
        exact = np.cos(turns) - 1j * np.sin(turns)
        matrix = exact[np.outer(np.arange(n), np.arange(n)) % n]
        re, im = (kernels.aligned(n * 3 * lanes, dtype).reshape(n, 3 * lanes) for _ in range(2))
        for points in (rng.standard_normal((2, n, 2 * lanes)), rng.uniform(1, 2, (2, 1, 2 * lanes)) * np.ones((n, 1))):
            re[:, : 2 * lanes], im[:, : 2 * lanes] = points
            z = (re + 1j * im.astype(np.longdouble))[:, : 2 * lanes]
            options = {"re": re, "im": im, "roots": roots, "step": 3 * lanes, "n": int(n), "columns": 2 * lanes}
            k.fourier(kernels.arguments("fc_fourier", **options))
            found, expected = (re + 1j * im.astype(np.longdouble))[:, : 2 * lanes], matrix @ z
            if points.std() > 0.5:  # any order of distinct numbers
                order = np.abs(found[:, :1] - expected[:, 0]).argmin(1)
                assert sorted(order) == list(range(n))
                error = np.mean(np.abs(found - expected[order]) ** 2) / np.mean(np.abs(expected) ** 2)
                assert error < 0.4 * np.log2(n) * ROUNDOFF[np.dtype(dtype)] ** 2
            k.fourier(kernels.arguments("fc_fourier", **options, back=1))
            again = (re + 1j * im.astype(np.longdouble))[:, : 2 * lanes] / n
            assert np.abs(again - z).max() < 8 * np.log2(n) * ROUNDOFF[np.dtype(dtype)] * np.abs(z).max()


# --- What must not change the bits


SAME = (
    Problem("planes", (3, 60, 70, 1), (11, 9, 1, 1), {"padding": "SAME"}),
    Problem("channels", (3, 40, 41, 34), (5, 6, 34, 9), {"padding": "SAME"}),
    Problem("groups", (2, 40, 41, 6), (8, 7, 3, 10), {"groups": 2, "strides": (1, 2)}),
    Problem("parts", (2, 90, 95, 2), (43, 51, 2, 3)),
)


@attack
@pytest.mark.parametrize("problem", SAME, ids=str)
def test_bits_do_not_depend_on_threads_batch_and_preparing(isa, rng, problem, dtype):
    x, w = problem.normal(rng, dtype)
    x[0, 5, 7] = np.nan
    x[-1, 20:] *= 1e5  # in double, or directly
    made = {name: value for name, value in problem.options.items() if name in ("groups", "strides")}
    with runtime.use_seams({"conv.FOURIER_BLOCK": 16 * 64 * 4}):
        expected = fastconv.conv2d(x, w, method="fft", workers=1, **problem.options)
        prepared = fastconv.prepare_filters(w, method="fft", **made)
        again = pickle.loads(pickle.dumps(prepared))
        for filters, workers in itertools.product((w, prepared, again), (1, 2, 3, 7)):
            assert_same_bits(fastconv.conv2d(x, filters, method="fft", workers=workers, **problem.options), expected)
        for one, image_ in zip(x, expected, strict=True):
            assert_same_bits(fastconv.conv2d(one, prepared, method="fft", **problem.options), image_)


@every
def test_seams_of_blocks(isa, rng, dtype):
    for problem in SAME:
        x, w = problem.normal(rng, dtype)
        x[-1, 20:] *= 30
        for values in ((1, 1, 1, 1), (30_000, 1 << 40, 3, 2), (1 << 40, 1, 100, 1 << 40)):
            names = ("BYTES", "BANK", "TILE", "CELLS")
            seams = {f"conv.FOURIER_{name}": value for name, value in zip(names, values, strict=True)}
            with runtime.use_seams({**seams, "conv.FOURIER_BLOCK": 32 * 32 * 8}):
                assert_bounded(x, w, dtype, **problem.options)


def test_when_auto_takes_fft(rng):
    """Each constant of the choice, at and beyond its limit."""
    x, w = rng.standard_normal((2, 90, 90, 2)).astype("f4"), rng.standard_normal((31, 31, 2, 2)).astype("f4")
    direct, fourier = (fastconv.conv2d(x, w, method=method) for method in ("direct", "fft"))
    assert (direct != fourier).any()
    for name, most in (("FOURIER_TAPS", 31 * 31), ("FOURIER_WORK", 60 * 60 * 31 * 31 * 4)):
        for value, expected in ((1, fourier), (most, fourier), (most + 1, direct)):
            with runtime.use_seams({f"conv.{name}": value}):
                assert_same_bits(fastconv.conv2d(x, w), expected)
                assert_same_bits(fastconv.conv2d(x[1], fastconv.prepare_filters(w)), expected[1])
    for name in ("STEP", "PRODUCT", "INPUT", "OUTPUT"):
        with runtime.use_seams({f"conv.{name}_COST": 10_000}):
            assert_same_bits(fastconv.conv2d(x, w), direct)


# --- Filters that are products


def products(rng, down, across, dtype):
    """Return a filter that is a column times a row, some of which are 0."""
    column, row = rng.standard_normal(down), rng.standard_normal(across)
    column[rng.integers(down)] = row[rng.integers(across)] = 0
    return np.outer(column, row)[:, :, None, None].astype(dtype)


def separated(x, w, **options):
    """Return what "auto" gives where it would rather sum along axes."""
    seams = {"conv._SEPARABLE_TAPS": 4, "conv._SEPARABLE_WORK": 1, "conv.AXIS_COST": 1, "conv.FOURIER_TAPS": 1 << 40}
    with runtime.use_seams(seams):
        return fastconv.conv2d(x, w, **options)


SEPARATED = (
    ((2, 40, 41, 1), (9, 8), {}),
    ((40, 41, 1), (7, 12), {"padding": "FULL"}),
    ((40, 41, 1), (9, 8), {"padding": "SAME", "padding_mode": "mirror"}),
    ((20, 21, 1), (9, 8), {"padding": 7, "padding_mode": "wrap", "strides": (2, 1)}),
    ((2, 40, 61, 1), (9, 8), {"padding": "SAME", "strides": (1, 2), "dilations": (2, 3), "padding_mode": "edge"}),
)


@attack
def test_filters_that_are_products(isa, rng, dtype):
    for shape, taps, options in SEPARATED:
        x, w = rng.standard_normal(shape).astype(dtype), products(rng, *taps, dtype)
        finer = np.float64 if dtype == np.float32 else np.longdouble
        few = {"dtype": finer, "sums": reference.shifted_images}
        expected = reference.conv2d(x, w, **few, **options)
        bound = reference.conv2d_abs(x, np.broadcast_to(np.abs(w).max(), w.shape), **few, **options)
        result = separated(x, w, **options)
        assert_within(result, expected, 32 * ROUNDOFF[np.dtype(dtype)] * bound)
        assert (result != fastconv.conv2d(x, w, method="direct", **options)).any()
        for bytes_, workers in ((1, 1), (5000, 3)):
            with runtime.use_seams({"conv.SEPARATED_BYTES": bytes_}):
                assert_same_bits(separated(x, w, workers=workers, **options), result)
        made = {name: value for name, value in options.items() if name in ("strides", "dilations")}
        assert_same_bits(separated(x, fastconv.prepare_filters(w, **made), **options), result)
        bias = np.array([0.7], dtype)
        assert_same_bits(separated(x, w, bias=bias, activation="relu", **options), np.maximum(result + bias, dtype(0)))
        for value in (np.nan, np.inf, -np.inf):
            y = x.copy()
            y[..., 8, 9, 0], y[..., 8, 12, 0] = value, np.inf
            found, direct = separated(y, w, **options), fastconv.conv2d(y, w, method="direct", **options)
            lost = ~np.isfinite(direct)
            assert lost.any()
            np.testing.assert_array_equal(found[lost], direct[lost])
            np.testing.assert_array_equal(found[~lost], result[~lost])


def test_numbers_near_the_largest(rng):
    """No sum along an axis overflows where those of the formula do not."""
    w = np.outer(np.full(9, 1.0), [0.01] * 4 + [1] + [0.01] * 4)[:, :, None, None].astype("f4")
    x = np.zeros((30, 30, 1), "f4")
    x[10:20, 10] = 3e38
    for taps in (w, w / 20):
        direct, found = fastconv.conv2d(x, taps, method="direct"), separated(x, taps)
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(direct))


def test_when_filters_are_separated(rng):
    x, w = rng.standard_normal((100, 100, 1)).astype("f4"), products(rng, 9, 9, "f4")
    direct, expected = fastconv.conv2d(x, w, method="direct"), separated(x, w)
    assert (direct != expected).any()
    base = {"conv._SEPARABLE_TAPS": 1, "conv._SEPARABLE_WORK": 1, "conv.AXIS_COST": 1}
    for name, most in (("_SEPARABLE_TAPS", 81), ("_SEPARABLE_WORK", 92 * 92 * 81), ("AXIS_COST", 29)):
        for value, result in ((most, expected), (most + 10, direct)):
            with runtime.use_seams({**base, f"conv.{name}": value}):
                assert_same_bits(fastconv.conv2d(x, w), result)
    # Not of these: another sign, a zero, a rounding too many, infinity.
    for factor in (-1, 0, 1 + 2e-6, np.inf, np.nan):
        v = w.copy()
        v.ravel()[np.abs(v).argmax() if factor > 1 else np.flatnonzero(v)[3]] *= factor
        assert_same_bits(separated(x, v), fastconv.conv2d(x, v, method="direct"))
    padded = {"padding": 5, "cval": 2.0}
    assert_same_bits(separated(x, w, **padded), fastconv.conv2d(x, w, method="direct", **padded))


def test_other_instruction_sets_and_images_after_preparing(rng):
    w = rng.standard_normal((9, 9, 2, 2)).astype("f4")
    prepared = fastconv.prepare_filters(w, method="fft")
    for name, size in itertools.product(fastconv.available_isas(), (20, 60, 200)):
        x = rng.standard_normal((size, size, 2)).astype("f4")
        with fastconv.use_isa(name):
            expected = fastconv.conv2d(x, w, method="fft")
            for _ in range(2):
                assert_same_bits(fastconv.conv2d(x, prepared, method="fft"), expected)


@pytest.mark.parametrize(
    ("image_", "filters", "dtype"),
    [
        ((600, 700, 1), (127, 127, 1, 1), "f8"),
        ((100, 90, 16), (31, 31, 16, 16), "f4"),
        pytest.param((300, 300, 16), (31, 31, 16, 16), "f8", marks=pytest.mark.slow),
        pytest.param((200, 200, 40), (63, 63, 40, 30), "f4", marks=pytest.mark.slow),
    ],
)
def test_memory(image_, filters, dtype):
    x, w = np.ones(image_, dtype), np.ones(filters, dtype)
    tracemalloc.start()
    try:
        y = fastconv.conv2d(x, w, method="fft", workers=2)
        peak = tracemalloc.get_traced_memory()[1] - y.nbytes
    finally:
        tracemalloc.stop()
    assert peak <= (16 + 2 * 4) << 20


@pytest.mark.slow
def test_interrupted_calls(tmp_path):
    script = """
        import os, signal, threading, time, fastconv
        x, w = np.ones((900, 900, 24), np.float32), np.ones((127, 127, 24, 24), np.float32)
        sent = []
        def interrupt():
            time.sleep(0.3)
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            fastconv.conv2d(x, w, method="fft")
            print("ended")
        except KeyboardInterrupt:
            print("interrupted", time.perf_counter() - sent[0] < 0.5)
    """
    assert run_script(script, cwd=tmp_path) == ["interrupted True"]
