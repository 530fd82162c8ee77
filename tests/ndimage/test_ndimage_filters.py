"""Filters of weights, extremes and ranks beside scipy.ndimage: dtypes, modes, origins, axes, outputs, sizes."""

import platform

import numpy as np
import pytest
from oracle import COMPLEX, MODES, REAL, SHAPES, image, near, same, scipy_ndimage

import fastconv.ndimage as ndi


def draw(rng, dtype):
    """An image, a mode and a cval for it."""
    x = image(rng, SHAPES[rng.integers(len(SHAPES))], dtype)
    kind = np.dtype(dtype).kind
    cval = {"b": 1, "i": 3, "u": 3, "f": 1.5, "c": 1.5 + 0.5j}[kind]
    return x, MODES[rng.integers(len(MODES))], cval


def window(rng, ndim, most=6):
    """A size and an origin that it allows for each of `ndim` axes."""
    sizes = rng.integers(1, most, ndim)
    return tuple(int(n) for n in sizes), tuple(int(rng.integers(-(n // 2), (n - 1) // 2 + 1)) for n in sizes)


def some_axes(rng, ndim):
    """Some axes in order, as SciPy takes them with a window of as many axes."""
    return tuple(int(a) for a in np.flatnonzero(rng.random(ndim) < 0.6)) or (0,)


def output(rng, dtype):
    """None, or another dtype for the result, which holds most of the image's numbers: what becomes of others C does not say."""
    if np.dtype(dtype).kind == "c":
        return None
    few = np.dtype(dtype).itemsize == 1 or np.dtype(dtype).kind == "f"
    return [None, None, np.float64, "f4", np.dtype("i4"), np.uint8][rng.integers(6 if few else 4)]


@pytest.mark.parametrize("dtype", REAL + COMPLEX)
@pytest.mark.parametrize("name", ["correlate1d", "convolve1d"])
def test_sums_along_an_axis(rng, name, dtype):
    for _ in range(8):
        x, mode, cval = draw(rng, dtype)
        (n,), (origin,) = window(rng, 1)
        weights = rng.integers(-3, 4, n) / 4
        if rng.random() < 0.5:
            weights = weights + rng.choice([1, -1]) * weights[::-1]
        if np.dtype(dtype).kind == "c" and rng.random() < 0.5:
            weights = weights * (1 - 2j)
        axis = int(rng.integers(-x.ndim, x.ndim))
        same(name, x, weights, axis, output(rng, dtype), mode, cval, origin)


@pytest.mark.parametrize("dtype", REAL + COMPLEX)
@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_sums_of_windows(rng, name, dtype):
    for _ in range(8):
        x, mode, cval = draw(rng, dtype)
        axes = some_axes(rng, x.ndim)
        sizes, origins = window(rng, len(axes))
        weights = rng.integers(-3, 4, sizes) / 4
        if np.dtype(dtype).kind == "c" and rng.random() < 0.5:
            weights = weights * (1 - 2j)
        same(name, x, weights, output(rng, dtype), mode, cval, origins, axes=axes)


def test_real_images_with_complex_weights(rng):
    x = rng.random((6, 7)).astype("f4")
    weights = rng.random((3, 2)) + 1j * rng.random((3, 2))
    assert same("correlate", x, weights).dtype == np.complex64
    same("convolve", x, weights, origin=(1, 0), mode="constant", cval=2.0)
    same("correlate1d", x, weights[0], output=np.float32)  # which warns
    same("correlate", x, weights, output=np.float32)
    same("correlate", x, weights, mode="constant", cval=1j)


@pytest.mark.parametrize("dtype", REAL + COMPLEX)
def test_gaussian(rng, dtype):
    for _ in range(6):
        x, mode, cval = draw(rng, dtype)
        cval = cval.real
        same("gaussian_filter1d", x, rng.uniform(0.3, 3), 0, int(rng.integers(0, 4)), output(rng, dtype), mode, cval)
        sigma = [float(s) for s in rng.choice([0, 0.5, 1.3], x.ndim)]
        order = [int(o) for o in rng.integers(0, 3, x.ndim)]
        modes = [MODES[i] for i in rng.integers(0, len(MODES), x.ndim)]
        same("gaussian_filter", x, sigma, order, output(rng, dtype), modes, cval, 3.0)
        same("gaussian_filter", x, 0.8, radius=2, axes=some_axes(rng, x.ndim), mode=mode)


def test_flat_parts_of_integers_stay_flat(isa):
    x = np.full((40, 40), 255, np.uint8)
    x[20:, :] = 7
    for sigma in (0.4, 1, 2.3, 7):
        same("gaussian_filter", x, sigma)


def test_sums_along_an_axis_are_scipys_to_the_bit(rng, isa):
    # Elsewhere SciPy may be compiled to multiply and add at once.
    equal = np.testing.assert_array_equal if platform.machine() == "x86_64" else near
    for dtype in ("f4", "f8", "u1", "i8"):
        x = image(rng, (30, 70), dtype)
        for axis in (0, 1):
            for weights in (rng.random(5), [0.1, 0.7, 0.1], [0.3, 0.2, -0.2, -0.3], [-0.3, 0, 0.3], [-0.1, -0.3, 0.3, 0.1], [7]):
                for output in (np.float64, np.float32):
                    expected = scipy_ndimage.correlate1d(x, weights, axis, output)
                    equal(ndi.correlate1d(x, weights, axis, output), expected)
        expected = scipy_ndimage.gaussian_filter(x, 3.7, 1)
        equal(ndi.gaussian_filter(x, 3.7, 1), expected)
    for value in (0.1, 1.0, 3.3):
        flat = np.full((9, 10), value)
        assert not ndi.gaussian_filter(flat, 1.3, (0, 1)).any()
        equal(ndi.gaussian_filter(flat, 2.0), scipy_ndimage.gaussian_filter(flat, 2.0))


@pytest.mark.parametrize("dtype", [*REAL, *COMPLEX])
def test_uniform(rng, dtype):
    for _ in range(8):
        x, mode, cval = draw(rng, dtype)
        if x.dtype.kind in "iu":
            x = x // 2**20 if x.dtype.itemsize == 8 else x  # where running sums do not round
        sizes, origins = window(rng, x.ndim)
        # SciPy's running sum of integers falls short of integers: see test_ndimage_means.py.
        target = np.float64 if x.dtype.kind in "biu" else None
        same("uniform_filter1d", x, sizes[0], 0, target, mode, cval, origins[0])
        if target is None:
            modes = [MODES[i] for i in rng.integers(0, len(MODES), x.ndim)]
            same("uniform_filter", x, sizes, None, modes, cval, origins)
        same("uniform_filter", x, 3, target, mode, axes=some_axes(rng, x.ndim))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", ["minimum_filter", "maximum_filter"])
def test_extremes(rng, name, dtype):
    for _ in range(6):
        x, mode, cval = draw(rng, dtype)
        sizes, origins = window(rng, x.ndim)
        modes = [MODES[i] for i in rng.integers(0, len(MODES), x.ndim)]
        same(name, x, sizes, None, output(rng, dtype), modes, cval, origins)
        same(name + "1d", x, sizes[0], 0, output(rng, dtype), mode, cval, origins[0])
        axes = some_axes(rng, x.ndim)
        sizes, origins = window(rng, len(axes))
        footprint = rng.random(sizes) < 0.6
        same(name, x, None, footprint, None, mode, cval, origins, axes=axes)


def test_extremes_with_a_value_outside_that_the_dtype_cannot_hold(rng):
    x = image(rng, (5, 6), "u1")
    for name in ("minimum_filter", "maximum_filter"):
        for cval in (2.5, -1, 100.7):
            same(name, x, 3, mode="constant", cval=cval)
            same(name, x, footprint=np.eye(3), mode="constant", cval=cval)
    same("median_filter", x, 3, mode="constant", cval=2.5)
    same("correlate", x, np.ones((3, 3)), np.float64, mode="constant", cval=2.5)
    same("uniform_filter", x, 3, np.float64, mode="constant", cval=2.5)


@pytest.mark.parametrize("dtype", REAL)
def test_ranks(rng, dtype):
    for _ in range(6):
        x, mode, cval = draw(rng, dtype)
        x = x[None] if x.ndim == 1 else x  # on one axis SciPy sees no footprint, and takes every output for one of its own dtype
        axes = some_axes(rng, x.ndim)
        sizes, origins = window(rng, len(axes), 5)
        footprint = rng.random(sizes) < 0.7
        footprint.flat[0] = True
        rank = int(rng.integers(-footprint.sum(), footprint.sum()))
        same("rank_filter", x, rank, None, footprint, output(rng, dtype), mode, cval, origins, axes=axes)
        percentile = float(rng.choice([-30, 0, 20, 50, 99, 100]))
        same("percentile_filter", x, percentile, sizes, None, None, mode, cval, origins, axes=axes)
        same("median_filter", x, sizes, None, output(rng, dtype), mode, cval, origins, axes=axes)
        line = image(rng, (9,), dtype)
        same("rank_filter", line, -2, 5, None, None, mode, cval, 1)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "f4", "f8", "F"])
def test_derivatives(rng, dtype):
    for _ in range(5):
        x, mode, cval = draw(rng, dtype)
        cval, modes = cval.real, [MODES[i] for i in rng.integers(0, len(MODES), x.ndim)]
        target = output(rng, dtype)
        for name in ("prewitt", "sobel"):
            same(name, x, int(rng.integers(-x.ndim, x.ndim)), target, modes, cval)
        if x.dtype.kind == "b":
            continue
        axes = some_axes(rng, x.ndim)
        same("laplace", x, target, mode, cval, axes=axes)
        same("gaussian_laplace", x, 1.1, target, mode, cval, axes=axes, truncate=2.0)
        if x.dtype.kind == "f":
            same("gaussian_gradient_magnitude", x, 0.9, None, modes, cval, truncate=3.0)


def test_derivatives_by_functions(rng):
    x = rng.random((9, 8))

    def derivative(x, axis, output, mode, cval, scale, power=1):
        return scipy_ndimage.correlate1d(x, [scale, -2, power], axis, output, mode, cval)

    for name in ("generic_laplace", "generic_gradient_magnitude"):
        same(name, x, derivative, None, ["reflect", "constant"], 2.0, (0.5,), {"power": 3.0})
        same(name, x, derivative, np.float32, "nearest", 0.0, (0.5,), axes=(1,))
        same(name, x, derivative, axes=())


def test_numbers_without_axes():
    for name, args in {
        "correlate": [np.array(2.0)], "gaussian_filter": [1.0], "maximum_filter": [3], "median_filter": [3], "uniform_filter": [],
        "sobel": [], "laplace": [], "gaussian_gradient_magnitude": [1.0], "binary_erosion": [], "grey_erosion": [3],
        "correlate1d": [[1]], "minimum_filter1d": [3],
    }.items():  # fmt: skip
        same(name, np.array(3.0), *args)


OVERLAPPING = {
    "correlate": [np.arange(9.0).reshape(3, 3)], "convolve": [np.arange(6.0).reshape(2, 3)], "correlate1d": [[1, 2.5, 3]],
    "convolve1d": [[1, 2.5]], "gaussian_filter": [1.2], "gaussian_filter1d": [1.2], "uniform_filter": [3],
    "uniform_filter1d": [4], "minimum_filter": [3], "maximum_filter": [(2, 5)], "minimum_filter1d": [3],
    "maximum_filter1d": [4], "median_filter": [3], "rank_filter": [2, 3], "percentile_filter": [30, 4], "prewitt": [],
    "sobel": [], "laplace": [], "gaussian_laplace": [1.0], "gaussian_gradient_magnitude": [1.0], "grey_erosion": [3],
    "grey_dilation": [3], "grey_opening": [3], "grey_closing": [3], "morphological_gradient": [3],
    "morphological_laplace": [3], "white_tophat": [3], "black_tophat": [3], "binary_erosion": [], "binary_dilation": [],
    "binary_opening": [], "binary_closing": [], "binary_propagation": [],
}  # fmt: skip


@pytest.mark.parametrize("name", OVERLAPPING)
def test_the_output_may_overlap_the_input(rng, name):
    memory = (rng.random((14, 13)) * 2).astype(int).astype(float) if name.startswith("binary") else rng.random((14, 13))
    itself, shifted, strided, flipped = (np.s_[:], np.s_[:]), (np.s_[1:], np.s_[:-1]), (np.s_[:-1, ::2], np.s_[1:, ::2]), (
        np.s_[::-1], np.s_[:])  # fmt: skip
    for source, target in (itself, shifted, strided, flipped):
        base = memory.copy()
        expected = np.zeros_like(base[source])
        getattr(scipy_ndimage, name)(base[source].copy(), *OVERLAPPING[name], output=expected)
        found = getattr(ndi, name)(base[source], *OVERLAPPING[name], output=base[target])
        assert np.shares_memory(found, base)
        near(base[target].copy(), expected)


def test_64_bit_integers_are_exact(rng):
    x = rng.integers(2**62, 2**63 - 1, (9, 10))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, 1, mode="symmetric"), (3, 3))
    np.testing.assert_array_equal(ndi.maximum_filter(x, 3), windows.max((-2, -1)))
    np.testing.assert_array_equal(ndi.minimum_filter(x, 3), windows.min((-2, -1)))
    np.testing.assert_array_equal(ndi.rank_filter(x, 2, 3), np.sort(windows.reshape(9, 10, 9))[..., 2])
    np.testing.assert_array_equal(ndi.grey_dilation(x, structure=np.zeros((3, 3))), windows.max((-2, -1)))
    small = x >> 4
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(small, 1, mode="symmetric"), (3, 3))
    weights = np.array([[1, 0, -1], [2, 3, 0], [0, -1, 1]])
    np.testing.assert_array_equal(ndi.correlate(small, weights), (windows * weights).sum((-2, -1)))
    lines = np.pad(small, [(0, 0), (1, 1)], mode="symmetric")
    np.testing.assert_array_equal(ndi.correlate1d(small, [1, -3, 2]), lines[:, :-2] - 3 * lines[:, 1:-1] + 2 * lines[:, 2:])


def test_nan_and_infinity_stay_in_their_windows():
    x = np.ones((9, 9))
    x[4, 4] = np.nan
    found = ndi.uniform_filter(x, 3)
    assert np.isnan(found).sum() == 9
    np.testing.assert_array_equal(found[~np.isnan(found)], 1)
    for name in ("minimum_filter", "maximum_filter", "median_filter"):
        assert np.isnan(getattr(ndi, name)(x, 3)).sum() == 9
        np.testing.assert_array_equal(getattr(ndi, name)(x, 3, nan_policy="omit"), 1)
        with pytest.raises(ValueError, match="NaN"):
            getattr(ndi, name)(x, 3, nan_policy="raise")
    np.testing.assert_array_equal(ndi.uniform_filter(x, 3, nan_policy="omit"), 1)
    assert np.isnan(ndi.gaussian_filter(x, 1, radius=1)).sum() == 9
    assert np.isnan(ndi.correlate(x, np.ones((3, 3)))).sum() == 9
    with pytest.raises(ValueError, match="omit"):
        ndi.uniform_filter(x, 3, mode=["reflect", "wrap"], nan_policy="omit")


def test_half_precision(rng):
    x = rng.random((8, 9)).astype(np.float16)
    for name, args in (("gaussian_filter", [1.0]), ("maximum_filter", [3]), ("median_filter", [3]), ("uniform_filter", [3]),
                       ("correlate", [np.ones((3, 3))]), ("sobel", [])):  # fmt: skip
        found = getattr(ndi, name)(x, *args)
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, getattr(scipy_ndimage, name)(x.astype("f8"), *args), rtol=3e-3, atol=3e-3)


@pytest.mark.parametrize("name", ["gaussian_filter", "uniform_filter", "maximum_filter", "median_filter", "correlate"])
def test_strides_byte_order_and_threads(rng, name):
    args = {"gaussian_filter": [2.0], "correlate": [rng.random((5, 4))]}.get(name, [5])
    x = rng.random((90, 80)).astype("f4")
    expected = getattr(ndi, name)(x, *args, workers=1)
    near(expected, getattr(scipy_ndimage, name)(x, *args))
    for y in (x.astype(">f4"), np.asfortranarray(x), np.repeat(x, 3, axis=1)[:, ::3], x[::-1][::-1]):
        np.testing.assert_array_equal(getattr(ndi, name)(y, *args, workers=3), expected)
    read_only = x.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(getattr(ndi, name)(read_only, *args), expected)
