"""Gradients of conv2d across every edge: small constants and small arrays, so that filters, pixels and borders come in parts."""

import itertools

import numpy as np
import pytest
from conv_gradients import SEAM_PROBLEMS, assert_right, gradient_of
from hypothesis import given
from hypothesis import strategies as st

import fastconv
from fastconv import runtime
from support import FLOATS, assert_same_bits

# Constants of conv2d that gradients of images meet are crossed in test_conv_seams.py.
CROSSED = dict.fromkeys(
    (
        "conv.PRODUCTS_CHAIN", "conv.PRODUCTS_SUMS", "conv.PRODUCTS_WINDOW", "conv.PRODUCTS_SPANS", "conv.PRODUCTS_STEP",
        "conv.PRODUCTS_ROWS", "conv.PRODUCTS_LINE", "conv.PRODUCTS_RUN", "conv.PRODUCTS_COLUMNS", "conv.REGROUP_BYTES",
        "conv.FOLD_BYTES",
    ),
    "test_each_constant_of_gradients",
)  # fmt: skip


@pytest.mark.parametrize("name", CROSSED)
def test_each_constant_of_gradients(name):
    workers = 2 if name == "conv.PRODUCTS_SPANS" else 1  # spans are for those that find too few parts
    for value, problem in itertools.product((1, 60, 2000, 1 << 40), SEAM_PROBLEMS):
        with runtime.use_seams({name: value}):
            assert_right(problem, FLOATS[value % 2], workers=workers)


@pytest.mark.slow
@given(
    seams=st.dictionaries(st.sampled_from(sorted(CROSSED)), st.one_of(st.integers(1, 100), st.integers(1, 1 << 20))),
    problem=st.sampled_from(SEAM_PROBLEMS),
    workers=st.integers(1, 5),
)
def test_any_constants_of_gradients_together(seams, problem, workers):
    with runtime.use_seams(seams):
        assert_right(problem, np.float32, workers=workers)


@pytest.mark.parametrize("name", [name for name in CROSSED if name not in ("conv.PRODUCTS_CHAIN", "conv.REGROUP_BYTES")])
def test_constants_but_the_chain_do_not_touch_the_bits(rng, name):
    for problem in SEAM_PROBLEMS:
        x, w, g = gradient_of(problem, rng, np.float32, rng.standard_normal)
        expected = fastconv.conv2d_filter_grad(x, w.shape, g, **problem.options)
        for value in (1, 300):
            with runtime.use_seams({name: value}):
                assert_same_bits(fastconv.conv2d_filter_grad(x, w.shape, g, workers=value % 2 + 1, **problem.options), expected)
