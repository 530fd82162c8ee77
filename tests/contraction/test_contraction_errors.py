"""Contractions that are given something wrong, or interrupted."""

import os

import numpy as np
import pytest

import fastconv
from support import run_script

# --- Ctrl-C


LONG_CALLS = {
    "rows of a matrix": "fastconv.mode_dot(wide(10**6, 100000), np.ones((100, 100000), 'f4'), 1)",
    "lanes along an axis": "fastconv.mode_dot(wide(99, 100000, 4096), np.ones((100, 100000), 'f4'), 1)",
    "integers": "fastconv.mode_dot(wide(4096, 100000, dtype='i4'), np.ones((100, 100000), 'i4'), 1)",
    "triple product": "fastconv.triple_product(wide(500, 10**6, dtype='f8'))",
    "triple product of unlike rows": "fastconv.triple_product(wide(99, 10**6), wide(200, 10**6), wide(300, 10**6))",
    "triple product of few rows": "fastconv.triple_product(wide(9, 10**9), workers=1)",
    "mttkrp of short products": "fastconv.mttkrp(wide(1, 9999, 99999, 1), [np.ones((n, 1)) for n in (1, 9999, 99999, 1)], 0)",
    "mttkrp": "fastconv.mttkrp(wide(16, 30000, 30000), [np.ones((n, 64), 'f4') for n in (16, 30000, 30000)], 0)",
    "mttkrp of the last axis": "fastconv.mttkrp(wide(999, 3000, 3000), [np.ones((n, 64), 'f4') for n in (999, 3000, 3000)], 2)",
    "means": "fastconv.third_moment(wide(100, 2 * 10**8))",
    "plane": "fastconv.conv2d(wide(1, 2304, 2304, 1), np.ones((1025, 1025, 1, 1), 'f4'))",
    "channels": "fastconv.conv2d(wide(9, 512, 512, 256), np.ones((99, 99, 1, 256), 'f4'), groups=256)",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
@pytest.mark.parametrize("call", LONG_CALLS)
def test_ctrl_c_stops_calls_whose_tasks_are_long(tmp_path, call):
    script = f"""
        import fastconv
        def wide(*shape, dtype="f4"):
            return np.broadcast_to(np.ones((1,) * len(shape), dtype), shape)
        sent = []
        def interrupt():
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.3, interrupt).start()
        try:
            {LONG_CALLS[call]}
            print("finished")
        except KeyboardInterrupt:
            print(time.perf_counter() - sent[0])
    """
    assert float(run_script(script, cwd=tmp_path)[0]) < 0.5


# --- Bad input


class Lazy:
    __dask_graph__ = None


ONES = np.ones((3, 4))
TENSOR = np.ones((2, 3, 4))
FACTORS = [np.ones((n, 5)) for n in (2, 3, 4)]
BAD = {
    "a of 1 axis": (lambda: fastconv.triple_product(np.ones(3)), ValueError, r"\ba\b.*\(3,\)"),
    "other m in b": (
        lambda: fastconv.triple_product(ONES, np.ones((2, 5))),
        ValueError,
        r"\bb\b.*4.*\(2, 5\)",
    ),
    "other m in c": (
        lambda: fastconv.triple_product(ONES, ONES, np.ones((2, 5))),
        ValueError,
        r"\bc\b.*4.*\(2, 5\)",
    ),
    "weights": (
        lambda: fastconv.triple_product(ONES, weights=np.ones(3)),
        ValueError,
        r"weights.*\(4,\).*\(3,\)",
    ),
    "integers": (
        lambda: fastconv.triple_product(ONES.astype(int)),
        TypeError,
        r"\ba\b.*int64.*float16.*float64",
    ),
    "complex weights": (
        lambda: fastconv.triple_product(ONES, weights=np.ones(4, complex)),
        TypeError,
        "weights.*complex",
    ),
    "lazy": (lambda: fastconv.triple_product(ONES, Lazy()), TypeError, r"\bb\b.*fastconv\.dask"),
    "packed": (
        lambda: fastconv.triple_product(ONES, ONES + 1, ONES, packed=True),
        ValueError,
        "packed.*b and c",
    ),
    "out shape": (
        lambda: fastconv.triple_product(ONES, out=np.ones((3, 3))),
        ValueError,
        r"out.*\(3, 3\).*\(3, 3, 3\)",
    ),
    "out dtype": (
        lambda: fastconv.triple_product(ONES, out=np.ones((3, 3, 3), "f4")),
        TypeError,
        "out.*float32.*float64",
    ),
    "workers": (lambda: fastconv.triple_product(ONES, workers=0), ValueError, "workers.*0"),
    "unpack": (lambda: fastconv.unpack_symmetric(np.ones(5), 3), ValueError, r"packed.*\(10,\).*6.*\(5,\)"),
    "unpack n": (lambda: fastconv.unpack_symmetric(np.ones(1), 1.0), TypeError, "n must"),
    "moment axis": (lambda: fastconv.third_moment(ONES, axis=2), ValueError, "axis.*2"),
    "moment axes": (lambda: fastconv.third_moment(TENSOR), ValueError, r"x.*\(2, 3, 4\)"),
    "vector": (
        lambda: fastconv.mode_dot(TENSOR, np.ones(3)),
        ValueError,
        r"vector_or_matrix.*\(3,\).*\(2, 3, 4\).*2",
    ),
    "mode": (lambda: fastconv.mode_dot(TENSOR, np.ones(3), 3), ValueError, "mode.*3"),
    "mode -4": (lambda: fastconv.mode_dot(TENSOR, np.ones(3), -4), ValueError, "mode.*-4"),
    "mode 1.0": (lambda: fastconv.mode_dot(TENSOR, np.ones(3), 1.0), TypeError, "mode.*1.0"),
    "scalar tensor": (lambda: fastconv.mode_dot(1.0, np.ones(3)), ValueError, "tensor"),
    "3 axes": (lambda: fastconv.mode_dot(TENSOR, TENSOR), ValueError, r"vector_or_matrix.*\(2, 3, 4\)"),
    "longdouble": (
        lambda: fastconv.mode_dot(TENSOR.astype("longdouble"), np.ones(2)),
        TypeError,
        "tensor.*float128|longdouble",
    ),
    "objects": (
        lambda: fastconv.mode_dot(TENSOR, np.ones(2, object)),
        TypeError,
        "vector_or_matrix.*object.*complex128",
    ),
    "mttkrp mode": (lambda: fastconv.mttkrp(TENSOR, FACTORS, 3), ValueError, "mode.*3"),
    "two factors": (lambda: fastconv.mttkrp(TENSOR, FACTORS[:2], 0), ValueError, "factors.*3.*2"),
    "factor shape": (
        lambda: fastconv.mttkrp(TENSOR, FACTORS[::-1], 0),
        ValueError,
        r"factors\[2\].*\(4, 5\).*\(2, 5\)",
    ),
    "factors an array": (lambda: fastconv.mttkrp(TENSOR, ONES, 0), TypeError, "factors.*ndarray"),
    "factor dtype": (
        lambda: fastconv.mttkrp(TENSOR, [f.astype(int) for f in FACTORS], 0),
        TypeError,
        r"factors\[1\].*int64",
    ),
    "grad": (
        lambda: fastconv.triple_product_vjp(np.ones((3, 3, 2)), ONES),
        ValueError,
        r"grad.*\(3, 3, 3\).*\(3, 3, 2\)",
    ),
    "grad b": (
        lambda: fastconv.triple_product_vjp(np.ones((3, 2, 2)), ONES, np.ones((2, 5))),
        ValueError,
        r"\bb\b.*4.*\(2, 5\)",
    ),
    "mode grad": (
        lambda: fastconv.mode_dot_vjp(np.ones(2), TENSOR, np.ones(2)),
        ValueError,
        r"grad.*\(3, 4\).*\(2,\)",
    ),
    "integer grad": (
        lambda: fastconv.mode_dot_vjp(np.ones((3, 4), int), TENSOR, np.ones(2)),
        TypeError,
        "grad.*int64",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_argument_is_named(name):
    call, error_type, pattern = BAD[name]
    with pytest.raises(error_type, match=f"(?s){pattern}"):
        call()
