"""What is timed of distance: see ../case.py for the columns."""

from functools import partial

import numpy as np

from ..case import SCIPY, Case


def points(shapes, dtype, op="cdist", **kwargs):
    """Random points in [0, 1), one array for each shape; booleans are half True. `out` is the shape of a result."""
    rng = np.random.default_rng(5)
    arrays = tuple(rng.random(shape, np.float32 if dtype == "float32" else np.float64) for shape in shapes)
    if dtype == "bool":
        arrays = tuple(array < 0.5 for array in arrays)
    if "out" in kwargs:
        kwargs["out"] = np.empty(kwargs["out"])
    return (*arrays, *((kwargs.pop("k"),) if op == "knn" else ())), kwargs


def distance_case(family, metric, shapes, dtype, peers, target, *, op="cdist", note="", **options):
    """A row of `cdist` or its kin; options that `Case` does not know are passed to the call."""
    fields = {name: options.pop(name) for name in ("against", "tolerance") if name in options}
    fields.setdefault("tolerance", 2e-5 if dtype == "float32" else 1e-11)
    if metric != "euclidean":
        options["metric"] = metric
    label = f"{metric} " + " ".join("x".join(map(str, shape)) for shape in shapes)
    return Case(
        group="distance",
        family=family,
        label=label + (f" {note}" if note else ""),
        dtype=dtype,
        op=op,
        setup=partial(points, shapes, dtype, op, **options),
        peers=peers,
        target=target,
        **fields,
    )


LARGE_PAIRS, PAIRS = ((4000, 64), (4000, 64)), ((500, 128), (500, 128))
CHEAP = ("euclidean", "sqeuclidean", "cityblock", "chebyshev")
KNN = {"op": "knn", "k": 10}
QUERIES = ((2000, 32), (100_000, 32))

SKLEARN_TORCH, SKLEARN = ("sklearn", "torch"), ("sklearn",)

CASES = [
    *(distance_case("cheap float64", m, s, "float64", SCIPY, 12) for s in (LARGE_PAIRS, PAIRS) for m in CHEAP),
    *(distance_case("cheap float32", m, s, "float32", SCIPY, 20) for s in (LARGE_PAIRS, PAIRS) for m in CHEAP),
    *(
        distance_case("cheap float32, other peers", m, s, "float32", SKLEARN_TORCH, 2)
        for s in (LARGE_PAIRS, PAIRS)
        for m in CHEAP
    ),
    distance_case("scikit-learn", "euclidean", LARGE_PAIRS, "float64", SKLEARN, 2),
    *(
        distance_case("ratios", m, PAIRS, "float64", SCIPY, 10)
        for m in ("cosine", "correlation", "braycurtis", "canberra")
    ),
    distance_case("powers", "minkowski", PAIRS, "float64", SCIPY, 60, note="p = 3", p=3),
    distance_case("powers", "minkowski", PAIRS, "float64", SCIPY, 60, note="p = 2.5", p=2.5),
    distance_case("jensenshannon", "jensenshannon", PAIRS, "float64", SCIPY, 30),
    distance_case("mahalanobis", "mahalanobis", ((500, 64), (500, 64)), "float64", SCIPY, 30),
    *(
        distance_case("booleans", m, ((2000, 128), (2000, 128)), "bool", SCIPY, 100)
        for m in ("hamming", "jaccard", "dice", "yule", "rogerstanimoto")
    ),
    distance_case("pdist", "euclidean", ((4000, 64),), "float64", SCIPY, 10, op="pdist"),
    distance_case("small", "euclidean", ((3, 3), (3, 3)), "float64", SCIPY, 3),
    distance_case("batches", "euclidean", ((10_000, 8, 3), (10_000, 8, 3)), "float64", SCIPY, 50),
    distance_case("batches", "euclidean", ((10_000, 8, 3), (10_000, 8, 3)), "float64", ("torch",), 2),
    distance_case("knn", "euclidean", QUERIES, "float32", SKLEARN_TORCH, 2, **KNN),
    distance_case("memory of knn", "euclidean", QUERIES, "float32", (), None, against="memory", **KNN),
    *(
        distance_case(
            "write bandwidth", "euclidean", ((4000, d), (4000, d)), "float64", SCIPY, 0.6,
            against="write", out=(4000, 4000),
        )
        for d in (2, 3)
    ),
]
