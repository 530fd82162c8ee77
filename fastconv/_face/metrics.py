"""The metrics of distance.py: names, arguments and defaults, and which kernel computes each. Next hop: forms.py, which makes of
weights and matrices what kernels take."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.distance import pairs as _pairs
from .._drivers.distance import table
from . import args as _args
from . import forms

# name: (sums, ending, preparation, cost of one number in subtractions and FMAs).
_DIRECT = {
    "euclidean": (table.FC_SQUARE, table.FC_ROOT, table.FC_PLAIN, 1),
    "sqeuclidean": (table.FC_SQUARE, table.FC_AS_IS, table.FC_PLAIN, 1),
    "cityblock": (table.FC_CITYBLOCK, table.FC_AS_IS, table.FC_PLAIN, 1),
    "chebyshev": (table.FC_CHEBYSHEV, table.FC_AS_IS, table.FC_FINITE, 1),
    "canberra": (table.FC_CANBERRA, table.FC_AS_IS, table.FC_SIZES, 3),
    "braycurtis": (table.FC_BRAYCURTIS, table.FC_RATIO, table.FC_POSITIVE, 1),
    "hamming": (table.FC_HAMMING, table.FC_SHARE, table.FC_KNOWN, 2),
    "cosine": (table.FC_PRODUCT, table.FC_COSINE, table.FC_UNIT, 0.5),
    "correlation": (table.FC_PRODUCT, table.FC_COSINE, table.FC_CENTRED, 0.5),
    "jensenshannon": (table.FC_JENSEN, table.FC_ENTROPY, table.FC_SHARES, 12),
    "dice": (table.FC_DICE, table.FC_DICE_RATIO, table.FC_PLAIN, 3),
}
_BITS = {
    "hamming": table.FC_HAMMING_BITS,
    "jaccard": table.FC_JACCARD,
    "dice": table.FC_DICE_BITS,
    "rogerstanimoto": table.FC_ROGERSTANIMOTO,
    "russellrao": table.FC_RUSSELLRAO,
    "sokalsneath": table.FC_SOKALSNEATH,
    "yule": table.FC_YULE,
}
_TAKES = {"minkowski": {"p", "w"}, "seuclidean": {"V"}, "mahalanobis": {"VI"}, "jensenshannon": set()}
NAMES = sorted({*_DIRECT, *_BITS, *_TAKES, "matching"})
_ALIASES = {
    "chebychev": "chebyshev", "cheby": "chebyshev", "cheb": "chebyshev", "ch": "chebyshev", "cblock": "cityblock",
    "cb": "cityblock", "c": "cityblock", "co": "correlation", "cos": "cosine", "euclid": "euclidean", "eu": "euclidean",
    "e": "euclidean", "matching": "hamming", "hamm": "hamming", "ha": "hamming", "h": "hamming", "jacc": "jaccard",
    "ja": "jaccard", "j": "jaccard", "js": "jensenshannon", "mahal": "mahalanobis", "mah": "mahalanobis",
    "mi": "minkowski", "m": "minkowski", "pnorm": "minkowski", "se": "seuclidean", "s": "seuclidean",
    "sqe": "sqeuclidean", "sqeuclid": "sqeuclidean",
}  # fmt: skip
_FARTHEST = 1e18  # from this p on, minkowski's distance is the largest difference up to rounding
_LEAST = {4: 2.0**-100, 8: 2.0**-900}  # below this p all powers are 1, by bytes of a number
_COUNTS = 1 << 23  # from so many numbers on float32 does not count bits
_FACTOR_BYTES = 8 << 20  # the largest matrix that is factored: points are multiplied by others as they are
_runtime.face_seams("distance", globals(), "_FACTOR_BYTES")
_pairs.set_small({name: code[:3] for name, code in _DIRECT.items()})  # need no arguments and no look at the dtypes
_KINDS = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}
_FLOATS = {np.dtype(t): np.dtype(t) for t in (np.float16, np.float32, np.float64)}


@dataclass(frozen=True)
class Plan:
    """How to compute a metric: what the kernels need and in which precision, a function that fills an array, or items of a
    batch in turn."""

    kernel: tuple | None = None
    single: bool = False
    fill: Callable | None = None
    items: Callable | None = None

    @property
    def compute(self):
        """The dtype that distances are computed in."""
        return np.dtype(np.float32 if self.single else np.float64)

    @property
    def matrix(self):
        """What is read beside the points."""
        return self.kernel[7] if self.kernel else None


# How a gradient follows from sums and ending.
_PULLS = {
    (table.FC_SQUARE, table.FC_AS_IS): table.FC_PULL_SQUARE,
    (table.FC_SQUARE, table.FC_ROOT): table.FC_PULL_ROOT,
    (table.FC_CITYBLOCK, table.FC_AS_IS): table.FC_PULL_CITYBLOCK,
    (table.FC_CHEBYSHEV, table.FC_AS_IS): table.FC_PULL_CHEBYSHEV,
    (table.FC_CUBE, table.FC_PTH_ROOT): table.FC_PULL_POWER,
    (table.FC_QUARTIC, table.FC_PTH_ROOT): table.FC_PULL_POWER,
    (table.FC_HALVES, table.FC_PTH_ROOT): table.FC_PULL_POWER,
    (table.FC_POWER, table.FC_PTH_ROOT): table.FC_PULL_POWER,
    (table.FC_CANBERRA, table.FC_AS_IS): table.FC_PULL_CANBERRA,
    (table.FC_FORM, table.FC_ROOT): table.FC_PULL_ROOT,
    (table.FC_BRAYCURTIS, table.FC_RATIO): table.FC_PULL_BRAYCURTIS,
    (table.FC_PRODUCT, table.FC_COSINE): table.FC_PULL_COSINE,
    (table.FC_JENSEN, table.FC_ENTROPY): table.FC_PULL_JENSEN,
    (table.FC_WORDS, table.FC_ROOT): table.FC_PULL_WORDS,
}
DIFFERENTIABLE = (
    "braycurtis", "canberra", "chebyshev", "cityblock", "correlation", "cosine", "euclidean", "jensenshannon",
    "mahalanobis", "minkowski", "seuclidean", "sqeuclidean",
)  # fmt: skip


def gradient(metric, plan):
    """Which gradient a plan's distances have."""
    kind = None if plan.kernel is None else _PULLS.get(plan.kernel[:2])
    if kind is None or (kind == table.FC_PULL_POWER and plan.kernel[3] < 1):
        raise ValueError(f"metric must be one of {', '.join(DIFFERENTIABLE)} (minkowski with p >= 1), got {metric!r}")
    return kind


def dtypes(a_name, a, b_name, b, wanted):
    """(dtype to compute in, dtype of the result): float32 or float64, and what the inputs or `wanted` say."""
    if a.dtype is b.dtype and wanted is None and a.dtype in _FLOATS:
        result = a.dtype
        return (result if result.itemsize > 2 else np.dtype(np.float32)), result
    for name, x in ((a_name, a), (b_name, b)):
        if x.dtype.itemsize not in _KINDS.get(x.dtype.kind, ()):
            raise TypeError(f"{name} has dtype {x.dtype}; it may be float16, float32, float64, an integer or bool")
    result = np.dtype(np.float64)
    if a.dtype.kind == b.dtype.kind == "f":
        result = np.result_type(a.dtype, b.dtype).newbyteorder("=")
    compute = np.dtype(np.float64) if result == np.float64 else np.dtype(np.float32)
    if wanted is not None:
        try:
            result = _FLOATS[np.dtype(wanted)]
        except (KeyError, TypeError):
            raise TypeError(f"dtype must be float16, float32 or float64, got {wanted!r}") from None
    return compute, result


def plan(metric, kwargs, xa, xb, compute):
    """The Plan of a metric with its arguments; `xb` is None where `xa` is compared with itself."""
    if not isinstance(metric, str):
        if not callable(metric):
            raise TypeError(f"metric must be a name or a function of two points, got {metric!r}")
        return Plan(fill=_caller(metric, kwargs, _scipy_casts(metric)))
    name = metric.lower()
    name = _ALIASES.get(name, name)
    if name not in _DIRECT and name not in _BITS and name not in _TAKES:
        raise ValueError(f"metric must be a function or one of {', '.join(NAMES)}, got {metric!r}")
    takes = _TAKES.get(name, {"w"})
    for argument in kwargs:
        if argument not in takes:
            what = " and ".join(sorted(takes)) or "no arguments"
            raise TypeError(f"metric {name!r} takes {what}, got {argument!r}")
    d = xa.shape[-1]
    w = _weights("w", kwargs.get("w"), d)
    own = xa if xb is None else xb
    if name == "minkowski":
        return _minkowski(kwargs.get("p", 2), w, d, compute)
    if name == "seuclidean":
        if kwargs.get("V") is None:
            if xa.ndim > 2 or own.ndim > 2:
                return Plan(items=items)
            v = forms.scatter(xa, xb, diagonal=True)
        else:
            v = _vector("V", kwargs["V"], d)
        w, exponent = forms.inverse_variances(v)
        return _kernel(table.FC_SQUARE, table.FC_ROOT, table.FC_PLAIN, 1, d, compute, w=w, exponent=-exponent)
    if name == "mahalanobis":
        if kwargs.get("VI") is None and (xa.ndim > 2 or own.ndim > 2):
            return Plan(items=items)
        return _mahalanobis(kwargs.get("VI"), xa, xb, compute)
    booleans = xa.dtype.kind == own.dtype.kind == "b"
    if name in _BITS and (booleans or name not in _DIRECT):
        if w is None:
            compute = compute if d < _COUNTS else np.dtype(np.float64)
            return _kernel(table.FC_BITS, _BITS[name], table.FC_PACKED_BITS, 1, d, compute)
        return _kernel(table.FC_DISCORDANT, _BITS[name], table.FC_NONZERO, 6, d, compute, w=w)
    sums, ending, preparation, cost = _DIRECT[name]
    return _kernel(sums, ending, preparation, cost, d, compute, w=w)


def _kernel(sums, ending, preparation, cost, d, compute, *, w=None, p=2.0, matrix=None, exponent=0):
    """A Plan for the kernels; weights, times 2**exponent, reach the sums, or the preparation alone if it is one that takes
    them. The kernels see them without their power of 2, so that they and their products stay within any precision."""
    tile, n, factor, single = None, d, 1.0, compute == np.float32
    if w is not None:
        w, more = forms.reduced(w)
        exponent += more
        # Of the others it cancels.
        if ending in (table.FC_AS_IS, table.FC_ROOT, table.FC_PTH_ROOT) and sums != table.FC_CHEBYSHEV:
            factor = 2.0 ** (exponent / (1 if ending == table.FC_AS_IS else p))
        n = w.sum()
        if preparation not in (table.FC_UNIT, table.FC_CENTRED):
            with np.errstate(over="ignore", under="ignore"):
                tile = (w != 0 if sums == table.FC_CHEBYSHEV else w).astype(compute, copy=False)
            if preparation in (table.FC_KNOWN, table.FC_NONZERO):
                n = _total(tile, d, single)
        w = w if preparation in (table.FC_UNIT, table.FC_CENTRED, table.FC_POSITIVE) else None
    elif exponent:
        factor = 2.0 ** (exponent / 2)
    if preparation == table.FC_MAPPED:
        w = forms.row_lengths(matrix)
    elif preparation == table.FC_BESIDE:
        w = forms.row_bounds(matrix)
    return Plan(kernel=(sums, ending, preparation, float(p), float(n), w, tile, matrix, cost, factor), single=single)


def _vector(name, value, d):
    vector = np.array(_real(name, "a vector", value), np.float64)  # a copy: `out` may lie in the argument
    if vector.shape != (d,):
        raise ValueError(f"{name} must have shape ({d},), one number for each of a point, got shape {vector.shape}")
    return vector


def _real(name, what, value):
    """An argument of real numbers, as an array."""
    array = _args.array(name, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be {what} of real numbers, got dtype {array.dtype}")
    return array


def _total(tile, d, single):
    """The sum of weights as the kernels add them up: the distance of points that differ everywhere."""
    ends, total = (np.broadcast_to(np.float32(x), (1, d)) for x in (0, 1)), np.empty((1, 1))
    differing = (table.FC_HAMMING, table.FC_AS_IS, table.FC_KNOWN, 2.0, 1.0, None, tile, None, 1, 1.0)
    _pairs.matrix(*ends, total, single, False, False, differing, 1)
    return total[0, 0]


def _weights(name, value, d):
    if value is None:
        return None
    w = _vector(name, value, d)
    if np.any(w < 0):
        raise ValueError(f"{name} must be all non-negative, got {w.min()}")
    return w


def _minkowski(p, w, d, compute):
    array = _args.array("p", p)
    if array.ndim or array.dtype.kind not in "fiubO":  # whole numbers beyond int64 are objects
        raise TypeError(f"p must be a number >= 0, got {p!r}")
    p = _args.real("p", p)
    if not p >= 0:
        raise ValueError(f"p must be a number >= 0, got {p}")
    p = max(p, _LEAST[compute.itemsize])
    if p == 1:
        return _kernel(table.FC_CITYBLOCK, table.FC_AS_IS, table.FC_PLAIN, 1, d, compute, w=w)
    if p == 2:
        return _kernel(table.FC_SQUARE, table.FC_ROOT, table.FC_PLAIN, 1, d, compute, w=w)
    if p >= _FARTHEST:
        return _kernel(table.FC_CHEBYSHEV, table.FC_AS_IS, table.FC_FINITE, 1, d, compute, w=w)
    halves = p < 8 and p % 1 == 0.5
    sums, cost = (table.FC_HALVES, 6) if halves else (table.FC_POWER, 20)
    if p in (3, 4):
        sums, cost = table.FC_CUBE if p == 3 else table.FC_QUARTIC, 2
    return _kernel(sums, table.FC_PTH_ROOT, table.FC_PLAIN, cost, d, compute, w=w, p=p)


def _mahalanobis(vi, xa, xb, compute):
    d = xa.shape[-1]
    if vi is None:
        count = len(xa) + (0 if xb is None else len(xb))
        if count <= d:
            raise ValueError(
                f"mahalanobis needs VI, or more points than dimensions for a covariance: got {count} points of d = {d}"
            )
        vi = np.linalg.inv(forms.scatter(xa, xb, diagonal=False))
    else:
        vi = _real("VI", "a matrix", vi)
        if vi.shape != (d, d):
            raise ValueError(f"VI must have shape ({d}, {d}), got shape {vi.shape}")
    if not all(np.isfinite(part).all() for part in forms.parts(vi)):
        if any(np.isnan(part).any() for part in forms.parts(vi)):
            return Plan(fill=lambda xa, xb, out: out.fill(np.nan))
        return Plan(fill=_caller(_quadratic, {"vi": vi.astype(np.float64)}))
    if 8 * d * d <= _FACTOR_BYTES:
        root, exponent = forms.symmetric(vi)
        try:
            forms.factor(root)
            return _kernel(table.FC_WORDS, table.FC_ROOT, table.FC_MAPPED, 2, d, compute, matrix=root, exponent=exponent)
        except np.linalg.LinAlgError:  # not positive definite
            pass
    # In double precision: terms of both signs cancel. The form of a matrix is that of its transpose.
    matrix, exponent = forms.reduced(np.require(vi.T if vi.flags.f_contiguous else vi, np.float64, "CA"))
    return _kernel(table.FC_FORM, table.FC_ROOT, table.FC_BESIDE, 2.5, d, np.dtype(np.float64), matrix=matrix, exponent=exponent)


def items(*arrays):
    """The items of a batch, each array's leading axes broadcast to those of the last."""
    lead = arrays[-1].shape[:-2]
    wide = [np.broadcast_to(a, (*lead, *a.shape[-2:])) for a in arrays[:2]] + list(arrays[2:])
    for index in np.ndindex(*lead):
        yield tuple(a[index] for a in wide)


def _quadratic(u, v, vi):
    """mahalanobis by its formula, for matrices that have no factors."""
    with np.errstate(all="ignore"):
        difference = np.subtract(u, v, dtype=np.float64)
        return np.sqrt(difference @ (vi @ difference))


def _scipy_casts(metric):
    """What SciPy makes of integers for its own functions, which would wrap around: truths or doubles, None for others."""
    if not getattr(metric, "__module__", "").startswith("scipy.spatial.distance"):
        return None
    return bool if metric.__name__ in _BITS and metric.__name__ not in ("hamming", "jaccard") else np.float64


def _caller(metric, kwargs, casts=None):
    """A function that fills an array with metric(u, v, **kwargs), one pair at a time; integers are cast before."""

    def fill(xa, xb, out):
        lead = out.shape[:-2]
        xa, xb = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (xa, xb))
        for index in np.ndindex(*out.shape):
            u, v = xa[index[:-1]], xb[(*index[:-2], index[-1])]
            if casts:
                u, v = (x.astype(casts) if x.dtype.kind in "iu" else x for x in (u, v))
            out[index] = metric(u, v, **kwargs)

    return fill
