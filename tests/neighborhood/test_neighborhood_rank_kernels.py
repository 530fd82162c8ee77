"""The kernels of order statistics alone, against their contracts in kernels/neighborhood/table.h, flush against pages that must
not be touched."""

import ctypes

import numpy as np
import pytest
from kernel_calls import ORDER, drawn, elements, line, pointers, vector_bytes, windows_of

import kernels
from guarded import place
from support import assert_same_bits

pytestmark = kernels.needs_headers
every_dtype = pytest.mark.parametrize("dtype", ORDER)
every_key = pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
LISTED = ("u1", "u2", "u4", "u8", "f4", "f8")  # signed integers are listed as their keys
RUNS = ((0, 1, 3), (1, 0, 5), (3, 2, 2))  # line, first tap, taps


def windows(rng, dtype, n, share):
    """Lines with room, their fc_lines and pointers, what stands there and what counts, and the runs of a window."""
    x = drawn(rng, dtype, (4, n + 5), most=9)
    present = (rng.random(x.shape) < share).astype(np.uint8)
    x[present == 0] = np.iinfo(dtype).max  # the keys of what does not count
    rows, counts = [line(row, 63) for row in x], [line(row, 63) for row in present]
    lines = (kernels.TYPES["fc_line"] * 4)(*((kernels.at(a), kernels.at(b), 0) for a, b in zip(rows, counts, strict=True)))
    columns = [np.array(column, np.intp) for column in zip(*RUNS, strict=True)]
    cells = np.concatenate([windows_of(x[i], s, k, n) for i, s, k in RUNS], axis=1)
    seen = np.concatenate([windows_of(present[i], s, k, n) for i, s, k in RUNS], axis=1)
    at = pointers(rows)
    fields = {
        "rows": ctypes.addressof(at), "lines": ctypes.addressof(lines), "run_line": columns[0], "run_start": columns[1],
        "run_length": columns[2], "runs": 3, "cells": 10, "n": n, "masked": share < 1,
    }  # fmt: skip
    return fields, (rows, counts, lines, columns, at), cells, seen


# --- Keys


@every_dtype
def test_keys_have_the_order_of_the_values(isa, rng, dtype):
    dtype = np.dtype(dtype)
    key = np.dtype(f"u{dtype.itemsize}")
    for n in (1, 63, 64, 130):
        x = drawn(rng, dtype, n, most=90)
        if dtype.kind == "f":
            x[:: n // 6 + 1] = np.resize(np.array([-0.0, 0.0, np.inf, -np.inf, 5e-40], dtype), x[:: n // 6 + 1].size)
        x, keys = place(x, at_end=True), place(np.zeros(n, key), at_end=True)
        elements(dtype).keys(kernels.at(keys), kernels.at(x), None, n)
        order = np.argsort(keys, kind="stable")
        assert np.all(np.diff(x[order].astype("f8")) >= 0)
        if dtype.kind == "f":
            zeros = x[order][x[order] == 0]
            assert np.all(np.diff(np.signbit(zeros).astype(int)) <= 0)  # -0 comes first
        present = place(rng.integers(0, 2, n, np.uint8), at_end=True)
        masked = place(np.zeros(n, key), at_end=True)
        elements(dtype).keys(kernels.at(masked), kernels.at(x), kernels.at(present), n)
        np.testing.assert_array_equal(masked, np.where(present, keys, np.iinfo(key).max))
        elements(dtype).values(kernels.at(keys), n)
        assert_same_bits(keys.view(dtype), x)


# --- Any window


@every_key
@pytest.mark.parametrize("share", [1, 0.6, 0.2])
def test_any_rank_of_any_window(isa, rng, dtype, share):
    chunk, passes = kernels.constant("FC_SELECT_CHUNK"), 8 * np.dtype(dtype).itemsize + 2
    room = kernels.constant("FC_SELECT_ROOM")
    for n, first in ((1, 0), (65, 1), (150, 64)):
        fields, _held, cells, seen = windows(rng, dtype, n, share)
        fields |= {"first": first}
        for quantile, rank in ((0.5, 0), (0.3, 0), (1.0, 0), (-1.0, 0), (-1.0, -2), (-1.0, 7)):
            low, high = (place(np.zeros(n + room, dtype), at_end=True) for _ in range(2))
            fraction, count = place(np.zeros(n + room), at_end=True), place(np.zeros(n + room, np.intp), at_end=True)
            state = place(np.zeros(2 * chunk, np.intp), at_end=True)
            call = fields | {
                "quantile": quantile, "rank": rank, "low": low, "high": high, "fraction": fraction, "count": count,
                "state": state,
            }  # fmt: skip
            if n - first > chunk:
                parts = [(0, 3, 0, passes)]
            else:  # pass by pass and run by run
                parts = [(r, r + 1, p, p + 1) for p in range(passes) for r in range(3)]
            for first_run, end_run, first_pass, end_pass in parts:
                elements(dtype).select(kernels.arguments(
                    "fc_select", first_run=first_run, end_run=end_run, first_pass=first_pass, end_pass=end_pass, **call,
                ))
            for x in range(first, n):
                values = np.sort(cells[x][seen[x] == 1])
                assert count[x] == values.size
                if values.size == 0:
                    continue
                position = (values.size - 1) * quantile if quantile >= 0 else rank + (values.size if rank < 0 else 0)
                at = int(np.clip(int(position), 0, values.size - 1))
                assert fraction[x] == (position - int(position) if quantile >= 0 else 0)
                assert low[x] == values[at]
                if at + 1 < values.size:
                    assert high[x] == values[at + 1]


@every_key
@pytest.mark.parametrize("share", [1, 0.6, 0.2])
def test_how_often_values_occur(isa, rng, dtype, share):
    """Mode and entropy, by histograms and by sorting, all cells at once and as many as there is room for."""
    k, scale = elements(dtype), 2.0**50
    logs = np.rint(np.arange(11) * np.log2(np.maximum(np.arange(11), 1)) * scale).astype(np.int64)
    ways = [(False, False, 10), (False, False, 3), (False, False, 1)]
    ways += [(True, True, 0), (True, False, 0)] if dtype in ("u1", "u2") else []
    for n, first in ((1, 0), (20, 7)):
        fields, _held, cells, seen = windows(rng, dtype, n, share)
        for moving, wide, room in ways:
            for entropy in (False, True):
                if dtype == "u2" and moving and not wide and not entropy:
                    continue  # 16 bits have no room for the mode of 16 bits
                mode, out = place(np.zeros(n, dtype), at_end=True), place(np.zeros(n), at_end=True)
                count, so_far = place(np.zeros(n, np.intp), at_end=True), kernels.TYPES["fc_so_far"]()
                spare = place(np.zeros(k.tally_room(room, 3, moving, wide) + 63 & ~63, np.uint8), at_end=True)
                call = fields | {
                    "spare": spare, "mode": mode, "entropy": out, "scale": scale, "count": count, "most_logs": 10, "room": room,
                    "moving": moving, "wide": wide, "so_far": ctypes.addressof(so_far), **({"logs": logs} if entropy else {}),
                }  # fmt: skip
                outputs = [(first, n)] if moving or room == 10 else [(x, x + 1) for x in range(first, n)]
                for start, end in outputs:
                    so_far.begun = 0
                    calls = 0
                    while k.tally(kernels.arguments("fc_tally", **(call | {"first": start, "n": end}))):
                        calls += 1
                        assert calls < 5000
                for x in range(first, n):
                    values, counts = np.unique(cells[x][seen[x] == 1], return_counts=True)
                    assert count[x] == counts.sum()
                    if counts.size and entropy:
                        p = counts / counts.sum()
                        np.testing.assert_allclose(out[x], -(p * np.log2(p)).sum(), rtol=1e-12, atol=1e-12)
                    elif counts.size:
                        assert mode[x] == values[np.argmax(counts)]


# --- Sorted lists


@pytest.mark.parametrize("dtype", LISTED)
def test_ranks_of_boxes(isa, rng, dtype):
    """Networks and lists; lines of less than two vectors, and with a rest."""
    k, lanes = elements(dtype), vector_bytes() // np.dtype(dtype).itemsize
    boxes = ((1, 2, 1), (3, 3, 1), (3, 3, 5), (5, 5, 4), (7, 7, 9), (9, 9, 3), (2, 20, 6), (6, 1, 7), (4, 5, 33))
    for n in (1, 2 * lanes, 2 * lanes + 1):
        for height, width, count in boxes:
            cells = height * width
            x = drawn(rng, dtype, (count + height - 1, n + width - 1), most=99)
            written = max(n, 2 * lanes)
            rows = [line(row, written - n) for row in x]
            views = np.lib.stride_tricks.sliding_window_view(x, (height, width)).reshape(count, n, cells)
            ordered = np.sort(views, axis=-1)
            spare = aligned_room(k.rank_room(height, width))
            for rank in {0, (cells - 1) // 2, cells - 1}:
                for pair in (False, True):
                    if pair and rank == cells - 1:
                        continue
                    low = [place(np.zeros(written, dtype), at_end=True) for _ in range(count)]
                    high = [place(np.zeros(written, dtype), at_end=True) for _ in range(count)]
                    at, lows, highs = pointers(rows), pointers(low), pointers(high)
                    k.rank_box(kernels.arguments(
                        "fc_rank_box", rows=ctypes.addressof(at), low=ctypes.addressof(lows), n=n, count=count, height=height,
                        width=width, rank=rank, spare=spare, **({"high": ctypes.addressof(highs)} if pair else {}),
                    ))
                    np.testing.assert_array_equal([row[:n] for row in low], ordered[:, :, rank])
                    if pair:
                        np.testing.assert_array_equal([row[:n] for row in high], ordered[:, :, rank + 1])


def aligned_room(size):
    """So many bytes from a cache line on, before a page that must not be touched."""
    return place(np.zeros((size + 63) // 64 * 64, np.uint8), at_end=True)


@pytest.mark.parametrize("dtype", LISTED)
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_ranks_of_cells(isa, rng, dtype, levels):
    """Outputs of a column that share cells: all four, pairs, and those of one alone."""
    k, lanes = elements(dtype), vector_bytes() // np.dtype(dtype).itemsize
    for n in (1, 2 * lanes, 2 * lanes + 1):
        for sizes in ((4, 2, 5)[: levels + 1], (1, 17, 40)[: levels + 1], (20, 3, 16)[: levels + 1]):
            cells, outputs = sum(sizes), 1 << levels
            written = max(n, 2 * lanes)
            total = sum(size << (levels - level) for level, size in enumerate(sizes))
            x = drawn(rng, dtype, written + 200, most=99)
            held = line(x, 0)
            offset = rng.integers(0, 200, total).astype(np.intp)
            own, at = [[] for _ in range(outputs)], 0
            for level in range(levels, -1, -1):
                for j in range(1 << (levels - level)):
                    for o in range(j << level, (j + 1) << level):
                        own[o] += offset[at : at + sizes[level]].tolist()
                    at += sizes[level]
            for used in {1, outputs}:
                for rank, pair in ((0, False), ((cells - 1) // 2, True), (cells - 1, False)):
                    pair = pair and rank + 1 < cells
                    low = [place(np.zeros(written, dtype), at_end=True) for _ in range(used)]
                    high = [place(np.zeros(written, dtype), at_end=True) for _ in range(used)]
                    call = kernels.TYPES["fc_rank_cells"]()
                    setattr(call, "from", kernels.at(held))
                    call.offset, call.n, call.rank = kernels.at(offset), n, rank
                    call.levels, call.outputs, call.pair = levels, used, pair
                    for level, size in enumerate(sizes):
                        call.cells[level] = size
                    for o in range(used):
                        call.low[o], call.high[o] = kernels.at(low[o]), kernels.at(high[o])
                    spare = aligned_room(k.rank_room(1, cells))
                    call.spare = kernels.at(spare)
                    k.rank_cells(ctypes.byref(call))
                    for o in range(used):
                        ordered = np.sort([x[shift : shift + n] for shift in own[o]], axis=0)
                        np.testing.assert_array_equal(low[o][:n], ordered[rank])
                        if pair:
                            np.testing.assert_array_equal(high[o][:n], ordered[rank + 1])


# --- Results


@every_dtype
@pytest.mark.parametrize("real", [False, True])
def test_ranks_become_results(isa, rng, dtype, real):
    dtype, n = np.dtype(dtype), 70
    k = elements(dtype)
    low = drawn(rng, dtype, n)
    high = (low + drawn(rng, "u1", n)).astype(dtype)
    count = rng.integers(0, 3, n).astype(np.intp)
    fraction = rng.integers(0, 4, n) / 4
    low, high, count, fraction = (place(a, at_end=True) for a in (low, high, count, fraction))
    between = low.astype("f8") + fraction * (high.astype("f8") - low.astype("f8"))
    nothing = np.nan if real or dtype.kind == "f" else 0.0
    call = {"fraction": fraction, "count": count, "n": n, "real": real, "nothing": nothing}
    for pair in (False, True):
        out = place(np.zeros(n, np.float64 if real else dtype), at_end=True)
        k.finish_ranks(kernels.arguments("fc_finish_ranks", low=low, out=out, **call, **({"high": high} if pair else {})))
        expected = between if pair else low.astype("f8")
        expected = expected if real or dtype.kind == "f" else np.rint(expected)
        np.testing.assert_array_equal(out, np.where(count == 0, nothing, expected).astype(out.dtype))
    if dtype.kind == "f":
        special = place(np.where(np.arange(n) % 3, low, np.nan).astype(dtype), at_end=True)
        k.finish_ranks(kernels.arguments("fc_finish_ranks", low=low, out=out, extreme=special, **call))
        np.testing.assert_array_equal(out, np.where((np.arange(n) % 3 == 0) | (count == 0), np.nan, low).astype(out.dtype))
    if real:
        out = place(between.copy(), at_end=True)
        k.finish_ranks(kernels.arguments("fc_finish_ranks", out=out, **call))
        np.testing.assert_array_equal(out, np.where(count == 0, np.nan, between))
