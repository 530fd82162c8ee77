"""Windows that slide over NumPy arrays, at the speed of the machine."""
import pkgutil

# In a clone whose package is installed elsewhere, the compiled modules are there.
__path__ = pkgutil.extend_path(__path__, __name__)

from ._face import build  # noqa: F401  before all others
from .contraction import (
    mode_dot,
    mode_dot_vjp,
    mttkrp,
    third_moment,
    triple_product,
    triple_product_vjp,
    unpack_symmetric,
)
from .conv import conv2d, prepare_filters
from .distance import cdist, cdist_vjp, knn, pairwise_argmin, pdist, squareform
from .gradients import conv2d_filter_grad, conv2d_input_grad, conv2d_transpose
from .neighborhood import explain, neighborhood_reduce
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
    "cdist_vjp",
    "conv2d",
    "conv2d_filter_grad",
    "conv2d_input_grad",
    "conv2d_transpose",
    "explain",
    "get_num_threads",
    "isa",
    "knn",
    "mode_dot",
    "mode_dot_vjp",
    "mttkrp",
    "neighborhood_reduce",
    "num_threads",
    "pairwise_argmin",
    "pdist",
    "prepare_filters",
    "set_num_threads",
    "show_config",
    "squareform",
    "third_moment",
    "triple_product",
    "triple_product_vjp",
    "unpack_symmetric",
    "use_isa",
]
