"""Filters and morphology by the names of scipy.ndimage: what runs there runs here.

    import fastconv.ndimage as ndi

Signatures, defaults, dtypes, modes and origins for each axis, `axes=`, `output=` (which may overlap the input), exceptions and
warnings are SciPy's (1.17 is what tests compare with); SciPy need not be installed. All functions take `workers=`, the number of
threads, and those of means, extremes and ranks `nan_policy=`.

Where the answers differ:

- 64-bit integers. Extremes, ranks and grey morphology, and correlations of them with weights that are integers into integers, are
  exact; SciPy computes them as doubles, which hold 53 bits. Means and other sums are computed in double precision here, too.
- NaN. In minima, maxima, ranks and medians, a NaN makes those outputs NaN whose windows hold it, or does not count, or raises, as
  `nan_policy` says; SciPy's comparisons drop or keep it, by the order of the cells. In `uniform_filter`, NaN and infinities reach
  the windows that hold them; SciPy's running sum carries them to the end of the line.
- Drift. Each mean of `uniform_filter` is a sum of its own; SciPy's running sum gathers rounding errors along a line, so that an
  integer result may be one less than the mean cut off, where the mean is an integer.
- Rounding. Weighted sums are formed in double precision and in SciPy's order, along an axis and of windows of several axes: they
  are SciPy's to the bit on x86-64, but into floats with weights of 25 cells and more that are the products of those along two
  axes, which are summed along one and then the other. Of Gaussians into float32 products are not rounded before they are added,
  so that hardly one result in 10^7 is the next float. Integers beyond a dtype wrap around, as they do there.
- Ranks on one axis. SciPy (1.17) ignores the cells of a footprint there, and writes into an output of another dtype as if it had
  the input's.
- Binary morphology. Results in an output of floats are those in an output of booleans; SciPy's are not, with a mask and several
  iterations.
- float16 is an input and an output of all functions; SciPy raises RuntimeError.
- Overlap. `laplace`, `gaussian_laplace`, `generic_laplace`, the gradient magnitudes, `morphological_laplace`, the top-hats and
  complex correlations into their own input give what they give without overlap.
- Functions. `generic_filter` and `vectorized_filter` compile functions that can be (`fastconv.explain`) and call them for few
  windows then: what they do beside their result is not done for each pixel. A function with a parameter `axis` gets blocks of
  windows from `generic_filter`. `vectorized_filter` does not copy the input, and "grid-mirror" is "reflect" there as elsewhere.
- Arrays. Lazy ones (dask) raise TypeError. What a masked array hides counts, as for SciPy.
"""
from ._binary import (
    binary_closing,
    binary_dilation,
    binary_erosion,
    binary_fill_holes,
    binary_hit_or_miss,
    binary_opening,
    binary_propagation,
    generate_binary_structure,
    iterate_structure,
)
from ._derivatives import (
    gaussian_gradient_magnitude,
    gaussian_laplace,
    generic_gradient_magnitude,
    generic_laplace,
    laplace,
    prewitt,
    sobel,
)
from ._functions import (
    generic_filter,
    generic_filter1d,
    vectorized_filter,
)
from ._grey import (
    black_tophat,
    grey_closing,
    grey_dilation,
    grey_erosion,
    grey_opening,
    morphological_gradient,
    morphological_laplace,
    white_tophat,
)
from ._ranks import (
    maximum_filter,
    maximum_filter1d,
    median_filter,
    minimum_filter,
    minimum_filter1d,
    percentile_filter,
    rank_filter,
)
from ._weights import (
    convolve,
    convolve1d,
    correlate,
    correlate1d,
    gaussian_filter,
    gaussian_filter1d,
    uniform_filter,
    uniform_filter1d,
)

__all__ = [
    "binary_closing",
    "binary_dilation",
    "binary_erosion",
    "binary_fill_holes",
    "binary_hit_or_miss",
    "binary_opening",
    "binary_propagation",
    "black_tophat",
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generate_binary_structure",
    "generic_filter",
    "generic_filter1d",
    "generic_gradient_magnitude",
    "generic_laplace",
    "grey_closing",
    "grey_dilation",
    "grey_erosion",
    "grey_opening",
    "iterate_structure",
    "laplace",
    "maximum_filter",
    "maximum_filter1d",
    "median_filter",
    "minimum_filter",
    "minimum_filter1d",
    "morphological_gradient",
    "morphological_laplace",
    "percentile_filter",
    "prewitt",
    "rank_filter",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
    "vectorized_filter",
    "white_tophat",
]
