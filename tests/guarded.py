"""Operations on arrays flush against pages that must not be touched: python guarded.py ISA [--wide].

A read or a write one element too far ends the process with SIGSEGV; the last line printed says where.
"""

import argparse
import ctypes
import functools
import itertools
import mmap

import numpy as np

PROT_NONE = 0
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)
FEW = (1, 3, 8, 17, 33)
METRICS = ("euclidean", "sqeuclidean", "cityblock", "chebyshev", "canberra", "correlation", "hamming")
WIDE = (*range(1, 35), 47, 48, 49, 63, 64, 65)


@functools.cache
def mprotect():
    return ctypes.CDLL(None, use_errno=True).mprotect


def place(array, at_end):
    """Return a copy of `array` that ends, or begins, at a page without any access; the pages stay mapped."""
    page = mmap.PAGESIZE
    pages = max(1, -(-array.nbytes // page))
    host = mmap.mmap(-1, (pages + 2) * page)
    start = (pages + 1) * page - array.nbytes if at_end else page
    copy = np.frombuffer(host, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    address = ctypes.addressof(ctypes.c_char.from_buffer(host))
    for guard in (address, address + (pages + 1) * page):
        if mprotect()(ctypes.c_void_p(guard), ctypes.c_size_t(page), PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect failed")
    return copy


def shapes(sizes, few):
    """Yield (input, filters, options) whose sizes end on, before and after whole vectors and tiles."""
    for width, channels, count in itertools.product(few, few, sizes):
        yield (2, width + 2, channels), (2, 3, channels, count), {}
    for width, channels in itertools.product(sizes, few):
        yield (3, width + 2, channels), (3, 3, 1, channels), {"groups": channels}
        yield (3, 2 * width + 1, channels), (3, 3, channels, 3), {"strides": 2}
        yield (2, width, channels), (2, 3, channels, 5), {"padding": "SAME", "padding_mode": "symmetric"}
    for height, width in itertools.product(few, sizes):
        yield (height + 4, width + 4, 1), (5, 5, 1, 1), {}
        yield (height, width, 1), (3, 3, 1, 1), {"padding": "SAME"}
    for count, channels in itertools.product(sizes, sizes):
        yield (1, 3, channels), (1, 1, channels, count), {}
    for width, channels, count in itertools.product(few, (90, 96), (24, 63, 64, 72, 128)):
        yield (1, width, channels), (1, 1, channels, count), {}  # filters that stream


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("isa")
    parser.add_argument("--wide", action="store_true")
    arguments = parser.parse_args()
    import fastconv

    cases = itertools.product(
        shapes(WIDE, (*FEW, 2, 16)) if arguments.wide else shapes(SIZES, FEW), (True, False)
    )
    calls = 0
    with fastconv.use_isa(arguments.isa):
        for calls, ((images, filters, options), at_end) in enumerate(cases, 1):
            dtype = np.dtype(("f8", "f8", "f4", "f4", "f4", "u1", "i2", "i8", "c8")[calls % (5 if calls % 3 else 9)])
            print(images, filters, options, dtype, "end" if at_end else "start", flush=True)
            x, w = np.ones(images, dtype), np.ones(filters, dtype)
            if calls % 7 < 2:
                options = options | {"data_format": "NCHW"}
                x = np.ascontiguousarray(np.moveaxis(x, -1, -3))
            expected = fastconv.conv2d(x, w, **options)
            x, w, out = (place(array, at_end) for array in (x, w, np.full_like(expected, 77)))
            bias = place(np.zeros(filters[-1], dtype), at_end)
            activation = None if dtype.kind == "c" else "relu"
            fastconv.conv2d(x, w, bias=bias, activation=activation, out=out, workers=1 + calls % 3 // 2, **options)
            if not np.array_equal(out, expected):
                raise SystemExit("wrong values")
        for (i, j, m), at_end, dtype in itertools.product(itertools.product(FEW[:3], FEW[:3], WIDE), (True, False), ("f4", "f8")):
            print("triple product", i, j, m, dtype, "end" if at_end else "start", flush=True)
            a, b, c = (place(np.ones((rows, m), dtype), at_end) for rows in (i, j, 2))
            if not np.all(fastconv.triple_product(a, b, c) == m):
                raise SystemExit("wrong values")
        for (height, width), size, at_end, dtype in itertools.product(
            itertools.product(FEW, WIDE), (3, 8), (True, False), ("u1", "f4", "f8")
        ):
            print("box", height, width, size, dtype, "end" if at_end else "start", flush=True)
            x, out = (place(np.ones((height, width), dtype), at_end) for _ in range(2))
            for name in ("max", "mean"):
                fastconv.neighborhood_reduce(x, name, size, dtype=dtype, out=out)
                if not np.all(out == 1):
                    raise SystemExit("wrong values")
            fastconv.neighborhood_reduce(x, "var", size, dtype=dtype, out=out)
            if np.any(out):
                raise SystemExit("wrong values")
        for (m, n), d, at_end, dtype in itertools.product(
            itertools.chain(itertools.product((1, 5, 6, 7, 13), WIDE), ((2, 3), (96, 127), (97, 129))),
            (1, 3, 33), (True, False), ("f4", "f8"),
        ):
            calls += 1
            name, x, y = METRICS[calls % len(METRICS)], np.ones((m, d), dtype), np.ones((n, d), dtype)
            print("distances", name, m, n, d, dtype, "end" if at_end else "start", flush=True)
            y[:, 0] = 3
            expected = fastconv.cdist(x, y, name)
            x, y, out = (place(array, at_end) for array in (x, y, np.full_like(expected, np.nan)))
            fastconv.cdist(x, y, name, out=out)
            if not np.array_equal(out, expected, equal_nan=True):
                raise SystemExit("wrong values")
            if m > 1:
                continue
            pairs = place(np.full(n * (n - 1) // 2 + 1, np.nan, dtype), at_end)
            part = pairs[1:] if at_end else pairs[:-1]
            fastconv.pdist(y, name, out=part, workers=1 + calls % 2)
            if name != "correlation" and np.any(part):
                raise SystemExit("wrong values")
            bits = place(np.ones((n, d), bool), at_end)
            if np.any(fastconv.cdist(bits[:1], bits, "hamming")):
                raise SystemExit("wrong values")
            distances, _ = fastconv.knn(y, y, min(n, 3), name if name != "correlation" else "cosine")
            if name in ("euclidean", "cityblock") and np.any(distances):
                raise SystemExit("wrong values")
    print(calls)


if __name__ == "__main__":
    main()
