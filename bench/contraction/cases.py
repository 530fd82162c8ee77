"""What is timed of contraction: see ../case.py for the columns."""

from functools import partial

import numpy as np

from ..case import REALS, Case, small_integers


def triple_arguments(sizes, dtype, equality):
    """Operands of `triple_product` for `sizes` = (I, J, K, M); `equality` is "abc", "abb" or "aaa"."""
    arrays = {
        name: small_integers((n, sizes[3]), dtype, seed=seed)
        for seed, (name, n) in enumerate(zip("abc", sizes[:3], strict=True))
    }
    return tuple(arrays[name] for name in equality), {}


def triple_case(family, sizes, dtype, equality, peers=(), target=None, **fields):
    """A row of `triple_product`; the operations that symmetry saves are not counted."""
    i, j, k, m = sizes
    entries = {"abc": i * j * k, "abb": i * j * (j + 1) / 2, "aaa": i * (i + 1) * (i + 2) / 6}[equality]
    return Case(
        group="contraction",
        family=family,
        label=",".join(map(str, sizes)) + f" {equality}",
        dtype=dtype,
        op="triple_product",
        setup=partial(triple_arguments, sizes, dtype, equality),
        peers=peers,
        target=target,
        flops=2.0 * entries * m,
        **fields,
    )


def mode_arguments(shape, dtype, mode):
    return (small_integers(shape, dtype), small_integers(shape[mode], dtype, seed=1), mode), {}


def mode_case(family, shape, dtype, mode, target, against):
    """A row of `mode_dot` with a vector."""
    return Case(
        group="contraction",
        family=family,
        label=",".join(map(str, shape)) + f" mode {mode}",
        dtype=dtype,
        op="mode_dot",
        setup=partial(mode_arguments, shape, dtype, mode),
        peers=("numpy", "torch"),
        target=target,
        against=against,
        traffic=float(np.prod(shape)) * np.dtype(dtype).itemsize,
    )


def mttkrp_arguments(shape, rank, dtype, mode):
    factors = [small_integers((n, rank), dtype, seed=n + axis, high=1) for axis, n in enumerate(shape)]
    return (small_integers(shape, dtype, high=2), factors, mode), {}


def mttkrp_case(shape, rank, dtype, mode):
    """A row of `mttkrp`."""
    return Case(
        group="contraction",
        family="mttkrp",
        label=",".join(map(str, shape)) + f" rank {rank} mode {mode}",
        dtype=dtype,
        op="mttkrp",
        setup=partial(mttkrp_arguments, shape, rank, dtype, mode),
        peers=("numpy-khatri-rao", "numpy-einsum"),
        target=2.0,
        flops=2.0 * float(np.prod(shape)) * rank,
    )


CHUNKED = ("numpy-chunks-256", "numpy-chunks-2048")
SYMMETRIES = [("abc", 1.8), ("abb", 3.3), ("aaa", 8.5)]
TENSORS = [(256, 256, 256), (64, 1000, 1000)]

CASES = [
    *(
        triple_case("triple product", (100, 100, 100, 30_000), dtype, equality, ("numpy", *CHUNKED, "torch"), target)
        for equality, target in SYMMETRIES
        for dtype in REALS
    ),
    *(
        triple_case("triple product: peak", (100, 100, 100, 30_000), dtype, "abc", target=0.88, against="peak")
        for dtype in REALS
    ),
    *(
        triple_case("triple product: sizes", (n, n, n, m), dtype, "aaa", CHUNKED, target)
        for n, m, target in [(30, 30_000, 4.0), (50, 30_000, 5.0), (200, 5_000, 8.0), (257, 5_000, 8.0)]
        for dtype in REALS
    ),
    triple_case("triple product: few rows", (4, 4, 4, 10**7), "float64", "abc", ("numpy-einsum", *CHUNKED), 4.0),
    *(
        triple_case("triple product: memory", (100, 100, 100, 300_000), "float64", equality, against="memory")
        for equality, _ in SYMMETRIES
    ),
    *(
        triple_case("triple product: long", (100, 100, 100, 300_000), "float64", equality)
        for equality, _ in SYMMETRIES
    ),
    *(
        mode_case(family, shape, dtype, mode, target, against)
        for family, target, against, modes in [
            ("mode_dot: bandwidth", 0.85, "read", (0, 1, 2)),
            ("mode_dot", 1.0, "best peer", (0, 1, 2)),
            ("mode_dot: middle axis", 3.0, "numpy", (1,)),
        ]
        for shape in TENSORS
        for mode in modes
        for dtype in REALS
    ),
    *(mttkrp_case((200, 200, 200), 32, dtype, mode) for mode in range(3) for dtype in REALS),
]
