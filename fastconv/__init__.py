"""Windows that slide over NumPy arrays, at the speed of the machine."""
from .conv import conv2d
from .distance import cdist, knn, pairwise_argmin, pdist, squareform
from .runtime import (
    __version__,
    available_isas,
    get_num_threads,
    isa,
    num_threads,
    set_num_threads,
    show_config,
    use_isa,
)

__all__ = [
    "__version__",
    "available_isas",
    "cdist",
    "conv2d",
    "get_num_threads",
    "isa",
    "knn",
    "num_threads",
    "pairwise_argmin",
    "pdist",
    "set_num_threads",
    "show_config",
    "squareform",
    "use_isa",
]
