"""Ranks, modes, entropies and functions of neighbourhoods at the sizes that users have, against NumPy on sampled outputs."""

import itertools
import math

import numpy as np
import pytest
from scipy import LowLevelCallable
from test_neighborhood_calls import weigh, weigh_compiled, weigh_one

import fastconv

pytestmark = pytest.mark.slow
MODES = ("reflect", "mirror", "nearest", "wrap", "constant", "ignore", "valid")
DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "?")
FUNCTIONS = {"blocks": weigh, "windows": weigh_one, "compiled": LowLevelCallable(weigh_compiled)}
# Outputs times cells that a call may take, by what it does.
WORK = {"rank": 3e8, "mode": 3e7, "blocks": 1e8, "windows": 1e6, "compiled": 1e5}


def sources(index, cells, size, before, mode):
    """Return the positions on an axis that the cells of a window see, -1 for none."""
    at = index - before + np.arange(cells)
    inside = (at >= 0) & (at < size)
    if mode == "nearest":
        return np.clip(at, 0, size - 1)
    if mode == "wrap":
        return at % size
    if mode in ("reflect", "mirror"):
        period = 2 * size if mode == "reflect" else max(2 * size - 2, 1)
        at = at % period
        return np.where(at < size, at, period - 1 - at + (mode == "mirror"))
    return np.where(inside, at, -1)


def draw_sizes(rng):
    """Return (shape, footprint, steps): images to 5000 on an axis, windows to 400."""
    ndim = int(rng.choice([1, 2, 2, 2, 3, 4]))
    longest = (0, 2_000_000, 5000, 300, 60)[ndim]
    shape = tuple(int(n) for n in np.exp(rng.uniform(0, math.log(longest), ndim)).astype(int))
    most = (0, 5000, 400, 40, 9)[ndim]
    sizes = tuple(int(n) for n in np.exp(rng.uniform(0, math.log(most), ndim)).astype(int))
    kind = rng.choice(["box", "square", "random", "disk", "sparse"])
    if kind == "square":
        sizes = (max(sizes),) * ndim
    footprint = np.ones(sizes, bool)
    if kind in ("random", "sparse"):
        footprint = rng.random(sizes) < (0.5 if kind == "random" else 4 / footprint.size)
        footprint.flat[rng.integers(footprint.size)] = True
    if kind == "disk":
        grid = np.ogrid[tuple(slice(0, n) for n in sizes)]
        footprint = sum(((g - (n - 1) / 2) / (n / 2)) ** 2 for g, n in zip(grid, sizes, strict=True)) <= 1
    return shape, footprint, tuple(int(s) for s in rng.choice([1, 1, 1, 2, 3, 7], ndim))


def draw(rng):
    """Return (x, reduction or kind of function, footprint, options)."""
    while True:
        shape, footprint, steps = draw_sizes(rng)
        mode = str(rng.choice(MODES))
        if mode == "valid" and any(n < f for n, f in zip(shape, footprint.shape, strict=True)):
            continue
        what = str(rng.choice(["rank", "rank", "rank", "mode", "entropy", *FUNCTIONS]))
        dtype = np.dtype(str(rng.choice(DTYPES)))
        work = math.prod(-(-n // s) for n, s in zip(shape, steps, strict=True))
        work *= footprint.sum() ** (0.5 if what == "rank" else 1)
        if what in ("mode", "entropy") and dtype.itemsize <= 2:
            work /= max(footprint.shape[-1] / 4, 1)
        if work <= WORK.get(what, WORK["mode"]) and math.prod(shape) <= 3e7:
            break
    cells = int(footprint.sum())
    rank = ("rank", int(rng.integers(-cells, cells)))
    ranks = [rank, "median", ("percentile", float(rng.choice([0, 10, 50, 99.5, 100])))]
    reduction = ranks[rng.integers(3)] if what == "rank" else what
    few = rng.random() < 0.3
    if dtype.kind == "b":
        x = rng.random(shape) < rng.random()
    elif dtype.kind == "f" and what not in FUNCTIONS:
        x = rng.standard_normal(shape).round(1 if few else 6).astype(dtype)
        x.flat[rng.integers(x.size, size=3)] = rng.choice(np.array([np.nan, np.inf, -np.inf], dtype), 3)
    else:
        most = 4 if few or what in FUNCTIONS else min(np.iinfo(dtype).max, 2**50)
        x = rng.integers(0, most, shape, endpoint=True).astype(dtype)
    options = {"mode": mode, "step": steps, "workers": [None, 1, 2, 5][rng.integers(4)]}
    if mode != "valid":
        options["origin"] = tuple(int(rng.integers(-(n // 2), (n - 1) // 2 + 1)) for n in footprint.shape)
    if mode == "constant":
        options["cval"] = 1
    if rng.random() < 0.3:
        options["mask"] = rng.random(shape) < rng.choice([0.02, 0.5, 0.98])
    if dtype.kind == "f":
        options["nan_policy"] = str(rng.choice(["propagate", "omit"]))
    if rng.random() < 0.3:
        x = np.asfortranarray(x)
    return x, reduction, footprint, options


def between(cells, position):
    """Return the linear interpolation of sorted cells; NumPy's percentile makes NaN of an infinity and any other number."""
    low, high = cells[math.floor(position)], cells[math.ceil(position)]
    if low == high or np.isfinite((low, high)).all():
        return low + (high - low) * (position % 1) if low < high else low
    return low + high


def expected(reduction, values):
    """Return the result for the counting values of a window, in C order."""
    if values.size == 0 or (values.dtype.kind == "f" and np.isnan(values).any()):
        return np.nan
    if reduction in FUNCTIONS:
        return weigh_one(values.astype(np.float64))
    name, parameter = reduction if isinstance(reduction, tuple) else (reduction, 50)
    if name == "rank":
        values = np.sort(values.astype(np.float64) if values.dtype.kind == "f" else values)
        return values[min(max(parameter + values.size if parameter < 0 else parameter, 0), values.size - 1)]
    if name in ("median", "percentile"):
        return between(np.sort(values.astype(np.float64)), parameter / 100 * (values.size - 1))
    # NumPy 2.4.6 sorts some arrays of float16 wrongly.
    unique, counts = np.unique(values.astype(np.float64) if values.dtype.kind == "f" else values, return_counts=True)
    shares = counts / values.size
    return unique[np.argmax(counts)] if name == "mode" else -(shares * np.log2(shares)).sum()


def places(rng, count):
    """Return outputs of an axis to look at: its ends, those around powers of 2 where blocks may end, some at random."""
    edges = [0, 1, 2, count - 1, count - 2, *(edge for power in (16, 32, 64, 1536, 3072) for edge in (power - 1, power))]
    return sorted({int(i) for i in (*edges, *rng.integers(0, count, 3)) if 0 <= i < count})


def check(rng):
    x, reduction, footprint, options = draw(rng)
    mask, mode, step = options.get("mask"), options["mode"], options["step"]
    call = f"{reduction}, {x.dtype}{x.shape}, window {footprint.shape} of {footprint.sum()} cells, " + ", ".join(
        f"{key}={value}" for key, value in options.items() if key != "mask"
    ) + (f", a mask of {mask.mean():.2f}" if mask is not None else "")  # fmt: skip
    window = {"size": footprint.shape} if footprint.all() else {"footprint": footprint}
    function = FUNCTIONS.get(reduction, reduction)
    result = fastconv.neighborhood_reduce(x, function, dtype=np.float64, **window, **options)
    if mode == "valid":
        before = (0,) * x.ndim
    else:
        before = [n // 2 + o for n, o in zip(footprint.shape, options["origin"], strict=True)]
    every = list(itertools.product(*(places(rng, n) for n in result.shape)))
    chosen = [every[i] for i in rng.choice(len(every), min(len(every), 60), replace=False)]
    for index in chosen:
        at = [
            sources(i * s, f, n, b, mode)
            for i, s, f, n, b in zip(index, step, footprint.shape, x.shape, before, strict=True)
        ]
        outside = np.zeros(footprint.shape, bool)
        for a, positions in enumerate(at):
            outside |= (positions < 0).reshape([-1 if b == a else 1 for b in range(x.ndim)])
        values = x[np.ix_(*at)].copy()
        counts = np.ones(values.shape, bool) if mask is None else mask[np.ix_(*at)].copy()
        values[outside] = 1
        counts[outside] = mode == "constant"
        if options.get("nan_policy") == "omit":
            counts &= ~np.isnan(values)
        wanted = float(expected(reduction, values[footprint & counts]))
        found = result[index]
        exact = reduction == "mode" or reduction in FUNCTIONS or reduction[0] == "rank"
        close = found == wanted or (np.isnan(found) and np.isnan(wanted))
        if not close and not exact:
            close = abs(found - wanted) <= 1e-12 * max(1, abs(wanted))
        assert close, f"output {index} is {found}, not {wanted}: {call}"


def test_ranks_and_functions_at_real_sizes(real_sizes):
    real_sizes(check)
