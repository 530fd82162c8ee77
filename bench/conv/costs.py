"""The constants of conv2d's cost model, measured: `python -m bench.conv.costs`.

Each is a number of multiply-adds, as they are computed directly, that take as long: see fourier_blocks.pyx and run.pyx of
fastconv/_drivers/conv, which have what is printed here, rounded.
"""

import time

import numpy as np

import fastconv
from fastconv._drivers.conv import run as _conv

from ..case import small_integers

PLANE = 1024, 1024
SHAPES = [  # H, W, C, F, K
    *((*PLANE, 1, f, 1) for f in (9, 15, 31, 63, 127)),
    *((256, 256, c, f, k) for c, f, k in ((16, 31, 16), (4, 15, 4), (3, 21, 8), (16, 9, 16), (32, 11, 32), (64, 7, 8))),
    (64, 64, 8, 15, 32),
]


def seconds(x, w, method, rounds=9):
    """The least of a few calls on one thread."""
    best = np.inf
    for _ in range(rounds):
        begin = time.process_time()
        fastconv.conv2d(x, w, method=method, workers=1)
        best = min(best, time.process_time() - begin)
    return best


def plane(h, w, down, across):
    """Images and filters of one plane."""
    return small_integers((h, w, 1), np.float32), small_integers((down, across, 1, 1), np.float32)


def main():
    """Measure and print."""
    unit = seconds(*plane(*PLANE, 31, 31), "direct") / ((PLANE[0] - 30) * (PLANE[1] - 30) * 31 * 31)
    print(f"{fastconv.isa()}: a multiply-add of 31 x 31 taps on one plane takes {unit * 1e12:.2f} ps")
    counts, found = [], []
    for h, w, c, f, k in SHAPES:
        filters = small_integers((f, f, c, k), np.float32)
        counts.append(_conv.fourier_counts(filters, h - f + 1, w - f + 1))
        found.append(seconds(small_integers((h, w, c), np.float32), filters, "fft") / unit)
    counts, found = np.array(counts), np.array(found)
    costs = np.linalg.lstsq(counts / found[:, None], np.ones(len(found)))[0]  # errors in proportion
    for name, cost in zip(("STEP_COST", "PRODUCT_COST", "INPUT_COST", "OUTPUT_COST"), costs, strict=True):
        print(f"{name} = {cost:.1f}")
    for shape, model, cost in zip(SHAPES, counts @ costs, found, strict=True):
        print(f"  {shape}: {cost:.3g} multiply-adds, {model / cost:.2f} of which the model says")
    both = [seconds(*plane(*PLANE, *taps), "direct") / unit / (PLANE[0] * PLANE[1]) for taps in ((15, 1), (1, 15))]
    print(f"AXIS_COST = {np.mean(both) - 15:.1f}")


if __name__ == "__main__":
    main()
