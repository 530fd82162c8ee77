"""conv2d across every edge: small constants and small arrays, so that second blocks, last short blocks and several tasks run."""

import functools
import itertools
import re
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from fastconv import runtime
from support import FLOATS, LAYOUTS, Problem, assert_same_bits, run_script

ALONE, WIDTHS = "test_each_constant_alone", "test_every_width_and_height_with_the_smallest_blocks"
CHOICE = "test_what_auto_chooses"
FFT_CHOICE = "test_when_auto_takes_fft"

# Which test crosses each constant at which conv2d changes its way.
CROSSED = {
    "conv.CHAIN": "test_chains_of_any_length_hold_each_term_once",
    "conv.FEW_CHAIN": "test_chains_of_any_length_hold_each_term_once",
    "conv.FEW_FILTERS": ALONE,
    "conv.BLOCK_PIXELS": WIDTHS,
    "conv.SPLIT_PIXELS": WIDTHS,
    "conv.CHUNK_BYTES": ALONE,
    "conv.SLAB_BYTES": ALONE,
    "conv.WINDOW_BYTES": WIDTHS,
    "conv.TERMS_BYTES": "test_windows_that_are_gathered",
    "conv.OPEN_BYTES": ALONE,
    "conv.RANGE_PIXELS": "test_windows_that_are_gathered",
    "conv.STREAM_PIXELS": ALONE,
    "conv.RIM_OUTPUTS": ALONE,
    "conv.RIM_COLUMNS": ALONE,
    "conv.CHANNEL_BLOCK": "test_every_number_of_channels_around_small_blocks",
    "conv.CHANNEL_BYTES": "test_every_number_of_channels_around_small_blocks",
    "conv.CHANNEL_PIXELS": WIDTHS,
    "conv/table.h:FC_CHANNEL_PIXELS": WIDTHS,
    "conv/table.h:FC_CHANNEL_ROWS": WIDTHS,
    "conv.PIECE": ALONE,
    "conv.STREAM_PANELS": ALONE,
    "conv.PLANES_BYTES": WIDTHS,
    "conv.LEAST_BYTES": ALONE,
    "conv.PLANE_BYTES": WIDTHS,
    "conv.PLANE_COLUMNS": WIDTHS,
    "conv.ROW_COLUMNS": WIDTHS,
    "conv.ROW_BYTES": WIDTHS,
    "runtime.SPARE_BYTES": "test_workspaces_are_kept_between_calls",
    "conv.PREFETCH_WORK": ALONE,
    "conv.PACK_WORK": ALONE,
    "base/pack.h:STRIP": "test_strips_of_results_and_of_channels",
    "base/table.h:FC_CHAIN": "test_lengths_around_chains_and_groups",
    "base/table.h:FC_GROUP": "test_lengths_around_chains_and_groups",
    "conv.WINOGRAD_TILES": CHOICE,
    "conv.WINOGRAD_CHANNELS": CHOICE,
    "conv.WINOGRAD_WORK": CHOICE,
    "conv.WINOGRAD_BANK": CHOICE,
    "conv.WINOGRAD_BYTES": "test_blocks_of_tiles_do_not_touch_the_bits",
    "conv.WINOGRAD_PIXELS": "test_blocks_of_tiles_do_not_touch_the_bits",
    "conv.DOT": "test_integers_of_all_sizes",
    "conv.FOURIER_BLOCK": "test_fft_agrees_with_the_formula",
    "conv.FOURIER_BANK": "test_seams_of_blocks",
    "conv.FOURIER_BYTES": "test_seams_of_blocks",
    "conv.FOURIER_TILE": "test_seams_of_blocks",
    "conv.FOURIER_CELLS": "test_seams_of_blocks",
    "conv.FOURIER_TAPS": FFT_CHOICE,
    "conv.FOURIER_WORK": FFT_CHOICE,
    "conv.STEP_COST": FFT_CHOICE,
    "conv.PRODUCT_COST": FFT_CHOICE,
    "conv.INPUT_COST": FFT_CHOICE,
    "conv.OUTPUT_COST": FFT_CHOICE,
    "conv.AXIS_COST": "test_when_filters_are_separated",
    "conv._SEPARABLE_TAPS": "test_when_filters_are_separated",
    "conv._SEPARABLE_WORK": "test_when_filters_are_separated",
    "conv.SEPARATED_BYTES": "test_filters_that_are_products",
    "conv/fourier.pyx:CHAIN": "test_fft_agrees_with_the_formula",
    "conv/fourier_blocks.pxd:FILTERS": "test_fft_agrees_with_the_formula",
    "conv/fourier.pyx:SLICES": "test_fft_agrees_with_the_formula",
    "conv/fourier_blocks.pxd:MOST_PAIRS": "test_fft_agrees_with_the_formula",
    "conv.REPAIR_PART": "test_images_with_many_tiles_that_are_not_benign",
    "conv/table.h:FC_WINOGRAD_CHAIN": "test_winograd_agrees_with_the_formula",
    "conv/winograd.h:CHUNK": "test_winograd_agrees_with_the_formula",
}
# The constants of the direct ways; those of Winograd's method are crossed in test_conv_winograd.py, those of gradients in
# test_conv_gradients_seams.py.
NAMES = [name for name in runtime.seams() if re.match("conv.(?!WINOGRAD|REPAIR|PRODUCTS|REGROUP|FOLD)", name)]
# Nothing fits into LEAST_BYTES of 1: all would be tiles.
SMALL = dict.fromkeys(NAMES, 1) | {"conv.LEAST_BYTES": 1 << 40}
# What each constant is set to: the least, some that end within an array, and more than any array here has.
VALUES = (1, 40, 3000, 1 << 40)

PROBLEMS = (
    Problem("plane", (23, 70, 1), (5, 5, 1, 1), {"padding": "SAME"}),
    Problem("plane of two images", (2, 9, 37, 1), (3, 4, 1, 1), {"padding": "FULL", "padding_mode": "edge"}),
    Problem("tall plane", (70, 9, 1), (9, 2, 1, 1), {"padding": 3, "padding_mode": "wrap"}),
    Problem("dilated plane", (9, 70, 1), (3, 4, 1, 1), {"dilations": (1, 7), "padding": "SAME"}),
    Problem("sparse plane", (6, 45, 1), (2, 3, 1, 1), {"dilations": (1, 50), "padding": ((0, 0), (40, 50))}),
    Problem("dilated rows", (20, 40, 1), (3, 3, 1, 1), {"dilations": (5, 1)}),
    Problem("planes of groups", (8, 40, 4), (3, 3, 2, 4), {"groups": 2, "padding": "SAME"}),
    Problem("strided planes", (12, 71, 3), (3, 5, 3, 2), {"strides": (2, 3), "padding": "SAME"}),
    Problem("sparse strided planes", (12, 99, 2), (2, 2, 2, 1), {"strides": (5, 7), "dilations": (3, 2)}),
    Problem("many planes", (5, 37, 40), (3, 3, 40, 2), {"padding": "SAME_LOWER", "cval": 2.0}),
    Problem("dense", (6, 37, 17), (3, 3, 17, 70), {"padding": "SAME"}),
    Problem("dense in place", (5, 21, 24), (2, 3, 24, 64)),
    Problem("dense strided", (11, 27, 9), (3, 2, 9, 33), {"strides": (2, 3), "dilations": (3, 4), "padding": 7}),
    Problem("pointwise", (2, 5, 23, 40), (1, 1, 40, 70)),
    Problem("split", (6, 41, 16), (3, 3, 16, 5), {"padding": "SAME", "padding_mode": "symmetric"}),
    Problem("split in place", (4, 19, 12), (2, 3, 12, 3)),
    Problem("streaming", (5, 7, 200), (2, 2, 200, 150), {"padding": "SAME"}),
    Problem("streaming groups", (3, 9, 96), (3, 3, 48, 44), {"groups": 2, "padding": ((1, 0), (2, 3))}),
    Problem("one pixel", (7, 7, 30), (7, 7, 30, 40)),
    Problem("depthwise", (9, 33, 40), (3, 3, 1, 40), {"groups": 40, "padding": "SAME", "strides": (1, 2)}),
    Problem("depthwise in place", (7, 20, 37), (3, 5, 1, 37), {"groups": 37}),
    Problem("multiplier", (5, 21, 20), (3, 3, 1, 60), {"groups": 20, "padding": "SAME", "padding_mode": "mirror"}),
    Problem("no channels", (5, 21, 0), (3, 3, 0, 20), {"padding": "SAME"}),
)


@functools.lru_cache(1000)
def integers(input, filters, options):
    """Return input, filters, bias and results of small integers."""
    rng = np.random.default_rng(sum(input) + sum(filters))
    x, w = Problem("", input, filters).integers(rng)
    bias = rng.integers(-9, 10, w.shape[-1]).astype(float)
    expected = reference.conv2d(x, w, sums=reference.shifted_images, **dict(options))
    return x, w, bias, expected


def assert_right(problem, dtype=np.float32, layout=None, first=False, biased=False, **options):
    """Assert that integers give their exact result, computed directly."""
    options["method"] = "direct"
    x, w, bias, expected = integers(problem.input, problem.filters, tuple(problem.options.items()))
    x = x.astype(dtype)
    if first:
        x = np.ascontiguousarray(np.moveaxis(x, -1, -3))
        options["data_format"] = "NCHW"
    if layout is not None:
        x = LAYOUTS[layout](x)
    if biased:
        options |= {"bias": bias, "activation": "relu"}
        expected = np.maximum(expected + bias, 0)
    out = np.float32 if dtype == np.float16 else dtype
    result = fastconv.conv2d(x, w.astype(out), **problem.options, **options)
    np.testing.assert_array_equal(np.moveaxis(result, -3, -1) if first else result, expected.astype(out))


@pytest.mark.parametrize("name", NAMES)
def test_each_constant_alone(isa, name):
    for value, problem in itertools.product(VALUES, PROBLEMS):
        with runtime.use_seams({name: value}):
            assert_right(problem, FLOATS[value % 2], first=value % 3 == 0, workers=1)


@given(
    problem=st.sampled_from(PROBLEMS),
    seams=st.dictionaries(st.sampled_from(NAMES), st.one_of(st.sampled_from(VALUES), st.integers(1, 100_000))),
    dtype=st.sampled_from((np.float16, *FLOATS)),
    layout=st.sampled_from((None, None, *LAYOUTS)),
    first=st.booleans(),
    biased=st.booleans(),
    workers=st.sampled_from((1, 2, 5)),
)
def test_any_constants_together(isa, seams, problem, **options):
    with runtime.use_seams(seams):
        assert_right(problem, **options)


# Constants that choose the way or the chains of the sum; all others cut the work and must not touch the bits.
OF_SUMS = {"conv.CHAIN", "conv.FEW_CHAIN", "conv.FEW_FILTERS", "conv.LEAST_BYTES", "conv.CHANNEL_BLOCK"}


@pytest.mark.parametrize("value", [1, 40, 3000, 20_000])
def test_blocks_do_not_touch_the_bits(isa, rng, value):
    for problem in PROBLEMS:
        x, w = problem.normal(rng, FLOATS[value % 2])
        expected = fastconv.conv2d(x, w, workers=1, **problem.options)
        few = rng.choice(NAMES, 5)
        for seams in (NAMES, few, ["conv.TERMS_BYTES"]):
            with runtime.use_seams({name: value for name in seams if name not in OF_SUMS}):
                assert_same_bits(fastconv.conv2d(x, w, workers=1, **problem.options), expected)


SIZED = {
    "plane": lambda n: Problem(f"plane {n}", (7, n, 1), (3, 4, 1, 1), {"padding": "SAME"}),
    "plane without padding": lambda n: Problem(f"bare plane {n}", (6, n + 4, 1), (2, 5, 1, 1)),
    "rows of a plane": lambda n: Problem(f"rows {n}", (n, 19, 1), (2, 3, 1, 1), {"padding": "FULL"}),
    "planes": lambda n: Problem(f"planes {n}", (3, n, 2), (3, 3, 2, 2), {"padding": "SAME"}),
    "dense": lambda n: Problem(f"dense {n}", (3, n, 6), (2, 2, 6, 20), {"padding": "SAME"}),
    "rows": lambda n: Problem(f"dense rows {n}", (n, 5, 6), (2, 2, 6, 20)),
    "split": lambda n: Problem(f"split {n}", (3, n, 16), (1, 2, 16, 4), {"padding": "SAME"}),
    "depthwise": lambda n: Problem(f"depthwise {n}", (3, n, 17), (3, 2 + n % 2, 1, 17), {"groups": 17, "padding": "SAME"}),
    "channels": lambda n: Problem(f"channels {n}", (4, 5, n), (2, 3, 1, n), {"groups": n}),
    "multiplied": lambda n: Problem(f"multiplied {n}", (4, 5, n), (2, 3, 1, 3 * n), {"groups": n, "padding": 1}),
}


@pytest.mark.parametrize("name", list(SIZED)[:-2])
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_width_and_height_with_the_smallest_blocks(isa, name, dtype):
    for n in range(2, 54 if dtype == np.float32 else 28):
        with runtime.use_seams(SMALL):
            assert_right(SIZED[name](n), dtype, first=n % 2 == 0, biased=n % 3 == 0, workers=1)


@pytest.mark.parametrize("name", list(SIZED)[-2:])
def test_every_number_of_channels_around_small_blocks(isa, name):
    for n in range(2, 53):
        with runtime.use_seams({"conv.CHANNEL_BLOCK": 16, "conv.CHANNEL_BYTES": 600}):
            assert_right(SIZED[name](n), first=n % 2 == 0, workers=1)


@pytest.mark.parametrize("seams", [{}, {"conv.WINDOW_BYTES": 4000}, {"conv.SLAB_BYTES": 1000}], ids=str)
def test_windows_that_are_gathered(isa, seams):
    for problem, terms, pixels in itertools.product(PROBLEMS, (1, 20_000), (1, 50, 1 << 20)):
        with runtime.use_seams({"conv.TERMS_BYTES": terms, "conv.RANGE_PIXELS": pixels} | seams):
            assert_right(problem, first=pixels % 2 == 0, workers=1 if pixels > 1 else 3)


@pytest.mark.parametrize("dtype", FLOATS)
def test_strips_of_results_and_of_channels(isa, dtype):
    for n, channels in itertools.product((63, 64, 65, 127, 128, 129, 255, 256, 257, 513), (1, 2, 3, 4, 5, 8, 9)):
        problem = Problem(f"strip {n} {channels}", (2, n, channels), (1, 3, channels, 2), {"padding": "SAME"})
        assert_right(problem, dtype, biased=True)
    for n in (255, 256, 257, 513):
        problem = Problem(f"many filters {n}", (1, 3, 4), (1, 2, 4, n))
        assert_right(problem, dtype, biased=True)
        problem = Problem(f"many channels {n}", (3, 4, n), (2, 2, 1, n), {"groups": n})
        assert_right(problem, dtype, biased=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_shape_of_a_tile(isa, dtype):
    """So that no shape that the tables of kernels offer is missing from their lists."""
    for pixels, filters in itertools.product(range(1, 14), (1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32, 40, 48, 56, 64)):
        for streams in (1, 1 << 40):
            with runtime.use_seams({"conv.STREAM_PIXELS": streams}):
                assert_right(Problem(f"tile {pixels} {filters}", (1, pixels, 40), (1, 1, 40, filters)), dtype)
    for pixels, filters in itertools.product((17, 70, 130, 260), range(1, 10)):
        assert_right(Problem(f"few filters {pixels} {filters}", (6, pixels, 3), (2, 2, 3, filters)), dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_lengths_around_chains_and_groups(isa, dtype):
    for taps in (15, 16, 17, 27, 28, 47, 48, 49, 63, 64, 65, 54, 55, 81, 82, 143, 144, 145, 191, 192, 193, 575, 576, 577):
        for shape, filters, groups in (((3, taps + 20, 1), 1, 1), ((2, taps + 3, 17), 17, 17), ((2, taps + 2, 1), 20, 1)):
            problem = Problem(f"taps {taps} {filters}", shape, (2, taps, 1, filters), {"groups": groups})
            assert_right(problem, dtype, biased=taps % 2 == 0)
    for taps in (15, 16, 17, 63, 64, 65, 191, 193):
        problem = Problem(f"rows of taps {taps}", (taps + 3, 20, 1), (taps, 3, 1, 1), {"padding": 1})
        assert_right(problem, dtype)


# --- With the constants as they are


@pytest.mark.parametrize(
    "image, taps, options",
    [
        ((1, 5, 1), (1, 2), {"dilations": (1, 3)}),
        ((1, 7, 1), (1, 3), {"dilations": (1, 8), "padding": "SAME"}),
        ((20, 600, 1), (1, 17), {"dilations": (1, 2), "padding": ((0, 0), (1, 1))}),
        ((20, 600, 1), (3, 17), {"dilations": (1, 30), "padding": "SAME"}),
        ((9, 40, 1), (2, 2), {"dilations": (1, 39)}),
    ],
    ids=str,
)
def test_columns_of_a_plane_far_apart(isa, image, taps, options):
    assert_right(Problem(f"{image} {taps}", image, (*taps, 1, 1), options))


@pytest.mark.parametrize("dtype", (np.float16, *FLOATS))
@pytest.mark.parametrize(
    "image, taps, options",
    [
        ((40, 4001, 1), (15, 15), {"padding": "SAME"}),
        ((35, 2001, 1), (31, 31), {"padding": "SAME"}),
        ((6, 11_001, 1), (3, 3), {"padding": "SAME"}),
        ((60, 3855, 1), (3, 3), {}),
    ],
    ids=str,
)
def test_last_columns_of_wide_planes(image, taps, options, dtype):
    problem = Problem(f"{image} {taps}", image, (*taps, 1, 1), options)
    for layout in (None, "reversed", "sliced"):
        assert_right(problem, dtype, layout=layout, workers=2)


@pytest.mark.parametrize("dtype", FLOATS)
def test_filters_of_planes_that_come_in_ranges(rng, dtype):
    x, w = rng.integers(-4, 5, (708, 739)), rng.integers(-4, 5, (700, 690))
    x = x.astype(dtype)
    expected = [[int(np.vdot(x[i : i + 700, j : j + 690].astype(int), w)) for j in (0, 16, 17, 33, 48, 49)] for i in (0, 3, 4, 8)]
    for image, options in (
        (x[..., None], {}),
        (x.T[..., None], {"swap": True}),
        (x[::-1].copy()[::-1, :, None], {"bias": np.zeros(1)}),
    ):
        filters = w[..., None, None].astype(dtype)
        if options.pop("swap", False):
            filters = filters.swapaxes(0, 1)
            result = fastconv.conv2d(image, filters, workers=2)[..., 0].T
        else:
            result = fastconv.conv2d(image, filters, workers=2, **options)[..., 0]
        np.testing.assert_array_equal(result[np.ix_((0, 3, 4, 8), (0, 16, 17, 33, 48, 49))], expected)


def test_planes_in_place_and_packed_have_the_same_bits(isa, rng):
    """Only where planes are read in place their way stays what memory forbids to others."""
    x, w = rng.standard_normal((50, 7, 40)), rng.standard_normal((3, 3, 50, 2))
    with runtime.use_seams({"conv.LEAST_BYTES": 8000}):
        tiles = fastconv.conv2d(np.moveaxis(x, 0, -1).copy(), w)
        assert_same_bits(np.moveaxis(fastconv.conv2d(x, w, data_format="NCHW"), 0, -1), tiles)
    assert_same_bits(fastconv.conv2d(np.moveaxis(x, 0, -1).copy(), w), tiles)


def test_arrays_without_terms_touch_no_other_memory(tmp_path):
    script = """
        import fastconv
        z = lambda *shape: np.zeros(shape, "f4")
        for _ in range(20):
            for result in (
                fastconv.conv2d(z(1, 224, 224, 0), z(15, 15, 0, 64), padding="SAME"),
                fastconv.conv2d(z(1, 3, 34, 2), z(0, 20, 2, 17), (5, 1), "SAME"),
                fastconv.conv2d(z(1, 9, 34, 0), z(3, 3, 0, 1), 3, dilations=2, padding=9, bias=z(1)),
                fastconv.conv2d(z(40, 34, 8), z(0, 3, 1, 8), groups=8),
            ):
                assert not result.any()
        print("right")
    """
    assert run_script(script, cwd=tmp_path, env={"PYTHONMALLOC": "debug"}) == ["right"]


def test_workspaces_are_kept_between_calls(rng):
    x, w = rng.random((300, 701, 1)), rng.random((7, 7, 1, 1))
    for _ in range(2):
        fastconv.conv2d(x, w, padding="SAME", workers=2)
    tracemalloc.start()
    try:
        fastconv.conv2d(x, w, padding="SAME", workers=2)
        peak = tracemalloc.get_traced_memory()[1]
        with runtime.use_seams({"runtime.SPARE_BYTES": 1}):
            fastconv.conv2d(np.ones((600, 601, 1)), w, padding="SAME", workers=2)
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes + 20_000


@pytest.mark.parametrize(
    "image, filters, dtype, options",
    [
        ((32, 32, 2048), (3, 3, 2048, 6), np.float64, {"dilations": 12, "padding": "SAME"}),
        ((30, 36, 446), (10, 7, 446, 6), np.float64, {"strides": (3, 5)}),
        ((14, 14, 1040), (9, 9, 1040, 64), np.float32, {"padding": "SAME"}),
    ],
    ids=str,
)
def test_large_windows_cost_little_more_than_images_in_place(image, filters, dtype, options):
    def seconds(x, w, **options):
        begin = time.perf_counter()
        fastconv.conv2d(x, w, workers=1, **options)
        return time.perf_counter() - begin

    first = np.ones((image[-1], *image[:2]), dtype)
    w = np.ones(filters, dtype)
    height, width = fastconv.conv2d(first, w, data_format="NCHW", workers=1, **options).shape[1:]
    flat = np.ones((height, width, filters[0] * filters[1] * filters[2]), dtype)
    packed = min(seconds(first, w, data_format="NCHW", **options) for _ in range(3))
    assert packed < 12 * min(seconds(flat, w.reshape(1, 1, -1, filters[-1])) for _ in range(3))
