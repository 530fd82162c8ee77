"""The kernels of Winograd's method alone, against their contracts in kernels/conv/table.h, flush against pages without access."""

import numpy as np
import pytest
from test_conv_winograd import constants, matrices

import kernels
from guarded import place
from support import FLOATS, ROUNDOFF

pytestmark = kernels.needs_headers
both = pytest.mark.parametrize("dtype", FLOATS)
A, G, B = matrices(45 / 64, 91 / 64)[:3]
if kernels.KERNELS.exists():
    ROWS, STEPS, TAPS = (constants(name) for name in ("ROWS", "STEPS", "TAPS"))


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
    energies, least, most = blank(36, dtype=dtype), blank(channels, dtype=dtype), blank(channels, dtype=dtype)
    shares, scales = blank(channels, lanes, dtype=dtype), blank(lanes, dtype=dtype)

    def bounds(first):
        shares[...], scales[...] = sizes, 0
        k.winograd_bounds(kernels.arguments(
            "fc_winograd_bounds", squares=place(squares, at_end=True), shares=shares, scales=scales, energies=energies,
            least=least, most=most, channels=channels, columns=columns, width=lanes, first=first,
        ))

    bounds(True)
    largest = (squares[:, 1:columns] / sizes[:, 1:columns].mean(0) ** 2).max(1, initial=0)
    if columns > 1:
        for found, expected in ((least, scaled.min(1)), (most, scaled.max(1)), (energies, largest)):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(shares[:, 1:columns], scaled, rtol=1e-5)
    np.testing.assert_allclose(scales[1:columns], 1 / sizes[:, 1:columns].mean(0) ** 2, rtol=1e-5)
    for column in (0, lanes - 1):
        assert scales[column] == 0
        np.testing.assert_array_equal(shares[:, column], channels)
    before = [energies.copy(), least.copy(), most.copy()]
    squares[:, 1:] *= 0.5
    bounds(False)
    for now, then in zip((energies, least, most), before, strict=True):
        np.testing.assert_allclose(now, then, rtol=1e-6)
    for wrong in (np.nan, np.inf):
        squares[5, columns - 1] = wrong
        sizes[:, columns - 1] = 1
        bounds(False)
        assert np.isnan(energies[5])


@both
def test_weights_of_points(isa, rng, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for channels in (1, lanes, lanes + 3):
        vectors = -(-channels // lanes)
        energies, sizes = rng.random(36).astype(dtype), rng.random(channels).astype(dtype)
        most, weights = place(sizes, at_end=True), blank(vectors, 36, lanes, dtype=dtype)
        k.winograd_weights(kernels.arguments(
            "fc_winograd_weights", energies=place(energies, at_end=True), most=most, weights=weights, channels=channels,
            products=20.0,
        ))
        np.testing.assert_allclose(most, sizes**2, rtol=1e-6)
        found = np.moveaxis(weights, 1, 0).reshape(36, -1)
        of_steps = np.outer(ROWS, STEPS)
        if dtype == np.float64:
            of_steps = of_steps + np.outer(ROWS, TAPS) + np.outer(TAPS, ROWS)
        expected = 20 * energies[:, None] + of_steps.ravel()[:, None] * sizes.astype(float) ** 2
        np.testing.assert_allclose(found[:, :channels], expected, rtol=1e-5)
        assert not found[:, channels:].any()


@both
@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("vectors", [1, 2])
def test_tiles_are_transformed(isa, rng, tiles, vectors, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    channels, cols = vectors * lanes, 4 * tiles + 2
    x = place(rng.standard_normal((6, cols, channels)).astype(dtype), at_end=True)
    weights = place(rng.random((vectors, 6, 6, lanes)).astype(dtype), at_end=True)
    most = place(rng.random(channels).astype(dtype), at_end=True)
    step = tiles * channels + lanes
    v, squares = blank(35 * step + tiles * channels, dtype=dtype), blank(tiles, dtype=dtype)
    call = kernels.arguments(
        "fc_winograd_input", src=x, weights=weights, most=most, v=v, squares=squares, row_step=cols * channels, col_step=channels,
        tiles=tiles, channels=channels, point_step=step, tile_step=channels,
    )
    k.winograd_input(call)
    points = np.stack([v[p * step : p * step + tiles * channels] for p in range(36)]).reshape(6, 6, tiles, channels)
    for t in range(tiles):
        tile = x[:, 4 * t : 4 * t + 6]
        expected, terms = (np.einsum("ip,pqc,jq->ijc", m, d, m) for m, d in ((B, tile), (np.abs(B), np.abs(tile))))
        assert_near(points[:, :, t], expected, terms, dtype)
        energy = (expected**2 * np.moveaxis(weights, 0, 2).reshape(6, 6, channels)).sum(2)
        first = (np.einsum("ip,pqc->iqc", B, tile) ** 2).sum(1) @ most * (ROWS + STEPS)
        forms = [(A[i] ** 2) @ (energy @ (A[j] ** 2) + first) for i in (0, 3) for j in (0, 3)]
        np.testing.assert_allclose(squares[t], max(forms), rtol=1e-4)
    for y, z, c in np.ndindex(6, 6, channels):
        kept, x[y, z, c] = x[y, z, c], np.nan
        k.winograd_input(call)
        assert np.isnan(squares[0])
        x[y, z, c] = kept


@both
def test_sizes_of_pixels(isa, rng, dtype):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for pixels in (1, lanes - 1, lanes, lanes + 1, 3 * lanes):
        channels, room = 2 * lanes, -(-pixels // lanes) * lanes
        x = place(rng.standard_normal((pixels, channels)).astype(dtype), at_end=True)
        least, sizes = place(rng.random(channels).astype(dtype), at_end=True), blank(room, dtype=dtype)
        k.winograd_sizes(kernels.arguments(
            "fc_winograd_sizes", src=x, least=least, sizes=sizes, pixels=pixels, col_step=channels, channels=channels,
        ))
        np.testing.assert_allclose(sizes[:pixels], np.abs(x) @ least, rtol=1e-5)


@both
@pytest.mark.parametrize(("rows", "cut"), [(4, 0), (1, 3), (3, 1)])
def test_which_tiles_are_benign(isa, rng, rows, cut, dtype):
    k = kernels.real("conv", dtype)
    for tiles in (1, 2, 15, 16, 17, 33):
        step, cols = 4 * tiles + 2, 4 * tiles - cut
        sizes = rng.uniform(0.1, 1, (6, step))
        sizes[rng.random(sizes.shape) < 0.3] = 0
        of_tiles = 10 ** rng.uniform(-2, 7, tiles)
        of_tiles[rng.random(tiles) < 0.1] = np.nan
        windows = np.lib.stride_tricks.sliding_window_view(sizes, (3, 3)).sum((-1, -2))[:rows, :cols]
        expected = np.array([windows[:, 4 * t : 4 * t + 4].min() for t in range(tiles)])
        bad, least, needs = blank(tiles, dtype=np.uint8), blank(tiles, dtype=dtype), blank(tiles, dtype=dtype)
        benign = k.winograd_benign(kernels.arguments(
            "fc_winograd_benign", sizes=place(sizes.astype(dtype), at_end=True), least=least, needs=needs, bad=bad, step=step,
            squares=place(of_tiles.astype(dtype), at_end=True), tiles=tiles, rows=rows, cols=cols,
        ))
        np.testing.assert_allclose(least, expected, rtol=1e-5)
        np.testing.assert_allclose(needs, of_tiles * (0.425 / 16) ** 2, rtol=1e-5)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(bad, ~(0.425 * np.sqrt(of_tiles) <= 16 * expected))
        assert benign == tiles - bad.sum()


@both
@pytest.mark.parametrize("vectors", [1, 2])
def test_sums_of_windows(isa, rng, vectors, dtype):
    k, channels = kernels.real("conv", dtype), vectors * kernels.real("base", dtype).lanes
    x, sums = place(rng.standard_normal((6, 6, channels)).astype(dtype), at_end=True), blank(16, channels, dtype=dtype)
    k.winograd_windows(kernels.arguments(
        "fc_winograd_windows", src=x, sums=sums, row_step=6 * channels, col_step=channels, channels=channels,
    ))
    windows = np.lib.stride_tricks.sliding_window_view(np.abs(x), (3, 3), (0, 1)).sum((-1, -2))
    np.testing.assert_allclose(sums, windows.reshape(16, channels), rtol=1e-5)


@both
def test_least_of_all_windows_and_filters(isa, rng, dtype):
    k, width = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for rows, cols in ((4, 4), (1, 3), (2, 1)):
        sums, need = place(rng.uniform(1, 2, (4, 4, width)).astype(dtype), at_end=True), blank(1, dtype=dtype)
        expected, least = sums[:rows, :cols].min(), np.array([0.5], dtype)
        for first, held, factor in ((False, 0.5, 1), (True, expected, 0.99), (True, expected, 1.01), (True, expected, np.nan)):
            need[0] = (held * factor) ** 2
            kept = k.winograd_least(kernels.arguments(
                "fc_winograd_least", sums=sums, need=need, least=least, rows=rows, cols=cols, width=width, first=first,
            ))
            assert least[0] == dtype(held)
            assert kept == (factor <= 1)


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
            out, bad = blank(rows, cols, columns, dtype=dtype), blank(tiles, dtype=np.uint8)
            scales = place(rng.random(width).astype(dtype), at_end=True)
            least = place(rng.uniform(1, 8, tiles).astype(dtype), at_end=True)
            bad[-1] = tiles == 3  # stays
            k.winograd_output(kernels.arguments(
                "fc_winograd_output", m=m, scales=scales, least=least, bad=bad, alike=7.0, bias=bias if biased else None, out=out,
                tiles=tiles, rows=rows, cols=cols, columns=columns, point_step=step, tile_step=width, out_row=cols * columns,
                out_col=columns,
            ))
            points = np.stack([m[p * step : p * step + tiles * width] for p in range(36)]).reshape(6, 6, tiles, width)
            expected, terms = (
                np.einsum("yi,ijtk,xj->ytxk", a, d, a).reshape(4, 4 * tiles, width)[:rows, :cols, :columns]
                for a, d in ((A, points.astype(float)), (np.abs(A), np.abs(points.astype(float))))
            )
            shift = bias if biased else 0
            assert_near(out, expected + shift, terms + np.abs(shift), dtype)
            forms = [np.einsum("i,ijtk,j->tk", A[i] ** 2, points.astype(float) ** 2, A[j] ** 2) for i in (0, 3) for j in (0, 3)]
            worst = (np.max(forms, 0) * scales).max(1)
            np.testing.assert_array_equal(bad, (7 * worst > (8 * least) ** 2) | ((np.arange(tiles) == 2) & (tiles == 3)))
