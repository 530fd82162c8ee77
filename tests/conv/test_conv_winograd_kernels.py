"""The kernels of Winograd's method alone, against their contracts in kernels/conv/table.h, flush against pages without access."""

import numpy as np
import pytest
from test_conv_winograd import matrices

import kernels
from guarded import place
from support import FLOATS, ROUNDOFF

pytestmark = kernels.needs_headers
both = pytest.mark.parametrize("dtype", FLOATS)
A, G, B = matrices(45 / 64, 91 / 64)[:3]


def blank(*shape, dtype):
    return place(np.zeros(shape, dtype), at_end=True)


def assert_near(actual, expected, sizes, dtype):
    """Assert equality to a few roundings of what the sizes of all terms add up to."""
    assert np.all(np.abs(actual - expected) <= 16 * ROUNDOFF[np.dtype(dtype)] * sizes)


@both
@pytest.mark.parametrize("vectors", [1, 3])
def test_filters_are_transformed(isa, rng, vectors, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    width, channels = vectors * lanes, 5
    taps = place(rng.standard_normal((3, 3, channels, width)).astype(dtype), at_end=True)
    step = channels * width + lanes
    u = blank(35 * step + channels * width, dtype=dtype)
    sizes, squares = blank(channels, width, dtype=dtype), blank(36, width, dtype=dtype)
    squares[3] = 1e6  # those of another chain stay where they are larger
    k.winograd_filters(kernels.arguments(
        "fc_winograd_filters", taps=taps, u=u, sizes=sizes, squares=squares, channels=channels, width=width, point_step=step,
    ))
    points = np.stack([u[p * step : p * step + channels * width] for p in range(36)]).reshape(6, 6, channels, width)
    expected, terms = (np.einsum("ia,abck,jb->ijck", m, t, m) for m, t in ((G, taps), (np.abs(G), np.abs(taps))))
    assert_near(points, expected, terms, dtype)
    np.testing.assert_array_equal(sizes, np.abs(taps).max((0, 1)))
    sums = (points.astype(float) ** 2).sum(2).reshape(36, width)
    np.testing.assert_allclose(squares, np.where(np.arange(36)[:, None] == 3, 1e6, sums), rtol=1e-6)


@both
def test_bounds_of_filters(isa, rng, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    channels, columns = 7, lanes - 1
    sizes, squares = (rng.uniform(0.1, 2, (n, lanes)).astype(dtype) for n in (channels, 36))
    sizes[:, 0] = squares[:, 0] = 0  # a filter without taps counts for nothing
    sizes[:, -1] = squares[:, -1] = np.nan  # beyond the last column
    scaled = sizes[:, 1:columns] / sizes[:, 1:columns].mean(0)
    weights, least, most = blank(36, dtype=dtype), blank(channels, dtype=dtype), blank(channels, dtype=dtype)

    def bounds(first):
        k.winograd_bounds(kernels.arguments(
            "fc_winograd_bounds", sizes=place(sizes, at_end=True), squares=place(squares, at_end=True), weights=weights,
            least=least, most=most, channels=channels, columns=columns, width=lanes, first=first,
        ))

    bounds(True)
    largest = (squares[:, 1:columns] / sizes[:, 1:columns].mean(0) ** 2).max(1, initial=0)
    if columns > 1:
        for found, expected in ((least, scaled.min(1)), (most, scaled.max(1)), (weights, largest)):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    before = [weights.copy(), least.copy(), most.copy()]
    squares[:, 1:] *= 0.5
    bounds(False)
    for now, then in zip((weights, least, most), before, strict=True):
        np.testing.assert_allclose(now, then, rtol=1e-6)
    for wrong in (np.nan, np.inf):
        squares[5, columns - 1] = wrong
        sizes[:, columns - 1] = 1
        bounds(False)
        assert np.isnan(weights[5])


@both
@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("vectors", [1, 2])
def test_tiles_are_transformed(isa, rng, tiles, vectors, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    channels, cols = vectors * lanes, 4 * tiles + 2
    x = place(rng.standard_normal((6, cols, channels)).astype(dtype), at_end=True)
    weights = place(rng.random((6, 6)).astype(dtype), at_end=True)
    step = tiles * channels + lanes
    v, squares = blank(35 * step + tiles * channels, dtype=dtype), blank(tiles, dtype=dtype)
    k.winograd_input(kernels.arguments(
        "fc_winograd_input", src=x, weights=weights, v=v, squares=squares, row_step=cols * channels, col_step=channels,
        tiles=tiles, channels=channels, point_step=step, tile_step=channels,
    ))
    points = np.stack([v[p * step : p * step + tiles * channels] for p in range(36)]).reshape(6, 6, tiles, channels)
    for t in range(tiles):
        tile = x[:, 4 * t : 4 * t + 6]
        expected, terms = (np.einsum("ip,pqc,jq->ijc", m, d, m) for m, d in ((B, tile), (np.abs(B), np.abs(tile))))
        assert_near(points[:, :, t], expected, terms, dtype)
        energy = (expected**2).sum(2) * weights
        forms = [(A[i] ** 2) @ energy @ (A[j] ** 2) for i in (0, 3) for j in (0, 3)]
        np.testing.assert_allclose(squares[t], max(forms), rtol=1e-4)


@both
def test_sizes_of_pixels(isa, rng, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for pixels in (1, lanes - 1, lanes, lanes + 1, 3 * lanes):
        channels, room = 2 * lanes, -(-pixels // lanes) * lanes
        x = place(rng.standard_normal((pixels, channels)).astype(dtype), at_end=True)
        least, most = (place(rng.random(channels).astype(dtype), at_end=True) for _ in range(2))
        sizes, squares = blank(room, dtype=dtype), blank(room, dtype=dtype)
        k.winograd_sizes(kernels.arguments(
            "fc_winograd_sizes", src=x, least=least, most=most, sizes=sizes, squares=squares, pixels=pixels, col_step=channels,
            channels=channels,
        ))
        np.testing.assert_allclose(sizes[:pixels], np.abs(x) @ least, rtol=1e-5)
        np.testing.assert_allclose(squares[:pixels], x**2 @ most**2, rtol=1e-5)


@both
@pytest.mark.parametrize(("rows", "cut"), [(4, 0), (1, 3), (3, 1)])
def test_which_tiles_are_benign(isa, rng, rows, cut, dtype):
    k = kernels.real("conv", dtype)
    for tiles in (1, 2, 15, 16, 17, 33):
        step, cols, products = 4 * tiles + 2, 4 * tiles - cut, 3.0
        sizes, squares = rng.uniform(0.1, 1, (6, step)), rng.uniform(0, 1, (6, step))
        sizes[rng.random(sizes.shape) < 0.3] = 0
        of_tiles = 10 ** rng.uniform(-2, 5, tiles)
        of_tiles[rng.random(tiles) < 0.1] = np.nan
        windows = np.lib.stride_tricks.sliding_window_view(sizes, (3, 3)).sum((-1, -2))[:rows, :cols]
        norm = 34 if dtype == np.float32 else 45
        expected = []
        for t in range(tiles):
            least, energy = windows[:, 4 * t : 4 * t + 4].min(), squares[:, 4 * t : 4 * t + 6].sum()
            with np.errstate(invalid="ignore"):
                expected.append(not np.sqrt(products * of_tiles[t] + norm**2 * energy) * 0.425 <= 20 * least)
        bad = blank(tiles, dtype=np.uint8)
        given = (place(a.astype(dtype), at_end=True) for a in (sizes, squares, of_tiles))
        benign = k.winograd_benign(kernels.arguments(
            "fc_winograd_benign", **dict(zip(("sizes", "squares", "tile_squares"), given, strict=True)), bad=bad, step=step,
            tiles=tiles, rows=rows, cols=cols, products=products,
        ))
        np.testing.assert_array_equal(bad, expected)
        assert benign == tiles - sum(expected)


@both
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("rows", "cut"), [(4, 0), (1, 3), (3, 1)])
def test_products_become_outputs(isa, rng, rows, cut, biased, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for tiles in (1, 3):
        for columns in {1, lanes - 1, lanes, lanes + 1, 2 * lanes}:
            width, cols = -(-columns // lanes) * lanes, 4 * tiles - cut
            step = tiles * width + lanes
            m = place(rng.standard_normal(35 * step + tiles * width).astype(dtype), at_end=True)
            bias = place(rng.standard_normal(columns).astype(dtype), at_end=True)
            out = blank(rows, cols, columns, dtype=dtype)
            k.winograd_output(kernels.arguments(
                "fc_winograd_output", m=m, bias=bias if biased else None, out=out, tiles=tiles, rows=rows, cols=cols,
                columns=columns, point_step=step, tile_step=width, out_row=cols * columns, out_col=columns,
            ))
            points = np.stack([m[p * step : p * step + tiles * width] for p in range(36)]).reshape(6, 6, tiles, width)
            expected, terms = (
                np.einsum("yi,ijtk,xj->ytxk", a, d, a).reshape(4, 4 * tiles, width)[:rows, :cols, :columns]
                for a, d in ((A, points.astype(float)), (np.abs(A), np.abs(points.astype(float))))
            )
            shift = bias if biased else 0
            assert_near(out, expected + shift, terms + np.abs(shift), dtype)
