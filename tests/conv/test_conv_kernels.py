"""The kernels of conv2d alone, against their contracts in kernels/conv/table.h, flush against pages that must not be touched."""

import ctypes
import itertools

import numpy as np
import pytest

import kernels
from guarded import place
from kernels import aligned, small
from support import FLOATS, ROUNDOFF

pytestmark = kernels.needs_headers

LEVELS = 8


def indices(values):
    return np.array(values, np.intp)


@pytest.mark.parametrize("dtype", FLOATS)
def test_few_channels(isa, dtype, rng):
    """Every number of outputs, with as many vectors as it has and one; chains of one term, of some, of all."""
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for outputs in range(1, k.outputs + 1):
        for vectors in {1, k.planar[outputs]}:
            for count, chain in ((1, 16), (5, 1), (17, 16), (33, 4)):
                width = vectors * lanes
                src = place(small(rng, count + width, dtype=dtype), at_end=True)
                w = place(small(rng, count, outputs, dtype=dtype), at_end=True)
                taps = indices(rng.permutation(count) + 1)
                out = place(np.zeros((outputs, width), dtype), at_end=True)
                k.planar_taps(kernels.arguments(
                    "fc_planar_taps", src=src, w=w, taps=taps, count=count, chain=chain, outputs=outputs, vectors=vectors,
                    sums=aligned(LEVELS * outputs * width, dtype), out=out, out_step=width,
                ))
                expected = sum(w[t][:, None] * src[taps[t] : taps[t] + width] for t in range(count))
                assert np.array_equal(out, expected), (outputs, vectors, count, chain)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("tap_step", [1, 3])
def test_rows_of_a_plane(isa, dtype, tap_step, rng):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for rows in range(1, k.row_group + 1):
        for vectors in {1, k.row_vectors} if rows == k.row_group else {1}:
            for fh, fw in ((1, 1), (2, 3), (3, 17), (7, 5)):
                width = vectors * lanes
                step = width + (fw - 1) * tap_step
                src = place(small(rng, rows + fh - 1, step, dtype=dtype), at_end=True)
                w = place(small(rng, fh, fw, dtype=dtype), at_end=True)
                out = place(np.zeros((rows, width), dtype), at_end=True)
                k.plane_rows(kernels.arguments(
                    "fc_plane_rows", src=src, w=w, src_step=step, tap_step=tap_step, fh=fh, fw=fw, chains=0, rows=rows,
                    vectors=vectors, last=True, sums=aligned(LEVELS * 4 * width, dtype), out=out, out_step=width,
                ))
                expected = sum(
                    w[i, j] * src[i : i + rows, j * tap_step : j * tap_step + width] for i in range(fh) for j in range(fw)
                )
                assert np.array_equal(out, expected), (rows, vectors, fh, fw)


@pytest.mark.parametrize("dtype", FLOATS)
def test_depthwise_taps(isa, dtype, rng):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for pixels in range(1, k.pixels + 1):
        for count, chain in ((1, 16), (9, 4), (33, 16)):
            step = 2 * lanes
            src = place(small(rng, (pixels - 1) * step + (count + 1) * lanes, dtype=dtype), at_end=True)
            w = place(small(rng, count, lanes, dtype=dtype), at_end=True)
            taps = indices(rng.permutation(count) * lanes)
            out = place(np.zeros((pixels, lanes), dtype), at_end=True)
            k.channel_taps(kernels.arguments(
                "fc_channel_taps", src=src, w=w, taps=taps, count=count, chain=chain, step=step, w_step=lanes, pixels=pixels,
                sums=aligned(LEVELS * pixels * lanes, dtype), out=out, out_step=lanes,
            ))
            expected = [
                sum(w[t] * src[taps[t] + p * step : taps[t] + p * step + lanes] for t in range(count)) for p in range(pixels)
            ]
            assert np.array_equal(out, expected), (pixels, count, chain)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channelwise", [0, 1])
def test_products_of_pixels(isa, dtype, channelwise, rng):
    """Every shape of the tile; runs of pixels, several of them to a chain, some empty; sums that come in two calls."""
    base, k = kernels.real("base", dtype), kernels.real("conv", dtype)
    for vectors in range(1, base.vectors + 1):
        for rows in range(1, (12 // vectors if channelwise else base.rows[vectors]) + 1):
            width, lengths, ends = vectors * base.lanes, (3, 0, 2, 7, 1, 4), (0, 1, 1, 0, 1, 1)
            a_row = width + 3
            a_size = (rows - 1) * a_row + width if channelwise else rows
            pixels = sum(lengths) + 5
            a_step, b_step = a_size + 1, width + 2
            a = place(small(rng, (pixels - 1) * a_step + a_size, dtype=dtype), at_end=True)
            b = place(small(rng, (pixels - 1) * b_step + width, dtype=dtype), at_end=True)
            runs, expected, start = (kernels.TYPES["fc_pixels"] * len(lengths))(), np.zeros((rows, width)), 0
            for run, length, end in zip(runs, lengths, ends, strict=True):
                at = pixels - length if start == 0 else start  # the first run lies last
                run.a, run.b, run.length, run.ends = at * a_step, at * b_step, length, end
                for p in range(at, at + length):
                    shape, step = ((rows, width), a_row) if channelwise else ((rows, 1), 1)
                    x = np.lib.stride_tricks.as_strided(a[p * a_step :], shape, (a.itemsize * step, a.itemsize))
                    expected += x * b[p * b_step : p * b_step + width]
                start += length if start else 1
            sums = [aligned(rows * width, dtype) for _ in range(LEVELS)]
            places = (ctypes.c_void_p * LEVELS)(*(kernels.at(s) for s in sums))
            out = place(np.full((rows, width + 1), np.nan, dtype), at_end=True)
            for first, count, chain in ((0, 3, 0), (3, 3, 2)):
                k.products(kernels.arguments(
                    "fc_products", a=a, b=b, runs=ctypes.addressof(runs[first]), count=count, a_step=a_step, b_step=b_step,
                    a_row=a_row, chain=chain, out_step=width + 1, rows=rows, vectors=vectors, channelwise=channelwise,
                    last=first > 0, c=ctypes.addressof(places), out=out,
                ))
            assert np.array_equal(out[:, :width], expected), (vectors, rows)
            assert np.isnan(out[:, width]).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_turning_touches_nothing_else(isa, dtype, rng):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    for rows, columns in itertools.product({0, 1, lanes - 1, lanes, 2 * lanes + 3}, {1, lanes, lanes + 1, 3 * lanes}):
        source = place(rng.standard_normal((rows, columns)).astype(dtype), at_end=True)
        result = place(np.full((columns, rows + 2), np.nan, dtype), at_end=True)
        k.turn(kernels.at(result), rows + 2, kernels.at(source), columns, rows, columns)
        assert np.array_equal(result[:, :rows], source.T)
        assert np.isnan(result[:, rows:]).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_depthwise_rows(isa, dtype, rng):
    k, lanes = kernels.real("conv", dtype), kernels.real("base", dtype).lanes
    rows, least = kernels.constant("FC_CHANNEL_ROWS"), kernels.constant("FC_CHANNEL_PIXELS")
    for pixels in (least, least + 1, 2 * least - 1, 2 * least, 3 * least + 2):
        src = place(small(rng, rows + 2, pixels + 2, lanes, dtype=dtype), at_end=True)
        w = place(small(rng, 3, 3, lanes, dtype=dtype), at_end=True)
        out = place(np.zeros((rows, pixels, lanes), dtype), at_end=True)
        k.channel_rows(kernels.arguments(
            "fc_channel_rows", src=src, w=w, pixels=pixels, row_step=(pixels + 2) * lanes, step=lanes, w_step=lanes, out=out,
            out_row=pixels * lanes, out_step=lanes,
        ))  # fmt: skip
        expected = sum(w[i, j] * src[i : i + rows, j : j + pixels] for i in range(3) for j in range(3))
        assert np.array_equal(out, expected), pixels


@pytest.mark.parametrize("dtype", FLOATS)
def test_lanes_share_the_terms_of_few_columns(isa, dtype, rng):
    base, k = kernels.real("base", dtype), kernels.real("conv", dtype)
    for split in (s for s in (2, 4) if s <= k.split):
        for columns in range(1, base.lanes // split + 1):
            for rows in {1, 2, base.rows[1]}:
                for length in (1, split - 1, split, split + 1, 3 * split + 1):
                    a = place(small(rng, rows, length, dtype=dtype), at_end=True)
                    dense = small(rng, length, columns, dtype=dtype)
                    steps = -(-length // split)
                    b = np.zeros((steps, base.lanes // split, split), dtype)
                    for t in range(length):
                        b[t // split, :columns, t % split] = dense[t]
                    b = place(b, at_end=True)
                    piece = kernels.TYPES["fc_piece"](0, length, 1)
                    sums = [aligned(rows * base.lanes, dtype) for _ in range(2)]
                    places = (ctypes.c_void_p * 2)(*(kernels.at(s) for s in sums))
                    out = place(np.zeros((rows, columns), dtype), at_end=True)
                    k.split_tile(kernels.arguments(
                        "fc_tile", a=a, b=b, pieces=ctypes.addressof(piece), count=1, step=length, chain=0, rows=rows, vectors=1,
                        last=True, split=split, columns=columns, c=ctypes.addressof(places), out=out, out_step=columns,
                    ))
                    assert np.array_equal(out, a @ dense), (split, columns, rows, length)


@pytest.mark.parametrize("dtype", FLOATS)
def test_windows_with_boundaries(isa, dtype, rng):
    """Rows and columns by lists, some outside; channels near or far."""
    k = kernels.real("conv", dtype)
    kind = kernels.constant("FC_F32" if dtype == np.float32 else "FC_F64")
    for channels in (1, 2, 3, 8, 9):
        for planar in (False, True):
            image = small(rng, 5, 70, channels, dtype=dtype)
            host = place(np.ascontiguousarray(image.transpose(2, 0, 1)) if planar else image, at_end=True)
            seen = host.transpose(1, 2, 0) if planar else host
            rows, inside = indices([-1, 2, 0, 4]), 66
            columns = indices([-1, 1, 0, *range(2, 2 + inside), -1, 69])
            listed = indices([*columns[:4], *np.full(inside - 1, 99), *columns[3 + inside :]])  # only the first inside is read
            dst = place(np.zeros((4, len(columns), channels), dtype), at_end=True)
            k.window(kernels.arguments(
                "fc_window", dst=dst, dst_row=len(columns) * channels, dst_col=channels, dst_channel=1, src=host,
                src_row=seen.strides[0], src_col=seen.strides[1], src_channel=seen.strides[2], row_index=rows, col_index=listed,
                inside=3, inside_end=3 + inside, inside_gap=1, rows=4, cols=len(columns), channels=channels, repeat=1, kind=kind,
                fill=7.0,
            ))
            expected = np.full(dst.shape, 7, dtype)
            for r, row in enumerate(rows):
                for x, column in enumerate(columns):
                    if row >= 0 and column >= 0:
                        expected[r, x] = image[row, column]
            assert np.array_equal(dst, expected), (channels, planar)


@pytest.mark.parametrize("dtype", FLOATS)
def test_activations_while_storing(isa, dtype, rng):
    k = kernels.real("conv", dtype)
    kind = kernels.constant("FC_F32" if dtype == np.float32 else "FC_F64")
    formulas = {
        "FC_LINEAR": lambda x: x,
        "FC_RELU": lambda x: np.maximum(x, 0),
        "FC_RELU6": lambda x: np.clip(x, 0, 6),
        "FC_SILU": lambda x: x / (1 + np.exp(-x)),
        "FC_SIGMOID": lambda x: 1 / (1 + np.exp(-x)),
        "FC_TANH": np.tanh,
    }
    for rows, columns in ((1, 1), (3, 7), (2, 257)):
        c = place((10 * rng.standard_normal((rows, columns))).astype(dtype), at_end=True)
        bias = place(rng.standard_normal(columns).astype(dtype), at_end=True)
        for name, formula in formulas.items():
            out = place(np.zeros((rows, columns), dtype), at_end=True)
            k.store(kernels.arguments(
                "fc_store", c=c, c_row=columns, c_col=1, rows=rows, columns=columns, out=out, out_row=out.strides[0],
                out_col=out.strides[1], bias=bias, activation=kernels.constant(name), kind=kind,
            ))
            expected = formula((c + bias).astype(np.longdouble))
            assert np.all(np.abs(out - expected) <= 4 * ROUNDOFF[np.dtype(dtype)] * np.abs(expected)), name


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_one_call_fit_where_drivers_keep_them(isa, dtype):
    """The block sizes of each table keep to the constants that drivers reckon with."""
    base, k, most = kernels.real("base", dtype), kernels.real("conv", dtype), kernels.constant("FC_MOST_SUMS")
    assert max(k.planar) == kernels.constant("FC_PLANAR_VECTORS")
    assert max(outputs * vectors for outputs, vectors in enumerate(k.planar)) <= most
    assert max(base.rows[v] * v for v in range(1, base.vectors + 1)) <= most
    assert k.row_group * k.row_vectors <= most and k.pixels <= most
