"""Contractions at the sizes that users have, one random call after another (see contraction_calls.py)."""

import functools

import contraction_calls
import pytest

SHARES = {"triple_product": 0.3, "third_moment": 0.1, "mode_dot": 0.35, "mttkrp": 0.15, "triple_product_vjp": 0.1}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARES)
def test_contractions_at_real_sizes(real_sizes, name):
    check = getattr(contraction_calls, f"check_{name}")
    real_sizes(functools.partial(check, items=12_000_000, work=1.5e9), share=SHARES[name])
