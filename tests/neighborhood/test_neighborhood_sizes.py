"""Named reductions at the sizes that users have: sampled outputs, all borders among them, beside NumPy and SciPy."""

import numpy as np
import pytest
import scipy.ndimage
from windows import gathered, reduced

import fastconv
from support import DTYPES

reduce_ = fastconv.neighborhood_reduce
NAMES = ("min", "max", "range", "sum", "mean", "var", "std", "count", "any", "all")
MODES = ("reflect", "mirror", "nearest", "wrap", "constant", "ignore", "valid")
MOST_ELEMENTS = 3_000_000
MOST_CELLS = 2_000_000  # of all sampled windows

pytestmark = pytest.mark.slow


def drawn_shape(rng):
    """Return a shape: 1 to 4 axes, of which one or two are long."""
    ndim = int(rng.integers(1, 5))
    shape = [int(2 ** rng.uniform(0, np.log2(5000))) for _ in range(ndim)]
    while np.prod(shape) > MOST_ELEMENTS:
        a = int(rng.integers(ndim))
        shape[a] = max(shape[a] // 2, 1)
    return tuple(shape) if ndim > 1 else (int(2 ** rng.uniform(3, 21)),)


def drawn_size(rng, n, valid):
    kind = rng.random()
    if kind < 0.35:
        size = int(rng.integers(1, 12))
    elif kind < 0.85:
        size = int(2 ** rng.uniform(0, np.log2(400)))
    else:
        size = int(n * rng.uniform(0.5, 3)) + 1
    return min(size, n) if valid else size


def drawn_values(rng, shape, dtype):
    """Small integers, on which sums of any order are exact in the accumulator."""
    if dtype.kind == "b":
        return rng.random(shape) < rng.choice([0.001, 0.5, 0.999])
    low = 0 if dtype.kind == "u" else -20
    return rng.integers(low, 21, shape).astype(dtype)


def sampled(rng, n, step, count):
    """Some of the outputs of an axis: both ends, and the neighbours of multiples of blocks."""
    edges = 16 * rng.integers(0, n // 16 + 1, 3) + rng.integers(-1, 2, 3)
    near = {0, 1, n - 1, n - 2, *(int(i) for i in edges)}
    near |= {int(i) for i in rng.integers(0, n, 3)}
    near = sorted(i for i in near if 0 <= i < n)
    return near if len(near) <= count else sorted(int(i) for i in rng.choice(near, count, replace=False))


def check_boxes(rng):
    shape, dtype = drawn_shape(rng), DTYPES[rng.integers(len(DTYPES))]
    mode = str(rng.choice(MODES))
    size = tuple(drawn_size(rng, n, mode == "valid") for n in shape)
    x = drawn_values(rng, shape, dtype)
    options = {"mode": mode}
    if rng.random() < 0.3:
        options["step"] = tuple(int(s) for s in rng.integers(1, 6, len(shape)))
    if mode == "constant":
        options["cval"] = int(rng.integers(0, 2))
    if mode != "valid" and rng.random() < 0.3:
        options["origin"] = tuple(int(rng.integers(-(s // 2), (s - 1) // 2 + 1)) for s in size)
    line = {"shape": shape, "dtype": str(dtype), "size": size} | options
    if rng.random() < 0.25:
        line["mask"] = float(rng.choice([0.001, 0.5, 0.999]))
        options["mask"] = rng.random(shape) < line["mask"]
    if dtype.kind == "f" and rng.random() < 0.25:
        line["NaN"] = float(rng.choice([1e-5, 0.3]))
        x[rng.random(shape) < line["NaN"]] = np.nan
        options["nan_policy"] = "omit"
    names = [str(name) for name in rng.permutation(NAMES)[: int(rng.integers(1, 4))]]
    if np.prod(size, dtype=float) > 3000 and ("mask" in options or mode == "ignore") and x.ndim > 2:
        x = x[: max(1, shape[0] // 4)] if mode != "valid" else x
        options |= {"mask": options["mask"][: x.shape[0]]} if "mask" in options else {}
    workers = int(rng.choice([1, 2]))
    line = f"reduce_(x, {names}, workers={workers}) of {line}"
    results = reduce_(x, names, size, workers=workers, **options)
    counts = results[0].shape
    cells = max(float(np.prod(size, dtype=float)), 1)
    many = max(int((MOST_CELLS / cells) ** (1 / x.ndim)), 1)
    outputs = [sampled(rng, n, 1, many) for n in counts]
    while np.prod([len(o) for o in outputs]) * cells > 2 * MOST_CELLS and max(len(o) for o in outputs) > 1:
        longest = max(outputs, key=len)
        del longest[len(longest) // 2]
    if cells > 8 * MOST_CELLS:
        return
    given = {k: v for k, v in options.items() if k != "nan_policy"} | {"omit": "nan_policy" in options, "outputs": outputs}
    values, there = gathered(x, size, **given)
    for name, result in zip(names, results, strict=True):
        expected, found = reduced(name, values, there), result[np.ix_(*outputs)]
        try:
            if name in ("mean", "var", "std"):
                # Sums are exact, or doubles about the mean: a few roundings, and more where nothing varies.
                limit = 4 * np.finfo(result.dtype).eps + 1e-11
                np.testing.assert_allclose(found, expected.astype(np.float64), rtol=limit, atol=1e-9 if name == "std" else 1e-12)
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    np.testing.assert_array_equal(found, np.asarray(expected, np.float64).astype(result.dtype))
        except AssertionError as error:
            raise AssertionError(f"{name}: {line}\n{error}") from error


def check_footprints(rng):
    ndim = int(rng.integers(1, 4))
    most = {1: 20_000, 2: 900, 3: 90}[ndim]
    shape = tuple(int(n) for n in rng.integers(1, most, ndim))
    dtype = DTYPES[rng.integers(len(DTYPES))]
    x = drawn_values(rng, shape, dtype)
    sides = tuple(int(s) for s in rng.integers(1, {1: 400, 2: 45, 3: 9}[ndim], ndim))
    footprint = rng.random(sides) < rng.choice([0.05, 0.5, 0.95])
    footprint.flat[rng.integers(footprint.size)] = True
    mode = str(rng.choice(MODES[:5]))
    line = f"shape={shape} dtype={dtype} footprint={sides} {int(footprint.sum())} cells mode={mode}"
    options = {"mode": mode} | ({"cval": 1} if mode == "constant" else {})
    names = [str(name) for name in rng.permutation(NAMES)[: int(rng.integers(1, 4))]]
    if footprint.sum() * x.size > 3e8:
        names = [name for name in names if name in ("min", "max", "range")] or ["max"]
    results = reduce_(x, names, footprint=footprint, **options)
    outputs = [sampled(rng, n, 1, max(int((MOST_CELLS / footprint.size) ** (1 / ndim)), 1)) for n in shape]
    values, there = gathered(x, sides, outputs=outputs, **options)
    values, there = values[..., footprint.ravel()], there[..., footprint.ravel()]
    for name, result in zip(names, results, strict=True):
        expected, found = reduced(name, values, there), result[np.ix_(*outputs)]
        try:
            if name in ("mean", "var", "std"):
                limit = 4 * np.finfo(result.dtype).eps + 1e-11
                np.testing.assert_allclose(found, expected.astype(np.float64), rtol=limit, atol=1e-9)
            else:
                np.testing.assert_array_equal(found, np.asarray(expected, np.float64).astype(result.dtype))
        except AssertionError as error:
            raise AssertionError(f"{name}: {line}\n{error}") from error


# Functions that are compiled, exact on small integers.
PROGRAMS = {
    "weighted": lambda v, axis: v @ np.arange(v.shape[-1]),
    "contrast": lambda v, axis: (v.max(axis) - v[..., 0]) * 2 - np.abs(v).sum(axis),
    "products": lambda v, axis: (v * v[..., -1:]).sum(axis) + v.min(axis),
    "pattern": lambda v, axis: (v > v[..., :1]).sum(axis),
    "middle": lambda v, axis: np.sort(v[..., :25], axis)[..., v[..., :25].shape[-1] // 2],
}


def check_programs(rng):
    shape, dtype = drawn_shape(rng), np.dtype(str(rng.choice(["i2", "i4", "i8", "f4", "f8"])))
    mode = str(rng.choice([mode for mode in MODES if mode != "ignore"]))
    size = tuple(min(int(2 ** rng.uniform(0, {1: 8, 2: 4}.get(len(shape), 2))), n if mode == "valid" else 400) for n in shape)
    x = rng.integers(-9, 10, shape).astype(dtype)
    options = {"mode": mode} | ({"cval": 1} if mode == "constant" else {})
    if rng.random() < 0.4:
        options["step"] = tuple(int(s) for s in rng.integers(1, 6, len(shape)))
    name = str(rng.choice(list(PROGRAMS)))
    line = f"reduce_(x, {name!r}, {size}, engine='compiled') of shape={shape} dtype={dtype} {options}"
    result = reduce_(x, PROGRAMS[name], size, engine="compiled", workers=int(rng.choice([1, 2])), **options)
    cells = int(np.prod(size))
    many = max(int((MOST_CELLS / cells) ** (1 / x.ndim)), 1)
    outputs = [sampled(rng, n, 1, many) for n in result.shape]
    values, _ = gathered(x, size, outputs=outputs, **options)
    try:
        np.testing.assert_array_equal(result[np.ix_(*outputs)], PROGRAMS[name](values, -1))
    except AssertionError as error:
        raise AssertionError(f"{line}\n{error}") from error


def check_scipy(rng):
    """All outputs of real data, beside the sums of scipy.ndimage and cumulative sums of integers."""
    shape = tuple(int(n) for n in rng.integers(200, 1400, 2))
    size = tuple(int(s) for s in rng.integers(1, 401, 2))
    mode = str(rng.choice(MODES[:4]))
    x = rng.standard_normal(shape)
    line = f"shape={shape} size={size} mode={mode}"
    results = reduce_(x, ["mean", "max", "min", "std"], size, mode=mode)
    mean = scipy.ndimage.uniform_filter(x, size, mode=mode)
    squares = scipy.ndimage.uniform_filter(x * x, size, mode=mode) - mean * mean
    np.testing.assert_allclose(results[0], mean, rtol=0, atol=1e-11, err_msg=line)
    np.testing.assert_array_equal(results[1], scipy.ndimage.maximum_filter(x, size, mode=mode), err_msg=line)
    np.testing.assert_array_equal(results[2], scipy.ndimage.minimum_filter(x, size, mode=mode), err_msg=line)
    np.testing.assert_allclose(results[3] ** 2, squares, rtol=0, atol=1e-10, err_msg=line)


@pytest.mark.parametrize(
    "check, share",
    [(check_boxes, 0.35), (check_footprints, 0.15), (check_scipy, 0.1), (check_programs, 0.1)],
    ids=["boxes", "footprints", "scipy", "programs"],
)
def test_named_reductions_at_real_sizes(real_sizes, check, share):
    real_sizes(check, share=share)
