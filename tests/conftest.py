"""Fixtures and options shared by all tests."""

import datetime
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import fastconv
from support import ISAS

settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=100,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("slow", settings.get_profile("default"), derandomize=False, max_examples=2000)


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow too")
    parser.addoption(
        "--rng-seed", type=int, default=0, help="seed that the rng fixture adds to each test's own, and of real_sizes"
    )
    parser.addoption("--seconds", type=float, default=60, help="how long real_sizes draws calls of a stem")
    parser.addoption("--case", type=int, help="the one call that real_sizes draws")


def real_sizes_seed(config):
    return config.getoption("--rng-seed") or int(datetime.date.today().strftime("%Y%m%d"))


def pytest_terminal_summary(terminalreporter, config):
    if wants_slow(config):
        terminalreporter.write_line(f"seed of real_sizes: {real_sizes_seed(config)}")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: wide sweeps, run with --run-slow or -m slow")
    config.addinivalue_line("markers", "conformance: SciPy's own tests, run with -m conformance")
    settings.load_profile("slow" if wants_slow(config) else "default")


def wants_slow(config):
    return config.getoption("--run-slow") or "slow" in config.getoption("markexpr")


def pytest_collection_modifyitems(config, items):
    unwanted = [] if wants_slow(config) else ["slow"]
    unwanted += [] if "conformance" in config.getoption("markexpr") else ["conformance"]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unwanted)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(params=ISAS)
def isa(request):
    """Run the test on each instruction set of this machine."""
    if request.param not in fastconv.available_isas():
        pytest.skip(f"{request.param} is not on this machine")
    with fastconv.use_isa(request.param):
        assert fastconv.isa() == request.param
        yield request.param


@pytest.fixture
def rng(request):
    """Return a generator whose seed pytest shows when the test fails."""
    seed = [zlib.crc32(request.node.nodeid.encode()), request.config.getoption("--rng-seed")]
    print(f"rng = np.random.default_rng({seed})")
    return np.random.default_rng(seed)


@pytest.fixture
def real_sizes(request):
    """Return a function that calls ``check(rng)`` with one generator after another, for `share` of the stem's --seconds.

    `check` draws one call at a size that users have, makes it, and compares it with an independent reference.
    """
    config = request.config
    seed, only = real_sizes_seed(config), config.getoption("--case")

    def run(check, share=1.0):
        end = time.monotonic() + share * config.getoption("--seconds")
        case = only or 0
        while case == (only or 0) or (only is None and time.monotonic() < end):
            try:
                check(np.random.default_rng([seed, case]))
            except Exception as error:
                again = f"pytest '{request.node.nodeid}' --run-slow --rng-seed {seed} --case {case}"
                raise AssertionError(f"{error}\nagain: {again}") from error
            case += 1

    return run
