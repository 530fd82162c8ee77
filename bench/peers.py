"""The peers: how each library does an operation of fastconv, given the same arguments.

A new one stands in the peers.py of its stem.
"""

from .contraction import peers as contraction
from .conv import peers as conv
from .distance import peers as distance
from .ndimage import peers as ndimage
from .neighborhood import peers as neighborhood

NAMES = (
    "fastconv-calls",
    "fastconv-float32",
    "fastconv-named",
    "torch",
    "torch-mirrored",
    "scipy",
    "scipy-generic",
    "scipy-vectorized",
    "scipy-rank",
    "skimage",
    "skimage-rank",
    "cv2-median",
    "sklearn",
    "cv2",
    "numba",
    "numba-fastmath",
    "numpy",
    "numpy-chunks-256",
    "numpy-chunks-2048",
    "numpy-einsum",
    "numpy-khatri-rao",
    "numpy-loops",
)  # in the order of columns

STEMS = (conv, contraction, distance, neighborhood, ndimage)
PEERS = {
    name: {op: how for stem in STEMS for op, how in stem.PEERS.get(name, {}).items()}
    for name in NAMES
}


def ready(peer, op, args, kwargs):
    """Convert the arguments of `fastconv.<op>` for one peer."""
    return PEERS[peer][op](*args, **kwargs)
