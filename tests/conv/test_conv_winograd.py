"""conv2d by Winograd's method: its error bound, attacked, and what its guard, its blocks and its choice may not change."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import fastconv
import kernels
import reference
from fastconv import runtime
from support import FLOATS, ISAS, LAYOUTS, ROUNDOFF, Problem, assert_same_bits, assert_within

both = pytest.mark.parametrize("dtype", FLOATS)
# The guard is the same on every instruction set.
slow = [pytest.param(isa, marks=pytest.mark.slow) for isa in ISAS[1:]]
attack = pytest.mark.parametrize("isa", [ISAS[0], *slow], indirect=True)


def largest_taps(w):
    """Return W: filters whose taps are the largest of their pair of channels."""
    return np.broadcast_to(np.abs(w).max((0, 1)), w.shape)


def assert_bounded(x, w, dtype=np.float32, **options):
    """Assert |error| <= 32u(|x|*W) at every output, of each tile that is benign, however few they are."""
    x, w = x.astype(dtype), w.astype(dtype)
    finer = np.float64 if dtype == np.float32 else np.longdouble
    few = {"dtype": finer, "sums": reference.shifted_images}
    expected = reference.conv2d(x, w, **few, **options)
    bound = reference.conv2d_abs(x, largest_taps(w), **few, **options)
    with runtime.use_seams({"conv.REPAIR_PART": 1}):
        result = fastconv.conv2d(x, w, method="winograd", **options)
    assert_within(result, expected, 32 * ROUNDOFF[np.dtype(dtype)] * bound)


def differs(x, w, **options):
    """Return which outputs are not those of the direct way, and so were computed by Winograd's method."""
    return fastconv.conv2d(x, w, method="winograd", **options) != fastconv.conv2d(x, w, method="direct", **options)


PROBLEMS = (
    *(Problem(f"{n} pixels", (n + 2, 11 - n, 20), (3, 3, 20, 20)) for n in range(1, 9)),
    *(Problem(f"{c} channels", (7, 13, c), (3, 3, c, 9)) for c in (1, 2, 15, 16, 17, 31, 33, 48, 49, 145, 161)),
    *(Problem(f"{k} filters", (9, 6, 9), (3, 3, 9, k)) for k in (1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 129)),
    Problem("wide", (4, 270, 5), (3, 3, 5, 6), {"padding": "SAME"}),
    Problem("batch", (2, 3, 9, 10, 6), (3, 3, 6, 7), {"padding": "FULL"}),
    Problem("groups", (2, 9, 10, 36), (3, 3, 12, 51), {"groups": 3, "padding": ((0, 2), (3, 1))}),
    Problem("edge", (7, 9, 8), (3, 3, 8, 8), {"padding": 2, "padding_mode": "edge"}),
    Problem("mirror", (7, 9, 8), (3, 3, 8, 8), {"padding": 2, "padding_mode": "mirror"}),
    Problem("symmetric", (7, 9, 8), (3, 3, 8, 8), {"padding": 2, "padding_mode": "symmetric"}),
    Problem("wrap", (7, 9, 8), (3, 3, 8, 8), {"padding": 2, "padding_mode": "wrap"}),
    Problem("constant", (7, 9, 8), (3, 3, 8, 8), {"padding": 2, "cval": -3.0}),
    Problem("flipped", (7, 9, 8), (3, 3, 8, 8), {"flip_filters": True}),
)


@both
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_winograd_agrees_with_the_formula(isa, rng, problem, dtype):
    x, w = (1 + rng.random(shape) for shape in (problem.input, problem.filters))
    w *= rng.choice([-1, 1], w.shape)
    assert_bounded(x, w, dtype, **problem.options)
    with runtime.use_seams({"conv.REPAIR_PART": 1}):
        assert differs(x.astype(dtype), w.astype(dtype), **problem.options).any()


@both
def test_bias_activation_and_formats(isa, rng, dtype):
    x, w = rng.standard_normal((2, 11, 9, 20)).astype(dtype), rng.standard_normal((3, 3, 20, 37)).astype(dtype)
    bias = rng.standard_normal(37).astype(dtype)
    plain = fastconv.conv2d(x, w, padding="SAME", method="winograd")
    shifted = fastconv.conv2d(x, w, padding="SAME", method="winograd", bias=bias)
    assert_same_bits(shifted, plain + bias)
    relu = fastconv.conv2d(x, w, padding="SAME", method="winograd", bias=bias, activation="relu")
    assert_same_bits(relu, np.maximum(plain + bias, dtype(0)))
    first = np.ascontiguousarray(np.moveaxis(x, -1, -3))
    moved = fastconv.conv2d(first, w, padding="SAME", method="winograd", bias=bias, data_format="NCHW")
    assert_same_bits(np.moveaxis(moved, -3, -1).copy(), shifted)
    for layout, change in LAYOUTS.items():
        assert_same_bits(fastconv.conv2d(change(x), change(w), padding="SAME", method="winograd", bias=bias), shifted)
        if layout not in ("read-only", "byte-swapped"):
            out = change(np.zeros_like(shifted))
            fastconv.conv2d(x, w, padding="SAME", method="winograd", bias=bias, out=out)
            assert_same_bits(np.ascontiguousarray(out), shifted)


def test_halves_are_computed_as_floats(isa, rng):
    x, w = rng.standard_normal((9, 10, 20)).astype("f2"), rng.standard_normal((3, 3, 20, 20)).astype("f2")
    result = fastconv.conv2d(x, w, method="winograd")
    assert_same_bits(result, fastconv.conv2d(x.astype("f4"), w.astype("f4"), method="winograd").astype("f2"))


# --- The guard, attacked. Images of 4 x 4 tiles


def image(rng, c=16, size=18):
    return rng.standard_normal((size, size, c))


def bank(rng, c=16, k=20):
    return rng.standard_normal((3, 3, c, k))


def ramps(rng, dtype):
    """Return images whose sizes go over forty decades (of float64 over 400)."""
    decades = 1 if dtype == np.float32 else 10
    for axis in (0, 1, 2):
        x = image(rng)
        shape = [1, 1, 1]
        shape[axis] = x.shape[axis]
        yield x * 10.0 ** np.linspace(-20 * decades, 18 * decades, x.shape[axis]).reshape(shape)


@attack
@both
def test_one_huge_pixel(isa, rng, dtype):
    w = bank(rng)
    for huge in (30, 1e3, 1e8, 1e18):
        images = np.ones((6, 6, 14, 14, 16))
        for y, x in np.ndindex(6, 6):
            images[y, x, y + 4, x + 4, rng.integers(16)] = huge
        assert_bounded(images, w, dtype)


@attack
@both
def test_rows_and_columns_of_zeros(isa, rng, dtype):
    w = bank(rng)
    for first, last in itertools.combinations(range(4, 13, 2), 2):
        x = image(rng)
        x[first:last] = 0
        assert_bounded(x, w, dtype)
        assert_bounded(np.swapaxes(x, 0, 1), w, dtype)


@attack
@both
@pytest.mark.parametrize("density", [0.5, 0.2, 0.05, 0.01])
def test_sparse_activations(isa, rng, density, dtype):
    for c in (16, 70):
        x, w = image(rng, c), bank(rng, c)
        assert_bounded(x * (rng.random(x.shape) < density), w, dtype)
        assert_bounded(x * (rng.random(x.shape[:2]) < density)[..., None], w, dtype)
        assert_bounded(x, w * (rng.random(w.shape) < density), dtype)
        assert_bounded(x, w * (rng.random((c, 20)) < density), dtype)


@attack
@both
def test_numbers_of_all_sizes(isa, rng, dtype):
    tiny = float(np.finfo(dtype).smallest_subnormal)
    x, w = image(rng), bank(rng)
    for scale in (1e-30, 1e-12, 1e-6, 1e6, 1e12, 1e30):
        assert_bounded(x * scale, w / scale, dtype)
    # Where products underflow the direct way has no such bound either.
    assert not differs((np.rint(x) * tiny).astype(dtype), w.astype(dtype)).any()
    assert_bounded(np.where(rng.random(x.shape) < 0.5, np.rint(x) * tiny, x), w, dtype)
    for scaled in ramps(rng, dtype):
        assert_bounded(scaled, w, dtype)
        assert_bounded(np.where(rng.random(x.shape) < 0.5, scaled, -scaled), w, dtype)


@attack
@both
def test_channels_and_filters_of_unlike_sizes(isa, rng, dtype):
    for c, spread in itertools.product((16, 40), (3, 30, 1e3)):
        x, w, sizes = image(rng, c), bank(rng, c), spread ** rng.standard_normal(c)
        assert_bounded(x * sizes, w, dtype)
        assert_bounded(x, w * sizes[:, None], dtype)
        assert_bounded(x * sizes, w / sizes[:, None], dtype)
        assert_bounded(x, w * spread ** rng.standard_normal(20), dtype)
        x[..., 1:] /= spread  # one channel counts, and each addition of the others rounds
        w[:, :, 1:] /= spread
        assert_bounded(x, np.where(w < 0, -1, 1) * np.where(np.arange(c) == 0, 1, 1 / spread)[:, None], dtype)
        assert_bounded(x, w, dtype)


@attack
@both
def test_alternating_signs(isa, rng, dtype):
    y, x, c = np.ogrid[:18, :18, :64]
    for signs in ((-1) ** (y + x + c), (-1) ** (y + c), (-1) ** x, (-1) ** (c >= 32), (-1) ** ((y // 2 + x // 2) % 2)):
        noise = 1 + rng.random((18, 18, 64)) / 8
        for w in (np.ones((3, 3, 64, 5)), (-1.0) ** rng.integers(0, 2, (3, 3, 64, 5)), bank(rng, 64, 5)):
            assert_bounded(signs * noise, w, dtype)
            assert_bounded(signs * np.ones((18, 18, 64)), w, dtype)


def alike(rng, c):
    """Yield images whose channels round alike: the same, some of them less of it, and some with the other sign."""
    plane = rng.standard_normal((22, 22, 1))
    for one in (plane, np.maximum(plane, 0), rng.random((22, 22, 1)), np.sign(plane), np.full((22, 22, 1), rng.random())):
        yield np.repeat(one, c, -1)
        yield one * rng.choice([1, -0.7, 0.3], c)
        yield one * rng.uniform(0.5, 1, c)


@attack
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("c", [5, 16, pytest.param(48, marks=pytest.mark.slow), 128])
def test_the_same_in_every_channel(isa, rng, c, dtype):
    """Roundings that are the same in every channel are not independent."""
    for taps in ((-1.0) ** rng.integers(0, 2, (3, 3, 1, 24)), rng.standard_normal((3, 3, 1, 24)), np.ones((3, 3, 1, 1))):
        w = np.repeat(taps, c, 2)
        for x in alike(rng, c):
            assert_bounded(x, w, dtype)
        assert_bounded(x, taps * rng.uniform(0.5, 1, (c, 1)), dtype)


@attack
@pytest.mark.parametrize("c", [16, 64])
@pytest.mark.parametrize("equal", [False, True])
def test_tiles_searched_for_large_errors(isa, rng, c, equal):
    """Tiles that err most are changed a little, again and again, some of them in all channels together."""
    w = rng.choice([-1.0, 1.0], (3, 3, 1 if equal else c, 16)).repeat(c if equal else 1, 2).astype("f4")
    most = largest_taps(w).astype("f8")
    tiles = rng.standard_normal((64, 6, 6, 1 if equal else c))
    found = []
    for _ in range(12):
        x = np.broadcast_to(tiles, (*tiles.shape[:3], c)).astype("f4")
        with runtime.use_seams({"conv.REPAIR_PART": 1}):
            result = fastconv.conv2d(x, w, method="winograd")
        errors = np.abs(result - fastconv.conv2d(x.astype("f8"), w.astype("f8"), method="direct"))
        errors = (errors / fastconv.conv2d(np.abs(x).astype("f8"), most, method="direct")).max((1, 2, 3))
        best = np.argsort(-errors)[:8]
        found.append(errors[best[0]])
        assert_bounded(x[best], w)
        tiles = tiles[best].repeat(8, 0)
        change = rng.standard_normal(tiles.shape) * rng.choice([1e-7, 1e-2, 0.3], (64, 1, 1, 1))
        tiles[8:] += (change * (rng.random(tiles.shape) < 0.3))[8:]
    assert found[-1] > found[0]


@both
def test_few_tiles_of_ordinary_images_are_computed_directly(isa, rng, dtype):
    """At most one in a hundred, by the guard: none of these images is exact."""
    x = rng.standard_normal((2, 50, 50, 32))
    w = rng.standard_normal((3, 3, 32, 32)).astype(dtype)
    smooth = np.cumsum(np.cumsum(x, 1), 2)
    for image in (x, np.maximum(x, 0), np.maximum(x, 0.3) - 0.3, smooth, 1 + rng.random(x.shape), 5 + 0 * x + 1e-3 * x):
        with runtime.use_seams({"conv.REPAIR_PART": 1}):
            tiles = differs(image.astype(dtype), w).reshape(2, 12, 4, 12, 4, 32).any((2, 4, 5))
        assert (~tiles).mean() <= 0.01


@attack
@both
def test_pixels_just_below_what_the_guard_admits(isa, rng, dtype):
    """One pixel grows until its tiles are computed directly: until then, too, errors keep the bound."""
    for c in (1, 16):
        w = np.where(rng.random((3, 3, c, 40)) < 0.5, 1.0, -1.0)
        left = 0
        for huge in np.geomspace(1, 1000, 16):
            x = rng.choice([-1.0, 1.0], (18, 18, c)) * rng.uniform(0.9, 1.1, (18, 18, c))
            x[8 + rng.integers(2), 8 + rng.integers(2), 0] *= huge
            assert_bounded(x, w, dtype)
            left += differs(x.astype(dtype), w.astype(dtype))[4:8, 4:8].any()
        assert 0 < left < 16


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_at_every_position_of_a_tile(isa, rng, value, dtype):
    x, w = image(rng, 17).astype(dtype), bank(rng, 17, 3).astype(dtype)
    for i, j in itertools.product(range(4, 10), repeat=2):
        y = x.copy()
        y[i, j, rng.integers(17)] = value
        result, expected = (fastconv.conv2d(y, w, method=method) for method in ("winograd", "direct"))
        np.testing.assert_array_equal(np.isfinite(result), np.isfinite(expected))
        lost = ~np.isfinite(expected)
        assert lost.sum() == 27
        np.testing.assert_array_equal(result[lost], expected[lost])
    v = w.copy()
    v[1, 1, 2, 1] = value
    with_filter = [fastconv.conv2d(x, v, method=method) for method in ("winograd", "direct")]
    assert_same_bits(*with_filter)


def test_zeros_stay_zeros(isa, rng):
    w = bank(rng).astype("f4")
    w[..., 3] = 0
    x = image(rng).astype("f4")
    assert not fastconv.conv2d(x, w, method="winograd")[..., 3].any()
    assert not fastconv.conv2d(0 * x, w, method="winograd").any()
    assert not fastconv.conv2d(x, 0 * w, method="winograd").any()


def test_images_with_many_tiles_that_are_not_benign(isa, rng):
    """Tiles that are computed directly have the bits of the direct way, alone, side by side, and where the whole image is."""
    x, w = rng.standard_normal((3, 30, 34, 16)).astype("f4"), bank(rng).astype("f4")
    direct = fastconv.conv2d(x, w, method="direct")
    clean = fastconv.conv2d(x, w, method="winograd")
    for part, count in itertools.product((1, 4, 1 << 40), (0, 1, 3, 20, 56)):
        bad = rng.permutation(np.arange(56) < count).reshape(7, 8)
        y = x.copy()
        for row, col in np.argwhere(bad):
            y[1, 4 * row + 2 : 4 * row + 4, 4 * col + 2 : 4 * col + 4, 0] = np.nan
        with runtime.use_seams({"conv.REPAIR_PART": part}):
            result = fastconv.conv2d(y, w, method="winograd")
        touched = np.isnan(fastconv.conv2d(y, w, method="direct")[1])
        assert_same_bits(np.where(np.isnan(result[1]), 0, result[1]), np.where(touched, 0, result[1]))
        whole = part * count > 56
        for row, col in np.ndindex(7, 8):
            at = np.s_[1, 4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
            kept = direct if whole or touched[at[1:]].any() else clean
            np.testing.assert_array_equal(result[at], np.where(touched[at[1:]], np.nan, kept[at]))
        assert_same_bits(result[[0, 2]], clean[[0, 2]])
    x[:, 2::3, 2::3] *= 1e6
    assert_same_bits(fastconv.conv2d(x, w, method="winograd"), fastconv.conv2d(x, w, method="direct"))


# --- What must not change the bits


@both
def test_blocks_of_tiles_do_not_touch_the_bits(isa, rng, dtype):
    for problem in (
        Problem("", (2, 19, 41, 20), (3, 3, 20, 70), {"padding": "SAME"}),
        Problem("", (1, 11, 150, 8), (3, 3, 4, 10), {"groups": 2}),
    ):
        x, w = problem.normal(rng, dtype)
        x[0, 5, 7] = np.nan
        expected = fastconv.conv2d(x, w, method="winograd", workers=1, **problem.options)
        for bytes_, pixels, workers in ((1, 1, 2), (40_000, 30, 1), (40_000, 1 << 20, 3), (1 << 40, 30, 2)):
            with runtime.use_seams({"conv.WINOGRAD_BYTES": bytes_, "conv.WINOGRAD_PIXELS": pixels}):
                result = fastconv.conv2d(x, w, method="winograd", workers=workers, **problem.options)
            assert_same_bits(result, expected)


@both
@pytest.mark.parametrize("shape", [(26, 27, 32, 48), (18, 18, 64, 160), (60, 30, 16, 16), (9, 9, 64, 64)])
def test_auto_depends_on_one_image_and_the_filters_alone(isa, rng, shape, dtype):
    h, w, c, k = shape
    x, filters = rng.standard_normal((5, h, w, c)).astype(dtype), rng.standard_normal((3, 3, c, k)).astype(dtype)
    prepared = fastconv.prepare_filters(filters)
    expected = np.stack([fastconv.conv2d(one, filters, workers=1) for one in x])
    for workers in (1, 2, 3):
        assert_same_bits(fastconv.conv2d(x, filters, workers=workers), expected)
        assert_same_bits(fastconv.conv2d(x, prepared, workers=workers), expected)
        assert_same_bits(fastconv.conv2d(x[2], prepared, workers=workers), expected[2])


def test_what_auto_chooses(rng):
    """Each constant of the choice, at and beyond its limit."""
    x, w = rng.standard_normal((3, 18, 18, 64)).astype("f4"), rng.standard_normal((3, 3, 64, 64)).astype("f4")
    direct, winograd = (fastconv.conv2d(x, w, method=method) for method in ("direct", "winograd"))
    assert (direct != winograd).any()
    work, size = 16 * 16 * 9 * 64 * 64, 36 * 64 * 64 * 4
    for name, most in (("TILES", 16), ("CHANNELS", 64), ("WORK", work)):
        for value, expected in ((1, winograd), (most, winograd), (most + 1, direct)):
            with runtime.use_seams({f"conv.WINOGRAD_{name}": value}):
                assert_same_bits(fastconv.conv2d(x, w), expected)
                assert_same_bits(fastconv.conv2d(x, fastconv.prepare_filters(w)), expected)
    for value, expected in ((size, winograd), (size - 1, direct)):
        with runtime.use_seams({"conv.WINOGRAD_BANK": value}):
            assert_same_bits(fastconv.conv2d(x, w), expected)
            assert_same_bits(fastconv.conv2d(x, fastconv.prepare_filters(w)), expected)
    for options in ({"strides": 2}, {"dilations": 2}, {"groups": 1, "strides": (1, 2)}):
        assert_same_bits(fastconv.conv2d(x, w, **options), fastconv.conv2d(x, w, method="direct", **options))


# --- Bad input


@pytest.mark.parametrize(
    ("shape", "options"),
    [((5, 5, 4, 4), {}), ((3, 1, 4, 4), {}), ((3, 3, 4, 4), {"strides": 2}), ((3, 3, 4, 4), {"dilations": (1, 2)})],
)
def test_where_winograd_cannot_serve(shape, options):
    with pytest.raises(ValueError, match=r"method='winograd' takes 3x3 filters with strides=1 and dilations=1, got"):
        fastconv.conv2d(np.ones((9, 9, 4)), np.ones(shape), method="winograd", **options)
    with pytest.raises(ValueError, match=r"method='winograd' takes 3x3 filters"):
        fastconv.prepare_filters(np.ones(shape), method="winograd", **options)


def test_too_many_filters_for_winograd():
    with pytest.raises(ValueError, match="method='winograd' would need too much memory"):
        fastconv.conv2d(np.ones((9, 9, 1024)), np.broadcast_to(1.0, (3, 3, 1024, 1024)), method="winograd")


def test_nothing_to_compute():
    for x, w in (((9, 9, 0), (3, 3, 0, 4)), ((9, 9, 4), (3, 3, 4, 0)), ((0, 9, 9, 4), (3, 3, 4, 4)), ((2, 9, 4), (3, 3, 4, 4))):
        if x == (2, 9, 4):
            with pytest.raises(ValueError, match="cover 3 x 3 pixels"):
                fastconv.conv2d(np.ones(x), np.ones(w), method="winograd")
            continue
        result = fastconv.conv2d(np.ones(x), np.ones(w), method="winograd")
        np.testing.assert_array_equal(result, np.zeros((*x[:-3], 7, 7, w[-1])))


# --- The numbers of the header


def matrices(a, b):
    A = np.array([[1, 1, 1, 1, 1, 0], [0, a, -a, b, -b, 0], [0, a**2, a**2, b**2, b**2, 0], [0, a**3, -(a**3), b**3, -(b**3), 1]])
    na, nb = 2 * a**2 * (a**2 - b**2), 2 * b**2 * (b**2 - a**2)
    G = [[1 / (a * b) ** 2, 0, 0], *([1 / n, p / n, p * p / n] for n, p in ((na, a), (na, -a), (nb, b), (nb, -b))), [0, 0, 1]]
    d = np.eye(6)
    aa, bb = a * a, b * b
    t = [d[4] - bb * d[2], d[3] - bb * d[1], d[4] - aa * d[2], d[3] - aa * d[1], d[2] - bb * d[0], d[5] - bb * d[3]]
    B = [t[0] - a * a * t[4], t[0] + a * t[1], t[0] - a * t[1], t[2] + b * t[3], t[2] - b * t[3], t[5] - a * a * t[1]]
    # What is rounded on the way, and what its error does to the six results.
    effects = [d[0] + d[1] + d[2], a * (d[1] - d[2]) - aa * d[5], d[3] + d[4], b * (d[3] - d[4]), -aa * d[0], d[5]]
    input_steps = [*zip(t, effects, strict=True), *zip(B, d, strict=True)]
    g = np.eye(3)
    filter_steps = [(g[0] + a * a * g[2], (d[1] + d[2]) / na), (g[0] + b * b * g[2], (d[3] + d[4]) / nb),
                    (g[1], a / na * (d[1] - d[2])), (g[1], b / nb * (d[3] - d[4])), *zip(np.array(G)[:5], d[:5], strict=True)]
    return A, np.array(G), np.array(B), input_steps, filter_steps


def constants(name):
    """Return the numbers of an array of winograd.h."""
    text = (Path(fastconv.__file__).parent / "kernels/conv/winograd.h").read_text()
    return np.array([float(number) for number in re.search(rf"#define FC_WINOGRAD_{name} {{(.*)}}", text)[1].split(",")])


@kernels.needs_headers
def test_steps_of_the_transforms():
    """What roundings inside the transforms do to outputs, for any filter and input, is at most what the header says."""
    a, b = 45 / 64, 91 / 64
    A, G, B, input_steps, filter_steps = matrices(a, b)
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    outputs = A @ ((G @ g @ G.T) * (B @ d @ B.T)) @ A.T
    np.testing.assert_allclose(outputs, [[(d[i : i + 3, j : j + 3] * g).sum() for j in range(4)] for i in range(4)], rtol=1e-12)
    rows, steps, taps = (constants(name) for name in ("ROWS", "STEPS", "TAPS"))
    assert (np.abs(G).sum(1) ** 2 <= rows).all()
    of_results = np.array([step for step, _ in input_steps[:6]]) @ np.linalg.inv(B)  # steps as sums of results
    of_results[np.abs(of_results) < 1e-12] = 0
    for j, (first, last) in enumerate(((1, 0), (0.5, 0.3), (0.3, 0.6), (0, 1))):
        assert (A[j] ** 2 <= first * A[0] ** 2 + last * A[3] ** 2).all()
        does = np.array([np.abs((effect * A[j]) @ G).sum() for _, effect in input_steps[:6]])
        form = (of_results.T * does**2) @ of_results
        allowed = steps * (first * A[0] ** 2 + last * A[3] ** 2)
        assert not form[allowed == 0].any()
        some = np.ix_(allowed > 0, allowed > 0)
        assert np.linalg.eigvalsh(np.diag(allowed)[some] - form[some])[0] >= 0
    # A sum, a product and a constant of each of the two that rows share, and the row itself; errors at two points add up.
    for row in range(5):
        shared = [3 * np.abs(step).sum() ** 2 * effect[row] ** 2 if i < 2 else np.abs(step * effect[row]).sum() ** 2
                  for i, (step, effect) in enumerate(filter_steps[:4])]
        assert 2 * sum(shared) + (2 if row == 0 else 1) * np.abs(G[row]).sum() ** 2 <= taps[row]


def test_sums_of_equal_terms():
    """What the header says of them: 39u t in the mean square over the sizes of t, for 16 terms."""
    terms = np.random.default_rng(0).uniform(1, 2, 100_000).astype("f4")
    sums, errors = np.zeros_like(terms), np.zeros(terms.shape)
    for _ in range(16):
        exact = sums.astype("f8") + terms
        sums = sums + terms
        errors += sums - exact
    root = np.sqrt(np.mean((errors / terms) ** 2)) * 2**24
    assert 30 < root < 40
