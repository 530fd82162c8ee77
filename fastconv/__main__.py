"""The tour: ``python -m fastconv [IMAGE]`` runs each operation on a photograph and checks it against NumPy.

A station is a function of the photograph that returns rows for the table and panels for the picture;
a new operation adds one to ``STATIONS``. The first line of its docstring is what the user reads.
"""

import argparse
import math
import os
import sys
import time
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from . import conv2d, knn, mode_dot, neighborhood_reduce, prepare_filters, triple_product
from . import ndimage as ndi

LOOP_OUTPUTS = 40_000  # the four loops take microseconds for each output, so they get a crop


class Row(NamedTuple):
    """One line of the table; ``difference`` is the largest one as a fraction of what is allowed."""

    station: str
    what: str
    ours_ms: float
    numpy_ms: float
    difference: float


def agree(rows):
    """Return whether all are within their bounds; a NaN is not."""
    return all(row.difference <= 1 for row in rows)


class Panel(NamedTuple):
    """One image of the picture: (H, W, 3) in colour, or (H, W) drawn with a colour map."""

    title: str
    image: np.ndarray
    colours: str = "gray"


def output_shape(x, w, stride):
    """Return (N, Ho, Wo, K) of a convolution without padding."""
    return len(x), (x.shape[1] - len(w)) // stride + 1, (x.shape[2] - w.shape[1]) // stride + 1, w.shape[3]


def four_loops(x, w, stride):
    """Convolve as people write it first: four Python loops around ``np.multiply(...).sum()``."""
    fh, fw, c, k = w.shape
    out = np.empty(output_shape(x, w, stride), x.dtype)
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                for m in range(k):
                    top, left, first = i * stride, j * stride, m // (k * c // x.shape[3]) * c
                    window = x[n, top : top + fh, left : left + fw, first : first + c]
                    out[n, i, j, m] = np.multiply(window, w[:, :, :, m]).sum()
    return out


def tensordot(x, w, stride):
    """Convolve as people write it next: a strided view of windows and ``np.tensordot``, group by group."""
    n, ho, wo, _ = output_shape(x, w, stride)
    sn, sh, sw, sc = x.strides
    strides = (sn, stride * sh, stride * sw, sh, sw, sc)
    windows = as_strided(x, (n, ho, wo, *w.shape[:2], x.shape[3]), strides, writeable=False)
    groups = x.shape[3] // w.shape[2]
    parts = zip(np.split(windows, groups, axis=-1), np.split(w, groups, axis=-1), strict=True)
    return np.concatenate([np.tensordot(part, taps, axes=3) for part, taps in parts], axis=-1)


def timed(function):
    """Return the function's result and the median of its times in ms, from at most 9 runs or 0.5 s."""
    time.sleep(0.2)  # the threads of NumPy's BLAS spin for a tenth of a second after a call
    times = []
    while len(times) < 9 and sum(times) < 500:
        start = time.perf_counter()
        result = function()
        times.append(1000 * (time.perf_counter() - start))
    return result, float(np.median(times))


def difference(ours, formula, x, w, stride):
    """Return the largest ``|ours - formula| / 8u(|x|*|w|)``, the formula in float64, in bands of rows."""
    if ours.shape != output_shape(x, w, stride):
        return math.inf
    wide, bound, worst = w.astype(np.float64), 4 * np.finfo(ours.dtype).eps, 0.0  # eps is 2u
    for top in range(0, ours.shape[1], 32):
        part = ours[:, top : top + 32]
        band = x[:, top * stride : (top + part.shape[1] - 1) * stride + len(w)].astype(np.float64)
        error = np.abs(part - formula(band, wide, stride))
        allowed = bound * tensordot(np.abs(band), np.abs(wide), stride)
        worst = np.maximum(worst, (error / np.maximum(allowed, 1e-200)).max())  # keeps a NaN
    return float(worst)


def compare(station, x, w, stride=1, border=0):
    """Run conv2d against both NumPy formulas; return the rows and conv2d's result on the whole."""

    def pad():
        return np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)), "edge") if border else x

    padded, groups = pad(), x.shape[3] // w.shape[2]
    side = (math.isqrt(LOOP_OUTPUTS // w.shape[3]) - 1) * stride + len(w)
    top, left = (max(0, (size - side) // 2) for size in padded.shape[1:3])  # in the middle
    crop = padded[:, top : top + side, left : left + side]
    _, loops_ms = timed(lambda: four_loops(crop, w, stride))
    small, small_ms = timed(lambda: conv2d(crop, w, stride, groups=groups))
    _, tensordot_ms = timed(lambda: tensordot(pad(), w, stride))
    whole, whole_ms = timed(lambda: conv2d(x, w, stride, border, groups=groups, padding_mode="edge"))

    what = f"four loops, on a crop: {small.shape[1]} x {small.shape[2]}"
    rows = [Row(station, what, small_ms, loops_ms, difference(small, four_loops, crop, w, stride))]
    what = f"as_strided + tensordot: {whole.shape[1]} x {whole.shape[2]}"
    rows.append(Row(station, what, whole_ms, tensordot_ms, difference(whole, tensordot, padded, w, stride)))
    return rows, whole


def gaussian(sigma):
    """Return a 9x9 Gaussian that sums to 1."""
    line = np.exp(-0.5 * (np.arange(-4, 5) / sigma) ** 2)
    return np.outer(line, line) / line.sum() ** 2


def filter_bank(photo):
    """Edges, blurs and sharpening: sixteen 9x9 filters on the colour photograph in one call."""
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    emboss = np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]])
    sharpen = np.pad([[1]], 1) - laplacian
    on_grey = {"Sobel x": sobel, "Sobel y": sobel.T, "Laplacian": laplacian, "emboss": emboss}
    on_colour = {"sharpen": sharpen, "box blur 9 x 9": np.full((9, 9), 1 / 81)}
    on_colour |= {f"Gaussian blur, sigma {sigma}": gaussian(sigma) for sigma in (1, 2)}

    brightness = np.array([[0.299], [0.587], [0.114]])  # of red, green and blue
    mixes = [brightness] * len(on_grey) + [np.eye(3)] * len(on_colour)
    taps = [np.pad(t, (9 - len(t)) // 2)[:, :, None, None] for t in (on_grey | on_colour).values()]
    filters = np.concatenate([t * mix for t, mix in zip(taps, mixes, strict=True)], axis=-1, dtype=np.float32)
    rows, (out,) = compare("filter bank 9x9x3x16", photo[None], filters, border=4)
    panels = [Panel(title, out[:, :, k]) for k, title in enumerate(on_grey)]
    panels.insert(2, Panel("edges: hypot(Sobel x, Sobel y)", np.hypot(out[:, :, 0], out[:, :, 1]), "magma"))
    panels += [Panel(title, out[:, :, 4 + 3 * k : 7 + 3 * k]) for k, title in enumerate(on_colour)]
    return rows, panels


def thumbnail(photo):
    """A Gaussian on each colour by itself (groups=3), at every fourth pixel."""
    filters = np.repeat(gaussian(2)[:, :, None, None], 3, axis=-1).astype(np.float32)
    rows, (out,) = compare("depthwise 9x9, stride 4", photo[None], filters, stride=4, border=4)
    return rows, [Panel("thumbnail: Gaussian, stride 4", out)]


def layer(photo):
    """A convolutional layer, 3x3x64x64 random filters, on 64 features of the photograph made smaller."""
    step = min(math.ceil(max(photo.shape) / 256), min(photo.shape[:2]) // 8)
    random = np.random.default_rng(3)
    first = random.normal(0, math.sqrt(2 / 27), (3, 3, 3, 64)).astype(np.float32)
    second = random.normal(0, math.sqrt(2 / 576), (3, 3, 64, 64)).astype(np.float32)
    features = conv2d(photo[None, ::step, ::step] - np.float32(0.5), first, activation="relu")
    rows, (out,) = compare("layer 3x3x64x64", features, second)
    prepared = prepare_filters(second)
    ours, ours_ms = timed(lambda: conv2d(features, prepared))
    worst = difference(ours, tensordot, features, second, 1)
    rows.append(rows[-1]._replace(what="as_strided + tensordot, prepared filters", ours_ms=ours_ms, difference=worst))
    maps = (out - out.mean(axis=(0, 1))) / (out.std(axis=(0, 1)) + np.float32(1e-6))
    h, w, _ = maps.shape
    mosaic = maps.reshape(h, w, 8, 8).transpose(2, 0, 3, 1).reshape(8 * h, 8 * w)
    return rows, [Panel("layer: its 64 responses", mosaic, "viridis")]


PALETTE = np.array(
    [
        (0, 0, 0), (255, 255, 255), (104, 55, 43), (112, 164, 178), (111, 61, 134), (88, 141, 67), (53, 40, 121),
        (184, 199, 111), (111, 79, 37), (67, 57, 0), (154, 103, 89), (68, 68, 68), (108, 108, 108), (154, 210, 132),
        (108, 94, 181), (149, 149, 149),
    ],
    np.float32,
) / np.float32(255)  # fmt: skip


def palette(photo):
    """The colours of every pixel against the palette of an old home computer: its nearest one (knn)."""
    pixels = photo.reshape(-1, 3)

    def matrix():
        return np.sqrt(((pixels[:, None] - PALETTE) ** 2).sum(axis=-1))

    whole, numpy_ms = timed(lambda: np.sort(matrix(), axis=1)[:, :2])
    (distances, indices), ours_ms = timed(lambda: knn(pixels, PALETTE, 2))
    allowed = 4 * np.finfo(np.float32).eps * np.maximum(whole, 1e-30)
    worst = float((np.abs(distances - whole) / allowed).max())
    what = f"sort of the matrix: {len(pixels)} x {len(PALETTE)}"
    rows = [Row("nearest colours", what, ours_ms, numpy_ms, worst)]
    return rows, [Panel("palette: nearest of 16 colours", PALETTE[indices[:, 0]].reshape(photo.shape))]


def chunked_products(a, b, c):
    """Contract as people write it: all products of ``a`` and ``b`` for some samples at a time, then ``matmul``."""
    out = np.zeros((len(a) * len(b), len(c)), a.dtype)
    for start in range(0, a.shape[1], 256):
        x, y, z = (m[:, start : start + 256] for m in (a, b, c))
        out += (x[:, None] * y).reshape(len(out), -1) @ z.T
    return out.reshape(len(a), len(b), len(c))


def part_of_bound(ours, exact, scale):
    """Return the largest ``|ours - exact| / 8u scale``."""
    allowed = np.maximum(4 * np.finfo(ours.dtype).eps * scale, 1e-200)  # eps is 2u
    return float((np.abs(ours - exact) / allowed).max()) if ours.shape == exact.shape else math.inf


def patch_moments(photo):
    """Triple products of 100 pixels over the patches of 10x10, of three matrices and of one with itself."""
    grey, side = photo @ np.array([0.299, 0.587, 0.114], np.float32), 10
    windows = np.lib.stride_tricks.sliding_window_view(grey, (side, side))[::3, ::3]
    rows = windows.reshape(-1, side * side)[:20_000].T
    a, b, c = rows - rows.mean(), np.roll(rows, 1, axis=1), np.roll(rows, 2, axis=1)
    table = []
    for what, operands in (("three matrices", (a, b, c)), ("all the same", (a, a, a))):
        _, theirs_ms = timed(lambda operands=operands: chunked_products(*operands))
        ours, ours_ms = timed(lambda operands=operands: triple_product(*operands))
        wide = [operand.astype(np.float64) for operand in operands]
        worst = part_of_bound(ours, chunked_products(*wide), chunked_products(*map(np.abs, wide)))
        table.append(Row("triple product N=100", f"chunks + matmul: {what}", ours_ms, theirs_ms, worst))
    middle = ours.reshape(side, side, side * side, side * side)[side // 2, side // 2]
    return table, [Panel("third moments with the patch's centre", middle, "RdBu")]


def vector_stack(photo):
    """A vector times a stack of matrices: 64 copies of the photograph, each shifted, weighted and summed."""
    grey = photo @ np.array([0.299, 0.587, 0.114], np.float32)
    stack = np.stack([np.roll(grey, shift, axis=1) for shift in range(-32, 32)])
    weights = np.hanning(66)[1:-1].astype(np.float32)
    weights /= weights.sum()
    exact = np.einsum("i,ijk->jk", weights.astype(np.float64), stack.astype(np.float64))
    ours, ours_ms = timed(lambda: mode_dot(stack, weights, 0))
    _, theirs_ms = timed(lambda: np.einsum("i,ijk->jk", weights, stack))
    what = f"einsum i,ijk->jk: 64 x {grey.shape[0]} x {grey.shape[1]}"
    rows = [Row("vector times stack", what, ours_ms, theirs_ms, part_of_bound(ours, exact, exact))]
    return rows, [Panel("64 shifted photographs, weighted", ours)]


def windows(image, size):
    """The window of each pixel as NumPy users write it: padding, then a strided view of (H, W, size, size)."""
    padded = np.pad(image, size // 2, "symmetric")
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size))


def disk(radius):
    """A disk as a structuring element."""
    line = np.arange(-radius, radius + 1)
    return line[:, None] ** 2 + line**2 <= radius**2 + radius


def shifted(image, element, function):
    """Erode or dilate as people write it: the image shifted to each cell of the element, one plane after another."""
    (h, w), side = image.shape, len(element)
    padded, out = np.pad(image, side // 2, "symmetric"), None
    for i, j in np.argwhere(element):
        plane = padded[i : i + h, j : j + w]
        out = plane.copy() if out is None else function(out, plane, out=out)
    return out


def beside(station, what, ours, formula, units):
    """Run ours and a formula of NumPy; return a Row, whose bound is some units of the largest result, and ours."""
    theirs, theirs_ms = timed(formula)
    result, ours_ms = timed(ours)
    kind = result.dtype if result.dtype.kind == "f" else np.float64
    error = np.abs(result.astype(np.float64) - theirs).max()
    allowed = units * np.finfo(kind).eps * np.abs(theirs).max()
    return Row(station, what, ours_ms, theirs_ms, float(error / allowed) if allowed else math.inf if error else 0.0), result


CELLS = disk(2).ravel()


def dilated(window):
    """A function of one's own, of one window: dilation is mean(window & cells) > 0."""
    return np.mean(np.logical_and(window, CELLS)) > 0


def one_by_one(mask, rows=16):
    """A Row of `dilated`, as fastconv runs it and as a loop calls it, for the first rows."""

    def loop():
        return np.array([[dilated(window.ravel()) for window in line] for line in windows(mask[: rows + 2], 5)[:rows]])

    ours, ours_ms = timed(lambda: neighborhood_reduce(mask, dilated, 5))
    theirs, theirs_ms = timed(loop)
    worst = 0.0 if np.array_equal(ours[:rows], theirs) else math.inf
    row = Row("neighbourhoods", "window by window: own function 5x5", ours_ms, theirs_ms * len(mask) / rows, worst)
    return row, Panel("own function, disk 2", ours.astype(np.uint8), "gray")


def neighbourhoods(photo):
    """Each pixel from its neighbourhood: mean, median, deviation, dilation and erosion, and a function of one's own."""
    grey = (255 * photo @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)
    real, element = grey.astype(np.float64), disk(7)
    mask = grey > np.median(grey)
    cases = [
        ("mean 9x9", real, "mean", 9, lambda: windows(real, 9).mean(axis=(-2, -1)), 2),
        ("median 5x5", grey, "median", 5, lambda: np.median(windows(grey, 5), axis=(-2, -1)), 0),
        ("deviation 9x9", real, "std", 9, lambda: windows(real, 9).std(axis=(-2, -1)), 16),
        ("dilation, disk 7", grey, "max", element, lambda: shifted(grey, element, np.maximum), 0),
        ("erosion, disk 7", grey, "min", element, lambda: shifted(grey, element, np.minimum), 0),
    ]
    rows, panels = [], []
    for title, image, reduction, shape, formula, units in cases:
        window = {"size": shape} if isinstance(shape, int) else {"footprint": shape}
        what = f"{'shifted planes' if reduction in ('max', 'min') else 'strided windows'}: {title}"
        ours = partial(neighborhood_reduce, image, reduction, **window)
        row, result = beside("neighbourhoods", what, ours, formula, units)
        rows.append(row)
        panels.append(Panel(title, result, "magma" if reduction == "std" else "gray"))
    row, panel = one_by_one(mask)
    return [*rows, row], [*panels, panel]


def lines(image, taps):
    """Smooth as people write it: ``np.convolve`` of each line and each column."""

    def line(values):
        return np.convolve(np.pad(values, len(taps) // 2, "symmetric"), taps, "valid")

    return np.apply_along_axis(line, 1, np.apply_along_axis(line, 0, image.astype(np.float64)))


def sobel(image, axis):
    """Sobel's derivative along an axis, by slices."""
    padded = np.moveaxis(np.pad(image, 1, "symmetric"), axis, 0)
    steps = padded[2:] - padded[:-2]
    return np.moveaxis(steps[:, :-2] + 2 * steps[:, 1:-1] + steps[:, 2:], 0, axis)


def flooded(mask):
    """Fill holes as people write it: what is outside grows through the background until nothing changes."""
    free = np.pad(~mask, 1, constant_values=True)
    outside, grown = np.zeros_like(free), np.pad(np.zeros_like(mask), 1, constant_values=True)
    while not np.array_equal(outside, grown):
        outside = grown.copy()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= free
    return ~outside[1:-1, 1:-1]


def gallery(photo):
    """A gallery by scipy.ndimage's names: a Gaussian, edges, bright details, outlines and filled shapes."""
    grey = (255 * photo @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)
    real, square, box = grey.astype(np.float64), np.ones((5, 5), bool), np.ones((15, 15), bool)
    taps = np.exp(-0.5 * (np.arange(-12, 13) / 3) ** 2)
    taps /= taps.sum()

    def edges(derivative):
        return np.hypot(derivative(real, 0), derivative(real, 1))

    def details():
        return grey - shifted(shifted(grey, box, np.minimum), box, np.maximum)

    def outlines():
        return shifted(grey, square, np.maximum) - shifted(grey, square, np.minimum)

    mask = edges(ndi.sobel) > 100
    cases = [
        ("lines", "Gaussian, sigma 3", partial(ndi.gaussian_filter, photo, 3, axes=(0, 1)), lambda: lines(photo, taps), 2),
        ("slices", "edges: Sobel", partial(edges, ndi.sobel), partial(edges, sobel), 4),
        ("shifted planes", "white top-hat 15", partial(ndi.white_tophat, grey, 15), details, 0),
        ("shifted planes", "gradient 5", partial(ndi.morphological_gradient, grey, 5), outlines, 0),
        ("repeated steps", "filled edges", partial(ndi.binary_fill_holes, mask), partial(flooded, mask), 0),
    ]
    rows, panels = [], []
    for way, title, ours, formula, units in cases:
        row, result = beside("gallery of ndimage", f"{way}: {title}", ours, formula, units)
        rows.append(row)
        panels.append(Panel(title, result.astype(np.uint8) if result.dtype == bool else result))
    return rows, panels


STATIONS = [filter_bank, thumbnail, layer, palette, patch_moments, vector_stack, neighbourhoods, gallery]


def read_photo(path, size):
    """Return the image (None: matplotlib's sample) as float32 (H, W, 3) in 0..1, shrunk to ``size``."""
    hint = "The tour needs matplotlib and a photograph: pip install 'fastconv[demo]'"
    try:
        from matplotlib.cbook import get_sample_data
        from PIL import Image, ImageOps
    except ImportError as error:
        sys.exit(f"{error}\n{hint}")
    try:
        with Image.open(path or get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        sys.exit(f"cannot read the photograph: {error}\n{hint}")
    image.thumbnail((size, size))
    if min(image.size) < 16:
        sys.exit(f"the photograph in --size {size} is {image.width} x {image.height}, needs 16 x 16 or more")
    return np.asarray(image, np.float32) / 255


def print_table(rows):
    """Print one line a row under the headings."""
    line = "{:<24} {:<36} {:>9} {:>9} {:>8} {:>11} {:>6}"
    print(line.format("station", "NumPy: output", "ours ms", "NumPy ms", "ratio", "difference", "agree"))
    for r in rows:
        times = f"{r.ours_ms:.3f}", f"{r.numpy_ms:.1f}", f"{r.numpy_ms / r.ours_ms:.1f}x"
        print(line.format(r.station, r.what, *times, f"{r.difference:.3f}", "yes" if agree([r]) else "NO"))
    print("Times are medians. Difference: the largest between ours and the same formula (conv2d: in float64),")
    print("as a fraction of the promised bound: 8u of the same sum of absolute values; for distances of the distance;")
    print("for neighbourhoods and the gallery a few units of the largest result, none where nothing is rounded.")


def save_picture(panels, path):
    """Draw the panels, four in a row."""
    from matplotlib.figure import Figure  # without pyplot: no display, and Agg draws

    lines, (height, width) = math.ceil(len(panels) / 4), panels[0].image.shape[:2]
    figure = Figure(figsize=(13, lines * (0.3 + 3.2 * min(height / width, 2.5))), layout="constrained")
    for number, (title, image, colours) in enumerate(panels, 1):
        axis = figure.add_subplot(lines, 4, number, title=title)
        axis.set_axis_off()
        low, high = np.percentile(image, [0.5, 99.5])
        low, high = (min(low, -high), max(-low, high)) if low < 0 else (low, high)  # zero is grey
        axis.imshow(np.clip(image, 0, 1) if image.ndim == 3 else image, cmap=colours, vmin=low, vmax=high)
    figure.savefig(path, dpi=110)


def main(arguments=None):
    """Run the tour; return 0 if every check agrees, else 1."""
    parser = argparse.ArgumentParser("python -m fastconv", description="Every operation, on a photograph.")
    parser.add_argument("image", nargs="?", help="a photograph (default: matplotlib's sample)")
    parser.add_argument("--output", default="fastconv-tour.png", help="the picture (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="longest side, 16 to 1024 (default: 512)")
    options = parser.parse_args(arguments)
    if not 16 <= options.size <= 1024:
        parser.error(f"--size must be 16 to 1024, got {options.size}")

    photo = read_photo(options.image, options.size)
    rows, panels = [], [Panel("photograph", photo)]
    print(f"photograph: {photo.shape[0]} x {photo.shape[1]} pixels, float32", flush=True)
    for number, station in enumerate(STATIONS, 1):
        print(f"[{number}/{len(STATIONS)}] {station.__doc__.splitlines()[0]}", flush=True)
        start = time.perf_counter()
        new_rows, new_panels = station(photo)
        rows, panels = rows + new_rows, panels + new_panels
        verdict = "agrees" if agree(new_rows) else "DISAGREES"
        print(f"      {verdict} with NumPy, {time.perf_counter() - start:.1f} s", flush=True)
    print()
    print_table(rows)
    try:
        save_picture(panels, options.output)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot write the picture: {error}")
    print(f"\npicture: {os.path.abspath(options.output)}")
    return 0 if agree(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
