"""Ranks, modes, entropies and functions of neighbourhoods across every edge: small constants and small arrays."""

import functools
import itertools
import tracemalloc

import numpy as np
import pytest
from scipy import LowLevelCallable
from test_neighborhood_calls import weigh, weigh_compiled, weigh_one
from test_neighborhood_ranks import apply

import fastconv
import reference
from fastconv import runtime

reduce_ = fastconv.neighborhood_reduce
ALONE = "test_each_constant_alone"

# Which test crosses each constant at which the drivers and kernels of ranks, modes, entropies and functions change their way.
CROSSED = {
    "neighborhood.LIST_CELLS": ALONE,
    "neighborhood.REGISTER_CELLS": ALONE,
    "neighborhood.RANK_PIECE": ALONE,
    "neighborhood.RANK_PASSES": ALONE,
    "neighborhood.PIECE_RUNS": ALONE,
    "neighborhood.SORT_CELLS": ALONE,
    "neighborhood.SORT_WORDS": ALONE,
    "neighborhood.NARROW_COUNT": ALONE,
    "neighborhood.LOGARITHMS": ALONE,
    "neighborhood.BATCH_BYTES": ALONE,
    "neighborhood._BLOCK_BYTES": ALONE,
    "neighborhood._THREAD_BLOCK_BYTES": ALONE,
    "neighborhood._WINDOW_BYTES": ALONE,
    "neighborhood._BY_CELLS_BYTES": ALONE,
    "neighborhood._LONG_LINE": ALONE,
    "neighborhood._SMALL_WINDOW": "test_calls_that_are_remembered_and_forgotten",
    "neighborhood._MOST_KNOWN": "test_calls_that_are_remembered_and_forgotten",
    "neighborhood.TABLE_BYTES": "test_extremes_of_runs_in_bands",
    "neighborhood.BAND_BYTES": "test_extremes_of_runs_in_bands",
    "neighborhood/extremes.pyx:TERMS": "test_extremes_of_runs_in_bands",
    "neighborhood/calls.pyx:MOST_WINDOWS": "test_an_image_larger_than_a_block",
    "neighborhood/names.pyx:SAFE_HALVES": "test_products_of_float16_overflow_at_their_end_alone",
    "neighborhood/bits.pyx:RADIX": "test_booleans_as_bits",
    "neighborhood/plain.h:SAFE_FACTORS": "test_products_of_float16_overflow_at_their_end_alone",
    "neighborhood/table.h:FC_NARROW_COUNT": "test_histograms_of_many_cells",
    "neighborhood/table.h:FC_SELECT_CHUNK": "test_lines_around_the_chunks",
    "neighborhood/table.h:FC_CELL_LEVELS": "test_cells_shared_by_rows",
    "neighborhood/table.h:FC_GATHER": "test_windows_are_those_of_the_definition",
    "neighborhood/ranks.h:FC_SELECT_NARROW": "test_lines_around_the_chunks",
    "neighborhood/ranks.h:FC_TILE_LEVELS": "test_boxes_of_all_sizes",
    "neighborhood/rank_lists.h:FC_ABREAST": "test_lines_around_the_lanes",
    "neighborhood/table.h:FC_REGISTER_CELLS": "test_boxes_of_all_sizes",
    "neighborhood/histograms.h:BINS": "test_histograms_agree_with_sorted_windows",
    "neighborhood/rank_lists.h:FC_BEHIND": "test_boxes_of_all_sizes",
}
NAMES = [name for name in CROSSED if name in runtime.seams()]
SMALL = dict.fromkeys(NAMES, 1)
# What each constant is set to: the least, some that end within an array, and more than any array here has.
VALUES = (1, 3, 40, 1000, 5000, 1 << 40)

BOX, DISK = np.ones((3, 5), bool), np.hypot(*np.ogrid[-3:4, -3:4]) <= 3
REDUCTIONS = ("median", ("percentile", 30), ("rank", -2), "mode", "entropy")
FUNCTIONS = {"blocks": weigh, "windows": weigh_one, "compiled": LowLevelCallable(weigh_compiled)}
# name: (shape, dtype, window, options)
CASES = {
    "bytes": ((9, 70), "u1", BOX, {}),
    "words": ((7, 66), "u2", DISK, {"mode": "wrap"}),
    "signed": ((66, 7), "i2", BOX, {"mode": "constant", "cval": 3, "step": (2, 1)}),
    "long": ((5, 13), "i8", np.ones((9, 1), bool), {"mode": "nearest"}),
    "floats": ((8, 65), "f4", DISK, {"mode": "mirror", "step": (1, 3)}),
    "masked": ((8, 67), "f8", BOX, {"mask": True}),
    "masked bytes": ((8, 67), "u1", DISK, {"mask": True, "mode": "ignore"}),
    "masked words": ((8, 20), "u2", BOX, {"mask": True}),
    "halves": ((130,), "f2", np.ones(70, bool), {"mode": "valid"}),
    "cube": ((4, 5, 21), "i4", np.ones((2, 3, 3), bool), {"origin": (0, 1, -1)}),
}


@functools.cache
def case(name):
    """Return (input, arguments of a call, options of the reference, {name of a reduction or kind of function: expected})."""
    shape, dtype, footprint, options = CASES[name]
    rng = np.random.default_rng(len(name))
    x = rng.integers(0, 9, shape).astype(dtype)
    if "mask" in options:
        options = {**options, "mask": rng.random(shape) < 0.3}
    empty = np.nan
    expected = {
        reduction: reference.neighborhood(x, functools.partial(apply, reduction), footprint, empty=empty, **options)
        for reduction in REDUCTIONS
    }
    weighed = reference.neighborhood(x, weigh_one, footprint, empty=empty, **options)
    arguments = {"size": footprint.shape} if footprint.all() else {"footprint": footprint}
    return x, {**arguments, **options}, expected | dict.fromkeys(FUNCTIONS, weighed)


def check(name, reductions, workers=(1, 2, 5)):
    x, arguments, expected = case(name)
    for reduction, threads in itertools.product(reductions, workers):
        function = FUNCTIONS.get(reduction, reduction)
        result = reduce_(x, function, dtype=np.float64, workers=threads, **arguments)
        # Positions between two cells and entropies are rounded; the rest is small integers.
        limit = 1e-14 if reduction in ("entropy", ("percentile", 30)) else 0
        np.testing.assert_allclose(result, expected[reduction], rtol=limit, atol=limit, err_msg=f"{reduction} {threads}")


@pytest.mark.parametrize("seam", NAMES)
def test_each_constant_alone(seam):
    for value, name in itertools.product(VALUES, CASES):
        functions = seam.endswith(("BATCH_BYTES", "BLOCK_BYTES", "WINDOW_BYTES", "CELLS_BYTES"))
        if not functions or name in ("signed", "floats", "masked", "masked bytes", "cube"):
            with runtime.use_seams({seam: value}):
                check(name, FUNCTIONS if functions else REDUCTIONS, (1, 2))


@pytest.mark.parametrize("name", CASES)
def test_all_constants_at_their_least(isa, name):
    with runtime.use_seams(SMALL):
        check(name, [*REDUCTIONS, *FUNCTIONS])


@pytest.mark.parametrize("seed", range(12))
def test_constants_at_random(seed):
    rng = np.random.default_rng(seed)
    with runtime.use_seams({name: int(rng.choice(VALUES)) for name in NAMES}):
        for name in CASES:
            chosen = rng.choice(len(REDUCTIONS), 2)
            check(name, [*(REDUCTIONS[i] for i in chosen), *rng.choice([*FUNCTIONS], 1)], (1, int(rng.integers(2, 6))))


@pytest.mark.parametrize("n", [1, 63, 64, 65, 127, 128, 129, 130])
def test_lines_around_the_chunks(isa, n):
    """Lines of outputs that end around a chunk, windows around what the narrowest counters hold, each in several pieces."""
    rng = np.random.default_rng(n)
    for cells, dtype, share in ((254, "u1", 1), (255, "u1", 0.9), (256, "i2", 1), (510, "u1", 1), (511, "f4", 0.9)):
        x = rng.integers(0, 200, n + cells - 1).astype(dtype)
        mask = rng.random(x.shape) < share if share < 1 else np.ones(x.shape, bool)
        views = np.lib.stride_tricks.sliding_window_view
        order = [np.sort(v[m]) for v, m in zip(views(x, cells), views(mask, cells), strict=True)]
        wanted = [np.array([v[(v.size - 1) // 2] for v in order]), np.array([np.median(v) for v in order])]
        small = {"neighborhood.LIST_CELLS": 1, "neighborhood.RANK_PIECE": 1}
        for passes in (1, 64 * cells, 64 * cells * 3, 1 << 40):
            with runtime.use_seams({**small, "neighborhood.RANK_PASSES": passes}):
                options = {"mode": "valid", "dtype": np.float64} | ({"mask": mask} if share < 1 else {})
                np.testing.assert_array_equal(reduce_(x, "median", cells, **options), wanted[1])
                if share == 1:
                    np.testing.assert_array_equal(reduce_(x, ("rank", (cells - 1) // 2), cells, **options), wanted[0])


@pytest.mark.parametrize("shape", [(150, 40), (9, 300), (6, 20, 30), (500,)], ids=str)
def test_extremes_of_runs_in_bands(isa, shape):
    """Piles in parts, of bands of lines, beside whole ones; windows of more terms than a part has."""
    rng = np.random.default_rng(len(shape))
    for size, dtype in ((5, "f4"), (23, "u1"), (40, "f8")):
        sizes = {1: (9 * size,), 2: (size + 8, size), 3: (3, 5, min(size, 9))}[len(shape)]
        footprint = rng.random(sizes) < 0.6
        footprint.flat[0] = footprint.flat[-1] = True
        x = rng.integers(0, 200, shape).astype(dtype)
        x.flat[7] = np.nan if dtype != "u1" else 0
        pads = [(n // 2, n - 1 - n // 2) for n in sizes]
        views = np.lib.stride_tricks.sliding_window_view(np.pad(x, pads, "edge"), sizes)[..., footprint]
        least, greatest = views.min(axis=-1), views.max(axis=-1)
        for band in (1, 5000, 1 << 40):
            with runtime.use_seams({"neighborhood.TABLE_BYTES": 1, "neighborhood.BAND_BYTES": band}):
                options = {"footprint": footprint, "mode": "nearest", "workers": int(rng.integers(1, 4))}
                np.testing.assert_array_equal(reduce_(x, "max", **options), greatest)
                results = reduce_(x, ["range", "min"], step=2, **options)
                every = (slice(None, None, 2),) * len(shape)
                np.testing.assert_array_equal(results[0], (greatest - least)[every])
                np.testing.assert_array_equal(results[1], least[every])


@pytest.mark.parametrize("radius, dtype, step", [(200, "f4", 8), (200, "u1", 8), (150, "f8", 7)])
def test_large_disks(radius, dtype, step):
    """Blocks that keep their rows; their memory does not grow with the levels of spans."""
    rng = np.random.default_rng(radius)
    disk = np.hypot(*np.ogrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    x = rng.integers(0, 1 << 20, (430, 450)).astype(dtype)
    tracemalloc.start()
    result = reduce_(x, "max", footprint=disk, step=step, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20
    padded = np.pad(x, radius, "symmetric")
    for i, j in itertools.product((0, 3, result.shape[0] - 1), (0, 7, 31, result.shape[1] - 1)):
        window = padded[i * step : i * step + 2 * radius + 1, j * step : j * step + 2 * radius + 1]
        assert result[i, j] == window[disk].max()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
@pytest.mark.parametrize("name", ["mode", "entropy"])
def test_histograms_of_many_cells(dtype, name):
    """Counts on both sides of what narrow ones hold."""
    for cells in (65535, 65536, 65537):
        x = np.full(cells + 9, 5, dtype)
        x[5:9] = [1, 2, 3, 3]
        result = reduce_(x, name, cells, mode="valid")
        views = np.lib.stride_tricks.sliding_window_view(x, cells)
        if name == "mode":
            np.testing.assert_array_equal(result, np.full(10, 5))
            continue
        shares = [np.unique(v, return_counts=True)[1] / cells for v in views]
        np.testing.assert_allclose(result, [-(s * np.log2(s)).sum() for s in shares], rtol=1e-9, atol=1e-15)


def test_calls_that_are_remembered_and_forgotten():
    x = np.arange(600.0).reshape(20, 30)
    sizes = [(3, 3), (1, 2), (3, 3), (5, 1), (1, 2), (3, 3), (9, 9)]
    wanted = [reduce_(x, "max", list(size)) for size in sizes]  # lists are planned at every call
    for most, small in itertools.product((1, 2, 3, 40), (1, 8, 9, 81)):
        with runtime.use_seams({"neighborhood._MOST_KNOWN": most, "neighborhood._SMALL_WINDOW": small}):
            for size, expected in zip(sizes, wanted, strict=True):
                np.testing.assert_array_equal(reduce_(x, "max", size), expected)
            assert len(fastconv._face.plans._known) <= most
    # A plan of other constants must not be used.
    for value in (1, 1 << 40):
        with runtime.use_seams({"neighborhood.LIST_CELLS": value}):
            np.testing.assert_array_equal(reduce_(x, "median", 3), reduce_(x, "median", [3, 3]))
            assert fastconv._face.plans._known
        assert not fastconv._face.plans._known
