"""The base's kernels alone, against their contracts in kernels/base/table.h, flush against pages that must not be touched."""

import ctypes
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import kernels
from guarded import place
from kernels import aligned, small
from support import FLOATS, TESTS, assert_same_bits

pytestmark = kernels.needs_headers


def run_tile(base, a, b, lengths, m, v, chain=0, bias=None, levels=8):
    """The tile over pieces that each end a chain: a (m, terms) read in place, b (terms, v * lanes)."""
    width = v * base.lanes
    pieces = (kernels.TYPES["fc_piece"] * len(lengths))()
    at = 0
    for piece, length in zip(pieces, lengths, strict=True):
        piece.offset, piece.length, piece.ends = at, length, True
        at += length
    sums = [aligned(m * width, a.dtype) for _ in range(levels)]
    places = (ctypes.c_void_p * levels)(*(kernels.at(s) for s in sums))
    out = aligned(m * width, a.dtype)
    base.tile(kernels.arguments(
        "fc_tile", a=a, b=b, pieces=ctypes.addressof(pieces), count=len(lengths), step=a.shape[1], chain=chain, rows=m,
        vectors=v, last=True, c=ctypes.addressof(places), out=out, out_step=width,
        **({} if bias is None else {"bias": bias}),
    ))
    return out.reshape(m, width)


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_shape_of_the_tile(isa, dtype, rng):
    base = kernels.real("base", dtype)
    for v in range(1, base.vectors + 1):
        for m in range(1, base.rows[v] + 1):
            for lengths in ([1], [2, 3], [16, 16, 16, 5]):
                a = place(small(rng, m, sum(lengths), dtype=dtype), at_end=True)
                b = place(small(rng, sum(lengths), v * base.lanes, dtype=dtype), at_end=True)
                bias = place(small(rng, v * base.lanes, dtype=dtype), at_end=True)
                assert np.array_equal(run_tile(base, a, b, lengths, m, v), a @ b), (v, m, lengths)
                assert np.array_equal(run_tile(base, a, b, lengths, m, v, bias=bias), a @ b + bias), (v, m, lengths)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_chains_rise_by_levels(isa, dtype, rng):
    """As many chains as fill some levels, one less and one more."""
    base, group = kernels.real("base", dtype), kernels.constant("FC_GROUP")
    for chains in (1, 2, group - 1, group, group + 1, group**2 - 1, group**2, group**2 + 1, group**3 + group):
        a, b = small(rng, 2, 2 * chains, dtype=dtype), place(small(rng, 2 * chains, base.lanes, dtype=dtype), at_end=True)
        assert np.array_equal(run_tile(base, a, b, [2] * chains, 2, 1), a @ b), chains


@pytest.mark.parametrize("dtype, source", [(d, s) for d in FLOATS for s in ("f2", "f4", ">f2", ">f4")] + [
    (np.float64, "f8"), (np.float64, ">f8"),
])  # fmt: skip
def test_panels_of_any_kind(isa, dtype, source, rng):
    base = kernels.real("base", dtype)
    kind = {"2": "FC_F16", "4": "FC_F32", "8": "FC_F64"}[source[-1]]
    kind = kernels.constant(kind) + (kernels.constant("FC_SWAPPED") if source[0] == ">" else 0)
    for fh, fw, c, k in ((1, 1, 1, 1), (2, 3, 1, base.lanes - 1), (1, 2, 3, base.lanes), (3, 1, 2, base.lanes + 1)):
        filters = place(small(rng, fh, fw, c, k, dtype=source), at_end=True)
        width = -(-k // base.lanes) * base.lanes
        for first in (0, 1):
            count = fh * fw * c - first
            panel = place(np.full((count, width), np.nan, dtype), at_end=True)
            steps = dict(zip(("fh_step", "fw_step", "c_step", "k_step"), filters.strides, strict=True))
            base.panel(kernels.arguments(
                "fc_panel", dst=panel, src=filters, fw=fw, c=c, first=first, count=count, columns=k, width=width, kind=kind,
                split=1, **steps,
            ))
            assert np.array_equal(panel[:, :k], filters.reshape(-1, k)[first:].astype(dtype))
            assert_same_bits(panel[:, k:], np.zeros((count, width - k), dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_store_to_any_steps(isa, dtype, rng):
    base = kernels.real("base", dtype)
    own = "FC_F32" if dtype == np.float32 else "FC_F64"
    for rows, columns in ((1, 1), (2, 7), (63, 8), (64, 3), (65, 1), (1, 255), (3, 256), (2, 257)):
        c = small(rng, rows, columns, dtype=dtype)
        bias = place(small(rng, columns, dtype=dtype), at_end=True)
        for kind, result in ((own, dtype), ("FC_F16", np.float16)):
            for by_rows in (False, True) if columns <= 8 else (False,):
                held = place(np.ascontiguousarray(c.T) if by_rows else c, at_end=True)
                for order in "CF":
                    out = place(np.zeros((rows, columns) if order == "C" else (columns, rows), result), at_end=True)
                    seen = out if order == "C" else out.T
                    base.store(kernels.arguments(
                        "fc_store", c=held, c_row=1 if by_rows else columns, c_col=rows if by_rows else 1, rows=rows,
                        columns=columns, out=out, out_row=seen.strides[0], out_col=seen.strides[1], bias=bias,
                        activation=kernels.constant("FC_LINEAR"), kind=kernels.constant(kind),
                    ))
                    assert np.array_equal(seen, (c + bias).astype(result)), (rows, columns, kind, by_rows, order)


@pytest.mark.parametrize("dtype", FLOATS)
def test_transpose_and_add_touch_nothing_else(isa, dtype, rng):
    base = kernels.real("base", dtype)
    for rows, columns in ((0, 3), (1, 1), (15, 17), (16, 16), (17, 33), (40, 5)):
        source = place(small(rng, rows, columns, dtype=dtype), at_end=True) if rows else np.zeros((0, columns), dtype)
        result = place(np.zeros((columns, max(rows, 1)), dtype), at_end=True)
        base.transpose(kernels.at(result), max(rows, 1), kernels.at(source), columns, rows, columns)
        assert np.array_equal(result[:, :rows], source.T)
    for n in (0, 1, base.lanes - 1, base.lanes, base.lanes + 1, 100):
        a, b = (place(small(rng, max(n, 1), dtype=dtype), at_end=True) for _ in range(2))
        expected = np.concatenate([a[:n] + b[:n], a[n:]])
        base.add(kernels.at(a), kernels.at(b), n)
        assert np.array_equal(a, expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_sum_for_the_bench_reads_every_element(isa, dtype, rng):
    base = kernels.real("base", dtype)
    for n in (0, 8 * base.lanes, 24 * base.lanes):  # whole groups of eight vectors
        x = place(small(rng, max(n, 1), dtype=dtype), at_end=True)
        assert base.sum(kernels.at(x), n) == x[:n].sum()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the signals of Linux")
@pytest.mark.parametrize("shape", [{"rows": 13, "vectors": 1}, {"rows": 1, "vectors": 5}, {"rows": 0, "vectors": 1}])
def test_a_tile_that_no_switch_lists_ends_the_process(isa, shape, tmp_path):
    """It would compute nothing in silence."""
    code = f"""
        sys.path[:0] = {[str(TESTS)]!r}
        import fastconv, kernels
        with fastconv.use_isa({isa!r}):
            kernels.real("base", "f4").tile(kernels.arguments("fc_tile", **{shape!r}))
        """
    command = [sys.executable, "-c", "import sys\n" + textwrap.dedent(code)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert -done.returncode in (signal.SIGILL, signal.SIGTRAP), done.stderr
