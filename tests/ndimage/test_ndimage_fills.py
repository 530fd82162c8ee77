"""What is dilated or eroded until nothing changes: beside scipy.ndimage, and beside a fill of one pixel after another."""

import functools
import tracemalloc

import numpy as np
import pytest
from oracle import near, same, scipy_ndimage

import fastconv
import fastconv.ndimage as ndi
import reference
from fastconv import runtime
from support import LAYOUTS, run_script

SQUARE = np.ones((3, 3), bool)
STRUCTURES = {
    "cross": ndi.generate_binary_structure(2, 1), "square": SQUARE, "large": np.ones((9, 5), bool),
    "one way": np.array([[0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]], bool),
}  # fmt: skip
LINES = (0, 1, 2, 63, 64, 65, 127, 128, 129)


def spiral(n):
    """A way of one pixel's width to the middle of n by n pixels, which begins at the first."""
    way = np.zeros((n, n), bool)
    top, left, bottom, right = 0, 0, n - 1, n - 1
    while top <= bottom and left <= right:
        way[top, left : right + 1] = True
        way[top : bottom + 1, right] = True
        way[bottom, left : right + 1] = True
        way[top + 2 : bottom + 1, left] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
        way[top, left - 1] = top <= bottom
    return way


def serpentine(n):
    """A way that goes to and fro on every other line."""
    way = np.zeros((n, n), bool)
    way[::2] = True
    way[1::4, -1] = way[3::4, 0] = True
    return way


def comb(n):
    way = np.zeros((n, n), bool)
    way[:, ::2] = way[n // 2] = True
    return way


def zigzag(n):
    """Pixels that touch at corners alone."""
    way = np.zeros((n, n), bool)
    way[np.arange(n) % 2 + n // 2, np.arange(n)] = True
    return way


FIGURES = {
    "spiral": spiral, "serpentine": serpentine, "comb": comb, "zigzag": zigzag,
    "checkerboard": lambda n: np.indices((n, n)).sum(axis=0) % 2 == 0,
    "percolation": lambda n: np.random.default_rng(n).random((n, n)) < 0.593,
    "diagonal percolation": lambda n: np.random.default_rng(n).random((n, n)) < 0.407,
}  # fmt: skip


@functools.cache
def fills(figure, n, structures):
    """[(way, seed, structure, what is filled of the way, what is filled of holes)] by the reference."""
    found, way = [], FIGURES[figure](n)
    for one in (way, way[::-1, ::-1].T):
        seed = np.zeros_like(one)
        seed[tuple(np.argwhere(one)[0])] = True
        for name in structures:
            filled = reference.flood_fill(seed, STRUCTURES[name], one)
            holes = ~reference.flood_fill(np.zeros_like(one), STRUCTURES[name], ~one, True)
            found.append((one, seed, STRUCTURES[name], filled, holes))
    return found


@pytest.mark.parametrize("figure", FIGURES)
def test_figures(isa, figure):
    for n in (41, 130):
        for way, seed, structure, filled, holes in fills(figure, n, ("cross", "square")):
            near(ndi.binary_propagation(seed, structure, way), filled)
            near(ndi.binary_erosion(~seed, structure, -1, way, border_value=1), ~filled)
            near(ndi.binary_fill_holes(way, structure), holes)


def test_a_spiral_is_one_part():
    for n in (41, 203):
        seed = np.zeros((n, n), bool)
        seed[0, 0] = True
        found = same("binary_propagation", seed, None, spiral(n))
        assert found.sum() > 0.98 * spiral(n).sum()  # but for its last pixels


def test_sizes(isa, rng):
    for height in LINES:
        for width in LINES:
            x = rng.random((height, width)) < 0.6
            near(ndi.binary_fill_holes(x), scipy_ndimage.binary_fill_holes(x))
            seed = rng.random(x.shape) < 0.01
            near(ndi.binary_propagation(seed, SQUARE, x), scipy_ndimage.binary_propagation(seed, SQUARE, x))


@pytest.mark.parametrize("width", [999, 1023, 2047, 4095, 4097, 4999])
def test_odd_widths(rng, width):
    for shape in ((23, width), (width, 23)):
        x = rng.random(shape) < 0.59
        for structure in (None, SQUARE):
            same("binary_fill_holes", x, structure)
            same("binary_propagation", rng.random(shape) < 0.001, structure, x)
            same("binary_erosion", x, structure, -1, border_value=1)


def test_smooth_images(rng):
    """As photographs have them: large areas with holes and islands."""
    for shape in ((301, 403), (37, 41, 45)):
        x = ndi.gaussian_filter(rng.standard_normal(shape), 3) > 0.02
        seed = rng.random(shape) < 0.0005
        for connectivity in range(1, len(shape) + 1):
            structure = ndi.generate_binary_structure(len(shape), connectivity)
            same("binary_fill_holes", x, structure)
            same("binary_propagation", seed, structure, x)
            same("binary_erosion", x, structure, 0, mask=~seed)


@pytest.mark.parametrize("sizes", [(3, 3), (1, 4), (4, 1), (5, 2), (2, 7), (1, 140), (3, 67), (19, 20)])
def test_structures_of_any_kind(rng, sizes):
    """Ways that lead there and not back, farther than a word, with gaps, from any cell; larger than the image."""
    for shape in ((6, 150), (33, 10), (6, 5)):
        for density in (0.1, 0.5):
            structure = rng.random(sizes) < density
            origin = [int(rng.integers(-(n // 2), (n - 1) // 2 + 1)) for n in sizes]
            structure[tuple(n // 2 + o for n, o in zip(sizes, origin, strict=True))] = True
            back = [-o - (n % 2 == 0) for n, o in zip(sizes, origin, strict=True)]  # of the mirrored structure
            seed, where = rng.random(shape) < 0.01, rng.random(shape) < rng.choice([0.3, 0.6])
            holes = ~reference.flood_fill(np.zeros(shape, bool), structure, ~where, True, origin)
            filled = [(border, mask, reference.flood_fill(seed, structure, mask, border, origin))
                      for border, mask in ((0, None), (0, where), (1, where))]  # fmt: skip
            for name in fastconv.available_isas():
                with fastconv.use_isa(name):
                    near(ndi.binary_fill_holes(where, structure, origin=origin), holes)
                    for border, mask, expected in filled:
                        near(ndi.binary_propagation(seed, structure, mask, None, border, origin), expected)
                        found = ndi.binary_erosion(~seed, structure[::-1, ::-1], -1, mask, None, not border, back)
                        near(found, ~expected)


def test_structures_without_their_middle(rng):
    structure = [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    for density in (0.4, 0.6):
        x = rng.random((24, 31)) < density
        same("binary_fill_holes", x, structure)
        seed = np.zeros_like(x)
        seed[::5, ::5] = True
        same("binary_propagation", seed, structure, x | True, border_value=1)


@pytest.mark.parametrize("shape", [(70, 5, 6), (5, 70, 6), (5, 6, 70), (4, 5, 3), (3, 3, 3, 3), (2, 66, 2, 3, 2), (1, 1, 1)])
def test_more_axes(isa, rng, shape):
    for connectivity in (1, len(shape)):
        structure = ndi.generate_binary_structure(len(shape), connectivity)
        x = rng.random(shape) < 0.7
        seed = rng.random(shape) < 0.02
        near(ndi.binary_fill_holes(x, structure), ~reference.flood_fill(np.zeros(shape, bool), structure, ~x, True))
        near(ndi.binary_propagation(seed, structure, x), reference.flood_fill(seed, structure, x))
    structure = rng.random([min(n, 4) for n in shape]) < 0.5
    structure[tuple(n // 2 for n in structure.shape)] = True
    for border in (0, 1):
        expected = reference.flood_fill(seed, structure, x, border)
        near(ndi.binary_propagation(seed, structure, x, border_value=border), expected)


def test_no_axes():
    for x in (np.array(True), np.array(False)):
        for border in (0, 1):
            for mask in (None, np.array(True), np.array(False)):
                same("binary_propagation", x, None, mask, border_value=border)
        same("binary_fill_holes", x)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng, layout):
    x = (rng.random((3, 4, 9, 70)) < 0.7).astype(float)
    seed = (rng.random(x.shape) < 0.01).astype(np.float32)
    expected, holes = scipy_ndimage.binary_propagation(seed, None, x), scipy_ndimage.binary_fill_holes(x)
    near(ndi.binary_propagation(LAYOUTS[layout](seed), None, LAYOUTS[layout](x)), expected)
    near(ndi.binary_fill_holes(LAYOUTS[layout](x)), holes)
    if layout not in ("read-only", "byte-swapped"):
        output = LAYOUTS[layout](np.zeros(x.shape, bool))
        ndi.binary_fill_holes(x, None, output)
        near(output, holes)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", ">u2", "<i4", "u8", "f2", ">f4", "f8", "g", "D"])
def test_dtypes(isa, rng, dtype):
    """What is not 0 is set, a NaN and the least denormal, too; -0 is not."""
    truths = rng.random((40, 133)) < 0.6
    x = truths.astype(dtype)
    if np.dtype(dtype).kind in "fc":
        x[truths] = rng.choice(np.array([np.nan, np.inf, np.finfo(x.dtype).smallest_subnormal, 1], dtype), truths.sum())
        x[~truths] *= -1
    elif dtype == "?":
        x.view(np.uint8)[truths] = rng.integers(1, 256, truths.sum())
    else:
        x[truths] = np.iinfo(dtype).min or 128
    near(ndi.binary_fill_holes(x), scipy_ndimage.binary_fill_holes(truths))
    seed = rng.random(truths.shape) < 0.01
    near(ndi.binary_propagation(seed, None, x), scipy_ndimage.binary_propagation(seed, None, truths))
    if dtype not in ("g", "D"):
        near(ndi.binary_propagation(x, None, seed), scipy_ndimage.binary_propagation(truths, None, seed))


@pytest.mark.parametrize("dtype", ["?", "u1", "<i4", "f2", ">f4", "f8", "g", "D"])
def test_some_steps_within_a_mask(rng, dtype):
    truths, x = rng.random((40, 133)) < 0.6, rng.random((40, 133)) < 0.1
    mask = truths.astype(dtype)
    if np.dtype(dtype).kind in "fc":
        mask[truths] = rng.choice(np.array([np.nan, np.finfo(mask.dtype).smallest_subnormal, -1], dtype), truths.sum())
    else:
        mask.view(np.uint8)[mask.view(np.uint8) == 1] = 64
    for iterations in (1, 2, 5):
        for image in (x, x.astype("f4") * np.nan, x.astype("i2") << 8):
            for name in ("binary_dilation", "binary_erosion"):
                expected = getattr(scipy_ndimage, name)(image != 0, SQUARE, iterations, truths)
                near(getattr(ndi, name)(image, SQUARE, iterations, mask), expected)


def test_outputs_may_be_what_is_read(rng):
    for dtype in ("?", "u1", "f4"):
        x = rng.random((60, 140)) < 0.6
        seed = rng.random(x.shape) < 0.01
        holes, filled = scipy_ndimage.binary_fill_holes(x), scipy_ndimage.binary_propagation(seed, None, x)
        for which in range(3):
            arrays = [x.astype(dtype), seed.astype(dtype)]
            if which < 2:
                ndi.binary_propagation(arrays[1], None, arrays[0], arrays[which])
                np.testing.assert_array_equal(arrays[which], filled)
            else:
                assert ndi.binary_fill_holes(arrays[0], output=arrays[0]) is None
                np.testing.assert_array_equal(arrays[0], holes)
        host = np.zeros((61, 141), bool)
        host[:-1, :-1] = x
        ndi.binary_fill_holes(host[:-1, :-1], output=host[1:, 1:])
        np.testing.assert_array_equal(host[1:, 1:], holes)


@pytest.mark.parametrize("figure", FIGURES)
def test_threads_meet_at_seams(figure):
    """Bands of one line to a thread's whole share, whatever crosses them."""
    for way, seed, structure, filled, holes in fills(figure, 67, tuple(STRUCTURES)):
        for words in (1, 6, 1024):
            with runtime.use_seams({"neighborhood.FLOOD_WORDS": words}):
                for workers in (1, 2, 3, 7):
                    near(ndi.binary_propagation(seed, structure, way, workers=workers), filled)
                    near(ndi.binary_fill_holes(way, structure, workers=workers), holes)


def test_threads_of_more_axes(rng):
    with runtime.use_seams({"neighborhood.FLOOD_WORDS": 1}):
        for shape in ((7, 8, 66), (3, 4, 5, 6)):
            x = rng.random(shape) < 0.7
            seed = rng.random(shape) < 0.02
            for structure in (None, np.ones((3,) * len(shape)), np.ones((5, 1, 3, 1)[: len(shape)])):
                expected = scipy_ndimage.binary_propagation(seed, structure, x)
                for workers in (1, 2, 3, 5):
                    near(ndi.binary_propagation(seed, structure, x, workers=workers), expected)


def test_memory_is_bounded(rng):
    """Half a byte a pixel of long lines."""
    x = rng.random((2000, 2048)) < 0.5
    out = np.empty_like(x)
    ndi.binary_fill_holes(x[:100], output=out[:100])
    tracemalloc.start()
    ndi.binary_fill_holes(x, output=out, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * x.size


def test_nothing_is_left_behind(rng):
    x = rng.random((500, 500)) < 0.5
    tracemalloc.start()
    for _ in range(3):
        ndi.binary_fill_holes(x, workers=2)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        ndi.binary_fill_holes(x, workers=2)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 50_000


def test_an_interrupt_stops_a_fill(tmp_path):
    """One that would take many seconds, since each word has 250,000 steps to others."""
    script = """
        import fastconv.ndimage as ndi
        seed, mask = np.random.default_rng(0).random((2, 3000, 3000)) < 0.002
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        start = time.perf_counter()
        try:
            ndi.binary_propagation(seed, np.ones((501, 501)), mask, workers=1)
        except KeyboardInterrupt:
            print("stopped" if time.perf_counter() - start < 2 else "late")
        print(ndi.binary_fill_holes(np.eye(3)).sum())
    """
    assert run_script(script, cwd=tmp_path) == ["stopped", "3"]


def test_any_image(isa, rng):
    """Drawn images, seeds, structures, layouts and borders."""
    for _ in range(60):
        ndim = int(rng.integers(1, 4))
        shape = rng.integers(1, (200, 70, 20)[ndim - 1], ndim)
        x, seed = rng.random(shape) < rng.random(), rng.random(shape) < rng.random() ** 4
        structure = rng.random(rng.integers(1, 5, ndim)) < rng.random()
        structure[tuple(n // 2 for n in structure.shape)] = True
        border = int(rng.integers(2))
        order = rng.permutation(ndim)
        mask = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
        expected = scipy_ndimage.binary_dilation(seed, structure, -1, x, border_value=border, brute_force=True)
        near(ndi.binary_propagation(seed, structure, mask, border_value=border), expected)
