"""How peers do it: distances: points (..., m, d) and (..., n, d).

A function takes our arguments and returns a Ready whose `call` is timed.
"""



import numpy as np

from ..peer import Ready


def scipy_cdist(xa, xb, metric="euclidean", out=None, **kwargs):
    """`scipy.spatial.distance.cdist`; batches in a loop."""
    from scipy.spatial.distance import cdist

    into = out if out is None else np.empty_like(out)

    def call():
        if xa.ndim > 2:
            return np.stack([cdist(a, b, metric, **kwargs) for a, b in zip(xa, xb, strict=True)])
        return cdist(xa, xb, metric, out=into, **kwargs)

    return Ready(call, lambda result: result.astype(np.float32 if xa.dtype == np.float32 else np.float64))


def scipy_pdist(x, metric="euclidean", **kwargs):
    """`scipy.spatial.distance.pdist`."""
    from scipy.spatial.distance import pdist

    return Ready(lambda: pdist(x, metric, **kwargs))


def sklearn_cdist(xa, xb, metric="euclidean"):
    """`euclidean_distances` or `pairwise_distances`."""
    from sklearn.metrics import pairwise

    if metric in ("euclidean", "sqeuclidean"):
        squared = metric == "sqeuclidean"
        call = lambda: pairwise.euclidean_distances(xa, xb, squared=squared)  # noqa: E731
    else:
        call = lambda: pairwise.pairwise_distances(xa, xb, metric)  # noqa: E731
    return Ready(call, lambda result: result.astype(xa.dtype))


def torch_cdist(xa, xb, metric="euclidean"):
    """`torch.cdist` without its product form, whose results are wrong for points far from the origin."""
    import torch

    a, b = torch.from_numpy(xa), torch.from_numpy(xb)
    p = {"euclidean": 2.0, "sqeuclidean": 2.0, "cityblock": 1.0, "chebyshev": float("inf")}[metric]

    def call():
        result = torch.cdist(a, b, p, compute_mode="donot_use_mm_for_euclid_dist")
        return result.square_() if metric == "sqeuclidean" else result

    return Ready(call, lambda result: result.numpy())


def sklearn_knn(queries, data, k, metric="euclidean"):
    """`NearestNeighbors` by brute force, fitted beforehand."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(algorithm="brute", metric=metric).fit(data)
    return Ready(lambda: model.kneighbors(queries, k), lambda result: result[0].astype(data.dtype))


def torch_knn(queries, data, k):
    """`torch.cdist` in its fastest form, and `topk`."""
    import torch

    q, x = torch.from_numpy(queries), torch.from_numpy(data)
    return Ready(lambda: torch.cdist(q, x).topk(k, largest=False), lambda result: result.values.numpy())


PEERS = {
    "torch": {"cdist": torch_cdist, "knn": torch_knn},
    "scipy": {"cdist": scipy_cdist, "pdist": scipy_pdist},
    "sklearn": {"cdist": sklearn_cdist, "knn": sklearn_knn},
}
