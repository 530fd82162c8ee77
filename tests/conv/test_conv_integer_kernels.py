"""The kernels of integers and of complex numbers, called alone, against their contracts in the tables of base and conv."""

import ctypes
import itertools

import numpy as np
import pytest

import kernels
from guarded import place
from kernels import aligned

pytestmark = kernels.needs_headers
KINDS = {"u1": "FC_U8", "i1": "FC_I8", "u2": "FC_U16", "i2": "FC_I16"}


def sums(which):
    """The kernels of FC_SUMS_16, .., or None where this machine has not got them."""
    index = kernels.constant(which)
    return None if which.endswith("DOT") and not kernels.table().conv.dot else kernels.table().conv.integer[index]


def halves(values):
    """What elements are as halves of words: those of uint16 are less 2^15."""
    return values.astype(np.int64) - (2**15 if values.dtype.newbyteorder("=") == np.uint16 else 0)


def words(values, how, of_filters=False):
    """Words of values along the last axis, as table.h says."""
    low = halves(values)
    if how == "FC_COUPLES":
        low = np.concatenate([low, np.zeros((*low.shape[:-1], low.shape[-1] % 2), np.int64)], -1)
        low, high = low[..., ::2], low[..., 1::2]
    else:
        high = (np.full_like(low, -(2**15)) if of_filters else ~low) if how == "FC_TWINS" else np.zeros_like(low)
    return (low % 2**16 + high % 2**16 * 2**16).astype(np.uint32)


@pytest.mark.parametrize("how", ["FC_SINGLES", "FC_COUPLES", "FC_TWINS"])
def test_windows_of_words(isa, rng, how):
    k = sums("FC_SUMS_16").conv
    either = (False, True)
    for (name, kind), channels, planar, swapped in itertools.product(KINDS.items(), (1, 2, 3, 4, 33), either, either):
        dtype = np.dtype(name).newbyteorder(">" if swapped and name[1] == "2" else "=")
        info = np.iinfo(dtype)
        image = rng.integers(info.min, info.max, (4, 9, channels), np.dtype(name), endpoint=True).astype(dtype)
        seen = place(np.moveaxis(image, -1, 0).copy() if planar else image, at_end=True)
        seen = np.moveaxis(seen, 0, -1) if planar else seen
        expected = words(image, how)[[2, 0]][:, [5, 1, 2, 3, 4, 5, 0]]
        expected = np.concatenate([np.full_like(expected[:, :1], 77), expected], 1)
        count = expected.shape[-1]
        step = seen.strides[2]
        for by_channel in either:
            dst = place(np.zeros((count, 2, 8) if by_channel else (2, 8, count), np.uint32), at_end=True)
            steps = (8, 1, 16) if by_channel else (8 * count, count, 1)
            k.window(kernels.arguments(
                "fc_window", dst=dst, dst_row=steps[0], dst_col=steps[1], dst_channel=steps[2], src=seen, src_row=seen.strides[0],
                src_col=seen.strides[1], src_channel=step * (2 if how == "FC_COUPLES" else 1), half=step, halves=channels,
                row_index=np.array([2, 0]), col_index=np.array([-1, 5, 1, 99, 99, 99, 99, 0]), inside=2, inside_end=7,
                inside_gap=1, rows=2, cols=8, channels=count, repeat=1, whole=77, words=kernels.constant(how),
                kind=kernels.constant(kind) + (kernels.constant("FC_SWAPPED") if dtype != np.dtype(name) else 0),
            ))  # fmt: skip
            assert np.array_equal(np.moveaxis(dst, 0, -1) if by_channel else dst, expected), (name, channels, planar, by_channel)


@pytest.mark.parametrize("how", ["FC_SINGLES", "FC_COUPLES", "FC_TWINS"])
def test_panels_of_words_and_what_they_lack(isa, rng, how):
    k = sums("FC_SUMS_16")
    for (name, kind), channels, columns in itertools.product(KINDS.items(), (1, 2, 5), (1, 3, 19)):
        if (how == "FC_TWINS") != (name == "u2"):
            continue
        info = np.iinfo(name)
        w = place(rng.integers(info.min, info.max, (2, 3, channels, columns), name, endpoint=True), at_end=True)
        couples = 2 if how == "FC_COUPLES" else 1
        count = -(-channels // couples)
        width = -(-columns // k.base.lanes) * k.base.lanes
        dst = place(np.ones((6 * count, width), np.uint32), at_end=True)
        fields = {
            "src": w, "fh_step": w.strides[0], "fw_step": w.strides[1], "k_step": w.strides[3], "fw": 3, "columns": columns,
            "kind": kernels.constant(kind), "words": kernels.constant(how), "split": 1,
        }  # fmt: skip
        k.base.panel(kernels.arguments(
            "fc_panel", dst=dst, c=count, c_step=couples * w.strides[2], count=6 * count, width=width, half=w.strides[2],
            halves=channels, **fields,
        ))
        expected = np.moveaxis(words(np.moveaxis(w, 2, -1), how, of_filters=True), -1, 2).reshape(6 * count, columns)
        assert np.array_equal(dst[:, :columns], expected)
        assert not dst[:, columns:].any()
        for inputs in (0, 1):
            lacking = place(np.arange(columns, dtype=np.uint32), at_end=True)
            k.conv.offsets(kernels.arguments(
                "fc_panel", dst=lacking, c=channels, c_step=w.strides[2], count=6 * channels, **fields), inputs)
            total = inputs * w.astype(np.int64).sum((0, 1, 2)) - 6 * channels * (how == "FC_TWINS")
            assert np.array_equal(lacking, (np.arange(columns) + 2**15 * total).astype(np.uint32))


@pytest.mark.parametrize("which", ["FC_SUMS_16", "FC_SUMS_16_DOT", "FC_SUMS_32", "FC_SUMS_64"])
def test_tiles_of_integers(isa, rng, which):
    k = sums(which)
    if k is None:
        return
    dtype, low, high = (np.uint32, -(2**15), 2**15) if "_16" in which else (np.uint64, -(2**31), 2**31)
    if which == "FC_SUMS_64":
        low, high = -(2**63), 2**63
    parts = 2 if dtype == np.uint32 else 1
    for vectors in range(1, k.base.vectors + 1):
        for rows, length in itertools.product({1, 2, k.base.rows[vectors]}, (1, 2, 7)):
            width = vectors * k.base.lanes
            first, second = (rng.integers(low, high, shape) for shape in ((rows, length, parts), (length, width, parts)))
            first[0], second[0] = low, low
            expected = np.einsum("rlp,lwp->rw", first.astype(np.uint64), second.astype(np.uint64)).astype(dtype)
            if parts == 2:
                first, second = (one.astype(np.uint16).view(np.uint32) for one in (first, second))
            a = place(np.ascontiguousarray(first.astype(dtype if parts == 1 else np.uint32).reshape(rows, length)), at_end=True)
            b = aligned(length * width, dtype)
            b[:] = second.astype(dtype).reshape(-1)
            piece = kernels.TYPES["fc_piece"](0, length, 1)
            level = aligned(rows * width, dtype)
            places = (ctypes.c_void_p * 1)(kernels.at(level))
            out = place(np.zeros((rows, width), dtype), at_end=True)
            k.base.tile(kernels.arguments(
                "fc_tile", a=a, b=b, pieces=ctypes.addressof(piece), count=1, step=length, chain=0, rows=rows, vectors=vectors,
                last=True, split=1, columns=width, c=ctypes.addressof(places), out=out, out_step=width,
            ))
            assert np.array_equal(out, expected), (vectors, rows, length)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_panels_of_complex_filters(isa, rng, dtype):
    real = np.dtype(dtype(0).real.dtype)
    base = kernels.real("base", real)
    kind = kernels.constant("FC_F32" if real == np.float32 else "FC_F64")
    for channels, filters, odd in itertools.product((1, 3), (1, 2, 11), (0, 1)):
        w = rng.standard_normal((2, channels, filters, 2)).astype(real)
        w = place(w, at_end=True).view(dtype)[..., 0]
        block = np.zeros((2, channels, 2, filters, 2), real)
        block[:, :, 0, :, 0], block[:, :, 0, :, 1], block[:, :, 1, :, 0], block[:, :, 1, :, 1] = w.real, w.imag, -w.imag, w.real
        for form, c, expected in (
            ("FC_BLOCKS", 2 * channels, block.reshape(4 * channels, 2 * filters)),
            ("FC_COLUMNS", channels, block[:, :, 0].reshape(2 * channels, 2 * filters)),
        ):
            columns = 2 * filters - odd
            width = -(-columns // base.lanes) * base.lanes
            dst = place(np.ones((2 * c, width), real), at_end=True)
            base.panel(kernels.arguments(
                "fc_panel", dst=dst, src=w, fw_step=w.strides[0], c_step=w.strides[1], k_step=w.strides[2], fw=2, c=c,
                count=2 * c, columns=columns, width=width, kind=kind, split=1, form=kernels.constant(form), odd=odd,
            ))
            assert np.array_equal(dst[:, :columns], expected[:, odd:])
            assert not dst[:, columns:].any()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_results_as_parts(isa, rng, dtype):
    real = np.dtype(dtype(0).real.dtype)
    kind = kernels.constant("FC_F32" if real == np.float32 else "FC_F64")
    for rows, columns, odd, by_rows, biased in itertools.product((1, 5), (1, 4, 7), (0, 1), (False, True), (False, True)):
        c = place(rng.standard_normal((columns, rows) if by_rows else (rows, columns)).astype(real), at_end=True)
        bias = place(rng.standard_normal(columns).astype(real), at_end=True)
        out = np.zeros((rows, 5, 3), dtype)[..., 1]
        before = out.copy()
        kernels.real("conv", real).store_parts(kernels.arguments(
            "fc_store", c=c, c_row=1 if by_rows else columns, c_col=rows if by_rows else 1, rows=rows, columns=columns, out=out,
            out_row=out.strides[0], out_col=out.strides[1], kind=kind, bias=bias if biased else None,
        ), real.itemsize, odd)
        flat = before.view(real)
        flat[:, odd : odd + columns] = (c.T if by_rows else c) + (bias if biased else 0)
        assert np.array_equal(out, before)
