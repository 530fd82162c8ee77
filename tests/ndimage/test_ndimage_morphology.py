"""Grey and binary morphology beside scipy.ndimage."""

import numpy as np
import pytest
from oracle import MODES, REAL, SHAPES, image, near, same, scipy_ndimage
from test_ndimage_filters import some_axes, window

import fastconv.ndimage as ndi

GREY = ["grey_erosion", "grey_dilation", "grey_opening", "grey_closing", "morphological_gradient", "morphological_laplace",
        "white_tophat", "black_tophat"]  # fmt: skip


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", GREY)
def test_grey(rng, name, dtype):
    for _ in range(4):
        x = image(rng, SHAPES[rng.integers(len(SHAPES))], dtype)
        mode, cval = MODES[rng.integers(len(MODES))], 1
        sizes, origins = window(rng, x.ndim)
        same(name, x, sizes, None, None, None, mode, cval, origins)
        axes = some_axes(rng, x.ndim)
        sizes, origins = window(rng, len(axes), 4)
        footprint = rng.random(sizes) < 0.7
        footprint.flat[-1] = True
        target = np.zeros(x.shape, x.dtype)
        same(name, x, None, footprint, None, target if name != "morphological_laplace" else None, mode, cval, origins, axes=axes)


@pytest.mark.parametrize("name", GREY)
def test_results_are_in_the_machines_byte_order(rng, name):
    for dtype in (">f4", ">i2"):
        assert same(name, image(rng, (7, 9), dtype[1:]).astype(dtype), 3).dtype.isnative


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("name", ["grey_erosion", "grey_dilation", "grey_opening", "grey_closing"])
def test_structures_that_are_not_flat(rng, name, dtype):
    for whole in (True, False):
        x = image(rng, (7, 9), dtype)
        structure = rng.integers(-3, 4, (3, 4)).astype(float)
        structure += 0 if whole else 0.25
        footprint = rng.random((3, 4)) < 0.7
        footprint[0, 0] = True
        kwargs = {"mode": MODES[rng.integers(len(MODES))], "cval": 1, "origin": (0, -1)}
        for cells in (None, footprint):
            if dtype == "?" and name.startswith("grey_") and not name.endswith("ing"):
                expected = getattr(scipy_ndimage, name)(x, None, cells, structure, **kwargs)
                # SciPy leaves other bytes than 0 and 1 in booleans.
                near(getattr(ndi, name)(x, None, cells, structure, **kwargs), expected.view(np.uint8) != 0)
            elif dtype != "?":
                same(name, x, None, cells, structure, **kwargs)


def test_flat_structures_are_footprints(rng):
    x = image(rng, (9, 8, 3), "u1")
    for name in GREY:
        same(name, x, structure=np.zeros((3, 3)), axes=(0, 1))
        with_both = {"size": 3, "footprint": np.ones((2, 2), bool), "axes": (0, 1)}
        same(name, x, **with_both)  # which warns


@pytest.mark.parametrize("rank", range(5))
def test_structures(rank):
    for connectivity in range(-1, rank + 2):
        near(ndi.generate_binary_structure(rank, connectivity), scipy_ndimage.generate_binary_structure(rank, connectivity))
    if rank:
        structure = ndi.generate_binary_structure(rank, 1)
        for iterations in (0, 1, 2, 3):
            near(ndi.iterate_structure(structure, iterations), scipy_ndimage.iterate_structure(structure, iterations))
        found = ndi.iterate_structure(np.ones((2,) * rank), 3, 1)
        expected = scipy_ndimage.iterate_structure(np.ones((2,) * rank), 3, 1)
        near(found[0], expected[0])
        assert found[1] == expected[1]


@pytest.mark.parametrize("name", ["binary_erosion", "binary_dilation", "binary_opening", "binary_closing"])
@pytest.mark.parametrize("iterations", [1, 2, 5, 0, -1])
def test_binary(rng, name, iterations):
    for _ in range(25):
        x = image(rng, SHAPES[rng.integers(len(SHAPES))], "?")
        x = [x, x.astype("f4") * 0.5, x.astype("u2") * 512][rng.integers(3)]
        axes = some_axes(rng, x.ndim)
        sizes, origins = window(rng, len(axes), 4)
        structure = rng.random(sizes) < 0.6
        middle = tuple(n // 2 + o for n, o in zip(sizes, origins, strict=True))
        structure[middle] = True
        if rng.random() < 0.4:
            structure, origins = None, 0
        mask = rng.random(x.shape) < 0.7 if rng.random() < 0.5 else None
        kwargs = {"mask": mask, "border_value": int(rng.integers(2)), "origin": origins, "axes": axes}
        if rng.random() < 0.3:
            kwargs["output"] = np.zeros(x.shape, ["?", "u1", "i2", "i8"][rng.integers(4)])
        # With structures of one's own SciPy's other way of several iterations writes beyond its memory at times.
        same(name, x, structure, iterations, brute_force=structure is not None, **kwargs)


def test_results_in_floats_are_those_in_booleans(rng):
    x, mask = rng.random((9, 10)) < 0.8, rng.random((9, 10)) < 0.7
    for iterations in (1, 3, -1):
        for border in (0, 1):
            output = np.zeros(x.shape, np.float32)
            expected = same("binary_erosion", x, None, iterations, mask, None, border)
            np.testing.assert_array_equal(ndi.binary_erosion(x, None, iterations, mask, output, border), expected)


def test_structures_without_their_middle(rng):
    x = rng.random((9, 11)) < 0.6
    structure = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]])
    for name in ("binary_erosion", "binary_dilation"):
        for iterations in (1, 2, 3):
            same(name, x, structure, iterations)
        same(name, x, structure, 2, brute_force=True)
    same("binary_erosion", x, structure, -1, border_value=1, brute_force=True)
    same("binary_erosion", x, np.zeros((3, 3)))
    same("binary_dilation", x, np.zeros((3, 3)))


def test_hit_or_miss(rng):
    for _ in range(20):
        x = rng.random((9, 10)) < 0.5
        one, two = rng.random((2, 3)) < 0.4, rng.random((3, 3)) < 0.3
        one[1, 1] = True
        same("binary_hit_or_miss", x, one, two, origin1=(0, -1))
        same("binary_hit_or_miss", x, one, origin1=(-1, 0), origin2=(0, 0))
        same("binary_hit_or_miss", x, two, output=np.zeros(x.shape, bool))
    same("binary_hit_or_miss", x)
    same("binary_hit_or_miss", x, axes=(1,))


STRUCTURES = [
    None, np.ones((3, 3)), [[1, 0, 0], [1, 1, 1], [0, 0, 1]], [[0, 1, 0], [0, 1, 0], [0, 1, 0]], [[1, 1, 1]], np.ones((5, 3)),
    [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], [[1, 0, 1], [1, 1, 1], [1, 0, 1]], [[1, 0, 1, 0, 1]], [[1, 1, 0]],
    np.ones((1, 7)),
]  # fmt: skip


@pytest.mark.parametrize("structure", STRUCTURES)
def test_propagation(rng, structure):
    for density in (0.3, 0.55, 0.7, 0.9):
        mask = rng.random((24, 31)) < density
        x = rng.random(mask.shape) < 0.02
        for border in (0, 1):
            for where in (mask, None):
                expected = scipy_ndimage.binary_dilation(x, structure, -1, where, None, border, brute_force=True)
                near(ndi.binary_propagation(x, structure, where, border_value=border), expected)
            same("binary_erosion", x | mask, structure, -1, mask=mask, border_value=border, brute_force=True)
            same("binary_erosion", mask, structure, -1, border_value=border, brute_force=True)
        outside = scipy_ndimage.binary_dilation(np.zeros_like(mask), structure, -1, ~mask, None, 1, brute_force=True)
        near(ndi.binary_fill_holes(mask, structure), ~outside)
        output = np.zeros(mask.shape, "u1")
        assert ndi.binary_fill_holes(mask, structure, output) is None
        np.testing.assert_array_equal(output, ~outside)


def test_propagation_on_other_axes_and_of_other_shapes(rng):
    for shape in [(1,), (40,), (6, 7, 8), (3, 2, 4, 5), (0, 3), (1, 1)]:
        x = rng.random(shape) < 0.6
        same("binary_fill_holes", x)
        same("binary_propagation", rng.random(shape) < 0.1, mask=x)
        for axis in range(len(shape)):
            same("binary_fill_holes", x, axes=(axis,))
            same("binary_propagation", rng.random(shape) < 0.1, None, x, axes=axis if axis else None)
        same("binary_fill_holes", x, ndi.generate_binary_structure(len(shape), len(shape)))
