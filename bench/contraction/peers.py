"""How peers do it: contractions. A function takes our arguments and returns a Ready whose `call` is timed."""

from functools import partial

import numpy as np

from ..peer import Ready


def three(a, b=None, c=None):
    """The operands of `triple_product`, those left out included."""
    b = a if b is None else b
    return a, b, b if c is None else c


def torch_triple_product(*operands):
    """`torch.einsum`."""
    import torch

    a, b, c = map(torch.from_numpy, three(*operands))
    return Ready(lambda: torch.einsum("im,jm,km->ijk", a, b, c), lambda result: result.numpy())


def torch_mode_dot(tensor, vector, mode):
    """`torch.tensordot`."""
    import torch

    t, v = torch.from_numpy(tensor), torch.from_numpy(vector)
    return Ready(lambda: torch.tensordot(t, v, ([mode], [0])), lambda result: result.numpy())


def numpy_triple_product(*operands):
    """All products of `a` and `b` at once, then `tensordot`."""
    a, b, c = three(*operands)
    return Ready(lambda: np.tensordot(a[:, None] * b, c, axes=(2, 1)))


def numpy_chunks_triple_product(chunk, *operands):
    """The products of `a` and `b` for a chunk of samples at a time, then `matmul`."""
    a, b, c = three(*operands)

    def call():
        result = np.zeros((len(a) * len(b), len(c)), a.dtype)
        for start in range(0, a.shape[1], chunk):
            x, y, z = (operand[:, start : start + chunk] for operand in (a, b, c))
            result += (x[:, None] * y).reshape(len(result), -1) @ z.T
        return result.reshape(len(a), len(b), len(c))

    return Ready(call)


def numpy_einsum_triple_product(*operands):
    """`np.einsum` with `optimize=True`."""
    a, b, c = three(*operands)
    return Ready(lambda: np.einsum("im,jm,km->ijk", a, b, c, optimize=True))


def numpy_mode_dot(tensor, vector, mode):
    """`np.tensordot`."""
    return Ready(lambda: np.tensordot(tensor, vector, (mode, 0)))


def numpy_khatri_rao_mttkrp(tensor, factors, mode):
    """`unfolding_dot_khatri_rao` as tensorly does it: the whole Khatri-Rao product, then `dot`."""
    first, *rest = (factor for axis, factor in enumerate(factors) if axis != mode)

    def call():
        product = first
        for factor in rest:
            product = (product[:, None] * factor).reshape(-1, factor.shape[1])
        return np.dot(np.moveaxis(tensor, mode, 0).reshape(tensor.shape[mode], -1), product)

    return Ready(call)


def numpy_einsum_mttkrp(tensor, factors, mode):
    """`np.einsum` with `optimize=True`."""
    axes = "abcdefgh"[: tensor.ndim]
    others = [axis for axis in range(tensor.ndim) if axis != mode]
    formula = ",".join([axes, *(axes[axis] + "r" for axis in others)]) + f"->{axes[mode]}r"
    matrices = [factors[axis] for axis in others]
    return Ready(lambda: np.einsum(formula, tensor, *matrices, optimize=True))


PEERS = {
    "torch": {"triple_product": torch_triple_product, "mode_dot": torch_mode_dot},
    "numpy": {"triple_product": numpy_triple_product, "mode_dot": numpy_mode_dot},
    "numpy-chunks-256": {"triple_product": partial(numpy_chunks_triple_product, 256)},
    "numpy-chunks-2048": {"triple_product": partial(numpy_chunks_triple_product, 2048)},
    "numpy-einsum": {"triple_product": numpy_einsum_triple_product, "mttkrp": numpy_einsum_mttkrp},
    "numpy-khatri-rao": {"mttkrp": numpy_khatri_rao_mttkrp},
}
