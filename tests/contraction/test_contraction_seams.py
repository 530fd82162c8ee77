"""Contractions whose constants are small, so that small arrays cross every edge at which drivers and faces change their way."""

import contraction_calls
import numpy as np
import pytest

import fastconv
from fastconv import runtime

EACH = "test_each_constant_alone"
SLOW = ("contraction._COPY_BYTES", "contraction._SLAB_ROWS", "contraction._BLOCK_ITEMS")  # many calls of drivers
CROSSED = {name: EACH for name in runtime.seams() if name.startswith("contraction.")} | {
    "contraction/table.h:FC_FEW_ROWS": "test_triple_product_is_the_formula",
    "base/table.h:FC_DOT_VECTORS": "test_mode_dot_around_a_piece",
    "contraction/few_rows.h:SIDE": "test_triple_product_of_any_sizes",
    "contraction/strided_tile.h:STRIDED_ROWS": "test_mttkrp_of_the_last_axis_around_a_tile",
    "contraction/strided_tile.h:STRIDED_VECTORS": "test_mttkrp_of_the_last_axis_around_a_tile",
    "contraction/vectors.h:AXPY_BLOCK": "test_mode_dot_around_rows_and_vectors_of_an_axpy",
    "contraction/vectors.h:AXPY_VECTORS": "test_mode_dot_around_rows_and_vectors_of_an_axpy",
    "base/transpose.h:B": "test_triple_product_is_the_formula",
    "contraction/vectors.h:PIECE": "test_mode_dot_around_a_piece",
    "contraction/vectors.h:SHORT": "test_mode_dot_around_a_piece",
    "contraction/vectors.h:LONG": "test_mode_dot_around_a_piece",
    "contraction/wide_sums.h:PAIRS": "test_mode_dot_errors_do_not_grow_with_the_length",
    "contraction/blocks.pxd:MAX_AXES": "test_tensors_of_as_many_axes_as_numpy_has",
}
# Whose constants begin with what; those of triple_product are the rest.
OWN = {
    "mode_dot": ("VECTOR_", "MATRIX_", "SPAN_CHAINS", "STRIP_", "ROW_", "DOT_", "PART_", "MODE_CHAIN", "_COPY", "_SLAB"),
    "mttkrp": ("UNFOLD_", "FAR", "TRANSPOSED_", "_CAREFUL"),
}
NAMES = [name for name, test in CROSSED.items() if test == EACH]


def stem_of(name):
    return next((stem for stem, own in OWN.items() if name.split(".")[1].startswith(own)), "triple_product")


def check_calls(rng, stem, calls):
    for _ in range(calls):
        getattr(contraction_calls, f"check_{stem}")(rng, items=700, work=7000)


@pytest.mark.parametrize("name", NAMES)
def test_each_constant_alone(rng, name):
    """Alone, and beside small values of other constants of its operation, without which small arrays do not get to it."""
    stem = stem_of(name)
    others = [other for other in NAMES if stem_of(other) == stem and other not in SLOW]
    for value in (1, 3, 40):
        print(f"{name} = {value}")
        with runtime.use_seams({name: value}):
            check_calls(rng, stem, 1)
        with runtime.use_seams({**{str(other): int(rng.integers(1, 9)) for other in rng.permutation(others)[:4]}, name: value}):
            check_calls(rng, stem, 2)


@pytest.mark.parametrize("stem", ["triple_product", "third_moment", "mode_dot", "mttkrp", "triple_product_vjp"])
def test_constants_together(rng, stem):
    for _ in range(6):
        values = {str(name): int(2 ** rng.uniform(0, 12)) for name in rng.permutation(NAMES)[: rng.integers(2, len(NAMES))]}
        print(values)
        with runtime.use_seams(values):
            check_calls(rng, stem, 3)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_short_block_after_whole_ones_leaves_their_samples_out(rng, order):
    """Rows that are copied along the samples are padded with zeros, others leave what a block held before."""
    a = np.array(rng.integers(1, 4, (20, 7)), np.float64, order=order)
    with runtime.use_seams({"contraction.MAX_DEPTH": 4, "contraction.SPAN_BLOCKS": 1}):
        result = fastconv.triple_product(a, workers=1)
    np.testing.assert_array_equal(result, np.einsum("im,jm,km->ijk", a, a, a))
