"""Contractions whose constants are small, so that small arrays cross every edge at which drivers and faces change their way."""

import pytest

import contraction_calls
from fastconv import runtime

EACH, TOGETHER = "test_each_constant_alone", "test_constants_together"
CROSSED = {name: EACH for name in runtime.seams() if name.startswith("contraction.")} | {
    "kernels.h:FC_THIN_ROWS": "test_triple_product_is_the_formula",
    "kernels.h:FC_DOT_VECTORS": "test_mode_dot_around_a_piece",
    "contraction.h:THIN": "test_triple_product_of_any_sizes",
    "contraction.h:ALONG_ROWS": "test_mttkrp_of_the_last_axis_around_a_tile",
    "contraction.h:ALONG_VECTORS": "test_mttkrp_of_the_last_axis_around_a_tile",
    "contraction.h:AXPY_ROWS": "test_mode_dot_around_rows_and_vectors_of_an_axpy",
    "contraction.h:B": "test_triple_product_is_the_formula",
    "contraction.h:PIECE": "test_mode_dot_around_a_piece",
    "contraction.h:PAIRS": "test_mode_dot_errors_do_not_grow_with_the_length",
    "_contraction.pxd:MAX_AXES": "test_tensors_of_as_many_axes_as_numpy_has",
}
CHECKS = [getattr(contraction_calls, name) for name in dir(contraction_calls) if name.startswith("check_")]


def check_some(rng, calls):
    for _ in range(calls):
        CHECKS[rng.integers(len(CHECKS))](rng, items=2000, work=30_000)


@pytest.mark.parametrize("name", [name for name, test in CROSSED.items() if test == EACH])
def test_each_constant_alone(rng, name):
    for value in (1, 3, 20, 150):
        print(f"{name} = {value}")
        with runtime.use_seams({name: value}):
            check_some(rng, 3)


@pytest.mark.parametrize("part", range(4))
def test_constants_together(rng, part):
    names = [name for name, test in CROSSED.items() if test == EACH]
    for _ in range(8):
        some = rng.permutation(names)[: rng.integers(2, len(names))]
        values = {str(name): int(2 ** rng.uniform(0, 12)) for name in some}
        print(values)
        with runtime.use_seams(values):
            check_some(rng, 4)
