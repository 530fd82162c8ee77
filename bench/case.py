"""A case: one row of a table, an operation with its arguments and what it should reach."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

REALS = ("float64", "float32")
SCIPY, CV2 = ("scipy",), ("cv2",)


@dataclass(frozen=True)
class Case:
    """One row.

    Parameters
    ----------
    group : word on the command line.
    family : rows that are summarised together.
    label, dtype : what the row shows; `dtype` also picks the FMA peak it is compared with.
    op : name of the function in `fastconv`, or `ndimage.` and one there, called as `op(*args, **kwargs)`; or `skimage.` and one
        of scikit-image, which is called with SciPy patched.
    setup : makes `(args, kwargs)`; picklable, because memory is measured in another process.
    peers : names in `peers.PEERS` that can do it.
    target : what to reach: a speed ratio, a fraction of the peak, or unused for memory, whose limit is fixed.
    against : "best peer", the name of one peer, "peak", "read" (the rate of reading `traffic`),
        "write" (part of the write bandwidth) or "memory".
    geomean : what the geometric mean of the family should reach.
    flops : floating-point operations of one call.
    traffic : bytes that one call must read.
    isa : run on this instruction set only, whatever the others run on.
    tolerance : largest difference from a peer, as a part of the peer's largest value. 0 asks for equal bits.
    """

    group: str
    family: str
    label: str
    dtype: str
    op: str
    setup: Callable[[], tuple[tuple, dict]]
    peers: tuple[str, ...] = ()
    target: float | None = None
    against: str = "best peer"
    geomean: float | None = None
    flops: float | None = None
    traffic: float | None = None
    isa: str | None = None
    tolerance: float = 0.0


def small_integers(shape, dtype, seed=0, high=4):
    """Random integers in [-high, high]: sums of their products are exact in any order."""
    rng = np.random.default_rng(seed)
    return rng.integers(-high, high, size=shape, dtype=np.int8, endpoint=True).astype(dtype)
