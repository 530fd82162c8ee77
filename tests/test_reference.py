"""The judge is judged: the reference against SciPy, NumPy and values worked out by hand."""

import numpy as np
import pytest
from scipy import ndimage, signal

import reference


def test_one_output_by_hand():
    x = np.arange(9.0).reshape(3, 3, 1)
    w = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1)
    assert reference.conv2d(x, w)[0, 0, 0] == 0 * 1 + 1 * 10 + 3 * 100 + 4 * 1000
    assert reference.conv2d(x, w, flip_filters=True)[0, 0, 0] == 0 * 1000 + 1 * 100 + 3 * 10 + 4 * 1


@pytest.mark.parametrize("padding, mode", [("VALID", "valid"), ("FULL", "full"), ("SAME_LOWER", "same")])
@pytest.mark.parametrize("size", [(3, 5), (2, 4)])
def test_agrees_with_scipy_signal(rng, padding, mode, size):
    x, w = rng.integers(-9, 10, (9, 8)), rng.integers(-9, 10, size)
    result = reference.conv2d(x[..., None], w[..., None, None], padding=padding, flip_filters=True)
    np.testing.assert_array_equal(result[..., 0], signal.convolve2d(x, w, mode))


MODES = {
    "constant": "constant",
    "edge": "nearest",
    "symmetric": "reflect",
    "mirror": "mirror",
    "wrap": "grid-wrap",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(3, 5), (15, 13)])
def test_modes_agree_with_scipy_ndimage_even_where_the_filter_is_larger(rng, mode, size):
    x, w = rng.integers(-9, 10, (4, 3)).astype(float), rng.integers(-9, 10, size).astype(float)
    result = reference.conv2d(x[..., None], w[..., None, None], padding="SAME", padding_mode=mode, cval=7)
    np.testing.assert_array_equal(result[..., 0], ndimage.correlate(x, w, mode=MODES[mode], cval=7))


def test_channels_groups_and_batch_agree_with_einsum(rng):
    x, w = rng.integers(-4, 5, (2, 3, 5, 6, 4)), rng.integers(-4, 5, (2, 3, 2, 6))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(2, 3))
    halves = [
        np.einsum("abijcxy,xyck->abijk", windows[..., 2 * g : 2 * g + 2, :, :], w[..., 3 * g : 3 * g + 3])
        for g in (0, 1)
    ]
    np.testing.assert_array_equal(reference.conv2d(x, w, groups=2), np.concatenate(halves, -1))


def test_strides_and_dilations_pick_from_the_dense_result(rng):
    x, w = rng.integers(-4, 5, (11, 12, 2)), rng.integers(-4, 5, (3, 2, 2, 3))
    spread = np.zeros((5, 4, 2, 3))
    spread[::2, ::3] = w
    result = reference.conv2d(x, w, (2, 3), dilations=(2, 3))
    np.testing.assert_array_equal(result, reference.conv2d(x, spread)[::2, ::3])


@pytest.mark.parametrize(
    "name, size, span, stride, expected",
    [
        ("SAME", 5, 3, 1, (1, 1)),
        ("SAME", 5, 2, 1, (0, 1)),
        ("same_lower", 5, 2, 1, (1, 0)),
        ("SAME", 224, 7, 2, (2, 3)),
        ("SAME_LOWER", 224, 7, 2, (3, 2)),
        ("SAME", 6, 1, 3, (0, 0)),
        ("Full", 5, 4, 2, (3, 3)),
    ],
)
def test_named_paddings_are_those_of_tensorflow(name, size, span, stride, expected):
    assert reference.axis_padding(name, 0, size, span, stride) == expected


def test_data_format_only_moves_the_channels(rng):
    x, w = rng.integers(-4, 5, (2, 5, 6, 3)), rng.integers(-4, 5, (3, 3, 3, 4))
    moved = reference.conv2d(
        np.moveaxis(x, -1, 1), w, data_format="NCHW", bias=np.arange(4), activation="relu"
    )
    np.testing.assert_array_equal(
        moved, np.moveaxis(reference.conv2d(x, w, bias=np.arange(4), activation="relu"), -1, 1)
    )


def test_abs_bounds_the_result(rng):
    x, w = rng.standard_normal((5, 6, 3)), rng.standard_normal((3, 3, 3, 4))
    options = {"padding": 2, "cval": -1.5, "bias": rng.standard_normal(4)}
    assert np.all(np.abs(reference.conv2d(x, w, **options)) < reference.conv2d_abs(x, w, **options))
